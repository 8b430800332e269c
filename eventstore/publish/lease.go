package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// acquire takes the lease, and waits for it. expires is when it runs out by this
// machine's clock, which is not later than by the home's: the time counts from
// before it was asked for. The lease may have been taken although ctx has ended.
func (p *Publisher) acquire(ctx context.Context, owner string) (lease eventstore.Lease, expires time.Time, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return lease, expires, err
		}
		var held *eventstore.LeaseHeldError
		attempt := func(int) error {
			began := time.Now()
			call, cancel := p.brief(ctx)
			defer cancel()
			l, err := p.checkpoints.AcquireLease(call, p.name, owner, p.cfg.LeaseTTL)
			if errors.As(err, &held) {
				return nil
			}
			lease, expires = l, began.Add(p.cfg.LeaseTTL)
			return err
		}
		err = p.again(ctx, RetryInfo{Doing: Acquiring}, 0, final, attempt(1), attempt)
		switch {
		case err != nil && ctx.Err() != nil:
			return lease, expires, ctx.Err()
		case err != nil:
			return lease, expires, fmt.Errorf("%s: %w", Acquiring, err)
		case held == nil:
			return lease, expires, nil
		}
		p.cfg.Hooks.Waiting(held)
		if err := pause(ctx, p.cfg.Heartbeat); err != nil {
			return lease, expires, err
		}
	}
}

// release gives the lease up, and returns err with what came of that.
func (p *Publisher) release(ctx context.Context, lease eventstore.Lease, err error) error {
	call, cancel := p.brief(ctx)
	defer cancel()
	if e := p.checkpoints.ReleaseLease(call, lease); e != nil && !errors.Is(e, eventstore.ErrClosed) {
		return errors.Join(err, fmt.Errorf("release the lease: %w", e))
	}
	return err
}

// brief is the context of one call of the checkpoints. It does not end with ctx,
// so that what comes of a call is known, and what was handled is saved when ctx
// has ended; but soon.
func (p *Publisher) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), p.cfg.LeaseTTL/4)
}

// holding is the time for which a lease is held. It belongs to the goroutine
// that runs keep: all that renews the lease is done there, one after the other.
type holding struct {
	*Publisher
	lease     eventstore.Lease
	end       context.CancelCauseFunc // of the work
	expiry    *time.Timer             // ends the work, unless it is set anew
	heartbeat *time.Timer
	failed    error // of the lease, for good
}

// save is what the work asks the holder for.
type save struct {
	checkpoint eventstore.Position
	reply      chan<- error
}

// keep lets the work be done until ctx ends, it fails, or the lease is lost.
func (p *Publisher) keep(ctx context.Context, lease eventstore.Lease, expires time.Time) (_ eventstore.Lease, lost bool, _ error) {
	work, end := context.WithCancelCause(ctx)
	defer end(nil)
	h := &holding{
		Publisher: p, lease: lease, end: end,
		expiry:    time.AfterFunc(time.Until(expires), func() { end(errExpired) }),
		heartbeat: time.NewTimer(p.cfg.Heartbeat),
	}
	defer h.expiry.Stop()
	defer h.heartbeat.Stop()

	saves, done := make(chan save), make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() { done <- err }()
		err = p.work(p.tenants(work), lease, func(checkpoint eventstore.Position) error {
			reply := make(chan error, 1)
			saves <- save{checkpoint, reply}
			return <-reply
		})
	}()
	for {
		select {
		case s := <-saves:
			s.reply <- h.save(work, s.checkpoint)
		case <-h.heartbeat.C:
			h.renew(work)
		case err := <-done:
			lost, err := h.ended(ctx, work, err)
			return h.lease, lost, err
		}
	}
}

// save sets the checkpoint, which renews the lease.
func (h *holding) save(ctx context.Context, checkpoint eventstore.Position) error {
	return h.hold(ctx, Saving, func(ctx context.Context) (eventstore.Lease, error) {
		return h.checkpoints.SaveCheckpoint(ctx, h.lease, checkpoint, h.cfg.LeaseTTL)
	})
}

// renew renews the lease, and ends the work if another has it. It does not save the
// checkpoint: the handler may be ahead with that, in a transaction of its own. A
// handler that is slow to return keeps the lease even when Run's context has
// ended.
func (h *holding) renew(ctx context.Context) {
	_ = h.hold(ctx, Renewing, func(ctx context.Context) (eventstore.Lease, error) {
		lease, err := h.checkpoints.AcquireLease(ctx, h.name, h.lease.Owner, h.cfg.LeaseTTL)
		var held *eventstore.LeaseHeldError
		switch {
		case errors.As(err, &held):
			return lease, fmt.Errorf("%w: %w", eventstore.ErrFenced, held)
		case err == nil && lease.Token != h.lease.Token:
			return lease, fmt.Errorf("%w, or its time had run out: its token was %d and is %d", eventstore.ErrFenced, h.lease.Token, lease.Token)
		}
		return lease, err
	})
}

// hold does what renews the lease, until it succeeds, there is no sense in it any
// more, or the work has ended.
func (h *holding) hold(ctx context.Context, doing Doing, call func(context.Context) (eventstore.Lease, error)) error {
	attempt := func(int) error {
		began := time.Now()
		ctx, cancel := h.brief(ctx)
		defer cancel()
		lease, err := call(ctx)
		if err == nil {
			h.lease = lease
			h.expiry.Reset(time.Until(began.Add(h.cfg.LeaseTTL)))
		}
		return err
	}
	err := h.again(ctx, RetryInfo{Doing: doing}, 0, final, attempt(1), attempt)
	if err != nil && final(err) {
		h.failed = fmt.Errorf("%s: %w", doing, err)
		h.end(h.failed)
		return h.failed
	}
	h.heartbeat.Reset(h.cfg.Heartbeat)
	return err
}

// ended tells why the work has ended with err: whether the lease was lost, and
// what Run returns if it was not.
func (h *holding) ended(ctx, work context.Context, err error) (lost bool, _ error) {
	cause := context.Cause(work)
	switch {
	case errors.As(err, new(*StoppedError)):
		return false, err
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(h.failed, eventstore.ErrFenced):
		return true, h.failed
	case errors.Is(cause, errExpired):
		return true, cause
	}
	return false, err
}
