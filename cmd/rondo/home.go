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
	case strings.HasPrefix(db, sqliteScheme) && db != sqliteScheme:
		path := strings.TrimPrefix(db, sqliteScheme)
		if _, err := os.Stat(path); err != nil { // Open would make it
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("there is no file %q", path)
			}
			return nil, nil, err
		}
		if err := hasSagas(ctx, path); err != nil { // Open would make the tables
			return nil, nil, err
		}
		s, err := sqlite.Open(ctx, path, sqlite.Config{})
		if errors.Is(err, sqlite.ErrReadOnly) { // it can be looked at
			s, err = sqlite.Open(ctx, path, sqlite.Config{ReadOnly: true})
		}
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	case db == "":
		return nil, nil, fmt.Errorf("%w: --db is missing, and DATABASE_URL is not set: want postgres://… or sqlite:FILE", errMisuse)
	}
	return nil, nil, fmt.Errorf("%w: --db is %q, want postgres://… or sqlite:FILE", errMisuse, redact(db))
}

func isPostgres(db string) bool {
	return strings.HasPrefix(db, "postgres://") || strings.HasPrefix(db, "postgresql://")
}

// hasSagas looks whether a file is one in which sagas were run, and changes nothing.
func hasSagas(ctx context.Context, path string) error {
	location := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", location.String())
	if err != nil {
		return fmt.Errorf("look into %q: %w", path, err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	var found bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'rondo_sagas')`).Scan(&found)
	switch {
	case err != nil:
		s, cause := sqlite.Open(ctx, path, sqlite.Config{ReadOnly: true}) // it knows what that means
		if cause == nil {
			return errors.Join(fmt.Errorf("look into %q: %w", path, err), s.Close())
		}
		return cause
	case !found:
		return fmt.Errorf("no sagas were ever run in %q", path)
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
