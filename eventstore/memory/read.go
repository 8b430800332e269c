package memory

import (
	"context"
	"iter"
	"slices"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// ReadStream reads a stream from that version on; see [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		events, err := s.stream(ctx, stream)
		if err == nil {
			err = eventstore.CheckFrom(from)
		}
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		first := int(min(max(from, 1)-1, eventstore.Version(len(events))))
		yieldAll(ctx, events[first:], anyEvent, yield)
	}
}

func (s *Store) stream(ctx context.Context, name string) ([]*eventstore.Recorded, error) {
	if err := eventstore.CheckStream("stream", name); err != nil {
		return nil, err
	}
	t, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return t.streams[name], nil
}

// ReadAll reads what stands after that position; see [eventstore.Store].
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		wanted, err := s.wanted(ctx, after, f)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		events, _, err := s.after(ctx, after, false)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		yieldAll(ctx, events, wanted, yield)
	}
}

// Subscribe reads what stands after that position, and then what comes; see
// [eventstore.Store].
func (s *Store) Subscribe(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		wanted, err := s.wanted(ctx, after, f)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		for next := after; ; {
			events, wake, err := s.after(ctx, next, true)
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if len(events) > 0 {
				if !yieldAll(ctx, events, wanted, yield) {
					return
				}
				next += eventstore.Position(len(events))
				continue
			}
			select {
			case <-wake:
			case <-s.done:
			case <-ctx.Done():
			}
		}
	}
}

// Head is the position of the last event; see [eventstore.Store].
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	if _, _, err := eventstore.ReadTenant(ctx, s.config.RequireTenant); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, eventstore.ErrClosed
	}
	return eventstore.Position(len(s.log)), nil
}

// Lookup returns those of the events that were committed; see
// [eventstore.Lookup].
func (s *Store) Lookup(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
	t, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []eventstore.Recorded
	for _, id := range ids {
		if e := t.events[id]; e != nil {
			found = append(found, *e)
		}
	}
	slices.SortFunc(found, func(a, b eventstore.Recorded) int { return int(a.Position - b.Position) })
	return slices.CompactFunc(found, func(a, b eventstore.Recorded) bool { return a.ID == b.ID }), nil
}

// after returns what stands after that position. If that is nothing and the
// caller wants to wait, it returns what will be closed by the next append.
func (s *Store) after(ctx context.Context, after eventstore.Position, wait bool) ([]*eventstore.Recorded, <-chan struct{}, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, eventstore.ErrClosed
	}
	if after < eventstore.Position(len(s.log)) {
		return s.log[after:], nil, nil
	}
	if wait && s.wake == nil {
		s.wake = make(chan struct{})
	}
	return nil, s.wake, nil
}

// wanted checks a read of all, and returns what it wants of the events.
func (s *Store) wanted(ctx context.Context, after eventstore.Position, f eventstore.Filter) (func(*eventstore.Recorded) bool, error) {
	name, all, err := eventstore.ReadTenant(ctx, s.config.RequireTenant)
	if err != nil {
		return nil, err
	}
	if err := eventstore.CheckAfter(after); err != nil {
		return nil, err
	}
	return func(e *eventstore.Recorded) bool {
		return (all || e.Tenant == name) && f.Matches(e.Stream, e.Type)
	}, nil
}

func anyEvent(*eventstore.Recorded) bool { return true }

// yieldAll hands out those of the events that are wanted, and tells whether to
// go on.
func yieldAll(ctx context.Context, events []*eventstore.Recorded, wanted func(*eventstore.Recorded) bool, yield func(eventstore.Recorded, error) bool) bool {
	const often = 64 // events between two looks at the context
	for i, e := range events {
		if i%often == 0 && ctx.Err() != nil {
			yield(eventstore.Recorded{}, ctx.Err())
			return false
		}
		if wanted(e) && !yield(*e, nil) {
			return false
		}
	}
	return true
}
