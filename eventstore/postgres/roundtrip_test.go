package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

const notifies = "pg_notify"

// openTapped opens a store of so many connections at most, and tells what goes
// over them.
func openTapped(t *testing.T, conns int32) (*Store, *postgrestest.Database, *wire) {
	t.Helper()
	db := postgrestest.New(t)
	_, err := Migrate(t.Context(), db.Pool(t))
	require.NoError(t, err)
	config, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	config.MaxConns = conns
	// Not even if it was idle for a second, on a machine that is busy with something else.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	w := &wire{}
	w.tap(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s, err := New(t.Context(), pool, Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, db, w
}

// A lone writer's append is one round trip, whatever it has, and its statement is
// prepared once.
func TestAppendIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	claimed := func(n int) eventstore.Write {
		w := writeOf("claimed", eventstore.Any)
		w.Claim = &eventstore.Claim{Key: fmt.Sprint("k-", n), Until: time.Now().Add(time.Hour)}
		return w
	}
	for name, writes := range map[string]func(n int) []eventstore.Write{
		"an event": func(n int) []eventstore.Write {
			return []eventstore.Write{writeOf("a", eventstore.Exactly(eventstore.Version(n)))}
		},
		"an event, at any version": func(int) []eventstore.Write { return []eventstore.Write{writeOf("a", eventstore.Any)} },
		"events": func(int) []eventstore.Write {
			return []eventstore.Write{writeOf("a", eventstore.Any, eventOf("x"), eventOf("y"))}
		},
		"streams": func(int) []eventstore.Write {
			return []eventstore.Write{writeOf("a", eventstore.Any), writeOf("b", eventstore.Any)}
		},
		"a claim": func(n int) []eventstore.Write { return []eventstore.Write{claimed(n)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, wire := openTapped(t, 1)
			const appends = 20
			prepared := map[string]int{}
			for n := range appends {
				wire.forget()
				_, err := s.Append(t.Context(), writes(n)...)
				require.NoError(t, err)
				trips := wire.without(notifies)
				for _, trip := range trips {
					for _, sql := range trip.parsed {
						prepared[sql]++
					}
				}
				if n == 0 {
					continue // the connection is made, and the statement prepared
				}
				require.Len(t, trips, 1, "append %d", n)
				require.Len(t, trips[0].executed, 1, "append %d: the statement, and nothing to begin and end a transaction", n)
				require.Contains(t, prepared, trips[0].executed[0], "append %d", n)
				require.False(t, trips[0].simple)
			}
			require.Len(t, prepared, 1)
			for sql, times := range prepared {
				require.Equal(t, 1, times, "%.80s", sql)
			}
		})
	}
}

// commitTogether has callers append, each to a stream of its own, and returns when
// all of it was committed. They have had to wait for one who writes to all of them, so one
// committer takes all there is.
func commitTogether(t *testing.T, s *Store, tenants, callers int) {
	t.Helper()
	var blocker request
	for i := range callers {
		ctx := eventstore.WithTenant(t.Context(), fmt.Sprint("t-", i%tenants))
		r, err := s.request(ctx, []eventstore.Write{writeOf(fmt.Sprint("s-", i), eventstore.Any)})
		require.NoError(t, err)
		blocker.keys = append(blocker.keys, r.keys...)
	}
	idle := func() bool { // the committer that has told the callers has left
		s.gate.mu.Lock()
		defer s.gate.mu.Unlock()
		s.gate.crowd = 0 // the last batch was long ago
		return s.gate.inFlight == 0
	}
	require.Eventually(t, idle, time.Minute, time.Millisecond)
	direct, err := s.gate.enter(&blocker)
	require.NoError(t, err)
	require.True(t, direct)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			ctx := eventstore.WithTenant(t.Context(), fmt.Sprint("t-", i%tenants))
			if _, err := s.Append(ctx, writeOf(fmt.Sprint("s-", i), eventstore.Any)); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return s.Queued() == callers }, time.Minute, time.Millisecond)
	s.gate.leave(&blocker)
	all.Wait()
}

