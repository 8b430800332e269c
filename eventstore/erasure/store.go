package erasure

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// Store is an event store whose payloads about subjects are encrypted. Make it
// with [New]; it may be used by any goroutine. It has no Close: who opened the
// inner store closes it.
type Store struct {
	inner eventstore.Store
	keys  eventstore.Keys
	ring  *keyring
	cfg   Config
}

var (
	_ eventstore.Store       = (*Store)(nil)
	_ eventstore.Lookup      = (*Store)(nil)
	_ eventstore.Claims      = (*Store)(nil)
	_ eventstore.Snapshots   = (*Store)(nil)
	_ eventstore.Checkpoints = (*Store)(nil)
)

// New puts encryption around a store. The homes of this module keep keys
// themselves, so that inner can be keys too; any other key service will do. The
// error is a *eventstore.InputError.
func New(inner eventstore.Store, keys eventstore.Keys, cfg Config) (*Store, error) {
	switch {
	case inner == nil:
		return nil, &eventstore.InputError{Field: "inner", Value: "nil", Want: "a store"}
	case keys == nil:
		return nil, &eventstore.InputError{Field: "keys", Value: "nil", Want: "a key service"}
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Store{inner, keys, newKeyring(keys, cfg.KeyTTL, cfg.CachedKeys), cfg}, nil
}

// Append appends events, the payloads of those that have a subject encrypted; see
// [eventstore.Store]. An event about a subject that was erased is
// eventstore.ErrErased.
func (s *Store) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	if !aboutSubjects(writes) {
		return s.inner.Append(ctx, writes...)
	}
	plain, sealed, err := s.seal(ctx, writes)
	if err != nil {
		if errors.Is(err, eventstore.ErrErased) {
			return nil, s.duplicate(ctx, plain, err)
		}
		return nil, err
	}
	appended, err := s.inner.Append(ctx, sealed...)
	if err != nil {
		return nil, err
	}
	// What was encrypted a moment ago need not be decrypted.
	for i := range min(len(appended), len(plain)) {
		events := slices.Clone(appended[i].Events)
		for j := range min(len(events), len(plain[i].Events)) {
			events[j].Data = plain[i].Events[j].Data
		}
		appended[i].Events = events
	}
	return appended, nil
}

// duplicate is what is said of an append about a subject that was erased. If it
// has happened before, that is said of it, as of every append.
func (s *Store) duplicate(ctx context.Context, writes []eventstore.Write, erased error) error {
	lookup, ok := s.inner.(eventstore.Lookup)
	if !ok {
		return erased
	}
	found, err := lookup.Lookup(ctx, eventstore.IDs(writes)...)
	if err != nil {
		return fmt.Errorf("%w; look whether it was appended before: %w", erased, err)
	}
	for _, w := range writes {
		for _, e := range w.Events {
			if slices.ContainsFunc(found, func(f eventstore.Recorded) bool { return f.ID == e.ID }) {
				return &eventstore.DuplicateEventError{Stream: w.Stream, ID: e.ID}
			}
		}
	}
	return erased
}

// Seal encrypts writes as Append does, for what appends to the inner store in
// another way: in a transaction of the caller's, for one. Events without an id
// are given one, since a payload is bound to its event's. An event about a
// subject that was erased is eventstore.ErrErased. What the inner store returns
// of them is read with Open. Do not call it in a transaction on the database that
// the keys are in.
func (s *Store) Seal(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Write, error) {
	if !aboutSubjects(writes) {
		return writes, nil
	}
	_, sealed, err := s.seal(ctx, writes)
	return sealed, err
}

func aboutSubjects(writes []eventstore.Write) bool {
	for _, w := range writes {
		for i := range w.Events {
			if w.Events[i].Meta.Subject != "" {
				return true
			}
		}
	}
	return false
}

