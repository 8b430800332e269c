package memory

import (
	"context"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Append commits all writes or none; see [eventstore.Store].
func (s *Store) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	writes, err := eventstore.Prepare(writes)
	if err != nil {
		return nil, err
	}
	t, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	now := s.now()
	if err := t.check(writes, now); err != nil {
		return nil, err
	}
	appended, copies := answerFor(writes)
	for i := range writes {
		w := &writes[i]
		if w.Claim != nil {
			t.claims[w.Claim.Key] = cloneClaim(*w.Claim)
		}
		if n := len(w.Events); n > 0 {
			appended[i] = s.write(t, w, now, copies[:n:n])
			copies = copies[n:]
		}
	}
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
	return appended, nil
}

// check finds what forbids the writes, in the order in which the contract wants
// it told: duplicates, claims, conflicts.
func (t *tenant) check(writes []eventstore.Write, now time.Time) error {
	for i := range writes {
		for j := range writes[i].Events {
			if id := writes[i].Events[j].ID; t.events[id] != nil {
				return &eventstore.DuplicateEventError{Stream: writes[i].Stream, ID: id}
			}
		}
	}
	var taken []eventstore.Claim
	for i := range writes {
		if writes[i].Claim == nil {
			continue
		}
		if c, found := t.claims[writes[i].Claim.Key]; found && c.Until.After(now) {
			taken = append(taken, cloneClaim(c))
		}
	}
	if len(taken) > 0 {
		return &eventstore.ClaimedError{Claim: taken[0], More: taken[1:]}
	}
	for i := range writes {
		w := &writes[i]
		if actual := eventstore.Version(len(t.streams[w.Stream])); len(w.Events) > 0 && !w.Expected.Allows(actual) {
			return &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: actual}
		}
	}
	return nil
}

// answerFor makes room for what an append answers: the events in it are copies,
// since the log's own are not handed out. A single event, which is what most
// appends are of, costs one allocation.
func answerFor(writes []eventstore.Write) ([]eventstore.Appended, []eventstore.Recorded) {
	if len(writes) == 1 && len(writes[0].Events) == 1 {
		single := &struct {
			appended [1]eventstore.Appended
			recorded [1]eventstore.Recorded
		}{}
		return single.appended[:], single.recorded[:]
	}
	events := 0
	for i := range writes {
		events += len(writes[i].Events)
	}
	return make([]eventstore.Appended, len(writes)), make([]eventstore.Recorded, events)
}

// write adds the events of a write to the log, and to copies.
func (s *Store) write(t *tenant, w *eventstore.Write, now time.Time, copies []eventstore.Recorded) eventstore.Appended {
	stream := t.streams[w.Stream]
	recorded := make([]eventstore.Recorded, len(w.Events))
	for i := range w.Events {
		e, r := &w.Events[i], &recorded[i]
		*r = eventstore.Recorded{
			ID: e.ID, Tenant: t.name, Stream: w.Stream, Type: e.Type, Schema: e.Schema,
			Version: eventstore.Version(len(stream) + 1), Position: eventstore.Position(len(s.log) + 1),
			Data: e.Data, Meta: e.Meta, At: now,
		}
		stream = append(stream, r)
		s.log = append(s.log, r)
		t.events[e.ID] = r
	}
	t.streams[w.Stream] = stream
	copy(copies, recorded)
	last := &recorded[len(recorded)-1]
	return eventstore.Appended{Stream: w.Stream, Version: last.Version, Position: last.Position, Events: copies}
}
