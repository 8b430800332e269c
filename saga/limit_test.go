package saga_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A handler with a limit is called by so many sagas at once. The others wait for
// their turn, and what has waited for the whole of an attempt's time waits again in
// the next.
func TestHandlersHaveLimits(t *testing.T) {
	t.Parallel()
	const limit = 3 // of calls that take a second each, and 30 s for an attempt
	for name, row := range map[string]struct {
		sagas int
		late  bool // attempts end before they have their turn
	}{
		"all get their turn in time": {60, false},
		"not all do":                 {120, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var at, calls, failed atomic.Int64
				handlers := counterHandlers(nil)
				handlers[0] = effect.Handle(func(ctx context.Context, q fetch) (int, error) {
					calls.Add(1)
					defer at.Add(-1)
					if n := at.Add(1); n > limit {
						t.Errorf("%d at once", n)
					}
					return q.N, store.Sleep(ctx, time.Second)
				}, resilience.Concurrency(limit))
				o := open(t, newHome(), newHouse(), saga.Config{Handlers: handlers, Hooks: saga.Hooks{
					Attempted: func(id, _ string, _ int, _ time.Duration, err error) {
						if err == nil {
							return
						}
						failed.Add(1)
						if !errors.Is(err, effect.ErrTimeout) {
							t.Errorf("%s: %v", id, err)
						}
					},
				}}, counter)
				for i := range row.sagas {
					_, err := o.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), foreign{"fetch"})
					require.NoError(t, err)
				}
				require.NoError(t, store.Sleep(t.Context(), 3*time.Minute))
				for i := range row.sagas {
					require.Equal(t, 7, o.count(fmt.Sprint(i)))
				}
				require.Equal(t, row.late, failed.Load() > 0, "%d attempts failed", failed.Load())
				if !row.late {
					require.EqualValues(t, row.sagas, calls.Load())
				}
			})
		})
	}
}
