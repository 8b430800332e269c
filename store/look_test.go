package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// A view is between two actions, whoever is at work.
func TestViewsSeeWholeSteps(t *testing.T) {
	t.Parallel()
	type pair struct{ a, b int }
	s, err := store.New(pair{}, reducer.Func[pair, int](func(s *pair, n int, _ reducer.Env) effect.Effect[int] {
		s.a += n
		s.b += n
		return effect.Effect[int]{}
	}), store.Config{})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 2000 {
				if err := s.Send(background, 1); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			last := 0
			for range 2000 {
				p := store.View(s, func(s *pair) pair { return *s })
				if p.a != p.b || p.a < last {
					t.Errorf("viewer %d: got %v after %d", i, p, last)
				}
				last = p.a
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	for range 4 {
		wg.Go(func() {
			if got := store.View(s, func(s *pair) int { return s.a }); got != 8000 {
				t.Errorf("after shutdown: got %d", got)
			}
		})
	}
	wg.Wait()
}

// The function of a view may send; what it sends is reduced when it has returned.
func TestAViewThatSends(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{})
	var err error
	before := store.View(s, func(state *state) int {
		err = s.Send(background, action{n: 1})
		return state.sum
	})
	require.NoError(t, err)
	require.Zero(t, before)
	require.Equal(t, 1, store.View(s, func(s *state) int { return s.sum }))

	require.Panics(t, func() {
		store.View(s, func(*state) int {
			_ = s.Send(background, action{n: 1})
			panic("view")
		})
	})
	require.Equal(t, 2, store.View(s, func(s *state) int { return s.sum }))
}

func TestUntil(t *testing.T) {
	t.Parallel()
	atLeast := func(n int) func(*state) bool { return func(s *state) bool { return s.sum >= n } }
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, open(t, store.Config{}).Until(t.Context(), atLeast(0)))
	})
	t.Run("after some action", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if err := s.Until(t.Context(), atLeast(i)); err != nil {
					t.Error(err)
				}
				if got := store.View(s, func(s *state) int { return s.sum }); got < i {
					t.Errorf("got %d, want %d", got, i)
				}
			})
			send(t, s, action{n: 1})
		}
		wg.Wait()
	})
	t.Run("by a timer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			began := time.Now()
			send(t, s, act("a", fx.After(nil, time.Hour, action{n: 1})))
			require.NoError(t, s.Until(t.Context(), atLeast(1)))
			require.Equal(t, time.Hour, time.Since(began))
		})
	})
	t.Run("its context ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			calls := 0 // plain: none comes after it has returned
			require.ErrorIs(t, s.Until(ctx, func(*state) bool { calls++; return false }), context.DeadlineExceeded)
			calls += 10
			send(t, s, act("a"), act("b"))
			require.Equal(t, 11, calls)
			require.ErrorIs(t, s.Until(ctx, atLeast(0)), context.DeadlineExceeded)
		})
	})
	t.Run("its context ends before the store has looked", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			release := occupied(t, s)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			calls := 0
			require.ErrorIs(t, s.Until(ctx, func(*state) bool { calls++; return false }), context.DeadlineExceeded)
			release()
			send(t, s, act("a"))
			require.Zero(t, calls)
		})
	})
	t.Run("the store is shut down", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			got := make(chan error)
			go func() { got <- s.Until(t.Context(), atLeast(1)) }()
			synctest.Wait()
			require.NoError(t, s.Shutdown(t.Context()))
			require.ErrorIs(t, <-got, store.ErrClosed)
		})
	})
	t.Run("it may hold when the store stops", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		send(t, s, action{n: 1}, acting("culprit", boom))
		require.NoError(t, s.Until(t.Context(), atLeast(1)))
		var stopped *store.StoppedError
		require.ErrorAs(t, s.Until(t.Context(), atLeast(2)), &stopped)
	})
}

