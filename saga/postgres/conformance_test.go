package postgres_test

import (
	"context"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
	"github.com/seed57833328/rondo/saga/sagatest"
)

// open opens a home that is closed when the test ends.
func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, postgres.Config{AutoMigrate: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// home makes homes in databases of their own, with that setting, whose statements
// are executed in that way, as pgx names it; "" is for the default.
func home(setting, mode string) sagatest.Home {
	var urls sync.Map // by store
	at := func(t *testing.T, url string) saga.Store {
		t.Helper()
		s := open(t, url)
		urls.Store(saga.Store(s), url)
		return s
	}
	again := func(t *testing.T, s saga.Store) saga.Store {
		t.Helper()
		url, _ := urls.Load(s)
		return at(t, url.(string)) //nolint:forcetypeassert // at has put it there
	}
	return sagatest.Home{
		Open: func(t *testing.T) saga.Store {
			t.Helper()
			db := newLedger(t)
			if setting != "" {
				db.Exec(t, "ALTER DATABASE "+db.Name+" SET "+setting)
			}
			return at(t, withMode(t, db.URL, mode))
		},
		Reopen: func(t *testing.T, s saga.Store) saga.Store {
			t.Helper()
			require.NoError(t, closeStore(s))
			return again(t, s)
		},
		Share:  again,
		Close:  closeStore,
		Ledger: ledger(),
	}
}

func closeStore(s saga.Store) error { return s.(*postgres.Store).Close() } //nolint:forcetypeassert // home made it

func withMode(t *testing.T, address, mode string) string {
	t.Helper()
	if mode == "" {
		return address
	}
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	q.Set("default_query_exec_mode", mode)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ setting, mode string }{
		"as it comes": {},
		// Statements as text are for poolers that keep no prepared ones.
		"serializable, statements as text": {setting: "default_transaction_isolation = serializable", mode: "simple_protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sagatest.Run(t, home(c.setting, c.mode))
		})
	}
}

func TestSagas(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]string{"as it comes": "", "statements as text": "simple_protocol"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sagatest.RunSagas(t, home("", mode))
		})
	}
}

// newLedger makes a database with a table of lines.
func newLedger(t *testing.T) *postgrestest.Database {
	t.Helper()
	db := postgrestest.New(t)
	_, err := db.Pool(t).Exec(t.Context(), "CREATE TABLE ledger (n serial, line text NOT NULL)")
	require.NoError(t, err)
	return db
}

// ledger is that table.
func ledger() *sagatest.Ledger {
	writing := func(ctx context.Context, tx pgx.Tx) sagatest.Write {
		return func(line string) error {
			_, err := tx.Exec(ctx, `INSERT INTO ledger (line) VALUES ($1)`, line)
			return err
		}
	}
	return &sagatest.Ledger{
		Deeds: func(s saga.Store, f func(context.Context, sagatest.Write, sagatest.Deed) (string, error)) effect.Handler {
			return postgres.HandleTx(s.(*postgres.Store), func(ctx context.Context, tx pgx.Tx, d sagatest.Deed) (string, error) { //nolint:forcetypeassert // home made it
				return f(ctx, writing(ctx, tx), d)
			})
		},
		Reversals: func(s saga.Store, f func(context.Context, sagatest.Write, sagatest.Reversal) (struct{}, error)) effect.Handler {
			return postgres.HandleTx(s.(*postgres.Store), func(ctx context.Context, tx pgx.Tx, r sagatest.Reversal) (struct{}, error) { //nolint:forcetypeassert // home made it
				return f(ctx, writing(ctx, tx), r)
			})
		},
		Lines: func(t *testing.T, s saga.Store) []string {
			t.Helper()
			tx, err := s.(*postgres.Store).BeginTx(t.Context(), pgx.TxOptions{}) //nolint:forcetypeassert // home made it
			require.NoError(t, err)
			defer tx.Rollback(t.Context()) //nolint:errcheck // it has only read
			rows, err := tx.Query(t.Context(), `SELECT line FROM ledger ORDER BY n`)
			require.NoError(t, err)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			return lines
		},
	}
}
