package command_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// homes make a home that nobody else has, and return what opens it, as one
// process after the other would.
var homes = map[string]func(t testing.TB) (open func() home){
	"memory": func(t testing.TB) func() home {
		t.Helper()
		db := newMemory(t, memoryConfig)
		return func() home { return db }
	},
	"sqlite": func(t testing.TB) func() home {
		t.Helper()
		file := filepath.Join(t.TempDir(), "events.db")
		return func() home {
			db, err := sqlite.Open(t.Context(), file, sqlite.Config{PollInterval: 10 * time.Millisecond})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		}
	},
	"postgres": func(t testing.TB) func() home {
		t.Helper()
		url := postgrestest.New(t).URL
		return func() home {
			db, err := postgres.Open(t.Context(), url, postgres.Config{AutoMigrate: true})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		}
	},
}

// TestHomes is what must hold on the clock and with the races of any home. It
// waits for what has to come, and says nothing of when.
func TestHomes(t *testing.T) {
	t.Parallel()
	for name, newHome := range homes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, test := range map[string]func(t *testing.T, open func() home){
				"restart":   restart,
				"tenants":   tenantsOfHome,
				"one id":    oneID,
				"processes": processes,
			} {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					test(t, newHome(t))
				})
			}
		})
	}
}

// short is a bus whose lease runs out soon.
func short() command.Config {
	return command.Config{LeaseTTL: time.Second, Hooks: command.Hooks{Trouble: func(string, error) {}}}
}

func restart(t *testing.T, open func() home) {
	t.Helper()
	ctx, id := t.Context(), uuid.New()
	s := newScene(t, open())
	one := s.bus(s.db, short())
	_, err := command.Dispatch(ctx, one, put{Name: "dispatched"}, command.WithID(id))
	require.NoError(t, err)
	first := run(ctx, t, one)
	queued, err := command.Enqueue(ctx, one, put{Name: "queued"})
	require.NoError(t, err)
	_, err = one.Wait(ctx, queued.ID)
	require.NoError(t, err)
	due := time.Now().Add(300 * time.Millisecond)
	scheduled, err := command.Schedule(ctx, one, due, put{Name: "scheduled"})
	require.NoError(t, err)
	cancelled, err := command.Schedule(ctx, one, time.Now().Add(time.Hour), put{Name: "cancelled"})
	require.NoError(t, err)
	first.end()

	two := s.bus(open(), short())
	got, err := command.Dispatch(ctx, two, put{Name: "dispatched"}, command.WithID(id))
	require.NoError(t, err)
	require.Equal(t, "put dispatched", got)
	run(ctx, t, two)
	record, err := two.Wait(ctx, scheduled.ID)
	require.NoError(t, err)
	require.Equal(t, command.Consumed, record.Status)
	require.WithinDuration(t, due, record.Due, 0)
	require.NoError(t, two.Cancel(ctx, cancelled.ID, "not any more"))
	record, err = two.Status(ctx, cancelled.ID)
	require.NoError(t, err)
	require.Equal(t, command.CodeCancelled, record.Failure.Code)
	// A command is carried out again if the lease was lost over it, as on a machine that
	// is busy with something else for a second.
	require.Equal(t, []string{"dispatched", "queued", "scheduled"}, slices.Compact(s.ledger.names()))
	require.Equal(t, 3, s.ledger.effects(), "each once in effect")
	for _, e := range s.ledger.seen() {
		if e.Name == "scheduled" {
			require.GreaterOrEqual(t, e.At, due.Sub(s.began), "not before its time")
		}
	}
}

func tenantsOfHome(t *testing.T, open func() home) {
	t.Helper()
	s := newScene(t, open())
	b := s.bus(s.db, short())
	run(t.Context(), t, b)
	id := uuid.New()
	for _, tenant := range []string{"a", "z"} {
		ctx := eventstore.WithTenant(t.Context(), tenant)
		_, err := command.Enqueue(ctx, b, put{Name: "of " + tenant}, command.WithID(id))
		require.NoError(t, err)
		record, err := b.Wait(ctx, id)
		require.NoError(t, err)
		require.Equal(t, tenant, record.Tenant)
		require.Equal(t, command.Consumed, record.Status)
	}
	var tenants []string
	for _, e := range s.ledger.seen() {
		tenants = append(tenants, e.Tenant)
	}
	require.Equal(t, []string{"a", "z"}, slices.Compact(tenants), "again, if the lease was lost")
}

// The same command comes in at several processes at once.
func oneID(t *testing.T, open func() home) {
	t.Helper()
	s := newScene(t, open())
	buses := []*command.Bus{s.bus(s.db, short()), s.bus(open(), short())}
	const rounds = 5
	for range rounds {
		id := uuid.New()
		var callers sync.WaitGroup
		for i := range 6 {
			callers.Go(func() {
				got, err := command.Dispatch(t.Context(), buses[i%2], put{Name: "a"}, command.WithID(id))
				if err != nil || got != "put a" {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		callers.Wait()
	}
	require.Len(t, s.ledger.seen(), rounds)
}

// Several processes take commands in and run the bus. They come and go; each
// command is carried out, once in effect.
func processes(t *testing.T, open func() home) {
	t.Helper()
	s := newScene(t, open())
	ctx := t.Context()
	const commands = 30
	var senders sync.WaitGroup
	var mu sync.Mutex
	var ids []uuid.UUID
	for p := range 2 {
		b := s.bus(open(), short())
		senders.Go(func() {
			for i := range commands {
				receipt, err := command.Schedule(ctx, b, time.Now().Add(time.Duration(i%5)*20*time.Millisecond), put{Name: fmt.Sprint(p, i)})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids = append(ids, receipt.ID)
				mu.Unlock()
			}
		})
	}
	for range 3 {
		run(ctx, t, s.bus(open(), short()))
	}
	brief, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.bus(open(), short()).Run(brief), context.DeadlineExceeded)
	senders.Wait()
	b := s.bus(s.db, short())
	for _, id := range ids {
		record, err := b.Wait(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
	}
	require.Len(t, ids, 2*commands)
	require.Equal(t, 2*commands, s.ledger.effects())
}
