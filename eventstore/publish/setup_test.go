package publish_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/publish"
)

// What a call of a faulty home was.
const (
	head    = "Head"
	readAll = "ReadAll"
	follow  = "Subscribe"
	acquire = "AcquireLease"
	save    = "SaveCheckpoint"
	release = "ReleaseLease"
)

// home is what a publisher needs, and what tests need besides.
type home interface {
	eventstore.Store
	eventstore.Checkpoints
}

// faulty is a home as one process sees it. before is asked ahead of each call,
// and its error is the call's; after is asked when it was done.
type faulty struct {
	home
	before func(ctx context.Context, call string) error
	after  func(ctx context.Context, call string) error
}

func around[R any](ctx context.Context, f *faulty, call string, do func() (R, error)) (R, error) {
	var none R
	if f.before != nil {
		if err := f.before(ctx, call); err != nil {
			return none, err
		}
	}
	r, err := do()
	if err == nil && f.after != nil {
		if err := f.after(ctx, call); err != nil {
			return none, err
		}
	}
	return r, err
}

func (f *faulty) Head(ctx context.Context) (eventstore.Position, error) {
	return around(ctx, f, head, func() (eventstore.Position, error) { return f.home.Head(ctx) })
}

func (f *faulty) reads(ctx context.Context, call string, seq iter.Seq2[eventstore.Recorded, error]) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range seq {
			if err == nil && f.before != nil {
				err = f.before(ctx, call)
			}
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (f *faulty) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return f.reads(ctx, readAll, f.home.ReadAll(ctx, after, filter))
}

func (f *faulty) Subscribe(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return f.reads(ctx, follow, f.home.Subscribe(ctx, after, filter))
}

func (f *faulty) AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (eventstore.Lease, error) {
	return around(ctx, f, acquire, func() (eventstore.Lease, error) { return f.home.AcquireLease(ctx, subscription, owner, ttl) })
}

func (f *faulty) SaveCheckpoint(ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	return around(ctx, f, save, func() (eventstore.Lease, error) { return f.home.SaveCheckpoint(ctx, lease, checkpoint, ttl) })
}

func (f *faulty) ReleaseLease(ctx context.Context, lease eventstore.Lease) error {
	_, err := around(ctx, f, release, func() (struct{}, error) { return struct{}{}, f.home.ReleaseLease(ctx, lease) })
	return err
}

// scene is a test on virtual time, with a home in memory.
type scene struct {
	*testing.T
	db home
}

// bubble runs a test on virtual time.
func bubble(t *testing.T, test func(t scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(scene{t, newMemory(t)}) })
}

// elapse lets virtual time pass, and then all that has to happen until then.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

func newMemory(t testing.TB) *memory.Store {
	t.Helper()
	db, err := memory.New(memory.Config{})
	require.NoError(t, err)
	return db
}

// add appends n events, of type "even" and "odd" in turns, to a stream.
func add(ctx context.Context, t require.TestingT, db eventstore.Store, stream string, n int) {
	for i := range n {
		eventType := "even"
		if i%2 == 1 {
			eventType = "odd"
		}
		_, err := db.Append(ctx, eventstore.Write{
			Stream: stream, Expected: eventstore.Any,
			Events: []eventstore.Event{{Type: eventType, Data: fmt.Appendf(nil, `{"n":%d}`, i)}},
		})
		require.NoError(t, err)
	}
}

// running is a Run that goes on.
type running struct {
	t    testing.TB
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// start runs a publisher until the test ends.
func start(t testing.TB, ctx context.Context, db home, handler publish.Handler, cfg publish.Config) *running {
	t.Helper()
	p, err := publish.New(db, db, "sub", handler, cfg)
	require.NoError(t, err)
	return run(t, ctx, p)
}

func run(t testing.TB, ctx context.Context, p *publish.Publisher) *running {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	r := &running{t: t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = p.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
	})
	return r
}

// wait waits for Run to return, and returns its error.
func (r *running) wait() error {
	r.t.Helper()
	<-r.done
	return r.err
}

// shutdown ends it in order.
func (r *running) shutdown() {
	r.t.Helper()
	r.stop()
	require.Equal(r.t, context.Canceled, r.wait())
}

// kept are things that other goroutines tell of.
type kept[T any] struct {
	mu    sync.Mutex
	items []T
}

func (k *kept[T]) keep(item T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.items = append(k.items, item)
}

func (k *kept[T]) all() []T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]T(nil), k.items...)
}

// patience is how long tests wait for what must come. It is no measure of speed.
const patience = 2 * time.Minute

// sink keeps what it was given.
type sink struct {
	mu      sync.Mutex
	batches []publish.Batch
	grown   chan struct{} // closed and made anew with each batch
}

func (s *sink) handle(_ context.Context, b publish.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
	return nil
}

func (s *sink) all() []publish.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]publish.Batch(nil), s.batches...)
}

// positions are those of all events it was given, in order.
func (s *sink) positions() []eventstore.Position {
	var all []eventstore.Position
	for _, b := range s.all() {
		all = append(all, positions(b.Events)...)
	}
	return all
}

// waitFor waits until it was given so many events.
func (s *sink) waitFor(t testing.TB, events int) {
	t.Helper()
	for {
		s.mu.Lock()
		n := 0
		for _, b := range s.batches {
			n += len(b.Events)
		}
		if n >= events {
			s.mu.Unlock()
			return
		}
		if s.grown == nil {
			s.grown = make(chan struct{})
		}
		grown := s.grown
		s.mu.Unlock()
		select {
		case <-grown:
		case <-time.After(patience):
			require.FailNow(t, "events did not come", "%d of %d did", n, events)
		}
	}
}

// waitUntil waits until it was given the event there. How many it was given says
// nothing of that: on a busy machine a lease is lost, and events come again.
func (s *sink) waitUntil(t testing.TB, p eventstore.Position) {
	t.Helper()
	for n := 1; !slices.Contains(s.positions(), p); n++ {
		s.waitFor(t, n)
	}
}

func positions(events []eventstore.Recorded) []eventstore.Position {
	all := make([]eventstore.Position, len(events))
	for i, e := range events {
		all[i] = e.Position
	}
	return all
}

// upTo are the positions from 1.
func upTo(n int) []eventstore.Position {
	all := make([]eventstore.Position, n)
	for i := range all {
		all[i] = eventstore.Position(i + 1)
	}
	return all
}

func checkpoint(ctx context.Context, t require.TestingT, db eventstore.Checkpoints) eventstore.Position {
	l, _, err := db.LoadCheckpoint(ctx, "sub")
	require.NoError(t, err)
	return l.Checkpoint
}
