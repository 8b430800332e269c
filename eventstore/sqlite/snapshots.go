package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

const (
	upsertSnapshot = `INSERT INTO rondo_snapshots (tenant, stream, type, schema, version, subjects, at, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET schema = excluded.schema, version = excluded.version, subjects = excluded.subjects, at = excluded.at, data = excluded.data
WHERE excluded.version >= version`
	selectSnapshot = `SELECT schema, version, subjects, at, data FROM rondo_snapshots WHERE tenant = ? AND stream = ? AND type = ?`
	deleteSnapshot = `DELETE FROM rondo_snapshots WHERE tenant = ? AND stream = ? AND type = ?`
)

// SaveSnapshot keeps a snapshot; see [eventstore.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snapshot eventstore.Snapshot) error {
	if err := eventstore.CheckSnapshot(&snapshot); err != nil {
		return err
	}
	tenant, err := s.enter(ctx)
	if err != nil {
		return err
	}
	var subjects any
	if len(snapshot.Subjects) > 0 {
		if subjects, err = encodeList(snapshot.Subjects); err != nil {
			return err
		}
	}
	return s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, now time.Time) (verdict, err error) {
		reached, err := versionOf(ctx, w.Conn(), tenant, snapshot.Stream)
		if err != nil {
			return nil, err
		}
		if snapshot.Version > reached {
			return &eventstore.InputError{
				Field: "Snapshot.Version", Value: strconv.FormatInt(int64(snapshot.Version), 10),
				Want: fmt.Sprintf("at most %d, the version of %q", reached, snapshot.Stream),
			}, nil
		}
		_, err = w.Conn().Exec(ctx, upsertSnapshot, tenant, snapshot.Stream, snapshot.Type, int64(max(snapshot.Schema, 1)),
			int64(snapshot.Version), subjects, now.UnixMicro(), blob(snapshot.Data))
		return nil, err
	})
}

// LoadSnapshot returns the snapshot of that stream and type; see
// [eventstore.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, stream, snapshotType string) (snapshot eventstore.Snapshot, found bool, err error) {
	tenant, err := s.enterSnapshot(ctx, stream, snapshotType)
	if err != nil {
		return snapshot, false, err
	}
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		found, err = sqlitefile.First(ctx, c, func(row []driver.Value) error {
			return scanSnapshot(row, &snapshot)
		}, selectSnapshot, tenant, stream, snapshotType)
		return err
	})
	if err != nil || !found {
		return eventstore.Snapshot{}, false, err
	}
	snapshot.Stream, snapshot.Type = stream, snapshotType
	return snapshot, true, nil
}

// DeleteSnapshot forgets it; see [eventstore.Snapshots].
func (s *Store) DeleteSnapshot(ctx context.Context, stream, snapshotType string) error {
	tenant, err := s.enterSnapshot(ctx, stream, snapshotType)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		_, err = w.Conn().Exec(ctx, deleteSnapshot, tenant, stream, snapshotType)
		return nil, err
	})
}

func (s *Store) enterSnapshot(ctx context.Context, stream, snapshotType string) (tenant string, err error) {
	if err := eventstore.CheckStream("stream", stream); err != nil {
		return "", err
	}
	if err := eventstore.CheckName("snapshotType", snapshotType); err != nil {
		return "", err
	}
	return s.enter(ctx)
}

func scanSnapshot(row []driver.Value, snapshot *eventstore.Snapshot) error {
	var schema, version, at int64
	var subjects []byte
	if text, ok := row[2].(string); ok {
		row[2] = []byte(text)
	}
	if err := sqlitefile.Scan(row, &schema, &version, &subjects, &at, &snapshot.Data); err != nil {
		return err
	}
	if subjects != nil {
		if err := json.Unmarshal(subjects, &snapshot.Subjects); err != nil {
			return fmt.Errorf("snapshot: column subjects: %w", err)
		}
	}
	snapshot.Schema, snapshot.Version, snapshot.At = int(schema), eventstore.Version(version), time.UnixMicro(at).UTC()
	return nil
}
