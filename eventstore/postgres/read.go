package postgres

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

const (
	// firstPage is how many events are read at first, most of all streams being
	// short; each page that follows is twice as long, up to lastPage.
	firstPage = 128
	lastPage  = 2_048
	// pageBytes is how much data a page has, unless one event has more.
	pageBytes = 4 << 20
)

const columns = `position, version, at, id, correlation_id, causation_id, schema, tenant, stream, type, data, actor, trace_parent, subject, labels`

// page makes a statement that reads a page: what comes first of what matches, as
// long as its data is not too much. $1 is how many, $2 how many bytes. Data that
// is kept outside of the table's rows is not fetched to be counted.
func page(condition, order string) string {
	return `SELECT ` + columns + ` FROM (
		SELECT ` + columns + `, sum(octet_length(data)) OVER (ORDER BY ` + order + `) - octet_length(data) AS before
		FROM (SELECT * FROM rondo.events WHERE ` + condition + ` ORDER BY ` + order + ` LIMIT $1) p
	) q WHERE before < $2 ORDER BY ` + order
}

var readStreamSQL = page(`tenant = $3 AND stream = $4 AND version >= $5`, `version`)

// readAllSQL is for a tenant or all of them, and what is filtered by.
func readAllSQL(tenant string, f eventstore.Filter) string {
	conditions := []string{`position > $3 AND position <= $4`}
	switch tenant {
	case allTenants:
		conditions = append(conditions, `$5 = '.*'`)
	case noTenant:
		conditions = append(conditions, `tenant = $5`)
	default:
		conditions = append(conditions, `tenant = $5 AND tenant <> '.'`) // which has an index
	}
	next := 6
	if len(f.Categories) > 0 {
		conditions = append(conditions, fmt.Sprintf(`split_part(stream, '-', 1) = ANY ($%d)`, next))
		next++
	}
	if len(f.Types) > 0 {
		conditions = append(conditions, fmt.Sprintf(`type = ANY ($%d)`, next))
	}
	return page(strings.Join(conditions, ` AND `), `position`)
}

// ReadStream reads a stream from that version on; see [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		tenant, err := s.checkRead(ctx, stream, from)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		next := int64(max(from, 1))
		for limit := firstPage; ; limit = min(2*limit, lastPage) {
			events, more, err := s.readPage(ctx, "read stream", tenant, readStreamSQL, limit, tenant, stream, next)
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if !handOut(ctx, events, yield) || !more {
				return
			}
			next = int64(events[len(events)-1].Version) + 1
		}
	}
}

func (s *Store) checkRead(ctx context.Context, stream string, from eventstore.Version) (string, error) {
	if err := eventstore.CheckStream("stream", stream); err != nil {
		return "", err
	}
	if err := eventstore.CheckFrom(from); err != nil {
		return "", err
	}
	return s.tenant(ctx)
}

// readPage reads a page of events as a tenant, and tells whether there may be
// more.
func (s *Store) readPage(ctx context.Context, doing, tenant, sql string, limit int, args ...any) (events []eventstore.Recorded, more bool, err error) {
	if err := s.open(ctx); err != nil {
		return nil, false, err
	}
	err = s.as(ctx, doing, tenant, func(b *pgx.Batch) {
		b.Queue(sql, append([]any{limit, pageBytes}, args...)...).Query(func(rows pgx.Rows) (err error) {
			events, err = scanEvents(rows)
			return err
		})
	})
	bytes := 0
	for i := range events {
		bytes += len(events[i].Data)
	}
	return events, len(events) == limit || bytes >= pageBytes, err
}

// ReadAll reads what stands after that position; see [eventstore.Store]. If an
// append is in flight that has a lower position than one that has returned, it
// waits for that before it reads on.
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		c, err := s.cursor(ctx, "read all", after, f)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		// What has been committed by now is read, and nothing is promised of the rest.
		target := eventstore.Position(-1)
		var wait backoff
		for {
			h, err := s.head(ctx, c.doing)
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if target < 0 {
				target = h.seen
			}
			if !c.readTo(ctx, h.safe, yield) || h.safe >= target {
				return
			}
			if err := wait.pause(ctx); err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
		}
	}
}

// cursor reads the events of all streams, page by page.
type cursor struct {
	store  *Store
	doing  string
	tenant string
	sql    string
	filter []any
	after  eventstore.Position
	limit  int
}

func (s *Store) cursor(ctx context.Context, doing string, after eventstore.Position, f eventstore.Filter) (*cursor, error) {
	tenant, err := s.readTenant(ctx)
	if err != nil {
		return nil, err
	}
	if err := eventstore.CheckAfter(after); err != nil {
		return nil, err
	}
	c := &cursor{store: s, doing: doing, tenant: tenant, sql: readAllSQL(tenant, f), after: after, limit: firstPage}
	if len(f.Categories) > 0 {
		c.filter = append(c.filter, f.Categories)
	}
	if len(f.Types) > 0 {
		c.filter = append(c.filter, f.Types)
	}
	return c, nil
}

// readTo hands out what stands up to that position, which is known to be safe. It
// tells whether to go on. An error is handed out, too.
func (c *cursor) readTo(ctx context.Context, safe eventstore.Position, yield func(eventstore.Recorded, error) bool) bool {
	for c.after < safe {
		events, err := c.page(ctx, safe)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return false
		}
		if !handOut(ctx, events, yield) {
			return false
		}
	}
	return true
}

// handOut hands events out, and tells whether to go on.
func handOut(ctx context.Context, events []eventstore.Recorded, yield func(eventstore.Recorded, error) bool) bool {
	for i := range events {
		if err := ctx.Err(); err != nil {
			yield(eventstore.Recorded{}, err)
			return false
		}
		if !yield(events[i], nil) {
			return false
		}
	}
	return true
}

// page reads the next page up to that position, and moves on.
func (c *cursor) page(ctx context.Context, safe eventstore.Position) ([]eventstore.Recorded, error) {
	events, more, err := c.store.readPage(ctx, c.doing, c.tenant, c.sql, c.limit,
		append([]any{int64(c.after), int64(safe), c.tenant}, c.filter...)...)
	if err != nil {
		return nil, err
	}
	if !more {
		c.after = safe
		return events, nil
	}
	c.after = events[len(events)-1].Position
	c.limit = min(2*c.limit, lastPage)
	return events, nil
}
