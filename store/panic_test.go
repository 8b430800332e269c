package store_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

func boom(*state, reducer.Env) effect.Effect[action] { panic("boom") }

func TestRule7_AHandlersPanicIsItsResultsError(t *testing.T) {
	t.Parallel()
	var got error
	s := open(t, store.Config{Workers: 1},
		handle(func(_ context.Context, id string) (string, error) {
			switch id {
			case "panic":
				panic(io.ErrUnexpectedEOF)
			case "goexit":
				runtime.Goexit()
			}
			return id, nil
		}),
		counts(func(_ context.Context, n int) error {
			if n == 2 {
				panic("at two")
			}
			return nil
		}))
	keep := func(r effect.Result[string]) action { got = r.Err; return act("failed") }
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", effect.Do(call{"panic"}, keep))))
	var panicked *effect.PanicError
	require.ErrorAs(t, got, &panicked)
	require.ErrorIs(t, got, io.ErrUnexpectedEOF)
	require.Contains(t, string(panicked.Stack), "panic_test.go")

	require.NoError(t, s.SendAndSettle(t.Context(), act("b", effect.Do(call{"goexit"}, keep))))
	require.EqualError(t, got, "handler called runtime.Goexit")

	require.NoError(t, s.SendAndSettle(t.Context(), act("c", count(3))))
	require.Contains(t, logOf(s), "c #1 end:")
	require.NotContains(t, logOf(s), io.EOF.Error())

	require.NoError(t, s.SendAndSettle(t.Context(), act("d", do("fine"), fx.Run("run", func(context.Context) action { panic("run") }))))
	require.True(t, strings.HasSuffix(logOf(s), "d fine=fine"), logOf(s))
	require.Len(t, s.DeadLetters(), 1, "a run has no one to tell")
	require.NoError(t, s.Shutdown(t.Context()))
}

// Streams run on goroutines of their own, which Goexit ends too.
func TestRule7_AStreamThatExits(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{}, counts(func(_ context.Context, n int) error {
		if n == 2 {
			runtime.Goexit()
		}
		return nil
	}))
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", count(3))))
	require.Equal(t, "a #1 end:handler called runtime.Goexit", logOf(s))
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestRule7_AReducersPanicStopsThatStoreOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Name: "one"}, handle(func(ctx context.Context, id string) (string, error) {
			<-ctx.Done()
			return id, ctx.Err()
		}))
		other := open(t, store.Config{Name: "other"}, handle(func(_ context.Context, id string) (string, error) { return id, nil }))
		send(t, s, act("a", do("r", effect.Key("k")), fx.After("t", time.Hour, act("late")), fx.Hold("h")))
		settled := make(chan error)
		go func() { settled <- s.SendAndSettle(t.Context(), act("waits", fx.After(nil, time.Hour, act("late")))) }()
		until := make(chan error)
		go func() { until <- s.Until(t.Context(), func(*state) bool { return false }) }()
		synctest.Wait()

		release := occupied(t, s)
		go func() { _ = s.Send(background, action{name: "culprit", n: 7, do: boom}) }()
		synctest.Wait()
		go func() { _ = s.Send(t.Context(), act("behind")) }()
		viewed := make(chan string)
		go func() { viewed <- logOf(s) }()
		synctest.Wait()
		release()

		var stopped *store.StoppedError
		require.ErrorAs(t, s.Shutdown(t.Context()), &stopped)
		require.Equal(t, "one", stopped.Store)
		require.Nil(t, stopped.Key)
		require.Equal(t, "reduce", stopped.During)
		require.Equal(t, "culprit", stopped.Action.(action).name)
		require.Equal(t, "a waits busy culprit", stopped.State.(*state).log())
		require.Equal(t, "boom", stopped.Value)
		require.Contains(t, string(stopped.Stack), "panic_test.go")
		require.Contains(t, stopped.Error(), `store "one" stopped: reduce store_test.action`)
		require.Contains(t, stopped.Error(), "panic: boom")

		for what, err := range map[string]error{
			"Send":          s.Send(background, act("x")),
			"Send with":     s.Send(t.Context(), act("x")),
			"SendAndSettle": s.SendAndSettle(t.Context(), act("x")),
			"Until":         s.Until(t.Context(), func(*state) bool { return false }),
			"Shutdown":      s.Shutdown(t.Context()),
			"Shutdown now":  s.Shutdown(ended()),
			"waits":         <-settled,
			"until":         <-until,
		} {
			require.ErrorAs(t, err, &stopped, what)
		}
		require.Equal(t, "a waits busy culprit", <-viewed)
		require.Equal(t, "a waits busy culprit", logOf(s), "the state stays to be looked at")
		health := s.Health()
		require.Equal(t, store.Stopped, health.Status)
		require.ErrorAs(t, health.Err, &stopped)
		require.Equal(t, []string{"r", "late", "late", "behind"}, letters(s.DeadLetters()))

		require.NoError(t, other.SendAndSettle(t.Context(), act("a", do("x"))))
		require.Equal(t, "a x=x", logOf(other))
	})
}

