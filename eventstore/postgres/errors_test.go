package postgres_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// requireError fails the test unless the error is an *Error as described.
func requireError(t *testing.T, err error, code, text string, retryable bool) {
	t.Helper()
	var e *postgres.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, err)
	require.ErrorContains(t, err, text)
	require.Equal(t, retryable, eventstore.Retryable(err), err)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	other := func(change func(*url.URL)) string {
		u, err := url.Parse(db.URL)
		require.NoError(t, err)
		change(u)
		return u.String()
	}
	for name, c := range map[string]struct {
		url       string
		code      string
		text      string
		retryable bool
	}{
		"no such role":     {other(func(u *url.URL) { u.User = url.UserPassword("nobody-at-all", "x") }), "28000", "refuses the credentials", false},
		"no such database": {other(func(u *url.URL) { u.Path = "/none" }), "3D000", "no such database", false},
		"nobody there":     {"postgres://127.0.0.1:1/db", "", "not reachable", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := postgres.Open(t.Context(), c.url, postgres.Config{})
			requireError(t, err, c.code, c.text, c.retryable)
		})
	}
	_, err := postgres.Open(t.Context(), "postgres://host:port/", postgres.Config{})
	require.ErrorContains(t, err, "open event store")
	for field, config := range map[string]postgres.Config{
		"Config.DirectAppends": {DirectAppends: -1},
		"Config.PollInterval":  {PollInterval: -1},
	} {
		_, err := postgres.Open(t.Context(), db.URL, config)
		var input *eventstore.InputError
		require.ErrorAs(t, err, &input)
		require.Equal(t, field, input.Field)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = postgres.Open(ended, db.URL, postgres.Config{})
	require.ErrorIs(t, err, context.Canceled)
}

// Names of streams may be any Unicode, which other encodings have no letters for,
// or would show to other programs as something else.
func TestOtherEncodings(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	latin := db.Name + "_latin"
	db.Exec(t, `CREATE DATABASE `+latin+` OWNER `+db.Name+` TEMPLATE template0 LOCALE 'C' ENCODING 'LATIN1'`)
	t.Cleanup(func() { db.Exec(t, `DROP DATABASE `+latin+` WITH (FORCE)`) })
	u, err := url.Parse(db.URL)
	require.NoError(t, err)
	u.Path = "/" + latin
	for _, c := range []struct{ url, says string }{
		{u.String(), "the encoding of the database is LATIN1, want UTF8"},
		{withParameter(t, db.URL, "client_encoding", "latin1"), "client_encoding of the connection is LATIN1, want UTF8"},
	} {
		for _, migrate := range []bool{false, true} {
			_, err := postgres.Open(t.Context(), c.url, postgres.Config{AutoMigrate: migrate})
			requireError(t, err, "", c.says, false)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	hba := filepath.Join(server.DataDir(), "pg_hba.conf")
	require.NoError(t, os.WriteFile(hba, []byte("local all postgres trust\nlocal all all scram-sha-256\n"), 0o600))
	db.Exec(t, `SELECT pg_reload_conf()`)
	open(t, db, postgres.Config{})
	_, err := postgres.Open(t.Context(), strings.Replace(db.URL, ":"+db.Name+"@", ":secret-guess@", 1), postgres.Config{})
	requireError(t, err, "28P01", "wrong password", false)
	require.NotContains(t, err.Error(), "secret-guess")
}

// What a server refuses has not happened, and the error says whether it may be
// tried again.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		setting   string
		locked    bool // another transaction has locked the table
		meanwhile func(*testing.T, *postgrestest.Database)
		code      string
		text      string
	}{
		"read-only":           {setting: `SET default_transaction_read_only = on`, code: "25006", text: "read-only"},
		"too many":            {setting: `CONNECTION LIMIT 0`, code: "53300", text: "too many connections"},
		"statement timeout":   {setting: `SET statement_timeout = '50ms'`, locked: true, code: "57014", text: "statement_timeout"},
		"lock timeout":        {setting: `SET lock_timeout = '50ms'`, locked: true, code: "55P03", text: "a lock was not to be had"},
		"ended by an admin":   {locked: true, meanwhile: endWaiting, code: "57P01", text: "an administrator ended it"},
		"cancelled by one":    {locked: true, meanwhile: cancelWaiting, code: "57014", text: "an administrator did"},
		"disk full, it seems": {setting: `SET rondo.test_code = '53100'`, code: "53100", text: "disk is full"},
		"out of memory":       {setting: `SET rondo.test_code = '53200'`, code: "53200", text: "out of memory"},
	} {
		for how, together := range map[string]bool{"by itself": false, "together": true} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				db := postgrestest.New(t)
				before := open(t, db, postgres.Config{})
				raiseOnDemand(t, db)
				set := func() {
					if c.setting != "" {
						db.Exec(t, `ALTER DATABASE `+db.Name+` `+c.setting)
					}
				}
				config := db.Config(t)
				pool, err := pgxpool.NewWithConfig(t.Context(), config)
				require.NoError(t, err)
				defer pool.Close()
				if c.code == "53300" {
					set()
					_, err := postgres.New(t.Context(), pool, postgres.Config{})
					requireError(t, err, c.code, c.text, true)
					return
				}
				s, err := postgres.New(t.Context(), pool, postgres.Config{})
				require.NoError(t, err)
				defer func() { require.NoError(t, s.Close()) }()
				if together {
					s.QueueAll()
				}
				if c.locked {
					_, err := begin(t, db).Exec(t.Context(), `LOCK TABLE rondo.events IN EXCLUSIVE MODE`)
					require.NoError(t, err)
				}
				set()
				pool.Reset() // only what the store does from here on has so little time
				result := make(chan error)
				w := expecting("a", eventstore.None)
				go func() {
					_, err := s.Append(t.Context(), w)
					result <- err
				}()
				if c.meanwhile != nil {
					waitForWaiting(t, db, 1)
					c.meanwhile(t, db)
				}
				err = <-result
				requireError(t, err, c.code, c.text, true)
				require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))
				require.Zero(t, versions(t, before, "a"))
				if c.code == "25006" { // it can still be read
					require.Zero(t, versions(t, s, "a"))
					_, err := s.Head(t.Context())
					require.NoError(t, err)
				}
			})
		}
	}
}

