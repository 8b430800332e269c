package publish_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/publish"
)

// well is the fate of a handler that handles everything.
const well = 9

// world is what the publishers of one subscription have done to the outside.
type world struct {
	mu sync.Mutex
	// once is a sink that makes each event count once: it keeps the last position
	// and the greatest token, and refuses what is older.
	once  []eventstore.Position
	token int64
	// handled is up to where a handler has returned without an error.
	handled eventstore.Position
	// running are the handlers that run and have not been told to end.
	running int
	broken  []string
}

func (w *world) blame(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// enter is the beginning of a handler.
func (w *world) enter(b publish.Batch, wanted func(eventstore.Position) eventstore.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running++; w.running > 1 {
		w.blame("%d handlers at once", w.running)
	}
	next := wanted(w.handled)
	if first := b.Events[0].Position; next != 0 && first > next {
		w.blame("event %d is skipped: %d comes after %d", next, first, w.handled)
	}
	for i, e := range b.Events[1:] {
		if before := b.Events[i].Position; wanted(before) != e.Position {
			w.blame("after event %d comes %d", before, e.Position)
		}
	}
}

// leave is its end, and how many it has handled.
func (w *world) leave(b publish.Batch, n int, counts bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if counts {
		w.running--
	}
	if b.Lease.Token < w.token {
		return
	}
	w.token = b.Lease.Token
	for _, e := range b.Events[:n] {
		if len(w.once) == 0 || e.Position > w.once[len(w.once)-1] {
			w.once = append(w.once, e.Position)
		}
		w.handled = max(w.handled, e.Position)
	}
}

// worker is a process that runs a publisher. Killed, it never does anything
// again; cut off, its calls of the checkpoints do not come back.
type worker struct {
	*faulty
	kill context.CancelFunc
	dead atomic.Bool
	cut  atomic.Bool
	done chan struct{}
}

func (w *worker) die() {
	w.dead.Store(true)
	w.kill()
}

// TestModel runs publishers of one subscription that crash, are cut off, fail and
// are started again, while events are appended and time passes. No event is lost
// or skipped, one handler runs at a time, and a sink that keeps the position
// counts each event once, in order.
func TestModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Wrapped, for the test's deadline is of another clock.
		rapid.Check(struct{ rapid.TB }{t}, model)
	})
}

