package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

const (
	head       = `SELECT max(position) FROM rondo_events`
	readStream = `SELECT ` + eventColumns + ` FROM rondo_events WHERE tenant = ? AND stream = ? AND version >= ? ORDER BY version LIMIT ?`
	lookup     = `SELECT ` + eventColumns + streamColumns + ` FROM rondo_events WHERE tenant = ? AND id IN (SELECT unhex(value) FROM json_each(?)) ORDER BY position`
)

// Reads go in pages, so that none keeps SQLite from clearing its log while a
// caller handles events, and memory has one page at most.
const (
	pageEvents = 512
	pageBytes  = 1 << 20 // of data; the event that passes it is the page's last
	// defaultSpan bounds the positions that a page of some of the events looks
	// at, so that a context that ends is noticed while there is little to find.
	defaultSpan = 50_000
)

// page is a piece of a sequence of events.
type page struct {
	// common is what all events have and the query does not return.
	common eventstore.Recorded
	events []eventstore.Recorded
	bytes  int
}

// add takes an event, and tells whether there is room for more.
func (p *page) add(row []driver.Value) (more bool, err error) {
	e := p.common
	if err := scanEvent(row, &e); err != nil {
		return false, err
	}
	p.events = append(p.events, e)
	p.bytes += len(e.Data)
	return len(p.events) < pageEvents && p.bytes < pageBytes, nil
}

// isFull tells whether the page ended because there was no room.
func (p *page) isFull() bool { return len(p.events) >= pageEvents || p.bytes >= pageBytes }

func (p *page) reset() {
	clear(p.events)
	p.events, p.bytes = p.events[:0], 0
}

// yield hands out the events, and tells whether to go on.
func (p *page) yield(ctx context.Context, yield func(eventstore.Recorded, error) bool) bool {
	const often = 64 // events between two looks at the context
	for i := range p.events {
		if i%often == 0 && ctx.Err() != nil {
			yield(eventstore.Recorded{}, ctx.Err())
			return false
		}
		if !yield(p.events[i], nil) {
			return false
		}
	}
	return true
}

// ReadStream reads a stream from that version on; see [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		tenant, err := s.checkStream(ctx, stream, from)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		p := page{common: eventstore.Recorded{Tenant: tenant, Stream: stream}}
		for next := from; ; {
			p.reset()
			err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
				return c.Query(ctx, readStream, []any{tenant, stream, int64(next), int64(pageEvents)}, p.add)
			})
			if !p.yield(ctx, yield) {
				return
			}
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if !p.isFull() {
				return
			}
			next = p.events[len(p.events)-1].Version + 1
		}
	}
}

func (s *Store) checkStream(ctx context.Context, stream string, from eventstore.Version) (tenant string, err error) {
	if err := eventstore.CheckStream("stream", stream); err != nil {
		return "", err
	}
	if tenant, err = s.enter(ctx); err != nil {
		return "", err
	}
	return tenant, eventstore.CheckFrom(from)
}

// ReadAll reads what stands after that position; see [eventstore.Store].
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		r, err := s.reader(ctx, after, f)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		end := eventstore.Position(-1)
		for {
			head, err := r.next(ctx)
			if !r.page.yield(ctx, yield) {
				return
			}
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if end < 0 {
				end = head
			}
			if r.after >= end {
				return
			}
		}
	}
}

// Head is the position of the last event; see [eventstore.Store].
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	if _, _, err := s.enterAll(ctx); err != nil {
		return 0, err
	}
	var position eventstore.Position
	err := s.file.Read(ctx, func(c *sqlitefile.Conn) (err error) {
		position, err = headOf(ctx, c)
		return err
	})
	return position, err
}

