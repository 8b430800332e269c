package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
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
		Close:  func(s saga.Store) error { return s.(*sqlite.Store).Close() }, //nolint:forcetypeassert // Open made it
		Ledger: ledger(),
	}
}

// patient is for several processes: whoever waits for the file does so for as long as
// that takes.
var patient = sqlite.Config{BusyTimeout: time.Minute}

func TestStore(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, home(sqlite.Config{}))
}

func TestSagas(t *testing.T) {
	t.Parallel()
	sagatest.RunSagas(t, home(patient))
}

// ledger is a table beside the sagas.
func ledger() *sagatest.Ledger {
	writing := func(ctx context.Context, tx *sql.Tx) sagatest.Write {
		return func(line string) error {
			if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS ledger (n INTEGER PRIMARY KEY, line TEXT NOT NULL)`); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO ledger (line) VALUES (?)`, line)
			return err
		}
	}
	return &sagatest.Ledger{
		Deeds: func(s saga.Store, f func(context.Context, sagatest.Write, sagatest.Deed) (string, error)) effect.Handler {
			return sqlite.HandleTx(s.(*sqlite.Store), func(ctx context.Context, tx *sql.Tx, d sagatest.Deed) (string, error) { //nolint:forcetypeassert // Open made it
				return f(ctx, writing(ctx, tx), d)
			})
		},
		Reversals: func(s saga.Store, f func(context.Context, sagatest.Write, sagatest.Reversal) (struct{}, error)) effect.Handler {
			return sqlite.HandleTx(s.(*sqlite.Store), func(ctx context.Context, tx *sql.Tx, r sagatest.Reversal) (struct{}, error) { //nolint:forcetypeassert // Open made it
				return f(ctx, writing(ctx, tx), r)
			})
		},
		Lines: func(t *testing.T, s saga.Store) (lines []string) {
			t.Helper()
			require.NoError(t, s.(*sqlite.Store).InTx(t.Context(), func(tx *sql.Tx) error { //nolint:forcetypeassert // Open made it
				lines = nil
				rows, err := tx.QueryContext(t.Context(), `SELECT line FROM ledger ORDER BY n`)
				if err != nil {
					return err
				}
				defer func() { _ = rows.Close() }() // it has been read
				for rows.Next() {
					var line string
					if err := rows.Scan(&line); err != nil {
						return err
					}
					lines = append(lines, line)
				}
				return rows.Err()
			}))
			return lines
		},
	}
}
