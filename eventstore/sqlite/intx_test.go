package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// seats is a store whose file has a read model.
func seats(t *testing.T, c sqlite.Config) *sqlite.Store {
	t.Helper()
	s := open(t, file(t), c)
	require.NoError(t, s.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `CREATE TABLE seats (section TEXT PRIMARY KEY, held INTEGER NOT NULL) STRICT`)
		return err
	}))
	return s
}

func hold(ctx context.Context, tx *sql.Tx, section string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO seats VALUES (?, 1) ON CONFLICT DO UPDATE SET held = held + 1`, section)
	return err
}

// held is what another connection sees.
func held(t *testing.T, s *sqlite.Store) map[string]int {
	t.Helper()
	rows, err := raw(t, s.Path()).QueryContext(t.Context(), `SELECT section, held FROM seats`)
	require.NoError(t, err)
	all := map[string]int{}
	for rows.Next() {
		var section string
		var n int
		require.NoError(t, rows.Scan(&section, &n))
		all[section] = n
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	return all
}

func TestInTx(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	lease, err := s.AcquireLease(ctx, "seats", "me", time.Hour)
	require.NoError(t, err)
	var done []eventstore.Appended
	require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) (err error) {
		if err := hold(ctx, tx, "A"); err != nil {
			return err
		}
		if done, err = s.AppendTx(ctx, tx, one("seats-A", "held"), one("seats-B", "held")); err != nil {
			return err
		}
		if n := count(t, s); n != 0 {
			return fmt.Errorf("%d events are seen before the commit", n)
		}
		lease, err = s.SaveCheckpointTx(ctx, tx, lease, done[1].Position, time.Hour)
		return err
	}))
	require.Equal(t, map[string]int{"A": 1}, held(t, s))
	var all []eventstore.Recorded
	for e, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
		require.NoError(t, err)
		all = append(all, e)
	}
	require.Equal(t, append(done[0].Events, done[1].Events...), all)
	saved, found, err := s.LoadCheckpoint(ctx, "seats")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, lease, saved)
	require.Equal(t, done[1].Position, saved.Checkpoint)
}

func TestInTxRollsBack(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	sorry := errors.New("sorry")
	work := func(tx *sql.Tx) error {
		if err := hold(ctx, tx, "A"); err != nil {
			return err
		}
		_, err := s.AppendTx(ctx, tx, one("seats-A", "held"))
		return err
	}
	for name, c := range map[string]struct {
		f    func(tx *sql.Tx) error
		is   error
		says string
	}{
		"an error": {func(tx *sql.Tx) error { return errors.Join(work(tx), sorry) }, sorry, ""},
		"a failed statement": {func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO nowhere VALUES (1)`)
			return errors.Join(work(tx), err)
		}, nil, "no such table: nowhere"},
		"Rollback": {func(tx *sql.Tx) error { return errors.Join(work(tx), tx.Rollback()) }, nil, "ended by InTx alone"},
		"Rollback and an error": {func(tx *sql.Tx) error {
			return errors.Join(work(tx), tx.Rollback(), sorry)
		}, sorry, ""},
		"Commit": {func(tx *sql.Tx) error {
			err := work(tx)
			_ = tx.Commit() // is refused
			return err
		}, nil, "ended by InTx alone"},
		"COMMIT":              {func(tx *sql.Tx) error { return errors.Join(work(tx), run(ctx, tx, `COMMIT`)) }, nil, "not authorized"},
		"comment and END":     {func(tx *sql.Tx) error { return errors.Join(work(tx), run(ctx, tx, `/* */ end`)) }, nil, "not authorized"},
		"ROLLBACK":            {func(tx *sql.Tx) error { return errors.Join(work(tx), run(ctx, tx, `ROLLBACK`)) }, nil, "not authorized"},
		"BEGIN":               {func(tx *sql.Tx) error { return errors.Join(work(tx), run(ctx, tx, `BEGIN`)) }, nil, "not authorized"},
		"several statements":  {func(tx *sql.Tx) error { return errors.Join(work(tx), run(ctx, tx, `SELECT 1; COMMIT`)) }, nil, "not authorized"},
		"prepared statement":  {func(tx *sql.Tx) error { _, err := tx.PrepareContext(ctx, `COMMIT`); return errors.Join(work(tx), err) }, nil, "not authorized"},
		"the committer's own": {func(tx *sql.Tx) error { return errors.Join(work(tx), run(ctx, tx, `RELEASE rondo_tx`)) }, nil, "not authorized"},
		"its context": {func(tx *sql.Tx) error {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			return errors.Join(work(tx), run(ended, tx, `SELECT 1`))
		}, context.Canceled, ""},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share a store, to see what each leaves
			// With neighbours before and after, to whom it must not matter.
			release := occupied(t, s)
			before := held(t, s)["B"]
			var wg sync.WaitGroup
			var errs [4]error
			var failed error
			queue(s, &wg, func() { errs[0] = s.InTx(ctx, func(tx *sql.Tx) error { return hold(ctx, tx, "B") }) })
			queue(s, &wg, func() { _, errs[1] = s.Append(ctx, one("neighbour-1", "made")) })
			queue(s, &wg, func() { failed = s.InTx(ctx, c.f) })
			queue(s, &wg, func() { _, errs[2] = s.Append(ctx, one("neighbour-1", "made")) })
			queue(s, &wg, func() { errs[3] = s.InTx(ctx, func(tx *sql.Tx) error { return hold(ctx, tx, "B") }) })
			release()
			wg.Wait()
			require.Error(t, failed)
			require.ErrorContains(t, failed, c.says)
			if c.is != nil {
				require.ErrorIs(t, failed, c.is)
			}
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Equal(t, map[string]int{"B": before + 2}, held(t, s))
			for e, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
				require.NoError(t, err)
				require.Equal(t, "neighbour-1", e.Stream)
			}
		})
	}
}

