package sqlite

import (
	"context"
	"database/sql/driver"
	"runtime"
	"slices"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// KnownVersion is the schema version of this program.
const KnownVersion = knownVersion

// Migrations are the files of the schema.
var Migrations = migrations

// SetFault makes statements of the committer's connection fail as f says, until
// there is another connection.
func (s *Store) SetFault(f func(query string) error) {
	q := &s.writer.queue
	for q.mu.Lock(); q.busy || len(q.jobs) > 0; q.mu.Lock() {
		q.mu.Unlock()
		runtime.Gosched()
	}
	q.busy = true
	q.mu.Unlock()
	s.writer.conn.fault = f
	q.free()
}

// QueueFault is SetFault as a job of the committer, whose transaction is the
// first to fail.
func (s *Store) QueueFault(ctx context.Context, f func(query string) error) error {
	return s.write(ctx, func(_ context.Context, w *writer, _ time.Time) (verdict, err error) {
		w.conn.fault = f
		return nil, nil
	})
}

// SetReadFault makes statements of the connection that reads, of which there must
// be one, fail as f says, until there is another connection.
func (s *Store) SetReadFault(ctx context.Context, f func(query string) error) error {
	return s.read(ctx, func(c *conn) error {
		c.fault = f
		return nil
	})
}

// Setting reads a PRAGMA of the committer's connection.
func (s *Store) Setting(ctx context.Context, pragma string) (value any, err error) {
	err = s.write(ctx, func(ctx context.Context, w *writer, _ time.Time) (verdict, err error) {
		_, err = first(ctx, w.conn, func(row []driver.Value) error {
			value = row[0]
			return nil
		}, `PRAGMA `+pragma)
		return nil, err
	})
	return value, err
}

// Plan is how SQLite reads all events that are wanted.
func (s *Store) Plan(ctx context.Context, f eventstore.Filter) (steps []string, err error) {
	r, err := s.reader(ctx, 0, f)
	if err != nil {
		return nil, err
	}
	return s.explain(ctx, r.query, append(slices.Clip(r.args), int64(0), int64(1), int64(1)))
}

// PlanStream is how SQLite reads a stream.
func (s *Store) PlanStream(ctx context.Context) (steps []string, err error) {
	return s.explain(ctx, readStream, []any{"", "a", int64(1), int64(1)})
}

func (s *Store) explain(ctx context.Context, query string, args []any) (steps []string, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, `EXPLAIN QUERY PLAN `+query, args, func(row []driver.Value) (bool, error) {
			steps = append(steps, row[3].(string))
			return true, nil
		})
	})
	return steps, err
}

// PageEvents is how many events a page has at most.
const PageEvents = pageEvents

// SetSpan sets how many positions a page of some of the events looks at.
func (s *Store) SetSpan(n int) { s.span = eventstore.Position(n) }

// Queued says how many appends wait to be committed.
func (s *Store) Queued() int {
	n, _ := s.writer.queue.waiting()
	return n
}

// Busy tells whether somebody commits.
func (s *Store) Busy() bool {
	s.writer.queue.mu.Lock()
	defer s.writer.queue.mu.Unlock()
	return s.writer.queue.busy
}

// Closing tells whether Close was called.
func (s *Store) Closing() bool {
	s.writer.queue.mu.Lock()
	defer s.writer.queue.mu.Unlock()
	return s.writer.queue.closed
}
