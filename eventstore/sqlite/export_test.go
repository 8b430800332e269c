package sqlite

import (
	"context"
	"database/sql/driver"
	"slices"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

// KnownVersion is the schema version of this program.
const KnownVersion = knownVersion

// Migrations are the files of the schema.
var Migrations = migrations

// Probe looks into the file.
func (s *Store) Probe() sqlitefile.Probe { return sqlitefile.Probe{File: s.file} }

// Setting reads a PRAGMA of the committer's connection.
func (s *Store) Setting(ctx context.Context, pragma string) (value any, err error) {
	err = s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, _ time.Time) (verdict, err error) {
		_, err = sqlitefile.First(ctx, w.Conn(), func(row []driver.Value) error {
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
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		return c.Query(ctx, `EXPLAIN QUERY PLAN `+query, args, func(row []driver.Value) (bool, error) {
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
