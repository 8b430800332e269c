package memory

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/seed57833328/rondo/eventstore"
)

type snapshotKey struct{ stream, snapshotType string }

// SaveSnapshot keeps a snapshot; see [eventstore.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot eventstore.Snapshot) error {
	if err := eventstore.CheckSnapshot(&snapshot); err != nil {
		return err
	}
	t, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if reached := len(t.streams[snapshot.Stream]); snapshot.Version > eventstore.Version(reached) {
		return &eventstore.InputError{
			Field: "Snapshot.Version", Value: strconv.FormatInt(int64(snapshot.Version), 10),
			Want: fmt.Sprintf("at most %d, the version of %q", reached, snapshot.Stream),
		}
	}
	key := snapshotKey{snapshot.Stream, snapshot.Type}
	if snapshot.Version < t.snapshots[key].Version {
		return nil
	}
	snapshot = cloneSnapshot(snapshot)
	snapshot.Schema = max(snapshot.Schema, 1)
	snapshot.At = s.now()
	t.snapshots[key] = snapshot
	return nil
}

// LoadSnapshot returns the snapshot of that stream and type; see
// [eventstore.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, stream, snapshotType string) (eventstore.Snapshot, bool, error) {
	t, err := s.enterSnapshot(ctx, stream, snapshotType)
	if err != nil {
		return eventstore.Snapshot{}, false, err
	}
	defer s.mu.Unlock()
	snapshot, found := t.snapshots[snapshotKey{stream, snapshotType}]
	return cloneSnapshot(snapshot), found, nil
}

// DeleteSnapshot forgets it; see [eventstore.Snapshots].
func (s *Store) DeleteSnapshot(ctx context.Context, stream, snapshotType string) error {
	t, err := s.enterSnapshot(ctx, stream, snapshotType)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(t.snapshots, snapshotKey{stream, snapshotType})
	return nil
}

func (s *Store) enterSnapshot(ctx context.Context, stream, snapshotType string) (*tenant, error) {
	if err := eventstore.CheckStream("stream", stream); err != nil {
		return nil, err
	}
	if err := eventstore.CheckName("snapshotType", snapshotType); err != nil {
		return nil, err
	}
	return s.enter(ctx)
}

func cloneSnapshot(s eventstore.Snapshot) eventstore.Snapshot {
	s.Data, s.Subjects = slices.Clone(s.Data), slices.Clone(s.Subjects)
	return s
}
