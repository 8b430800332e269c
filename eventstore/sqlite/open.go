package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

// migrations are the steps of the schema, in SQL that can be read and, with the
// goose command, run by hand.
//
//go:embed migrations/*.sql
var migrations embed.FS

// knownVersion is the last of the migrations. A test holds it to them.
const knownVersion = 1

// Open opens the event store in the file with that path, which is made if it is
// not there, and brings its schema up to that of this program. Several programs
// may do so at once. The file may also have tables of the application.
//
// Errors: *eventstore.InputError, *SchemaError, *Error, and those of the context.
func Open(ctx context.Context, path string, config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	s := &Store{config: config.withDefaults(), span: defaultSpan, polled: make(chan struct{})}
	s.file, err = sqlitefile.Open(ctx, "event store", path, "eventstore/memory", sqlitefile.Options{
		Schema: sqlitefile.Schema{
			Migrations: steps, Version: knownVersion, VersionTable: "rondo_schema_version",
			Tables: "rondo_*", Others: "rondo_saga*",
		},
		Closed:      eventstore.ErrClosed,
		Normal:      s.config.Durability == Normal,
		ReadOnly:    s.config.ReadOnly,
		BusyTimeout: s.config.BusyTimeout,
		Readers:     s.config.Readers,
		MaxBatch:    s.config.MaxBatch,
		Now:         s.config.Now,
		Committed:   s.news.wake,
	})
	if err != nil {
		return nil, err
	}
	go s.poll()
	return s, nil
}
