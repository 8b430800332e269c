package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// A value is asked for when the one before has been reduced.
func TestAStreamIsNeverMoreThanOneAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var produced, most atomic.Int64
		s := open(t, store.Config{}, counts(func(_ context.Context, n int) error {
			produced.Store(int64(n))
			return nil
		}))
		reduced := 0
		e := effect.Stream(counting{1000}, func(r effect.Result[int]) action {
			return acting("value", func(*state, reducer.Env) effect.Effect[action] {
				if r.Err == nil {
					most.Store(max(most.Load(), produced.Load()-int64(reduced)))
					reduced++
				}
				return fx.None()
			})
		})
		release := occupied(t, s)
		settled := make(chan error)
		go func() { settled <- s.SendAndSettle(t.Context(), act("a", e)) }()
		synctest.Wait()
		require.Zero(t, produced.Load())
		release()
		require.NoError(t, <-settled)
		require.Equal(t, 1000, reduced)
		require.EqualValues(t, 1, most.Load())
	})
}

func TestASlowStoreSlowsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var produced atomic.Int64
		s := open(t, store.Config{}, counts(func(_ context.Context, n int) error {
			produced.Store(int64(n))
			return nil
		}))
		began := make(chan struct{})
		goOn := make(chan struct{})
		s.Observe(func(_ context.Context, e store.Event[state, action]) {
			if e.Action.name == "#3" {
				close(began)
				<-goOn
			}
		})
		send(t, s, act("a", count(1000)))
		<-began
		synctest.Wait()
		require.EqualValues(t, 3, produced.Load())
		close(goOn)
		require.NoError(t, s.Shutdown(t.Context()))
		require.EqualValues(t, 1000, produced.Load())
	})
}

func TestCancelStopsTheProducer(t *testing.T) {
	t.Parallel()
	for _, ignores := range []bool{false, true} {
		t.Run(fmt.Sprintf("ignores its context: %v", ignores), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stopped := make(chan string, 1)
				s := open(t, store.Config{}, effect.HandleStream(func(ctx context.Context, _ counting) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						for n := 1; ; n++ {
							if n > 3 && !ignores {
								<-ctx.Done()
							}
							if !yield(n, nil) {
								stopped <- fmt.Sprint("at ", n, ": ", ctx.Err())
								return
							}
						}
					}
				}))
				s.Observe(func(ctx context.Context, e store.Event[state, action]) {
					if e.Action.name == "#3" {
						if err := s.Send(ctx, act("cancel", fx.Cancel("k"))); err != nil {
							t.Error(err)
						}
					}
				})
				send(t, s, act("a", count(0, effect.Key("k"))))
				require.Regexp(t, "at [34]: context canceled", <-stopped)
				require.NoError(t, s.Shutdown(t.Context()))
				require.Equal(t, "a #1 #2 #3 cancel", logOf(s))
			})
		})
	}
}

func TestHowAStreamEnds(t *testing.T) {
	t.Parallel()
	errLost := errors.New("connection lost")
	for name, c := range map[string]struct {
		before func(ctx context.Context, n int) error
		opts   []effect.Option
		want   string
	}{
		"by itself": {nil, nil, "a #1 #2 #3 end:EOF"},
		"with an error": {func(_ context.Context, n int) error {
			if n == 2 {
				return errLost
			}
			return nil
		}, nil, "a #1 end:connection lost"},
		"by a timeout": {
			func(ctx context.Context, _ int) error { return store.Sleep(ctx, 2*time.Second) },
			[]effect.Option{effect.Timeout(5 * time.Second)},
			"a #1 #2 end:store_test.counting: timed out after 5s",
		},
		"at once": {func(context.Context, int) error { return errLost }, nil, "a end:connection lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := open(t, store.Config{}, counts(c.before))
				require.NoError(t, s.SendAndSettle(t.Context(), act("a", count(3, c.opts...))))
				require.NoError(t, s.Shutdown(t.Context()))
				require.Equal(t, c.want, logOf(s))
			})
		})
	}
}

// A retry starts the stream anew, from its beginning.
func TestAStreamIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var attempts journal
		s := open(t, store.Config{Hooks: store.Hooks{
			EffectEnded: func(_ context.Context, e store.EffectInfo, _ time.Duration, err error) {
				attempts.tell(e.Kind, " ", e.Attempt, " ", err)
			},
		}}, counts(func(_ context.Context, n int) error {
			if n == 3 && attempts.len() < 2 {
				return errors.New("lost")
			}
			return nil
		}))
		began := time.Now()
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", count(3, effect.Retry(effect.RetryPolicy{Attempts: 5, Delay: time.Second})))))
		require.Equal(t, "a #1 #2 #1 #2 #1 #2 #3 end:EOF", logOf(s))
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, []string{"stream 1 lost", "stream 2 lost", "stream 3 <nil>"}, attempts.all())
	})
}

func TestAStreamOfActions(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{})
	actions := func(context.Context) iter.Seq[action] {
		return func(yield func(action) bool) {
			for i := range 3 {
				if !yield(act(fmt.Sprint("tick ", i), fx.Send(act("tock")))) {
					return
				}
			}
		}
	}
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", fx.Stream("clock", actions))))
	require.Equal(t, "a tick 0 tock tick 1 tock tick 2 tock", logOf(s))
}

// Streams do not take places in the pool, and wait for stores as all do.
func TestStreamsBesideAFullPool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s *testStore
		s = open(t, store.Config{Workers: 1, Mailbox: 1},
			handle(func(ctx context.Context, id string) (string, error) { return id, store.Sleep(ctx, time.Second) }),
			counts(func(ctx context.Context, n int) error {
				return s.SendAndSettle(ctx, act(fmt.Sprint("before ", n), do("x")))
			}))
		var effects []effect.Effect[action]
		for range 10 {
			effects = append(effects, count(3))
		}
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", effects...)))
		require.Equal(t, 10, strings.Count(logOf(s), "#3"))
		require.Equal(t, 30, strings.Count(logOf(s), "x=x"))
		require.NoError(t, s.Shutdown(t.Context()))
	})
}
