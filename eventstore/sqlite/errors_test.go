package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// driverError is a failure as the driver tells it.
type driverError int

func (e driverError) Error() string { return fmt.Sprintf("result code %d", int(e)) }
func (e driverError) Code() int     { return int(e) }

// failing is a fault for statements that begin so, as often as times says.
func failing(prefix string, code, times int) func(query string) error {
	return func(query string) error {
		if times == 0 || !strings.HasPrefix(query, prefix) {
			return nil
		}
		times--
		return driverError(code)
	}
}

// occupied keeps the committer at work until it is released, so that what is
// appended meanwhile is committed together.
func occupied(t *testing.T, s *sqlite.Store) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.InTx(context.WithoutCancel(t.Context()), func(*sql.Tx) error {
			close(begun)
			<-end
			return nil
		}); err != nil {
			t.Errorf("the transaction that occupies the committer: %v", err)
		}
	})
	<-begun
	var once sync.Once
	release = func() { once.Do(func() { close(end); wg.Wait() }) }
	t.Cleanup(release)
	return release
}

// queue runs f and waits until it has queued something.
func queue(s *sqlite.Store, wg *sync.WaitGroup, f func()) {
	before := s.Probe().Queued()
	wg.Go(f)
	await(func() bool { return s.Probe().Queued() > before })
}

// await waits for what another goroutine will bring about.
func await(what func() bool) {
	for !what() {
		runtime.Gosched()
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path, sqlite.Config{})
	ctx := t.Context()
	_, err := s.Append(ctx, one("a-1", "made"))
	require.NoError(t, err)
	pages := func(n int) {
		t.Helper()
		require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
			var most int
			return tx.QueryRowContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(&most)
		}))
	}
	pages(1) // SQLite makes it as many as there are
	large := one("a-1", "made")
	large.Events[0].Data = make([]byte, 1<<20)
	_, err = s.Append(ctx, one("b-1", "made"), large)
	require.ErrorIs(t, err, sqlite.ErrFull)
	require.False(t, eventstore.Retryable(err))
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, `append to "a-1"`)

	// Together with a large one, small ones still find room.
	release := occupied(t, s)
	var wg sync.WaitGroup
	var small, big [4]error
	for i := range small {
		queue(s, &wg, func() { _, small[i] = s.Append(ctx, one("c-1", "made")) })
		queue(s, &wg, func() { _, big[i] = s.Append(ctx, large) })
	}
	release()
	wg.Wait()
	for i := range small {
		require.NoError(t, small[i])
		require.ErrorIs(t, big[i], sqlite.ErrFull)
	}
	require.Equal(t, 1+len(small), count(t, s))

	pages(1 << 30)
	done, err := s.Append(ctx, one("b-1", "made"), large)
	require.NoError(t, err, "the disk has room again")
	require.EqualValues(t, 2, done[1].Version)
}

func TestLockedFile(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path, sqlite.Config{BusyTimeout: time.Millisecond})
	ctx := t.Context()
	other := raw(t, path)
	execute(t, other, `BEGIN IMMEDIATE`)
	w := one("a-1", "made")
	w.Events[0].ID = uuid.New()
	_, err := s.Append(ctx, w)
	require.ErrorIs(t, err, sqlite.ErrLocked)
	require.True(t, eventstore.Retryable(err))
	require.ErrorIs(t, s.InTx(ctx, func(*sql.Tx) error { t.Error("called"); return nil }), sqlite.ErrLocked)
	require.Zero(t, count(t, s), "reads do not wait")
	execute(t, other, `COMMIT`)
	_, err = s.Append(ctx, w)
	require.NoError(t, err)
	require.Equal(t, 1, count(t, s))
}

// An append that waits for another process's lock can be given up, alone or in the
// queue, and what it would have written is not.
func TestGivingUpWhileLocked(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path, sqlite.Config{BusyTimeout: time.Hour})
	other := raw(t, path)
	execute(t, other, `BEGIN IMMEDIATE`)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	const appends = 3
	var errs [appends]error
	wg.Go(func() { _, errs[0] = s.Append(ctx, one("a-1", "made")) })
	await(s.Probe().Busy) // it is not in the queue, but waits for the lock itself
	for i := 1; i < appends; i++ {
		queue(s, &wg, func() { _, errs[i] = s.Append(ctx, one("a-1", "made")) })
	}
	var patient error
	queue(s, &wg, func() { _, patient = s.Append(t.Context(), one("b-1", "made")) })
	cancel()
	await(func() bool { return s.Probe().Queued() == 1 })
	execute(t, other, `COMMIT`)
	wg.Wait()
	for _, err := range errs {
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))
	}
	require.NoError(t, patient)
	require.Equal(t, 1, count(t, s))
}

