package publish_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/eventstore/publish"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// homes make a home that nobody else has, and return what opens it, as one
// process after the other would.
var homes = map[string]func(t testing.TB) (open func() home){
	"memory": func(t testing.TB) func() home {
		t.Helper()
		db := newMemory(t)
		return func() home { return db }
	},
	"sqlite": func(t testing.TB) func() home {
		t.Helper()
		file := filepath.Join(t.TempDir(), "events.db")
		return func() home {
			db, err := sqlite.Open(t.Context(), file, sqlite.Config{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		}
	},
	"postgres": func(t testing.TB) func() home {
		t.Helper()
		server := postgrestest.New(t)
		return func() home {
			db, err := postgres.Open(t.Context(), server.URL, postgres.Config{AutoMigrate: true})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			return db
		}
	},
}

// TestHomes is what must hold on the clock and with the races of any home. It
// waits for what has to come, and says nothing of when.
func TestHomes(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t place){
		"everything, in order":           everythingInOrder,
		"takeover from one cut off":      takeover,
		"crash before the checkpoint":    crash,
		"hand over and over":             handOver,
		"reset while it runs":            reset,
		"longer than the lease":          long,
		"over what is not wanted":        unwanted,
		"stopped by a permanent error":   permanent,
		"a lease that somebody else has": waits,
	}
	for name, home := range homes {
		for what, test := range tests {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				test(place{t, home(t)})
			})
		}
	}
}

// place is a test with a home.
type place struct {
	*testing.T
	open func() home
}

// short is a lease that runs out soon.
func short(hooks publish.Hooks) publish.Config {
	if hooks.Retrying == nil {
		hooks.Retrying = func(publish.RetryInfo) {}
	}
	return publish.Config{BatchSize: 7, LeaseTTL: 1500 * time.Millisecond, RetryDelay: 5 * time.Millisecond, Hooks: hooks}
}

// told is something that a test waits for.
type told struct {
	once sync.Once
	done chan struct{}
}

func newTold() *told { return &told{done: make(chan struct{})} }

func (s *told) tell() { s.once.Do(func() { close(s.done) }) }

func (s *told) wait(t testing.TB) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		require.FailNow(t, "it did not come")
	}
}

// until tells when the checkpoint has come to that position.
func until(p eventstore.Position, s *told) func(publish.Batch) {
	return func(b publish.Batch) {
		if b.Position() >= p {
			s.tell()
		}
	}
}

// wanted are the positions of what the filter wants.
func wanted(t testing.TB, db home, f eventstore.Filter) []eventstore.Position {
	t.Helper()
	var all []eventstore.Position
	for e, err := range db.ReadAll(t.Context(), 0, f) {
		require.NoError(t, err)
		all = append(all, e.Position)
	}
	return all
}

// first are the positions without those that came again after a crash. It fails
// if one is skipped: between two of them stands what comes later.
func first(t testing.TB, got []eventstore.Position) []eventstore.Position {
	t.Helper()
	var all []eventstore.Position
	for _, p := range got {
		if len(all) == 0 || p > all[len(all)-1] {
			all = append(all, p)
			continue
		}
		require.Contains(t, all, p, "it comes after what is later")
	}
	return all
}

func everythingInOrder(t place) {
	db := t.open()
	cfg := short(publish.Hooks{})
	cfg.Filter = eventstore.Filter{Types: []string{"odd"}}
	var got sink
	start(t, t.Context(), t.open(), got.handle, cfg)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() { add(t.Context(), t, db, fmt.Sprintf("a-%d", w), 50) })
	}
	writers.Wait()
	want := wanted(t, db, cfg.Filter)
	require.Len(t, want, 100)
	got.waitUntil(t, want[99])
	require.Equal(t, want, first(t, got.positions()))
}

