package resilience

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/seed57833328/rondo/effect"
)

// RetryConfig says which failures of a handler are tried again, and when. The
// zero value is three attempts, 100 ms and 200 ms apart, as in
// effect.RetryPolicy.
type RetryConfig struct {
	// Attempts is how many there are at most, the first included; 0 is 3.
	Attempts int
	// Delay is the wait before the second attempt; 0 is 100 ms.
	Delay time.Duration
	// MaxDelay bounds the waits before they are spread; 0 is 30 s, or Delay if
	// that is longer.
	MaxDelay time.Duration
	// Factor is what a wait is multiplied with for the next; 0 is 2, 1 keeps it.
	Factor float64
	// Jitter spreads each wait at random over ±Jitter of itself, from 0 to 1, so
	// that callers who failed together do not come back together.
	Jitter float64
	// If tells whether an error is worth another attempt. nil is
	// effect.Retryable, so that a version conflict or a declined card
	// (effect.Permanent) never is; nor is [ErrCircuitOpen], which is passed on
	// at once.
	If func(error) bool
	// Hooks are called before each wait and when the attempts are used up.
	Hooks Hooks
}

// Retry calls what stands below it again when it fails, by the policy. The
// result is that of the last attempt. Attempts never overlap.
//
// No attempt follows once the context has ended. If that happens between two
// attempts, the error is the context's, so that a cancelled call is a
// cancelled call, and tells of the attempt before in its text. A panic is not
// tried again.
//
// Around a stream a retry starts the stream from its beginning, and the values
// that had come before come again: give it to streams whose consumer can take
// that.
func Retry(cfg RetryConfig) effect.HandlerOption {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return invalid("Retry", err)
	}
	r := &retry{worthIt: cfg.If, executor: failsafe.With[any](cfg.policy())}
	return effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			value, err := next(ctx, request)
			if err == nil {
				return value, nil
			}
			return r.again(ctx, request, next, err)
		}
	})
}

func (c RetryConfig) withDefaults() RetryConfig {
	if c.Attempts == 0 {
		c.Attempts = 3
	}
	if c.Delay == 0 {
		c.Delay = 100 * time.Millisecond
	}
	if c.MaxDelay == 0 {
		c.MaxDelay = max(30*time.Second, c.Delay)
	}
	if c.Factor == 0 {
		c.Factor = 2
	}
	if c.If == nil {
		c.If = func(err error) bool { return effect.Retryable(err) && !errors.Is(err, ErrCircuitOpen) }
	}
	c.Hooks = c.Hooks.withDefaults()
	return c
}

func (c RetryConfig) validate() error {
	switch {
	case c.Attempts < 1:
		return fmt.Errorf("RetryConfig.Attempts is %d, must be at least 1 (or 0 for 3)", c.Attempts)
	case c.Delay < 0:
		return fmt.Errorf("RetryConfig.Delay is %v, must be positive (or 0 for 100ms)", c.Delay)
	case c.MaxDelay < c.Delay:
		return fmt.Errorf("RetryConfig.MaxDelay is %v, must be at least Delay, which is %v (or 0 for 30s)", c.MaxDelay, c.Delay)
	case !(c.Factor >= 1) || math.IsInf(c.Factor, 1):
		return fmt.Errorf("RetryConfig.Factor is %v, must be at least 1 and finite (or 0 for 2)", c.Factor)
	case !(c.Jitter >= 0 && c.Jitter <= 1):
		return fmt.Errorf("RetryConfig.Jitter is %v, must be from 0 to 1", c.Jitter)
	case float64(c.MaxDelay)*max(c.Factor, 1+c.Jitter) >= math.MaxInt64:
		// The product is computed before it is bounded, and must not overflow.
		return fmt.Errorf("RetryConfig.MaxDelay is %v and Factor %v, their product must be a duration (less than 292 years)", c.MaxDelay, c.Factor)
	}
	return nil
}

func (c RetryConfig) policy() retrypolicy.RetryPolicy[any] {
	return retrypolicy.NewBuilder[any]().
		WithMaxAttempts(c.Attempts).
		WithBackoffFactor(c.Delay, c.MaxDelay, c.Factor).
		WithJitterFactor(c.Jitter).
		HandleIf(func(_ any, err error) bool { return err != nil && c.If(err) }).
		ReturnLastFailure().
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[any]) {
			c.Hooks.Retrying(e.Context(), retryEvent(e, e.Delay))
		}).
		OnRetriesExceeded(func(e failsafe.ExecutionEvent[any]) {
			c.Hooks.GaveUp(e.Context(), retryEvent(e, 0))
		}).
		Build()
}

func retryEvent(a failsafe.ExecutionAttempt[any], delay time.Duration) RetryEvent {
	return RetryEvent{Request: a.Context().Value(requestKey{}), Attempt: a.Attempts(), Err: a.LastError(), Delay: delay}
}

// requestKey carries the request to the hooks.
type requestKey struct{}

// retry is a policy, shared by the calls of its handlers. It keeps no state.
type retry struct {
	executor failsafe.Executor[any]
	worthIt  func(error) bool
}

// again goes on after a first attempt that failed with err. The library starts
// here, so that a call that succeeds at once costs nothing.
func (r *retry) again(ctx context.Context, request any, next effect.Invoker, err error) (any, error) {
	var value any
	attempts := 0
	attempt := func() error {
		if attempts++; attempts > 1 {
			value, err = next(ctx, request)
		}
		return err
	}
	_ = r.executor.WithContext(context.WithValue(ctx, requestKey{}, request)).Run(attempt)

	// The library's own answer is that of the last attempt, unless the context
	// has ended: then it drops what the attempt came to, a success too.
	switch {
	case err == nil:
		return value, nil
	case ctx.Err() == nil, errors.Is(err, ctx.Err()), !r.worthIt(err):
		return nil, err
	}
	return nil, fmt.Errorf("%w; attempt %d had failed: %v", ending(ctx), attempts, err) //nolint:errorlint // the context's error is the answer: a wrapped second one could deny that it is a cancellation
}
