package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

// crowd asks n times at once and returns the errors there were, and how long
// it took until all had their answer.
func crowd(ctx context.Context, n int, handlers ...effect.Handler) (errs []error, took time.Duration) {
	began := time.Now()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			if _, err := ask(ctx, handlers[i%len(handlers)], Charge{Cents: i}); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errs, time.Since(began)
}

func TestConcurrency(t *testing.T) {
	t.Parallel()

	t.Run("calls beyond the limit wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(takes(time.Second))
			errs, took := crowd(t.Context(), 32, effect.Handle(s.Charge, resilience.Concurrency(8)))
			require.Empty(t, errs)
			require.Equal(t, 4*time.Second, took)
			require.EqualValues(t, 8, s.most.Load())
		})
	})
	t.Run("in the order in which they came", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var got []int
			h := effect.Handle(func(_ context.Context, q Charge) (string, error) {
				got = append(got, q.Cents)
				<-time.After(time.Second)
				return "paid", nil
			}, resilience.Concurrency(1))
			var wg sync.WaitGroup
			for i := range 5 {
				wg.Go(func() { _, _ = ask(t.Context(), h, Charge{Cents: i}) })
				synctest.Wait()
			}
			wg.Wait()
			require.Equal(t, []int{0, 1, 2, 3, 4}, got)
		})
	})
	t.Run("handlers share the option's slots", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(takes(time.Second))
			shared := resilience.Concurrency(8)
			_, took := crowd(t.Context(), 32, effect.Handle(s.Charge, shared), effect.Handle(s.Charge, shared))
			require.Equal(t, 4*time.Second, took)
			require.EqualValues(t, 8, s.most.Load())

			_, took = crowd(t.Context(), 32, effect.Handle(s.Charge, resilience.Concurrency(8)), effect.Handle(s.Charge, resilience.Concurrency(8)))
			require.Equal(t, 2*time.Second, took, "two options have two")
		})
	})
	t.Run("a call that waited too long is refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(takes(time.Second))
			errs, took := crowd(t.Context(), 32, effect.Handle(s.Charge, resilience.Concurrency(8, resilience.MaxWait(1500*time.Millisecond))))
			require.Equal(t, 2*time.Second, took)
			require.Len(t, errs, 16)
			for _, err := range errs {
				require.EqualError(t, err, "concurrency limit reached: 8 calls are running")
				require.ErrorIs(t, err, resilience.ErrConcurrencyLimit)
				require.ErrorIs(t, err, bulkhead.ErrFull)
				require.NotErrorIs(t, err, context.DeadlineExceeded)
				require.True(t, effect.Retryable(err))
			}
			require.EqualValues(t, 16, s.calls.Load())
		})
	})
	t.Run("no wait refuses at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			errs, took := crowd(t.Context(), 32, effect.Handle(serve(takes(time.Second)).Charge, resilience.Concurrency(8, resilience.MaxWait(0))))
			require.Equal(t, time.Second, took)
			require.Len(t, errs, 24)
		})
	})
	t.Run("a deadline that passes in the queue is a refusal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			errs, took := crowd(ctx, 3, effect.Handle(serve(ignores(time.Second, "paid", nil)).Charge, resilience.Concurrency(1)))
			require.Equal(t, 2*time.Second, took)
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], resilience.ErrConcurrencyLimit)
			require.ErrorIs(t, errs[0], context.DeadlineExceeded)
		})
	})
	t.Run("and a timeout tells that the call never began", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s, slots := serve(takes(time.Minute)), resilience.Concurrency(1)
			go func() { _, _ = ask(t.Context(), effect.Handle(s.Charge, slots), Charge{}) }()
			synctest.Wait()
			_, err := ask(t.Context(), effect.Handle(s.Charge, resilience.Timeout(time.Second), slots), Charge{})
			require.ErrorIs(t, err, resilience.ErrTimeout)
			require.ErrorIs(t, err, resilience.ErrConcurrencyLimit)
			require.EqualError(t, err, "concurrency limit reached: 1 calls are running: handler timed out after 1s")
			require.EqualValues(t, 1, s.calls.Load())
		})
	})
	t.Run("a slot that comes with the end of the context is not lost", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := effect.Handle(serve(takes(time.Second)).Charge, resilience.Concurrency(1))
			for range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					_, _ = ask(t.Context(), h, Charge{})
					cancel()
				})
				synctest.Wait()
				wg.Go(func() { _, _ = ask(ctx, h, Charge{}) })
				wg.Wait()
			}
			_, err := ask(t.Context(), h, Charge{})
			require.NoError(t, err)
		})
	})
	t.Run("a cancellation in the queue stays one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(takes(time.Minute))
			h := effect.Handle(s.Charge, resilience.Concurrency(1))
			go func() { _, _ = ask(t.Context(), h, Charge{}) }()
			synctest.Wait()
			cause := errors.New("customer left")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			for range 2 { // in the queue, and before
				_, err := ask(ctx, h, Charge{})
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, cause)
				require.NotErrorIs(t, err, resilience.ErrConcurrencyLimit)
			}
			require.EqualValues(t, 1, s.calls.Load())
		})
	})
	t.Run("an ended context gets no slot though there are some", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := serve(ok)
		h := effect.Handle(s.Charge, resilience.Concurrency(8))
		for range 100 {
			_, err := ask(ctx, h, Charge{})
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Zero(t, s.calls.Load())
	})
	t.Run("a panic gives its slot back", func(t *testing.T) {
		t.Parallel()
		s := serve(panics("boom"))
		h := effect.Handle(s.Charge, resilience.Concurrency(1, resilience.MaxWait(0)))
		var panicked *effect.PanicError
		for range 2 {
			_, err := ask(t.Context(), h, Charge{})
			require.ErrorAs(t, err, &panicked)
		}
	})
	t.Run("a handler that outlives its timeout keeps its slot", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(ignores(5*time.Second, "paid", nil))
			h := effect.Handle(s.Charge, resilience.Concurrency(1), resilience.Timeout(time.Second))
			errs, took := crowd(t.Context(), 2, h)
			require.Len(t, errs, 2)
			require.Equal(t, 10*time.Second, took)
			require.EqualValues(t, 1, s.most.Load())
		})
	})
	t.Run("a stream keeps its slot to the end", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := effect.HandleStream(serve(takes(time.Second)).Prices, resilience.Concurrency(1))
			began := time.Now()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { _, _ = listen(t.Context(), h, Charge{}) })
			}
			wg.Wait()
			require.Equal(t, 3*time.Second, time.Since(began))
		})
	})
}

