package testkit_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	_ testkit.T = (*testing.T)(nil)
	_ testkit.T = (*testing.B)(nil)
	_ testkit.T = (*testing.F)(nil)
	_ testkit.T = (*rapid.T)(nil)
)

// fakeT records what a test would report.
type fakeT struct {
	logs, failures []string
	cleanups       []func()
}

// stop is what a fakeT ends a test with.
type stop struct{}

func (*fakeT) Helper()      {}
func (*fakeT) Name() string { return "fake" }
func (f *fakeT) Failed() bool {
	return len(f.failures) > 0
}
func (f *fakeT) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *fakeT) Logf(format string, args ...any) {
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fakeT) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(stop{})
}

// try runs a test against a fakeT, its cleanups included.
func try(test func(t *fakeT)) *fakeT {
	f := &fakeT{}
	guard := func(run func()) {
		defer func() {
			if v := recover(); v != nil && v != (stop{}) {
				panic(v)
			}
		}()
		run()
	}
	guard(func() { test(f) })
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		guard(f.cleanups[i])
	}
	return f
}

// fails runs a test that must fail once, and gives its report.
func fails(t *testing.T, test func(t *fakeT)) string {
	t.Helper()
	f := try(test)
	require.Len(t, f.failures, 1, "failures")
	return f.failures[0]
}

// mentions holds a report to fragments of what it must say, in order.
func mentions(t *testing.T, report string, fragments ...string) {
	t.Helper()
	pattern := "(?s)"
	for _, f := range fragments {
		pattern += ".*" + regexp.QuoteMeta(f)
	}
	require.Regexp(t, pattern, report)
}

// golden holds a report to a file in testdata.
func golden(t *testing.T, name, report string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(report+"\n"), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run go test ./testkit -update")
	require.Equal(t, string(want), report+"\n")
}
