package resilience_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	timeout := func() effect.HandlerOption { return resilience.Timeout(time.Second) }
	retry := func() effect.HandlerOption {
		return resilience.Retry(resilience.RetryConfig{Attempts: 4, Delay: 100 * time.Millisecond, Factor: 1})
	}
	breaker := func() effect.HandlerOption {
		return resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 3})
	}
	concurrency := func() effect.HandlerOption { return resilience.Concurrency(1) }
	type policies []func() effect.HandlerOption

	tests := []struct {
		name     string
		policies policies
		answer   func(context.Context) (string, error)
		err      error
		calls    int
		after    time.Duration
	}{
		{
			name: "timeout around retry bounds it all", policies: policies{timeout, retry}, answer: takes(time.Minute),
			err: resilience.ErrTimeout, calls: 1, after: time.Second,
		},
		{
			name: "timeout inside retry bounds each attempt", policies: policies{retry, timeout}, answer: takes(time.Minute),
			err: resilience.ErrTimeout, calls: 4, after: 4300 * time.Millisecond,
		},
		{
			name: "retry around breaker is stopped by it", policies: policies{retry, breaker}, answer: fails(errReset),
			err: resilience.ErrCircuitOpen, calls: 3, after: 300 * time.Millisecond,
		},
		{
			name: "retry inside breaker is one failure", policies: policies{breaker, retry}, answer: fails(errReset),
			err: errReset, calls: 4, after: 300 * time.Millisecond,
		},
		{
			name: "attempts never overlap", policies: policies{retry, timeout, concurrency}, answer: ignores(2*time.Second, "paid", nil),
			err: resilience.ErrTimeout, calls: 4, after: 8300 * time.Millisecond,
		},
		{
			name: "slowness opens a breaker around a timeout", policies: policies{retry, breaker, timeout}, answer: takes(time.Minute),
			err: resilience.ErrCircuitOpen, calls: 3, after: 3300 * time.Millisecond,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var options []effect.HandlerOption
				for _, policy := range test.policies {
					options = append(options, policy())
				}
				s := serve(test.answer)
				began := time.Now()
				_, err := ask(t.Context(), effect.Handle(s.Charge, options...), Charge{})
				require.ErrorIs(t, err, test.err)
				require.EqualValues(t, test.calls, s.calls.Load())
				require.EqualValues(t, 1, s.most.Load())
				require.Equal(t, test.after, time.Since(began))
			})
		})
	}
}

// The order the package documentation recommends, as its words have it.
func TestRecommendedOrder(t *testing.T) {
	t.Parallel()
	policies := func() []effect.HandlerOption {
		return []effect.HandlerOption{
			resilience.Timeout(10 * time.Second),
			resilience.Retry(resilience.RetryConfig{Attempts: 4, Delay: 50 * time.Millisecond, MaxDelay: time.Second, Jitter: 0.2}),
			resilience.Concurrency(8),
			resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 5, Delay: 10 * time.Second}),
			resilience.RateLimit(100, time.Second),
			resilience.Timeout(2 * time.Second),
		}
	}
	t.Run("a healthy service serves all", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(takes(10 * time.Millisecond))
			errs, took := crowd(t.Context(), 500, effect.Handle(s.Charge, policies()...))
			require.Empty(t, errs)
			require.InDelta(t, 5*time.Second, took, float64(50*time.Millisecond))
		})
	})
	t.Run("a hiccup goes unnoticed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			value, err := ask(t.Context(), effect.Handle(serve(fails(errReset), takes(time.Minute), ok).Charge, policies()...), Charge{})
			require.NoError(t, err)
			require.Equal(t, "paid", value)
		})
	})
	t.Run("a dead service is left alone and comes back", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(takes(time.Minute))
			h := effect.Handle(s.Charge, policies()...)
			errs, took := crowd(t.Context(), 500, h)
			require.Len(t, errs, 500)
			require.LessOrEqual(t, took, 10*time.Second)
			require.LessOrEqual(t, s.calls.Load(), int32(5+7), "no more than opened the circuit, and ran beside those")
			pass(10 * time.Second)
			s.answers[0] = ok
			_, err := ask(t.Context(), h, Charge{})
			require.NoError(t, err)
		})
	})
}

func TestABreakerIsSharedByItsHandlers(t *testing.T) {
	t.Parallel()
	gateway := resilience.CircuitBreaker(resilience.BreakerConfig{Failures: 1})
	down, up := effect.Handle(serve(fails(errReset)).Charge, gateway), effect.Handle(serve(ok).Charge, gateway)
	_, err := ask(t.Context(), up, Charge{})
	require.NoError(t, err)
	_, err = ask(t.Context(), down, Charge{})
	require.ErrorIs(t, err, errReset)
	_, err = ask(t.Context(), up, Charge{})
	require.ErrorIs(t, err, resilience.ErrCircuitOpen)
}

func TestEveryBadOptionIsNamed(t *testing.T) {
	t.Parallel()
	h := effect.Handle(serve(ok).Charge, resilience.Timeout(0), resilience.Concurrency(4), resilience.RateLimit(0, time.Second))
	_, err := ask(t.Context(), h, Charge{})
	require.EqualError(t, err, "handler of resilience_test.Charge: "+
		"resilience.Timeout: duration is 0s, must be positive\n"+
		"resilience.RateLimit: limit is 0, must be at least 1")
}

// A call that is let through at once costs no allocations, but for a timeout,
// whose context has to be made.
func TestAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	tests := []struct {
		name   string
		option effect.HandlerOption
		want   float64
	}{
		{"Timeout", resilience.Timeout(time.Minute), 4},
		{"Retry", resilience.Retry(resilience.RetryConfig{}), 0},
		{"CircuitBreaker", resilience.CircuitBreaker(resilience.BreakerConfig{}), 0},
		{"Concurrency", resilience.Concurrency(8), 0},
		{"RateLimit", resilience.RateLimit(1e9, time.Second), 0},
	}
	for _, test := range tests {
		var request, value any = Charge{Cents: 1}, "paid"
		answers := effect.WithMiddleware(func(effect.Invoker) effect.Invoker {
			return func(context.Context, any) (any, error) { return value, nil }
		})
		wrapped := effect.Inside(effect.Handle(serve(ok).Charge, test.option, answers)).Wrapped
		ctx := t.Context()
		got := testing.AllocsPerRun(100, func() { _, _ = wrapped(ctx, request) })
		require.LessOrEqual(t, got, test.want, test.name)
	}
}