func takeover(t place) {
	ctx, db := t.Context(), t.open()
	add(ctx, t, db, "a-1", 20)
	last := slices.Max(wanted(t, db, eventstore.Filter{}))

	stale, lose := cut(t.open())
	ended, lost := newTold(), newTold()
	finish := make(chan struct{})
	var again atomic.Bool
	one := start(t, ctx, stale, func(ctx context.Context, _ publish.Batch) error {
		if again.Swap(true) {
			return nil
		}
		lose()
		<-ctx.Done()
		ended.tell()
		<-finish
		return nil
	}, short(publish.Hooks{LeaseLost: func(_ eventstore.Lease, err error) {
		require.ErrorIs(t, err, eventstore.ErrFenced)
		lost.tell()
	}}))
	ended.wait(t)

	saved := newTold()
	var got sink
	two := start(t, ctx, t.open(), got.handle, short(publish.Hooks{Published: until(last, saved)}))
	saved.wait(t)
	require.Equal(t, wanted(t, db, eventstore.Filter{}), first(t, got.positions()))
	close(finish)
	lost.wait(t)
	for _, r := range []*running{one, two} {
		r.stop()
		require.ErrorIs(t, r.wait(), context.Canceled) // there may be no time to release the lease
	}
	require.Equal(t, last, checkpoint(ctx, t, db))
}

func crash(t place) {
	ctx, db := t.Context(), t.open()
	add(ctx, t, db, "a-1", 20)
	last := slices.Max(wanted(t, db, eventstore.Filter{}))
	alive, kill := context.WithCancel(ctx)
	cfg := short(publish.Hooks{})
	cfg.LeaseTTL = 4 * time.Second // it is not lost before the crash
	var dead atomic.Bool
	var done sink
	r := start(t, alive, &faulty{home: t.open(), before: func(_ context.Context, call string) error {
		if call == save && len(done.all()) == 2 {
			dead.Store(true)
			kill()
		}
		if dead.Load() {
			return errGone
		}
		return nil
	}}, done.handle, cfg)
	require.ErrorIs(t, r.wait(), context.Canceled)

	saved := newTold()
	var got sink
	start(t, ctx, t.open(), got.handle, short(publish.Hooks{Published: until(last, saved)}))
	saved.wait(t)
	batches := done.all()
	again := positions(batches[1].Events)
	require.Equal(t, again, got.positions()[:len(again)], "what was handled and not saved comes again")
	require.Equal(t, wanted(t, db, eventstore.Filter{}), append(positions(batches[0].Events), first(t, got.positions())...))
	require.Greater(t, got.all()[0].Lease.Token, batches[0].Lease.Token)
}

// handOver has publishers of one subscription start and stop while events are
// appended. One handler runs at a time: none is told to end before its lease has.
func handOver(t place) {
	ctx := t.Context()
	db := t.open()
	const rounds = 12
	var active atomic.Int32
	var got sink
	handler := func(ctx context.Context, b publish.Batch) error {
		require.EqualValues(t, 1, active.Add(1))
		defer active.Add(-1)
		return got.handle(ctx, b)
	}
	cfg := short(publish.Hooks{})
	cfg.LeaseTTL, cfg.Heartbeat = time.Minute, 20*time.Millisecond // it is never lost, and taken soon
	var writer sync.WaitGroup
	other := t.open()
	var last *running
	for round := range rounds {
		at := db
		if round%2 == 1 {
			at = other
		}
		next := start(t, ctx, at, handler, cfg)
		writer.Go(func() { add(ctx, t, db, "a-1", 10) }) // while it is handed over
		if last != nil {
			last.shutdown()
		}
		got.waitFor(t, (round+1)*10)
		last = next
	}
	writer.Wait()
	last.shutdown()
	require.Equal(t, wanted(t, db, eventstore.Filter{}), got.positions(), "each once, as all were shut down in order")
}

func reset(t place) {
	ctx, db := t.Context(), t.open()
	add(ctx, t, db, "a-1", 10)
	all := wanted(t, db, eventstore.Filter{})
	var got sink
	start(t, ctx, t.open(), got.handle, short(publish.Hooks{}))
	got.waitFor(t, 10)
	before := len(got.positions()) // more than ten if the lease was lost
	require.NoError(t, db.ResetCheckpoint(ctx, "sub", all[4]))
	for _, p := range all[5:] {
		for n := before + 1; !slices.Contains(got.positions()[before:], p); n++ {
			got.waitFor(t, n)
		}
	}
	require.Equal(t, all, first(t, got.positions()))
}

