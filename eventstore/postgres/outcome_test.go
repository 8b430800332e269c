package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// Lost connections in the middle of a commit: the outcome is unknown, and Lookup
// knows it.
func TestConnectionLostDuringCommit(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	for name, c := range map[string]struct {
		fault    fault
		happened bool
	}{
		"before the server had it":  {loseRequest, false},
		"before the client knew it": {loseReply, true},
	} {
		for how, together := range map[string]bool{"by itself": false, "together": true} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				db := server.NewDatabase(t)
				open(t, db, postgres.Config{})
				proxy, url := newProxy(t, db)
				s, err := postgres.Open(t.Context(), url, postgres.Config{})
				require.NoError(t, err)
				defer func() { require.NoError(t, s.Close()) }()
				if together {
					s.QueueAll()
				}
				proxy.breakAt("cut-1", c.fault)
				w := expecting("cut-1", eventstore.None)
				_, err = s.Append(t.Context(), w)
				var unknown *eventstore.UnknownOutcomeError
				require.ErrorAs(t, err, &unknown)
				require.Equal(t, []uuid.UUID{w.Events[0].ID}, unknown.IDs)
				require.True(t, eventstore.Retryable(err))

				found, err := s.Lookup(t.Context(), unknown.IDs...)
				require.NoError(t, err)
				again, err := s.Append(t.Context(), w)
				if c.happened {
					require.Len(t, found, 1)
					require.Equal(t, w.Events[0].ID, found[0].ID)
					require.ErrorAs(t, err, new(*eventstore.DuplicateEventError))
					require.Empty(t, again)
				} else {
					require.Empty(t, found)
					require.NoError(t, err)
				}
				require.Equal(t, 1, versions(t, s, "cut-1"))
			})
		}
	}
}

func TestContextEndsDuringCommit(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	for how, together := range map[string]bool{"by itself": false, "together": true} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			db := server.NewDatabase(t)
			open(t, db, postgres.Config{})
			proxy, url := newProxy(t, db)
			s, err := postgres.Open(t.Context(), url, postgres.Config{})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			if together {
				s.QueueAll()
			}
			proxy.breakAt("cut-1", stall)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := expecting("cut-1", eventstore.None)
			result := make(chan error, 1)
			go func() {
				_, err := s.Append(ctx, w)
				result <- err
			}()
			<-proxy.stalled // so it is committed
			cancel()
			err = <-result
			var unknown *eventstore.UnknownOutcomeError
			require.ErrorAs(t, err, &unknown)
			require.ErrorIs(t, err, context.Canceled)
			found, err := s.Lookup(t.Context(), unknown.IDs...)
			require.NoError(t, err)
			require.Len(t, found, 1)
			proxy.close() // or Close would wait for the batch
		})
	}
}

// An append that the server is still at when the client asks is waited for.
func TestLookupWaitsForWhatIsInFlight(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	tx := begin(t, db)
	w := one("a")
	_, err := s.AppendTx(t.Context(), tx, w)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), briefly)
	defer cancel()
	_, err = s.Lookup(short, w.Events[0].ID)
	require.ErrorIs(t, err, context.DeadlineExceeded, "it is not there yet, and may come")
	require.NoError(t, tx.Commit(t.Context()))
	found, err := s.Lookup(t.Context(), w.Events[0].ID)
	require.NoError(t, err)
	require.Len(t, found, 1)
	found, err = s.Lookup(t.Context(), uuid.New())
	require.NoError(t, err)
	require.Empty(t, found)
}

func TestContextEndsBeforeCommit(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	s.QueueAll()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Append(ended, one("a"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))

	// Both committers wait for a lock on the table, so what comes now queues.
	lock := begin(t, db)
	_, err = lock.Exec(t.Context(), `LOCK TABLE rondo.events IN EXCLUSIVE MODE`)
	require.NoError(t, err)
	results := make(chan error, 2)
	for _, stream := range []string{"b", "c"} {
		go func() {
			_, err := s.Append(t.Context(), one(stream))
			results <- err
		}()
		waitForWaiting(t, db, map[string]int{"b": 1, "c": 2}[stream])
	}
	short, cancel := context.WithTimeout(t.Context(), briefly)
	defer cancel()
	w := one("d")
	_, err = s.Append(short, w)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError), "it was not sent")
	require.Zero(t, s.Queued())
	require.NoError(t, lock.Rollback(t.Context()))
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	found, err := s.Lookup(t.Context(), w.Events[0].ID)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Zero(t, versions(t, s, "a")+versions(t, s, "d"))
}

// waitForWaiting waits until that many sessions of a database wait for a lock.
func waitForWaiting(t *testing.T, db *postgrestest.Database, n int) {
	t.Helper()
	pool := db.Pool(t)
	require.Eventually(t, func() bool {
		var waiting int
		err := pool.QueryRow(t.Context(), `SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		return err == nil && waiting == n
	}, time.Minute, time.Millisecond)
}

func TestNoConnectionToBeHad(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	open(t, db, postgres.Config{})
	cfg := db.Config(t)
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	s, err := postgres.New(t.Context(), pool, postgres.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), briefly)
	defer cancel()
	_, err = s.Append(short, one("a"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))
	conn.Release()
	_, err = s.Append(t.Context(), expecting("a", eventstore.None))
	require.NoError(t, err)
}

// What waits when the store is closed is refused, what is being committed ends.
func TestCloseWhileAppending(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	s.QueueAll()
	lock := begin(t, db)
	_, err := lock.Exec(t.Context(), `LOCK TABLE rondo.events IN EXCLUSIVE MODE`)
	require.NoError(t, err)
	const n = 12
	results := make(chan error, n)
	for i := range n {
		go func() {
			_, err := s.Append(t.Context(), one("a"))
			results <- err
		}()
		if i == 0 {
			waitForWaiting(t, db, 1)
		}
	}
	require.Eventually(t, func() bool { return s.Queued() == n-1 }, time.Minute, time.Millisecond)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for range n - 1 {
		require.ErrorIs(t, <-results, eventstore.ErrClosed)
	}
	require.NoError(t, lock.Rollback(t.Context()))
	require.NoError(t, <-results, "what was being committed")
	require.NoError(t, <-closed)
	_, err = s.Append(t.Context(), one("a"))
	require.ErrorIs(t, err, eventstore.ErrClosed)
	require.Equal(t, 1, versions(t, open(t, db, postgres.Config{}), "a"))
}
