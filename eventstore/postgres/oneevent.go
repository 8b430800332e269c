package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
)

// beginSQL makes the row that what is appended is joined with. Its columns are
// evaluated when it is fetched, and what a subquery with OFFSET 0 stands for is not
// moved out of it: so the tenant is set before row-level security asks for it,
// and the lock is held before a position is drawn, which happens for each row
// that comes out of all this. It is what the watermark rests on; see rondo.hold.
const beginSQL = `set_config('rondo.tenant', $1, true) AS tenant, rondo.hold()`

const insertSQL = `
INSERT INTO rondo.events (position, version, at, id, correlation_id, causation_id, schema, tenant, stream, type, data,
                          actor, trace_parent, subject, labels)
`

// exactEventSQL appends an event to a stream that is at version $3, and otherwise
// does nothing. Looking for the last version from there on only is for streams of
// many events, of which the index would otherwise read a page.
const exactEventSQL = insertSQL + `
SELECT rondo.draw(), $3 + 1, clock_timestamp(), $4, $8, $9, $6, b.tenant, $2, $5, $7, $10, $11, $12, $13
FROM (SELECT ` + beginSQL + ` OFFSET 0) b
WHERE $3::bigint = coalesce((
  SELECT e.version FROM rondo.events e WHERE e.tenant = b.tenant AND e.stream = $2 AND e.version >= $3 ORDER BY e.version DESC LIMIT 1
), 0)
RETURNING version, position, at`

// openEventSQL appends an event to a stream that has more than $3 events.
const openEventSQL = insertSQL + `
SELECT rondo.draw(), v.version + 1, clock_timestamp(), $4, $8, $9, $6, v.tenant, $2, $5, $7, $10, $11, $12, $13
FROM (
  SELECT b.tenant, coalesce((
    SELECT e.version FROM rondo.events e WHERE e.tenant = b.tenant AND e.stream = $2 ORDER BY e.version DESC LIMIT 1
  ), 0) AS version
  FROM (SELECT ` + beginSQL + ` OFFSET 0) b
  OFFSET 0
) v
WHERE v.version > $3
RETURNING version, position, at`

// oneEvent is an append of one event: the common case.
type oneEvent struct{ r *request }

func (o *oneEvent) sql() string {
	if _, exact := o.r.writes[0].Expected.Version(); exact {
		return exactEventSQL
	}
	return openEventSQL
}

func (o *oneEvent) args() ([]any, error) {
	w := &o.r.writes[0]
	e := &w.Events[0]
	labels, err := encodeLabels(e.Meta.Labels)
	expected, exact := w.Expected.Version()
	if !exact && w.Expected == eventstore.Any {
		expected = -1
	}
	return []any{
		o.r.tenant, w.Stream, int64(expected), encodeID(e.ID), e.Type, int16(e.Schema), encodeData(e.Data),
		encodeID(e.Meta.CorrelationID), encodeID(e.Meta.CausationID), encodeText(e.Meta.Actor), encodeText(e.Meta.TraceParent),
		encodeText(e.Meta.Subject), labels,
	}, err
}

func (o *oneEvent) read(rows pgx.Rows, verdicts []verdict) error {
	var version, position int64
	var at pgtype.Timestamptz
	var err error
	answered := rows.Next()
	if answered {
		err = rows.Scan(&version, &position, &at)
	}
	if err := ended(rows, answered, err); err != nil {
		return err
	}
	if !answered {
		verdicts[0].undecided = true
		return nil
	}
	verdicts[0].appended = []eventstore.Appended{o.r.record(&o.r.writes[0], version, []int64{position}, at.Time)}
	return nil
}