func long(t place) {
	ctx, db := t.Context(), t.open()
	add(ctx, t, db, "a-1", 1)
	cfg := short(publish.Hooks{})
	renewed := newTold()
	var renewals atomic.Int32
	saved := newTold()
	cfg.Hooks.Published = func(publish.Batch) { saved.tell() }
	var tokens []int64
	start(t, ctx, &faulty{home: t.open(), after: func(_ context.Context, call string) error {
		if call == acquire && renewals.Add(1) == 9 { // two leases long
			renewed.tell()
		}
		return nil
	}}, func(ctx context.Context, b publish.Batch) error {
		tokens = append(tokens, b.Lease.Token)
		select {
		case <-renewed.done:
			return nil
		case <-ctx.Done(): // the machine is very slow: once more
			return context.Cause(ctx)
		}
	}, cfg)
	saved.wait(t)
	require.IsNonDecreasing(t, append([]int64{1}, tokens...)) // one that was taken for lost may still be its own
	require.Equal(t, wanted(t, db, eventstore.Filter{})[0], checkpoint(ctx, t, db))
}

func unwanted(t place) {
	ctx, db := t.Context(), t.open()
	cfg := short(publish.Hooks{})
	cfg.Filter = eventstore.Filter{Categories: []string{"a"}}
	var target atomic.Int64
	moved := newTold()
	f := &faulty{home: t.open()}
	f.after = func(_ context.Context, call string) error {
		l, _, err := f.LoadCheckpoint(ctx, "sub")
		if (call == save || call == acquire) && target.Load() > 0 && l.Checkpoint >= eventstore.Position(target.Load()) {
			moved.tell()
		}
		return err
	}
	var got sink
	start(t, ctx, f, got.handle, cfg)
	add(ctx, t, db, "a-1", 3)
	got.waitUntil(t, slices.Max(wanted(t, db, cfg.Filter)))
	add(ctx, t, db, "b-1", 3)
	target.Store(int64(slices.Max(wanted(t, db, eventstore.Filter{}))))
	moved.wait(t)
	add(ctx, t, db, "a-1", 1)
	got.waitUntil(t, slices.Max(wanted(t, db, cfg.Filter)))
	require.Equal(t, wanted(t, db, cfg.Filter), first(t, got.positions()))
}

func permanent(t place) {
	ctx, db := t.Context(), t.open()
	add(ctx, t, db, "a-1", 5)
	all := wanted(t, db, eventstore.Filter{})
	err := start(t, ctx, t.open(), publish.Each(func(_ context.Context, e eventstore.Recorded) error {
		if e.Version == 4 {
			return publish.Permanent(errBroken)
		}
		return nil
	}), short(publish.Hooks{})).wait()
	var stopped *publish.StoppedError
	require.ErrorAs(t, err, &stopped)
	require.Equal(t, all[3], stopped.Event.Position)
	require.Equal(t, all[2], checkpoint(ctx, t, db))
}

func waits(t place) {
	ctx, db := t.Context(), t.open()
	lease, err := db.AcquireLease(ctx, "sub", "somebody", time.Hour)
	require.NoError(t, err)
	waiting := newTold()
	var got sink
	start(t, ctx, t.open(), got.handle, short(publish.Hooks{Waiting: func(held *eventstore.LeaseHeldError) {
		require.Equal(t, "somebody", held.Owner)
		waiting.tell()
	}}))
	add(ctx, t, db, "a-1", 1)
	waiting.wait(t)
	require.Empty(t, got.all())
	require.NoError(t, db.ReleaseLease(ctx, lease))
	got.waitFor(t, 1)
	require.Greater(t, got.all()[0].Lease.Token, lease.Token)
}
