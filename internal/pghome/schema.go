package pghome

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// lockKey is the key of the advisory lock that is held while migrating:
// "rondomig" in ASCII. It is the same for all, as all of them make the schema.
const lockKey = 0x726f6e646f6d6967

// Schema is the part of the schema rondo that a store has there.
type Schema struct {
	// Files are its migrations, in the format of github.com/pressly/goose.
	Files fs.FS
	// Versions is the table in which goose keeps which of them were run.
	Versions string
}

// Latest is the version of the last migration.
func (s Schema) Latest() int64 {
	files, err := fs.ReadDir(s.Files, ".")
	if err != nil || len(files) == 0 {
		panic("no migrations in the program")
	}
	latest, err := goose.NumericComponent(files[len(files)-1].Name())
	if err != nil {
		panic(err)
	}
	return latest
}

// Version is that of the database, 0 if it was never migrated. The error is
// pgx's, or that its texts are not UTF-8.
func (s Schema) Version(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	if err := checkEncoding(conn.Conn().PgConn()); err != nil {
		return 0, err
	}
	var version int64
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+s.Versions+` WHERE is_applied`).Scan(&version)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == UndefinedTable || refused.Code == InvalidSchema) {
		return 0, nil
	}
	return version, err
}

// checkEncoding refuses what would not keep every text, or would show it to other
// programs as another.
func checkEncoding(conn *pgconn.PgConn) error {
	if e := conn.ParameterStatus("server_encoding"); e != "UTF8" {
		return fmt.Errorf("the encoding of the database is %s, want UTF8", e)
	}
	if e := conn.ParameterStatus("client_encoding"); e != "UTF8" {
		return fmt.Errorf("client_encoding of the connection is %s, want UTF8", e)
	}
	return nil
}

// Up makes the schema and runs the migrations that were not run yet. Of several
// processes one does it, and the others wait. The error is pgx's or goose's.
func (s Schema) Up(ctx context.Context, pool *pgxpool.Pool) error {
	if err := create(ctx, pool); err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() //nolint:errcheck // its connections are the pool's
	provider, err := goose.NewProvider(goose.DialectPostgres, db, s.Files,
		goose.WithTableName(s.Versions), goose.WithSessionLocker(locker{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// create makes the schema, in which goose has its table.
func create(ctx context.Context, pool *pgxpool.Pool) error {
	var pipeline pgx.Batch
	pipeline.Queue(`SELECT pg_advisory_xact_lock($1)`, int64(lockKey))
	pipeline.Queue(`DO $$ BEGIN
		IF to_regnamespace('rondo') IS NULL THEN
			CREATE SCHEMA rondo;
		END IF;
	END $$`)
	return pool.SendBatch(ctx, &pipeline).Close()
}

// locker makes processes that migrate wait for one another.
type locker struct{}

func (locker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(lockKey))
	return err
}

func (locker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(lockKey))
	return err
}
