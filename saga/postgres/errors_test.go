package postgres_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
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
	require.ErrorContains(t, err, "open home of sagas")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = postgres.Open(ended, db.URL, postgres.Config{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	hba := filepath.Join(server.DataDir(), "pg_hba.conf")
	require.NoError(t, os.WriteFile(hba, []byte("local all postgres trust\nlocal all all scram-sha-256\n"), 0o600))
	db.Exec(t, `SELECT pg_reload_conf()`)
	open(t, db.URL)
	_, err := postgres.Open(t.Context(), strings.Replace(db.URL, ":"+db.Name+"@", ":secret-guess@", 1), postgres.Config{})
	requireError(t, err, "28P01", "wrong password", false)
	require.NotContains(t, err.Error(), "secret-guess")
}

func TestMissingRights(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db.URL)
	db.Exec(t, `REVOKE INSERT ON rondo.sagas FROM `+db.Name)
	_, err := s.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
	requireError(t, err, "42501", "lacks a right, the heads of the migrations say which it needs", false)
}

// A server that refuses has changed nothing, and says whether it may be tried
// again.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	before := open(t, db.URL)
	db.Exec(t, `ALTER DATABASE `+db.Name+` SET default_transaction_read_only = on`)
	s, err := postgres.Open(t.Context(), db.URL, postgres.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	id := Reservation.ID("a")
	_, err = s.Commit(t.Context(), []saga.Change{change(id, 1)})
	requireError(t, err, "25006", "read-only", true)
	_, found, err := s.Load(t.Context(), id)
	require.NoError(t, err)
	require.False(t, found)
	verdicts, err := before.Commit(t.Context(), []saga.Change{change(id, 1)})
	require.NoError(t, err)
	require.Equal(t, []saga.Verdict{saga.Committed}, verdicts)
}

// Two homes commit what they have in common in different orders: neither waits for
// the other for ever, and of each pair one wins.
func TestBatchesThatCross(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	homes := []*postgres.Store{open(t, db.URL), open(t, db.URL)}
	const sagas, rounds = 20, 15
	for sequence := int64(1); sequence <= rounds; sequence++ {
		verdicts := make(chan []saga.Verdict, len(homes))
		for which, s := range homes {
			changes := make([]saga.Change, sagas)
			for i := range changes {
				at := i
				if which == 1 {
					at = sagas - 1 - i
				}
				changes[at] = change(Reservation.ID(string(rune('a'+i))), sequence)
			}
			go func() {
				v, err := s.Commit(t.Context(), changes)
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				verdicts <- v
			}()
		}
		a, b := <-verdicts, <-verdicts
		require.Equal(t, sagas, count(a, saga.Committed)+count(b, saga.Committed))
		require.Equal(t, sagas, count(a, saga.Conflict)+count(b, saga.Conflict))
	}
}

func count(verdicts []saga.Verdict, v saga.Verdict) (n int) {
	for _, one := range verdicts {
		if one == v {
			n++
		}
	}
	return n
}
