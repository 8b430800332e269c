package resilience_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	reset := fails(errReset)
	tests := []struct {
		name    string
		cfg     resilience.RetryConfig
		answers []func(context.Context) (string, error)
		value   string
		err     error
		calls   int
		after   time.Duration
	}{
		{
			name: "success at once", answers: []func(context.Context) (string, error){ok},
			value: "paid", calls: 1,
		},
		{
			name: "the defaults are three attempts, 100 and 200 ms apart", answers: []func(context.Context) (string, error){reset},
			err: errReset, calls: 3, after: 300 * time.Millisecond,
		},
		{
			name: "success at the second attempt", answers: []func(context.Context) (string, error){reset, ok},
			value: "paid", calls: 2, after: 100 * time.Millisecond,
		},
		{
			name:    "waits grow by the factor up to the bound",
			cfg:     resilience.RetryConfig{Attempts: 6, Delay: 100 * time.Millisecond, Factor: 3, MaxDelay: time.Second},
			answers: []func(context.Context) (string, error){reset},
			err:     errReset, calls: 6, after: (100 + 300 + 900 + 1000 + 1000) * time.Millisecond,
		},
		{
			name:    "a factor of one keeps the wait",
			cfg:     resilience.RetryConfig{Attempts: 4, Delay: time.Second, Factor: 1},
			answers: []func(context.Context) (string, error){reset},
			err:     errReset, calls: 4, after: 3 * time.Second,
		},
		{
			name:    "a delay above the default bound moves it",
			cfg:     resilience.RetryConfig{Delay: time.Minute},
			answers: []func(context.Context) (string, error){reset},
			err:     errReset, calls: 3, after: 2 * time.Minute,
		},
		{
			name: "one attempt is none again", cfg: resilience.RetryConfig{Attempts: 1},
			answers: []func(context.Context) (string, error){reset},
			err:     errReset, calls: 1,
		},
		{
			name:    "a permanent error is the answer",
			answers: []func(context.Context) (string, error){fails(effect.Permanent(errDeclined))},
			err:     errDeclined, calls: 1,
		},
		{
			name:    "a permanent error ends the attempts",
			answers: []func(context.Context) (string, error){reset, fails(effect.Permanent(errDeclined)), ok},
			err:     errDeclined, calls: 2, after: 100 * time.Millisecond,
		},
		{
			name:    "a cancellation of the handler's own making is not tried again",
			answers: []func(context.Context) (string, error){fails(context.Canceled)},
			err:     context.Canceled, calls: 1,
		},
		{
			name:    "an open circuit is not tried again",
			answers: []func(context.Context) (string, error){fails(resilience.ErrCircuitOpen)},
			err:     resilience.ErrCircuitOpen, calls: 1,
		},
		{
			name:    "a refusal by a limit is tried again",
			answers: []func(context.Context) (string, error){fails(resilience.ErrConcurrencyLimit), fails(resilience.ErrRateLimited), ok},
			value:   "paid", calls: 3, after: 300 * time.Millisecond,
		},
		{
			name:    "the classifier decides",
			cfg:     resilience.RetryConfig{If: func(err error) bool { return errors.Is(err, errDeclined) }},
			answers: []func(context.Context) (string, error){fails(effect.Permanent(errDeclined)), reset, ok},
			err:     errReset, calls: 2, after: 100 * time.Millisecond,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := serve(test.answers...)
				h := effect.Handle(s.Charge, resilience.Retry(test.cfg))
				began := time.Now()
				value, err := ask(t.Context(), h, Charge{})
				require.Equal(t, test.value, value)
				require.ErrorIs(t, err, test.err)
				require.EqualValues(t, test.calls, s.calls.Load())
				require.Equal(t, test.after, time.Since(began))
			})
		})
	}
}

func TestRetryReturnsTheErrorOfTheLastAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		last := errors.New("the last")
		s := serve(fails(errReset), fails(last))
		_, err := ask(t.Context(), effect.Handle(s.Charge, resilience.Retry(resilience.RetryConfig{})), Charge{})
		require.Same(t, last, err)
	})
}

func TestRetryJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		cfg := resilience.RetryConfig{Attempts: 101, Delay: time.Second, Factor: 1, Jitter: 0.2, Hooks: resilience.Hooks{
			Retrying: func(_ context.Context, e resilience.RetryEvent) { waits[e.Delay] = true },
		}}
		began := time.Now()
		_, err := ask(t.Context(), effect.Handle(serve(fails(errReset)).Charge, resilience.Retry(cfg)), Charge{})
		require.ErrorIs(t, err, errReset)
		var sum time.Duration
		for d := range waits {
			require.InDelta(t, time.Second, d, float64(200*time.Millisecond))
			sum += d
		}
		require.Greater(t, len(waits), 90, "waits are spread")
		if len(waits) == 100 {
			require.Equal(t, sum, time.Since(began), "the hook is told the wait there is")
		}
	})
}

func TestRetryHooks(t *testing.T) {
	t.Parallel()
	type key struct{}
	setup := func(t *testing.T, answers ...func(context.Context) (string, error)) (retrying, gaveUp []resilience.RetryEvent) {
		t.Helper()
		hooks := resilience.Hooks{
			Retrying: func(ctx context.Context, e resilience.RetryEvent) {
				require.Equal(t, "mine", ctx.Value(key{}))
				retrying = append(retrying, e)
			},
			GaveUp: func(ctx context.Context, e resilience.RetryEvent) {
				require.Equal(t, "mine", ctx.Value(key{}))
				gaveUp = append(gaveUp, e)
			},
		}
		h := effect.Handle(serve(answers...).Charge, resilience.Retry(resilience.RetryConfig{Hooks: hooks}))
		_, _ = ask(context.WithValue(t.Context(), key{}, "mine"), h, Charge{Cents: 7})
		return retrying, gaveUp
	}
	first := resilience.RetryEvent{Request: Charge{Cents: 7}, Attempt: 1, Err: errReset, Delay: 100 * time.Millisecond}
	second := resilience.RetryEvent{Request: Charge{Cents: 7}, Attempt: 2, Err: errReset, Delay: 200 * time.Millisecond}
	third := resilience.RetryEvent{Request: Charge{Cents: 7}, Attempt: 3, Err: errReset}

	tests := []struct {
		name     string
		answers  []func(context.Context) (string, error)
		retrying []resilience.RetryEvent
		gaveUp   []resilience.RetryEvent
	}{
		{name: "success", answers: []func(context.Context) (string, error){ok}},
		{name: "success in the end", answers: []func(context.Context) (string, error){fails(errReset), ok}, retrying: []resilience.RetryEvent{first}},
		{name: "a permanent error", answers: []func(context.Context) (string, error){fails(effect.Permanent(errDeclined))}},
		{
			name: "attempts used up", answers: []func(context.Context) (string, error){fails(errReset)},
			retrying: []resilience.RetryEvent{first, second}, gaveUp: []resilience.RetryEvent{third},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				retrying, gaveUp := setup(t, test.answers...)
				require.Equal(t, test.retrying, retrying)
				require.Equal(t, test.gaveUp, gaveUp)
			})
		})
	}
}

func TestRetryAndTheEndOfItsContext(t *testing.T) {
	t.Parallel()
	cfg := resilience.RetryConfig{Delay: time.Second}

	t.Run("cancelled between attempts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			began := time.Now()
			s := serve(fails(errReset))
			_, err := ask(ctx, effect.Handle(s.Charge, resilience.Retry(cfg)), Charge{})
			require.ErrorIs(t, err, context.Canceled)
			require.EqualError(t, err, "context canceled; attempt 1 had failed: connection reset")
			require.EqualValues(t, 1, s.calls.Load())
			require.Equal(t, 500*time.Millisecond, time.Since(began), "the wait ends at once")
		})
	})
	t.Run("cancelled with a cause", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			cause := errors.New("customer left")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(500*time.Millisecond, func() { cancel(cause) })
			_, err := ask(ctx, effect.Handle(serve(fails(errReset)).Charge, resilience.Retry(cfg)), Charge{})
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
		})
	})
	t.Run("a deadline between attempts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := serve(fails(errReset))
			h := effect.Handle(s.Charge, resilience.Timeout(1500*time.Millisecond), resilience.Retry(cfg))
			_, err := ask(t.Context(), h, Charge{})
			require.ErrorIs(t, err, resilience.ErrTimeout)
			require.EqualError(t, err, "handler timed out after 1.5s; attempt 2 had failed: connection reset")
			require.EqualValues(t, 2, s.calls.Load())
		})
	})
	t.Run("an attempt that succeeds all the same is a success", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2*time.Second, cancel)
			s := serve(fails(errReset), ignores(3*time.Second, "paid", nil))
			value, err := ask(ctx, effect.Handle(s.Charge, resilience.Retry(cfg)), Charge{})
			require.NoError(t, err)
			require.Equal(t, "paid", value)
		})
	})
	t.Run("an attempt that is declined all the same is declined", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2*time.Second, cancel)
			s := serve(fails(errReset), ignores(3*time.Second, "", effect.Permanent(errDeclined)))
			_, err := ask(ctx, effect.Handle(s.Charge, resilience.Retry(cfg)), Charge{})
			require.ErrorIs(t, err, errDeclined)
		})
	})
	t.Run("what the handler makes of a cancellation is kept", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, cancel)
			s := serve(takes(time.Minute))
			_, err := ask(ctx, effect.Handle(s.Charge, resilience.Retry(cfg)), Charge{})
			require.Same(t, context.Canceled, err)
			require.EqualValues(t, 1, s.calls.Load())
		})
	})
}

