package postgrestest

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Database is a database for one test.
type Database struct {
	// Server is the one that has it.
	Server *Server
	// Name is the database's, and that of its owner.
	Name string
	// URL is where its owner connects to, a role that may log in and nothing
	// beyond: no superuser, not exempt from row-level security.
	URL string
	// AdminURL is where the server's superuser connects to; see [Server.URL].
	AdminURL string
}

// New makes a database for a test, on a server that all tests of the process
// share. It is dropped when the test ends. Where there is no PostgreSQL the test
// is skipped.
func New(t testing.TB) *Database {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("start a PostgreSQL server: %v", err)
	}
	if s == nil {
		skip(t, "there is no PostgreSQL")
	}
	return s.NewDatabase(t)
}

// NewDatabase makes a database for a test. It goes when the test ends.
func (s *Server) NewDatabase(t testing.TB) *Database {
	t.Helper()
	name := randomName()
	d := &Database{
		Server: s, Name: name,
		URL:      s.in(name, url.UserPassword(name, name)),
		AdminURL: s.in(name, s.admin.User),
	}
	err := s.exec(
		`CREATE ROLE `+name+` LOGIN PASSWORD '`+name+`'`,
		`CREATE DATABASE `+name,
		`ALTER DATABASE `+name+` OWNER TO `+name,
	)
	if err != nil {
		t.Fatalf("make a database: %v", err)
	}
	if !s.disposed {
		t.Cleanup(func() {
			if err := s.exec(`DROP DATABASE `+name+` WITH (FORCE)`, `DROP ROLE `+name); err != nil {
				t.Errorf("drop a database: %v", err)
			}
		})
	}
	return d
}

// in is the server's URL, for another database and user.
func (s *Server) in(database string, user *url.Userinfo) string {
	u := *s.admin
	u.Path, u.User = "/"+database, user
	return u.String()
}

// Config is the configuration of a pool of connections to the database, of its
// owner.
func (d *Database) Config(t testing.TB) *pgxpool.Config {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(d.URL)
	if err != nil {
		t.Fatalf("parse %s: %v", d.URL, err)
	}
	return cfg
}

// Pool is a pool of connections of the database's owner. It is closed when the
// test ends.
func (d *Database) Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), d.Config(t))
	if err != nil {
		t.Fatalf("open a pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Exec runs a statement as the server's superuser.
func (d *Database) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // cleanups call it
	conn, err := pgx.Connect(ctx, d.AdminURL)
	if err != nil {
		t.Fatalf("connect as superuser: %v", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// EndSessions ends all sessions in the database, as an administrator's
// pg_terminate_backend does.
func (d *Database) EndSessions(t testing.TB) {
	t.Helper()
	d.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`, d.Name)
}