func run(ctx context.Context, tx *sql.Tx, query string) error {
	_, err := tx.ExecContext(ctx, query)
	return err
}

// A panic, and the end of the goroutine, are the caller's, and the store goes on.
func TestInTxDoesNotReturn(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	release := occupied(t, s)
	var wg sync.WaitGroup
	var neighbour error
	queue(s, &wg, func() { _, neighbour = s.Append(ctx, one("neighbour-1", "made")) })
	queue(s, &wg, func() {
		defer func() {
			if recover() != "oh" {
				t.Error("the panic did not go on")
			}
		}()
		_ = s.InTx(ctx, func(tx *sql.Tx) error {
			if err := hold(ctx, tx, "A"); err != nil {
				return err
			}
			panic("oh")
		})
		t.Error("returned")
	})
	queue(s, &wg, func() {
		_ = s.InTx(ctx, func(tx *sql.Tx) error {
			if err := hold(ctx, tx, "A"); err != nil {
				return err
			}
			runtime.Goexit() // as t.FailNow does
			return nil
		})
		t.Error("returned")
	})
	release()
	wg.Wait()
	require.NoError(t, neighbour)
	require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error { return hold(ctx, tx, "B") }))
	require.Equal(t, map[string]int{"B": 1}, held(t, s))
}

// When what was committed together fails, functions are called again, but not
// those that are gone.
func TestInTxIsCalledAgain(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	release := occupied(t, s)
	var wg sync.WaitGroup
	var calls, gone int
	var errs [2]error
	queue(s, &wg, func() {
		_ = s.Probe().QueueFault(ctx, failing("INSERT INTO rondo_events", lib.SQLITE_FULL, 1))
	})
	queue(s, &wg, func() {
		errs[0] = s.InTx(ctx, func(tx *sql.Tx) error {
			calls++
			return hold(ctx, tx, "A")
		})
	})
	queue(s, &wg, func() {
		defer func() { _ = recover() }()
		_ = s.InTx(ctx, func(*sql.Tx) error {
			gone++
			panic("oh")
		})
	})
	queue(s, &wg, func() { _, errs[1] = s.Append(ctx, one("a-1", "made")) })
	release()
	wg.Wait()
	require.Equal(t, []int{2, 1}, []int{calls, gone})
	require.NoError(t, errors.Join(errs[:]...))
	require.Equal(t, map[string]int{"A": 1}, held(t, s))
	require.Equal(t, 1, count(t, s))
}