// letters tells dead letters by what they keep.
func letters(list []store.DeadLetter[action]) (names []string) {
	for _, d := range list {
		switch c, isCall := d.Effect.Request.(call); {
		case isCall:
			names = append(names, c.ID)
		case d.HasAction:
			names = append(names, d.Action.name)
		default:
			names = append(names, d.Effect.Name)
		}
	}
	return names
}

func TestRule7_PanicsElsewhereInTheReducersCode(t *testing.T) {
	t.Parallel()
	answer := handle(func(_ context.Context, id string) (string, error) { return id, nil })
	errBad := errors.New("bad")
	for name, c := range map[string]struct {
		e      effect.Effect[action]
		during string
		cause  error
	}{
		"then":         {effect.Do(call{"x"}, func(effect.Result[string]) action { panic(errBad) }), "map the result of store_test.call", errBad},
		"feedback":     {fx.Send(acting("b", boom)), "reduce", nil},
		"timer":        {fx.After(nil, 0, acting("b", boom)), "reduce", nil},
		"retry policy": {do("x", effect.Retry(effect.RetryPolicy{If: func(error) bool { panic(errBad) }})), "", nil},
		"goexit":       {fx.Send(acting("b", func(*state, reducer.Env) effect.Effect[action] { runtime.Goexit(); return fx.None() })), "reduce", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, store.Config{}, answer)
			if name == "retry policy" {
				s = open(t, store.Config{}, handle(func(context.Context, string) (string, error) { return "", errBad }))
			}
			done := make(chan struct{})
			go func() { // a Goexit ends the sender
				defer close(done)
				if err := s.Send(t.Context(), act("a", c.e)); err != nil {
					t.Error(err)
				}
			}()
			<-done
			var stopped *store.StoppedError
			require.ErrorAs(t, s.Shutdown(t.Context()), &stopped)
			if c.during != "" {
				require.Equal(t, c.during, stopped.During)
			}
			if c.cause != nil {
				require.ErrorIs(t, stopped, c.cause)
			}
			if name == "goexit" {
				require.Equal(t, "runtime.Goexit was called", stopped.Value)
			}
		})
	}
}

func TestRule7_PanicsOfWhoLooksOn(t *testing.T) {
	t.Parallel()
	var told journal
	explode := func(parts ...any) { told.tell(parts...); panic("hook") }
	s := open(t, store.Config{Name: "s", Hooks: store.Hooks{
		Reduced:          func(i store.StepInfo) { explode("reduced ", i.Seq) },
		EffectContext:    func(context.Context, store.EffectInfo) context.Context { explode("context"); return nil },
		EffectEnded:      func(context.Context, store.EffectInfo, time.Duration, error) { explode("ended") },
		DeadLettered:     func(store.DeadLetterInfo) { explode("dead") },
		Stopped:          func(string, error) { explode("stopped") },
		ObserverPanicked: func(store string, v any, stack []byte) { explode("panicked ", store, v, len(stack) > 0) },
	}}, handle(func(context.Context, string) (string, error) { return "", errors.New("no") }))

	var calls, after int
	s.Observe(func(context.Context, store.Event[state, action]) { calls++; panic("observer") })
	s.Observe(func(context.Context, store.Event[state, action]) { after++ })
	var panicked *effect.PanicError
	_, err := store.Ask(t.Context(), s, act("a"), func(action) (int, bool) { panic("match") })
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "match", panicked.Value)
	require.ErrorAs(t, s.Until(t.Context(), func(*state) bool { panic("predicate") }), &panicked)
	require.Equal(t, "predicate", panicked.Value)
	require.PanicsWithValue(t, "view", func() { store.View(s, func(*state) int { panic("view") }) })

	require.NoError(t, s.SendAndSettle(t.Context(), act("b", effect.Fire[action](call{"x"}))))
	require.Equal(t, "a b", logOf(s))
	require.Equal(t, 1, calls, "an observer that panicked is removed")
	require.Equal(t, 2, after)
	require.Equal(t, store.Degraded, s.Health().Status)
	require.NoError(t, s.Shutdown(t.Context()))
	require.Equal(t, []string{"reduced 1", "reduced 2", "context", "ended", "dead", "stopped"}, without(told.all(), "panicked"))
	require.Len(t, told.all(), 6+7)
	require.Contains(t, s.Health().Reasons, "7 panics of observers or hooks")
}

func without(list []string, prefix string) (rest []string) {
	for _, s := range list {
		if !strings.HasPrefix(s, prefix) {
			rest = append(rest, s)
		}
	}
	return rest
}

