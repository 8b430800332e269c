package sim_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

func TestTimeIsVirtual(t *testing.T) {
	t.Parallel()
	began := time.Now()
	var trace []string
	require.NoError(t, sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		tell := func(s string) { trace = append(trace, fmt.Sprint(s, " at ", rt.Elapsed())) }
		rt.Go(func() {
			_ = store.Sleep(ctx, 3*time.Hour)
			tell("three")
		})
		rt.AfterFunc(time.Hour, func() { tell("one") })
		stopped := rt.AfterFunc(time.Hour, func() { tell("never") })
		reset := rt.AfterFunc(time.Hour, func() { tell("four") })
		if !stopped.Stop() || stopped.Stop() || !reset.Reset(4*time.Hour) {
			tell("a timer is wrong about itself")
		}
		_ = store.Sleep(ctx, 2*time.Hour)
		tell("two")
		if stopped.Reset(-time.Hour) {
			tell("a stopped timer says it was active")
		}
		_ = store.Sleep(ctx, 1000*time.Hour)
		tell("end")
	}))
	require.Equal(t, []string{
		"one at 1h0m0s", "two at 2h0m0s", "never at 2h0m0s", "three at 3h0m0s", "four at 4h0m0s", "end at 1002h0m0s",
	}, trace)
	require.Less(t, time.Since(began), time.Minute)
}

func TestAllOrdersOfASeedAreItsOwn(t *testing.T) {
	t.Parallel()
	orders := map[string]int{}
	for seed := range uint64(200) {
		var order []string
		require.NoError(t, sim.Run(seed, func(_ context.Context, rt *sim.Runtime) {
			for _, name := range []string{"a", "b", "c"} {
				rt.Go(func() { order = append(order, name) })
			}
		}))
		orders[strings.Join(order, "")]++
	}
	require.Len(t, orders, 6, "every order comes up: %v", orders)
}

func TestStandsStill(t *testing.T) {
	t.Parallel()
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		rt.Go(func() { _ = rt.NewSignal().Wait(ctx) })
		_ = store.Sleep(ctx, time.Minute)
		_ = rt.NewSignal().Wait(ctx)
	})
	require.EqualError(t, err, "simulation stands still at 1m0s: 2 goroutines wait for ever")

	err = sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s := open(rt, store.Config{})
		_ = s.SendAndSettle(ctx, act("a", fx.Hold("for ever")))
	})
	require.EqualError(t, err, "simulation stands still at 0s: 1 goroutines wait for ever")
}

