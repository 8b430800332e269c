package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
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

// eventColumns are what scanEvent reads.
const eventColumns = `position, tenant, stream, version, id, type, schema, at, meta, data`

func scanEvent(row []driver.Value) (eventstore.Recorded, error) {
	var (
		e                             eventstore.Recorded
		position, version, schema, at int64
		id                            []byte
	)
	const metaColumn = 8
	if err := scan(row[:metaColumn], &position, &e.Tenant, &e.Stream, &version, &id, &e.Type, &schema, &at); err != nil {
		return e, err
	}
	e.Position, e.Version, e.Schema, e.At = eventstore.Position(position), eventstore.Version(version), int(schema), time.UnixMicro(at).UTC()
	broken := func(err error) (eventstore.Recorded, error) {
		return e, &eventstore.DataError{Type: e.Type, Stream: e.Stream, Version: e.Version, Position: e.Position, Err: err}
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
	if err := scan(row[metaColumn+1:], &e.Data); err != nil {
		return broken(err)
	}
	return e, nil
}
