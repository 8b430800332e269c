package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

func encodeMeta(m *eventstore.Meta) (any, error) {
	if isZero(m) {
		return nil, nil
	}
	encoded, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode meta: %w", err)
	}
	return string(encoded), nil
}

func isZero(m *eventstore.Meta) bool {
	return m.CorrelationID == uuid.Nil && m.CausationID == uuid.Nil && m.Actor == "" &&
		m.TraceParent == "" && m.Subject == "" && len(m.Labels) == 0
}

// blob is data for a column that is never NULL.
func blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// eventColumns are what scanEvent reads, and then as many of streamColumns as a
// query cannot know beforehand.
const (
	eventColumns  = `position, version, id, type, schema, at, meta, data`
	streamColumns = `, stream, tenant`
)

// scanEvent sets what the columns say of an event.
func scanEvent(row []driver.Value, e *eventstore.Recorded) error {
	var (
		position, version, schema, at int64
		id                            []byte
	)
	const metaColumn, dataColumn, streamColumn, tenantColumn = 6, 7, 8, 9
	if err := sqlitefile.Scan(row[:metaColumn], &position, &version, &id, &e.Type, &schema, &at); err != nil {
		return err
	}
	if len(row) > streamColumn {
		if err := sqlitefile.Scan(row[streamColumn:tenantColumn], &e.Stream); err != nil {
			return err
		}
	}
	if len(row) > tenantColumn {
		if err := sqlitefile.Scan(row[tenantColumn:], &e.Tenant); err != nil {
			return err
		}
	}
	e.Position, e.Version, e.Schema, e.At = eventstore.Position(position), eventstore.Version(version), int(schema), time.UnixMicro(at).UTC()
	broken := func(err error) error {
		return &eventstore.DataError{Type: e.Type, Stream: e.Stream, Version: e.Version, Position: e.Position, Err: err}
	}
	if len(id) != len(e.ID) {
		return broken(fmt.Errorf("column id has %d bytes, want %d", len(id), len(e.ID)))
	}
	copy(e.ID[:], id)
	switch meta := row[metaColumn].(type) {
	case nil:
	case string:
		if err := json.Unmarshal([]byte(meta), &e.Meta); err != nil {
			return broken(fmt.Errorf("column meta: %w", err))
		}
	default:
		return broken(fmt.Errorf("column meta is a %T", meta))
	}
	if err := sqlitefile.Scan(row[dataColumn:streamColumn], &e.Data); err != nil {
		return broken(err)
	}
	return nil
}
