package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/seed57833328/rondo/effect"
)

// State is that of a circuit breaker.
type State uint8

// The states of a circuit breaker.
const (
	// Closed lets every call through.
	Closed State = iota
	// Open refuses every call, until Delay has passed.
	Open
	// HalfOpen lets a few calls through, the probes, to see whether they succeed.
	HalfOpen
)

func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "unknown"
}

// BreakerConfig says when a circuit breaker opens and closes. The zero value
// opens after five failures in a row and tries one call after 10 s.
type BreakerConfig struct {
	// Name tells breakers apart in errors and hooks; it may be empty.
	Name string
	// Failures is how many failures open the circuit; 0 is 5. They must come in
	// a row, unless Of or Within says otherwise.
	Failures int
	// Of makes it Failures out of the last Of calls; 0 is in a row. It is at
	// least Failures, and not given together with Within.
	Of int
	// Within makes it Failures in this time, whatever succeeds between them; 0
	// is in a row. It is at least 1 ms.
	Within time.Duration
	// Delay is how long the circuit stays open before it is tried; 0 is 10 s.
	Delay time.Duration
	// Jitter spreads Delay at random over ±Jitter of itself, from 0 to 1, so
	// that breakers which opened together do not probe together.
	Jitter float64
	// Probes is how many calls are let through at once when Delay has passed,
	// and must all succeed for the circuit to close; 0 is 1.
	Probes int
	// If tells whether an error is the service's failure; nil is
	// effect.Retryable, so that a declined card (effect.Permanent) counts as
	// success: the service has answered. It is not asked about errors that say
	// nothing of the service, see [CircuitBreaker].
	If func(error) bool
	// Hooks are called when the state changes.
	Hooks Hooks
}

// CircuitBreaker stops calling a service that fails. While the circuit is open
// calls are refused at once with [ErrCircuitOpen], which spares the caller the
// wait and the service the load; after Delay a few probes decide whether it
// closes or stays open for another Delay.
//
// What counts: a success; an error, as failure if If says so and else as
// success; a panic, as failure. A call whose deadline passed counts by
// context.DeadlineExceeded, whoever set it. What does not count, since it says
// nothing of the service: a call that was cancelled; one that another policy of
// this package refused; one that began before the circuit last changed. A probe
// that says nothing leaves the circuit open for another Delay.
//
// A handler whose request has an effect.Timeout sees that as a cancellation, so
// it opens no circuit: that takes a [Timeout] in the handler.
//
// A probe that never returns keeps the circuit half open, so that all other
// calls are refused: have a [Timeout] in the same handler.
//
// All handlers the option is given to share the circuit. A stream is a success
// when it ends without an error, and not before.
func CircuitBreaker(cfg BreakerConfig) effect.HandlerOption {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return invalid("CircuitBreaker", err)
	}
	b := newBreaker(cfg)
	return effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			return b.call(ctx, request, next)
		}
	})
}

func (c BreakerConfig) withDefaults() BreakerConfig {
	if c.Failures == 0 {
		c.Failures = 5
	}
	if c.Delay == 0 {
		c.Delay = 10 * time.Second
	}
	if c.Probes == 0 {
		c.Probes = 1
	}
	if c.If == nil {
		c.If = effect.Retryable
	}
	c.Hooks = c.Hooks.withDefaults()
	return c
}

func (c BreakerConfig) validate() error {
	switch {
	case c.Failures < 1:
		return fmt.Errorf("BreakerConfig.Failures is %d, must be at least 1 (or 0 for 5)", c.Failures)
	case c.Of != 0 && c.Of < c.Failures:
		return fmt.Errorf("BreakerConfig.Of is %d, must be at least Failures, which is %d (or 0 for failures in a row)", c.Of, c.Failures)
	case c.Within != 0 && c.Within < time.Millisecond:
		return fmt.Errorf("BreakerConfig.Within is %v, must be at least 1ms (or 0 for failures in a row)", c.Within)
	case c.Of != 0 && c.Within != 0:
		return fmt.Errorf("BreakerConfig.Of is %d and Within %v, must not be given together", c.Of, c.Within)
	case c.Delay < 0:
		return fmt.Errorf("BreakerConfig.Delay is %v, must be positive (or 0 for 10s)", c.Delay)
	case !(c.Jitter >= 0 && c.Jitter <= 1):
		return fmt.Errorf("BreakerConfig.Jitter is %v, must be from 0 to 1", c.Jitter)
	case c.Probes < 1:
		return fmt.Errorf("BreakerConfig.Probes is %d, must be at least 1 (or 0 for 1)", c.Probes)
	}
	return nil
}

