package store_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/store"
)

func TestSendAndSettle(t *testing.T) {
	t.Parallel()
	echo := handle(func(_ context.Context, id string) (string, error) { return id, nil })
	t.Run("waits for timers, streams and what they cause", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{}, echo, counts(func(ctx context.Context, _ int) error { return store.Sleep(ctx, time.Minute) }))
			began := time.Now()
			require.NoError(t, s.SendAndSettle(t.Context(), act("a", count(2), fx.After(nil, time.Hour, act("b",
				effect.Do(call{"x"}, func(effect.Result[string]) action { return act("x", fx.After(nil, time.Hour, act("c"))) }))))))
			require.Equal(t, 2*time.Hour, time.Since(began))
			require.Equal(t, "a #1 #2 end:EOF b x c", logOf(s))
		})
	})
	t.Run("is not held up by others", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			send(t, s, act("other", fx.After(nil, time.Hour, act("late"))))
			began := time.Now()
			require.NoError(t, s.SendAndSettle(t.Context(), act("a")))
			require.Zero(t, time.Since(began))
		})
	})
	t.Run("waits for holds, through their resumption", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			settled := make(chan error)
			go func() { settled <- s.SendAndSettle(t.Context(), act("a", fx.Hold("h"))) }()
			synctest.Wait()
			require.Empty(t, settled)
			began := time.Now()
			send(t, s, act("b", fx.Resume("h", act("resumed", fx.After(nil, time.Minute, act("after"))))))
			require.NoError(t, <-settled)
			require.Equal(t, time.Minute, time.Since(began))
			require.Equal(t, "a b resumed after", logOf(s))
		})
	})
	t.Run("a cancel settles", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{}, echo)
			settled := make(chan error)
			go func() {
				settled <- s.SendAndSettle(t.Context(), act("a", fx.Hold("k"), fx.After("k", time.Hour, act("x")),
					fx.Run("run", func(ctx context.Context) action { <-ctx.Done(); return act("x") }, effect.Key("k"))))
			}()
			synctest.Wait()
			send(t, s, act("b", fx.Cancel("k")))
			require.NoError(t, <-settled)
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, "a b", logOf(s))
		})
	})
	t.Run("waits for what handlers send elsewhere with their context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			third := open(t, store.Config{})
			second := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
				return "", third.Send(ctx, act("c", fx.After(nil, time.Hour, act("d"))))
			}))
			first := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
				return "", second.Send(ctx, act("b", fx.After(nil, time.Hour, act("b2", effect.Fire[action](call{"x"})))))
			}))
			began := time.Now()
			require.NoError(t, first.SendAndSettle(t.Context(), act("a", effect.Fire[action](call{"x"}))))
			require.Equal(t, 2*time.Hour, time.Since(began))
			require.Equal(t, "c d", logOf(third))
		})
	})
	t.Run("does not wait for what is sent with another context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			other := open(t, store.Config{})
			s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) {
				return "", other.Send(background, act("b", fx.After(nil, time.Hour, act("c"))))
			}))
			began := time.Now()
			require.NoError(t, s.SendAndSettle(t.Context(), act("a", do("x"))))
			require.Zero(t, time.Since(began))
		})
	})
	t.Run("its context ends, the action goes on", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, s.SendAndSettle(ctx, act("a", fx.After(nil, time.Minute, act("b")))), context.DeadlineExceeded)
			require.ErrorIs(t, s.SendAndSettle(ctx, act("never")), context.DeadlineExceeded)
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, "a b", logOf(s))
		})
	})
	t.Run("the store stops", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		var stopped *store.StoppedError
		require.ErrorAs(t, s.SendAndSettle(t.Context(), act("a", fx.Send(acting("culprit", boom)))), &stopped)
		s = open(t, store.Config{})
		require.ErrorAs(t, s.SendAndSettle(t.Context(), acting("culprit", boom)), &stopped)
		s = open(t, store.Config{})
		_, err := store.Ask(t.Context(), s, acting("culprit", boom), named("x"))
		require.ErrorAs(t, err, &stopped)
	})
	t.Run("another store stops that took part", func(t *testing.T) {
		t.Parallel()
		other := open(t, store.Config{Name: "other"})
		s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			return "", other.Send(ctx, act("b", fx.Send(acting("culprit", boom))))
		}))
		var stopped *store.StoppedError
		require.ErrorAs(t, s.SendAndSettle(t.Context(), act("a", do("x"))), &stopped)
		require.Equal(t, "other", stopped.Store)
		require.NoError(t, s.SendAndSettle(t.Context(), act("goes on")))
	})
	t.Run("the store is shut down in a hurry", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			settled := make(chan error)
			go func() { settled <- s.SendAndSettle(t.Context(), act("a", fx.Hold("h"))) }()
			synctest.Wait()
			var abandoned *store.AbandonedError
			require.ErrorAs(t, s.Shutdown(ended()), &abandoned)
			require.Same(t, error(abandoned), <-settled)
		})
	})
	t.Run("a handler's send that is refused does not count", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			closed := open(t, store.Config{})
			require.NoError(t, closed.Shutdown(t.Context()))
			var errs []error
			s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
				gone, cancel := context.WithCancel(ctx)
				cancel()
				_, ask := store.Ask(gone, closed, act("x"), named("x"))
				_, ask2 := store.Ask(ctx, closed, act("x"), named("x"))
				errs = []error{
					closed.Send(ctx, act("x")), closed.SendAndSettle(ctx, act("x")), ask2,
					closed.Send(gone, act("x")), closed.SendAndSettle(gone, act("x")), ask,
				}
				return "", nil
			}))
			require.NoError(t, s.SendAndSettle(t.Context(), act("a", do("x"))), "it would wait for ever")
			for i, err := range errs {
				if i < 3 {
					require.ErrorIs(t, err, store.ErrClosed)
				} else {
					require.ErrorIs(t, err, context.Canceled)
				}
			}
		})
	})
}

