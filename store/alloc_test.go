package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// tick is an action that does not box: what allocates is the store.
type tick struct {
	kind tickKind
	n    int
}

type tickKind uint8

const (
	plain    tickKind = iota
	feedback          // sends a plain one
	asks              // makes a request
	result            // of it
)

type ticks struct {
	sum  int
	back chan struct{} // told of each result
}

// double is a request that costs its handler nothing.
type double struct{ N int }

func (double) Returns(int) {}

func doubled(r effect.Result[int]) tick { return tick{result, r.Value} }

func reduceTick(s *ticks, a tick, _ reducer.Env) effect.Effect[tick] {
	var fx effect.Of[tick]
	s.sum += a.n
	switch a.kind {
	case feedback:
		return fx.Send(tick{plain, a.n})
	case asks:
		return effect.Do(double{a.n}, doubled)
	case result:
		if s.back != nil {
			s.back <- struct{}{}
		}
	case plain:
	}
	return fx.None()
}

var doubles = effect.Handle(func(_ context.Context, d double) (int, error) { return 2 * d.N, nil })

func openTicks(t testing.TB) (s *store.Store[ticks, tick], back chan struct{}) {
	t.Helper()
	back = make(chan struct{}, 1024)
	s, err := store.New(ticks{back: back}, reducer.Func[ticks, tick](reduceTick), store.Config{Handlers: []effect.Handler{doubles}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Shutdown(ended()) })
	return s, back
}

func openKeyedTicks(t testing.TB, cfg store.KeyedConfig[int, ticks]) *store.Keyed[int, ticks, tick] {
	t.Helper()
	k, err := store.NewKeyed(func(int) ticks { return ticks{} }, reducer.Func[ticks, tick](reduceTick), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = k.Shutdown(ended()) })
	return k
}

// Not parallel: it counts what the whole process allocates.
func TestAllocations(t *testing.T) { //nolint:paralleltest // see above
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s, back := openTicks(t)
	k := openKeyedTicks(t, store.KeyedConfig[int, ticks]{})
	cancellable := t.Context()
	send := func(ctx context.Context, a tick) func() {
		return func() {
			if err := s.Send(ctx, a); err != nil {
				t.Error(err)
			}
		}
	}
	ask := send(background, tick{asks, 1})
	for _, c := range []struct {
		what string
		most float64
		f    func()
	}{
		{"send to an idle store", 0, send(background, tick{plain, 1})},
		{"send with a pure feedback effect", 0, send(background, tick{feedback, 1})},
		// One is the effect that the reducer makes; the other is the job.
		{"request through the pool and back", 2, func() {
			ask()
			<-back
		}},
		{"keyed send on a live key", 0, func() {
			if err := k.Send(background, 7, tick{plain, 1}); err != nil {
				t.Error(err)
			}
		}},
		{"send with a context", 0, send(cancellable, tick{plain, 1})},
		{"view", 2, func() { store.View(s, func(s *ticks) int { return s.sum }) }},
	} {
		if got := testing.AllocsPerRun(2000, c.f); got > c.most {
			t.Errorf("%s: got %v allocations, want at most %v", c.what, got, c.most)
		} else {
			t.Logf("%s: %v allocations", c.what, got)
		}
	}
}
