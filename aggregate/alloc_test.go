package aggregate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// A command to an aggregate in memory costs at most so many allocations beyond
// those of the event store's append: its own, the decider's and the encoding's.
func TestAllocationsOfExecute(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	const budget = 6
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := t.Context()
	log := must(memory.New(memory.Config{}))
	event := must(counts.Encode(counted{1}))
	appending := testing.AllocsPerRun(1000, func() {
		if _, err := log.Append(ctx, eventstore.Write{Stream: "plain", Expected: eventstore.Any, Events: []eventstore.Event{event}}); err != nil {
			t.Fatal(err)
		}
	})
	h, err := aggregate.New("count", counter{}, counts, log, aggregate.Config[count]{})
	require.NoError(t, err)
	executing := testing.AllocsPerRun(1000, func() {
		if _, err := h.Execute(ctx, "a", adding{1}); err != nil {
			t.Fatal(err)
		}
	})
	require.NoError(t, h.Shutdown(ctx))
	t.Logf("Execute: %v allocations, %v of them the append's", executing, appending)
	require.LessOrEqual(t, executing-appending, float64(budget))
}