func TestRetryDoesNotRepeatAPanic(t *testing.T) {
	t.Parallel()
	for _, answers := range [][]func(context.Context) (string, error){
		{panics("boom"), ok},
		{fails(errReset), panics("boom"), ok},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(answers...)
			_, err := ask(t.Context(), effect.Handle(s.Charge, resilience.Retry(resilience.RetryConfig{})), Charge{})
			var panicked *effect.PanicError
			require.ErrorAs(t, err, &panicked)
			require.Equal(t, "boom", panicked.Value)
			require.EqualValues(t, len(answers)-1, s.calls.Load())
		})
	}
}

func TestRetryRestartsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(fails(errReset), ok)
		got, err := listen(t.Context(), effect.HandleStream(s.Prices, resilience.Retry(resilience.RetryConfig{})), Charge{})
		require.Equal(t, []string{"first", "first", "paid"}, got)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestRetryDoesNotRestartAStreamThatWasStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := serve(ok)
		ctx, cancel := context.WithCancelCause(t.Context())
		got, err := listen(ctx, effect.HandleStream(s.Prices, resilience.Retry(resilience.RetryConfig{})), Charge{}, func(string) bool {
			cancel(errors.New("enough"))
			return false
		})
		require.Equal(t, []string{"first"}, got)
		require.Error(t, err)
	})
}

func TestRetryRefusesBadInput(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cfg  resilience.RetryConfig
		want string // empty is good
	}{
		{resilience.RetryConfig{}, ""},
		{resilience.RetryConfig{Attempts: 1, Delay: 1, MaxDelay: 1, Factor: 1, Jitter: 1}, ""},
		{resilience.RetryConfig{Attempts: -1}, "RetryConfig.Attempts is -1, must be at least 1 (or 0 for 3)"},
		{resilience.RetryConfig{Delay: -1}, "RetryConfig.Delay is -1ns, must be positive (or 0 for 100ms)"},
		{resilience.RetryConfig{MaxDelay: -1}, "RetryConfig.MaxDelay is -1ns, must be at least Delay, which is 100ms (or 0 for 30s)"},
		{resilience.RetryConfig{Delay: 2, MaxDelay: 1}, "RetryConfig.MaxDelay is 1ns, must be at least Delay, which is 2ns (or 0 for 30s)"},
		{resilience.RetryConfig{Factor: 0.5}, "RetryConfig.Factor is 0.5, must be at least 1 and finite (or 0 for 2)"},
		{resilience.RetryConfig{Factor: -1}, "RetryConfig.Factor is -1, must be at least 1 and finite (or 0 for 2)"},
		{resilience.RetryConfig{Factor: math.NaN()}, "RetryConfig.Factor is NaN, must be at least 1 and finite (or 0 for 2)"},
		{resilience.RetryConfig{Factor: math.Inf(1)}, "RetryConfig.Factor is +Inf, must be at least 1 and finite (or 0 for 2)"},
		{resilience.RetryConfig{Factor: 1e12}, "RetryConfig.MaxDelay is 30s and Factor 1e+12, their product must be a duration (less than 292 years)"},
		{resilience.RetryConfig{Jitter: -0.1}, "RetryConfig.Jitter is -0.1, must be from 0 to 1"},
		{resilience.RetryConfig{Jitter: 1.1}, "RetryConfig.Jitter is 1.1, must be from 0 to 1"},
		{resilience.RetryConfig{Jitter: math.NaN()}, "RetryConfig.Jitter is NaN, must be from 0 to 1"},
	}
	for _, test := range tests {
		err := invalid(resilience.Retry(test.cfg))
		if test.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, "handler of resilience_test.Charge: resilience.Retry: "+test.want)
	}
}
