package sqlitefile

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// Schema is what a store keeps in its file. Several stores may have theirs in one.
type Schema struct {
	// Migrations are its steps, files of SQL for goose.
	Migrations fs.FS
	// Version is the last of them.
	Version int64
	// VersionTable has the versions that the file has been through.
	VersionTable string
	// Tables finds the schema's tables by their names, as GLOB does, and Others
	// those among them that are another store's, "" if there are none.
	Tables, Others string
}

// contents are what is known of a file before it is used.
type contents struct {
	version     int64    // of the schema, 0 if it has none yet
	versions    bool     // it has the table for them
	application int64    // the id that the file's application may have set
	tables      []string // those with names like ours
}

func (s *Schema) inspect(ctx context.Context, c *Conn) (found contents, err error) {
	if _, err := First(ctx, c, func(row []driver.Value) error { return Scan(row, &found.application) }, `PRAGMA application_id`); err != nil {
		return found, err
	}
	err = c.Query(ctx, `SELECT name FROM sqlite_schema WHERE name GLOB ? AND name NOT GLOB ? AND type IN ('table', 'view') ORDER BY name`,
		[]any{s.Tables, s.Others}, func(row []driver.Value) (bool, error) {
			var name string
			err := Scan(row, &name)
			found.tables = append(found.tables, name)
			return true, err
		})
	found.versions = slices.Contains(found.tables, s.VersionTable)
	if err != nil || !found.versions {
		return found, err
	}
	_, err = First(ctx, c, func(row []driver.Value) error { return Scan(row, &found.version) },
		`SELECT coalesce(max(version_id), 0) FROM `+s.VersionTable+` WHERE is_applied`)
	return found, err
}

// check tells whether a file can be used, or be made usable.
func (s *Schema) check(name Name, found contents, readOnly bool) error {
	switch {
	case found.version > s.Version:
		return &SchemaError{Store: name.Store, Path: name.Path, Found: found.version, Known: s.Version}
	case found.versions:
	case len(found.tables) > 0:
		return name.fail(ErrOtherApplication, fmt.Errorf("it has %s, but no table %s", strings.Join(found.tables, ", "), s.VersionTable))
	case found.application != 0:
		return name.fail(ErrOtherApplication, fmt.Errorf("its application id is %#x, and it has no %s", found.application, name.Store))
	}
	if readOnly && found.version < s.Version {
		return &SchemaError{Store: name.Store, Path: name.Path, Found: found.version, Known: s.Version}
	}
	return nil
}

// migrate brings the schema up, in one transaction with SQLite's write lock: of
// several programs that open a file one does it, and the others find it done.
func (s *Schema) migrate(ctx context.Context, w *Writer) (err error) {
	if err := w.conn.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = w.conn.control("ROLLBACK") // SQLite may have done it by itself; the connection is given up in any case
		}
	}()
	found, err := s.inspect(ctx, w.conn)
	if err != nil {
		return err
	}
	if err := s.check(w.name, found, false); err != nil {
		return err
	}
	// The pool has one connection, which is in the transaction: what goose
	// commits are savepoints in it.
	if err := w.held.Close(); err != nil {
		return w.name.wrap(err)
	}
	w.held = nil
	provider, err := goose.NewProvider(goose.DialectSQLite3, w.pool, s.Migrations,
		goose.WithTableName(s.VersionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return w.name.wrap(fmt.Errorf("migrate: %w", err))
	}
	return w.conn.control("COMMIT")
}
