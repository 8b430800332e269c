package sqlite

import (
	"context"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
)

// migrations are the steps of the schema, in SQL that can be read and, with the
// goose command, run by hand.
//
//go:embed migrations/*.sql
var migrations embed.FS

// knownVersion is the last of the migrations. A test holds it to them.
const knownVersion = 1

// versionTable has the versions that a file has been through.
const versionTable = "rondo_schema_version"

// contents are what is known of a file before it is used.
type contents struct {
	version     int64    // of the schema, 0 if it has none yet
	application int64    // the id that the file's application may have set
	tables      []string // those with names like ours
}

func inspect(ctx context.Context, c *conn) (found contents, err error) {
	if _, err := first(ctx, c, func(row []driver.Value) error { return scan(row, &found.application) }, `PRAGMA application_id`); err != nil {
		return found, err
	}
	err = c.query(ctx, `SELECT name FROM sqlite_schema WHERE name LIKE 'rondo\_%' ESCAPE '\' AND type IN ('table', 'view') ORDER BY name`, nil, func(row []driver.Value) (bool, error) {
		var name string
		err := scan(row, &name)
		found.tables = append(found.tables, name)
		return true, err
	})
	if err != nil || !found.hasVersions() {
		return found, err
	}
	_, err = first(ctx, c, func(row []driver.Value) error { return scan(row, &found.version) },
		`SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`)
	return found, err
}

func (c contents) hasVersions() bool {
	for _, table := range c.tables {
		if table == versionTable {
			return true
		}
	}
	return false
}

// check tells whether a file can be used, or be made usable.
func check(path string, found contents, readOnly bool) error {
	switch {
	case found.version > knownVersion:
		return &SchemaError{Path: path, Found: found.version, Known: knownVersion}
	case found.hasVersions():
	case len(found.tables) > 0:
		return &Error{Path: path, Kind: ErrOtherApplication, Err: fmt.Errorf("it has %s, but no table %s", strings.Join(found.tables, ", "), versionTable)}
	case found.application != 0:
		return &Error{Path: path, Kind: ErrOtherApplication, Err: fmt.Errorf("its application id is %#x, and it has no event store", found.application)}
	}
	if readOnly && found.version < knownVersion {
		return &SchemaError{Path: path, Found: found.version, Known: knownVersion}
	}
	return nil
}

// migrate brings the schema up, in one transaction with SQLite's write lock: of
// several programs that open a file one does it, and the others find it done.
func migrate(ctx context.Context, path string, w *writer) (err error) {
	if err := w.conn.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.conn.control("ROLLBACK"))
		}
	}()
	found, err := inspect(ctx, w.conn)
	if err != nil {
		return err
	}
	if err := check(path, found, false); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	// The pool has one connection, which is in the transaction: what goose
	// commits are savepoints in it.
	if err := w.held.Close(); err != nil {
		return wrap(path, err)
	}
	w.held = nil
	provider, err := goose.NewProvider(goose.DialectSQLite3, w.pool, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return wrap(path, fmt.Errorf("migrate: %w", err))
	}
	return w.conn.control("COMMIT")
}
