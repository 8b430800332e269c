package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
)

// home does the requests of machines on an event store.
type home[S, C, E any] struct {
	decider  Decider[S, C, E]
	registry *eventstore.Registry
	copy     func(*S) S
	log      eventstore.Store
	category string
	unknown  eventstore.OnUnknown
	archive  *archive[S] // nil for none
	read     func(ctx context.Context, id string) (S, eventstore.Version, error)

	claimed atomic.Int64  // claims that were appended
	tidies  time.Duration // how long deleting those that have expired may take
}

func withTenant(ctx context.Context, tenant string) context.Context {
	if tenant == "" {
		return ctx
	}
	return eventstore.WithTenant(ctx, tenant)
}

// refusal is an error with which the event store says that nothing was written.
// Any other leaves that open.
type refusal struct{ error }

func (e *refusal) Unwrap() error { return e.error }

// append appends what a batch was decided to make happen. The ids of the events
// and the results of the claims tell it whether an earlier attempt has done so.
func (h *home[S, C, E]) append(ctx context.Context, q appendEvents) ([]eventstore.Recorded, error) {
	ctx = withTenant(ctx, q.Tenant)
	events := q.Writes[0].Events
	appended, err := h.log.Append(ctx, q.Writes...)
	if err == nil {
		h.tidy(ctx, q.Writes)
		if len(events) == 0 {
			return nil, nil
		}
		if len(appended) != len(q.Writes) || len(appended[0].Events) != len(events) {
			return nil, effect.Permanent(fmt.Errorf("append to %q: the event store tells of other events than it was given", q.Writes[0].Stream))
		}
		return appended[0].Events, nil
	}
	var duplicate *eventstore.DuplicateEventError
	var claimed *eventstore.ClaimedError
	var unknown *eventstore.UnknownOutcomeError
	switch {
	case errors.As(err, &unknown):
		return nil, err
	case errors.As(err, &duplicate), errors.As(err, &claimed) && claims(q.Writes, &claimed.Claim):
		recorded, found, readErr := h.appended(ctx, &q.Writes[0])
		if readErr != nil {
			return nil, fmt.Errorf("look whether it was appended to %q: %w", q.Writes[0].Stream, readErr)
		}
		if found {
			return recorded, nil
		}
	}
	if !eventstore.Retryable(err) {
		err = effect.Permanent(err)
	}
	return nil, &refusal{err}
}

// tidy deletes claims whose time has run out: after each so many new ones twice as
// many. What does not succeed now is for the next time.
func (h *home[S, C, E]) tidy(ctx context.Context, writes []eventstore.Write) {
	const every = 256
	n := int64(0)
	for i := range writes {
		if writes[i].Claim != nil {
			n++
		}
	}
	if n == 0 {
		return
	}
	claims, ok := h.log.(eventstore.Claims)
	if after := h.claimed.Add(n); !ok || after/every == (after-n)/every {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.tidies)
	defer cancel()
	_, _ = claims.DeleteExpiredClaims(ctx, 2*every)
}

// claims tells whether a claim that was found is one of those of the writes, and
// not that of another command with the same key.
func claims(writes []eventstore.Write, found *eventstore.Claim) bool {
	return slices.ContainsFunc(writes, func(w eventstore.Write) bool {
		return w.Claim != nil && w.Claim.Key == found.Key && bytes.Equal(w.Claim.Result, found.Result)
	})
}

// appended looks for the events of an append where they would have gone.
func (h *home[S, C, E]) appended(ctx context.Context, w *eventstore.Write) (recorded []eventstore.Recorded, found bool, err error) {
	if len(w.Events) == 0 {
		return nil, true, nil
	}
	expected, _ := w.Expected.Version()
	for e, err := range h.log.ReadStream(ctx, w.Stream, expected+1) {
		if err != nil {
			return nil, false, err
		}
		if e.ID != w.Events[len(recorded)].ID {
			break
		}
		if recorded = append(recorded, e); len(recorded) == len(w.Events) {
			return recorded, true, nil
		}
	}
	return nil, false, nil
}

// load reads a state.
func (h *home[S, C, E]) load(ctx context.Context, q loadState[S]) (*loaded[S], error) {
	ctx = withTenant(ctx, q.Tenant)
	l := &loaded[S]{Current: true, Kept: q.Kept}
	shared := false
	switch {
	case q.Base != nil && (q.CatchUp || h.read == nil):
		l.base, shared = *q.Base, true
	case q.Distrust:
		h.archive.drop(ctx, q.Stream)
	case h.read == nil:
		l.base, l.Kept = h.archive.load(ctx, q.Stream)
	default:
		state, version, err := h.read(ctx, q.Stream[len(h.category)+1:])
		if err != nil {
			return nil, fmt.Errorf("read model: %w", err)
		}
		if version < 0 {
			return nil, effect.Permanent(fmt.Errorf("read model: it reflects version %d, want 0 or more", version))
		}
		l.State, l.Version = h.copy(&state), version // it may be somebody's own
		if q.Base == nil || version >= q.Base.Version {
			l.Current = false
			return l, nil
		}
		// It lags behind what is known already.
	}
	return l, h.readOn(ctx, q.Stream, l, shared)
}