func TestObserve(t *testing.T) {
	t.Parallel()
	t.Run("from now on, until it is stopped", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		var got []string
		send(t, s, act("before"))
		stop := s.Observe(func(_ context.Context, e store.Event[state, action]) { got = append(got, e.Action.name) })
		send(t, s, act("a"), act("b"))
		stop()
		stop()
		send(t, s, act("after"))
		require.Equal(t, []string{"a", "b"}, got)
	})
	t.Run("stopped by itself, or by another", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		var first, second, added int
		var stop2 func()
		var stop1 func()
		stop1 = s.Observe(func(context.Context, store.Event[state, action]) {
			first++
			stop1()
			stop2()
			s.Observe(func(context.Context, store.Event[state, action]) { added++ })
		})
		stop2 = s.Observe(func(context.Context, store.Event[state, action]) { second++ })
		send(t, s, act("a"), act("b"), act("c"))
		require.Equal(t, 1, first)
		require.Zero(t, second, "it was stopped before its turn")
		require.Equal(t, 2, added)
	})
	t.Run("coming and going under load", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{Mailbox: 16})
		var wg sync.WaitGroup
		var stopSending atomic.Bool
		for range 4 {
			wg.Go(func() {
				for !stopSending.Load() {
					if err := s.Send(background, action{n: 1}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var observers sync.WaitGroup
		for range 4 {
			observers.Go(func() {
				for range 100 {
					var last atomic.Uint64
					stop := s.Observe(func(_ context.Context, e store.Event[state, action]) {
						if l := last.Swap(e.Seq); l != 0 && e.Seq != l+1 {
							t.Errorf("got %d after %d", e.Seq, l)
						}
					})
					if err := s.Until(t.Context(), func(*state) bool { return last.Load() > 0 }); err != nil {
						t.Error(err)
					}
					stop()
				}
			})
		}
		observers.Wait()
		stopSending.Store(true)
		wg.Wait()
	})
	t.Run("what it is told", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		var got store.Event[state, action]
		s.Observe(func(_ context.Context, e store.Event[state, action]) { got = e })
		send(t, s, act("a", fx.After("k", time.Hour, act("b"))))
		require.EqualValues(t, 1, got.Seq)
		require.Equal(t, "a", got.State.log())
		require.Equal(t, "after", effect.Describe(got.Effect).Kind)
		send(t, s, act("b"))
		require.Equal(t, effect.Describe(fx.None()), effect.Describe(got.Effect))
		require.NotZero(t, got.Meta.ActionID)
	})
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	t.Run("a sender whose context ends is let go, and nothing is lost", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const senders = 20
			s := open(t, store.Config{Mailbox: 2})
			release := occupied(t, s)
			var accepted atomic.Int64
			var wg sync.WaitGroup
			for i := range senders {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%3+1)*time.Second)
					defer cancel()
					switch err := s.Send(ctx, action{n: 1}); {
					case err == nil:
						accepted.Add(1)
					case !errors.Is(err, context.DeadlineExceeded):
						t.Error(err)
					}
				})
			}
			time.Sleep(2500 * time.Millisecond) //nolint:forbidigo // virtual: two thirds have given up
			release()
			wg.Wait()
			require.NoError(t, s.Shutdown(t.Context()))
			require.EqualValues(t, accepted.Load(), store.View(s, func(s *state) int { return s.sum }))
			require.GreaterOrEqual(t, accepted.Load(), int64(6))
			require.Less(t, accepted.Load(), int64(10))
		})
	})
	t.Run("a sender is let in just when its context has ended", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			rt := slowToGiveUp{store.RuntimeOf(background), make(chan struct{})}
			s := open(t, store.Config{Mailbox: 1, Runtime: rt})
			release := occupied(t, s)
			send(t, s, act("b"))
			ctx, cancel := context.WithCancel(t.Context())
			sent := make(chan error)
			go func() { sent <- s.Send(ctx, act("c")) }()
			synctest.Wait()
			cancel()
			synctest.Wait()
			release()
			close(rt.goOn)
			require.NoError(t, <-sent, "it was accepted")
			require.Equal(t, "busy b c", logOf(s))
		})
	})
	t.Run("those who wait are let in, in order", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{Mailbox: 1})
			release := occupied(t, s)
			send(t, s, act("0"))
			var wg sync.WaitGroup
			for _, name := range []string{"1", "2", "3", "4"} {
				wg.Go(func() {
					if err := s.Send(t.Context(), act(name)); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
			release()
			wg.Wait()
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, "busy 0 1 2 3 4", logOf(s))
		})
	})
	t.Run("accepted and refused, under load", func(t *testing.T) {
		t.Parallel()
		for _, when := range []store.WhenFull{store.Block, store.Reject} {
			s := open(t, store.Config{Mailbox: 1, WhenFull: when})
			var accepted atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for i := range 500 {
						ctx, cancel := context.WithCancel(t.Context())
						if i%3 == 0 {
							go cancel()
						}
						switch err := s.Send(ctx, action{n: 1}); {
						case err == nil:
							accepted.Add(1)
						case !errors.Is(err, context.Canceled) && !(when == store.Reject && errors.Is(err, store.ErrMailboxFull)):
							t.Error(err)
						}
						cancel()
					}
				})
			}
			wg.Wait()
			require.NoError(t, s.Shutdown(t.Context()))
			require.EqualValues(t, accepted.Load(), store.View(s, func(s *state) int { return s.sum }))
		}
	})
}

// slowToGiveUp is the machine, but a wait whose context has ended returns late.
type slowToGiveUp struct {
	store.Runtime
	goOn chan struct{}
}

func (rt slowToGiveUp) NewSignal() store.Signal {
	return slowSignal{rt.Runtime.NewSignal(), rt.goOn}
}

type slowSignal struct {
	store.Signal
	goOn chan struct{}
}

func (s slowSignal) Wait(ctx context.Context) error {
	err := s.Signal.Wait(ctx)
	if err != nil {
		<-s.goOn
	}
	return err
}
