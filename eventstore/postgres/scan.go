package postgres

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
)

// scan reads rows of events into the page.
func (p *page) scan(rows pgx.Rows) error {
	clear(p.events)
	p.events = p.events[:0]
	var (
		position, version          int64
		at                         time.Time
		id, correlation, causation pgtype.UUID
		schema                     int16
		tenant, stream, eventType  word
		data, labels               []byte
		actor, trace, subject      pgtype.Text
	)
	columns := []any{
		&position, &version, &at, &id, &correlation, &causation, &schema, &tenant, &stream, &eventType, &data,
		&actor, &trace, &subject, &labels,
	}
	for rows.Next() {
		data, labels = nil, nil
		if err := rows.Scan(columns...); err != nil {
			return err
		}
		e := eventstore.Recorded{
			ID: id.Bytes, Tenant: tenantOf(tenant.text), Stream: stream.text, Type: eventType.text, Schema: int(schema),
			Version: eventstore.Version(version), Position: eventstore.Position(position), Data: data, At: at.UTC(),
			Meta: eventstore.Meta{
				CorrelationID: uuid.UUID(correlation.Bytes), CausationID: uuid.UUID(causation.Bytes),
				Actor: actor.String, TraceParent: trace.String, Subject: subject.String,
			},
		}
		if labels != nil {
			if err := json.Unmarshal(labels, &e.Meta.Labels); err != nil {
				return err
			}
		}
		p.events = append(p.events, e)
	}
	return rows.Err()
}

// word is a text column that has few values: each is kept once.
type word struct {
	text  string
	known map[string]string
}

// maxKnown is how many values a word keeps.
const maxKnown = 256

// ScanBytes is called by pgx with the column's bytes.
func (w *word) ScanBytes(b []byte) error {
	if string(b) == w.text {
		return nil
	}
	text, found := w.known[string(b)]
	if !found {
		text = string(b)
		if w.known == nil {
			w.known = map[string]string{}
		}
		if len(w.known) < maxKnown {
			w.known[text] = text
		}
	}
	w.text = text
	return nil
}