// A predicate that panics later, in another's turn, harms nobody but its own.
func TestRule7_APredicateThatPanicsInAnothersTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{})
		got := make(chan error)
		go func() {
			got <- s.Until(t.Context(), func(s *state) bool {
				if len(s.names) > 0 {
					panic("late")
				}
				return false
			})
		}()
		synctest.Wait()
		require.NoError(t, s.SendAndSettle(t.Context(), act("a")))
		require.ErrorContains(t, <-got, "panic: late")
	})
}

// A view whose function panics does so in its caller, also when the store's
// owner had to call it.
func TestRule7_AViewThatPanicsInTheOwnersTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{})
		release := occupied(t, s)
		got := make(chan any)
		go func() {
			defer func() { got <- recover() }()
			store.View(s, func(*state) int { panic("view") })
		}()
		synctest.Wait()
		release()
		require.Equal(t, "view", <-got)
		require.NoError(t, s.Send(background, act("goes on")))
	})
}

// Hooks that are told of dead letters may ask how the store is, though it is in
// the midst of its end.
func TestRule7_HooksAskForHealthWhileTheStoreStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *testStore
		var told journal
		s = open(t, store.Config{Hooks: store.Hooks{DeadLettered: func(d store.DeadLetterInfo) {
			told.tell(d.Action.(action).name, " ", s.Health().Status, " ", len(s.DeadLetters()))
		}}})
		send(t, s, act("a", fx.After(nil, time.Hour, act("timer"))))
		release := occupied(t, s)
		send(t, s, acting("culprit", boom), act("behind"), act("last"))
		release()
		require.Error(t, s.Shutdown(t.Context()))
		require.Equal(t, []string{"timer degraded 1", "behind degraded 2", "last degraded 3"}, told.all())
	})
}

// Those who send while a store stops are told why.
func TestRule7_SendsWhileTheStoreStops(t *testing.T) {
	t.Parallel()
	var s *testStore
	var got error
	s = open(t, store.Config{Hooks: store.Hooks{DeadLettered: func(store.DeadLetterInfo) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			got = s.Send(t.Context(), act("x"))
		}()
		<-done
	}}})
	send(t, s, act("a", fx.After(nil, time.Hour, act("timer"))), acting("culprit", boom))
	var stopped *store.StoppedError
	require.ErrorAs(t, got, &stopped)
}

// A shutdown in a hurry that comes upon a panic is told of that.
func TestRule7_APanicAgainstAShutdownInAHurry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told journal
		deaf := make(chan struct{})
		defer close(deaf)
		s := open(t, store.Config{Hooks: store.Hooks{Stopped: func(_ string, err error) { told.tell(err) }}},
			handle(func(context.Context, string) (string, error) { <-deaf; return "", nil }))
		send(t, s, act("a", do("deaf")))
		release := occupied(t, s)
		send(t, s, acting("culprit", boom))
		shut := make(chan error, 3)
		for range cap(shut) {
			go func() { shut <- s.Shutdown(ended()) }()
		}
		synctest.Wait()
		release()
		var stopped *store.StoppedError
		for range cap(shut) {
			require.ErrorAs(t, <-shut, &stopped)
		}
		require.Len(t, told.all(), 1)
	})
}

// Many send, look and wait while the store stops: all are told, none hangs, and
// every action that was accepted is reduced or a dead letter.
func TestRule7_StoppingAgainstEverything(t *testing.T) {
	t.Parallel()
	for range 60 {
		s := open(t, store.Config{Mailbox: 3, DeadLetters: 10000}, handle(func(_ context.Context, id string) (string, error) { return id, nil }))
		accepted := make([]int, 8)
		var wg sync.WaitGroup
		for sender := range accepted {
			wg.Go(func() {
				for i := range 200 {
					a := act("a")
					if sender == 0 && i == 100 {
						a = acting("culprit", boom)
					}
					var err error
					switch i % 7 {
					case 3:
						_, err = store.Ask(t.Context(), s, a, func(action) (int, bool) { return 0, true })
					case 4:
						store.View(s, (*state).log)
						continue
					case 5:
						err = s.Until(t.Context(), func(s *state) bool { return len(s.names) >= i })
						if err == nil {
							continue
						}
					default:
						err = s.Send(t.Context(), a)
					}
					var stopped *store.StoppedError
					switch {
					case err == nil:
						accepted[sender]++
					case i%7 == 3 && errors.As(err, &stopped):
						return // it may or may not have been accepted
					case !errors.As(err, &stopped):
						t.Errorf("got %v", err)
						return
					default:
						return
					}
				}
			})
		}
		wg.Wait()
		var stopped *store.StoppedError
		require.ErrorAs(t, s.Shutdown(t.Context()), &stopped)
		total := 0
		for _, n := range accepted {
			total += n
		}
		reduced := store.View(s, func(s *state) int { return len(s.names) })
		require.GreaterOrEqual(t, reduced+len(s.DeadLetters()), total)
		require.LessOrEqual(t, reduced+len(s.DeadLetters()), total+8)
	}
}
