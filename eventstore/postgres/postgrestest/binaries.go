package postgrestest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Bin returns the folder of a PostgreSQL server's programs (postgres, initdb,
// pg_dump, …), and whether there is one.
func Bin() (dir string, found bool) {
	dir = findBin()
	return dir, dir != ""
}

var findBin = sync.OnceValue(func() string {
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link on the PATH may stand alone; its target has the others beside it.
		if target, err := filepath.EvalSymlinks(path); err == nil && isBin(filepath.Dir(target)) {
			return filepath.Dir(target)
		}
		if isBin(filepath.Dir(path)) {
			return filepath.Dir(path)
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if dir := strings.TrimSpace(string(out)); isBin(dir) {
			return dir
		}
	}
	return newestBin(installed...)
})

// installed is where systems install PostgreSQL, some with several versions side
// by side.
var installed = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin", "/usr/local/pgsql*/bin",
}

// newestBin returns the folder with the highest version among those that match.
func newestBin(patterns ...string) string {
	var dirs []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, slices.DeleteFunc(matches, func(dir string) bool { return !isBin(dir) })...)
	}
	if len(dirs) == 0 {
		return ""
	}
	return slices.MaxFunc(dirs, func(a, b string) int { return slices.Compare(version(a), version(b)) })
}

// version is the numbers in the name of a folder such as /usr/lib/postgresql/15/bin.
func version(dir string) []int {
	var numbers []int
	for _, digits := range strings.FieldsFunc(dir, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(digits) // digits; one that overflows is no version
		numbers = append(numbers, n)
	}
	return numbers
}

func isBin(dir string) bool {
	for _, program := range []string{"postgres", "initdb", "pg_ctl"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}
