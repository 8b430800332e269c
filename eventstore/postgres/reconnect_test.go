package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// The server is restarted, in order and by a crash, and sessions are ended, while
// many append and some subscribe. Each append has succeeded, or has not, or says
// that it does not know, and then Lookup does. What was committed is delivered,
// once and in order.
func TestServerRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	stores := []*postgres.Store{open(t, db, postgres.Config{}), open(t, db, postgres.Config{DirectAppends: 1})}

	const writers = 12
	var (
		mu        sync.Mutex
		committed = map[uuid.UUID]bool{}
		outcomes  = map[string]int{}
		stop      atomic.Bool
		appends   atomic.Int64
	)
	note := func(outcome string, w eventstore.Write, there bool) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[outcome]++
		for _, e := range w.Events {
			committed[e.ID] = there
		}
	}
	// resolve asks until the server can answer.
	resolve := func(s *postgres.Store, ids []uuid.UUID) (int, error) {
		for {
			found, err := s.Lookup(t.Context(), ids...)
			if err == nil || !eventstore.Retryable(err) {
				return len(found), err
			}
		}
	}
	var g errgroup.Group
	for i := range writers {
		g.Go(func() error {
			s, random := stores[i%len(stores)], rand.New(rand.NewPCG(1, uint64(i)))
			for !stop.Load() {
				w := one(fmt.Sprintf("s-%d", random.IntN(4)))
				if i%3 == 0 { // more than one event, so that one half could be lost
					w.Events = append(w.Events, one("").Events...)
				}
				_, err := s.Append(t.Context(), w)
				appends.Add(1)
				var unknown *eventstore.UnknownOutcomeError
				switch {
				case err == nil:
					note("committed", w, true)
				case errors.As(err, &unknown):
					n, err := resolve(s, unknown.IDs)
					if err != nil || n != 0 && n != len(w.Events) {
						return fmt.Errorf("resolve: %d of %d: %w", n, len(w.Events), err)
					}
					note(fmt.Sprintf("unknown, committed: %t", n > 0), w, n > 0)
				case eventstore.Retryable(err):
					note("retryable", w, false)
				default:
					return err
				}
			}
			return nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	delivered := make([][]eventstore.Recorded, len(stores))
	var subscriptions errgroup.Group
	for i, s := range stores {
		subscriptions.Go(func() error {
			for e, err := range s.Subscribe(ctx, 0, eventstore.Filter{}) {
				if err != nil {
					return err
				}
				if e.Type == "last" {
					return nil
				}
				delivered[i] = append(delivered[i], e)
			}
			return nil
		})
	}
	goOn := func() {
		t.Helper()
		until := appends.Load() + 300
		require.Eventually(t, func() bool { return appends.Load() > until }, waitAtMost, pollEvery)
	}
	for _, disturb := range []func(){
		func() { server.Restart(t, postgrestest.Fast) },
		func() { server.Restart(t, postgrestest.Immediate) },
		func() { db.EndSessions(t) },
		func() { server.Stop(t, postgrestest.Immediate); server.Start(t) },
		func() { db.EndSessions(t) },
	} {
		goOn()
		disturb()
	}
	goOn()
	stop.Store(true)
	require.NoError(t, g.Wait())
	last := one("last")
	last.Events[0].Type = "last"
	_, err := stores[0].Append(t.Context(), last)
	require.NoError(t, err)
	require.NoError(t, subscriptions.Wait())
	t.Logf("outcomes: %v", outcomes)
	require.Positive(t, outcomes["committed"])

	maps.DeleteFunc(committed, func(_ uuid.UUID, there bool) bool { return !there })
	for i := range stores {
		seen := map[uuid.UUID]bool{}
		versions := map[string]eventstore.Version{}
		var position eventstore.Position
		for _, e := range delivered[i] {
			require.False(t, seen[e.ID], "delivered twice")
			seen[e.ID] = true
			require.Greater(t, e.Position, position)
			position = e.Position
			require.Equal(t, versions[e.Stream]+1, e.Version)
			versions[e.Stream] = e.Version
		}
		require.Equal(t, sorted(committed), sorted(seen), "what was committed is what was delivered")
	}
}

func sorted(ids map[uuid.UUID]bool) []string {
	var all []string
	for id := range ids {
		all = append(all, id.String())
	}
	slices.Sort(all)
	return all
}
