package saga

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
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
	v, err := r.committer.commit(ctx, &q.Change, q.Alone)
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
		r.waiters.ended(record.ID)
	}
	if !record.Due.IsZero() {
		r.dueAt(record.Due)
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
	r.config.Hooks.Refused(q.ID, q.Input.Message, q.Reason)
	return struct{}{}, nil
}

// perform has a user's handler do a request.
func (r *Runner) perform(ctx context.Context, q perform) (result, error) {
	k := r.kinds[q.ID.Type]
	id := effectID(q.ID, q.Effect)
	t := k.requests[q.Request]
	if t == nil {
		return result{Failure: k.failure(fmt.Errorf("%w: request %q is not one of Types.Requests of saga %q", effect.ErrNoHandler, q.Request, k.name))}, nil
	}
	r.busy.Add(1)
	defer r.busy.Add(-1)
	ctx = handlerContext(ctx, &q, id)
	timedOut := func() bool { return false }
	if q.Timeout > 0 {
		limited, cancel := context.WithCancelCause(ctx)
		timer := r.runtime.AfterFunc(q.Timeout, func() { cancel(effect.ErrTimeout) })
		defer func() {
			timer.Stop()
			cancel(nil)
		}()
		ctx = limited
		timedOut = func() bool { return errors.Is(context.Cause(limited), effect.ErrTimeout) }
	}
	began := r.runtime.Now()
	value, err := t.perform(ctx, r.handlers[t.goType], q.Data)
	if err != nil && timedOut() && !IsRejected(err) {
		err = fmt.Errorf("%w: %w", effect.ErrTimeout, err)
	}
	r.config.Hooks.Attempted(id, q.Request, q.Attempt, r.runtime.Now().Sub(began), err)
	switch {
	case errors.Is(err, Later):
		return result{Later: true}, nil
	case err != nil:
		return result{Failure: k.failure(err)}, nil
	}
	return result{Value: value}, nil
}

// handlerContext tells a handler whose effect it does, and for whom.
func handlerContext(ctx context.Context, q *perform, id string) context.Context {
	ctx = context.WithValue(ctx, effectIDKey{}, id)
	ctx = context.WithValue(ctx, attemptKey{}, q.Attempt)
	m := reducer.Meta{CorrelationID: correlation(q.ID), Tenant: q.ID.Tenant}
	m.ActionID = uuid.NewSHA1(namespace, []byte(id))
	if q.Meta != nil {
		m.Actor, m.TraceParent = q.Meta.Actor, q.Meta.TraceParent
		if q.Meta.Correlation != uuid.Nil {
			m.CorrelationID = q.Meta.Correlation
		}
	}
	if q.ID.Tenant != "" {
		ctx = eventstore.WithTenant(ctx, q.ID.Tenant)
	}
	return reducer.WithMeta(ctx, m)
}

// bound is ctx for a call of the store.
func (r *Runner) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := r.runtime.AfterFunc(r.config.StoreTimeout, cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}
