package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// withThings is a store whose database has a table of the user's.
func withThings(t *testing.T) (*postgrestest.Database, *postgres.Store) {
	t.Helper()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	_, err := db.Pool(t).Exec(t.Context(), `CREATE TABLE things (name text PRIMARY KEY)`)
	require.NoError(t, err)
	return db, s
}

func things(t *testing.T, db *postgrestest.Database) int {
	t.Helper()
	var n int
	require.NoError(t, db.Pool(t).QueryRow(t.Context(), `SELECT count(*) FROM things`).Scan(&n))
	return n
}

func versions(t *testing.T, s eventstore.Store, stream string) int {
	t.Helper()
	n := 0
	for _, err := range s.ReadStream(t.Context(), stream, 0) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestAppendTxCommitsWithTheUsersWrites(t *testing.T) {
	t.Parallel()
	db, s := withThings(t)
	for name, end := range map[string]func(pgx.Tx) error{
		"committed":   func(tx pgx.Tx) error { return tx.Commit(t.Context()) },
		"rolled back": func(tx pgx.Tx) error { return tx.Rollback(t.Context()) },
	} {
		tx := begin(t, db)
		_, err := tx.Exec(t.Context(), `INSERT INTO things VALUES ($1)`, name)
		require.NoError(t, err)
		w := expecting("a-"+name, eventstore.None)
		w.Claim = &eventstore.Claim{Key: name, Until: time.Now().Add(time.Hour), Result: []byte(name)}
		done, err := s.AppendTx(t.Context(), tx, w, one("b-"+name))
		require.NoError(t, err)
		require.Len(t, done, 2)
		require.EqualValues(t, 1, done[0].Version)
		require.Greater(t, done[1].Position, done[0].Position)
		require.Zero(t, versions(t, s, "a-"+name), "nothing is seen before the commit")

		// It sees what it has written itself.
		_, err = s.AppendTx(t.Context(), tx, expecting("a-"+name, eventstore.Exactly(1)))
		require.NoError(t, err)
		require.NoError(t, end(tx))
	}
	require.Equal(t, 1, things(t, db))
	require.Equal(t, 2, versions(t, s, "a-committed"))
	require.Equal(t, 1, versions(t, s, "b-committed"))
	require.Zero(t, versions(t, s, "a-rolled back"))
	_, found, err := s.LoadClaim(t.Context(), "committed")
	require.NoError(t, err)
	require.True(t, found)
	_, found, err = s.LoadClaim(t.Context(), "rolled back")
	require.NoError(t, err)
	require.False(t, found)
}

func TestAppendTxRefusesAndTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	db, s := withThings(t)
	first := expecting("a", eventstore.None)
	first.Claim = &eventstore.Claim{Key: "k", Until: time.Now().Add(time.Hour), Result: []byte("first")}
	_, err := s.Append(t.Context(), first)
	require.NoError(t, err)

	tx := begin(t, db)
	_, err = s.AppendTx(t.Context(), tx, one("b"), expecting("a", eventstore.Exactly(7)))
	var conflict *eventstore.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, eventstore.ConflictError{Stream: "a", Expected: eventstore.Exactly(7), Actual: 1}, *conflict)

	again := eventstore.Write{Stream: "b", Expected: eventstore.Any, Events: first.Events}
	_, err = s.AppendTx(t.Context(), tx, again)
	var duplicate *eventstore.DuplicateEventError
	require.ErrorAs(t, err, &duplicate)
	require.Equal(t, eventstore.DuplicateEventError{Stream: "b", ID: first.Events[0].ID}, *duplicate)

	claiming := one("b")
	claiming.Claim = &eventstore.Claim{Key: "k", Until: time.Now().Add(time.Hour)}
	_, err = s.AppendTx(t.Context(), tx, claiming)
	var claimed *eventstore.ClaimedError
	require.ErrorAs(t, err, &claimed)
	require.Equal(t, "first", string(claimed.Claim.Result))

	_, err = s.AppendTx(t.Context(), tx, eventstore.Write{Stream: "", Expected: eventstore.Any})
	require.ErrorAs(t, err, new(*eventstore.InputError))
	done, err := s.AppendTx(t.Context(), tx)
	require.NoError(t, err)
	require.Empty(t, done)

	_, err = tx.Exec(t.Context(), `INSERT INTO things VALUES ('x')`)
	require.NoError(t, err)
	_, err = s.AppendTx(t.Context(), tx, expecting("b", eventstore.None))
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, 1, versions(t, s, "b"), "only what was accepted")
	require.Equal(t, 1, things(t, db))
}

