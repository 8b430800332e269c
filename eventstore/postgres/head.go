package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
)

// head is up to where the log can be read; see the function rondo.head.
type head struct {
	safe, seen eventstore.Position
	drawn      int64
	inFlight   pgtype.Int8
}

const headSQL = `SELECT safe, seen, drawn, in_flight FROM rondo.head()`

// Head is the greatest position at or below which everything that will ever be
// has been committed; see [eventstore.Store]. It is the same for all tenants. If
// an append is in flight that has a lower position than one that has returned, it
// waits for that.
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	if _, err := s.readTenant(ctx); err != nil {
		return 0, err
	}
	target := eventstore.Position(-1)
	var wait backoff
	for {
		h, err := s.head(ctx, "read head")
		if err != nil {
			return 0, err
		}
		if target < 0 {
			target = h.seen
		}
		if h.safe >= target {
			return h.safe, nil
		}
		if err := wait.pause(ctx); err != nil {
			return 0, err
		}
	}
}

// head asks how far the log can be read. What is read up to there must be read
// after that.
func (s *Store) head(ctx context.Context, doing string) (h head, err error) {
	if err := s.open(ctx); err != nil {
		return head{}, err
	}
	var pipeline pgx.Batch
	pipeline.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	pipeline.Queue(headSQL).QueryRow(func(row pgx.Row) error {
		return row.Scan((*int64)(&h.safe), (*int64)(&h.seen), &h.drawn, &h.inFlight)
	})
	pipeline.Queue(`COMMIT`)
	return h, s.send(ctx, doing, &pipeline)
}

// settled waits until every append that is in flight now has ended.
func (s *Store) settled(ctx context.Context, doing string) error {
	target := int64(-1)
	var wait backoff
	for {
		h, err := s.head(ctx, doing)
		if err != nil {
			return err
		}
		if target < 0 {
			target = h.drawn
		}
		if !h.inFlight.Valid || h.inFlight.Int64 > target {
			return nil
		}
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
}

// backoff is a wait that becomes longer: commits are short, as a rule.
type backoff struct{ last time.Duration }

const (
	firstBackoff = 500 * time.Microsecond
	lastBackoff  = 50 * time.Millisecond
)

func (b *backoff) next() time.Duration { return b.nextOf(lastBackoff) }

func (b *backoff) nextOf(most time.Duration) time.Duration {
	b.last = min(max(2*b.last, firstBackoff), most)
	return b.last
}

func (b *backoff) pause(ctx context.Context) error { return pause(ctx, b.next()) }
