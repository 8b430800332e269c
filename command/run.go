package command

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Run carries out what is queued and scheduled, and what processes have left
// behind that died, until ctx ends. Start it in every process: one of them has
// the lease and is at work, and when it ends or dies another goes on. It serves
// all tenants; the lease belongs to that of ctx.
//
// When ctx ends, so do the contexts of handlers at work. Their commands stay
// pending, unless they have succeeded nevertheless. Before Run returns, they have
// returned and the lease was given up.
//
// Errors: that of ctx; and what no further attempt would change:
// eventstore.ErrClosed, eventstore.ErrNoTenant, *eventstore.InputError. What the
// store fails with besides is tried again for as long as it takes, and told to
// Hooks.Trouble.
func (b *Bus) Run(ctx context.Context) error {
	owner := b.cfg.owner()
	for {
		lease, expires, err := b.acquire(ctx, owner)
		if err != nil {
			return err
		}
		b.cfg.Hooks.Taken(lease)
		lease, err = b.hold(ctx, lease, expires)
		if !errors.Is(err, eventstore.ErrFenced) {
			return b.release(ctx, lease, err)
		}
		b.cfg.Hooks.Lost(lease, err)
		if err := pause(ctx, b.cfg.RetryDelay); err != nil {
			return err
		}
	}
}

// heartbeat is how often the lease is renewed.
func (b *Bus) heartbeat() time.Duration { return b.cfg.LeaseTTL / 4 }

// brief is the context of one call about the lease. It does not end with ctx, so
// that what comes of the call is known; but soon.
func (b *Bus) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), b.heartbeat())
}

// acquire takes the lease, and waits for it. It expires, by this machine's clock,
// not later than by the home's.
func (b *Bus) acquire(ctx context.Context, owner string) (eventstore.Lease, time.Time, error) {
	for {
		if err := ctx.Err(); err != nil {
			return eventstore.Lease{}, time.Time{}, err
		}
		began := time.Now()
		call, cancel := b.brief(ctx)
		lease, err := b.checkpoints.AcquireLease(call, b.cfg.Category+leaseSuffix, owner, b.cfg.LeaseTTL)
		cancel()
		var held *eventstore.LeaseHeldError
		switch {
		case err == nil:
			return lease, began.Add(b.cfg.LeaseTTL), nil
		case final(err):
			return lease, began, fmt.Errorf("take the lease of the command bus: %w", err)
		case !errors.As(err, &held):
			b.cfg.Hooks.Trouble("take the lease", err)
		}
		if err := pause(ctx, b.heartbeat()); err != nil {
			return lease, began, err
		}
	}
}

func (b *Bus) release(ctx context.Context, lease eventstore.Lease, err error) error {
	call, cancel := b.brief(ctx)
	defer cancel()
	if e := b.checkpoints.ReleaseLease(call, lease); e != nil && !errors.Is(e, eventstore.ErrClosed) {
		return errors.Join(err, fmt.Errorf("release the lease of the command bus: %w", e))
	}
	return err
}

// final tells whether an error of the store will be the same next time.
func final(err error) bool {
	return errors.Is(err, eventstore.ErrClosed) || errors.Is(err, eventstore.ErrNoTenant) ||
		errors.Is(err, eventstore.ErrFenced) || errors.As(err, new(*eventstore.InputError))
}

// errExpired is why work ends whose lease could not be renewed.
var errExpired = fmt.Errorf("lease ran out before it could be renewed: %w", eventstore.ErrFenced)

// runner is the time for which a lease is held. But for its channels it belongs
// to the goroutine of Run.
type runner struct {
	*Bus
	lease   eventstore.Lease
	expiry  *time.Timer
	agenda  *agenda
	alarm   *time.Timer
	done    chan result
	workers sync.WaitGroup

	told    chan message
	reader  sync.WaitGroup
	silence context.CancelFunc // ends the reader
	current bool               // everything was read that was there when reading began
}