// An append in a transaction that loses a race waits for the other to commit, and
// is decided on what that has left.
func TestAppendTxLosesARace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		isolation pgx.TxIsoLevel
		expected  eventstore.Expected
		check     func(*testing.T, error)
	}{
		"exactly": {pgx.ReadCommitted, eventstore.Exactly(1), func(t *testing.T, err error) {
			t.Helper()
			var conflict *eventstore.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.EqualValues(t, 2, conflict.Actual)
		}},
		"any": {pgx.ReadCommitted, eventstore.Any, func(t *testing.T, err error) {
			t.Helper()
			require.NoError(t, err)
		}},
		"exactly, of an older snapshot": {pgx.RepeatableRead, eventstore.Exactly(1), func(t *testing.T, err error) {
			t.Helper()
			var conflict *eventstore.ConflictError
			require.ErrorAs(t, err, &conflict)
			require.EqualValues(t, 2, conflict.Actual)
		}},
		"any, of an older snapshot": {pgx.RepeatableRead, eventstore.Any, func(t *testing.T, err error) {
			t.Helper()
			var e *postgres.Error
			require.ErrorAs(t, err, &e)
			require.True(t, eventstore.Retryable(err), "the transaction as a whole")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.New(t)
			s := open(t, db, postgres.Config{})
			_, err := s.Append(t.Context(), expecting("a", eventstore.None))
			require.NoError(t, err)

			faster := begin(t, db)
			_, err = s.AppendTx(t.Context(), faster, one("a"))
			require.NoError(t, err)
			conn, err := pgx.Connect(t.Context(), db.URL)
			require.NoError(t, err)
			slower, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: c.isolation})
			require.NoError(t, err)
			_, err = slower.Exec(t.Context(), `SELECT 1 FROM rondo.schema_version LIMIT 1`) // its snapshot is from now
			require.NoError(t, err)
			lost := make(chan error)
			go func() {
				_, err := s.AppendTx(t.Context(), slower, expecting("a", c.expected))
				lost <- err
			}()
			waitForLock(t, db, conn.PgConn().PID())
			require.NoError(t, faster.Commit(t.Context()))
			c.check(t, <-lost)
			require.NoError(t, slower.Rollback(t.Context()))
		})
	}
}

// waitForLock waits until a session waits for a lock.
func waitForLock(t *testing.T, db *postgrestest.Database, pid uint32) {
	t.Helper()
	pool := db.Pool(t)
	require.Eventually(t, func() bool {
		var waits bool
		err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)`, pid).Scan(&waits)
		return err == nil && waits
	}, time.Minute, time.Millisecond)
}

func TestInTx(t *testing.T) {
	t.Parallel()
	db, s := withThings(t)
	insert := func(tx pgx.Tx, name string) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO things VALUES ($1)`, name)
		return err
	}
	require.NoError(t, s.InTx(t.Context(), func(tx pgx.Tx) error {
		_, err := s.AppendTx(t.Context(), tx, one("a"))
		return errors.Join(err, insert(tx, "x"))
	}))
	require.Equal(t, 1, things(t, db))
	require.Equal(t, 1, versions(t, s, "a"))

	refused := errors.New("refused")
	err := s.InTx(t.Context(), func(tx pgx.Tx) error {
		_, err := s.AppendTx(t.Context(), tx, one("a"))
		return errors.Join(err, insert(tx, "y"), refused)
	})
	require.ErrorIs(t, err, refused)
	require.PanicsWithValue(t, "no", func() {
		_ = s.InTx(t.Context(), func(tx pgx.Tx) error {
			_, err := s.AppendTx(t.Context(), tx, one("a"))
			require.NoError(t, errors.Join(err, insert(tx, "y")))
			panic("no")
		})
	})
	// A statement that failed fails the transaction, also if nobody says so.
	err = s.InTx(t.Context(), func(tx pgx.Tx) error {
		require.NoError(t, insert(tx, "z"))
		require.Error(t, insert(tx, "x"))
		return nil
	})
	require.ErrorIs(t, err, pgx.ErrTxCommitRollback)
	cancelled, cancel := context.WithCancel(t.Context())
	err = s.InTx(cancelled, func(tx pgx.Tx) error {
		_, err := s.AppendTx(cancelled, tx, one("a"))
		cancel()
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, things(t, db))
	require.Equal(t, 1, versions(t, s, "a"))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.InTx(t.Context(), func(pgx.Tx) error { return nil }), eventstore.ErrClosed)
}

func TestSaveCheckpointTx(t *testing.T) {
	t.Parallel()
	db, s := withThings(t)
	lease, err := s.AcquireLease(t.Context(), "mailer", "me", time.Minute)
	require.NoError(t, err)
	save := func(name string, position eventstore.Position) error {
		return s.InTx(t.Context(), func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `INSERT INTO things VALUES ($1)`, name); err != nil {
				return err
			}
			_, err := s.SaveCheckpointTx(t.Context(), tx, lease, position, time.Minute)
			return err
		})
	}
	require.NoError(t, save("a", 5))
	var input *eventstore.InputError
	require.ErrorAs(t, save("b", 4), &input)
	require.Equal(t, "checkpoint", input.Field)
	require.NoError(t, s.ResetCheckpoint(t.Context(), "mailer", 5))
	require.ErrorIs(t, save("c", 6), eventstore.ErrFenced)
	require.Equal(t, 1, things(t, db), "what was fenced has written nothing")
	l, found, err := s.LoadCheckpoint(t.Context(), "mailer")
	require.NoError(t, err)
	require.True(t, found)
	require.EqualValues(t, 5, l.Checkpoint)
}

func TestExample(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	_, err := db.Pool(t).Exec(t.Context(), `CREATE TABLE tickets (seat text)`)
	require.NoError(t, err)
	n, err := sell(t.Context(), db.URL)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = sell(t.Context(), db.URL)
	require.ErrorAs(t, err, new(*eventstore.ConflictError))
}
