package resilience

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/ratelimiter"

	"github.com/seed57833328/rondo/effect"
)

// MaxWait bounds how long a call waits under a [Concurrency] or [RateLimit]
// limit. MaxWait(0) refuses at once what would have to wait. Without one a call
// waits as long as its context lets it.
type MaxWait time.Duration

// noBound is how long a call waits without a MaxWait.
const noBound MaxWait = -1

// Concurrency lets at most limit calls run at once: a bulkhead. Further calls
// wait for a slot in the order in which they came. One that has waited for
// MaxWait, or until its deadline, is refused with [ErrConcurrencyLimit]; one
// that is cancelled while it waits ends with its cancellation. limit must be
// positive.
//
// It spares the service. To keep a slow service from taking every worker of the
// store as well (store.Config.Workers), give a short MaxWait: a call that waits
// keeps its worker.
//
// All handlers the option is given to share the slots. A stream keeps its slot
// until it ends.
func Concurrency(limit int, wait ...MaxWait) effect.HandlerOption {
	most, err := maxWait(wait)
	switch {
	case limit < 1:
		return invalid("Concurrency", fmt.Errorf("limit is %d, must be at least 1", limit))
	case err != nil:
		return invalid("Concurrency", err)
	}
	slots := bulkhead.New[any](uint(limit))
	full := fmt.Errorf("%w: %d calls are running", ErrConcurrencyLimit, limit)
	acquire := func(ctx context.Context) (err error) {
		if most == noBound {
			err = slots.AcquirePermit(ctx)
		} else {
			err = slots.AcquirePermitWithMaxWait(ctx, time.Duration(most))
		}
		if err == nil && ctx.Err() != nil { // both came at once
			slots.ReleasePermit()
			err = ctx.Err()
		}
		return err
	}
	return effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			if err := admit(ctx, acquire, full); err != nil {
				return nil, err
			}
			// Not through the library's executor, which keeps the slot for ever
			// when the handler panics.
			defer slots.ReleasePermit()
			return next(ctx, request)
		}
	})
}

// RateLimit lets limit calls start in each per, evenly: one every per/limit, as
// a gateway's quota wants it, and never two quotas on the two sides of a
// window's edge. Further calls wait their turn in the order in which they came.
// One whose turn would come after MaxWait, or after its deadline, is refused at
// once with [ErrRateLimited]; one that is cancelled while it waits ends with its
// cancellation, and its turn passes unused. limit must be positive and per at
// least limit nanoseconds.
//
// All handlers the option is given to share the rate. A stream counts when it
// starts, not with its values.
func RateLimit(limit int, per time.Duration, wait ...MaxWait) effect.HandlerOption {
	most, err := maxWait(wait)
	switch {
	case limit < 1:
		return invalid("RateLimit", fmt.Errorf("limit is %d, must be at least 1", limit))
	case per <= 0:
		return invalid("RateLimit", fmt.Errorf("period is %v, must be positive", per))
	case per/time.Duration(limit) == 0:
		return invalid("RateLimit", fmt.Errorf("limit is %d in %v, must be at most one in a nanosecond", limit, per))
	case err != nil:
		return invalid("RateLimit", err)
	}
	turns := ratelimiter.NewSmooth[any](uint(limit), per)
	over := fmt.Errorf("%w: %d in %v", ErrRateLimited, limit, per)
	acquire := func(ctx context.Context) error {
		if turns.TryAcquirePermit() {
			return nil // without the timer that the call below makes for any wait
		}
		most := most
		if deadline, ok := ctx.Deadline(); ok {
			left := MaxWait(max(0, time.Until(deadline)))
			if most == noBound || left < most {
				most = left
			}
		}
		if most == noBound {
			return turns.AcquirePermit(ctx)
		}
		return turns.AcquirePermitWithMaxWait(ctx, time.Duration(most))
	}
	return effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			if err := admit(ctx, acquire, over); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}
	})
}

// admit waits at a limit. A call that is not let in gets limited as its error,
// or, when its caller gave up, that.
func admit(ctx context.Context, acquire func(context.Context) error, limited error) error {
	if ctx.Err() == nil {
		err := acquire(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			return limited
		}
	}
	if outOfTime(ctx) {
		return fmt.Errorf("%w: %w", limited, ending(ctx))
	}
	return ending(ctx)
}

func maxWait(wait []MaxWait) (MaxWait, error) {
	switch {
	case len(wait) == 0:
		return noBound, nil
	case len(wait) > 1:
		return 0, errors.New("MaxWait is given more than once")
	case wait[0] < 0:
		return 0, fmt.Errorf("MaxWait is %v, must not be negative", time.Duration(wait[0]))
	}
	return wait[0], nil
}
