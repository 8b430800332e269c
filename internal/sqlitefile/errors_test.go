package sqlitefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// What keeps a file from being made is told as what SQLite meets when it writes.
func TestKindOnDisk(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]error{
		syscall.EROFS:    ErrReadOnly,
		syscall.EACCES:   ErrReadOnly,
		fs.ErrPermission: ErrReadOnly,
		syscall.ENOSPC:   ErrFull,
		syscall.EIO:      nil,
	} {
		require.Equal(t, want, kindOnDisk(&fs.PathError{Op: "open", Path: "x", Err: err}), err)
	}
}

func TestCannotOpenWithoutADirectory(t *testing.T) {
	t.Parallel()
	n := Name{"event store", filepath.Join(t.TempDir(), "gone", "x.db")}
	refused := errors.New("unable to open")
	err := n.cannotOpen(refused)
	require.ErrorIs(t, err, refused)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "make a file beside it: ")
}

// Finding out leaves nothing behind.
func TestCannotOpenLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := Name{"event store", filepath.Join(dir, "x.db")}
	require.EqualError(t, n.cannotOpen(errors.New("unable to open")), `event store "`+n.Path+`": unable to open`)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}