// What many callers append together is one round trip and one transaction.
func TestBatchOfManyIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tenants := range []int{1, 3} {
		t.Run(fmt.Sprintf("tenants=%d", tenants), func(t *testing.T) {
			t.Parallel()
			s, db, wire := openTapped(t, 1)
			const rounds, callers = 5, 60
			prepared := map[string]int{}
			for round := range rounds {
				wire.forget()
				commitTogether(t, s, tenants, callers)
				trips := wire.without(notifies)
				for _, trip := range trips {
					for _, sql := range trip.parsed {
						prepared[sql]++
					}
				}
				if round == 0 {
					continue
				}
				require.Len(t, trips, 1, "round %d", round)
				require.Len(t, trips[0].executed, tenants, "round %d: a statement for each tenant", round)
			}
			require.Len(t, prepared, 1)
			for sql, times := range prepared {
				require.Equal(t, 1, times, "%.80s", sql)
			}
			require.Equal(t, rounds, transactions(t, db))
		})
	}
}

// transactions is how many have written events.
func transactions(t *testing.T, db *postgrestest.Database) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.AdminURL)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(DISTINCT xmin::text) FROM rondo.events`).Scan(&n))
	return n
}

// With many connections, each prepares what it needs once.
func TestStatementsArePreparedOncePerConnection(t *testing.T) {
	t.Parallel()
	const conns, rounds, appends = 6, 3, 5
	s, _, wire := openTapped(t, conns)
	held := make([]*pgxpool.Conn, conns)
	acquire := func(i int) {
		conn, err := s.pool.Acquire(t.Context())
		require.NoError(t, err)
		held[i] = conn
	}
	for i := range conns {
		acquire(i)
	}
	wire.forget() // what opening the store took
	for round := range rounds {
		for i := range conns { // the store has but this connection
			held[i].Release()
			for n := range appends {
				_, err := s.Append(t.Context(), writeOf(fmt.Sprint("s-", i), eventstore.Exactly(eventstore.Version(round*appends+n))))
				require.NoError(t, err)
			}
			acquire(i)
		}
	}
	for _, conn := range held {
		conn.Release()
	}
	type key struct {
		conn int
		sql  string
	}
	prepared, executed := map[key]int{}, map[int]int{}
	for _, trip := range wire.without(notifies) {
		for _, sql := range trip.parsed {
			prepared[key{trip.conn, sql}]++
		}
		executed[trip.conn] += len(trip.executed)
	}
	require.Len(t, executed, conns)
	for conn, times := range executed {
		require.Equal(t, rounds*appends, times, "connection %d", conn)
	}
	require.Len(t, prepared, conns)
	for k, times := range prepared {
		require.Equal(t, 1, times, "connection %d: %.80s", k.conn, k.sql)
	}
}

// Notifications wake, and carry nothing: neither events nor where they are. They
// are sent in round trips of their own.
func TestNotificationsAreEmpty(t *testing.T) {
	t.Parallel()
	s, db, wire := openTapped(t, 2)
	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is lost with it
	_, err = conn.Exec(t.Context(), listenSQL)
	require.NoError(t, err)
	appends := []func() error{
		func() error {
			_, err := s.Append(t.Context(), writeOf("a", eventstore.Any))
			return err
		},
		func() error {
			_, err := s.Append(t.Context(), writeOf("a", eventstore.Any), writeOf("b", eventstore.Any))
			return err
		},
		func() error { // a transaction of a user
			return s.InTx(t.Context(), func(tx pgx.Tx) error {
				_, err := s.AppendTx(t.Context(), tx, writeOf("a", eventstore.Any))
				return err
			})
		},
	}
	for i, add := range appends {
		require.NoError(t, add())
		n, err := conn.WaitForNotification(t.Context())
		require.NoError(t, err)
		require.Equal(t, "rondo", n.Channel)
		require.Empty(t, n.Payload, "append %d", i)
	}
	sent := wire.with(notifies)
	require.NotEmpty(t, sent)
	for _, trip := range sent {
		require.False(t, trip.does("rondo.events") || trip.does("append_many"), "%v", trip)
	}
}