func TestLeftovers(t *testing.T) { //nolint:paralleltest // it counts goroutines
	before := runtime.NumGoroutine()
	var ended []string
	for seed := range uint64(20) {
		err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			s := open(rt, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
				defer func() { ended = append(ended, "handler") }()
				return "", store.Sleep(ctx, time.Hour)
			}))
			rt.Go(func() {
				defer func() {
					ended = append(ended, "waiter")
					_ = store.Sleep(ctx, time.Hour) // is ended, too
					ended = append(ended, "never")
				}()
				_ = s.Until(ctx, func(*state) bool { return false })
			})
			_ = s.Send(ctx, act("a", do("x")))
			_ = store.Sleep(ctx, time.Second)
		})
		require.EqualError(t, err, "simulation ended at 1s with 2 goroutines still waiting")
	}
	require.Len(t, ended, 40)
	require.NotContains(t, ended, "never")
	require.PanicsWithValue(t, "boom", func() {
		defer func() {
			v := recover()
			text, _, _ := strings.Cut(fmt.Sprint(v), "\n")
			panic(text)
		}()
		_ = sim.Run(3, func(ctx context.Context, rt *sim.Runtime) {
			for range 10 {
				rt.Go(func() { _ = store.Sleep(ctx, time.Hour) })
			}
			_ = store.Sleep(ctx, time.Second)
			panic("boom")
		})
	})
	for began := time.Now(); runtime.NumGoroutine() > before && time.Since(began) < time.Minute; {
		runtime.Gosched() // those that have told of their end may not quite be gone
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func TestPanicsAreRaisedAgain(t *testing.T) {
	t.Parallel()
	run := func(f func(context.Context, *sim.Runtime)) (raised string) {
		defer func() { raised = fmt.Sprint(recover()) }()
		_ = sim.Run(42, f)
		return ""
	}
	in := func(_ context.Context, rt *sim.Runtime) { rt.AfterFunc(time.Minute, func() { panic("in a timer") }) }
	raised := run(func(ctx context.Context, rt *sim.Runtime) {
		in(ctx, rt)
		_ = store.Sleep(ctx, time.Hour)
	})
	require.Contains(t, raised, "in a timer\n\nin a simulation, seed 42, at 1m0s:")
	require.Contains(t, raised, "sim_test.go", "with the stack of the panic")
	require.Contains(t, run(func(context.Context, *sim.Runtime) { panic("in f") }), "in f")
	require.Contains(t, run(func(_ context.Context, rt *sim.Runtime) { rt.Go(func() { panic("beside f") }) }), "beside f")
}

// A goroutine that ends itself, as t.FailNow does, ends nothing else.
func TestGoexit(t *testing.T) {
	t.Parallel()
	var trace []string
	require.NoError(t, sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		rt.Go(func() {
			defer func() { trace = append(trace, "gone") }()
			runtime.Goexit()
		})
		s := open(rt, store.Config{}, handle(func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil }))
		_ = s.SendAndSettle(ctx, act("a", do("x")))
		trace = append(trace, logOf(s))
		runtime.Goexit()
	}))
	require.ElementsMatch(t, []string{"gone", "a x!handler called runtime.Goexit"}, trace)
}

func TestContexts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		var trace []string
		require.NoError(t, sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			tell := func(parts ...any) { trace = append(trace, fmt.Sprint(append(parts, " at ", rt.Elapsed())...)) }
			require.Same(t, rt, store.RuntimeOf(ctx))
			cancelled, cancel := context.WithCancel(ctx)
			rt.AfterFunc(time.Minute, cancel)
			tell("sleep: ", store.Sleep(cancelled, time.Hour))
			tell("again: ", store.Sleep(cancelled, time.Hour))

			s := open(rt, store.Config{Mailbox: 1}, handle(func(ctx context.Context, id string) (string, error) {
				switch id {
				case "plain":
					return id, store.Sleep(ctx, time.Hour)
				case "derived":
					type key struct{}
					derived, cancel := context.WithCancel(ctx)
					defer cancel()
					return id, store.Sleep(context.WithValue(derived, key{}, 1), time.Hour)
				}
				return id, nil
			}))
			other, cancel2 := context.WithCancel(ctx)
			rt.AfterFunc(time.Minute, cancel2)
			_, err := store.Ask(other, s, act("a", do("plain", effect.Key("k")), do("derived", effect.Key("k"))), func(action) (int, bool) { return 0, false })
			tell("ask: ", err)
			rt.AfterFunc(time.Minute, func() { _ = s.Send(ctx, act("cancel", fx.Cancel("k"))) })
			tell("shutdown: ", s.Shutdown(ctx))
			tell(logOf(s))
		}))
		require.Equal(t, []string{
			"sleep: context canceled at 1m0s", "again: context canceled at 1m0s", "ask: context canceled at 2m0s",
			"shutdown: <nil> at 1h1m0s", "a plain=plain derived=derived at 1h1m0s",
		}, sortLast(trace), "seed %d", seed)
		trace = nil
	}
}

// All that wait with contexts derived from one that ends go on in an order of
// the seed's.
func TestContextsThatEndTogether(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (order string) {
		require.NoError(t, sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			s := open(rt, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
				left := 8
				all := rt.NewSignal()
				for i := range left {
					rt.Go(func() {
						mine := ctx
						if i%2 == 0 {
							derived, cancel := context.WithCancel(ctx)
							defer cancel()
							mine = derived
						}
						_ = store.Sleep(mine, time.Hour)
						order += strconv.Itoa(i)
						if left--; left == 0 {
							all.Fire()
						}
					})
				}
				return "", all.Wait(context.WithoutCancel(ctx))
			}))
			_ = s.Send(ctx, act("a", do("x", effect.Key("k"))))
			_ = store.Sleep(ctx, time.Second)
			_ = s.SendAndSettle(ctx, act("b", fx.Cancel("k")))
			_ = s.Shutdown(ctx)
		}))
		return order
	}
	orders := map[string]bool{}
	for seed := range uint64(30) {
		want := run(seed)
		require.Len(t, want, 8)
		for range 5 {
			require.Equal(t, want, run(seed))
		}
		orders[want] = true
	}
	require.Greater(t, len(orders), 20)
}