// readOn goes on from a state with what the stream has beyond it. A state that
// claims more than the stream has is no good.
func (h *home[S, C, E]) readOn(ctx context.Context, stream string, l *loaded[S], shared bool) error {
	count := func(e eventstore.Recorded) {
		if shared {
			l.State, shared = h.copy(&l.State), false
		}
		l.Kept.more(e)
	}
	if err := h.fold(ctx, stream, &l.base, 0, count); err != nil {
		return err
	}
	if l.Version == 0 || l.Position > 0 {
		return nil
	}
	h.archive.drop(ctx, stream)
	l.base, l.Kept = base[S]{}, kept{}
	return h.fold(ctx, stream, &l.base, 0, count)
}

// fold goes on from a state with what the stream has beyond it, up to a version;
// 0 is all. It calls each with every event, before that is applied.
func (h *home[S, C, E]) fold(ctx context.Context, stream string, b *base[S], to eventstore.Version, each func(eventstore.Recorded)) error {
	from := b.Version + 1
	if b.Version > 0 && b.Position == 0 {
		from-- // where its last event stands is not known, nor that there is one
	}
	for e, err := range h.log.ReadStream(ctx, stream, from) {
		switch {
		case err != nil:
			return lasting(err)
		case e.Version > b.Version+1:
			return effect.Permanent(fmt.Errorf("event %d of %q is followed by %d", b.Version, stream, e.Version))
		case e.Version > b.Version:
			each(e)
			if err := h.evolve(&b.State, e); err != nil {
				return effect.Permanent(err)
			}
			b.Version = e.Version
		}
		if b.Position = e.Position; e.Version == to {
			break
		}
	}
	return nil
}

// evolve puts an event that was read on top of a state.
func (h *home[S, C, E]) evolve(s *S, e eventstore.Recorded) error {
	value, err := h.registry.Decode(e)
	event, ok := value.(E)
	if err == nil && !ok {
		err = &eventstore.UnknownTypeError{Type: e.Type, Stream: e.Stream, Version: e.Version}
	}
	var unknown *eventstore.UnknownTypeError
	switch {
	case h.unknown == eventstore.SkipUnknown && errors.As(err, &unknown):
		return nil
	case err != nil:
		return err
	}
	if err := evolve(h.decider, s, event); err != nil {
		return fmt.Errorf("event %d of %q: %w", e.Version, e.Stream, err)
	}
	return nil
}

// rebuild reads what a command that was done before has led to.
func (h *home[S, C, E]) rebuild(ctx context.Context, q rebuild[S]) (*reply[S], error) {
	ctx = withTenant(ctx, q.Tenant)
	p := &reply[S]{of: q.Order, Feedback: Feedback[S]{Stream: q.Stream, Version: q.Was.Version, Replayed: true}}
	if q.Was.Version == 0 {
		return p, nil
	}
	first := q.Was.Version - eventstore.Version(q.Was.Events) + 1
	keep := func(e eventstore.Recorded) {
		if e.Version >= first {
			p.Events = append(p.Events, e)
		}
	}
	var b base[S]
	if q.Quiet {
		for e, err := range h.log.ReadStream(ctx, q.Stream, min(first, q.Was.Version)) {
			if err != nil {
				return nil, lasting(err)
			}
			keep(e)
			if b.Version, b.Position = e.Version, e.Position; b.Version == q.Was.Version {
				break
			}
		}
	} else {
		if b, _ = h.archive.load(ctx, q.Stream); b.Version >= first {
			b = base[S]{}
		}
		if err := h.fold(ctx, q.Stream, &b, q.Was.Version, keep); err != nil {
			return nil, err
		}
		p.State = b.State
	}
	if b.Version != q.Was.Version {
		return nil, effect.Permanent(shorter(q))
	}
	p.Position = b.Position
	return p, nil
}

func shorter[S any](q rebuild[S]) error {
	return fmt.Errorf("the command was done at version %d of %q, which the stream does not have", q.Was.Version, q.Stream)
}

// lasting marks errors of a read that another attempt will not mend.
func lasting(err error) error {
	var (
		input *eventstore.InputError
		data  *eventstore.DataError
	)
	if errors.As(err, &input) || errors.As(err, &data) ||
		errors.Is(err, eventstore.ErrNoTenant) || errors.Is(err, eventstore.ErrClosed) || errors.Is(err, eventstore.ErrErased) {
		return effect.Permanent(err)
	}
	return err
}
