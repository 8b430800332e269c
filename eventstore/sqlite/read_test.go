package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	lib "modernc.org/sqlite/lib"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// Reads go through positions in their order: SQLite sorts nothing, and uses the
// index that there is, whatever it thinks of the data.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	path := s.Path()
	ctx := t.Context()
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			for i := range 200 {
				_, err := s.Append(eventstore.WithTenant(ctx, fmt.Sprint("t", i%3)), one(fmt.Sprint("c", i%5, "-", i), "made"))
				require.NoError(t, err)
			}
			execute(t, raw(t, path), `ANALYZE`)
		}
		const (
			byPosition = "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
			byCategory = "USING INDEX rondo_events_category (category=? AND rowid>? AND rowid<?)"
			byTenant   = "USING INDEX rondo_events_tenant (tenant=? AND rowid>? AND rowid<?)"
		)
		for _, c := range []struct {
			ctx    context.Context //nolint:containedctx // a row of the table
			filter eventstore.Filter
			want   string
		}{
			{ctx, eventstore.Filter{}, byPosition},
			{ctx, eventstore.Filter{Types: []string{"a"}}, byPosition},
			{ctx, eventstore.Filter{Categories: []string{"a"}}, byCategory},
			{ctx, eventstore.Filter{Categories: []string{"a"}, Types: []string{"a", "b"}}, byCategory},
			{ctx, eventstore.Filter{Categories: []string{"a", "b"}}, byPosition},
			{eventstore.AllTenants(ctx), eventstore.Filter{}, byPosition},
			{eventstore.AllTenants(ctx), eventstore.Filter{Categories: []string{"a"}}, byCategory},
			{eventstore.WithTenant(ctx, "t1"), eventstore.Filter{}, byTenant},
			{eventstore.WithTenant(ctx, "t1"), eventstore.Filter{Categories: []string{"a"}, Types: []string{"a"}}, byTenant},
		} {
			steps, err := s.Plan(c.ctx, c.filter)
			require.NoError(t, err)
			require.Equal(t, "SEARCH rondo_events "+c.want, steps[0], "filter %+v", c.filter)
			require.NotContains(t, strings.Join(steps, "\n"), "TEMP B-TREE", "filter %+v", c.filter)
		}
		steps, err := s.PlanStream(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"SEARCH rondo_events USING INDEX rondo_events_stream (tenant=? AND stream=? AND version>?)"}, steps)
	}
}

// The category of the index is that of the contract.
func TestCategories(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{})
	for _, stream := range []string{
		"seats-A-12", "seats", "-", "--", "-a", "a-", "日本-東京", "日本", "a%-b", "a_-b", "A-1", "a-1", "é-1", "e\u0301-1", "'\"-1", " -1", "\t-1", "🙂-🙂",
	} {
		done, err := s.Append(t.Context(), one(stream, "made"))
		require.NoError(t, err)
		var found []eventstore.Recorded
		for e, err := range s.ReadAll(t.Context(), done[0].Position-1, eventstore.Filter{Categories: []string{eventstore.Category(stream)}}) {
			require.NoError(t, err)
			found = append(found, e)
		}
		require.Equal(t, done[0].Events, found, stream)
	}
}

// sparse makes a log in which two events stand far apart among others, for what a
// page looks at.
func sparse(t *testing.T, s *sqlite.Store) (between int) {
	t.Helper()
	const span = 1000
	s.SetSpan(span)
	between = 2*span + 10
	ctx := t.Context()
	_, err := s.Append(ctx, one("rare-1", "first"))
	require.NoError(t, err)
	execute(t, raw(t, s.Path()), `
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO rondo_events (tenant, stream, version, id, type, schema, at, data)
		SELECT '', 'many-1', i, randomblob(16), 'made', 1, 0, x'' FROM n`, between)
	_, err = s.Append(ctx, one("rare-1", "last"))
	require.NoError(t, err)
	return between
}