func TestCorruptFile(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	w := eventstore.Write{Stream: "a-1", Expected: eventstore.Any, Events: make([]eventstore.Event, 1000)}
	for i := range w.Events {
		w.Events[i] = eventstore.Event{Type: "made", Data: make([]byte, 500)}
	}
	_, err = s.Append(t.Context(), w)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	const page = 4096
	for i := 20 * page; i < 60*page; i++ { // the header and the schema stay
		content[i] = 0xa5
	}
	require.NoError(t, os.WriteFile(path, content, 0o600))

	s = open(t, path, sqlite.Config{})
	var failed error
	for _, err := range s.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		failed = err
	}
	require.ErrorIs(t, failed, sqlite.ErrCorrupt)
	require.ErrorContains(t, failed, path)
	require.False(t, eventstore.Retryable(failed))
}

// Rows that were edited by hand.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, update, says string }{
		{"broken JSON", `UPDATE rondo_events SET meta = '{"actor": "zo' WHERE position = 2`, "column meta"},
		{"not an object", `UPDATE rondo_events SET meta = '7' WHERE position = 2`, "column meta"},
		{"short id", `UPDATE rondo_events SET id = x'0102' WHERE position = 2`, "column id has 2 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := file(t)
			s := open(t, path, sqlite.Config{})
			var third uuid.UUID
			for range 3 {
				done, err := s.Append(t.Context(), one("a-1", "made"))
				require.NoError(t, err)
				third = done[0].Events[0].ID
			}
			execute(t, raw(t, path), c.update)
			for name, events := range map[string]func(func(eventstore.Recorded, error) bool){
				"ReadStream": s.ReadStream(t.Context(), "a-1", 1),
				"ReadAll":    s.ReadAll(t.Context(), 0, eventstore.Filter{}),
				"Subscribe":  s.Subscribe(t.Context(), 0, eventstore.Filter{}),
			} {
				var failed error
				n := 0
				for e, err := range events {
					if failed = err; err == nil {
						n++
						require.EqualValues(t, 1, e.Version)
					}
				}
				require.Equal(t, 1, n, "%s: what comes before it is read", name)
				var data *eventstore.DataError
				require.ErrorAs(t, failed, &data, name)
				require.ErrorContains(t, failed, c.says, name)
				require.Equal(t, "a-1", data.Stream)
				require.EqualValues(t, 2, data.Version)
				require.EqualValues(t, 2, data.Position)
				require.Equal(t, "made", data.Type)
			}
			for e, err := range s.ReadStream(t.Context(), "a-1", 3) {
				require.NoError(t, err, "what comes after it can be read")
				require.Equal(t, third, e.ID)
			}
			found, err := s.Lookup(t.Context(), third)
			require.NoError(t, err)
			require.Len(t, found, 1)
		})
	}
	t.Run("subjects of a snapshot", func(t *testing.T) {
		t.Parallel()
		path := file(t)
		s := open(t, path, sqlite.Config{})
		_, err := s.Append(t.Context(), one("a-1", "made"))
		require.NoError(t, err)
		require.NoError(t, s.SaveSnapshot(t.Context(), eventstore.Snapshot{Stream: "a-1", Type: "s", Version: 1, Subjects: []string{"zoe"}}))
		execute(t, raw(t, path), `UPDATE rondo_snapshots SET subjects = '['`)
		_, found, err := s.LoadSnapshot(t.Context(), "a-1", "s")
		require.ErrorContains(t, err, "column subjects")
		require.False(t, found)
	})
	t.Run("a table that is gone", func(t *testing.T) {
		t.Parallel()
		path := file(t)
		s := open(t, path, sqlite.Config{})
		execute(t, raw(t, path), `DROP TABLE rondo_events`)
		_, err := s.Append(t.Context(), one("a-1", "made"))
		require.ErrorContains(t, err, "no such table: rondo_events")
		_, err = s.Head(t.Context())
		require.ErrorContains(t, err, "no such table: rondo_events")
	})
}

// When the disk fails while a commit is made, nobody can say what a reader will
// find after a crash.
func TestUnsureCommit(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	ctx := t.Context()
	s.Probe().SetFault(failing("COMMIT", lib.SQLITE_IOERR_FSYNC, -1)) // for ever, on this connection
	w := one("a-1", "made")
	_, err := s.Append(ctx, w, one("b-1", "made"))
	var unknown *eventstore.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	require.Len(t, unknown.IDs, 2)
	require.ErrorAs(t, err, new(*sqlite.Error))
	require.True(t, eventstore.Retryable(err))
	found, err := s.Lookup(ctx, unknown.IDs...)
	require.NoError(t, err)
	require.Empty(t, found)
	w.Events[0].ID = unknown.IDs[0]
	_, err = s.Append(ctx, w)
	require.NoError(t, err, "the store works again, on another connection")

	s.Probe().SetFault(failing("COMMIT", lib.SQLITE_IOERR_FSYNC, 1))
	err = s.InTx(ctx, func(tx *sql.Tx) error {
		_, err := s.AppendTx(ctx, tx, one("a-1", "made"))
		return err
	})
	require.ErrorAs(t, err, new(*sqlite.Error))
	require.False(t, eventstore.Retryable(err))

	// Who was refused because of what a neighbour would have written is asked
	// again: it was not written.
	release := occupied(t, s)
	var wg sync.WaitGroup
	queue(s, &wg, func() { _ = s.Probe().QueueFault(ctx, failing("COMMIT", lib.SQLITE_IOERR_FSYNC, 1)) }) // fails with the others
	var first, second error
	claim := &eventstore.Claim{Key: "k", Until: time.Now().Add(time.Hour)}
	queue(s, &wg, func() { _, first = s.Append(ctx, eventstore.Write{Claim: claim}) })
	queue(s, &wg, func() { _, second = s.Append(ctx, eventstore.Write{Claim: claim}) })
	release()
	wg.Wait()
	require.ErrorAs(t, first, new(*eventstore.UnknownOutcomeError))
	require.NoError(t, second)
}

