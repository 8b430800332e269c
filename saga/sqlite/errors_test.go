package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sqlite"
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

// occupied keeps the committer at work until it is released, so that what comes
// meanwhile is committed together.
func occupied(t *testing.T, s *sqlite.Store) (release func()) {
	t.Helper()
	begun, end := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
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
	release = func() { once.Do(func() { close(end); group.Wait() }) }
	t.Cleanup(release)
	return release
}

// queue runs f and waits until it has queued something.
func queue(s *sqlite.Store, group *sync.WaitGroup, f func()) {
	before := s.Probe().Queued()
	group.Go(f)
	for s.Probe().Queued() == before {
		runtime.Gosched()
	}
}

func sequence(t *testing.T, s *sqlite.Store, id saga.ID) int64 {
	t.Helper()
	r, _, err := s.Load(t.Context(), id)
	require.NoError(t, err)
	return r.Sequence
}

// Calls that wait are committed in one transaction, and each has its verdicts.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	ctx := t.Context()
	taken := Reservation.ID("taken")
	_, err := s.Commit(ctx, []saga.Change{change(taken, 1)})
	require.NoError(t, err)
	var commits atomic.Int32
	s.Probe().SetFault(func(query string) error {
		if query == "COMMIT" {
			commits.Add(1)
		}
		return nil
	})
	release := occupied(t, s)
	const calls = 10
	var verdicts [calls][]saga.Verdict
	var errs [calls]error
	var posted error
	var group sync.WaitGroup
	for i := range calls {
		fenced := change(Reservation.ID(fmt.Sprint("fenced", i)), 1)
		fenced.Epoch = 5
		changes := []saga.Change{change(Reservation.ID(fmt.Sprint(i)), 1), change(taken, 1), fenced}
		queue(s, &group, func() { verdicts[i], errs[i] = s.Commit(ctx, changes) })
	}
	queue(s, &group, func() { posted = s.Post(ctx, saga.Message{To: Reservation.ID("0"), ID: "m", Kind: saga.SignalMessage}) })
	var refused error
	queue(s, &group, func() {
		refused = s.Post(ctx, saga.Message{To: Reservation.ID("none"), ID: "m", Kind: saga.SignalMessage})
	})
	release()
	group.Wait()
	for i := range calls {
		require.NoError(t, errs[i])
		require.Equal(t, []saga.Verdict{saga.Committed, saga.Conflict, saga.Fenced}, verdicts[i])
	}
	require.NoError(t, posted, "to a saga of the same transaction")
	require.ErrorIs(t, refused, saga.ErrNotFound)
	require.EqualValues(t, 2, commits.Load(), "that which was waited for, and one")
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	ctx := t.Context()
	pages := func(n int) {
		t.Helper()
		require.NoError(t, s.InTx(ctx, func(tx *sql.Tx) error {
			var most int
			return tx.QueryRowContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, n)).Scan(&most)
		}))
	}
	pages(1) // SQLite makes it as many as there are
	large := change(Reservation.ID("large"), 1)
	large.Record.State = make([]byte, 1<<20)
	_, err := s.Commit(ctx, []saga.Change{large})
	require.ErrorIs(t, err, sqlite.ErrFull)
	require.False(t, eventstore.Retryable(err))
	require.ErrorContains(t, err, s.Path())
	require.ErrorContains(t, err, `commit "reservation/large"`)

	// Together with a large one, a small one still finds room.
	release := occupied(t, s)
	var group sync.WaitGroup
	var small, big error
	queue(s, &group, func() { _, small = s.Commit(ctx, []saga.Change{change(Reservation.ID("small"), 1)}) })
	queue(s, &group, func() { _, big = s.Commit(ctx, []saga.Change{large}) })
	release()
	group.Wait()
	require.NoError(t, small)
	require.ErrorIs(t, big, sqlite.ErrFull)
	require.EqualValues(t, 1, sequence(t, s, Reservation.ID("small")))
	require.Zero(t, sequence(t, s, large.Record.ID))

	pages(1 << 30)
	_, err = s.Commit(ctx, []saga.Change{large})
	require.NoError(t, err, "the disk has room again")
}

