package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

const (
	// inlineBytes is how much data an event may have to be read with its page, as
	// it is said in columns. More is read when its turn has come, together with
	// that of the next ones, so that a page does not need memory without bound.
	inlineBytes = 4 << 10
	// groupBytes is how much of that is read together, unless one event has more.
	groupBytes = 4 << 20
	// groupEvents is of how many at most: as many as fit if they are just large.
	groupEvents = groupBytes / inlineBytes
)

// page is events that were read together. It is used again for the next.
type page struct {
	tenant string
	events []eventstore.Recorded
	more   bool // there may be another page
}

// missing tells whether the data of an event is not in the page. Data that was
// read is never nil.
func (p *page) missing(i int) bool { return p.events[i].Data == nil }

// readPage reads a page as its tenant.
func (s *Store) readPage(ctx context.Context, doing string, p *page, sql string, limit int, args ...any) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	if p.more { // it was full, and so may this one be
		p.events = slices.Grow(p.events[:0], limit)
	}
	err := s.as(ctx, doing, p.tenant, func(b *pgx.Batch) {
		b.Queue(sql, append([]any{limit}, args...)...).Query(p.scan)
	})
	p.more = len(p.events) == limit
	return err
}

// dataSQL reads the data of those of the events whose data, with that of those
// before, is within a limit, and of the first.
const dataSQL = `
SELECT e.position, e.data FROM rondo.events e JOIN (
  SELECT position, sum(octet_length(data)) OVER (ORDER BY position) AS bytes, row_number() OVER (ORDER BY position) AS n
  FROM rondo.events WHERE position = ANY ($1)
) g USING (position)
WHERE g.n = 1 OR g.bytes <= $2
ORDER BY e.position`

// fill reads the data of the event at i, and of those after it that fit.
func (s *Store) fill(ctx context.Context, p *page, i int) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	var wanted []int64
	at := map[int64]int{}
	for j := i; j < len(p.events) && len(wanted) < groupEvents; j++ {
		if p.missing(j) {
			position := int64(p.events[j].Position)
			wanted = append(wanted, position)
			at[position] = j
		}
	}
	err := s.as(ctx, "read data", p.tenant, func(b *pgx.Batch) {
		b.Queue(dataSQL, wanted, groupBytes).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var position int64
				var data []byte
				if err := rows.Scan(&position, &data); err != nil {
					return err
				}
				p.events[at[position]].Data = data
			}
			return rows.Err()
		})
	})
	if err == nil && p.missing(i) {
		return &Error{Doing: "read data", Err: errGone}
	}
	return err
}

var errGone = errors.New("an event that was there is there no more")

// never is for reads that end with the first error.
func never(error) bool { return false }

// handOut hands the events of a page out, and tells whether to go on. An error is
// handed out, too, unless retry says that it is to be tried again.
func (s *Store) handOut(ctx context.Context, p *page, retry func(error) bool, yield func(eventstore.Recorded, error) bool) bool {
	for i := range p.events {
		if err := ctx.Err(); err != nil {
			yield(eventstore.Recorded{}, err)
			return false
		}
		for p.missing(i) {
			if err := s.fill(ctx, p, i); err != nil && !retry(err) {
				yield(eventstore.Recorded{}, err)
				return false
			}
		}
		e := p.events[i]
		p.events[i].Data = nil // it is the reader's alone
		if !yield(e, nil) {
			return false
		}
	}
	return true
}
