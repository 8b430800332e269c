package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	events "github.com/seed57833328/rondo/eventstore/sqlite"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/processtest"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// The test binary is also another process that writes to a file.
const writerVariable = "RONDO_SAGA_SQLITE_WRITER"

func TestMain(m *testing.M) {
	path := os.Getenv(writerVariable)
	if path == "" {
		processtest.Main(m, processes)
	}
	if err := both(context.Background(), path, strconv.Itoa(os.Getpid())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// writes is how many events and decisions one process writes, in both.
const writes = 50

// both opens an event store and a home on one file and writes to both at once.
func both(ctx context.Context, path, name string) error {
	log, err := events.Open(ctx, path, events.Config{BusyTimeout: time.Minute})
	if err != nil {
		return err
	}
	home, err := sqlite.Open(ctx, path, sqlite.Config{BusyTimeout: time.Minute})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	var group sync.WaitGroup
	errs := make([]error, 2)
	group.Go(func() {
		for range writes {
			_, err := log.Append(ctx, eventstore.Write{Stream: "all-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "made", Data: []byte(`{}`)}}})
			errs[0] = errors.Join(errs[0], err)
		}
	})
	group.Go(func() {
		for n := range writes {
			verdicts, err := home.Commit(ctx, []saga.Change{change(Reservation.ID(name), int64(n+1))})
			if err == nil && verdicts[0] != saga.Committed {
				err = fmt.Errorf("decision %d: %s", n, verdicts[0])
			}
			errs[1] = errors.Join(errs[1], err)
		}
	})
	group.Wait()
	return errors.Join(append(errs, home.Close(), log.Close())...)
}

// An event store and a home of sagas live in one file, opened in any order, by
// several processes that write at once.
func TestOneFileWithAnEventStore(t *testing.T) {
	t.Parallel()
	const others = 2
	path := file(t)
	self, err := os.Executable()
	require.NoError(t, err)
	var children []*exec.Cmd
	for range others {
		c := exec.CommandContext(t.Context(), self) //nolint:gosec // it is this program
		c.Env = append(os.Environ(), writerVariable+"="+path)
		c.Stderr = os.Stderr
		require.NoError(t, c.Start())
		children = append(children, c)
	}
	require.NoError(t, both(t.Context(), path, "here"))
	for _, c := range children {
		require.NoError(t, c.Wait())
	}
	home := open(t, path, sqlite.Config{}) // the other way round
	log, err := events.Open(t.Context(), path, events.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	head, err := log.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, (others+1)*writes, head)
	records, err := home.List(t.Context(), saga.Query{})
	require.NoError(t, err)
	require.Len(t, records, others+1)
	for i := range records {
		require.EqualValues(t, writes, records[i].Sequence)
	}
}

func TestHomeFirstThenEventStore(t *testing.T) {
	t.Parallel()
	home := open(t, file(t), sqlite.Config{})
	log, err := events.Open(t.Context(), home.Path(), events.Config{})
	require.NoError(t, err, "tables of sagas are not taken for another application's")
	require.NoError(t, log.Close())
}

// raw is a database handle on a file, of somebody else.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func execute(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), text)
	require.NoError(t, err, text)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make   func(t *testing.T, path string)
		config sqlite.Config
		is     error
		says   string
	}{
		"not a database": {func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path, []byte("this is a text, and long enough to be looked at as a header of a database is, which has a hundred bytes."), 0o600))
		}, sqlite.Config{}, sqlite.ErrNotDatabase, "not an SQLite database"},
		"tables that are none of ours": {func(t *testing.T, path string) {
			t.Helper()
			execute(t, raw(t, path), `CREATE TABLE rondo_sagas (a)`)
		}, sqlite.Config{}, sqlite.ErrOtherApplication, "rondo_sagas"},
		"another application": {func(t *testing.T, path string) {
			t.Helper()
			execute(t, raw(t, path), `PRAGMA application_id = 66`)
		}, sqlite.Config{}, sqlite.ErrOtherApplication, "0x42"},
		"nothing to read": {func(*testing.T, string) {}, sqlite.Config{ReadOnly: true}, fs.ErrNotExist, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t)
			c.make(t, path)
			_, err := sqlite.Open(t.Context(), path, c.config)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "saga store")
		})
	}
	for path, config := range map[string]sqlite.Config{
		"": {}, ":memory:": {}, t.TempDir(): {},
		file(t): {BusyTimeout: -1}, file(t) + "2": {Durability: 2}, file(t) + "3": {Readers: -1},
		file(t) + "4": {PollInterval: -1}, file(t) + "5": {MaxBatch: -1},
	} {
		_, err := sqlite.Open(t.Context(), path, config)
		var input *eventstore.InputError
		require.ErrorAs(t, err, &input, "%q %+v", path, config)
	}
}

