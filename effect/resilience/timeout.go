package resilience

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
)

// Timeout bounds what stands below it to d, which must be positive. When d has
// passed, the context below it ends and the call's error is [ErrTimeout].
//
// The handler sees d as its context's deadline, so that drivers and remote
// calls can pass it on. It is waited for all the same: a handler that does not
// heed its context is not left running behind the caller's back, with its slot
// of a [Concurrency] limit given away or beside the next attempt of a [Retry].
// Whatever it returns after d is dropped, a value too; the result is one
// [ErrTimeout]. To stop waiting for such a handler put effect.Timeout on the
// request.
//
// If the caller's context ends first, the result is what the handler made of
// that. Around a stream, d bounds the stream from its start to its end.
func Timeout(d time.Duration) effect.HandlerOption {
	if d <= 0 {
		return invalid("Timeout", fmt.Errorf("duration is %v, must be positive", d))
	}
	// The standard library rather than failsafe-go's Timeout: that one gives the
	// handler no deadline to pass on, and ends its context without a cause, by
	// which a breaker below could not tell slowness from a caller who gave up.
	expired := fmt.Errorf("%w after %v", ErrTimeout, d)
	return effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			ctx, cancel := context.WithTimeoutCause(ctx, d, expired)
			defer cancel()
			value, err := next(ctx, request)
			if !errors.Is(context.Cause(ctx), expired) {
				return value, err
			}
			return nil, timedOut(expired, err)
		}
	})
}

// timedOut is expired with what the handler says of where that found it. An
// error that has nothing to do with the deadline came late and is dropped.
func timedOut(expired, err error) error {
	switch {
	case errors.Is(err, context.Canceled), !errors.Is(err, context.DeadlineExceeded):
		return expired
	case errors.Is(err, expired):
		return err
	}
	return fmt.Errorf("%w: %w", expired, err)
}
