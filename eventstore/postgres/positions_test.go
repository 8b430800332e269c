package postgres_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// briefly is long enough for what is wrong to show, and short enough to wait for
// what must not come.
const briefly = 100 * time.Millisecond

// one is a write of one event, whatever version the stream has.
func one(stream string) eventstore.Write { return expecting(stream, eventstore.Any) }

func expecting(stream string, expected eventstore.Expected) eventstore.Write {
	return eventstore.Write{
		Stream: stream, Expected: expected,
		Events: []eventstore.Event{{ID: uuid.Must(uuid.NewV7()), Type: "held", Data: []byte(`{}`)}},
	}
}

// begin begins a transaction that is rolled back at the end if it still is there.
func begin(t *testing.T, db *postgrestest.Database) pgx.Tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	return tx
}

// subscription hands out what one delivers, with a pull.
type subscription struct {
	t    *testing.T
	next func() (eventstore.Recorded, error, bool)
}

func subscribe(ctx context.Context, t *testing.T, s *postgres.Store, after eventstore.Position) *subscription {
	t.Helper()
	events := make(chan eventstore.Recorded)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range s.Subscribe(ctx, after, eventstore.Filter{}) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case events <- e:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return &subscription{t: t, next: func() (eventstore.Recorded, error, bool) {
		select {
		case e := <-events:
			return e, nil, true
		case err := <-failed:
			return eventstore.Recorded{}, err, true
		case <-time.After(time.Minute):
			return eventstore.Recorded{}, nil, false
		}
	}}
}

func (s *subscription) want(position eventstore.Position) {
	s.t.Helper()
	e, err, came := s.next()
	require.True(s.t, came, "the subscription delivers position %d", position)
	require.NoError(s.t, err)
	require.Equal(s.t, position, e.Position)
}

func positions(t *testing.T, events iter.Seq2[eventstore.Recorded, error]) []eventstore.Position {
	t.Helper()
	var got []eventstore.Position
	for e, err := range events {
		require.NoError(t, err)
		got = append(got, e.Position)
	}
	return got
}

func TestNothingIsReadPastAnAppendInFlight(t *testing.T) {
	t.Parallel()
	for name, commit := range map[string]bool{"committed": true, "rolled back": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := postgrestest.New(t)
			s := open(t, db, postgres.Config{})
			before, err := s.Append(t.Context(), one("a"))
			require.NoError(t, err)
			tx := begin(t, db)
			held, err := s.AppendTx(t.Context(), tx, one("b"))
			require.NoError(t, err)
			after, err := s.Append(t.Context(), one("c"))
			require.NoError(t, err)
			require.Greater(t, after[0].Position, held[0].Position)

			// It was committed, but what stands before it may still come.
			short, cancel := context.WithTimeout(t.Context(), briefly)
			defer cancel()
			_, err = s.Head(short)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			// ReadAll delivers what stands before, and waits with the rest.
			reading, stop := context.WithCancel(t.Context())
			defer stop()
			var got []eventstore.Position
			var ended error
			for e, err := range s.ReadAll(reading, 0, eventstore.Filter{}) {
				if err != nil {
					ended = err
					break
				}
				got = append(got, e.Position)
				time.AfterFunc(briefly, stop)
			}
			require.ErrorIs(t, ended, context.Canceled)
			require.Equal(t, []eventstore.Position{before[0].Position}, got)
			sub := subscribe(t.Context(), t, s, 0)
			sub.want(before[0].Position)

			want := []eventstore.Position{before[0].Position}
			if commit {
				require.NoError(t, tx.Commit(t.Context()))
				want = append(want, held[0].Position)
			} else {
				require.NoError(t, tx.Rollback(t.Context()))
			}
			want = append(want, after[0].Position)
			for _, p := range want[1:] {
				sub.want(p)
			}
			head, err := s.Head(t.Context())
			require.NoError(t, err)
			require.Equal(t, after[0].Position, head)
			require.Equal(t, want, positions(t, s.ReadAll(t.Context(), 0, eventstore.Filter{})))
		})
	}
}

