package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
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

// versionTable is where goose keeps which migrations were run. An event store in
// the same schema has another.
const versionTable = "rondo.saga_schema_version"

// migrationLock is the key of the advisory lock that is held while migrating:
// "rondomig" in ASCII. It is that of the event store too, as both make the schema.
const migrationLock = 0x726f6e646f6d6967

// SchemaVersionError is returned for a database whose schema is not the one that
// this program knows.
type SchemaVersionError struct {
	Found int64 // in the database; 0 if it was never migrated
	Want  int64
}

func (e *SchemaVersionError) Error() string {
	const how = "call Migrate of package saga/postgres, or set Config.AutoMigrate"
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
	db := stdlib.OpenDBFromPool(pool)
	defer func() {
		// A cancelled context leaves nothing to close.
		if closeErr := db.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("migrate: %w", closeErr)
		}
	}()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, Migrations(),
		goose.WithTableName(versionTable), goose.WithSessionLocker(migrationLocker{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	want := latestVersion()
	found, err := schemaVersion(ctx, pool)
	if err != nil {
		return 0, explain("migrate", err)
	}
	if found > want {
		return found, &SchemaVersionError{Found: found, Want: want}
	}
	if found == want {
		return found, nil
	}
	if err := createSchema(ctx, pool); err != nil {
		return found, explain("migrate", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return found, explain("migrate", err)
	}
	return want, nil
}

// createSchema makes the schema, in which goose has its table.
func createSchema(ctx context.Context, pool *pgxpool.Pool) error {
	var pipeline pgx.Batch
	pipeline.Queue(`SELECT pg_advisory_xact_lock($1)`, int64(migrationLock))
	pipeline.Queue(`DO $$ BEGIN
		IF to_regnamespace('rondo') IS NULL THEN
			CREATE SCHEMA rondo;
		END IF;
	END $$`)
	return pool.SendBatch(ctx, &pipeline).Close()
}

// migrationLocker makes processes that migrate wait for one another.
type migrationLocker struct{}

func (migrationLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock))
	return err
}

func (migrationLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
	return err
}

// latestVersion is that of the last migration file.
var latestVersion = sync.OnceValue(func() int64 {
	files, err := fs.ReadDir(Migrations(), ".")
	if err != nil || len(files) == 0 {
		panic("no migrations in the program")
	}
	latest, err := goose.NumericComponent(files[len(files)-1].Name())
	if err != nil {
		panic(err)
	}
	return latest
})

// schemaVersion is that of the database, 0 if it was never migrated.
func schemaVersion(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	var version int64
	err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&version)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == codeUndefinedTable || refused.Code == codeInvalidSchema) {
		return 0, nil
	}
	return version, err
}

func checkSchema(ctx context.Context, pool *pgxpool.Pool) error {
	found, err := schemaVersion(ctx, pool)
	if err != nil {
		return explain(opening, err)
	}
	if want := latestVersion(); found != want {
		return &SchemaVersionError{Found: found, Want: want}
	}
	return nil
}
