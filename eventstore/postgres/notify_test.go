package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// Stores that never poll are as processes that only notifications wake.
var never = postgres.Config{PollInterval: 24 * time.Hour}

func TestOtherProcessesAreWoken(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	writer, reader := open(t, db, never), open(t, db, never)
	sub := subscribe(t.Context(), t, reader, 0)
	for range 20 {
		done, err := writer.Append(t.Context(), one("a"))
		require.NoError(t, err)
		sub.want(done[0].Position)
	}

	// In a transaction that the store commits, and in one that it does not.
	var done []eventstore.Appended
	require.NoError(t, writer.InTx(t.Context(), func(tx pgx.Tx) (err error) {
		done, err = writer.AppendTx(t.Context(), tx, one("a"))
		return err
	}))
	sub.want(done[0].Position)
	tx := begin(t, db)
	done, err := writer.AppendTx(t.Context(), tx, one("a"))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	sub.want(done[0].Position)
}

func TestListeningSurvivesLostConnections(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	writer, reader := open(t, db, never), open(t, db, never)
	sub := subscribe(t.Context(), t, reader, 0)
	for range 3 {
		var done []eventstore.Appended
		require.Eventually(t, func() (ok bool) {
			var err error
			done, err = writer.Append(t.Context(), one("a"))
			return err == nil
		}, time.Minute, time.Millisecond, "a connection that the administrator ended is replaced")
		sub.want(done[0].Position)
		db.EndSessions(t)
	}
}

func TestPollingIsTheNet(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	reader := open(t, db, postgres.Config{PollInterval: 10 * time.Millisecond})
	sub := subscribe(t.Context(), t, reader, 0)
	// Somebody who appends and does not notify: a process that died in between.
	for version := range 3 {
		tx := begin(t, db)
		_, err := tx.Exec(t.Context(), `SELECT set_config('rondo.tenant', '.', true), rondo.hold()`)
		require.NoError(t, err)
		var position eventstore.Position
		err = tx.QueryRow(t.Context(), `INSERT INTO rondo.events (position, version, at, id, schema, tenant, stream, type, data)
			VALUES (rondo.draw(), $1, now(), gen_random_uuid(), 1, '.', 'a', 'held', '') RETURNING position`, version).Scan((*int64)(&position))
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
		sub.want(position)
	}
}

// A subscription with a filter moves on over what it does not want.
func TestFilteredSubscriptionMovesOn(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, never)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 10 {
		_, err := s.Append(ctx, one("other-1"))
		require.NoError(t, err)
	}
	done, err := s.Append(ctx, one("wanted-1"))
	require.NoError(t, err)
	n := 0
	for e, err := range s.Subscribe(ctx, 0, eventstore.Filter{Categories: []string{"wanted"}}) {
		require.NoError(t, err)
		require.Equal(t, done[0].Position, e.Position)
		if n++; n == 20 {
			break
		}
		_, err = s.Append(ctx, one("other-1"))
		require.NoError(t, err)
		done, err = s.Append(ctx, one("wanted-1"))
		require.NoError(t, err)
	}
	require.Equal(t, 20, n)
}