func model(t *rapid.T) {
	ctx := context.Background()
	db, err := memory.New(memory.Config{})
	require.NoError(t, err)
	filter := rapid.SampledFrom([]eventstore.Filter{{}, {Types: []string{"odd"}}, {Categories: []string{"a"}}}).Draw(t, "filter")
	wanted := func(after eventstore.Position) eventstore.Position {
		for e, err := range db.ReadAll(ctx, after, filter) {
			require.NoError(t, err)
			return e.Position
		}
		return 0
	}
	var out world
	workers := make([]*worker, 3)
	// What handlers do, drawn ahead since they run on other goroutines.
	fate := rapid.SliceOfN(rapid.IntRange(0, 9), 40, 40).Draw(t, "fate")
	size := rapid.IntRange(1, 4).Draw(t, "batch")
	var drawn atomic.Int32
	var calm atomic.Bool // handlers do what they should, at once

	begin := func(i int, crashAt int, afterwards bool) {
		alive, kill := context.WithCancel(ctx)
		w := &worker{kill: kill, done: make(chan struct{})}
		calls := 0
		crash := func(call string, after bool) error {
			if (call == save || call == acquire) && !w.dead.Load() && after == afterwards {
				if calls++; calls == crashAt {
					w.die()
				}
			}
			if w.dead.Load() {
				return errGone
			}
			return nil
		}
		w.faulty = &faulty{
			home: db,
			before: func(ctx context.Context, call string) error {
				if w.cut.Load() && (call == save || call == acquire || call == release) {
					<-ctx.Done()
					return ctx.Err()
				}
				return crash(call, false)
			},
			after: func(_ context.Context, call string) error { return crash(call, true) },
		}
		handler := func(ctx context.Context, b publish.Batch) error {
			out.enter(b, wanted)
			counted := true
			wait := func(d time.Duration) error { // as one that listens does
				select {
				case <-time.After(d):
				case <-ctx.Done():
				}
				return context.Cause(ctx)
			}
			n, err := len(b.Events), error(nil)
			what := fate[int(drawn.Add(1))%len(fate)]
			if calm.Load() {
				what = well
			}
			switch what {
			case 0:
				n, err = 0, errBroken
			case 1:
				n, err = 1, &publish.PartialError{Handled: 1, Err: errBroken}
				if len(b.Events) == 1 {
					n, err = 0, errBroken
				}
			case 2:
				err = wait(20 * time.Second)
			case 3: // one that does not listen: it no longer counts as running
				if err := wait(20 * time.Second); err != nil {
					out.mu.Lock()
					out.running--
					out.mu.Unlock()
					counted = false
					<-time.After(20 * time.Second)
				}
			case 4, 5:
				err = wait(time.Second)
			}
			if w.dead.Load() {
				n = 0
			}
			if err != nil && n == len(b.Events) {
				n = 0
			}
			out.leave(b, n, counted)
			return err
		}
		p, err := publish.New(w, w, "sub", handler, publish.Config{
			Filter: filter, BatchSize: size,
			Hooks: publish.Hooks{Retrying: func(publish.RetryInfo) {}},
		})
		require.NoError(t, err)
		go func() {
			defer close(w.done)
			_ = p.Run(alive)
		}()
		workers[i] = w
	}
	end := func(i int) {
		if w := workers[i]; w != nil {
			w.kill()
			<-w.done
			workers[i] = nil
		}
	}
	defer func() {
		for i := range workers {
			end(i)
		}
	}()

	index := rapid.IntRange(0, len(workers)-1)
	t.Repeat(map[string]func(*rapid.T){
		"append": func(t *rapid.T) {
			add(ctx, t, db, rapid.SampledFrom([]string{"a-1", "b-1"}).Draw(t, "stream"), rapid.IntRange(1, 6).Draw(t, "events"))
		},
		"start": func(t *rapid.T) {
			i := index.Draw(t, "worker")
			if workers[i] != nil {
				t.Skip("it runs")
			}
			begin(i, rapid.IntRange(0, 8).Draw(t, "crash at call"), rapid.Bool().Draw(t, "after it"))
		},
		"shut down": func(t *rapid.T) { end(index.Draw(t, "worker")) },
		"kill": func(t *rapid.T) {
			i := index.Draw(t, "worker")
			if workers[i] != nil {
				workers[i].die()
			}
			end(i)
		},
		"cut off": func(t *rapid.T) {
			if w := workers[index.Draw(t, "worker")]; w != nil {
				w.cut.Store(!w.cut.Load())
			}
		},
		"time": func(t *rapid.T) {
			elapse(time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds")) * time.Second)
		},
		"": func(t *rapid.T) {
			synctest.Wait()
			out.mu.Lock()
			defer out.mu.Unlock()
			require.Empty(t, out.broken)
			require.LessOrEqual(t, checkpoint(ctx, t, db), max(out.handled, beforeNext(db, out.handled, wanted)))
		},
	})

	// In the end one that nothing happens to is left.
	calm.Store(true)
	for i := range workers {
		end(i)
	}
	begin(0, 0, false)
	add(ctx, t, db, "a-1", 2)
	elapse(10 * time.Minute)
	var events []eventstore.Recorded
	for e, err := range db.ReadAll(ctx, 0, filter) {
		require.NoError(t, err)
		events = append(events, e)
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	require.Empty(t, out.broken)
	require.Equal(t, positions(events), out.once, "each once, in order")
	last, err := db.Head(ctx)
	require.NoError(t, err)
	require.Equal(t, last, checkpoint(ctx, t, db))
}

// beforeNext is the greatest position that a checkpoint may have: that before the
// next event that is wanted.
func beforeNext(db home, after eventstore.Position, wanted func(eventstore.Position) eventstore.Position) eventstore.Position {
	if next := wanted(after); next != 0 {
		return next - 1
	}
	head, _ := db.Head(context.Background())
	return head
}
