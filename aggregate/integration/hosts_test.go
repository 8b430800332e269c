package integration_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/sqlite"
	"github.com/seed57833328/rondo/reducer"
)

// A counter has as little to decide as can be.
type (
	count   struct{ N int }
	counted struct{ N int }
	adding  struct{ N int }
	counter struct{ most int }
)

func (d counter) Decide(s *count, c adding, _ reducer.Env) ([]counted, error) {
	if d.most > 0 && s.N+c.N > d.most {
		return nil, aggregate.Reject("full", "it is at %d", s.N)
	}
	return []counted{{c.N}}, nil
}
func (counter) Evolve(s *count, e counted) { s.N += e.N }

var counts = func() *eventstore.Registry {
	r, err := eventstore.NewRegistry(eventstore.TypeOf[counted]("count.counted", 1))
	if err != nil {
		panic(err)
	}
	return r
}()

// home is an event store with what a host may use of it.
type home interface {
	eventstore.Store
	eventstore.Snapshots
}

// homes opens, for each kind of event store, one log as two processes would.
var homes = map[string]func(t *testing.T) [2]home{
	"memory": func(t *testing.T) [2]home {
		t.Helper()
		s, err := memory.New(memory.Config{})
		require.NoError(t, err)
		return [2]home{s, s}
	},
	"sqlite": func(t *testing.T) (both [2]home) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "events.db")
		for i := range both {
			s, err := sqlite.Open(t.Context(), path, sqlite.Config{Durability: sqlite.Normal})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			both[i] = s
		}
		return both
	},
	"postgres": func(t *testing.T) (both [2]home) {
		t.Helper()
		db := postgrestest.New(t)
		for i := range both {
			s, err := postgres.Open(t.Context(), db.URL, postgres.Config{AutoMigrate: true})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			both[i] = s
		}
		return both
	},
}

// Two hosts sell the same aggregate, all callers at once: as much is sold as there
// is, whoever was told so has it, and a repetition is told the same.
func TestTwoHostsOnOneLog(t *testing.T) {
	t.Parallel()
	for name, open := range homes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const most, clients, each = 100, 8, 20
			var hosts []*aggregate.Host[count, adding, counted]
			for _, log := range open(t) {
				h, err := aggregate.New("count", counter{most}, counts, log, aggregate.Config[count]{
					Snapshots: log, SnapshotPolicy: eventstore.SnapshotEvery(10),
				})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, h.Shutdown(context.WithoutCancel(t.Context()))) })
				hosts = append(hosts, h)
			}
			var mu sync.Mutex
			sold, full := map[eventstore.Version]string{}, map[string]bool{}
			var group sync.WaitGroup
			for c := range clients {
				group.Go(func() {
					for i := range each {
						key := fmt.Sprint(c, "/", i)
						got, err := hosts[c%2].Execute(t.Context(), "a", adding{1}, aggregate.WithKey(key))
						mu.Lock()
						switch {
						case err == nil:
							if other := sold[got.Version]; other != "" || int(got.Version) != got.State.N || got.Replayed {
								t.Errorf("%s was told %+v, %s has that version", key, got, other)
							}
							sold[got.Version] = key
						case aggregate.IsRejection(err):
							full[key] = true
						default:
							t.Errorf("%s: %v", key, err)
						}
						mu.Unlock()
					}
				})
			}
			group.Wait()
			require.Len(t, sold, most, "never oversold, never full too early")
			require.Len(t, full, clients*each-most)
			for version, key := range sold {
				if version%9 != 0 {
					continue // some are enough
				}
				got, err := hosts[1].Execute(t.Context(), "a", adding{1}, aggregate.WithKey(key))
				require.NoError(t, err)
				require.True(t, got.Replayed)
				require.Equal(t, version, got.Version)
				require.Equal(t, int(version), got.State.N)
				require.Len(t, got.Events, 1)
			}
			for key := range full {
				_, err := hosts[0].Execute(t.Context(), "a", adding{1}, aggregate.WithKey(key))
				require.True(t, aggregate.IsRejection(err))
				break
			}
			looked, err := hosts[0].Load(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, most, looked.State.N)
			require.EqualValues(t, most, looked.Version)
		})
	}
}