func TestFailedCommit(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	ctx := t.Context()
	s.Probe().SetFault(failing("COMMIT", lib.SQLITE_FULL, 1))
	_, err := s.Append(ctx, one("a-1", "made"))
	require.ErrorIs(t, err, sqlite.ErrFull)
	require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))
	require.Zero(t, count(t, s))
	_, err = s.Append(ctx, one("a-1", "made"))
	require.NoError(t, err)
}

// A statement that fails rolls back everything it was committed with: the others
// are committed all the same.
func TestFailedStatementAmongOthers(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	ctx := t.Context()
	inserts := 0
	s.Probe().SetFault(func(query string) error {
		if !strings.HasPrefix(query, "INSERT INTO rondo_events") {
			return nil
		}
		if inserts++; inserts == 3 || inserts == 3+3 { // the third, and when it is tried alone
			return driverError(lib.SQLITE_TOOBIG)
		}
		return nil
	})
	const appends = 5
	var wg sync.WaitGroup
	var errs [appends]error
	release := occupied(t, s)
	for i := range appends {
		queue(s, &wg, func() { _, errs[i] = s.Append(ctx, one("b-1", fmt.Sprint("made", i))) })
	}
	release()
	wg.Wait()
	for i, err := range errs {
		if i == 2 {
			require.ErrorContains(t, err, "result code 18")
			continue
		}
		require.NoError(t, err)
	}
	var types []string
	for e, err := range s.ReadStream(ctx, "b-1", 1) {
		require.NoError(t, err)
		types = append(types, e.Type)
	}
	require.Equal(t, []string{"made0", "made1", "made3", "made4"}, types)
}

// An append whose context ends while it is being committed, which takes long, has
// an unknown outcome.
func TestUnknownOutcomeOfContext(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	release := occupied(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var err error
	queue(s, &wg, func() { _, err = s.Append(ctx, one("a-1", "made")) })
	begun, end := make(chan struct{}), make(chan struct{})
	var other sync.WaitGroup
	queue(s, &other, func() {
		if err := s.InTx(t.Context(), func(*sql.Tx) error {
			close(begun)
			<-end
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	release()
	<-begun // so the append has been done, and is not committed yet
	cancel()
	wg.Wait()
	close(end)
	other.Wait()
	var unknown *eventstore.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	require.ErrorIs(t, err, context.Canceled)
	found, err := s.Lookup(t.Context(), unknown.IDs...)
	require.NoError(t, err)
	require.Len(t, found, 1)
}

func TestWithdrawnWhileQueued(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	release := occupied(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var errs [4]error
	queue(s, &wg, func() { _, errs[0] = s.Append(ctx, one("a-1", "made")) })
	queue(s, &wg, func() {
		errs[1] = s.InTx(ctx, func(*sql.Tx) error { return errors.New("was called") })
	})
	queue(s, &wg, func() { errs[2] = s.DeleteSnapshot(ctx, "a-1", "s") })
	queue(s, &wg, func() { _, errs[3] = s.Append(t.Context(), one("b-1", "made")) })
	cancel()
	await(func() bool { return s.Probe().Queued() == 1 })
	release()
	wg.Wait()
	for _, err := range errs[:3] {
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorAs(t, err, new(*eventstore.UnknownOutcomeError))
	}
	require.NoError(t, errs[3])
	require.Equal(t, 1, count(t, s))
}

// Close commits what waits.
func TestCloseWhileAppending(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	release := occupied(t, s)
	var wg sync.WaitGroup
	var errs [3]error
	for i := range errs {
		queue(s, &wg, func() { _, errs[i] = s.Append(t.Context(), one("a-1", "made")) })
	}
	closed := make(chan error, 2)
	for range cap(closed) {
		go func() { closed <- s.Close() }()
	}
	await(s.Probe().Closing)
	_, err = s.Append(t.Context(), one("a-1", "made"))
	require.ErrorIs(t, err, eventstore.ErrClosed)
	release()
	wg.Wait()
	for range cap(closed) {
		require.NoError(t, <-closed)
	}
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.ErrorIs(t, s.InTx(t.Context(), func(*sql.Tx) error { return nil }), eventstore.ErrClosed)
	require.Equal(t, len(errs), count(t, open(t, path, sqlite.Config{})))
}
