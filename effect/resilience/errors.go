package resilience

import (
	"context"
	"errors"
	"fmt"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/timeout"

	"github.com/seed57833328/rondo/effect"
)

// What the policies answer with in a handler's place. Each is found with
// errors.Is, as is the error of failsafe-go that it wraps. Another attempt may
// mend any of them: effect.Retryable is true.
var (
	// ErrTimeout is the error of a call that took longer than its [Timeout]. It
	// wraps effect.ErrTimeout, and with it context.DeadlineExceeded.
	ErrTimeout error = &policyError{"handler timed out", []error{effect.ErrTimeout, timeout.ErrExceeded}}
	// ErrCircuitOpen is the error of a call that a [CircuitBreaker] refused. The
	// handler was not called.
	ErrCircuitOpen error = &policyError{"circuit open", []error{circuitbreaker.ErrOpen}}
	// ErrConcurrencyLimit is the error of a call that got no slot of a
	// [Concurrency] limit in time. The handler was not called.
	ErrConcurrencyLimit error = &policyError{"concurrency limit reached", []error{bulkhead.ErrFull}}
	// ErrRateLimited is the error of a call that would have had to wait too long
	// for its turn under a [RateLimit]. The handler was not called.
	ErrRateLimited error = &policyError{"rate limit reached", []error{ratelimiter.ErrExceeded}}
)

// policyError is one of the errors above.
type policyError struct {
	text  string
	wraps []error
}

func (e *policyError) Error() string   { return e.text }
func (e *policyError) Unwrap() []error { return e.wraps }

// refused tells whether err says that a policy of this package kept a call from
// the handler.
func refused(err error) bool {
	return errors.Is(err, ErrCircuitOpen) || errors.Is(err, ErrConcurrencyLimit) || errors.Is(err, ErrRateLimited)
}

// ending is why ctx ended: its cause, and in any case its error.
func ending(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// outOfTime tells whether ctx ended because time ran out, and not because the
// caller gave up.
func outOfTime(ctx context.Context) bool {
	return ctx.Err() != nil && errors.Is(ending(ctx), context.DeadlineExceeded)
}

// invalid is the option that a policy given bad input comes to.
func invalid(policy string, err error) effect.HandlerOption {
	return effect.InvalidOption(fmt.Errorf("resilience.%s: %w", policy, err))
}
