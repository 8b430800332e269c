package main

import (
	"bytes"
	"testing"

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
		var out, errs bytes.Buffer
		require.Equal(t, 0, run(t.Context(), []string{"migrate", "--db", db.URL}, &out, &errs), errs.String())
		require.Equal(t, "the schema is at version 1\n", out.String())
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
		"no such command":  {[]string{"destroy"}, misuse, `there is no command "destroy"`},
		"no such flag":     {[]string{"migrate", "--url", "x"}, misuse, "not defined: -url"},
		"an argument more": {[]string{"migrate", "--db", "postgres:///x", "now"}, misuse, "usage"},
		"not a URL":        {[]string{"migrate", "--db", "postgres://host:port/db"}, failed, "rondo: "},
		"nobody there":     {[]string{"migrate", "--db", "postgres://127.0.0.1:1/db?connect_timeout=5"}, failed, "the server is not reachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			require.Equal(t, c.status, run(t.Context(), c.args, &out, &errs))
			require.Contains(t, errs.String(), c.errs)
			require.Empty(t, out.String())
		})
	}
	var out, errs bytes.Buffer
	require.Equal(t, 0, run(t.Context(), nil, &out, &errs))
	require.Equal(t, usage, out.String())
}
