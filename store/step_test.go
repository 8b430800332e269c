package store_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

func TestRule2_ObserversSeeEachStepInOrderAfterItWasReduced(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 500
	s := open(t, store.Config{Mailbox: 8})
	var seqs []uint64 // plain: observers are called one at a time
	sum := 0
	stop := s.Observe(func(_ context.Context, e store.Event[state, action]) {
		seqs = append(seqs, e.Seq)
		sum += e.Action.n
		if e.State.sum != sum || uint64(len(e.State.names)) != e.Seq {
			t.Errorf("step %d: state has %d of %d actions, want %d", e.Seq, e.State.sum, len(e.State.names), sum)
		}
		if seen := store.View(s, func(s *state) int { return s.sum }); seen != sum {
			t.Errorf("step %d: a view has %d, want %d", e.Seq, seen, sum)
		}
	})
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := range each {
				if err := s.Send(background, action{n: i, fx: []effect.Effect[action]{fx.Send(action{n: 1})}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	stop()
	require.Len(t, seqs, 2*senders*each)
	for i, seq := range seqs {
		require.EqualValues(t, i+1, seq)
	}
}

func TestRule2_EffectsHaveStartedWhenObserversAreTold(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) {
		close(began)
		return "", nil
	}))
	stop := s.Observe(func(_ context.Context, e store.Event[state, action]) {
		if e.Action.name == "load" {
			<-began // for ever, were the effect to start after its observers
			if got := effect.Describe(e.Effect); got.Kind != "request" || got.Request != (call{"x"}) {
				t.Errorf("got effect %v", got)
			}
		}
	})
	defer stop()
	require.NoError(t, s.SendAndSettle(t.Context(), act("load", do("x"))))
	require.Equal(t, "load x=", logOf(s))
}

// So do those that a result starts: the worker that brought it is busy with the
// store's turn, and another takes them up.
func TestRule2_EffectsOfResultsHaveStartedWhenObserversAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := make(chan struct{})
		s := open(t, store.Config{Workers: 2}, handle(func(_ context.Context, id string) (string, error) {
			if id == "second" {
				close(began)
			}
			return id, nil
		}))
		s.Observe(func(_ context.Context, e store.Event[state, action]) {
			if e.Action.name == "result" {
				<-began
			}
		})
		first := effect.Do(call{"first"}, func(effect.Result[string]) action { return act("result", do("second")) })
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", first)))
		require.Equal(t, "a result second=second", logOf(s))
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// A worker that is kept by one store's turn holds up no request of another.
func TestASlowTurnHoldsUpNoOtherStoresRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := openKeyed(t, store.KeyedConfig[string, state]{Config: store.Config{Workers: 4}},
			handle(func(_ context.Context, id string) (string, error) { return id, nil }))
		stop, err := k.Observe("slow", func(_ context.Context, e store.Event[state, action]) {
			if e.Action.name == "x=x" {
				time.Sleep(time.Minute) //nolint:forbidigo // virtual
			}
		})
		require.NoError(t, err)
		defer stop()
		require.NoError(t, k.Send(t.Context(), "slow", act("a", do("x"))))
		synctest.Wait()
		began := time.Now()
		require.NoError(t, k.SendAndSettle(t.Context(), "quick", act("a", do("y"))))
		require.Zero(t, time.Since(began))
		require.NoError(t, k.Shutdown(t.Context()))
	})
}

// A key is taken when observers are told, so that what they send cancels it.
func TestRule2_KeysAreRegisteredWhenObserversAreTold(t *testing.T) {
	t.Parallel()
	for range 50 {
		s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) { return "", nil }), counts(nil))
		stop := s.Observe(func(ctx context.Context, e store.Event[state, action]) {
			if e.Action.name == "load" {
				if err := s.Send(ctx, act("cancel", fx.Cancel("k"))); err != nil {
					t.Error(err)
				}
			}
		})
		require.NoError(t, s.SendAndSettle(t.Context(), act("load",
			do("x", effect.Key("k")), count(1000, effect.Key("k")), fx.After("k", 0, act("timer")))))
		stop()
		require.Equal(t, "load cancel", onlyBefore(t, s, "cancel"))
	}
}

// onlyBefore is the log, without what came between its first action and the
// one that is named.
func onlyBefore(t *testing.T, s *testStore, name string) string {
	t.Helper()
	names := store.View(s, func(s *state) []string { return s.names })
	for i, n := range names {
		if n == name {
			log := state{names: append([]string{names[0]}, names[i:]...)}
			return log.log()
		}
	}
	t.Fatalf("no %q in %v", name, names)
	return ""
}

func TestRule2_TheSequenceOfAStepWithEveryoneLooking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var order []string
		told := func(s string) { order = append(order, s) }
		s := open(t, store.Config{Hooks: store.Hooks{Reduced: func(i store.StepInfo) {
			told("hook " + i.Action.(action).name)
		}}})
		s.Observe(func(_ context.Context, e store.Event[state, action]) { told("first observer " + e.Action.name) })
		s.Observe(func(_ context.Context, e store.Event[state, action]) { told("second observer " + e.Action.name) })
		waited := make(chan error, 1)
		go func() {
			waited <- s.Until(t.Context(), func(s *state) bool {
				if len(s.names) > 0 {
					told("predicate " + s.names[len(s.names)-1])
				}
				return len(s.names) == 2
			})
		}()
		synctest.Wait()
		_, err := store.Ask(t.Context(), s, acting("a", func(*state, reducer.Env) effect.Effect[action] {
			told("reduce a")
			return fx.After(nil, time.Second, act("b"))
		}), func(a action) (int, bool) {
			told("match " + a.name)
			return 0, a.name == "b"
		})
		require.NoError(t, err)
		require.NoError(t, <-waited)
		require.Equal(t, []string{
			"reduce a", "hook a", "first observer a", "second observer a", "predicate a", "match a",
			"hook b", "first observer b", "second observer b", "predicate b", "match b",
		}, order)
	})
}
