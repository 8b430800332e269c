package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed57833328/rondo/eventstore"
)

var errEnded = errors.New("the store's subscription ended without an error")

// work hands events to the handler until ctx ends or something has failed for
// good. While a batch is handled the next is read.
func (p *Publisher) work(ctx context.Context, lease eventstore.Lease, save func(eventstore.Position) error) error {
	in := newInbox(p.cfg.BatchSize, p.cfg.BatchBytes)
	var reader sync.WaitGroup
	defer reader.Wait()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	reader.Go(func() { in.close(p.read(reading, lease.Checkpoint, in)) })

	checkpoint, failures := lease.Checkpoint, 0
	for {
		t, err := in.take(ctx, p.cfg.Heartbeat)
		if err != nil {
			return context.Cause(ctx)
		}
		if t.idle {
			t.scanned, err = p.scan(ctx, checkpoint)
			failures++
			switch {
			case err == nil:
				failures = 0
			case ctx.Err() == nil:
				p.cfg.Hooks.Retrying(RetryInfo{Subscription: p.name, Doing: Reading, Attempt: failures, Delay: p.cfg.Heartbeat, Err: err})
			}
		}
		if n := len(t.events); n > 0 {
			if err := p.handle(ctx, t.events, lease, save); err != nil {
				return err
			}
			checkpoint = t.events[n-1].Position
		}
		if t.scanned > checkpoint {
			if err := save(t.scanned); err != nil {
				return err
			}
			checkpoint = t.scanned
		}
		if t.closed {
			return t.err
		}
	}
}

// handle hands events to the handler until all have been handled, and saves how
// far it has come.
func (p *Publisher) handle(ctx context.Context, events []eventstore.Recorded, lease eventstore.Lease, save func(eventstore.Position) error) error {
	attempt := func(n int) error {
		b := Batch{events, lease, p.cfg.LeaseTTL, n}
		err := p.call(ctx, b)
		handled, err := handled(err, len(events))
		if handled == 0 {
			return err
		}
		b.Events = events[:handled:handled]
		if e := save(b.Position()); e != nil {
			return e // the work has ended
		}
		events = events[handled:]
		p.cfg.Hooks.Published(b)
		return err
	}
	err := attempt(1)
	for len(events) > 0 {
		// One row of attempts ends when some events were handled. The error that
		// came with that is the first of the next row.
		var next error
		attempts, left := 1, len(events)
		err = p.again(ctx, RetryInfo{Doing: Handling, Events: events}, p.cfg.Attempts, isPermanent, err, func(n int) error {
			attempts = n
			if next = attempt(n); len(events) < left {
				return nil
			}
			return next
		})
		switch {
		case ctx.Err() != nil && err != nil:
			return context.Cause(ctx)
		case err != nil:
			return &StoppedError{p.name, events[0], attempts, err}
		}
		err = next
	}
	return nil
}

// handled tells how many of the events were handled, by a handler's error.
func handled(err error, events int) (int, error) {
	var partial *PartialError
	switch {
	case err == nil:
		return events, nil
	case !errors.As(err, &partial):
		return 0, err
	case partial.Handled < 0 || partial.Handled >= events || partial.Err == nil:
		return 0, &eventstore.InputError{
			Field: "PartialError", Value: fmt.Sprintf("%d of %d events with error %v", partial.Handled, events, partial.Err),
			Want: "fewer events than there are, and an error",
		}
	}
	return partial.Handled, err
}

// read puts what stands after that position into the inbox, and what comes.
func (p *Publisher) read(ctx context.Context, after eventstore.Position, in *inbox) error {
	err := p.pass(ctx, &after, in)
	for ctx.Err() == nil {
		// As with handlers: a row of attempts ends when one has read something.
		var next error
		err = p.again(ctx, RetryInfo{Doing: Reading}, 0, final, err, func(int) error {
			from := after
			if next = p.pass(ctx, &after, in); after > from {
				return nil
			}
			return next
		})
		if err != nil {
			return fmt.Errorf("%s: %w", Reading, err)
		}
		err = next
	}
	return ctx.Err()
}

// pass reads what there is and then what comes, until reading fails. What there
// is comes first because its end is known: all that stands up to the head of
// before has been seen then, wanted or not.
func (p *Publisher) pass(ctx context.Context, after *eventstore.Position, in *inbox) error {
	head, err := p.store.Head(ctx)
	if err != nil {
		return err
	}
	for e, err := range p.store.ReadAll(ctx, *after, p.cfg.Filter) {
		if err == nil {
			err = in.put(ctx, e)
		}
		if err != nil {
			return err
		}
		*after = e.Position
	}
	if head > *after {
		*after = head
		in.mark(head)
	}
	for e, err := range p.store.Subscribe(ctx, *after, p.cfg.Filter) {
		if err == nil {
			err = in.put(ctx, e)
		}
		if err != nil {
			return err
		}
		*after = e.Position
	}
	return errEnded
}

// scan returns a position up to which there is nothing that is wanted, if that
// is beyond the checkpoint. A subscription does not tell that.
func (p *Publisher) scan(ctx context.Context, checkpoint eventstore.Position) (eventstore.Position, error) {
	head, err := p.store.Head(ctx)
	if err != nil || head <= checkpoint {
		return checkpoint, err
	}
	for _, err := range p.store.ReadAll(ctx, checkpoint, p.cfg.Filter) {
		return checkpoint, err // something is there, and on its way
	}
	return head, nil
}
