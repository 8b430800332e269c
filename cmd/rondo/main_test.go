package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	eventfile "github.com/seed57833328/rondo/eventstore/sqlite"
	sagafile "github.com/seed57833328/rondo/saga/sqlite"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	_, err := postgres.Open(t.Context(), db.URL, postgres.Config{})
	require.ErrorContains(t, err, "rondo migrate")

	for range 2 { // the second finds it done
		out, errs, status := rondo(t, "migrate", "--db", db.URL)
		require.Equal(t, 0, status, errs)
		require.Regexp(t, `^the schema of events is at version \d+\nthe schema of sagas is at version \d+\n$`, out)
	}
	s, err := postgres.Open(t.Context(), db.URL, postgres.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.Append(t.Context(), eventstore.Write{
		Stream: "seats-A", Expected: eventstore.None, Events: []eventstore.Event{{Type: "held"}},
	})
	require.NoError(t, err)
}

// In a file of an older schema nothing is changed but by migrate, as an older
// program would then refuse the file.
func TestOlderFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	s, err := sagafile.Open(t.Context(), path, sagafile.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	version := func() (v int64) {
		require.NoError(t, ask(t.Context(), path, &v, `SELECT max(version_id) FROM rondo_saga_schema_version WHERE is_applied`))
		return v
	}
	latest := version()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	steps, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("../../saga/sqlite/migrations"), goose.WithTableName("rondo_saga_schema_version"))
	require.NoError(t, err)
	_, err = steps.DownTo(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, db.Close())

	for _, args := range []string{"list", "workers", "show order/a", "pause-type order --actor ada --reason night", "resume-type order --actor ada --reason day --dry-run"} {
		out, errs, status := rondo(t, append(append([]string{"saga"}, strings.Fields(args)...), "--db", "sqlite:"+path)...)
		require.Equal(t, failed, status, args)
		require.Contains(t, errs, fmt.Sprintf("schema version 1 is older than %d", latest), args)
		require.Contains(t, errs, "\n       rondo migrate --db 'sqlite:"+path+"' does so", args)
		require.Empty(t, out, args)
		require.EqualValues(t, 1, version(), args)
	}
	for range 2 { // the second finds it done
		out, errs, status := rondo(t, "migrate", "--db", "sqlite:"+path)
		require.Equal(t, 0, status, errs)
		require.Equal(t, fmt.Sprintf("the schema of sagas is at version %d\n", latest), out, "of events there are none")
		require.Equal(t, latest, version())
	}
	out, errs, status := rondo(t, "saga", "list", "--db", "sqlite:"+path)
	require.Equal(t, 0, status, errs)
	require.Equal(t, "no saga is like that\n", out)

	log, err := eventfile.Open(t.Context(), path, eventfile.Config{})
	require.NoError(t, err)
	require.NoError(t, log.Close())
	out, errs, status = rondo(t, "migrate", "--db", "sqlite:"+path)
	require.Equal(t, 0, status, errs)
	require.Regexp(t, `^the schema of events is at version \d+\nthe schema of sagas is at version \d+\n$`, out)

	letter := filepath.Join(t.TempDir(), "letter.txt")
	require.NoError(t, os.WriteFile(letter, nil, 0o600))
	_, errs, status = rondo(t, "migrate", "--db", "sqlite:"+letter)
	require.Equal(t, failed, status)
	require.Contains(t, errs, "neither events nor sagas were ever kept in")
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		status int
		errs   string
	}{
		"no such command":  {[]string{"destroy"}, misuse, `there is no command "destroy", want migrate or saga`},
		"no file":          {[]string{"migrate", "--db", "sqlite:"}, misuse, "rondo: --db is \"sqlite:\", want postgres://… or sqlite:FILE\n"},
		"no such file":     {[]string{"migrate", "--db", "sqlite:x"}, failed, "rondo: there is no file \"x\"\n"},
		"no such help":     {[]string{"help", "bogus"}, misuse, "rondo: there is no command \"bogus\", want migrate or saga\n"},
		"no help of saga":  {[]string{"help", "saga", "bogus"}, misuse, "there is no command \"bogus\" of saga"},
		"no such flag":     {[]string{"migrate", "--url", "x"}, misuse, "not defined: -url"},
		"an argument more": {[]string{"migrate", "--db", "postgres:///x", "now"}, misuse, "rondo: migrate has an argument more than it wants, \"now\": want none\n"},
		"no database":      {[]string{"migrate", "--db", ""}, misuse, "rondo: --db is missing, and DATABASE_URL is not set: want postgres://… or sqlite:FILE\n"},
		"no URL":           {[]string{"migrate", "--db", "shop"}, misuse, "rondo: --db is \"shop\", want postgres://… or sqlite:FILE\n"},
		"another database": {[]string{"migrate", "--db", "mysql://ann:secret@host/shop?a=b"}, misuse, "rondo: --db is \"mysql://…@host/shop?a=b\", want postgres://… or sqlite:FILE\n"},
		"keywords":         {[]string{"migrate", "--db", "host=127.0.0.1 port=1 connect_timeout=5"}, failed, "the server is not reachable"},
		"not a URL":        {[]string{"migrate", "--db", "postgres://host:port/db"}, failed, "rondo: "},
		"nobody there":     {[]string{"migrate", "--db", "postgres://127.0.0.1:1/db?connect_timeout=5"}, failed, "the server is not reachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, status := rondo(t, c.args...)
			require.Equal(t, c.status, status)
			require.Contains(t, errs, c.errs)
			require.Empty(t, out)
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	out, errs, status := rondo(t)
	require.Equal(t, misuse, status)
	require.Equal(t, usage, errs)
	require.Empty(t, out)
	for args, want := range map[string]string{
		"help": usage, "-h": usage, "--help": usage, "help migrate": usage, "migrate help": usage,
		"help saga": sagaUsage, "saga help": sagaUsage, "saga -h": sagaUsage,
	} {
		out, errs, status := rondo(t, strings.Fields(args)...)
		require.Equal(t, 0, status, args)
		require.Equal(t, want, out, args)
		require.Empty(t, errs, args)
	}
	out, _, status = rondo(t, "help", "saga", "list")
	require.Equal(t, 0, status)
	require.Contains(t, out, "usage: rondo saga list")
}

// rondo runs a command line.
func rondo(t *testing.T, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = (&app{out: &o, errs: &e, open: openHome, now: time.Now}).run(t.Context(), args)
	return o.String(), e.String(), status
}
