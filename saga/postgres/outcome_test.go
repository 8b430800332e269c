package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// change is the decision that makes a saga's record one of that sequence.
func change(id saga.ID, sequence int64) saga.Change {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return saga.Change{
		Record: saga.Record{ID: id, Sequence: sequence, Commit: uuid.New(), Status: saga.Running, Started: at, Updated: at, Schema: 1, State: []byte(`{}`)},
		Entry:  saga.Entry{Sequence: sequence, At: at, Kind: "signal", Data: []byte(`{}`)},
	}
}

// awaitStandby returns when commits wait for a standby. That a session knows the
// setting is not enough: it is the checkpointer that has commits wait.
func awaitStandby(t *testing.T, admin *pgxpool.Pool, name, waiting string) {
	t.Helper()
	require.Eventually(t, func() bool {
		done := make(chan error, 1)
		go func() {
			_, err := admin.Exec(t.Context(), `SELECT pg_logical_emit_message(true, 'probe', '')`)
			done <- err
		}()
		for {
			select {
			case <-done: //nolint:errcheck // it was not made to wait
				return false
			case <-time.After(pollEvery):
			}
			var pid uint32
			if admin.QueryRow(t.Context(), waiting, name).Scan(&pid) != nil {
				continue
			}
			_, _ = admin.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, pid)
			<-done //nolint:errcheck // its session was ended
			return true
		}
	}, waitAtMost, pollEvery)
	require.Eventually(t, func() bool {
		var pid uint32
		return errors.Is(admin.QueryRow(t.Context(), waiting, name).Scan(&pid), pgx.ErrNoRows)
	}, waitAtMost, pollEvery)
}

