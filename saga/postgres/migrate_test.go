package postgres_test

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/eventstore"
	events "github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
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
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM rondo.saga_schema_version WHERE version_id > 0`).Scan(&applied))
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
	require.Contains(t, never.Error(), "cmd/rondo migrate --db URL")
	require.Contains(t, never.Error(), "AutoMigrate")

	s := open(t, db.URL)
	_, err := s.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
	require.NoError(t, err)
	db.Exec(t, `INSERT INTO rondo.saga_schema_version (version_id, is_applied) VALUES (999, true)`)
	for _, config := range []postgres.Config{{}, {AutoMigrate: true}} {
		newer := refused(config)
		require.EqualValues(t, 999, newer.Found)
		require.Contains(t, newer.Error(), "newer than this program")
	}
	db.Exec(t, `DELETE FROM rondo.saga_schema_version WHERE version_id = 999`)
	db.Exec(t, `UPDATE rondo.saga_schema_version SET version_id = -1 WHERE version_id = (SELECT max(version_id) FROM rondo.saga_schema_version)`)
	older := refused(postgres.Config{})
	require.Less(t, older.Found, older.Want)
	_, found, err := s.Load(t.Context(), Reservation.ID("a"))
	require.NoError(t, err)
	require.True(t, found, "nothing was lost")
}

// What stood as paused in a database of the first version is where the log begins.
func TestPausesOfAnOlderDatabase(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	open(t, db.URL)
	migrateDown(t, db, 1)
	db.Exec(t, `INSERT INTO rondo.saga_pauses (type, paused, actor, reason, at) VALUES ('order', true, 'ada', 'night', '2026-01-02Z'), ('refund', false, 'bob', 'day', '2026-01-01Z')`)
	log, err := open(t, db.URL).PauseLog(t.Context(), "", 0, 10)
	require.NoError(t, err)
	require.Equal(t, []saga.PauseEntry{
		{Number: 2, Pause: saga.Pause{Type: "order", Paused: true, Actor: "ada", Reason: "night", At: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}},
		{Number: 1, Pause: saga.Pause{Type: "refund", Actor: "bob", Reason: "day", At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}},
	}, log)
}

// Sagas of a database of the second version are due as they were, and so they are
// when one goes back to that.
func TestDueOfAnOlderDatabase(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db.URL)
	sleeper, worked := change(Reservation.ID("sleeper"), 1), change(Reservation.ID("worked"), 1)
	sleeper.Record.Due = sleeper.Record.Started.Add(time.Hour)
	worked.Record.Ready, worked.Record.Due = true, sleeper.Record.Due
	onwards := change(Reservation.ID("worked"), 2)
	onwards.Record.Ready = true
	for _, c := range []saga.Change{sleeper, worked, onwards} {
		_, err := s.Commit(t.Context(), []saga.Change{c})
		require.NoError(t, err)
	}
	want := []saga.Due{{ID: sleeper.Record.ID, At: sleeper.Record.Due}}
	migrateDown(t, db, 2)
	rows, err := db.Pool(t).Query(t.Context(), `SELECT key FROM rondo.sagas WHERE due IS NOT NULL`)
	require.NoError(t, err)
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"sleeper"}, keys)
	due, err := open(t, db.URL).Due(t.Context(), allShards(), saga.Due{}, 10)
	require.NoError(t, err)
	require.Equal(t, want, due)
}

// migrateDown takes back the migrations after a version.
func migrateDown(t *testing.T, db *postgrestest.Database, version int) {
	t.Helper()
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	require.NoError(t, err)
	for _, file := range slices.Backward(files[version:]) {
		text, err := fs.ReadFile(postgres.Migrations(), file)
		require.NoError(t, err)
		_, down, found := strings.Cut(string(text), "-- +goose Down")
		require.True(t, found)
		db.Exec(t, down)
	}
	db.Exec(t, `DELETE FROM rondo.saga_schema_version WHERE version_id > $1`, version)
}

// Sagas and events are in one schema of one database, whichever came first.
func TestBesideAnEventStore(t *testing.T) {
	t.Parallel()
	openEvents := func(t *testing.T, url string) *events.Store {
		t.Helper()
		s, err := events.Open(t.Context(), url, events.Config{AutoMigrate: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	for name, sagasFirst := range map[string]bool{"sagas first": true, "events first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.New(t)
			if sagasFirst {
				open(t, db.URL)
			}
			e := openEvents(t, db.URL)
			s := open(t, db.URL)
			_, err := e.Append(t.Context(), eventstore.Write{Stream: "a", Expected: eventstore.None, Events: []eventstore.Event{{Type: "t", Data: []byte("1")}}})
			require.NoError(t, err)
			verdicts, err := s.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
			require.NoError(t, err)
			require.Equal(t, []saga.Verdict{saga.Committed}, verdicts)
		})
	}
}

// The rights that the migration's head names are enough for another role.
func TestAnotherRoleUsesTheHome(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	app := db.Name + "_app"
	db.Exec(t, `CREATE ROLE `+app)
	db.Exec(t, `GRANT `+app+` TO `+db.Name)
	t.Cleanup(func() {
		db.Exec(t, `DROP OWNED BY `+app)
		db.Exec(t, `DROP ROLE `+app)
	})
	open(t, db.URL)
	files, err := fs.Glob(postgres.Migrations(), "*.sql")
	require.NoError(t, err)
	pool := db.Pool(t)
	for _, file := range files {
		text, err := fs.ReadFile(postgres.Migrations(), file)
		require.NoError(t, err)
		for _, grant := range grants(string(text)) {
			_, err := pool.Exec(t.Context(), grant+app)
			require.NoError(t, err, grant)
		}
	}
	cfg := db.Config(t)
	cfg.ConnConfig.RuntimeParams["role"] = app
	restricted, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer restricted.Close()
	s, err := postgres.New(t.Context(), restricted, postgres.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	runner, _ := run(t, s, saga.Config{Handlers: handlers(func(context.Context, string) error { return nil })})
	h, err := runner.Start(t.Context(), Reservation.ID("a"), Reserve{Quantity: 2})
	require.NoError(t, err)
	end, err := h.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, saga.Completed, end.Status)
	require.NoError(t, s.SetPaused(t.Context(), saga.Pause{Type: "other"}))
	logged, err := s.PauseLog(t.Context(), "", 0, 1)
	require.NoError(t, err)
	require.Len(t, logged, 1)
	n, err := s.Purge(t.Context(), time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// grants are the statements that the head of a migration names, up to the role.
func grants(migration string) []string {
	head, _, _ := strings.Cut(migration, "-- +goose Up")
	var statements []string
	for _, part := range strings.Split(strings.ReplaceAll(head, "\n--", "\n"), ";") {
		if at := strings.Index(part, "GRANT "); at >= 0 {
			statements = append(statements, strings.TrimSuffix(part[at:], "app"))
		}
	}
	return statements
}
