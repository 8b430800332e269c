package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed57833328/rondo/internal/pghome"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Migrations are the SQL files that make the schema, for those who run them with
// a tool of their own: they are in the format of github.com/pressly/goose.
var Migrations = sync.OnceValue(func() fs.FS {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return files
})

// schema is the part of sagas. An event store in the same schema has another.
func schema() pghome.Schema {
	return pghome.Schema{Files: Migrations(), Versions: "rondo.saga_schema_version"}
}

// SchemaVersionError is returned for a database whose schema is not the one that
// this program knows.
type SchemaVersionError struct {
	Found int64 // in the database; 0 if it was never migrated
	Want  int64
}

func (e *SchemaVersionError) Error() string {
	const how = "run `go run github.com/seed57833328/rondo/cmd/rondo migrate --db URL`, call Migrate of package saga/postgres, or set Config.AutoMigrate"
	switch {
	case e.Found == 0:
		return "the database is not migrated for sagas: " + how
	case e.Found < e.Want:
		return fmt.Sprintf("the database's schema for sagas is at version %d, this program needs %d: %s", e.Found, e.Want, how)
	}
	return fmt.Sprintf("the database's schema for sagas is at version %d, newer than this program, which knows %d: use a newer version of it", e.Found, e.Want)
}

// Migrate brings the tables of sagas in the schema rondo of a database up to what
// this version of the package needs, and returns the version they have now. It
// does nothing if that is done already, and may be called by many processes at
// once: one does it, the others wait. Tables that are newer are a
// *[SchemaVersionError]. The role needs the right to create in the schema, or to
// create it, and will own the tables.
func Migrate(ctx context.Context, pool *pgxpool.Pool) (version int64, err error) {
	s := schema()
	want := s.Latest()
	found, err := s.Version(ctx, pool)
	switch {
	case err != nil:
		return 0, explain("migrate", err)
	case found > want:
		return found, &SchemaVersionError{Found: found, Want: want}
	case found == want:
		return found, nil
	}
	if err := s.Up(ctx, pool); err != nil {
		return found, explain("migrate", err)
	}
	return want, nil
}

func checkSchema(ctx context.Context, pool *pgxpool.Pool) error {
	s := schema()
	found, err := s.Version(ctx, pool)
	if err != nil {
		return explain(opening, err)
	}
	if want := s.Latest(); found != want {
		return &SchemaVersionError{Found: found, Want: want}
	}
	return nil
}