// seal checks writes and encrypts them. The plain ones have the same ids.
func (s *Store) seal(ctx context.Context, writes []eventstore.Write) (plain, sealed []eventstore.Write, err error) {
	tenant, err := eventstore.Tenant(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	if plain, err = eventstore.Prepare(writes); err != nil {
		return nil, nil, err
	}
	sealed = slices.Clone(plain)
	var belongs []byte
	for i := range sealed {
		w := &sealed[i]
		w.Events = slices.Clone(w.Events)
		for j := range w.Events {
			e := &w.Events[j]
			if e.Meta.Subject == "" {
				continue
			}
			k, err := s.ring.get(ctx, subject{tenant, e.Meta.Subject}, true)
			if err != nil {
				return plain, nil, fmt.Errorf("append to %q: key of subject %q: %w", w.Stream, e.Meta.Subject, err)
			}
			belongs = ofEvent(belongs, tenant, w.Stream, e)
			e.Data = k.seal(e.Data, belongs)
		}
	}
	return plain, sealed, nil
}

// Open decrypts events that were read from the inner store in another way than
// through this one. It changes nothing of what it is given.
func (s *Store) Open(ctx context.Context, events ...eventstore.Recorded) ([]eventstore.Recorded, error) {
	opened := slices.Clone(events)
	var belongs []byte
	for i := range opened {
		if err := s.open(ctx, &opened[i], &belongs); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

// open decrypts the payload of an event. belongs is a buffer.
func (s *Store) open(ctx context.Context, e *eventstore.Recorded, belongs *[]byte) error {
	if erased, ok := e.Meta.Labels[erasedLabel]; ok {
		s.ring.forget(subject{e.Tenant, erased})
	}
	if e.Meta.Subject == "" || e.Redacted {
		return nil
	}
	k, keyErr := s.ring.get(ctx, subject{e.Tenant, e.Meta.Subject}, false)
	switch {
	case errors.Is(keyErr, eventstore.ErrErased):
		e.Data, e.Redacted = nil, true
		return nil
	case keyErr != nil && !errors.Is(keyErr, eventstore.ErrNoKey):
		return fmt.Errorf("event %d of %q (position %d): key of subject %q: %w", e.Version, e.Stream, e.Position, e.Meta.Subject, keyErr)
	}
	sealed, plain, err := body(e.Data, s.cfg.AcceptPlaintext)
	switch {
	case err != nil:
		return dataError(e, err)
	case plain:
		return nil
	case keyErr != nil:
		return dataError(e, keyErr)
	}
	*belongs = ofEvent(*belongs, e.Tenant, e.Stream, &eventstore.Event{ID: e.ID, Type: e.Type, Schema: e.Schema, Meta: eventstore.Meta{Subject: e.Meta.Subject}})
	if e.Data, err = k.open(sealed, *belongs); err != nil {
		return dataError(e, err)
	}
	return nil
}

func dataError(e *eventstore.Recorded, err error) error {
	return &eventstore.DataError{Type: e.Type, Stream: e.Stream, Version: e.Version, Position: e.Position, Err: err}
}

// opened decrypts what is read, event by event, so that nothing is decrypted
// before it is asked for.
func (s *Store) opened(ctx context.Context, events iter.Seq2[eventstore.Recorded, error]) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		var belongs []byte
		for e, err := range events {
			if err == nil {
				err = s.open(ctx, &e, &belongs)
			}
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ReadStream reads a stream from that version on; see [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return s.opened(ctx, s.inner.ReadStream(ctx, stream, from))
}

// ReadAll reads what stands after that position; see [eventstore.Store].
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return s.opened(ctx, s.inner.ReadAll(ctx, after, f))
}

// Head is the position up to which everything can be read; see
// [eventstore.Store].
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) { return s.inner.Head(ctx) }

// Subscribe reads what stands after that position, and then what comes; see
// [eventstore.Store]. What comes after a subject was erased is redacted.
func (s *Store) Subscribe(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return s.opened(ctx, s.inner.Subscribe(ctx, after, f))
}

// part returns the inner store as what it may also be. The error wraps
// errors.ErrUnsupported.
func part[I any](s *Store, name string) (I, error) {
	p, ok := s.inner.(I)
	if !ok {
		return p, fmt.Errorf("%T has no eventstore.%s: %w", s.inner, name, errors.ErrUnsupported)
	}
	return p, nil
}

// Lookup returns those of the events that were committed; see
// [eventstore.Lookup]. If the inner store has no Lookup it is
// errors.ErrUnsupported.
func (s *Store) Lookup(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
	inner, err := part[eventstore.Lookup](s, "Lookup")
	if err != nil {
		return nil, err
	}
	found, err := inner.Lookup(ctx, ids...)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, found...)
}

// LoadClaim returns the claim with that key; see [eventstore.Claims]. If the inner
// store has no Claims it is errors.ErrUnsupported.
func (s *Store) LoadClaim(ctx context.Context, key string) (eventstore.Claim, bool, error) {
	inner, err := part[eventstore.Claims](s, "Claims")
	if err != nil {
		return eventstore.Claim{}, false, err
	}
	return inner.LoadClaim(ctx, key)
}

// DeleteExpiredClaims forgets claims whose time has run out; see
// [eventstore.Claims]. If the inner store has no Claims it is
// errors.ErrUnsupported.
func (s *Store) DeleteExpiredClaims(ctx context.Context, limit int) (int, error) {
	inner, err := part[eventstore.Claims](s, "Claims")
	if err != nil {
		return 0, err
	}
	return inner.DeleteExpiredClaims(ctx, limit)
}

// AcquireLease takes or renews a lease; see [eventstore.Checkpoints]. If the inner
// store has no Checkpoints, this and the other methods of it are
// errors.ErrUnsupported.
func (s *Store) AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (eventstore.Lease, error) {
	inner, err := part[eventstore.Checkpoints](s, "Checkpoints")
	if err != nil {
		return eventstore.Lease{}, err
	}
	return inner.AcquireLease(ctx, subscription, owner, ttl)
}

// SaveCheckpoint sets the checkpoint and renews the lease; see
// [eventstore.Checkpoints].
func (s *Store) SaveCheckpoint(ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	inner, err := part[eventstore.Checkpoints](s, "Checkpoints")
	if err != nil {
		return eventstore.Lease{}, err
	}
	return inner.SaveCheckpoint(ctx, lease, checkpoint, ttl)
}

// ReleaseLease gives the lease up; see [eventstore.Checkpoints].
func (s *Store) ReleaseLease(ctx context.Context, lease eventstore.Lease) error {
	inner, err := part[eventstore.Checkpoints](s, "Checkpoints")
	if err != nil {
		return err
	}
	return inner.ReleaseLease(ctx, lease)
}

// LoadCheckpoint returns the lease as it was last held; see
// [eventstore.Checkpoints].
func (s *Store) LoadCheckpoint(ctx context.Context, subscription string) (eventstore.Lease, bool, error) {
	inner, err := part[eventstore.Checkpoints](s, "Checkpoints")
	if err != nil {
		return eventstore.Lease{}, false, err
	}
	return inner.LoadCheckpoint(ctx, subscription)
}

// ResetCheckpoint sets the checkpoint and fences who holds the lease; see
// [eventstore.Checkpoints].
func (s *Store) ResetCheckpoint(ctx context.Context, subscription string, checkpoint eventstore.Position) error {
	inner, err := part[eventstore.Checkpoints](s, "Checkpoints")
	if err != nil {
		return err
	}
	return inner.ResetCheckpoint(ctx, subscription, checkpoint)
}
