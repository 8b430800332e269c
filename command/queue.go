package command

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
)

// Enqueue records a command that [Bus.Run] carries out, in this process or
// another, and returns at once.
func Enqueue[C effect.Request[R], R any](ctx context.Context, b *Bus, c C, opts ...Option) (Receipt, error) {
	e, err := b.envelopeOf(c, opts)
	if err != nil {
		return Receipt{}, err
	}
	return b.enqueue(ctx, e, true)
}

// Schedule records a command that [Bus.Run] carries out at that time, in this
// process or another, whether or not this one lives until then. What is due
// already is as enqueued.
func Schedule[C effect.Request[R], R any](ctx context.Context, b *Bus, at time.Time, c C, opts ...Option) (Receipt, error) {
	if at.IsZero() {
		return Receipt{}, &eventstore.InputError{Field: "at", Value: "zero", Want: "a time"}
	}
	e, err := b.envelopeOf(c, opts)
	if err != nil {
		return Receipt{}, err
	}
	e.Due = at
	return b.enqueue(ctx, e, true)
}

// Enqueue is the functions Enqueue and Schedule for a command that comes in an
// envelope: its Due says when it is carried out. A command that is there already,
// with the same id and payload, keeps its time; the receipt tells it, and the
// status. If it has failed for a reason that may have passed, it is queued again.
//
// Errors, all for [errors.As]: *[ValidationError], *[UnknownTypeError],
// *[ForbiddenError] and *eventstore.InputError, with which nothing was recorded;
// *aggregate.KeyReusedError for the id of another command; *[InterruptedError]
// when ctx has ended; and what the store came to.
func (b *Bus) Enqueue(ctx context.Context, e Envelope) (Receipt, error) {
	return b.enqueue(ctx, e, false)
}

func (b *Bus) enqueue(ctx context.Context, e Envelope, canonical bool) (Receipt, error) {
	c, ctx, err := b.accept(ctx, &e, canonical)
	if err != nil {
		return Receipt{}, err
	}
	s, mine, err := b.record(ctx, &e, c, false)
	for err == nil && !mine && s.Status == Failed && s.Failure.Passing {
		p := s.progress
		p.Attempts, p.Next, p.Direct, p.Failure = 0, e.Due, false, s.Failure
		if err = b.append(ctx, s, postponed(p), ""); err == nil {
			break
		}
		if isConflict(err) {
			s, err = b.load(ctx, e.ID)
		}
		if err != nil {
			err = fmt.Errorf("queue command %s again: %w", e.ID, err)
		}
	}
	if err != nil {
		return Receipt{}, err
	}
	return s.receipt(), nil
}

// Status tells what is known of a command of the context's tenant. What this or
// any other process has been told of it is in the answer. It is [ErrNotFound] if
// there is none.
func (b *Bus) Status(ctx context.Context, id uuid.UUID) (Record, error) {
	s, err := b.load(ctx, id)
	if err != nil {
		return Record{}, err
	}
	return s.Record, nil
}

// Wait is [Bus.Status] when the command is finished, for which it waits.
func (b *Bus) Wait(ctx context.Context, id uuid.UUID) (Record, error) {
	for {
		s, err := b.load(ctx, id)
		if err != nil {
			return Record{}, err
		}
		if s.Status != Pending {
			return s.Record, nil
		}
		if err := b.await(ctx, s, -1); err != nil {
			return Record{}, err
		}
	}
}

// Cancel says that a queued or scheduled command of the context's tenant is not
// to be carried out: it has failed, with [CodeCancelled] and the reason. When it
// returns nil the command was not begun, and will not be; or was only begun in
// attempts that failed. Errors: [ErrStarted] if it is at work, or was dispatched;
// [ErrFinished]; [ErrNotFound]; the context's; and what the store came to.
func (b *Bus) Cancel(ctx context.Context, id uuid.UUID, reason string) error {
	for {
		s, err := b.load(ctx, id)
		if err != nil {
			return err
		}
		switch {
		case s.Status == Failed && s.Failure.Code == CodeCancelled && !s.Failure.Rejected:
			return nil
		case s.Status != Pending:
			return fmt.Errorf("cancel command %s, which is %s: %w", id, s.Status, ErrFinished)
		case s.begun:
			return fmt.Errorf("cancel command %s: %w", id, ErrStarted)
		}
		f := Failure{Code: CodeCancelled, Reason: shorten(reason, maxReason)}
		if err := b.append(ctx, s, failed{s.Attempts, f}, ""); !isConflict(err) {
			if err != nil {
				return fmt.Errorf("cancel command %s: %w", id, err)
			}
			return nil
		}
	}
}