// Lookup returns those of the events that were committed; see
// [eventstore.Lookup].
func (s *Store) Lookup(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
	tenant, err := s.enter(ctx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	wanted := make([]string, len(ids))
	for i, id := range ids {
		wanted[i] = hex.EncodeToString(id[:])
	}
	encoded, err := encodeList(wanted)
	if err != nil {
		return nil, err
	}
	var found []eventstore.Recorded
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		return c.Query(ctx, lookup, []any{tenant, encoded}, func(row []driver.Value) (bool, error) {
			var e eventstore.Recorded
			err := scanEvent(row, &e)
			found = append(found, e)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// enterAll checks a call that may be for all tenants.
func (s *Store) enterAll(ctx context.Context) (tenant string, all bool, err error) {
	tenant, all, err = eventstore.ReadTenant(ctx, s.config.RequireTenant)
	if err == nil {
		err = s.file.Enter(ctx)
	}
	return tenant, all, err
}

func headOf(ctx context.Context, c *sqlitefile.Conn) (eventstore.Position, error) {
	var position int64
	_, err := sqlitefile.First(ctx, c, func(row []driver.Value) error {
		if row[0] == nil {
			return nil // there are no events
		}
		return sqlitefile.Scan(row, &position)
	}, head)
	return eventstore.Position(position), err
}

// reader goes through the events of all streams.
type reader struct {
	store *Store
	query string
	args  []any // those before the positions and the limit
	// every tells that the query has all events: that looks at no others.
	every bool
	// after is how far it has come.
	after eventstore.Position
	page  page
}

// reader checks what is to be read, and chooses how. The plans are forced, by a
// plus that keeps SQLite from an index, for it does not know how much there is of
// what: each goes through positions in their order, and sorts nothing.
func (s *Store) reader(ctx context.Context, after eventstore.Position, f eventstore.Filter) (*reader, error) {
	tenant, all, err := s.enterAll(ctx)
	if err != nil {
		return nil, err
	}
	if err := eventstore.CheckAfter(after); err != nil {
		return nil, err
	}
	r := &reader{
		store: s, after: after,
		page:  page{common: eventstore.Recorded{Tenant: tenant}},
		every: all && len(f.Categories)+len(f.Types) == 0,
	}
	var query strings.Builder
	query.WriteString(`SELECT ` + eventColumns + `, stream`)
	if all {
		query.WriteString(`, tenant`)
	}
	query.WriteString(` FROM rondo_events WHERE `)
	where := func(condition string, arg any) {
		query.WriteString(condition + ` AND `)
		r.args = append(r.args, arg)
	}
	byTenant := !all && tenant != ""
	switch {
	case byTenant:
		where(`tenant = ? AND tenant <> ''`, tenant) // by the index of tenants
	case !all:
		where(`+tenant = ?`, tenant)
	}
	for _, list := range []struct {
		column string
		values []string
		index  bool
	}{
		{"category", f.Categories, !byTenant},
		{"type", f.Types, false},
	} {
		switch {
		case len(list.values) == 0:
		case len(list.values) == 1 && list.index:
			where(list.column+` = ?`, list.values[0])
		default:
			encoded, err := encodeList(list.values)
			if err != nil {
				return nil, err
			}
			where(`+`+list.column+` IN (SELECT value FROM json_each(?))`, encoded)
		}
	}
	query.WriteString(`position > ? AND position <= ? ORDER BY position LIMIT ?`)
	r.query = query.String()
	return r, nil
}

// next reads the next page, and returns the head before it. The page may be
// empty though there is more, and then after has advanced.
func (r *reader) next(ctx context.Context) (end eventstore.Position, err error) {
	r.page.reset()
	err = r.store.file.Read(ctx, func(c *sqlitefile.Conn) error {
		// What is at or below a head that was read is seen by what is read later.
		if end, err = headOf(ctx, c); err != nil || end <= r.after {
			return err
		}
		upTo := end
		if !r.every {
			upTo = min(end, r.after+r.store.span)
		}
		args := append(slices.Clip(r.args), int64(r.after), int64(upTo), int64(pageEvents))
		err := c.Query(ctx, r.query, args, r.page.add)
		switch {
		case err == nil && !r.page.isFull():
			r.after = upTo
		case len(r.page.events) > 0:
			r.after = r.page.events[len(r.page.events)-1].Position
		}
		return err
	})
	return end, err
}

// encodeList makes a list for json_each.
func encodeList(values []string) (string, error) {
	encoded, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("encode a list of %d: %w", len(values), err)
	}
	return string(encoded), nil
}