func TestOthersDelayNothing(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{Settings: map[string]string{"max_prepared_transactions": "2"}})
	db, other := server.NewDatabase(t), server.NewDatabase(t)
	s := open(t, db, postgres.Config{PollInterval: time.Hour})
	db.Exec(t, `CREATE TABLE things (id int)`)
	db.Exec(t, `GRANT ALL ON things TO `+db.Name)
	other.Exec(t, `CREATE TABLE things (id int)`)
	other.Exec(t, `GRANT ALL ON things TO `+other.Name)

	// Transactions that have written and stay open, here and elsewhere; locks of
	// somebody else's; positions that were drawn and never used.
	for _, c := range []struct {
		db  *postgrestest.Database
		sql string
	}{
		{db, `INSERT INTO things VALUES (1)`},
		{other, `INSERT INTO things VALUES (1)`},
		{db, `SELECT pg_advisory_xact_lock_shared(1)`},
		{db, `SELECT pg_advisory_xact_lock(29295::bigint << 48)`},
		{db, `SELECT pg_advisory_xact_lock_shared(29295 << 16, 0)`},
		{other, `SELECT pg_advisory_xact_lock_shared(29295::bigint << 48)`},
		{db, `SELECT nextval('rondo.position')`},
		{db, `SELECT count(*) FROM rondo.events`},
	} {
		_, err := begin(t, c.db).Exec(t.Context(), c.sql)
		require.NoError(t, err, c.sql)
	}
	sub := subscribe(t.Context(), t, s, 0)
	soon, cancel := context.WithTimeout(t.Context(), waitAtMost)
	defer cancel()
	for range 3 {
		done, err := s.Append(t.Context(), one("a"))
		require.NoError(t, err)
		head, err := s.Head(soon)
		require.NoError(t, err)
		require.Equal(t, done[0].Position, head)
		sub.want(done[0].Position)
	}
}

func TestPreparedTransactionIsInFlight(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{Settings: map[string]string{"max_prepared_transactions": "2"}})
	db := server.NewDatabase(t)
	s := open(t, db, postgres.Config{})
	tx := begin(t, db)
	held, err := s.AppendTx(t.Context(), tx, one("a"))
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `PREPARE TRANSACTION 'rondo'`)
	require.NoError(t, err)
	after, err := s.Append(t.Context(), one("b"))
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), briefly)
	defer cancel()
	_, err = s.Head(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	server.Restart(t, postgrestest.Immediate)
	_, err = db.Pool(t).Exec(t.Context(), `COMMIT PREPARED 'rondo'`)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		head, err := s.Head(t.Context())
		return err == nil && head == after[0].Position
	}, time.Minute, time.Millisecond)
	require.Equal(t, []eventstore.Position{held[0].Position, after[0].Position}, positions(t, s.ReadAll(t.Context(), 0, eventstore.Filter{})))
}

func TestOneLockForATransaction(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	tx := begin(t, db)
	for range 50 {
		_, err := s.AppendTx(t.Context(), tx, one("a"))
		require.NoError(t, err)
	}
	var locks int
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`).Scan(&locks))
	require.Equal(t, 1, locks)
}

func TestRolledBackSavepointIsNotInFlight(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	tx := begin(t, db)
	savepoint, err := tx.Begin(t.Context())
	require.NoError(t, err)
	_, err = s.AppendTx(t.Context(), savepoint, one("a"))
	require.NoError(t, err)
	require.NoError(t, savepoint.Rollback(t.Context()))
	done, err := s.Append(t.Context(), one("b"))
	require.NoError(t, err)
	head, err := s.Head(t.Context())
	require.NoError(t, err, "the transaction has nothing in flight any more")
	require.Equal(t, done[0].Position, head)

	// If it appends again, it has.
	held, err := s.AppendTx(t.Context(), tx, one("a"))
	require.NoError(t, err)
	_, err = s.Append(t.Context(), one("b"))
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), briefly)
	defer cancel()
	_, err = s.Head(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, tx.Commit(t.Context()))
	require.Contains(t, positions(t, s.ReadAll(t.Context(), 0, eventstore.Filter{})), held[0].Position)
}

// A position that nobody committed is drawn again after a crash, if the log of it
// was not written. So no reader may ever be told of it.
func TestHeadIsThePositionOfAnEvent(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db, postgres.Config{})
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head)
	done, err := s.Append(t.Context(), one("a"))
	require.NoError(t, err)
	for range 3 {
		tx := begin(t, db)
		_, err := s.AppendTx(t.Context(), tx, one("b"))
		require.NoError(t, err)
		require.NoError(t, tx.Rollback(t.Context()))
	}
	head, err = s.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, done[0].Position, head)
}

func TestPositionsSurviveDumpAndRestore(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Config{})
	db := server.NewDatabase(t)
	s := open(t, db, postgres.Config{})
	for range 5 {
		_, err := s.Append(t.Context(), one("a"), one("b"))
		require.NoError(t, err)
	}
	want := positions(t, s.ReadAll(t.Context(), 0, eventstore.Filter{}))
	restored := open(t, restore(t, server, db), postgres.Config{})
	require.Equal(t, want, positions(t, restored.ReadAll(t.Context(), 0, eventstore.Filter{})))
	done, err := restored.Append(t.Context(), one("a"))
	require.NoError(t, err)
	require.EqualValues(t, 6, done[0].Version)
	require.Greater(t, done[0].Position, want[len(want)-1])
	head, err := restored.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, done[0].Position, head)
}
