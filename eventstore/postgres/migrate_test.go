package postgres_test

import (
	"context"
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	var g errgroup.Group
	for range 8 {
		cfg := db.Config(t)
		cfg.MaxConns = 1 // each is a process with one connection
		g.Go(func() error {
			pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
			if err != nil {
				return err
			}
			defer pool.Close()
			_, err = postgres.Migrate(t.Context(), pool)
			return err
		})
	}
	require.NoError(t, g.Wait())
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	require.NoError(t, err)
	var applied, locks int
	pool := db.Pool(t)
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM rondo.schema_version WHERE version_id > 0`).Scan(&applied))
	require.Equal(t, len(files), applied, "each was run once")
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = $1)`, db.Name).Scan(&locks))
	require.Zero(t, locks)

	version, err := postgres.Migrate(t.Context(), pool)
	require.NoError(t, err)
	require.EqualValues(t, len(files), version, "doing it again does nothing")
}

func TestSchemaOfAnotherVersion(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	refused := func(config postgres.Config) postgres.SchemaVersionError {
		t.Helper()
		_, err := postgres.Open(t.Context(), db.URL, config)
		var wrong *postgres.SchemaVersionError
		require.ErrorAs(t, err, &wrong)
		require.False(t, eventstore.Retryable(err))
		return *wrong
	}
	never := refused(postgres.Config{})
	require.Zero(t, never.Found)
	require.Contains(t, never.Error(), "not migrated")
	require.Contains(t, never.Error(), "AutoMigrate")

	s := open(t, db, postgres.Config{})
	_, err := s.Append(t.Context(), one("a"))
	require.NoError(t, err)
	db.Exec(t, `INSERT INTO rondo.schema_version (version_id, is_applied) VALUES (999, true)`)
	for _, config := range []postgres.Config{{}, {AutoMigrate: true}} {
		newer := refused(config)
		require.EqualValues(t, 999, newer.Found)
		require.Contains(t, newer.Error(), "newer than this program")
	}
	db.Exec(t, `DELETE FROM rondo.schema_version WHERE version_id = 999`)
	db.Exec(t, `UPDATE rondo.schema_version SET version_id = -1 WHERE version_id = (SELECT max(version_id) FROM rondo.schema_version)`)
	older := refused(postgres.Config{})
	require.Less(t, older.Found, older.Want)
	require.Equal(t, 1, versions(t, s, "a"), "nothing was lost")
}

// The rights that the migration's head names are enough for another role.
func TestAnotherRoleUsesTheStore(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	app := db.Name + "_app"
	db.Exec(t, `CREATE ROLE `+app)
	db.Exec(t, `GRANT `+app+` TO `+db.Name)
	t.Cleanup(func() {
		db.Exec(t, `DROP OWNED BY `+app)
		db.Exec(t, `DROP ROLE `+app)
	})
	open(t, db, postgres.Config{})
	text, err := fs.ReadFile(postgres.Migrations(), "00001_events.sql")
	require.NoError(t, err)
	pool := db.Pool(t)
	for _, grant := range grants(string(text)) {
		_, err := pool.Exec(t.Context(), replaceRole(grant, app))
		require.NoError(t, err, grant)
	}
	cfg := db.Config(t)
	cfg.ConnConfig.RuntimeParams["role"] = app
	restricted, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer restricted.Close()
	s, err := postgres.New(t.Context(), restricted, postgres.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	fillTenants(t, s, "A", "")
	_, err = s.Append(t.Context(), one("b"), one("c"))
	require.NoError(t, err)
	_, err = s.Head(t.Context())
	require.NoError(t, err)
	_, err = s.DeleteExpiredClaims(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, s.DeleteKey(t.Context(), "customer"))
	require.NoError(t, s.DeleteSnapshot(t.Context(), "a", "t"))
	_, err = restricted.Exec(t.Context(), `DELETE FROM rondo.events`)
	require.ErrorContains(t, err, "permission denied", "events are for ever")
}