// breaker adds to the library's circuit what that leaves open: which era a
// result belongs to, results that say nothing, panics, and the order of events.
//
// The library is driven by its permits rather than its executor, which would
// keep a probe's permit for ever when the handler panics and count a cancelled
// call as an answer.
type breaker struct {
	name      string
	isFailure func(error) bool
	hook      func(StateEvent)
	open      error

	mu         sync.Mutex
	circuit    circuitbreaker.CircuitBreaker[any] // only touched under mu
	era        uint64                             // how often the state has changed
	events     []StateEvent                       // not yet told to hook
	delivering bool                               // somebody tells them
}

func newBreaker(cfg BreakerConfig) *breaker {
	b := &breaker{name: cfg.Name, isFailure: cfg.If, hook: cfg.Hooks.StateChanged, open: ErrCircuitOpen}
	if cfg.Name != "" {
		b.open = fmt.Errorf("%w: %s", ErrCircuitOpen, cfg.Name)
	}
	failures, probes := uint(cfg.Failures), uint(cfg.Probes) //nolint:gosec // validated to be positive
	builder := circuitbreaker.NewBuilder[any]().
		WithDelay(cfg.Delay).
		WithJitterFactor(cfg.Jitter).
		WithSuccessThreshold(probes).
		OnStateChanged(b.changed)
	switch {
	case cfg.Of != 0:
		builder = builder.WithFailureThresholdRatio(failures, uint(cfg.Of)) //nolint:gosec // as above
	case cfg.Within != 0:
		builder = builder.WithFailureThresholdPeriod(failures, cfg.Within)
	default:
		builder = builder.WithFailureThreshold(failures)
	}
	b.circuit = builder.Build()
	return b
}

// verdict is what a call says of the service.
type verdict uint8

const (
	failure verdict = iota
	success
	nothing
)

func (b *breaker) call(ctx context.Context, request any, next effect.Invoker) (value any, err error) {
	era, ok := b.enter()
	if !ok {
		return nil, b.open
	}
	v := failure // unless it returns
	defer func() { b.leave(era, v) }()
	b.tell()
	value, err = next(ctx, request)
	v = b.judge(ctx, err)
	return value, err
}

// enter asks for a permit. Each one given is returned by a leave.
func (b *breaker) enter() (era uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok = b.circuit.TryAcquirePermit()
	return b.era, ok
}

// leave records a verdict, if the circuit is still as it was at enter; else the
// permit has gone with the state that gave it.
func (b *breaker) leave(era uint64, v verdict) {
	b.mu.Lock()
	if era == b.era {
		switch {
		case v == success:
			b.circuit.RecordSuccess()
		case v == failure, b.circuit.IsHalfOpen():
			// A probe's permit can only be returned with a verdict. One that says
			// nothing must not close the circuit.
			b.circuit.RecordFailure()
		}
	}
	b.mu.Unlock()
	b.tell()
}

func (b *breaker) judge(ctx context.Context, err error) verdict {
	switch {
	case err == nil:
		return success
	case refused(err), ctx.Err() != nil && !outOfTime(ctx):
		return nothing
	case errors.Is(err, context.Canceled):
		if ctx.Err() == nil {
			return nothing
		}
		err = ending(ctx) // time ran out, and the handler put it as a cancellation
	}
	if b.isFailure(err) {
		return failure
	}
	return success
}

// changed is the library's listener; it runs while b calls the library, under mu.
func (b *breaker) changed(e circuitbreaker.StateChangedEvent) {
	b.era++
	b.events = append(b.events, StateEvent{Breaker: b.name, From: stateOf(e.OldState), To: stateOf(e.NewState)})
}

// tell calls the hook with what has happened, in order. It does so outside mu,
// and outside the library, whose lock a panic of the hook would break.
func (b *breaker) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.delivering {
		return // whoever does will find the new ones
	}
	b.delivering = true
	defer func() { b.delivering = false }()
	for len(b.events) > 0 {
		e := b.events[0]
		b.events = b.events[1:]
		b.tellOne(e)
	}
}

func (b *breaker) tellOne(e StateEvent) {
	b.mu.Unlock()
	defer b.mu.Lock()
	b.hook(e)
}

func stateOf(s circuitbreaker.State) State {
	switch s {
	case circuitbreaker.OpenState:
		return Open
	case circuitbreaker.HalfOpenState:
		return HalfOpen
	default:
		return Closed
	}
}
