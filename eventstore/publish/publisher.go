package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// Handler hands events to something else, in their order. When it returns nil
// they have been handled; when it returns an error it is given them again, after
// a while, unless the error is [Permanent] or a [*PartialError] says that some
// of them have been handled. A panic is as an error.
//
// It may be given events that it was given before: those since the last
// checkpoint, after a crash or when the lease was lost. Its context ends when the
// lease is lost or Run's context ends. A handler is never called by two
// goroutines of one Run at once.
type Handler func(ctx context.Context, b Batch) error

// Each is the handler that calls f with one event after the other. After an
// error it goes on with the event that f has failed at.
func Each(f func(ctx context.Context, e eventstore.Recorded) error) Handler {
	return func(ctx context.Context, b Batch) error {
		for i, e := range b.Events {
			err := context.Cause(ctx)
			if err == nil {
				err = protect(func() error { return f(ctx, e) })
			}
			if err != nil {
				return &PartialError{i, err}
			}
		}
		return nil
	}
}

// Batch is what a handler is given.
type Batch struct {
	// Events are in the order of their positions, at least one.
	Events []eventstore.Recorded
	// Lease is what the subscription is run with, as it was when it was taken. Its
	// Token ascends with each new holder: a sink that has seen a greater one
	// refuses the batch.
	Lease eventstore.Lease
	// LeaseTTL is that of the Config: what a handler needs besides that saves the
	// checkpoint itself, in the transaction that it writes in.
	LeaseTTL time.Duration
	// Attempt counts the attempts at the first event since the lease was taken,
	// from 1.
	Attempt int
}

// Position is that of the last event: what the checkpoint is set to when the
// batch was handled.
func (b Batch) Position() eventstore.Position {
	if len(b.Events) == 0 {
		return 0
	}
	return b.Events[len(b.Events)-1].Position
}

// Publisher runs a subscription. Make it with [New]; it may be used by any
// goroutine.
type Publisher struct {
	store       eventstore.Store
	checkpoints eventstore.Checkpoints
	name        string
	handler     Handler
	cfg         Config
}

// New makes a publisher of the subscription of that name. Publishers of the same
// name, in whatever process, share its checkpoint: they must want the same
// events, and one of them runs at a time. The homes of this module are a store
// and its checkpoints both. Errors: *eventstore.InputError.
func New(store eventstore.Store, checkpoints eventstore.Checkpoints, name string, handler Handler, cfg Config) (*Publisher, error) {
	p := &Publisher{store, checkpoints, name, handler, cfg.withDefaults()}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("publisher %q: %w", name, err)
	}
	return p, nil
}

func (p *Publisher) validate() error {
	missing := func(field string) error {
		return &eventstore.InputError{Field: field, Value: "nil", Want: "one"}
	}
	switch {
	case p.store == nil:
		return missing("store")
	case p.checkpoints == nil:
		return missing("checkpoints")
	case p.handler == nil:
		return missing("handler")
	}
	if err := eventstore.CheckName("name", p.name); err != nil {
		return err
	}
	return p.cfg.validate()
}

// Run takes the lease, waiting while another has it, and hands events to the
// handler until ctx ends or the handler has failed for good. When the lease is
// lost it waits for it again. Before it returns, the handler has returned and
// the lease was given up.
//
// Errors: that of ctx; *StoppedError; and what no further attempt would change:
// eventstore.ErrClosed, eventstore.ErrNoTenant, *eventstore.InputError, and
// *eventstore.DataError for an event that cannot be read. If giving up the lease
// has failed too, so that it has to run out, the error has both.
//
// Several calls of Run compete for the lease as if they were several processes.
func (p *Publisher) Run(ctx context.Context) error {
	owner := p.cfg.Owner + "/" + uuid.NewString()
	for {
		lease, expires, err := p.acquire(ctx, owner)
		if err != nil {
			return p.wrap(err)
		}
		if err := ctx.Err(); err != nil {
			return p.wrap(p.release(ctx, lease, err))
		}
		p.cfg.Hooks.Started(lease)
		lease, lost, err := p.keep(ctx, lease, expires)
		if !lost {
			err = p.wrap(p.release(ctx, lease, err))
			p.cfg.Hooks.Stopped(lease, err)
			return err
		}
		p.cfg.Hooks.LeaseLost(lease, err)
		if err := pause(ctx, p.cfg.RetryDelay); err != nil {
			return err
		}
	}
}

// wrap says whose error it is, if that is not known.
func (p *Publisher) wrap(err error) error {
	if err == context.Canceled || err == context.DeadlineExceeded || errors.As(err, new(*StoppedError)) { //nolint:errorlint // as it is, or with something that has to be told
		return err
	}
	return fmt.Errorf("subscription %q: %w", p.name, err)
}

// call calls the handler.
func (p *Publisher) call(ctx context.Context, b Batch) error {
	return protect(func() error { return p.handler(ctx, b) })
}

// protect makes a panic of the user's code an error.
func protect(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{value, debug.Stack()}
		}
	}()
	return f()
}

// tenants is the context of what is done with events.
func (p *Publisher) tenants(ctx context.Context) context.Context {
	if p.cfg.AllTenants {
		return eventstore.AllTenants(ctx)
	}
	return ctx
}

// pause waits for about that time: from half of it to one and a half, so that
// those who wait for the same do not come together. The error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
