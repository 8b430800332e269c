package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// opener opens the home of sagas that a --db names.
type opener func(ctx context.Context, db string) (s saga.Store, done func() error, err error)

const sqliteScheme = "sqlite:"

// errMisuse is that the command line makes no sense.
var errMisuse = errors.New("misuse")

func openHome(ctx context.Context, db string) (saga.Store, func() error, error) {
	switch {
	case isPostgres(db):
		s, err := postgres.Open(ctx, db, postgres.Config{})
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	case isFile(db):
		s, err := openFile(ctx, strings.TrimPrefix(db, sqliteScheme))
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	case db == "":
		return nil, nil, fmt.Errorf("%w: --db is missing, and DATABASE_URL is not set: want postgres://… or sqlite:FILE", errMisuse)
	}
	return nil, nil, fmt.Errorf("%w: --db is %q, want postgres://… or sqlite:FILE", errMisuse, redact(db))
}

// openFile opens a home in a file as it is: its schema is not brought up, as that
// would keep older programs out.
func openFile(ctx context.Context, path string) (*sqlite.Store, error) {
	found, err := hasTable(ctx, path, "rondo_sagas")
	switch {
	case err != nil:
		return nil, err
	case !found: // Open would make the tables
		return nil, fmt.Errorf("no sagas were ever run in %q", path)
	}
	look, err := sqlite.Open(ctx, path, sqlite.Config{ReadOnly: true})
	var schema *sqlite.SchemaError
	if errors.As(err, &schema) && schema.Found < schema.Known {
		return nil, &advised{err, fmt.Sprintf("rondo migrate --db 'sqlite:%s' does so; a program that knows only version %d will then refuse the file", path, schema.Found)}
	}
	if err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, path, sqlite.Config{})
	if errors.Is(err, sqlite.ErrReadOnly) {
		return look, nil
	}
	if closed := look.Close(); err == nil && closed != nil {
		return nil, errors.Join(closed, s.Close())
	}
	return s, err
}

func isFile(db string) bool { return strings.HasPrefix(db, sqliteScheme) && db != sqliteScheme }

func isPostgres(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// hasTable tells whether a file has a table, and changes nothing.
func hasTable(ctx context.Context, path, table string) (found bool, err error) {
	if _, err := os.Stat(path); err != nil { // Open would make it
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no file %q", path)
		}
		return false, err
	}
	err = ask(ctx, path, &found, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?)`, table)
	if err != nil {
		s, cause := sqlite.Open(ctx, path, sqlite.Config{ReadOnly: true}) // it knows what that means
		if cause == nil {
			return false, errors.Join(err, s.Close())
		}
		return false, cause
	}
	return found, nil
}

// ask asks a file for one value, without a home.
func ask(ctx context.Context, path string, value any, query string, args ...any) error {
	location := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", location.String())
	if err != nil {
		return fmt.Errorf("look into %q: %w", path, err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	if err := db.QueryRowContext(ctx, query, args...).Scan(value); err != nil {
		return fmt.Errorf("look into %q: %w", path, err)
	}
	return nil
}

// redact leaves out what may be a password.
func redact(db string) string {
	scheme, rest, found := strings.Cut(db, "://")
	if i := strings.LastIndex(rest, "@"); found && i >= 0 {
		return scheme + "://…" + rest[i:]
	}
	return db
}