func endWaiting(t *testing.T, db *postgrestest.Database) {
	t.Helper()
	db.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = $1)`, db.Name)
}

func cancelWaiting(t *testing.T, db *postgrestest.Database) {
	t.Helper()
	db.Exec(t, `SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = $1)`, db.Name)
}

// raiseOnDemand has inserts fail with the code of the setting rondo.test_code,
// and those of events of the type "poison" always.
func raiseOnDemand(t *testing.T, db *postgrestest.Database) {
	t.Helper()
	_, err := db.Pool(t).Exec(t.Context(), `
CREATE FUNCTION raise_on_demand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('rondo.test_code', true) <> '' THEN
		RAISE EXCEPTION USING ERRCODE = current_setting('rondo.test_code'), MESSAGE = 'on demand';
	END IF;
	IF NEW.type = 'poison' THEN
		RAISE EXCEPTION 'poison';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER raise_on_demand BEFORE INSERT ON rondo.events FOR EACH ROW EXECUTE FUNCTION raise_on_demand()`)
	require.NoError(t, err)
}

func TestMissingRights(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	_, err := db.Pool(t).Exec(t.Context(), `REVOKE INSERT ON rondo.events FROM `+db.Name)
	require.NoError(t, err)
	_, err = s.Append(t.Context(), one("a"))
	requireError(t, err, "42501", "lacks a right, the heads of the migrations say which it needs", false)
}

// A server that is told to fail instead of keeping tenants apart lacks no right.
func TestRowSecurityOff(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]string{"role": "ALTER ROLE ", "database": "ALTER DATABASE "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.New(t)
			_, err := open(t, db, postgres.Config{}).Append(t.Context(), one("a"))
			require.NoError(t, err)
			db.Exec(t, set+db.Name+` SET row_security = off`)
			s, err := postgres.Open(t.Context(), db.URL, postgres.Config{})
			if err == nil {
				defer func() { require.NoError(t, s.Close()) }()
				_, err = s.Append(t.Context(), one("a"))
			}
			requireError(t, err, "42501", "the setting row_security is off for the role or the database, and has to be on", false)
			require.NotContains(t, err.Error(), "lacks a right")
		})
	}
}

// That connecting took too long is not the caller's own deadline.
func TestConnectingTakesTooLong(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	config := db.Config(t)
	var hangs atomic.Bool
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if hangs.Load() {
			return nil, context.DeadlineExceeded // as after connect_timeout
		}
		return dial(ctx, network, address)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	s, err := postgres.New(t.Context(), pool, postgres.Config{AutoMigrate: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	hangs.Store(true)
	pool.Reset()
	_, err = s.Head(t.Context())
	requireError(t, err, "", "the server is not reachable", true)
	_, err = s.Append(t.Context(), one("a"))
	requireError(t, err, "", "the server is not reachable", true)
}

// A subscription that can never go on says so, also while it waits, and a later one
// does not hear of it.
func TestSubscriptionLacksARight(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{PollInterval: time.Millisecond})
	_, err := s.Append(t.Context(), one("a"))
	require.NoError(t, err)
	next := func() (event func() (eventstore.Recorded, error, bool), stop func()) {
		return iter.Pull2(s.Subscribe(t.Context(), 0, eventstore.Filter{}))
	}
	event, stop := next()
	defer stop()
	_, err, _ = event()
	require.NoError(t, err)
	_, err = db.Pool(t).Exec(t.Context(), `REVOKE ALL ON SEQUENCE rondo.position FROM `+db.Name)
	require.NoError(t, err)
	_, err, _ = event()
	requireError(t, err, "42501", "follow the log: the role lacks a right", false)
	_, _, more := event()
	require.False(t, more)

	_, err = db.Pool(t).Exec(t.Context(), `GRANT USAGE, SELECT ON SEQUENCE rondo.position TO `+db.Name)
	require.NoError(t, err)
	event, stop = next()
	defer stop()
	_, err, _ = event()
	require.NoError(t, err)
}

func TestServerIsDown(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	s := open(t, server.NewDatabase(t), postgres.Config{})
	_, err := s.Append(t.Context(), one("a"))
	require.NoError(t, err)
	server.Stop(t, postgrestest.Fast)
	// Connections that were open turn out to be lost, one by one. Then it is clear.
	for {
		_, err = s.Append(t.Context(), one("a"))
		require.Error(t, err)
		require.True(t, eventstore.Retryable(err), err)
		var e *postgres.Error
		if errors.As(err, &e) && strings.Contains(err.Error(), "not reachable") {
			break
		}
	}
	for what, err := range map[string]error{
		"head": func() error { _, err := s.Head(t.Context()); return err }(),
		"read": func() error {
			for _, err := range s.ReadStream(t.Context(), "a", 0) {
				return err
			}
			return nil
		}(),
		"claim": func() error { _, _, err := s.LoadClaim(t.Context(), "k"); return err }(),
	} {
		requireError(t, err, "", "not reachable", true)
		_ = what
	}
	server.Start(t)
	_, err = s.Append(t.Context(), one("a"))
	require.NoError(t, err)
	require.Equal(t, 2, versions(t, s, "a"))
}