func TestSparseReads(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{Durability: sqlite.Normal})
	between := sparse(t, s)
	ctx := t.Context()
	for name, f := range map[string]eventstore.Filter{
		"category":     {Categories: []string{"rare"}},
		"categories":   {Categories: []string{"rare", "none"}},
		"types":        {Types: []string{"first", "last"}},
		"both":         {Categories: []string{"rare"}, Types: []string{"first", "last", "none"}},
		"many nothing": {Categories: append(make([]string, 2000), "rare")},
	} {
		var types []string
		for e, err := range s.ReadAll(ctx, 0, f) {
			require.NoError(t, err)
			types = append(types, e.Type)
		}
		require.Equal(t, []string{"first", "last"}, types, name)
		types = nil
		for e, err := range s.Subscribe(ctx, 0, f) {
			require.NoError(t, err)
			if types = append(types, e.Type); len(types) == 2 {
				break
			}
		}
		require.Equal(t, []string{"first", "last"}, types, name)
		for _, err := range s.ReadAll(ctx, eventstore.Position(between+2), f) {
			require.NoError(t, err)
			t.Fatal("there is nothing after the last")
		}
	}
	n := 0
	for _, err := range s.ReadAll(ctx, 0, eventstore.Filter{}) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, between+2, n)
	for _, err := range s.ReadAll(eventstore.WithTenant(ctx, "other"), 0, eventstore.Filter{}) {
		require.NoError(t, err)
		t.Fatal("another tenant has events")
	}
}

// While a caller handles events no read is open, so that SQLite's log can be
// written to the file and begun anew.
func TestReadsHoldNothing(t *testing.T) {
	t.Parallel()
	// It does not look by itself what others have appended: that is a read too.
	s := open(t, file(t), sqlite.Config{Readers: 1, PollInterval: time.Hour})
	w := eventstore.Write{Stream: "a-1", Expected: eventstore.Any, Events: make([]eventstore.Event, 3*sqlite.PageEvents)}
	for i := range w.Events {
		w.Events[i].Type = "made"
	}
	_, err := s.Append(t.Context(), w)
	require.NoError(t, err)
	for name, events := range map[string]func(func(eventstore.Recorded, error) bool){
		"ReadStream": s.ReadStream(t.Context(), "a-1", 1),
		"ReadAll":    s.ReadAll(t.Context(), 0, eventstore.Filter{}),
		"Subscribe":  s.Subscribe(t.Context(), 0, eventstore.Filter{}),
	} {
		n := 0
		for _, err := range events {
			require.NoError(t, err)
			if n++; n == sqlite.PageEvents+7 {
				_, err := s.Append(t.Context(), one("b-1", "made"))
				require.NoError(t, err)
				var blocked, pages, moved int
				require.NoError(t, raw(t, s.Path()).QueryRowContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&blocked, &pages, &moved))
				require.Zero(t, blocked, name)
				_, err = s.Head(t.Context()) // there is one connection for reads, and it is free
				require.NoError(t, err)
			}
			if n == len(w.Events) {
				break
			}
		}
		require.Equal(t, len(w.Events), n, name)
	}
}

// A context that ends interrupts a read, also one that finds nothing.
func TestInterruptedRead(t *testing.T) {
	t.Parallel()
	s := open(t, file(t), sqlite.Config{Durability: sqlite.Normal, Readers: 1})
	sparse(t, s)
	for i := range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		var ended error
		for _, err := range s.ReadAll(ctx, 0, eventstore.Filter{Types: []string{"none"}}) {
			ended = err
		}
		cancel()
		if ended != nil {
			require.ErrorIs(t, ended, context.DeadlineExceeded)
		}
		require.Len(t, types(t, s), 2, "the connection, or another, can be used")
	}
}

func types(t *testing.T, s *sqlite.Store) []string {
	t.Helper()
	var all []string
	for e, err := range s.ReadStream(t.Context(), "rare-1", 1) {
		require.NoError(t, err)
		all = append(all, e.Type)
	}
	return all
}

