package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// A standby serves what needs no knowledge of who appends. Everything else says why
// not, and a subscription waits for the standby to become the primary.
func TestStandby(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	before := open(t, db, postgres.Config{})
	_, err := before.Append(t.Context(), one("a"))
	require.NoError(t, err)
	require.NoError(t, before.Close())
	server.Stop(t, postgrestest.Fast)
	require.NoError(t, os.WriteFile(filepath.Join(server.DataDir(), "standby.signal"), nil, 0o600))
	server.Start(t) // with nobody to follow, until it is promoted

	refused := make(chan string, 64)
	s := open(t, db, postgres.Config{PollInterval: time.Millisecond, Hooks: postgres.Hooks{Retrying: func(doing string, err error) {
		select {
		case refused <- doing + ": " + err.Error():
		default:
		}
	}}})
	require.Equal(t, 1, versions(t, s, "a"))
	_, err = s.Head(t.Context())
	requireError(t, err, "25006", "it is a standby", true)
	err = nil
	for _, readErr := range s.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		err = readErr
	}
	requireError(t, err, "25006", "it is a standby", true)
	_, err = s.Append(t.Context(), one("a"))
	requireError(t, err, "25006", "it is a standby", true)
	require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))
	_, err = s.AcquireLease(t.Context(), "sub", "me", time.Minute)
	requireError(t, err, "25006", "it is a standby", true)

	told := make(chan eventstore.Recorded)
	go func() {
		defer close(told)
		for e, err := range s.Subscribe(t.Context(), 0, eventstore.Filter{}) {
			if err != nil {
				return
			}
			told <- e
		}
	}()
	for why := range refused {
		if strings.HasPrefix(why, "follow the log: ") {
			require.Contains(t, why, "it is a standby")
			break
		}
	}
	db.Exec(t, `SELECT pg_promote()`)
	require.EqualValues(t, 1, (<-told).Version)
	_, err = s.Append(t.Context(), one("a"))
	require.NoError(t, err)
	require.EqualValues(t, 2, (<-told).Version)
}
