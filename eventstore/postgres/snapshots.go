package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

// saveSnapshotSQL returns the version of the stream, and saves if that has been
// reached.
const saveSnapshotSQL = `
WITH reached AS (
  SELECT coalesce((SELECT version FROM rondo.events WHERE tenant = $1 AND stream = $2 ORDER BY version DESC LIMIT 1), 0) AS version
), saved AS (
  INSERT INTO rondo.snapshots AS s (tenant, stream, type, schema, version, data, subjects, at)
  SELECT $1, $2, $3, $4, $5, $6, $7, clock_timestamp() FROM reached WHERE reached.version >= $5
  ON CONFLICT ON CONSTRAINT snapshots_pkey DO UPDATE
    SET schema = excluded.schema, version = excluded.version, data = excluded.data, subjects = excluded.subjects, at = excluded.at
    WHERE s.version <= excluded.version
)
SELECT version FROM reached`

// SaveSnapshot keeps a snapshot; see [eventstore.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot eventstore.Snapshot) error {
	if err := eventstore.CheckSnapshot(&snapshot); err != nil {
		return err
	}
	tenant, err := s.tenant(ctx)
	if err != nil {
		return err
	}
	subjects := snapshot.Subjects
	if subjects == nil {
		subjects = []string{}
	}
	var reached int64
	err = s.as(ctx, "save snapshot", tenant, func(b *pgx.Batch) {
		b.Queue(saveSnapshotSQL, tenant, snapshot.Stream, snapshot.Type, int16(max(snapshot.Schema, 1)), int64(snapshot.Version),
			encodeData(snapshot.Data), subjects).QueryRow(func(row pgx.Row) error { return row.Scan(&reached) })
	})
	if err == nil && reached < int64(snapshot.Version) {
		return &eventstore.InputError{
			Field: "Snapshot.Version", Value: strconv.FormatInt(int64(snapshot.Version), 10),
			Want: fmt.Sprintf("at most %d, the version of %q", reached, snapshot.Stream),
		}
	}
	return err
}

const loadSnapshotSQL = `
SELECT schema, version, data, subjects, at FROM rondo.snapshots WHERE tenant = $1 AND stream = $2 AND type = $3`

// LoadSnapshot returns the snapshot of that stream and type; see
// [eventstore.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, stream, snapshotType string) (eventstore.Snapshot, bool, error) {
	tenant, err := s.checkSnapshot(ctx, stream, snapshotType)
	if err != nil {
		return eventstore.Snapshot{}, false, err
	}
	snapshot := eventstore.Snapshot{Stream: stream, Type: snapshotType}
	found := false
	err = s.as(ctx, "load snapshot", tenant, func(b *pgx.Batch) {
		found = false
		b.Queue(loadSnapshotSQL, tenant, stream, snapshotType).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				found = true
				var schema int16
				var at time.Time
				if err := rows.Scan(&schema, (*int64)(&snapshot.Version), &snapshot.Data, &snapshot.Subjects, &at); err != nil {
					return err
				}
				snapshot.Schema, snapshot.At = int(schema), at.UTC()
			}
			return rows.Err()
		})
	})
	if err != nil || !found {
		return eventstore.Snapshot{}, false, err
	}
	return snapshot, true, nil
}

const deleteSnapshotSQL = `DELETE FROM rondo.snapshots WHERE tenant = $1 AND stream = $2 AND type = $3`

// DeleteSnapshot forgets it; see [eventstore.Snapshots].
func (s *Store) DeleteSnapshot(ctx context.Context, stream, snapshotType string) error {
	tenant, err := s.checkSnapshot(ctx, stream, snapshotType)
	if err != nil {
		return err
	}
	return s.as(ctx, "delete snapshot", tenant, func(b *pgx.Batch) {
		b.Queue(deleteSnapshotSQL, tenant, stream, snapshotType)
	})
}

func (s *Store) checkSnapshot(ctx context.Context, stream, snapshotType string) (tenant string, err error) {
	if err := eventstore.CheckStream("stream", stream); err != nil {
		return "", err
	}
	if err := eventstore.CheckName("snapshotType", snapshotType); err != nil {
		return "", err
	}
	return s.tenant(ctx)
}
