package postgres

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
)

// plainWritesSQL appends events to the streams that are as expected. $2 and $3
// are by stream, $4 and the following by event: the number of its stream, what to
// add to the version of that, and its columns. Parameters go through a row, so
// that the planner does not look into them: it would make a new plan each time.
const plainWritesSQL = insertSQL + `
SELECT rondo.draw(), v.current[u.slot] + u.index, v.at, u.id, u.correlation_id, u.causation_id, u.schema, v.tenant, u.stream, u.type, u.data,
       u.actor, u.trace_parent, u.subject, u.labels
FROM (
  SELECT b.*, clock_timestamp() AS at, ARRAY(
    SELECT coalesce((
      SELECT e.version FROM rondo.events e WHERE e.tenant = b.tenant AND e.stream = s.name AND e.version >= s.expected ORDER BY e.version DESC LIMIT 1
    ), 0)
    FROM unnest(b.names, b.expected) WITH ORDINALITY AS s(name, expected, n) ORDER BY s.n
  ) AS current
  FROM (
    SELECT ` + beginSQL + `, $2::text[] AS names, $3::bigint[] AS expected,
           $4::integer[] AS slot, $5::integer[] AS index, $6::text[] AS stream, $7::uuid[] AS id, $8::text[] AS type, $9::smallint[] AS schema,
           $10::bytea[] AS data, $11::uuid[] AS correlation_id, $12::uuid[] AS causation_id,
           $13::text[] AS actor, $14::text[] AS trace_parent, $15::text[] AS subject, $16::jsonb[] AS labels
    OFFSET 0
  ) b
  OFFSET 0
) v, unnest(v.slot, v.index, v.stream, v.id, v.type, v.schema, v.data, v.correlation_id, v.causation_id, v.actor, v.trace_parent, v.subject, v.labels)
  AS u(slot, index, stream, id, type, schema, data, correlation_id, causation_id, actor, trace_parent, subject, labels)
WHERE CASE v.expected[u.slot] WHEN -1 THEN true WHEN -2 THEN v.current[u.slot] > 0 ELSE v.current[u.slot] = v.expected[u.slot] END
RETURNING version, position, at, id`

// plain tells that an append is of one write without a claim.
func (r *request) plain() bool {
	return len(r.writes) == 1 && r.events > 0 && r.writes[0].Claim == nil
}

// plainWrites is plain appends of one tenant. Those to one stream are decided
// here, on what those before them leave, if the stream is as the first of them
// expects; that is what the database looks at. If it is not, or one expects
// something else, they are left undecided.
type plainWrites struct {
	*share

	names    []string
	expected []int64
	slot     []int32
	events   eventColumns
	order    []int // of the requests whose events are sent
}

func newPlainWrites(s *share) *plainWrites { return &plainWrites{share: s} }

func (*plainWrites) sql() string { return plainWritesSQL }

func (p *plainWrites) args() ([]any, error) {
	order := make([]int, len(p.requests))
	n := 0
	for i, r := range p.requests {
		order[i] = i
		n += r.events
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(p.requests[a].writes[0].Stream, p.requests[b].writes[0].Stream)
	})
	p.events.init(n)
	p.slot = make([]int32, 0, n)
	var at streamVersion
	for _, i := range order {
		w := &p.requests[i].writes[0]
		if len(p.names) == 0 || p.names[len(p.names)-1] != w.Stream {
			p.names = append(p.names, w.Stream)
			p.expected = append(p.expected, encodeExpected(w.Expected))
			at = streamVersion{}
		}
		if !at.allows(w.Expected) {
			continue
		}
		p.order = append(p.order, i)
		for k := range w.Events {
			p.slot = append(p.slot, int32(len(p.names)))
			at.added++
			if err := p.events.add(w, k, int32(at.added)); err != nil {
				return nil, err
			}
		}
		at.follow(w)
	}
	e := &p.events
	return []any{
		p.tenant, p.names, p.expected,
		p.slot, e.index, e.stream, e.id, e.eventType, e.schema, e.data,
		e.correlation, e.causation, e.actor, e.trace, e.subject, e.labels,
	}, nil
}

// streamVersion is what is known of a stream's version before it was looked at:
// nothing, what the first append expects, or that it has events.
type streamVersion struct {
	begun, known bool
	version      eventstore.Version
	added        int // events, by those before
}

func (s *streamVersion) allows(e eventstore.Expected) bool {
	if s.known {
		return e.Allows(s.version)
	}
	return !s.begun || e == eventstore.Any || e == eventstore.Exists
}

func (s *streamVersion) follow(w *eventstore.Write) {
	if v, ok := w.Expected.Version(); ok {
		s.known, s.version = true, v
	}
	s.begun = true
	s.version += eventstore.Version(len(w.Events))
}

var errStrayRow = errors.New("the database returned an event that was not appended")

func (p *plainWrites) read(rows pgx.Rows, verdicts []verdict) error {
	firsts := make([]int64, len(p.requests)) // 0 if nothing was written
	positions := make([]int64, len(p.events.id))
	var (
		at      time.Time
		version int64
		id      pgtype.UUID
		err     error
		next    int // of the events
	)
	starts := make([]int, len(p.requests)) // of a request's events
	for i, start := 0, 0; i < len(p.order); i++ {
		starts[p.order[i]] = start
		start += p.requests[p.order[i]].events
	}
	answered := false
	owner := p.owners()
	for err == nil && rows.Next() {
		answered = true
		var position int64
		if err = rows.Scan(&version, &position, &at, &id); err != nil {
			break
		}
		// They come in the order in which they were sent, without those refused.
		for next < len(p.events.id) && p.events.id[next] != id {
			next++
		}
		if next == len(p.events.id) {
			err = errStrayRow
			break
		}
		positions[next] = position
		if r := owner[next]; firsts[r] == 0 {
			firsts[r] = version
		}
		next++
	}
	if err := ended(rows, answered, err); err != nil {
		return err
	}
	for i, r := range p.requests {
		v := &verdicts[p.indexes[i]]
		if firsts[i] == 0 {
			v.undecided = true
			continue
		}
		v.appended = []eventstore.Appended{r.record(&r.writes[0], firsts[i], positions[starts[i]:], at)}
	}
	return nil
}

// owners is the request of each event that is sent.
func (p *plainWrites) owners() []int {
	owners := make([]int, 0, len(p.events.id))
	for _, i := range p.order {
		for range p.requests[i].events {
			owners = append(owners, i)
		}
	}
	return owners
}
