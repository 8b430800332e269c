package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/store"
)

// readAgainAfter is the wait after a read that failed and may succeed later.
const readAgainAfter = 100 * time.Millisecond

// Keep is for events that are no actions: those of the world around the stores.
// It appends what decide returns to a stream that has *version events, and
// applies it. nil is nothing to append. Should the stream have others, because
// another process has written there to its last moment, they are applied and it
// is decided again.
//
// It returns when it is known what has become of the append, however long that
// takes, whether ctx goes on or not: what has happened in the world has happened.
func (l *Log) Keep(ctx context.Context, stream string, version *eventstore.Version, apply func(event any), decide func() (event any)) error {
	ctx = context.WithoutCancel(ctx)
	for {
		event := decide()
		if event == nil {
			return nil
		}
		err := l.Write(ctx, stream, *version, event)
		if err == nil {
			*version++
			apply(event)
			return nil
		}
		var conflict *eventstore.ConflictError
		if !errors.As(err, &conflict) || conflict.Actual <= *version {
			return fmt.Errorf("write %T: %w", event, err)
		}
		for e, err := range eventstore.Decode[any](l.Registry, l.Store.ReadStream(ctx, stream, *version+1), eventstore.FailUnknown) {
			if eventstore.Retryable(err) {
				// What was read is applied; the next conflict leads to the rest.
				if err := store.Sleep(ctx, readAgainAfter); err != nil {
					return err
				}
				break
			}
			if err != nil {
				return err
			}
			*version++
			apply(e.Event)
		}
	}
}

// Write appends an event to a stream that has so many, again and again until it
// is known whether it is there. Others that are there are a
// *eventstore.ConflictError.
func (l *Log) Write(ctx context.Context, stream string, after eventstore.Version, event any) error {
	e, err := l.Registry.Encode(event)
	if err != nil {
		return err
	}
	if e.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	e.Meta.Labels = map[string]string{labelAt: store.RuntimeOf(ctx).Now().UTC().Format(time.RFC3339Nano)}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
		err := l.append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Exactly(after), Events: []eventstore.Event{e}})
		if err == nil || !eventstore.Retryable(err) {
			return err
		}
		if err := store.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Time is when an event happened, by the clock of those who recorded it.
func Time(e eventstore.Recorded) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, e.Meta.Labels[labelAt])
	if err != nil {
		return at, fmt.Errorf("event %d of %q: label %q: %w", e.Version, e.Stream, labelAt, err)
	}
	return at, nil
}
