package postgres_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

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

// home makes homes in databases of their own, with those settings.
func home(setting string) sagatest.Home {
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
			db := postgrestest.New(t)
			if setting != "" {
				db.Exec(t, "ALTER DATABASE "+db.Name+" SET "+setting)
			}
			return at(t, db.URL)
		},
		Reopen: func(t *testing.T, s saga.Store) saga.Store {
			t.Helper()
			require.NoError(t, closeStore(s))
			return again(t, s)
		},
		Share: again,
		Close: closeStore,
	}
}

func closeStore(s saga.Store) error { return s.(*postgres.Store).Close() } //nolint:forcetypeassert // home made it

func TestStore(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]string{
		"as it comes":  "",
		"serializable": "default_transaction_isolation = serializable",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sagatest.Run(t, home(setting))
		})
	}
}

func TestSagas(t *testing.T) {
	t.Parallel()
	sagatest.RunSagas(t, home(""))
}