// A statement is not interrupted by its context: SQLite would roll back all of the
// transaction, also what is others'.
func TestInTxIsNotInterrupted(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	release := occupied(t, s)
	var wg sync.WaitGroup
	calls := 0
	var neighbour, failed error
	queue(s, &wg, func() {
		neighbour = s.InTx(t.Context(), func(tx *sql.Tx) error {
			calls++
			return hold(t.Context(), tx, "A")
		})
	})
	queue(s, &wg, func() {
		failed = s.InTx(t.Context(), func(tx *sql.Tx) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			err := run(ctx, tx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
				INSERT INTO seats SELECT 'row ' || i, 0 FROM n`)
			<-ctx.Done()
			return errors.Join(err, run(ctx, tx, `SELECT 1`))
		})
	})
	release()
	wg.Wait()
	require.NoError(t, neighbour)
	require.Equal(t, 1, calls)
	require.ErrorIs(t, failed, context.DeadlineExceeded)
	require.Equal(t, map[string]int{"A": 1}, held(t, s))
}

// SQLite may roll back all of a transaction by itself. A function that does not
// notice must not take that for success.
func TestInTxRolledBackBySQLite(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	unnoticed := func(tx *sql.Tx) error {
		if err := hold(ctx, tx, "A"); err != nil {
			return err
		}
		_, _ = tx.ExecContext(ctx, `INSERT OR ROLLBACK INTO seats VALUES ('A', 1)`)
		return nil
	}
	require.ErrorContains(t, s.InTx(ctx, unnoticed), "no such savepoint")
	require.Empty(t, held(t, s))

	release := occupied(t, s)
	var wg sync.WaitGroup
	var neighbours [2]error
	var failed error
	queue(s, &wg, func() { _, neighbours[0] = s.Append(ctx, one("a-1", "made")) })
	queue(s, &wg, func() { failed = s.InTx(ctx, unnoticed) })
	queue(s, &wg, func() { _, neighbours[1] = s.Append(ctx, one("a-1", "made")) })
	release()
	wg.Wait()
	require.Error(t, failed)
	require.NoError(t, errors.Join(neighbours[:]...))
	require.Equal(t, 2, count(t, s))
	require.Empty(t, held(t, s))
}

func TestAppendTxRefused(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	there, err := s.Append(ctx, one("a-1", "made"))
	require.NoError(t, err)
	again := one("b-1", "made")
	again.Events[0].ID = there[0].Events[0].ID
	late := one("a-1", "made")
	late.Expected = eventstore.None
	require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
		_, err := s.AppendTx(ctx, tx, one("b-1", "made"), late)
		require.Equal(t, &eventstore.ConflictError{Stream: "a-1", Expected: eventstore.None, Actual: 1}, err)
		_, err = s.AppendTx(ctx, tx, again)
		require.ErrorAs(t, err, new(*eventstore.DuplicateEventError))
		_, err = s.AppendTx(ctx, tx, eventstore.Write{})
		require.ErrorAs(t, err, new(*eventstore.InputError))
		_, err = s.AppendTx(eventstore.AllTenants(ctx), tx, one("b-1", "made"))
		require.ErrorIs(t, err, eventstore.ErrNoTenant)
		// The transaction goes on, and sees what it has done.
		done, err := s.AppendTx(ctx, tx, one("b-1", "made"))
		require.NoError(t, err)
		require.EqualValues(t, 1, done[0].Version)
		claim := &eventstore.Claim{Key: "k", Hash: []byte("h"), Result: []byte("r"), Until: time.Now().Add(time.Hour)}
		_, err = s.AppendTx(ctx, tx, eventstore.Write{Claim: claim}, one("b-1", "made"))
		require.NoError(t, err)
		_, err = s.AppendTx(ctx, tx, eventstore.Write{Claim: claim})
		var claimed *eventstore.ClaimedError
		require.ErrorAs(t, err, &claimed)
		require.Equal(t, "r", string(claimed.Claim.Result))
		return nil
	}))
	require.Equal(t, 3, count(t, s))
}

// An append in a transaction is all or nothing by itself, should a statement of
// it fail and the function go on.
func TestAppendTxFails(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	n := 0
	s.Probe().SetFault(func(query string) error {
		if query[:6] == "INSERT" {
			if n++; n == 3 {
				return driverError(lib.SQLITE_TOOBIG)
			}
		}
		return nil
	})
	require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
		_, err := s.AppendTx(ctx, tx, one("a-1", "made"))
		require.NoError(t, err)
		_, err = s.AppendTx(ctx, tx, one("b-1", "made"), one("c-1", "made"))
		require.ErrorContains(t, err, `append to "c-1"`)
		_, err = s.AppendTx(ctx, tx, one("d-1", "made"))
		return err
	}))
	var streams []string
	for e, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
		require.NoError(t, err)
		streams = append(streams, e.Stream)
	}
	require.Equal(t, []string{"a-1", "d-1"}, streams)
}

// A transaction of the application's own connection to the file.
func TestAppendTxOfAnotherConnection(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{PollInterval: time.Millisecond})
	ctx := t.Context()
	db := raw(t, s.Path()+"?_txlock=immediate&_pragma=busy_timeout(60000)")
	heard := subscribe(t, s)
	for i := range 3 {
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		require.NoError(t, hold(ctx, tx, "A"))
		done, err := s.AppendTx(ctx, tx, one("a-1", "made"))
		require.NoError(t, err)
		require.EqualValues(t, i+1, done[0].Version)
		require.NoError(t, tx.Commit())
		require.Equal(t, done[0].Position, (<-heard).Position)
		_, err = s.Append(ctx, one("b-1", "made"))
		require.NoError(t, err)
		<-heard
	}
	require.Equal(t, map[string]int{"A": 3}, held(t, s))
}

func TestSaveCheckpointTxFenced(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	stale, err := s.AcquireLease(ctx, "seats", "me", time.Hour)
	require.NoError(t, err)
	require.NoError(t, s.ReleaseLease(ctx, stale))
	lease, err := s.AcquireLease(ctx, "seats", "you", time.Hour)
	require.NoError(t, err)
	save := func(l eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) error {
		return s.InTx(ctx, func(tx *sql.Tx) error {
			if err := hold(ctx, tx, "A"); err != nil {
				return err
			}
			_, err := s.SaveCheckpointTx(ctx, tx, l, checkpoint, ttl)
			return err
		})
	}
	require.ErrorIs(t, save(stale, 7, time.Hour), eventstore.ErrFenced)
	require.Empty(t, held(t, s))
	require.NoError(t, save(lease, 7, time.Hour))
	require.ErrorAs(t, save(lease, 6, time.Hour), new(*eventstore.InputError))
	require.ErrorAs(t, save(lease, -1, time.Hour), new(*eventstore.InputError))
	require.ErrorAs(t, save(lease, 8, 0), new(*eventstore.InputError))
	require.ErrorAs(t, save(eventstore.Lease{}, 8, time.Hour), new(*eventstore.InputError))
	require.Equal(t, map[string]int{"A": 1}, held(t, s))
}

// Statements stay prepared between transactions. What is open is not given to
// another.
func TestStatementsAreShared(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{})
	ctx := t.Context()
	const query = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n`
	numbers := func(tx *sql.Tx, most int, each func(i int)) {
		rows, err := tx.QueryContext(ctx, query, most)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		types, err := rows.ColumnTypes()
		require.NoError(t, err)
		require.Len(t, types, 1)
		for rows.Next() {
			var i int
			require.NoError(t, rows.Scan(&i))
			each(i)
		}
		require.NoError(t, rows.Err())
	}
	for range 2 {
		require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
			var got []int
			numbers(tx, 3, func(i int) {
				numbers(tx, i, func(j int) { got = append(got, 10*i+j) })
			})
			require.Equal(t, []int{11, 21, 22, 31, 32, 33}, got)

			rows, err := tx.QueryContext(ctx, query, 100) // left open
			require.NoError(t, err)
			require.True(t, rows.Next())
			stmt, err := tx.PrepareContext(ctx, `INSERT INTO seats VALUES (?, 0) ON CONFLICT DO NOTHING`)
			require.NoError(t, err)
			_, err = stmt.ExecContext(ctx, "prepared")
			return err
		}))
		// More statements than stay prepared.
		require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
			for i := range 250 {
				var n int
				require.NoError(t, tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT %d`, i)).Scan(&n))
				require.Equal(t, i, n)
			}
			return nil
		}))
		// The schema changes under them.
		require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
			return errors.Join(run(ctx, tx, `DROP TABLE IF EXISTS other`), run(ctx, tx, `CREATE TABLE other (x)`), hold(ctx, tx, "A"))
		}))
	}
	require.Equal(t, map[string]int{"A": 2, "prepared": 0}, held(t, s))
}

// subscribe hands out what a subscription hears.
func subscribe(t *testing.T, s eventstore.Store) <-chan eventstore.Recorded {
	t.Helper()
	heard := make(chan eventstore.Recorded)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		for e, err := range s.Subscribe(eventstore.AllTenants(ctx), 0, eventstore.Filter{}) {
			if err != nil {
				return
			}
			select {
			case heard <- e:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return heard
}

// What a store commits wakes its subscriptions at once: here nobody else would.
func TestCommitsWakeSubscriptions(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{PollInterval: time.Hour})
	ctx := t.Context()
	heard := subscribe(t, s)
	for range 3 {
		done, err := s.Append(ctx, one("a-1", "made"))
		require.NoError(t, err)
		require.Equal(t, done[0].Events[0], <-heard)
		require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) (err error) {
			done, err = s.AppendTx(ctx, tx, one("a-1", "made"))
			return err
		}))
		require.Equal(t, done[0].Events[0], <-heard)
	}
}

func TestManyInTx(t *testing.T) {
	t.Parallel()
	s := seats(t, sqlite.Config{MaxBatch: 7})
	ctx := t.Context()
	const workers, each = 16, 20
	var wg sync.WaitGroup
	errs := make([]error, workers)
	sorry := errors.New("sorry")
	for i := range workers {
		wg.Go(func() {
			for k := range each {
				if k%2 == 0 {
					_, err := s.Append(ctx, one(fmt.Sprint("a-", i), "made"))
					errs[i] = errors.Join(errs[i], err)
					continue
				}
				err := s.InTx(ctx, func(tx *sql.Tx) error {
					if err := hold(ctx, tx, "A"); err != nil {
						return err
					}
					if _, err := s.AppendTx(ctx, tx, one("hot-1", "made")); err != nil {
						return err
					}
					if k%4 == 3 {
						return sorry
					}
					return nil
				})
				if k%4 == 3 && errors.Is(err, sorry) {
					err = nil
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, map[string]int{"A": workers * each / 4}, held(t, s))
	require.Equal(t, workers*each*3/4, count(t, s))
}
