package postgres_test

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// open opens a store that is closed when the test ends.
func open(t testing.TB, db *postgrestest.Database, config postgres.Config) *postgres.Store {
	t.Helper()
	config.AutoMigrate = true
	s, err := postgres.Open(t.Context(), db.URL, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// withParameter returns a URL with one more parameter.
func withParameter(t *testing.T, address, name, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// restore dumps a database and restores it into another.
func restore(t *testing.T, server *postgrestest.Server, db *postgrestest.Database) *postgrestest.Database {
	t.Helper()
	into := server.NewDatabase(t)
	dump := filepath.Join(t.TempDir(), "dump")
	out, err := exec.CommandContext(t.Context(), server.Bin("pg_dump"), "--format=custom", "--file", dump, db.AdminURL).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), server.Bin("pg_restore"), "--no-owner", "--role="+into.Name, "--dbname", into.AdminURL, dump).CombinedOutput()
	require.NoError(t, err, string(out))
	return into
}

// grants are the statements that the head of a migration names.
func grants(migration string) []string {
	head, _, _ := strings.Cut(migration, "-- +goose Up")
	var statements []string
	for _, part := range strings.Split(strings.ReplaceAll(head, "\n--", "\n"), ";") {
		if at := strings.Index(part, "GRANT "); at >= 0 {
			statements = append(statements, part[at:])
		}
	}
	return statements
}

// replaceRole makes a statement for the role app one for another.
func replaceRole(statement, role string) string {
	return strings.TrimSuffix(statement, "TO app") + "TO " + role
}

const (
	waitAtMost = time.Minute
	pollEvery  = time.Millisecond
)