// A handler that was cancelled, or left a goroutine behind, can raise what its
// action's sender waits for no more: that has settled, and settles once.
func TestSendsThatOutliveTheirEffect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		other := open(t, store.Config{})
		inner := open(t, store.Config{}, handle(func(ctx context.Context, id string) (string, error) {
			lasting := context.WithoutCancel(ctx)
			if id == "left behind" {
				go func() {
					_ = store.Sleep(t.Context(), time.Minute)
					_ = other.Send(lasting, act("from behind", fx.After(nil, time.Minute, act("late"))))
				}()
				return id, nil
			}
			<-ctx.Done()
			return id, errors.Join(other.Send(lasting, act("cancelled")), other.SendAndSettle(lasting, act("settles alone")))
		}))
		outer := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			err := inner.SendAndSettle(ctx, act("b", do("left behind"), do("cancelled", effect.Key("k")), fx.After(nil, time.Second, act("c", fx.Cancel("k")))))
			_ = store.Sleep(ctx, time.Hour) // the outer wait goes on
			return "", err
		}))
		began := time.Now()
		require.NoError(t, outer.SendAndSettle(t.Context(), act("a", do("x"))))
		require.Equal(t, time.Hour+time.Second, time.Since(began))
		require.NoError(t, other.Shutdown(t.Context()))
		require.Equal(t, "cancelled settles alone from behind late", logOf(other))
		require.NoError(t, inner.Shutdown(t.Context()))
		require.NoError(t, outer.Shutdown(t.Context()))
	})
}

// Sequences settle as a whole, and their elements one after another.
func TestSettlingASequence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{}, handle(func(ctx context.Context, id string) (string, error) {
			return id, store.Sleep(ctx, time.Second)
		}))
		began := time.Now()
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", fx.Sequence(do("1"), fx.All(do("2"), do("2")), fx.Send(act("3")), do("4")))))
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, "a 1=1 2=2 2=2 3 4=4", logOf(s))
	})
}