// A session is ended, or killed, in the midst of a commit. What became of it is
// found by Record.Commit.
func TestBackendDiesDuringCommit(t *testing.T) {
	t.Parallel()
	const (
		// Waits for a lock, before anything is committed.
		locked = `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'`
		// Waits for a standby that there is not: it is committed on this server.
		replicating = `SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'SyncRep'`
	)
	for name, c := range map[string]struct {
		waiting  string
		killed   bool
		happened bool
	}{
		"ended before it":  {locked, false, false},
		"killed before it": {locked, true, false},
		"ended after it":   {replicating, false, true},
		"killed after it":  {replicating, true, true},
	} {
		for how, changes := range map[string][]saga.Change{
			"one":  {change(Reservation.ID("a"), 1)},
			"many": {change(Reservation.ID("a"), 1), change(Reservation.ID("b"), 1)},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				server := postgrestest.Start(t, postgrestest.Config{})
				db := server.NewDatabase(t)
				s := open(t, db.URL)
				admin := db.Pool(t)
				var release func()
				if c.waiting == locked {
					tx, err := admin.Begin(t.Context())
					require.NoError(t, err)
					_, err = tx.Exec(t.Context(), `LOCK TABLE rondo.saga_history IN EXCLUSIVE MODE`)
					require.NoError(t, err)
					release = func() { _ = tx.Rollback(context.Background()) } //nolint:usetesting // a session that was killed cannot
				} else {
					db.Exec(t, `ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
					db.Exec(t, `SELECT pg_reload_conf()`)
					awaitStandby(t, admin, db.Name, c.waiting)
					release = func() {
						insist(t, db, `ALTER SYSTEM RESET synchronous_standby_names`)
						insist(t, db, `SELECT pg_reload_conf()`)
					}
				}
				failed := make(chan error)
				go func() {
					_, err := s.Commit(t.Context(), changes)
					failed <- err
				}()
				var pid uint32
				require.Eventually(t, func() bool {
					return admin.QueryRow(t.Context(), c.waiting, db.Name).Scan(&pid) == nil
				}, waitAtMost, pollEvery)
				if c.killed {
					server.KillBackend(t, pid)
				} else {
					db.Exec(t, `SELECT pg_terminate_backend($1)`, pid)
				}
				err := <-failed
				var e *postgres.Error
				require.ErrorAs(t, err, &e)
				require.True(t, eventstore.Retryable(err), err)
				release()

				for i := range changes {
					r := &changes[i].Record
					var found saga.Record
					var there bool
					require.Eventually(t, func() bool {
						found, there, err = s.Load(t.Context(), r.ID)
						return err == nil
					}, waitAtMost, pollEvery)
					require.Equal(t, c.happened, there)
					if there {
						require.Equal(t, r.Commit, found.Commit)
					}
				}
				want := saga.Committed
				if c.happened {
					want = saga.Conflict
				}
				var verdicts []saga.Verdict
				require.Eventually(t, func() bool {
					verdicts, err = s.Commit(t.Context(), changes)
					return err == nil
				}, waitAtMost, pollEvery)
				for _, v := range verdicts {
					require.Equal(t, want, v)
				}
			})
		}
	}
}

// insist runs a statement as the superuser, however often that takes while the
// server recovers.
func insist(t *testing.T, db *postgrestest.Database, sql string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), db.AdminURL)
		if err != nil {
			return false
		}
		defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
		_, err = conn.Exec(t.Context(), sql)
		return err == nil
	}, waitAtMost, pollEvery)
}

// record notes what was done for whom, outside of the database.
type record struct {
	mu   sync.Mutex
	keys map[string]map[string]int // by saga and request
}

func (r *record) act(ctx context.Context, request string) error {
	key := saga.EffectID(ctx)
	parts := strings.Split(key, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	of := parts[1] + " " + request
	if r.keys[of] == nil {
		r.keys[of] = map[string]int{}
	}
	r.keys[of][key]++
	return nil
}

// The server is restarted, in order and by a crash, while a worker goes on with
// what another has left behind. Each saga comes to its end, and each decision was
// made once.
func TestRestartDuringRecovery(t *testing.T) {
	t.Parallel()
	const sagas = 200
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	home := open(t, db.URL)
	world := &record{keys: map[string]map[string]int{}}
	hangs := func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	first, kill := run(t, home, saga.Config{Worker: "a", Handlers: handlers(hangs), Lease: 500 * time.Millisecond})
	for i := range sagas {
		_, err := first.Start(t.Context(), Reservation.ID(fmt.Sprint(i)), Reserve{Quantity: 2})
		require.NoError(t, err)
	}
	kill()

	var calls atomic.Int64
	act := func(ctx context.Context, request string) error {
		defer calls.Add(1)
		return world.act(ctx, request)
	}
	_, _ = run(t, home, saga.Config{Worker: "b", Handlers: handlers(act)})
	for _, disturb := range []struct {
		at int64
		do func()
	}{
		{20, func() { server.Restart(t, postgrestest.Fast) }},
		{150, func() { server.Restart(t, postgrestest.Immediate) }},
		{300, func() { db.EndSessions(t) }},
	} {
		require.Eventually(t, func() bool { return calls.Load() >= disturb.at }, waitAtMost, pollEvery)
		disturb.do()
	}
	for i := range sagas {
		id := Reservation.ID(fmt.Sprint(i))
		var r saga.Record
		require.Eventually(t, func() bool {
			var err error
			r, _, err = home.Load(t.Context(), id)
			return err == nil && r.Status.Ended()
		}, 2*waitAtMost, pollEvery)
		require.Equal(t, saga.Completed, r.Status, r.Reason)
		history, err := home.History(t.Context(), id, 0, 100)
		require.NoError(t, err)
		require.Len(t, history, 4, "a start and three replies: each decided once")
		world.mu.Lock() // other sagas go on
		for _, request := range []string{"hold", "charge", "confirm"} {
			require.Len(t, world.keys[fmt.Sprint(i)+" "+request], 1, "%s under one key", request)
		}
		world.mu.Unlock()
	}
}
