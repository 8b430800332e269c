package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// raw opens the file as another program does.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.SetMaxOpenConns(1)
	return db
}

func execute(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// make makes a file with one event, and closes it.
func makeFile(t testing.TB, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
	require.NoError(t, err)
	_, err = s.Append(t.Context(), one("a-1", "made"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func count(t testing.TB, s eventstore.Store) int {
	t.Helper()
	n := 0
	for _, err := range s.ReadAll(eventstore.AllTenants(t.Context()), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		name, path string
		config     sqlite.Config
		field      string // of an InputError
		is         error
		says       string
	}{
		{"no path", "", sqlite.Config{}, "path", nil, "a file"},
		{"memory", ":memory:", sqlite.Config{}, "path", nil, "eventstore/memory"},
		{"URI", "file:x.db", sqlite.Config{}, "path", nil, "not a URI"},
		{"zero byte", dir + "/a\x00b", sqlite.Config{}, "path", nil, "zero byte"},
		{"directory", dir, sqlite.Config{}, "path", nil, "directory"},
		{"device", os.DevNull, sqlite.Config{}, "path", nil, "not of a device"},
		{"no directory", filepath.Join(dir, "none", "x.db"), sqlite.Config{}, "", fs.ErrNotExist, "none"},
		{"read-only, not there", filepath.Join(dir, "x.db"), sqlite.Config{ReadOnly: true}, "", fs.ErrNotExist, "x.db"},
		{"durability", filepath.Join(dir, "x.db"), sqlite.Config{Durability: 2}, "Config.Durability", nil, "Full or Normal"},
		{"busy timeout", filepath.Join(dir, "x.db"), sqlite.Config{BusyTimeout: -1}, "Config.BusyTimeout", nil, "-1ns"},
		{"poll interval", filepath.Join(dir, "x.db"), sqlite.Config{PollInterval: -1}, "Config.PollInterval", nil, "-1ns"},
		{"readers", filepath.Join(dir, "x.db"), sqlite.Config{Readers: -1}, "Config.Readers", nil, "-1"},
		{"batch", filepath.Join(dir, "x.db"), sqlite.Config{MaxBatch: -1}, "Config.MaxBatch", nil, "-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sqlite.Open(t.Context(), c.path, c.config)
			require.ErrorContains(t, err, c.says)
			if c.field != "" {
				var input *eventstore.InputError
				require.ErrorAs(t, err, &input)
				require.Equal(t, c.field, input.Field)
			}
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			if c.path != os.DevNull {
				require.NoFileExists(t, c.path)
			}
		})
	}
	t.Run("context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := sqlite.Open(ctx, file(t), sqlite.Config{})
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestOpenOddNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"with space.db", "a?mode=memory", "50%.db", "%20", "a#b", "quote'\".db", "日本.db", "a&b=c+d;e", "-", "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			makeFile(t, path)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 1, "one file is left of a store that is closed")
			require.Equal(t, name, entries[0].Name())
			s := open(t, path, sqlite.Config{})
			require.Equal(t, path, s.Path())
			require.Equal(t, 1, count(t, s))
			require.Equal(t, 1, count(t, open(t, path, sqlite.Config{ReadOnly: true})))
		})
	}
}

func TestOpenRelativePath(t *testing.T) { // not parallel: it changes the working directory
	t.Chdir(t.TempDir())
	makeFile(t, "events.db")
	require.FileExists(t, "events.db")
}

func TestOpenOtherFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		kind error
		says string
	}{
		{"text", func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 1000)), 0o600))
		}, sqlite.ErrNotDatabase, "not an SQLite database"},
		{"short text", func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path, []byte("hello"), 0o600))
		}, sqlite.ErrNotDatabase, "not an SQLite database"},
		{"another application", func(t *testing.T, path string) {
			t.Helper()
			execute(t, raw(t, path), `PRAGMA application_id = 0x42; CREATE TABLE bookmarks (url TEXT)`)
		}, sqlite.ErrOtherApplication, "0x42"},
		{"tables in the way", func(t *testing.T, path string) {
			t.Helper()
			execute(t, raw(t, path), `CREATE TABLE rondo_events (x)`)
		}, sqlite.ErrOtherApplication, "rondo_events"},
		{"view in the way", func(t *testing.T, path string) {
			t.Helper()
			execute(t, raw(t, path), `CREATE VIEW rondo_keys AS SELECT 1`)
		}, sqlite.ErrOtherApplication, "rondo_keys"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := file(t)
			c.make(t, path)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, config := range []sqlite.Config{{}, {ReadOnly: true}} {
				_, err = sqlite.Open(t.Context(), path, config)
				require.ErrorIs(t, err, c.kind)
				require.ErrorContains(t, err, c.says)
				require.False(t, eventstore.Retryable(err))
				var failure *sqlite.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, path, failure.Path)
			}
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after, "the file is left as it was")
		})
	}
}

func TestOpenFileOfTheApplication(t *testing.T) {
	t.Parallel()
	path := file(t)
	execute(t, raw(t, path), `CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (7)`)
	makeFile(t, path)
	execute(t, raw(t, path), `PRAGMA application_id = 0x42`)
	require.Equal(t, 1, count(t, open(t, path, sqlite.Config{})), "the application may set its id once the schema is there")
	var id int
	require.NoError(t, raw(t, path).QueryRowContext(t.Context(), `SELECT id FROM orders`).Scan(&id))
	require.Equal(t, 7, id)
}

