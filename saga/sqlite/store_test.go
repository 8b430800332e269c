package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/saga/sqlite"
)

func file(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "sagas.db")
}

// open opens a home that is closed with the test.
func open(t testing.TB, path string, c sqlite.Config) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func home(c sqlite.Config) sagatest.Home {
	pathOf := func(s saga.Store) string { return s.(*sqlite.Store).Path() } //nolint:forcetypeassert // Open made it
	return sagatest.Home{
		Open: func(t *testing.T) saga.Store {
			t.Helper()
			return open(t, file(t), c)
		},
		Reopen: func(t *testing.T, s saga.Store) saga.Store {
			t.Helper()
			require.NoError(t, s.(*sqlite.Store).Close()) //nolint:forcetypeassert // Open made it
			return open(t, pathOf(s), c)
		},
		Share: func(t *testing.T, s saga.Store) saga.Store {
			t.Helper()
			return open(t, pathOf(s), c)
		},
		Close: func(s saga.Store) error { return s.(*sqlite.Store).Close() }, //nolint:forcetypeassert // Open made it
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, home(sqlite.Config{}))
}

func TestSagas(t *testing.T) {
	t.Parallel()
	sagatest.RunSagas(t, home(sqlite.Config{}))
}
