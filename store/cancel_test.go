package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

func TestRule4_AfterCancelNoResultInFlightIsReduced(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]effect.Effect[action]{
		"request": do("x", effect.Key("k")),
		"stream":  count(3, effect.Key("k")),
		"timer":   fx.After("k", time.Second, act("timer")),
		"run":     fx.Run("run", func(ctx context.Context) action { _ = store.Sleep(ctx, time.Second); return act("ran") }, effect.Key("k")),
		"retry":   do("x", effect.Key("k"), effect.Retry(effect.RetryPolicy{Attempts: 1})),
		"two":     fx.All(do("x", effect.Key("k")), do("y", effect.Key("k"))),
		"second":  fx.Sequence(fx.After(nil, time.Millisecond, act("first")), do("x", effect.Key("k"))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(t, store.Config{},
					handle(func(ctx context.Context, id string) (string, error) { return id, store.Sleep(ctx, time.Second) }),
					counts(func(ctx context.Context, _ int) error { return store.Sleep(ctx, time.Second) }))
				send(t, s, act("go", e))
				time.Sleep(time.Second / 2) //nolint:forbidigo // virtual
				release := occupied(t, s)
				go func() { _ = s.Send(t.Context(), act("cancel", fx.Cancel("k"))) }()
				synctest.Wait()         // the cancel stands in the mailbox
				time.Sleep(time.Minute) //nolint:forbidigo // virtual: the result stands behind it
				release()
				require.NoError(t, s.Shutdown(t.Context()))
				require.Equal(t, "go busy cancel", strings.Replace(logOf(s), "first ", "", 1))
			})
		})
	}
}

// Results and cancels race; whatever the order, nothing of the key comes after.
func TestRule4_CancelAgainstResultsUnderway(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Workers: 8},
		handle(func(_ context.Context, id string) (string, error) { return id, nil }), counts(nil))
	var wg sync.WaitGroup
	for sender := range 8 {
		wg.Go(func() {
			for i := range 150 {
				key := fmt.Sprintf("%d/%d", sender, i)
				k := effect.Key(key)
				started := act("start "+key, do(key, k), count(3, k), fx.After(key, 0, act(key+" timer")),
					fx.Run("run", func(context.Context) action { return act(key + " ran") }, k))
				if err := s.Send(background, started); err != nil {
					t.Error(err)
				}
				if err := s.Send(background, act("cancel "+key, fx.Cancel(key))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	cancelled := map[string]bool{}
	for _, name := range store.View(s, func(s *state) []string { return s.names }) {
		if key, ok := strings.CutPrefix(name, "cancel "); ok {
			cancelled[key] = true
		}
		for _, after := range []string{"=", " timer", " ran"} {
			if key, _, ok := strings.Cut(name, after); ok {
				require.False(t, cancelled[key], "%s after its cancel", name)
			}
		}
	}
	require.Len(t, cancelled, 8*150)
}

func TestRule4_CancelEndsTheHandlersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var errs journal
		s := open(t, store.Config{Workers: 1}, handle(func(ctx context.Context, id string) (string, error) {
			<-ctx.Done()
			errs.tell(ctx.Err(), ", ", store.Sleep(ctx, time.Hour))
			return id, ctx.Err()
		}))
		send(t, s, act("go", do("x", effect.Key("k"))))
		synctest.Wait()
		send(t, s, act("queued, never begun", do("y", effect.Key("k"))))
		send(t, s, act("cancel", fx.Cancel("k")))
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []string{"context canceled, context canceled"}, errs.all())
		require.Equal(t, "go queued, never begun cancel", logOf(s))
	})
}

// Every context that handlers derive ends with theirs, without a goroutine.
func TestContextsDerivedFromAHandlers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var told journal
		s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			withCancel, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			withTimeout, cancel2 := context.WithTimeout(withCancel, time.Hour)
			defer cancel2()
			withValue := context.WithValue(withTimeout, key{}, "v")
			short, cancel3 := context.WithTimeout(withValue, time.Second)
			defer cancel3()
			<-short.Done()
			told.tell("short: ", short.Err())
			stopped := context.AfterFunc(ctx, func() { told.tell("never") })
			require.True(t, stopped())
			require.False(t, stopped())
			context.AfterFunc(ctx, func() { told.tell("after") })
			<-withValue.Done()
			told.tell("long: ", withValue.Err())
			called := make(chan struct{})
			context.AfterFunc(ctx, func() { close(called) })
			<-called // at once, since it has ended
			_, hasDeadline := ctx.Deadline()
			require.False(t, hasDeadline)
			require.Equal(t, "context of request store_test.call", fmt.Sprint(ctx))
			return "", nil
		}))
		send(t, s, act("go", do("x", effect.Key("k"))))
		time.Sleep(time.Minute) //nolint:forbidigo // virtual
		send(t, s, act("cancel", fx.Cancel("k")))
		synctest.Wait()
		require.ElementsMatch(t, []string{"short: context deadline exceeded", "long: context canceled", "after"}, told.all())
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// What a handler leaves behind ends when it has returned: contexts that it
// derived and did not cancel, goroutines that wait for its context.
func TestAHandlersContextEndsWhenItReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		type key struct{}
		var left context.Context
		s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			go func() { <-ctx.Done() }()
			derived, forgotten := context.WithCancel(context.WithValue(ctx, key{}, 1))
			left, _ = derived, forgotten
			return "", nil
		}))
		require.NoError(t, s.SendAndSettle(t.Context(), act("go", do("x"))))
		synctest.Wait()
		require.ErrorIs(t, left.Err(), context.Canceled)
		require.ErrorIs(t, s.Send(left, act("late")), context.Canceled)
	})
}

func TestTimeoutEndsTheHandlersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		var why error
		s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			began := time.Now()
			<-ctx.Done()
			took, why = time.Since(began), ctx.Err()
			return "too late", nil
		}))
		require.NoError(t, s.SendAndSettle(t.Context(), act("go", do("x", effect.Timeout(3*time.Second)))))
		require.Equal(t, "go x!store_test.call: timed out after 3s", logOf(s))
		synctest.Wait()
		require.Equal(t, 3*time.Second, took)
		require.Equal(t, context.DeadlineExceeded, why)
	})
}

func TestRetryWithBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at, attempts journal
		s := open(t, store.Config{Hooks: store.Hooks{
			EffectEnded: func(_ context.Context, e store.EffectInfo, took time.Duration, _ error) {
				attempts.tell(e.Attempt)
				if took != time.Second {
					t.Errorf("took %v", took)
				}
			},
		}}, handle(func(ctx context.Context, _ string) (string, error) {
			at.tell(time.Since(began))
			if err := store.Sleep(ctx, time.Second); err != nil || at.len() == 4 {
				return "done", err
			}
			return "", errors.New("busy")
		}))
		policy := effect.RetryPolicy{Attempts: 5, Delay: 10 * time.Second, MaxDelay: 30 * time.Second}
		require.NoError(t, s.SendAndSettle(t.Context(), act("go", do("x", effect.Retry(policy)))))
		require.Equal(t, "go x=done", logOf(s))
		require.Equal(t, []string{"1", "2", "3", "4"}, attempts.all())
		// Waits of 10, 20 and 30 s between attempts that take a second.
		require.Equal(t, []string{"0s", "11s", "32s", "1m3s"}, at.all())
	})
}

func TestRetryIsCancelledWhileItWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) {
			calls.Add(1)
			return "", errors.New("busy")
		}))
		send(t, s, act("go", do("x", effect.Key("k"), effect.Retry(effect.RetryPolicy{Delay: time.Minute}))))
		synctest.Wait()
		send(t, s, act("cancel", fx.Cancel("k")))
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, "go cancel", logOf(s))
		require.EqualValues(t, 1, calls.Load())
	})
}

// An attempt that has timed out may still run when the next one does; what it
// answers then is nobody's.
func TestAnAttemptThatOutlivesItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int64
		s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) {
			mine := attempts.Add(1)
			time.Sleep(time.Duration(10/mine) * time.Second) //nolint:forbidigo // virtual, and deaf to its context
			return fmt.Sprint("attempt ", mine), nil
		}))
		send(t, s, act("go", do("x", effect.Timeout(4*time.Second), effect.Retry(effect.RetryPolicy{Delay: time.Second}))))
		require.NoError(t, s.Shutdown(t.Context()))
		// 1: 0–10 s, given up at 4; 2: 5–10, given up at 9; 3: 10–13.
		require.Equal(t, "go x=attempt 3", logOf(s))
	})
}

func TestPoliciesOfAKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy effect.Policy
		want   string
	}{
		{effect.Every, "a=a b=b c=c"},
		{effect.Latest, "c=c"},
		{effect.Leading, "a=a"},
		{effect.Queue, "a=a b=b c=c"},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				running, most := 0, 0
				var mu sync.Mutex
				s := open(t, store.Config{}, handle(func(ctx context.Context, id string) (string, error) {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					err := store.Sleep(ctx, time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return id, err
				}))
				for _, id := range []string{"a", "b", "c"} {
					send(t, s, act("go", do(id, effect.Key("k", c.policy))))
					synctest.Wait()
				}
				require.NoError(t, s.Shutdown(t.Context()))
				results := slices.DeleteFunc(store.View(s, func(s *state) []string { return s.names }), func(n string) bool { return n == "go" })
				slices.Sort(results)
				require.Equal(t, c.want, strings.Join(results, " "))
				if c.policy == effect.Queue {
					require.Equal(t, 1, most)
				}
			})
		})
	}
}

func TestDebounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at journal
		began := time.Now()
		s := open(t, store.Config{})
		for range 5 {
			send(t, s, act("key", fx.After("search", 300*time.Millisecond, acting("search", func(_ *state, env reducer.Env) effect.Effect[action] {
				at.tell(env.Now().Sub(began))
				return fx.None()
			}))))
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // virtual
		}
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []string{"700ms"}, at.all())
	})
}
