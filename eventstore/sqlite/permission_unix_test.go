//go:build unix

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// Files and directories that must not be written to. The superuser may write to
// all, so another process that is none tries it.
func TestForbidden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(d, 0o755)) // for the other process to look into
	}
	for _, f := range forbiddenFiles {
		sub := filepath.Join(dir, f.name)
		require.NoError(t, os.Mkdir(sub, 0o755))
		if f.file != 0 {
			makeFile(t, filepath.Join(sub, "events.db"))
			require.NoError(t, os.Chmod(filepath.Join(sub, "events.db"), f.file))
		}
		require.NoError(t, os.Chmod(sub, f.dir))
		t.Cleanup(func() { _ = os.Chmod(sub, 0o755) })
	}
	child, lines := start(t, task{Kind: "forbidden", Path: dir})
	n := 0
	for lines.Scan() {
		require.Equal(t, "as it should be", lines.Text())
		n++
	}
	require.NoError(t, child.Wait())
	require.Equal(t, 2*len(forbiddenFiles), n)
}

var forbiddenFiles = []struct {
	name      string
	file, dir os.FileMode
	says      string
	readOnly  string // with Config.ReadOnly; "" if it can be opened so
}{
	{"both", 0o444, 0o555, "its directory must be writable", "its directory must be writable"},
	{"directory", 0o666, 0o555, "its directory must be writable", "its directory must be writable"},
	{"file", 0o444, 0o777, "open it with Config.ReadOnly", ""},
	{"nothing", 0, 0o555, "make a file beside it: permission denied", "no such file"},
	{"not to be read", 0o200, 0o777, "its permissions are --w-------", "its permissions are --w-------"},
}

// forbidden tries to open the files, and says of each how that went.
func forbidden(dir string) error {
	if os.Geteuid() == 0 {
		const nobody = 65_534
		if err := syscall.Setuid(nobody); err != nil {
			return err
		}
	}
	for _, f := range forbiddenFiles {
		for readOnly, want := range map[bool]string{false: f.says, true: f.readOnly} {
			s, err := sqlite.Open(context.Background(), filepath.Join(dir, f.name, "events.db"), sqlite.Config{ReadOnly: readOnly})
			switch {
			case err == nil && want == "":
				if err := s.Close(); err != nil {
					return err
				}
			case err == nil || want == "" || !strings.Contains(err.Error(), want):
				return fmt.Errorf("%s: got %w, want %q", f.name, err, want)
			case errors.Is(err, sqlite.ErrReadOnly) == (want == "no such file" || f.file == 0o200):
				return fmt.Errorf("%s: errors.Is(%w, ErrReadOnly) is wrong", f.name, err)
			}
			fmt.Println("as it should be")
		}
	}
	return nil
}
