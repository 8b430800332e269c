package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/seed57833328/rondo/internal/sqlitefile"
	"github.com/seed57833328/rondo/saga"
)

// KnownVersion is the schema version of this program.
const KnownVersion = knownVersion

// Migrations are the files of the schema.
var Migrations = migrations

// Probe looks into the file.
func (s *Store) Probe() sqlitefile.Probe { return sqlitefile.Probe{File: s.file} }

// Plan is how SQLite runs a statement.
func (s *Store) Plan(ctx context.Context, text string, args ...any) (steps []string, err error) {
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) error {
		return c.Query(ctx, `EXPLAIN QUERY PLAN `+text, args, func(row []driver.Value) (bool, error) {
			steps = append(steps, row[3].(string))
			return true, nil
		})
	})
	return steps, err
}

// Statements that find something.
const (
	SelectDue   = selectDue
	SelectInbox = selectInbox
	SelectEnded = selectEnded
)

// Listing is the statement of List for what it does not look for in each shard.
func Listing(q saga.Query) (text string, args []any, err error) {
	l, err := listing(&q)
	return l.text(), append(l.args, int64(1)), err
}

// ReadyIn is the statement of List for what is ready in one shard.
func ReadyIn(q saga.Query, shard saga.Shard) (text string, args []any) {
	l := readyIn(&q, shard)
	return l.text(), append(l.args, int64(1))
}
