package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
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

func TestMisuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		status int
		errs   string
	}{
		"no such command":  {[]string{"destroy"}, misuse, `there is no command "destroy", want migrate or saga`},
		"a file":           {[]string{"migrate", "--db", "sqlite:x"}, misuse, "a file of SQLite is not migrated"},
		"no such flag":     {[]string{"migrate", "--url", "x"}, misuse, "not defined: -url"},
		"an argument more": {[]string{"migrate", "--db", "postgres:///x", "now"}, misuse, "rondo: migrate has an argument more than it wants, \"now\": want none\n"},
		"no database":      {[]string{"migrate", "--db", ""}, misuse, "rondo: --db is missing, and DATABASE_URL is not set: want postgres://…\n"},
		"no URL":           {[]string{"migrate", "--db", "shop"}, misuse, "rondo: --db is \"shop\", want postgres://…\n"},
		"another database": {[]string{"migrate", "--db", "mysql://ann:secret@host/shop?a=b"}, misuse, "rondo: --db is \"mysql://…@host/shop?a=b\", want postgres://…\n"},
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
	out, _, status := rondo(t)
	require.Equal(t, 0, status)
	require.Equal(t, usage, out)
}

// rondo runs a command line.
func rondo(t *testing.T, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = (&app{out: &o, errs: &e, open: openHome, now: time.Now}).run(t.Context(), args)
	return o.String(), e.String(), status
}
