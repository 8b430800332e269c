//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga/sqlite"
)

const readOnlyFile = "RONDO_TEST_READ_ONLY_FILE"

// A file that must not be written to can be looked at, and is not mended. The
// superuser may write to any, so another user tries.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	if path := os.Getenv(readOnlyFile); path != "" {
		looksOnly(t, path)
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "shop.db")
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, os.Chmod(path, 0o444))
	for _, d := range []string{dir, filepath.Dir(dir)} { // SQLite keeps files beside it
		require.NoError(t, os.Chmod(d, 0o777)) //nolint:gosec // for the other user
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReadOnlyFile$") //nolint:gosec // this program
	child.Env = append(os.Environ(), readOnlyFile+"="+path)
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func looksOnly(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() == 0 {
		const nobody = 65_534
		require.NoError(t, syscall.Setuid(nobody))
	}
	out, errs, status := rondo(t, "saga", "list", "--db", "sqlite:"+path)
	require.Equal(t, 0, status, errs)
	require.Equal(t, "no saga is like that\n", out)
	_, errs, status = rondo(t, "saga", "workers", "--db", "sqlite:"+path)
	require.Equal(t, 0, status, errs)
	_, errs, status = rondo(t, "saga", "pause-type", "order", "--actor", "ada", "--reason", "a test", "--db", "sqlite:"+path)
	require.Equal(t, failed, status)
	require.Contains(t, errs, "file is read-only")
}