// A subscription hears of what another store appends to the file, and of what was
// there when it began.
func TestSubscribeToAnotherStore(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path, sqlite.Config{PollInterval: time.Millisecond})
	other := open(t, path, sqlite.Config{})
	heard := subscribe(t, s)
	for i := range 20 {
		from := []*sqlite.Store{s, other}[i%2]
		done, err := from.Append(t.Context(), one("a-1", "made"))
		require.NoError(t, err)
		require.Equal(t, done[0].Events[0], <-heard)
	}
}

// A subscription that can read no more says so, and one that only has to wait
// goes on.
func TestSubscribeFails(t *testing.T) {
	t.Parallel()
	locked := open(t, file(t), sqlite.Config{PollInterval: time.Millisecond, Readers: 1})
	require.NoError(t, locked.Probe().SetReadFault(t.Context(), failing("SELECT", lib.SQLITE_BUSY, 5)))
	heard := subscribe(t, locked)
	done, err := locked.Append(t.Context(), one("a-1", "made"))
	require.NoError(t, err)
	require.Equal(t, done[0].Events[0], <-heard)

	path := file(t)
	s := open(t, path, sqlite.Config{PollInterval: time.Millisecond})
	ended := make(chan error)
	go func() {
		for _, err := range s.Subscribe(t.Context(), 0, eventstore.Filter{}) {
			ended <- err
		}
	}()
	execute(t, raw(t, path), `ALTER TABLE rondo_events RENAME TO elsewhere`)
	require.ErrorContains(t, <-ended, "no such table: rondo_events")
}

// A key that was deleted is in no file any more.
func TestDeletedKeyIsGone(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path, sqlite.Config{})
	ctx := t.Context()
	isThere := func(key []byte) bool {
		t.Helper()
		found := false
		for _, suffix := range []string{"", "-wal"} {
			content, err := os.ReadFile(path + suffix) // the locks that this drops are not needed
			require.NoError(t, err)
			found = found || bytes.Contains(content, key)
		}
		return found
	}
	var keys [][]byte
	for i := range 20 {
		key, err := s.Key(ctx, fmt.Sprint("customer ", i))
		require.NoError(t, err)
		require.True(t, isThere(key))
		keys = append(keys, key)
	}
	require.NoError(t, s.DeleteKey(ctx, "customer 7"))
	require.False(t, isThere(keys[7]))
	require.True(t, isThere(keys[8]))
	_, err := s.Key(ctx, "customer 7")
	require.ErrorIs(t, err, eventstore.ErrErased)

	// A reader that is in the way of the log is not waited for; another commit
	// tries again.
	db := raw(t, path)
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRowContext(ctx, `SELECT count(*) FROM rondo_keys`).Scan(&n))
	require.NoError(t, s.DeleteKey(ctx, "customer 8"))
	require.NoError(t, tx.Rollback())
	for isThere(keys[8]) {
		_, err := s.Append(ctx, one("a-1", "made"))
		require.NoError(t, err)
	}
}

// What an error of the driver becomes.
func TestErrors(t *testing.T) {
	t.Parallel()
	err := error(&sqlite.Error{Store: "event store", Path: "x.db", Kind: sqlite.ErrLocked, Err: driverError(5)})
	require.EqualError(t, err, `event store "x.db": file is locked by another process: result code 5`)
	require.True(t, eventstore.Retryable(fmt.Errorf("while at it: %w", err)))
	require.ErrorIs(t, err, sqlite.ErrLocked)
	require.ErrorIs(t, err, driverError(5))
	require.EqualError(t, &sqlite.Error{Store: "event store", Path: "x.db", Kind: sqlite.ErrReadOnly}, `event store "x.db": file is read-only`)
	err = &sqlite.Error{Store: "event store", Path: "x.db", Err: errors.New("oh")}
	require.EqualError(t, err, `event store "x.db": oh`)
	require.False(t, eventstore.Retryable(err))
}