// sortLast evens out the order of two results of one instant.
func sortLast(trace []string) []string {
	last := len(trace) - 1
	trace[last] = strings.Replace(trace[last], "derived=derived plain=plain", "plain=plain derived=derived", 1)
	return trace
}

func TestAStoreThatStopsInASimulation(t *testing.T) {
	t.Parallel()
	require.NoError(t, sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s := open(rt, store.Config{})
		var stopped *store.StoppedError
		err := s.SendAndSettle(ctx, action{name: "a", do: func() effect.Effect[action] { panic("boom") }})
		if !errors.As(err, &stopped) {
			t.Errorf("got %v", err)
		}
	}))
}

// Simulations share nothing, so many run side by side.
func TestAThousandSimulationsAtOnce(t *testing.T) {
	t.Parallel()
	want := play(t, 7)
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if i%10 != 0 { // most small, some whole applications
				var sum int
				err := sim.Run(uint64(i), func(ctx context.Context, rt *sim.Runtime) {
					s := open(rt, store.Config{Mailbox: 1}, handle(func(ctx context.Context, id string) (string, error) {
						return id, store.Sleep(ctx, time.Second)
					}))
					for range 4 {
						rt.Go(func() { _ = s.Send(ctx, action{n: 1, fx: []effect.Effect[action]{do("x")}}) })
					}
					_ = s.Until(ctx, func(s *state) bool { return s.sum == 4 })
					if err := s.Shutdown(ctx); err != nil {
						t.Error(err)
					}
					sum = store.View(s, func(s *state) int { return s.sum })
				})
				if err != nil || sum != 4 {
					t.Errorf("seed %d: got %d, %v", i, sum, err)
				}
				return
			}
			if got := play(t, 7); !equal(got, want) {
				t.Errorf("seed 7 differs beside others: %s", firstDifference(got, want))
			}
		})
	}
	wg.Wait()
}

type action struct {
	name string
	n    int
	fx   []effect.Effect[action]
	do   func() effect.Effect[action]
}

func act(name string, effects ...effect.Effect[action]) action {
	return action{name: name, fx: effects}
}

type state struct {
	names []string
	sum   int
}

func (s *state) log() string { return strings.Join(s.names, " ") }

var fx effect.Of[action]

func reduce(s *state, a action, _ reducer.Env) effect.Effect[action] {
	s.names = append(s.names, a.name)
	s.sum += a.n
	if a.do != nil {
		return a.do()
	}
	return fx.All(a.fx...)
}

type call struct{ ID string }

func (call) Returns(string) {}

func do(id string, opts ...effect.Option) effect.Effect[action] {
	return effect.Do(call{id}, func(r effect.Result[string]) action {
		if r.Err != nil {
			return act(id + "!" + r.Err.Error())
		}
		return act(id + "=" + r.Value)
	}, opts...)
}

func handle(f func(context.Context, string) (string, error)) effect.Handler {
	return effect.Handle(func(ctx context.Context, c call) (string, error) { return f(ctx, c.ID) })
}

func open(rt *sim.Runtime, cfg store.Config, handlers ...effect.Handler) *store.Store[state, action] {
	cfg.Runtime, cfg.Handlers = rt, append(cfg.Handlers, handlers...)
	s, err := store.New(state{}, reducer.Func[state, action](reduce), cfg)
	if err != nil {
		panic(err)
	}
	return s
}

func logOf(s *store.Store[state, action]) string { return store.View(s, (*state).log) }
