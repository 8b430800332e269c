package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

// Dispatch records a command, has it carried out here and now, and returns what
// its handler has answered: an answer or an error, never both. See
// [Bus.Dispatch].
func Dispatch[C effect.Request[R], R any](ctx context.Context, b *Bus, c C, opts ...Option) (R, error) {
	var none R
	e, err := b.envelopeOf(c, opts)
	if err != nil {
		return none, err
	}
	answer, err := b.dispatch(ctx, e, true)
	if err != nil {
		return none, err
	}
	r, ok := answer.(R)
	if !ok && answer != nil { // R may be an interface, and the answer its nil
		return none, fmt.Errorf("command %s: its handler answers with a %T, want %T", quote(e.Type), answer, none)
	}
	return r, nil
}

// Dispatch is the function Dispatch for a command that comes in an envelope, as
// from the network. It does not look at Due.
//
// A command whose id is there already, with the same payload, is not carried out
// again: its answer or its failure is told again; if it is at work, or queued and
// due, that is waited for; if it has failed for a reason that may have passed, or
// nothing was heard of it for Config.Grace, it is begun again.
//
// Errors, all for [errors.As]: *[ValidationError], *[UnknownTypeError],
// *[ForbiddenError] and *eventstore.InputError, with which nothing was recorded;
// *[HandlerError] with what the handler has failed with, and *[FailedError] when
// that was before; *aggregate.KeyReusedError for the id of another command;
// *[ScheduledError]; *[InterruptedError] when ctx has ended; [ErrNoResult];
// and what the store came to.
func (b *Bus) Dispatch(ctx context.Context, e Envelope) (any, error) {
	return b.dispatch(ctx, e, false)
}

func (b *Bus) dispatch(ctx context.Context, e Envelope, canonical bool) (any, error) {
	e.Due = time.Time{}
	c, ctx, err := b.accept(ctx, &e, canonical)
	if err != nil {
		return nil, err
	}
	s, mine, err := b.record(ctx, &e, c, true)
	switch {
	case err != nil:
		return nil, err
	case mine:
		return b.carryOut(ctx, s, c)
	}
	return b.join(ctx, s, c)
}

// same tells by an error if a command that is there has the id and is another.
func (b *Bus) same(s *state, c call) error {
	if s.erased {
		return nil // nobody can tell
	}
	if s.Type == c.route.name {
		given, err := c.canonical()
		if err != nil {
			return err
		}
		there := []byte(s.Payload)
		if old, err := c.route.decode(s.Payload); err == nil {
			if there, err = (call{c.route, old}).canonical(); err != nil {
				return err
			}
		}
		if bytes.Equal(given, there) {
			return nil
		}
	}
	return fmt.Errorf("command %s: %w", quote(c.route.name), &aggregate.KeyReusedError{Key: s.ID.String()})
}

// carryOut carries out a command that the caller has begun, and records what
// comes of it.
func (b *Bus) carryOut(ctx context.Context, s *state, c call) (any, error) {
	answer, err := b.execute(ctx, s, c)
	if err != nil && b.interrupted(ctx, err) {
		return nil, &InterruptedError{ID: s.ID, Recorded: true, Err: err}
	}
	if markErr := b.finish(ctx, s, c, answer, err); markErr != nil {
		// The caller has its answer; Run records it, by carrying it out again.
		b.cfg.Hooks.Trouble("record what came of command "+s.ID.String(), markErr)
	}
	if err != nil {
		return nil, &HandlerError{s.ID, s.Type, err}
	}
	return answer, nil
}

// interrupted tells whether an error of a handler is only that of its context,
// so that nobody knows what it has done.
func (b *Bus) interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && !aggregate.IsRejection(err) &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || b.cfg.Retryable(err))
}

// join finds out what becomes of a command that was there before.
func (b *Bus) join(ctx context.Context, s *state, c call) (any, error) {
	for {
		wait := time.Duration(-1) // for ever
		switch {
		case s.Status == Consumed && s.Result == nil:
			return nil, fmt.Errorf("command %s: %w", s.ID, ErrNoResult)
		case s.Status == Consumed:
			return c.route.decodeBack(s.Result)
		case s.Status == Failed && !s.Failure.Passing:
			return nil, &FailedError{s.ID, s.Type, *s.Failure}
		case s.Status == Failed:
			wait = 0
		case s.progress.Direct:
			wait = until(s.at.Add(b.cfg.Grace))
		case s.Due.After(time.Now()):
			return nil, &ScheduledError{s.receipt()}
		}
		if wait == 0 {
			p := s.progress
			p.Attempts, p.Next, p.Direct, p.Failure = s.Attempts+1, time.Time{}, true, nil
			err := b.append(ctx, s, started(p), "")
			switch {
			case err == nil:
				return b.carryOut(ctx, s, c)
			case !isConflict(err):
				return nil, b.cut(ctx, s, fmt.Errorf("begin command %s: %w", s.ID, err))
			}
		} else if err := b.await(ctx, s, wait); err != nil {
			return nil, b.cut(ctx, s, err)
		}
		now, err := b.load(ctx, s.ID)
		if err != nil {
			return nil, b.cut(ctx, s, err)
		}
		s = now
	}
}