func TestRateLimit(t *testing.T) {
	t.Parallel()

	// starts returns when the calls of a crowd reached the handler.
	starts := func(ctx context.Context, n int, o effect.HandlerOption) (at []time.Duration, errs []error) {
		began := time.Now()
		var mu sync.Mutex
		h := effect.Handle(func(context.Context, Charge) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(began))
			return "paid", nil
		}, o)
		errs, _ = crowd(ctx, n, h)
		return at, errs
	}

	t.Run("calls start evenly", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			at, errs := starts(t.Context(), 301, resilience.RateLimit(100, time.Second))
			require.Empty(t, errs)
			for i, d := range at {
				require.Equal(t, time.Duration(i)*10*time.Millisecond, d)
			}
		})
	})
	t.Run("time that passed unused is not made up for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			limit := resilience.RateLimit(10, time.Second)
			pass(time.Hour)
			at, _ := starts(t.Context(), 11, limit)
			require.Equal(t, time.Second, at[10])
		})
	})
	t.Run("handlers share the option's rate", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			shared := resilience.RateLimit(10, time.Second)
			s := serve(ok)
			_, took := crowd(t.Context(), 21, effect.Handle(s.Charge, shared), effect.Handle(s.Charge, shared))
			require.Equal(t, 2*time.Second, took)
		})
	})
	t.Run("a turn after the longest wait is refused at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			at, errs := starts(t.Context(), 20, resilience.RateLimit(10, time.Second, resilience.MaxWait(500*time.Millisecond)))
			require.Len(t, at, 6)
			require.Len(t, errs, 14)
			for _, err := range errs {
				require.EqualError(t, err, "rate limit reached: 10 in 1s")
				require.ErrorIs(t, err, resilience.ErrRateLimited)
				require.ErrorIs(t, err, ratelimiter.ErrExceeded)
				require.True(t, effect.Retryable(err))
			}
		})
	})
	t.Run("no wait refuses what has no turn now", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			at, errs := starts(t.Context(), 5, resilience.RateLimit(10, time.Second, resilience.MaxWait(0)))
			require.Len(t, at, 1)
			require.Len(t, errs, 4)
		})
	})
	t.Run("a turn after the deadline is refused at once", func(t *testing.T) {
		t.Parallel()
		for _, o := range []func() effect.HandlerOption{
			func() effect.HandlerOption { return resilience.RateLimit(10, time.Second) },
			func() effect.HandlerOption {
				return resilience.RateLimit(10, time.Second, resilience.MaxWait(time.Hour))
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
				defer cancel()
				began := time.Now()
				h := effect.Handle(serve(ok).Charge, o())
				for range 3 {
					go func() { _, _ = ask(ctx, h, Charge{}) }()
				}
				synctest.Wait()
				_, err := ask(ctx, h, Charge{})
				require.ErrorIs(t, err, resilience.ErrRateLimited)
				require.Zero(t, time.Since(began))
				_, err = ask(t.Context(), h, Charge{})
				require.NoError(t, err)
				require.Equal(t, 300*time.Millisecond, time.Since(began), "the refused call has used no turn")
			})
		}
	})
	t.Run("a deadline that has passed is a refusal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			defer cancel()
			pass(time.Second)
			_, err := ask(ctx, effect.Handle(serve(ok).Charge, resilience.RateLimit(10, time.Second)), Charge{})
			require.ErrorIs(t, err, resilience.ErrRateLimited)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("a cancellation while waiting stays one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := effect.Handle(serve(ok).Charge, resilience.RateLimit(1, time.Minute))
			_, err := ask(t.Context(), h, Charge{})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			_, err = ask(ctx, h, Charge{})
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, resilience.ErrRateLimited)
			require.Equal(t, time.Second, time.Since(began))
		})
	})
	t.Run("a stream counts once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := effect.HandleStream(serve(ok).Prices, resilience.RateLimit(1, time.Second))
			began := time.Now()
			for range 3 {
				got, _ := listen(t.Context(), h, Charge{})
				require.Len(t, got, 2)
			}
			require.Equal(t, 2*time.Second, time.Since(began))
		})
	})
}