func TestSchemaVersions(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(sqlite.Migrations, "migrations/*.sql")
	require.NoError(t, err)
	require.Len(t, files, sqlite.KnownVersion)
	require.True(t, strings.HasPrefix(filepath.Base(files[len(files)-1]), fmt.Sprintf("%05d_", sqlite.KnownVersion)))

	path := file(t)
	makeFile(t, path)
	newer := sqlite.KnownVersion + 6
	execute(t, raw(t, path), `INSERT INTO rondo_schema_version (version_id, is_applied) VALUES (?, 1)`, newer)
	for _, config := range []sqlite.Config{{}, {ReadOnly: true}} {
		_, err = sqlite.Open(t.Context(), path, config)
		var schema *sqlite.SchemaError
		require.ErrorAs(t, err, &schema)
		require.Equal(t, sqlite.SchemaError{Store: "event store", Path: path, Found: int64(newer), Known: sqlite.KnownVersion}, *schema)
		require.ErrorContains(t, err, "newer than this program")
	}
	execute(t, raw(t, path), `DELETE FROM rondo_schema_version WHERE version_id = ?`, newer)
	require.Equal(t, 1, count(t, open(t, path, sqlite.Config{})))

	empty := file(t)
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err = sqlite.Open(t.Context(), empty, sqlite.Config{ReadOnly: true})
	require.ErrorContains(t, err, "older")
	var schema *sqlite.SchemaError
	require.ErrorAs(t, err, &schema)
	require.Zero(t, schema.Found)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for durability, want := range map[sqlite.Durability]int64{sqlite.Full: 2, sqlite.Normal: 1} {
		s := open(t, file(t), sqlite.Config{Durability: durability})
		for pragma, want := range map[string]any{
			"synchronous": want, "fullfsync": want - 1, "journal_mode": "wal", "secure_delete": int64(2),
		} {
			got, err := s.Setting(t.Context(), pragma)
			require.NoError(t, err)
			require.Equal(t, want, got, pragma)
		}
	}
}

func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := file(t)
	const stores = 12
	var wg sync.WaitGroup
	errs := make([]error, stores)
	start := make(chan struct{})
	for i := range stores {
		wg.Go(func() {
			<-start
			s, err := sqlite.Open(t.Context(), path, sqlite.Config{BusyTimeout: time.Minute})
			if err == nil {
				_, err = s.Append(t.Context(), one("a-1", "made"))
			}
			if err == nil {
				err = s.Close()
			}
			errs[i] = err
		})
	}
	close(start)
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, stores, count(t, open(t, path, sqlite.Config{})))
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	path := file(t)
	writer := open(t, path, sqlite.Config{})
	_, err := writer.Append(t.Context(), one("a-1", "made"))
	require.NoError(t, err)
	lease, err := writer.AcquireLease(t.Context(), "sub", "me", time.Hour)
	require.NoError(t, err)
	reader := open(t, path, sqlite.Config{ReadOnly: true, PollInterval: time.Millisecond})
	require.Equal(t, 1, count(t, reader))

	ctx := t.Context()
	for name, write := range map[string]func() error{
		"Append":     func() error { _, err := reader.Append(ctx, one("a-1", "made")); return err },
		"InTx":       func() error { return reader.InTx(ctx, func(*sql.Tx) error { return nil }) },
		"AppendTx":   func() error { _, err := reader.AppendTx(ctx, nil, one("a-1", "made")); return err },
		"Acquire":    func() error { _, err := reader.AcquireLease(ctx, "other", "me", time.Hour); return err },
		"Checkpoint": func() error { _, err := reader.SaveCheckpoint(ctx, lease, 1, time.Hour); return err },
		"Release":    func() error { return reader.ReleaseLease(ctx, lease) },
		"Reset":      func() error { return reader.ResetCheckpoint(ctx, "sub", 1) },
		"Snapshot": func() error {
			return reader.SaveSnapshot(ctx, eventstore.Snapshot{Stream: "a-1", Type: "s", Version: 1})
		},
		"no snapshot": func() error { return reader.DeleteSnapshot(ctx, "a-1", "s") },
		"claims":      func() error { _, err := reader.DeleteExpiredClaims(ctx, 1); return err },
		"Key":         func() error { _, err := reader.Key(ctx, "zoe"); return err },
		"no key":      func() error { return reader.DeleteKey(ctx, "zoe") },
	} {
		require.ErrorIs(t, write(), sqlite.ErrReadOnly, name)
	}
	heard := make(chan eventstore.Recorded)
	go func() {
		defer close(heard)
		for e, err := range reader.Subscribe(ctx, 0, eventstore.Filter{}) {
			if err != nil {
				return
			}
			heard <- e
		}
	}()
	require.EqualValues(t, 1, (<-heard).Version)
	_, err = writer.Append(ctx, one("a-1", "made"))
	require.NoError(t, err)
	require.EqualValues(t, 2, (<-heard).Version)
	require.NoError(t, reader.Close())
	_, open := <-heard
	require.False(t, open, "closing ends it")
	_, err = reader.Append(ctx, one("a-1", "made"))
	require.ErrorIs(t, err, eventstore.ErrClosed)
}
