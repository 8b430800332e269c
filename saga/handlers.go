package saga

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// What machines ask for.

func (r *Runner) load(ctx context.Context, q load) (found, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	record, ok, err := r.store.Load(ctx, q.ID)
	if err != nil {
		r.config.Hooks.StoreFailed("Load", err)
		return found{}, err
	}
	var inbox []Message
	if ok && (record.Status == Running || record.Status == Compensating) {
		if inbox, err = r.store.Waiting(ctx, q.ID, 0, inboxPage); err != nil {
			r.config.Hooks.StoreFailed("Waiting", err)
		}
	}
	return found{record, ok, inbox}, err
}

func (r *Runner) commit(ctx context.Context, q commit) (Verdict, error) {
	v, err := r.committer.commit(ctx, q.Change, q.Alone)
	if err != nil {
		r.config.Hooks.StoreFailed("Commit", err)
		return v, err
	}
	if v != Committed {
		return v, nil
	}
	r.decided(q.Change)
	r.settled(&q.Change.Record, len(q.Change.Posts) > 0)
	return v, nil
}

// decided tells of a decision that was committed.
func (r *Runner) decided(c *Change) {
	record, kind := &c.Record, c.Entry.Kind
	r.config.Hooks.Decided(record.ID, kind, record.Status, record.Sequence)
	if kind == stuckKind {
		trace := ""
		if h, err := loaded(*record); err == nil {
			trace = h.Work.Trace
		}
		r.config.Hooks.Stuck(record.ID, record.Reason, trace)
	}
}

// settled sees to what waits for a commit that has made a head, and may have posted.
func (r *Runner) settled(record *Record, posts bool) {
	if record.Status.Ended() {
		r.waiters.ended(record)
		r.retiring.add(record.ID)
	}
	if !record.Due.IsZero() {
		r.dueAt(record.Due)
	}
	if posts {
		r.posted()
	}
}

func (r *Runner) discard(ctx context.Context, q discard) (struct{}, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	err := r.store.Discard(ctx, q.Positions)
	if err != nil { // it comes again, and is then discarded
		r.config.Hooks.StoreFailed("Discard", err)
	}
	return struct{}{}, nil
}

func (r *Runner) refuse(_ context.Context, q refuse) (struct{}, error) {
	r.config.Hooks.Refused(q.ID, q.Message, q.Reason)
	return struct{}{}, nil
}

// perform has a user's handler do a request.
func (r *Runner) perform(ctx context.Context, q perform) (result, error) {
	got, tell := r.attempt(ctx, &q)
	tell()
	return got, nil
}

// attempt is perform, but for telling the hook.
func (r *Runner) attempt(ctx context.Context, q *perform) (got result, tell func()) {
	k := r.kinds[q.ID.Type]
	t := k.requests[q.Request]
	if t == nil {
		return result{Failure: k.failure(fmt.Errorf("%w: request %q is not one of Types.Requests of saga %q", effect.ErrNoHandler, q.Request, k.name))}, func() {}
	}
	r.busy.Add(1)
	defer r.busy.Add(-1)
	if q.ID.Tenant != "" {
		ctx = eventstore.WithTenant(ctx, q.ID.Tenant)
	}
	h := &handlerContext{parent: ctx, perform: q, kind: k, id: effectID(q.ID, q.Attempt.Effect)}
	h.begin(r)
	began := r.runtime.Now()
	request, value, err := t.perform(h, r.handlers[t.goType], q.Data)
	switch over := h.end(); {
	case !over || err == nil || IsRejected(err):
	case err == context.Canceled: //nolint:errorlint // it says nothing of its own: that is the context's end
		err = effect.ErrTimeout
	default:
		err = fmt.Errorf("%w: %w", effect.ErrTimeout, err)
	}
	took := r.runtime.Now().Sub(began)
	tell = func() { r.config.Hooks.Attempted(h.id, q.Request, q.Attempt.N, took, err) }
	switch {
	case errors.Is(err, Later):
		return result{Later: true}, tell
	case err != nil:
		return result{Failure: k.failure(err), request: request}, tell
	}
	return result{Value: value, request: request}, tell
}

// handlerContext is the context of an attempt. It tells a handler whose effect it
// does, and for whom. It ends with the effect's, when the attempt takes too long, and
// when the handler returns; when that does not return soon after it took too long,
// the saga goes on without it.
type handlerContext struct {
	parent  context.Context //nolint:containedctx // it is one itself
	perform *perform
	kind    *kind
	id      string

	mu       sync.Mutex
	timer    store.Timer // nil if it may take as long as it wants
	returned bool
	over     bool // it had no time left
	// ending is what ends. It is made when somebody asks, as only a handler that
	// waits for something does.
	ending context.Context //nolint:containedctx // it is one itself
	cancel context.CancelFunc
}

// begin sets the time that the attempt may take.
func (c *handlerContext) begin(r *Runner) {
	q := c.perform
	if q.Timeout <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = r.runtime.AfterFunc(q.Timeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.returned { // just then
			return
		}
		c.over = true
		if c.cancel != nil {
			c.cancel()
		}
		id, a := q.ID, q.Attempt
		c.timer = r.runtime.AfterFunc(q.Timeout/10+100*time.Millisecond, func() {
			_ = r.machines.Send(store.WithRuntime(context.Background(), r.runtime), id, overdue{a})
		})
	})
}

// end tells whether the attempt has taken too long.
func (c *handlerContext) end() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = true
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.cancel != nil {
		c.cancel()
	}
	return c.over
}

// ends is the context that ends.
func (c *handlerContext) ends() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil {
		c.ending, c.cancel = context.WithCancel(c.parent)
		if c.over {
			c.cancel()
		}
	}
	return c.ending
}

// Deadline tells of none: a timeout's end is told by Done.
func (c *handlerContext) Deadline() (deadline time.Time, ok bool) { return c.parent.Deadline() }

// Done is closed when the attempt is over.
func (c *handlerContext) Done() <-chan struct{} { return c.ends().Done() }

// Err is context.Canceled when Done is closed.
func (c *handlerContext) Err() error { return c.ends().Err() }

// Value has what tells of the effect, and what the effect's context has.
func (c *handlerContext) Value(key any) any {
	switch key.(type) {
	case effectIDKey:
		return c.id
	case attemptKey:
		return c.perform.Attempt.N
	case kindKey:
		return c.kind
	}
	if key == reducer.MetaKey() {
		return c.meta
	}
	return c.ends().Value(key) // by which contexts that are made of this one find it
}

// meta is what goes with whatever the handler sends.
func (c *handlerContext) meta() reducer.Meta {
	q := c.perform
	m := reducer.Meta{
		ActionID: uuid.NewSHA1(namespace, []byte(c.id)), CorrelationID: correlation(q.ID), Tenant: q.ID.Tenant,
	}
	if q.Meta != nil {
		m.Actor, m.TraceParent = q.Meta.Actor, q.Meta.TraceParent
		if q.Meta.Correlation != uuid.Nil {
			m.CorrelationID = q.Meta.Correlation
		}
	}
	return m
}

// bound is ctx for a call of the store.
func (r *Runner) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.simulated {
		return context.WithTimeout(ctx, r.config.StoreTimeout)
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := r.runtime.AfterFunc(r.config.StoreTimeout, cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}
