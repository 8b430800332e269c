package recorder

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

// Log is where recorders write: an event store, and the types of what is in it.
// Its methods may be called from any goroutine.
type Log struct {
	Store    eventstore.Store
	Registry *eventstore.Registry
	// Halted is told of stores that cannot go on. nil is nobody.
	Halted func(Halt)

	recorded atomic.Int64

	mu      sync.Mutex
	waiting list.List // the time of each action that is first in an append on its way
}

// Recorded is how many events were recorded so far.
func (l *Log) Recorded() int64 { return l.recorded.Load() }

// Lag tells how long the oldest action waits that is being recorded.
func (l *Log) Lag(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := l.waiting.Front(); first != nil {
		return now.Sub(first.Value.(time.Time)) //nolint:forcetypeassert // there are no others
	}
	return 0
}

// wait notes that an action waits, until end is called.
func (l *Log) wait(since time.Time) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.waiting.PushBack(since)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waiting.Remove(e)
	}
}

// Handlers are the handlers of a recorder's requests.
func Handlers[A any](l *Log) []effect.Handler {
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, q Append[A]) (struct{}, error) {
			defer l.wait(q.Entries[0].At)()
			events := make([]eventstore.Event, len(q.Entries))
			for i, e := range q.Entries {
				var err error
				if events[i], err = encode(l.Registry, e); err != nil {
					return struct{}{}, effect.Permanent(err)
				}
			}
			return struct{}{}, l.append(ctx, eventstore.Write{Stream: q.Stream, Expected: eventstore.Exactly(q.After), Events: events})
		}),
		effect.Handle(func(ctx context.Context, q Load[A]) ([]Entry[A], error) {
			var entries []Entry[A]
			for recorded, err := range l.Store.ReadStream(ctx, q.Stream, q.After+1) {
				if err != nil {
					return nil, final(err)
				}
				e, err := Decode[A](l.Registry, recorded)
				if err != nil {
					return nil, effect.Permanent(err)
				}
				entries = append(entries, e)
			}
			return entries, nil
		}),
		effect.Handle(func(_ context.Context, q Halt) (struct{}, error) {
			if l.Halted != nil {
				l.Halted(q)
			}
			return struct{}{}, nil
		}),
	}
}

// append is Append for events that have ids: those that are there already were
// appended by an attempt of which nothing was known.
func (l *Log) append(ctx context.Context, w eventstore.Write) error {
	_, err := l.Store.Append(ctx, w)
	var there *eventstore.DuplicateEventError
	if err == nil || errors.As(err, &there) {
		l.recorded.Add(int64(len(w.Events)))
		return nil
	}
	return final(err)
}

// final marks an error that another attempt will not mend.
func final(err error) error {
	if err == nil || eventstore.Retryable(err) {
		return err
	}
	return effect.Permanent(err)
}

// labelAt is the label of an event that has the time of its action.
const labelAt = "at"

func encode[A any](r *eventstore.Registry, e Entry[A]) (eventstore.Event, error) {
	event, err := r.Encode(e.Action)
	event.ID = e.Meta.ActionID
	event.Meta = eventstore.Meta{
		CorrelationID: e.Meta.CorrelationID,
		CausationID:   e.Meta.CausationID,
		Actor:         e.Meta.Actor,
		TraceParent:   e.Meta.TraceParent,
		Labels:        map[string]string{labelAt: e.At.Format(time.RFC3339Nano)},
	}
	return event, err
}

// Decode is the entry that an event was made of.
func Decode[A any](r *eventstore.Registry, e eventstore.Recorded) (Entry[A], error) {
	value, err := r.Decode(e)
	if err != nil {
		return Entry[A]{}, err
	}
	action, ok := value.(A)
	if !ok {
		return Entry[A]{}, fmt.Errorf("event %d of %q: %q is no action of its store", e.Version, e.Stream, e.Type)
	}
	at, err := Time(e)
	return Entry[A]{action, at, reducer.Meta{
		ActionID:      e.ID,
		CorrelationID: e.Meta.CorrelationID,
		CausationID:   e.Meta.CausationID,
		Actor:         e.Meta.Actor,
		TraceParent:   e.Meta.TraceParent,
	}}, err
}
