package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

func snapshot(t *testing.T, log eventstore.Snapshots, stream string) (eventstore.Snapshot, bool) {
	t.Helper()
	s, found, err := log.LoadSnapshot(t.Context(), stream, "state")
	require.NoError(t, err)
	return s, found
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		cfg := aggregate.Config[hall]{Snapshots: log.Store, SnapshotPolicy: eventstore.SnapshotEvery(10)}
		h := hallsOn(t, log, cfg)
		_, err := h.Execute(t.Context(), "a", build{100})
		require.NoError(t, err)
		first, err := h.Execute(t.Context(), "a", take{"0", []string{"0"}}, aggregate.WithKey("first"))
		require.NoError(t, err)
		for i := 1; i < 24; i++ {
			_, err := h.Execute(t.Context(), "a", take{fmt.Sprint(i), []string{fmt.Sprint(i)}})
			require.NoError(t, err)
			synctest.Wait()
			s, _ := snapshot(t, log.Store, "hall-a")
			require.EqualValues(t, (i+2)/10*10, s.Version)
		}
		want := log.folded(t, t.Context(), "hall-a", 25)
		var read []eventstore.Version
		counting := &readings{Store: log, read: &read}

		got, err := hallsOn(t, counting, cfg).Load(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 25, got.Version)
		require.NotZero(t, got.Position)
		require.Equal(t, want, got.State)
		require.Equal(t, []eventstore.Version{20, 21, 22, 23, 24, 25}, read)

		// A command that was done below the snapshot is told again as it was.
		again, err := hallsOn(t, log, cfg).Execute(t.Context(), "a", take{"0", []string{"0"}}, aggregate.WithKey("first"))
		require.NoError(t, err)
		require.True(t, again.Replayed)
		again.Replayed = false
		require.Equal(t, first, again)
	})
}

// readings notes which events are read.
type readings struct {
	eventstore.Store
	read *[]eventstore.Version
}

func (c *readings) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range c.Store.ReadStream(ctx, stream, from) {
			if err == nil {
				*c.read = append(*c.read, e.Version)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestSnapshotsAreThrownAway(t *testing.T) {
	t.Parallel()
	good := must(json.Marshal(hall{Size: 7}))
	for name, row := range map[string]struct {
		schema int
		data   string
		upcast func(int, []byte) ([]byte, error)
		size   int // of the hall that is loaded
		kept   bool
	}{
		"corrupt":              {2, `{"Size":`, nil, 3, false},
		"newer":                {3, string(good), nil, 3, false},
		"older":                {1, string(good), nil, 3, false},
		"upcast":               {1, `{"size":"7"}`, func(int, []byte) ([]byte, error) { return good, nil }, 7, true},
		"upcaster that cannot": {1, string(good), func(int, []byte) ([]byte, error) { return nil, errors.New("no") }, 3, false},
		"good":                 {2, string(good), nil, 7, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newLog(t)
			log.put(t, t.Context(), "hall-a", built{3}, noted{"x"})
			require.NoError(t, log.Store.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "hall-a", Type: "state", Schema: row.schema, Version: 1, Data: []byte(row.data)}))
			h := hallsOn(t, log, aggregate.Config[hall]{Snapshots: log.Store, SnapshotSchema: 2, SnapshotUpcast: row.upcast})
			got, err := h.Load(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, hall{Size: row.size, Seats: []string{"x"}}, got.State)
			require.EqualValues(t, 2, got.Version)
			_, found := snapshot(t, log.Store, "hall-a")
			require.Equal(t, row.kept, found)
		})
	}
}

// A snapshot of a log that was restored to an earlier time is not believed.
func TestSnapshotAheadOfItsStream(t *testing.T) {
	t.Parallel()
	old := newLog(t)
	old.put(t, t.Context(), "hall-a", built{3}, noted{"x"}, noted{"y"})
	require.NoError(t, old.Store.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "hall-a", Type: "state", Version: 3, Data: []byte(`{"Size":9}`)}))
	log := newLog(t)
	log.put(t, t.Context(), "hall-a", built{3})
	h := hallsOn(t, log, aggregate.Config[hall]{Snapshots: old.Store})
	got, err := h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
	require.Equal(t, 3, got.State.Size)
	_, found := snapshot(t, old.Store, "hall-a")
	require.False(t, found)
}

// snapshots that fail harm nobody.
type noSnapshots struct{ eventstore.Snapshots }

var errNoSnapshots = errors.New("no snapshots today")

func (noSnapshots) SaveSnapshot(context.Context, eventstore.Snapshot) error { return errNoSnapshots }
func (noSnapshots) LoadSnapshot(context.Context, string, string) (eventstore.Snapshot, bool, error) {
	return eventstore.Snapshot{}, false, errNoSnapshots
}

func TestSnapshotsFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := hallsOn(t, newLog(t), aggregate.Config[hall]{Snapshots: noSnapshots{}, SnapshotPolicy: eventstore.SnapshotEvery(2)})
		for i := range 5 {
			_, err := h.Execute(t.Context(), "a", leave{fmt.Sprint(i)})
			require.NoError(t, err)
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the clock is virtual
		require.NotZero(t, h.Health().DeadLetters, "it is seen")
	})
}

// A state that JSON does not keep whole gets no snapshot.
type secret struct{ n int }

type secrets struct{}

func (secrets) Decide(*secret, any, reducer.Env) ([]any, error) { return []any{noted{"x"}}, nil }
func (secrets) Evolve(s *secret, _ any)                         { s.n++ }

func TestSnapshotOfPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := must(memory.New(memory.Config{}))
		h, err := aggregate.New("secret", secrets{}, hallEvents, log, aggregate.Config[secret]{Snapshots: log, SnapshotPolicy: eventstore.SnapshotEvery(1)})
		require.NoError(t, err)
		_, err = h.Execute(t.Context(), "a", idle{})
		require.NoError(t, err)
		synctest.Wait()
		_, found := snapshot(t, log, "secret-a")
		require.False(t, found)
		require.Equal(t, 1, h.Health().DeadLetters, "it is seen")
		require.NoError(t, h.Shutdown(t.Context()))
	})
}

func TestSnapshotConfig(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, config(aggregate.Config[hall]{SnapshotSchema: 2})(), "Config.Snapshots is nil, want what keeps them")
	_, err := aggregate.New("hall", decides[cloned]{}, hallEvents, newLog(t), aggregate.Config[cloned]{Snapshots: newLog(t).Store})
	require.ErrorContains(t, err, "Config.Snapshots: states of that type cannot be kept")
}