// message is what a reader tells.
type message struct {
	event   eventstore.Recorded
	current bool                // instead of an event: all that was there has been told
	head    eventstore.Position // which is what stands up to that position
	err     error
}

// result is what has come of working at an entry.
type result struct {
	entry   *entry
	outcome outcome
}

// readAhead is how many events are read before they are looked at.
const readAhead = 256

// hold works until ctx ends, something fails for good, or the lease is lost.
func (b *Bus) hold(ctx context.Context, lease eventstore.Lease, expires time.Time) (eventstore.Lease, error) {
	work, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &runner{
		Bus: b, lease: lease,
		expiry: time.AfterFunc(time.Until(expires), func() { end(errExpired) }),
		agenda: newAgenda(b.cfg.MaxPending, b.cfg.Grace, lease.Checkpoint),
		alarm:  time.NewTimer(time.Hour),
		done:   make(chan result, b.cfg.Concurrency+1),
	}
	defer r.expiry.Stop()
	defer r.alarm.Stop()
	r.follow(work, lease.Checkpoint)
	err := r.loop(work)
	end(err)
	r.silence()
	r.reader.Wait()
	r.workers.Wait()
	if ctx.Err() != nil && !errors.Is(err, eventstore.ErrFenced) {
		err = ctx.Err()
	}
	if !errors.Is(err, eventstore.ErrFenced) {
		_ = r.save(ctx) // what it is for is only that less is read again
	}
	return r.lease, err
}

// follow reads what stands after that position.
func (r *runner) follow(ctx context.Context, after eventstore.Position) {
	ctx, r.silence = context.WithCancel(ctx)
	told := make(chan message, readAhead)
	r.told, r.current = told, false
	r.reader.Go(func() { r.read(ctx, after, told) })
}

func (r *runner) loop(ctx context.Context) error {
	heartbeat := time.NewTicker(r.heartbeat())
	defer heartbeat.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case m := <-r.told:
			if err := r.hear(m); err != nil {
				return err
			}
		case d := <-r.done:
			r.agenda.done(d.entry, d.outcome.version, d.outcome.again)
		case <-r.alarm.C:
		case <-heartbeat.C:
			r.scan(ctx)
			if err := r.save(ctx); err != nil {
				return err
			}
		}
		r.begin(ctx)
	}
}

// hear takes in what a reader tells.
func (r *runner) hear(m message) error {
	switch {
	case m.err != nil:
		return fmt.Errorf("read commands: %w", m.err)
	case m.current:
		r.current = true
		r.agenda.read = max(r.agenda.read, m.head)
		return nil
	}
	id, err := r.idOf(m.event.Stream)
	if err != nil {
		r.cfg.Hooks.Trouble("read commands", err)
		return nil
	}
	p, err := news(m.event)
	if err != nil {
		r.cfg.Hooks.Trouble("read commands", err)
		return nil
	}
	r.agenda.tell(ref{m.event.Tenant, id}, m.event, p)
	return nil
}

// begin begins what can be begun, and sets the alarm for what comes then.
func (r *runner) begin(ctx context.Context) {
	if !r.current || ctx.Err() != nil {
		return
	}
	if after, ok := r.agenda.again(); ok {
		r.silence()
		r.reader.Wait()
		r.follow(ctx, after)
		return
	}
	now := time.Now()
	r.agenda.wakeUp(now)
	for r.agenda.atWork < r.cfg.Concurrency {
		e := r.agenda.next()
		if e == nil {
			break
		}
		r.put(ctx, e, r.attempt)
	}
	if r.agenda.atWork <= r.cfg.Concurrency { // done has room for one more
		if e := r.agenda.stale(r.cfg.CarryAfter, now.Add(r.cfg.LeaseTTL)); e != nil {
			r.put(ctx, e, r.carry)
		}
	}
	if at, ok := r.agenda.earliest(); ok {
		r.alarm.Reset(time.Until(at))
	}
}

