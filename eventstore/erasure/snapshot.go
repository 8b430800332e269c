package erasure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed57833328/rondo/eventstore"
)

// SaveSnapshot keeps a snapshot; see [eventstore.Snapshots]. If it has subjects it
// is encrypted with the keys of all of them, so that it cannot be read when one
// was erased. One about a subject that is erased already is eventstore.ErrErased:
// the caller may have its state from before, and does best to load it again. If
// the inner store has no Snapshots, this and the other methods of it are
// errors.ErrUnsupported.
func (s *Store) SaveSnapshot(ctx context.Context, snapshot eventstore.Snapshot) error {
	inner, err := part[eventstore.Snapshots](s, "Snapshots")
	if err != nil {
		return err
	}
	if len(snapshot.Subjects) == 0 {
		return inner.SaveSnapshot(ctx, snapshot)
	}
	if err := eventstore.CheckSnapshot(&snapshot); err != nil {
		return err
	}
	tenant, err := eventstore.Tenant(ctx, false)
	if err != nil {
		return err
	}
	names := distinct(snapshot.Subjects)
	keys, err := s.keysOf(ctx, tenant, names, true)
	if err == nil {
		snapshot.Data, err = sealTogether(keys, names, snapshot.Data, ofSnapshot(tenant, &snapshot))
	}
	if err != nil {
		return fmt.Errorf("save snapshot %q of %q: %w", snapshot.Type, snapshot.Stream, err)
	}
	return inner.SaveSnapshot(ctx, snapshot)
}

// LoadSnapshot returns the snapshot of that stream and type; see
// [eventstore.Snapshots]. One that has a subject which was erased is not found,
// nor is one that cannot be decrypted; of the latter Hooks.SnapshotUnreadable is
// told.
func (s *Store) LoadSnapshot(ctx context.Context, stream, snapshotType string) (eventstore.Snapshot, bool, error) {
	inner, err := part[eventstore.Snapshots](s, "Snapshots")
	if err != nil {
		return eventstore.Snapshot{}, false, err
	}
	snapshot, found, err := inner.LoadSnapshot(ctx, stream, snapshotType)
	if err != nil || !found || len(snapshot.Subjects) == 0 {
		return snapshot, found, err
	}
	tenant, err := eventstore.Tenant(ctx, false)
	if err != nil {
		return eventstore.Snapshot{}, false, err
	}
	snapshot.Data, err = s.openSnapshot(ctx, tenant, &snapshot)
	var unreadable *eventstore.DataError
	switch {
	case errors.Is(err, eventstore.ErrErased):
		return eventstore.Snapshot{}, false, nil
	case errors.As(err, &unreadable):
		s.cfg.Hooks.SnapshotUnreadable(unreadable)
		return eventstore.Snapshot{}, false, nil
	case err != nil:
		return eventstore.Snapshot{}, false, fmt.Errorf("load snapshot %q of %q: %w", snapshotType, stream, err)
	}
	return snapshot, true, nil
}

// openSnapshot decrypts the data of a snapshot. Errors: eventstore.ErrErased,
// *eventstore.DataError, and those of the key service.
func (s *Store) openSnapshot(ctx context.Context, tenant string, snapshot *eventstore.Snapshot) ([]byte, error) {
	unreadable := func(err error) error {
		return &eventstore.DataError{Type: snapshot.Type, Stream: snapshot.Stream, Version: snapshot.Version, Err: fmt.Errorf("snapshot: %w", err)}
	}
	names := distinct(snapshot.Subjects)
	keys, keyErr := s.keysOf(ctx, tenant, names, false)
	if keyErr != nil && !errors.Is(keyErr, eventstore.ErrNoKey) {
		return nil, keyErr
	}
	sealed, plain, err := body(snapshot.Data, s.cfg.AcceptPlaintext)
	switch {
	case err != nil:
		return nil, unreadable(err)
	case plain:
		return snapshot.Data, nil
	case keyErr != nil:
		return nil, unreadable(keyErr)
	}
	data, err := openTogether(keys, names, sealed, ofSnapshot(tenant, snapshot))
	if err != nil {
		return nil, unreadable(err)
	}
	return data, nil
}

// DeleteSnapshot forgets it; see [eventstore.Snapshots].
func (s *Store) DeleteSnapshot(ctx context.Context, stream, snapshotType string) error {
	inner, err := part[eventstore.Snapshots](s, "Snapshots")
	if err != nil {
		return err
	}
	return inner.DeleteSnapshot(ctx, stream, snapshotType)
}

// keysOf returns the keys of subjects. It is eventstore.ErrErased if one was
// erased, and eventstore.ErrNoKey if none was and one has no key.
func (s *Store) keysOf(ctx context.Context, tenant string, names []string, create bool) ([][]byte, error) {
	keys := [][]byte{}
	var missing error
	for _, name := range names {
		k, err := s.ring.get(ctx, subject{tenant, name}, create)
		if err != nil {
			err = fmt.Errorf("key of subject %q: %w", name, err)
		}
		switch {
		case errors.Is(err, eventstore.ErrNoKey):
			missing = err
		case err != nil:
			return nil, err
		default:
			keys = append(keys, k.bytes)
		}
	}
	return keys, missing
}

// distinct returns names in order, each once.
func distinct(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
