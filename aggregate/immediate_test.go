package aggregate_test

import (
	"context"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/store"
)

// An append to the event store in memory is done by who executes. One to a store
// around it, which may wait, is done by the host's workers.
func TestAppendsInMemoryAreDoneByTheCaller(t *testing.T) {
	t.Parallel()
	type around struct{ *memory.Store }
	for _, c := range []struct {
		name     string
		log      func(*memory.Store) eventstore.Store
		byCaller bool
	}{
		{"in memory", func(s *memory.Store) eventstore.Store { return s }, true},
		{"around it", func(s *memory.Store) eventstore.Store { return around{s} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var byCaller atomic.Bool
			log := c.log(must(memory.New(memory.Config{Now: func() time.Time { // an append asks for it
				byCaller.Store(strings.Contains(string(debug.Stack()), ".Execute("))
				return time.Now()
			}})))
			h, err := aggregate.New("count", counter{}, counts, log, aggregate.Config[count]{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, h.Shutdown(context.Background())) }) //nolint:usetesting // the test's has ended by then
			for n := range 3 {
				got, err := h.Execute(t.Context(), "a", adding{1})
				require.NoError(t, err)
				require.Equal(t, n+1, got.State.N)
			}
			require.Equal(t, c.byCaller, byCaller.Load())
		})
	}
}

// Where a hook may keep an append in memory waiting, Config.Timeout bounds it.
func TestAppendsInMemoryWithAHookAreTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := func(ctx context.Context, e store.EffectInfo) context.Context {
			if strings.Contains(e.Name, "append") {
				<-ctx.Done()
			}
			return ctx
		}
		h, err := aggregate.New("count", counter{}, counts, must(memory.New(memory.Config{})), aggregate.Config[count]{Hooks: store.Hooks{EffectContext: waits}})
		require.NoError(t, err)
		_, err = h.Execute(t.Context(), "a", adding{1})
		var cut *aggregate.InterruptedError
		require.ErrorAs(t, err, &cut)
		require.NoError(t, h.Shutdown(t.Context()))
	})
}