func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(sqlite.Migrations, "migrations/*.sql")
	require.NoError(t, err)
	require.Len(t, files, sqlite.KnownVersion)

	path := file(t)
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db := raw(t, path)
	execute(t, db, fmt.Sprintf(`INSERT INTO rondo_saga_schema_version (version_id, is_applied) VALUES (%d, 1)`, sqlite.KnownVersion+1))
	for _, config := range []sqlite.Config{{}, {ReadOnly: true}} {
		_, err = sqlite.Open(t.Context(), path, config)
		var schema *sqlite.SchemaError
		require.ErrorAs(t, err, &schema)
		require.Equal(t, sqlite.SchemaError{Store: "saga store", Path: path, Found: sqlite.KnownVersion + 1, Known: sqlite.KnownVersion}, *schema)
		require.ErrorContains(t, err, "is newer than this program")
	}
}

// What stood as paused in a file of the first version is where the log begins.
func TestPausesOfAnOlderFile(t *testing.T) {
	t.Parallel()
	path := file(t)
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	db := raw(t, path)
	execute(t, db, `DROP TABLE rondo_saga_pause_log`)
	execute(t, db, `ALTER TABLE rondo_saga_pauses DROP COLUMN worker`)
	execute(t, db, `DELETE FROM rondo_saga_schema_version WHERE version_id = 2`)
	execute(t, db, `INSERT INTO rondo_saga_pauses (type, paused, actor, reason, at) VALUES ('order', 1, 'ada', 'night', 2), ('refund', 0, 'bob', 'day', 1)`)
	require.NoError(t, db.Close())
	log, err := open(t, path, sqlite.Config{}).PauseLog(t.Context(), "", 0, 10)
	require.NoError(t, err)
	require.Equal(t, []saga.PauseEntry{
		{Number: 2, Pause: saga.Pause{Type: "order", Paused: true, Actor: "ada", Reason: "night", At: time.UnixMicro(2).UTC()}},
		{Number: 1, Pause: saga.Pause{Type: "refund", Actor: "bob", Reason: "day", At: time.UnixMicro(1).UTC()}},
	}, log)
}

// A commit waits until the disk has it, unless it is said not to.
func TestDurability(t *testing.T) {
	t.Parallel()
	for durability, want := range map[sqlite.Durability]int{sqlite.Config{}.Durability: 2, sqlite.Normal: 1} {
		s := open(t, file(t), sqlite.Config{Durability: durability})
		var synchronous, full int
		var journal string
		require.NoError(t, s.InTx(t.Context(), func(tx *sql.Tx) error {
			return errors.Join(
				tx.QueryRowContext(t.Context(), `PRAGMA synchronous`).Scan(&synchronous),
				tx.QueryRowContext(t.Context(), `PRAGMA fullfsync`).Scan(&full),
				tx.QueryRowContext(t.Context(), `PRAGMA journal_mode`).Scan(&journal))
		}))
		require.Equal(t, want, synchronous)
		require.Equal(t, want-1, full)
		require.Equal(t, "wal", journal)
	}
}

// A home that is opened for reading alone sees what others write, and writes
// nothing.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	r := open(t, s.Path(), sqlite.Config{ReadOnly: true})
	ctx := t.Context()
	id := Reservation.ID("a")
	_, err := s.Commit(ctx, []saga.Change{change(id, 1)})
	require.NoError(t, err)
	record, found, err := r.Load(ctx, id)
	require.NoError(t, err)
	require.True(t, found)
	require.EqualValues(t, 1, record.Sequence)
	w := saga.Worker{ID: "w"}
	for name, write := range map[string]func() error{
		"Commit":  func() error { _, err := r.Commit(ctx, []saga.Change{change(id, 2)}); return err },
		"Purge":   func() error { _, err := r.Purge(ctx, time.Now(), 1); return err },
		"Post":    func() error { return r.Post(ctx, saga.Message{To: id, ID: "m", Kind: saga.SignalMessage}) },
		"Discard": func() error { return r.Discard(ctx, []int64{1}) },
		"Join":    func() error { _, err := r.Join(ctx, w, time.Minute); return err },
		"Beat":    func() error { _, err := r.Beat(ctx, w, time.Minute); return err },
		"Claim":   func() error { _, err := r.Claim(ctx, w, nil); return err },
		"Release": func() error { return r.Release(ctx, w, nil) },
		"Leave":   func() error { return r.Leave(ctx, w) },
		"Pause":   func() error { return r.SetPaused(ctx, saga.Pause{Type: "order"}) },
		"InTx":    func() error { return r.InTx(ctx, func(*sql.Tx) error { panic("called") }) },
	} {
		require.ErrorIs(t, write(), sqlite.ErrReadOnly, name)
	}
	_, err = sqlite.Open(ctx, filepath.Join(t.TempDir(), "none"), sqlite.Config{ReadOnly: true})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
