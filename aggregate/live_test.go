package aggregate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
)

// An aggregate in memory is as large after three times as many commands: what a
// host keeps of it is its state, and nothing of what it has done.
func TestLiveAggregatesDoNotGrow(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	const some, more = 2, 6
	for name, row := range map[string]struct {
		live    int
		options func(id string, round int) []aggregate.Option
	}{
		"plain":            {100_000, func(string, int) []aggregate.Option { return nil }},
		"without feedback": {20_000, func(string, int) []aggregate.Option { return []aggregate.Option{aggregate.WithoutFeedback()} }},
		"with keys": {20_000, func(id string, round int) []aggregate.Option {
			return []aggregate.Option{aggregate.WithKey(fmt.Sprint(id, "/", round))}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			live := row.live
			if testing.Short() || raceEnabled {
				live = 5_000
			}
			ids := make([]string, live)
			for i := range ids {
				ids[i] = fmt.Sprint(i)
			}
			before, done := heap(), 0
			// Timeouts are so long that none is due meanwhile: of the goroutines that
			// timers run on the Go runtime keeps what it may use again.
			h, err := aggregate.New("count", counter{}, counts, &forgetful{}, aggregate.Config[count]{
				IdleAfter: -1, Timeout: time.Hour, LoadTimeout: time.Hour,
			})
			require.NoError(t, err)
			// each is what an aggregate takes after so many commands in all.
			each := func(commands int) float64 {
				for ; done < commands; done++ {
					for _, id := range ids {
						if _, err := h.Execute(t.Context(), id, adding{1}, row.options(id, done)...); err != nil {
							t.Fatal(err)
						}
					}
				}
				return float64(heap()-before) / float64(live)
			}
			few, many := each(some), each(more)
			require.Equal(t, live, h.Len())
			got, err := h.Load(t.Context(), ids[live-1])
			require.NoError(t, err)
			require.Equal(t, count{more}, got.State)
			t.Logf("%d aggregates: %.0f bytes each after %d commands, %.0f after %d", live, few, some, many, more)
			require.InDelta(t, 1, many/few, 0.01, "bytes each after %d commands, against %d", more, some)
			require.NoError(t, h.Shutdown(t.Context()))
		})
	}
}