func TestLimitsRefuseBadInput(t *testing.T) {
	t.Parallel()
	once := resilience.MaxWait(time.Second)
	tests := []struct {
		option effect.HandlerOption
		want   string // empty is good
	}{
		{resilience.Concurrency(1), ""},
		{resilience.Concurrency(1, 0), ""},
		{resilience.Concurrency(math.MaxInt, math.MaxInt64), ""},
		{resilience.Concurrency(0), "Concurrency: limit is 0, must be at least 1"},
		{resilience.Concurrency(-1), "Concurrency: limit is -1, must be at least 1"},
		{resilience.Concurrency(1, -1), "Concurrency: MaxWait is -1ns, must not be negative"},
		{resilience.Concurrency(1, once, once), "Concurrency: MaxWait is given more than once"},
		{resilience.RateLimit(1, 1), ""},
		{resilience.RateLimit(1, time.Hour, 0), ""},
		{resilience.RateLimit(0, time.Second), "RateLimit: limit is 0, must be at least 1"},
		{resilience.RateLimit(-1, time.Second), "RateLimit: limit is -1, must be at least 1"},
		{resilience.RateLimit(1, 0), "RateLimit: period is 0s, must be positive"},
		{resilience.RateLimit(1, -1), "RateLimit: period is -1ns, must be positive"},
		{resilience.RateLimit(2, 1), "RateLimit: limit is 2 in 1ns, must be at most one in a nanosecond"},
		{resilience.RateLimit(1, time.Second, -1), "RateLimit: MaxWait is -1ns, must not be negative"},
		{resilience.RateLimit(1, time.Second, once, once), "RateLimit: MaxWait is given more than once"},
	}
	for i, test := range tests {
		err := invalid(test.option)
		if test.want == "" {
			require.NoError(t, err, fmt.Sprint(i))
			continue
		}
		require.EqualError(t, err, "handler of resilience_test.Charge: resilience."+test.want)
	}
}
