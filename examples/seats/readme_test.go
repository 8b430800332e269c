package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README shows this program and its test; what it shows is what runs.
func TestReadmeShowsThisProgram(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, program2, ok := strings.Cut(string(program), "package main\n\n")
	require.True(t, ok)
	require.Contains(t, string(readme), "```go\npackage main\n\n"+program2+"```\n")

	test, err := os.ReadFile("main_test.go")
	require.NoError(t, err)
	_, body, ok := strings.Cut(string(test), "func TestADeclined")
	require.True(t, ok)
	require.Contains(t, string(readme), "```go\nfunc TestADeclined"+body+"```\n")
}

func Example_main() {
	main()
	// Output:
	// main.Declined {ann} <nil>
	// main.Sold {bob} <nil>
	// main.Sold {cyd} <nil>
	// main.SoldOut {dan} <nil>
	// free: 0 <nil>
}
