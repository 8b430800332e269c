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
	}
	return found{record, ok}, err
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
	record, kind := &q.Change.Record, q.Change.Entry.Kind
	r.config.Hooks.Decided(record.ID, kind, record.Status, record.Sequence)
	if kind == stuckKind {
		trace := ""
		if h, err := loaded(*record); err == nil {
			trace = h.Work.Trace
		}
		r.config.Hooks.Stuck(record.ID, record.Reason, trace)
	}
	if record.Status.Ended() {
		r.waiters.ended(record)
	}
	if !record.Due.IsZero() {
		r.dueAt(record.Due)
	}
	if len(q.Change.Posts) > 0 {
		r.posted()
	}
	return v, nil
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
	k := r.kinds[q.ID.Type]
	t := k.requests[q.Request]
	if t == nil {
		return result{Failure: k.failure(fmt.Errorf("%w: request %q is not one of Types.Requests of saga %q", effect.ErrNoHandler, q.Request, k.name))}, nil
	}
	r.busy.Add(1)
	defer r.busy.Add(-1)
	var l limit
	ctx = l.begin(ctx, r, &q)
	if q.ID.Tenant != "" {
		ctx = eventstore.WithTenant(ctx, q.ID.Tenant)
	}
	h := &handlerContext{Context: ctx, perform: &q, kind: k, id: effectID(q.ID, q.Attempt.Effect)}
	began := r.runtime.Now()
	request, value, err := t.perform(h, r.handlers[t.goType], q.Data)
	if l.end() && err != nil && !IsRejected(err) {
		err = fmt.Errorf("%w: %w", effect.ErrTimeout, err)
	}
	r.config.Hooks.Attempted(h.id, q.Request, q.Attempt.N, r.runtime.Now().Sub(began), err)
	switch {
	case errors.Is(err, Later):
		return result{Later: true}, nil
	case err != nil:
		return result{Failure: k.failure(err), request: request}, nil
	}
	return result{Value: value, request: request}, nil
}

// limit ends the context of an attempt that takes too long; when the handler does
// not return soon after, the saga goes on without it.
type limit struct {
	mu     sync.Mutex
	timer  store.Timer
	cancel context.CancelFunc
	ended  bool // the handler has returned
	over   bool // it had no time left
}

func (l *limit) begin(ctx context.Context, r *Runner, q *perform) context.Context {
	if q.Timeout <= 0 {
		return ctx
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = r.runtime.AfterFunc(q.Timeout, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ended {
			return
		}
		l.over = true
		l.cancel()
		id, a := q.ID, q.Attempt
		l.timer = r.runtime.AfterFunc(q.Timeout/10+100*time.Millisecond, func() {
			_ = r.machines.Send(store.WithRuntime(context.Background(), r.runtime), id, overdue{a})
		})
	})
	return ctx
}

// end tells whether the attempt has taken too long.
func (l *limit) end() bool {
	if l.cancel == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.timer.Stop()
	l.cancel()
	return l.over
}

// handlerContext tells a handler whose effect it does, and for whom.
type handlerContext struct {
	context.Context //nolint:containedctx // it is one

	perform *perform
	kind    *kind
	id      string
}

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
	return c.Context.Value(key)
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