// put somebody to work at an entry.
func (r *runner) put(ctx context.Context, e *entry, work func(context.Context, task, *outcome)) {
	t := task{e.ref, e.version}
	r.workers.Go(func() {
		out := outcome{again: time.Now().Add(r.cfg.RetryDelay)}
		defer func() { r.done <- result{e, out} }()
		work(eventstore.WithTenant(ctx, t.tenant), t, &out)
	})
}

// save sets the checkpoint and renews the lease. It fails if the lease is lost.
func (r *runner) save(ctx context.Context) error {
	began := time.Now()
	call, cancel := r.brief(ctx)
	defer cancel()
	checkpoint := max(r.lease.Checkpoint, r.agenda.checkpoint())
	lease, err := r.checkpoints.SaveCheckpoint(call, r.lease, checkpoint, r.cfg.LeaseTTL)
	switch {
	case err == nil:
		r.lease = lease
		r.expiry.Reset(time.Until(began.Add(r.cfg.LeaseTTL)))
	case final(err):
		return fmt.Errorf("save the checkpoint of the command bus: %w", err)
	default:
		r.cfg.Hooks.Trouble("save the checkpoint", err)
	}
	return nil
}

// scan moves the checkpoint over events that are not of commands. It does not take
// longer than the lease allows.
func (r *runner) scan(ctx context.Context) {
	if !r.current || len(r.told) > 0 {
		return
	}
	call, cancel := context.WithTimeout(eventstore.AllTenants(ctx), r.heartbeat())
	defer cancel()
	head, err := r.store.Head(call)
	if err == nil && head <= r.agenda.read {
		return
	}
	if err == nil {
		for _, err = range r.store.ReadAll(call, r.agenda.read, r.filter()) {
			if err == nil {
				return // something is there, and on its way
			}
		}
	}
	switch {
	case err == nil:
		r.agenda.read = head
	case ctx.Err() == nil:
		r.cfg.Hooks.Trouble("look for commands", err)
	}
}

func (b *Bus) filter() eventstore.Filter {
	return eventstore.Filter{Categories: []string{b.cfg.Category}}
}

// read tells what stands after that position, and then what comes.
func (r *runner) read(ctx context.Context, after eventstore.Position, out chan<- message) {
	tell := func(m message) bool {
		select {
		case out <- m:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for delay := r.cfg.RetryDelay; ; delay = min(2*delay, r.cfg.MaxRetryDelay) {
		from := after
		err := r.pass(eventstore.AllTenants(ctx), &after, tell)
		if after > from {
			delay = r.cfg.RetryDelay
		}
		switch {
		case ctx.Err() != nil:
			return
		case final(err):
			tell(message{err: err})
			return
		}
		r.cfg.Hooks.Trouble("read commands", err)
		if pause(ctx, delay) != nil {
			return
		}
	}
}

// pass reads what there is, says so, and reads what comes, until reading fails.
func (r *runner) pass(ctx context.Context, after *eventstore.Position, tell func(message) bool) error {
	head, err := r.store.Head(ctx)
	if err != nil {
		return err
	}
	for e, err := range r.store.ReadAll(ctx, *after, r.filter()) {
		if err != nil {
			return err
		}
		if *after = e.Position; !tell(message{event: e}) {
			return ctx.Err()
		}
	}
	if *after = max(*after, head); !tell(message{current: true, head: head}) {
		return ctx.Err()
	}
	for e, err := range r.store.Subscribe(ctx, *after, r.filter()) {
		if err != nil {
			return err
		}
		if *after = e.Position; !tell(message{event: e}) {
			return ctx.Err()
		}
	}
	return errors.New("the store's subscription ended without an error")
}

// spread is a delay, a quarter more or less.
func spread(d time.Duration) time.Duration {
	return d - d/4 + rand.N(d/2+1)
}

// pause waits for about that time. The error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(spread(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
