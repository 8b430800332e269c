package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed57833328/rondo/eventstore"
)

const (
	// firstPage is how many events are read at first, most of all streams being
	// short; each page that follows is twice as long, up to lastPage.
	firstPage = 256
	lastPage  = 4_096
)

const columns = `position, version, at, id, correlation_id, causation_id, schema, tenant, stream, type,
	CASE WHEN octet_length(data) <= 4096 THEN data END, actor, trace_parent, subject, labels`

var readStreamSQL = `SELECT ` + columns + ` FROM rondo.events WHERE tenant = $2 AND stream = $3 AND version >= $4 ORDER BY version LIMIT $1`

// readAllSQL is for a tenant or all of them, and what is filtered by.
func readAllSQL(tenant string, f eventstore.Filter) string {
	conditions := []string{`position > $2 AND position <= $3`}
	switch tenant {
	case allTenants:
		conditions = append(conditions, `$4 = '.*'`)
	case noTenant:
		conditions = append(conditions, `tenant = $4`)
	default:
		conditions = append(conditions, `tenant = $4 AND tenant <> '.'`) // which has an index
	}
	next := 5
	if len(f.Categories) > 0 {
		conditions = append(conditions, fmt.Sprintf(`split_part(stream, '-', 1) = ANY ($%d)`, next))
		next++
	}
	if len(f.Types) > 0 {
		conditions = append(conditions, fmt.Sprintf(`type = ANY ($%d)`, next))
	}
	return `SELECT ` + columns + ` FROM rondo.events WHERE ` + strings.Join(conditions, ` AND `) + ` ORDER BY position LIMIT $1`
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
		p := page{tenant: tenant}
		for limit := firstPage; ; limit = min(2*limit, lastPage) {
			if err := s.readPage(ctx, "read stream", &p, readStreamSQL, limit, tenant, stream, next); err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if !s.handOut(ctx, &p, never, yield) || !p.more {
				return
			}
			next = int64(p.events[len(p.events)-1].Version) + 1
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
	page   page
}

func (s *Store) cursor(ctx context.Context, doing string, after eventstore.Position, f eventstore.Filter) (*cursor, error) {
	tenant, err := s.readTenant(ctx)
	if err != nil {
		return nil, err
	}
	if err := eventstore.CheckAfter(after); err != nil {
		return nil, err
	}
	c := &cursor{store: s, doing: doing, tenant: tenant, sql: readAllSQL(tenant, f), after: after, limit: firstPage, page: page{tenant: tenant}}
	if len(f.Categories) > 0 {
		c.filter = append(c.filter, texts(f.Categories))
	}
	if len(f.Types) > 0 {
		c.filter = append(c.filter, texts(f.Types))
	}
	return c, nil
}

// texts are the names that an event may have. The server would refuse the others.
func texts(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !utf8.ValidString(name) || strings.ContainsRune(name, 0)
	})
}

// readTo hands out what stands up to that position, which is known to be safe. It
// tells whether to go on. An error is handed out, too.
func (c *cursor) readTo(ctx context.Context, safe eventstore.Position, yield func(eventstore.Recorded, error) bool) bool {
	for c.after < safe {
		if err := c.read(ctx, safe); err != nil {
			yield(eventstore.Recorded{}, err)
			return false
		}
		if !c.store.handOut(ctx, &c.page, never, yield) {
			return false
		}
	}
	return true
}

// read reads the next page up to that position, and moves on.
func (c *cursor) read(ctx context.Context, safe eventstore.Position) error {
	err := c.store.readPage(ctx, c.doing, &c.page, c.sql, c.limit, append([]any{int64(c.after), int64(safe), c.tenant}, c.filter...)...)
	if err != nil {
		return err
	}
	if !c.page.more {
		c.after = safe
		return nil
	}
	c.after = c.page.events[len(c.page.events)-1].Position
	c.limit = min(2*c.limit, lastPage)
	return nil
}
