package resilience

import (
	"context"
	"time"
)

// Hooks are called when something happens that a log or a metric wants to know;
// those left nil do nothing. One value may serve any number of policies. They
// are called by the goroutine of the call concerned, which waits for them, and
// from several at once unless said otherwise. A hook that panics is a panic of
// that call.
type Hooks struct {
	// Retrying is called by a [Retry] when an attempt has failed and another is
	// to follow, before the wait. ctx is the call's own.
	Retrying func(ctx context.Context, e RetryEvent)
	// GaveUp is called by a [Retry] when the last attempt it allows has failed.
	GaveUp func(ctx context.Context, e RetryEvent)
	// StateChanged is called by a [CircuitBreaker] when its state has changed:
	// for each breaker in the order of the changes, one at a time.
	StateChanged func(e StateEvent)
}

// RetryEvent is an attempt that failed.
type RetryEvent struct {
	// Request is what was asked; its type names the handler.
	Request any
	// Attempt is the number of the attempt, 1 for the first.
	Attempt int
	// Err is what the attempt failed with.
	Err error
	// Delay is the wait before the next attempt; 0 when there is none.
	Delay time.Duration
}

// StateEvent is a change of a circuit breaker's state.
type StateEvent struct {
	// Breaker is the Name of its configuration.
	Breaker string
	// From is the state before.
	From State
	// To is the state now.
	To State
}

func (h Hooks) withDefaults() Hooks {
	if h.Retrying == nil {
		h.Retrying = func(context.Context, RetryEvent) {}
	}
	if h.GaveUp == nil {
		h.GaveUp = func(context.Context, RetryEvent) {}
	}
	if h.StateChanged == nil {
		h.StateChanged = func(StateEvent) {}
	}
	return h
}