// cut is the error of a caller who has stopped waiting, if that is what it is.
func (b *Bus) cut(ctx context.Context, s *state, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &InterruptedError{ID: s.ID, Recorded: true, Err: err}
	}
	return err
}

// await returns when a command has been finished, or after that time. Less than
// none is for ever.
func (b *Bus) await(ctx context.Context, s *state, wait time.Duration) error {
	waiting, stop := ctx, context.CancelFunc(func() {})
	if wait >= 0 {
		waiting, stop = context.WithTimeout(ctx, wait)
	}
	defer stop()
	finished := eventstore.Filter{Categories: []string{b.cfg.Category}, Types: []string{typeConsumed, typeFailed}}
	for e, err := range b.store.Subscribe(waiting, s.position, finished) {
		switch {
		case err != nil && ctx.Err() == nil && waiting.Err() != nil:
			return nil // it has waited long enough
		case err != nil:
			return fmt.Errorf("wait for command %s: %w", s.ID, err)
		case e.Stream == b.stream(s.ID):
			return nil
		}
	}
	return fmt.Errorf("wait for command %s: the store's subscription ended without an error", s.ID)
}

// running is what a handler's context knows of its command.
type running struct {
	id   uuid.UUID
	call call
}

type runningKey struct{}

// ID is the id of the command that a handler is called for: the same in every
// attempt, so the idempotency key of what it does. It is zero in other contexts.
func ID(ctx context.Context) uuid.UUID {
	r, _ := ctx.Value(runningKey{}).(*running)
	if r == nil {
		return uuid.Nil
	}
	return r.id
}

// Key gives a command of an aggregate the id of the command that a handler is
// called for as its idempotency key, so that it is decided once however often the
// handler is called. A handler that executes several says a part for each:
//
//	from, err := accounts.Execute(ctx, c.From, Withdraw{c.Amount}, command.Key(ctx, "from"))
//
// The host must keep keys for longer than a command may lie before it is tried
// again (aggregate.Config.KeepKeys): as long as all processes may be down, and
// longer than Attempts take. In other contexts the key is empty, which Execute
// refuses.
func Key(ctx context.Context, parts ...string) aggregate.Option {
	id := ID(ctx)
	if id == uuid.Nil {
		return aggregate.WithKey("")
	}
	key := id.String()
	for _, p := range parts {
		key += "/" + p
	}
	return aggregate.WithKey(key)
}

// execute calls the handler, and what is around it, once. What it panics with is
// an *effect.PanicError.
func (b *Bus) execute(ctx context.Context, s *state, c call) (answer any, err error) {
	ctx = reducer.WithMeta(ctx, reducer.Meta{
		ActionID: s.ID, CorrelationID: s.Metadata.CorrelationID, CausationID: s.Metadata.CausationID,
		Tenant: s.Tenant, Actor: s.Actor, TraceParent: s.Metadata.TraceParent,
	})
	ctx = context.WithValue(ctx, runningKey{}, &running{s.ID, c})
	attempt, cancel := context.WithTimeoutCause(ctx, b.cfg.Timeout, errTimeout)
	defer cancel()
	err = protected(func() (err error) {
		answer, err = b.chain(attempt, s.Envelope)
		return err
	})
	if err == nil {
		return answer, nil
	}
	if context.Cause(attempt) == errTimeout && errors.Is(err, context.DeadlineExceeded) { //nolint:errorlint // as it was given
		err = fmt.Errorf("%w: %w", errTimeout, err)
	}
	return nil, err
}

// handle is the innermost Handler.
func (b *Bus) handle(ctx context.Context, e Envelope) (any, error) {
	r, _ := ctx.Value(runningKey{}).(*running)
	if r == nil || r.id != e.ID {
		return nil, fmt.Errorf("command %s: a middleware has called the next one with another context or envelope", e.ID)
	}
	return r.call.route.handle(ctx, r.call.command)
}