func TestLockedFile(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{BusyTimeout: time.Millisecond})
	other := raw(t, s.Path())
	execute(t, other, `BEGIN IMMEDIATE`)
	_, err := s.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
	require.ErrorIs(t, err, sqlite.ErrLocked)
	require.True(t, eventstore.Retryable(err))
	require.Zero(t, sequence(t, s, Reservation.ID("a")), "reads do not wait")
	execute(t, other, `COMMIT`)
	_, err = s.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
	require.NoError(t, err)
}

// A call that waits for its turn can be given up, and then nothing is written.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	release := occupied(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var err error
	queue(s, &group, func() { _, err = s.Commit(ctx, []saga.Change{change(Reservation.ID("a"), 1)}) })
	cancel()
	group.Wait() // it does not wait for the committer
	require.ErrorIs(t, err, context.Canceled)
	release()
	require.NoError(t, s.InTx(t.Context(), func(*sql.Tx) error { return nil }))
	require.Zero(t, sequence(t, s, Reservation.ID("a")))
}

// When the disk fails while a commit is made, it is not known what of it there is:
// the record tells.
func TestUnsureCommit(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	s.Probe().SetFault(failing("COMMIT", lib.SQLITE_IOERR_FSYNC, -1)) // for ever, on this connection
	c := change(Reservation.ID("a"), 1)
	_, err := s.Commit(t.Context(), []saga.Change{c})
	require.ErrorAs(t, err, new(*sqlite.Error))
	_, found, err := s.Load(t.Context(), c.Record.ID)
	require.NoError(t, err)
	require.False(t, found)
	verdicts, err := s.Commit(t.Context(), []saga.Change{c})
	require.NoError(t, err, "it has another connection")
	require.Equal(t, []saga.Verdict{saga.Committed}, verdicts)
}

// A statement that fails rolls back what it was committed with; the others are made
// after all.
func TestFailureInABatch(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	release := occupied(t, s)
	var group sync.WaitGroup
	var errs [6]error
	for i := range errs {
		queue(s, &group, func() { _, errs[i] = s.Commit(t.Context(), []saga.Change{change(Reservation.ID(fmt.Sprint(i)), 1)}) })
	}
	queue(s, &group, func() {
		_ = s.Probe().QueueFault(t.Context(), failing("COMMIT", lib.SQLITE_FULL, 1)) // of the batch, of which it is the last
	})
	release()
	group.Wait()
	for i, err := range errs {
		require.NoError(t, err)
		require.EqualValues(t, 1, sequence(t, s, Reservation.ID(fmt.Sprint(i))))
	}
}

// A record that was damaged by hand is an error that names the saga.
func TestDamagedRow(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	_, err := s.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
	require.NoError(t, err)
	execute(t, raw(t, s.Path()), `UPDATE rondo_sagas SET commit_id = x'0102'`)
	_, _, err = s.Load(t.Context(), Reservation.ID("a"))
	require.ErrorContains(t, err, `saga "reservation/a": column commit_id has 2 bytes, want 16`)
}

// What another home, of another process perhaps, brings is told too.
func TestWakeByOthers(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{PollInterval: time.Millisecond})
	other := open(t, s.Path(), sqlite.Config{})
	_, err := other.Commit(t.Context(), []saga.Change{change(Reservation.ID("a"), 1)})
	require.NoError(t, err)
	w, err := other.Join(t.Context(), saga.Worker{ID: "w", Types: []string{"reservation"}}, time.Minute)
	require.NoError(t, err)
	wake := s.Wake(t.Context())
	<-wake // of what was there before: each look that finds something else tells once
	for name, bring := range map[string]func() error{
		"a message": func() error {
			return other.Post(t.Context(), saga.Message{To: Reservation.ID("a"), ID: "m", Kind: saga.SignalMessage})
		},
		"a worker": func() error { _, err := other.Join(t.Context(), w, time.Minute); return err },
		"a pause": func() error {
			return other.SetPaused(t.Context(), saga.Pause{Type: "reservation", Paused: true, At: time.Now()})
		},
	} {
		require.NoError(t, bring(), name)
		<-wake
	}
}
