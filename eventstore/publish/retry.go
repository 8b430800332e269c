package publish

import (
	"context"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// again goes on after a first attempt that failed with err. It calls f until that
// succeeds, fails with something that is final, or fails for the last of the
// attempts, 0 of which are without end; and returns the last attempt's error.
// It ends early when ctx does.
func (p *Publisher) again(ctx context.Context, what RetryInfo, attempts int, final func(error) bool, err error, f func(attempt int) error) error {
	if err == nil {
		return nil
	}
	if attempts == 0 {
		attempts = -1
	}
	policy := retrypolicy.NewBuilder[any]().
		WithMaxAttempts(attempts).
		WithBackoff(p.cfg.RetryDelay, p.cfg.MaxRetryDelay).
		WithJitterFactor(retryJitter).
		HandleIf(func(_ any, err error) bool { return err != nil && !final(err) }).
		ReturnLastFailure().
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[any]) {
			what.Subscription, what.Attempt, what.Delay, what.Err = p.name, e.Attempts(), e.Delay, err
			p.cfg.Hooks.Retrying(what)
		}).
		Build()
	attempt := 0
	// What the library returns is not looked at: when the context ends it drops
	// what the last attempt came to, a success too.
	_ = failsafe.With[any](policy).WithContext(ctx).Run(func() error {
		if attempt++; attempt > 1 {
			err = f(attempt)
		}
		return err
	})
	return err
}
