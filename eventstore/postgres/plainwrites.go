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

// plainWritesSQL appends events to the streams that are as expected. Of the
// parameters beside columnsSQL, two are by stream and the others by event: the
// number of its stream, what to add to the version of that, and its name. What is
// unnested in one list of columns goes in step, and is not put aside as a whole
// before, as it would be in FROM.
const plainWritesSQL = insertSQL + `
SELECT rondo.draw(), u.version[u.slot] + u.index, u.at, u.id, u.correlation_id, u.causation_id, u.schema, u.tenant, u.stream, u.type, u.data,
       u.actor, u.trace_parent, u.subject, u.labels
FROM (
  SELECT b.tenant, b.at, b.version, unnest(b.slot) AS slot, unnest(b.index) AS index, unnest(b.stream) AS stream, ` + unnestSQL + `
  FROM (
    SELECT b.*, ARRAY(
      SELECT CASE WHEN ` + allowedSQL + ` THEN s.version END
      FROM (
        SELECT s.expected, ` + versionSQL + ` AS version
        FROM (SELECT b.tenant, unnest(b.names) AS stream, unnest(b.expected) AS expected) s
        OFFSET 0
      ) s
    ) AS version -- by stream, NULL if it is not as expected
    FROM (
      SELECT ` + beginSQL + `, clock_timestamp() AS at, $12::text[] AS names, $13::bigint[] AS expected,
             $14::integer[] AS slot, $15::integer[] AS index, $16::text[] AS stream, ` + columnsSQL + `
      OFFSET 0
    ) b
    OFFSET 0
  ) b
  OFFSET 0
) u
WHERE u.version[u.slot] IS NOT NULL
RETURNING version, position, at, id`

// eachOneSQL does so for streams that get one event each, which costs less: all
// is by event.
const eachOneSQL = insertSQL + `
SELECT rondo.draw(), s.version + 1, s.at, s.id, s.correlation_id, s.causation_id, s.schema, s.tenant, s.stream, s.type, s.data,
       s.actor, s.trace_parent, s.subject, s.labels
FROM (
  SELECT s.*, ` + versionSQL + ` AS version
  FROM (
    SELECT b.tenant, b.at, unnest(b.stream) AS stream, unnest(b.expected) AS expected, ` + unnestSQL + `
    FROM (
      SELECT ` + beginSQL + `, clock_timestamp() AS at, $12::text[] AS stream, $13::bigint[] AS expected, ` + columnsSQL + `
      OFFSET 0
    ) b
    OFFSET 0
  ) s
  OFFSET 0
) s
WHERE ` + allowedSQL + `
RETURNING version, position, at, id`

const (
	// columnsSQL is the columns of the events, as arrays. Parameters go through a
	// row, so that the planner does not look into them: it would make a new plan
	// each time.
	columnsSQL = `$2::uuid[] AS id, $3::text[] AS type, $4::smallint[] AS schema, $5::bytea[] AS data,
             $6::uuid[] AS correlation_id, $7::uuid[] AS causation_id,
             $8::text[] AS actor, $9::text[] AS trace_parent, $10::text[] AS subject, $11::jsonb[] AS labels`
	// unnestSQL makes rows of them.
	unnestSQL = `unnest(b.id) AS id, unnest(b.type) AS type, unnest(b.schema) AS schema, unnest(b.data) AS data,
           unnest(b.correlation_id) AS correlation_id, unnest(b.causation_id) AS causation_id,
           unnest(b.actor) AS actor, unnest(b.trace_parent) AS trace_parent, unnest(b.subject) AS subject, unnest(b.labels) AS labels`
	// versionSQL is the version of the stream of s, or 0 if it is less than what is
	// expected: that cannot be either, and is not looked for.
	versionSQL = `coalesce((
          SELECT e.version FROM rondo.events e WHERE e.tenant = s.tenant AND e.stream = s.stream AND e.version >= s.expected ORDER BY e.version DESC LIMIT 1
        ), 0)`
	// allowedSQL tells whether it is as expected.
	allowedSQL = `CASE s.expected WHEN -1 THEN true WHEN -2 THEN s.version > 0 ELSE s.version = s.expected END`
)

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

	names    array[pgtype.Text]
	expected []int64
	slot     []int32
	events   eventColumns
	order    []int // of the requests whose events are sent
}

func newPlainWrites(s *share) *plainWrites { return &plainWrites{share: s} }

func (p *plainWrites) sql() string {
	if p.eachOne() {
		return eachOneSQL
	}
	return plainWritesSQL
}

// eachOne tells that each stream gets one event.
func (p *plainWrites) eachOne() bool { return len(p.names) == len(p.events.id) }

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
		if len(p.names) == 0 || p.names[len(p.names)-1].String != w.Stream {
			p.names = append(p.names, pgtype.Text{String: w.Stream, Valid: true})
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
	args := []any{
		p.tenant, e.id, e.eventType, e.schema, e.data, e.correlation, e.causation, e.actor, e.trace, e.subject, e.labels,
		p.names, p.expected, p.slot, e.index, e.stream,
	}
	if p.eachOne() {
		args = args[:13]
	}
	return args, nil
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
		version, position int64
		at                time.Time
		id                pgtype.UUID
		err               error
		next              int // of the events
	)
	columns := []any{&version, &position, &at, &id}
	starts := make([]int, len(p.requests)) // of a request's events
	for i, start := 0, 0; i < len(p.order); i++ {
		starts[p.order[i]] = start
		start += p.requests[p.order[i]].events
	}
	answered := false
	owner := p.owners()
	for err == nil && rows.Next() {
		answered = true
		if err = rows.Scan(columns...); err != nil {
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
