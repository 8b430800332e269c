package saga

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/store"
)

// run is one call of Run: what a worker does besides deciding.
type run struct {
	*Runner
	worker Worker
	loops  []store.Signal // each fired when its loop has ended
	stop   store.Signal   // ends the run
	ended  store.Signal   // it has

	stopJoining context.CancelFunc // the store need not answer any more

	beatBell, dueBell, inboxBell, sweepBell *bell

	beatAt   time.Time // when the last beat that came through was begun
	nextDue  atomic.Int64
	cursorAt atomic.Int64

	mu        sync.Mutex
	recovers  []Shard         // to be searched for work
	releasing map[Shard]Lease // being given up
	releases  int             // goroutines that do so
	released  store.Signal    // fired when there is none left; nil if nobody waits
	rewind    bool            // the due ones are to be looked through from the beginning
	draining  bool            // by Shutdown
	drained   bool            // by an operator
	members   []Member        // as last seen
	failure   error
}

// Run makes this process a worker: it takes its share of the shards, goes on with
// the sagas in them and runs those that are started, until ctx ends or
// [Runner.Shutdown] is called. When ctx ends what is at work is cancelled, and
// done again by whoever takes over. Every type of request needs a handler.
//
// It returns ErrFenced when another worker has joined with its name; it must not
// be run again then, unless under another.
func (r *Runner) Run(ctx context.Context) error {
	for _, name := range r.types {
		if err := r.kinds[name].handlers(r.handlers); err != nil {
			return fmt.Errorf("run sagas: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(store.WithRuntime(ctx, r.runtime))
	defer cancel()
	joining, stopJoining := context.WithCancel(ctx)
	defer stopJoining()
	x := &run{
		Runner: r, stop: r.runtime.NewSignal(), ended: r.runtime.NewSignal(), stopJoining: stopJoining, releasing: map[Shard]Lease{},
		beatBell: newBell(r.runtime), dueBell: newBell(r.runtime), inboxBell: newBell(r.runtime), sweepBell: newBell(r.runtime),
	}
	r.mu.Lock()
	switch {
	case r.closed.Load():
		r.mu.Unlock()
		return fmt.Errorf("run sagas: %w", ErrClosed)
	case r.running != nil:
		r.mu.Unlock()
		return errors.New("run sagas: the runner runs already")
	}
	r.running = x
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.running = nil
		r.mu.Unlock()
		x.ended.Fire()
	}()
	if err := x.join(joining); err != nil {
		if ctx.Err() == nil {
			return nil // shut down before there was anything to give up
		}
		return fmt.Errorf("run sagas: %w", err)
	}
	for _, loop := range []func(context.Context){x.beats, x.dues, x.inboxes, x.sweeps, x.wakes} {
		done := r.runtime.NewSignal()
		x.loops = append(x.loops, done)
		r.runtime.Go(func() {
			defer done.Fire()
			loop(ctx)
		})
	}
	err := x.stop.Wait(ctx)
	cancel()
	background := context.WithoutCancel(ctx)
	for _, done := range x.loops {
		_ = done.Wait(background)
	}
	x.quit(background)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.failure != nil:
		return fmt.Errorf("run sagas: %w", x.failure)
	case err != nil:
		return fmt.Errorf("run sagas: %w", err)
	}
	return nil
}

// join makes the process a worker, however long the store takes.
func (x *run) join(ctx context.Context) error {
	for tries := 1; ; tries++ {
		bounded, cancel := x.bound(ctx)
		w, err := x.store.Join(bounded, Worker{ID: x.config.Worker, Types: x.types}, x.config.Lease)
		cancel()
		if err == nil {
			x.worker, x.beatAt = w, x.runtime.Now()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		x.config.Hooks.StoreFailed("Join", err)
		if err := x.sleep(ctx, storePolicy.wait(x.config.Worker, tries)); err != nil {
			return err
		}
	}
}

// quit gives up whatever is left.
func (x *run) quit(ctx context.Context) {
	_, lost := x.owned.change(func(o *owning) { clear(o.epochs) })
	x.abandon(ctx, lost)
	x.mu.Lock()
	fenced := errors.Is(x.failure, ErrFenced)
	var released store.Signal
	if x.releases > 0 {
		released = x.runtime.NewSignal()
		x.released = released
	}
	x.mu.Unlock()
	if released != nil {
		_ = released.Wait(ctx) // they are bounded
	}
	if fenced {
		return
	}
	err := x.briefly(ctx, func(ctx context.Context) error { return x.store.Leave(ctx, x.worker) })
	if err != nil {
		x.config.Hooks.StoreFailed("Leave", err) // the lease runs out by itself
	}
}

// fail ends the run.
func (x *run) fail(err error) {
	x.mu.Lock()
	x.failure = err
	x.mu.Unlock()
	x.stop.Fire()
}

// Shutdown drains the worker: it takes nothing new, lets the effects at work
// finish and commits what comes of them, gives its shards up and ends Run. When
// ctx ends first, what is left is cancelled; whoever takes over does it again.
// Afterwards the runner refuses everything.
func (r *Runner) Shutdown(ctx context.Context) error {
	ctx = store.WithRuntime(ctx, r.runtime)
	r.closed.Store(true)
	r.mu.Lock()
	x := r.running
	r.mu.Unlock()
	var drained error
	if x != nil {
		x.stopJoining()
		drained = x.drain(ctx)
		x.stop.Fire()
		_ = x.ended.Wait(context.WithoutCancel(ctx))
	}
	err := r.machines.Shutdown(ctx)
	if drained != nil {
		err = errors.Join(fmt.Errorf("drain the sagas at work: %w", drained), err)
	}
	return err
}

// drain gives all shards up, once nothing is at work in them.
func (x *run) drain(ctx context.Context) error {
	x.mu.Lock()
	x.draining = true
	x.mu.Unlock()
	_, lost := x.owned.change(func(o *owning) { clear(o.epochs) })
	return x.leave(ctx, lost)
}

// leave has the machines of shards finish what is at work, and waits for them.
func (x *run) leave(ctx context.Context, shards []Shard) error {
	for ids := x.inMemory(shards); len(ids) > 0; ids = x.inMemory(shards) {
		for _, id := range ids {
			if err := x.machines.Send(ctx, id, leave{}); err != nil {
				return err
			}
		}
		// One that was woken just then is asked again.
		for _, id := range ids {
			if err := x.machines.Until(ctx, id, func(m *machine) bool { return m.Phase == absent || !m.Leaving }); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandon has the machines of shards forget everything at once.
func (x *run) abandon(ctx context.Context, shards []Shard) {
	for _, id := range x.inMemory(shards) {
		_ = x.machines.Send(ctx, id, leave{Now: true})
	}
}

func (x *run) inMemory(shards []Shard) []ID {
	if len(shards) == 0 {
		return nil
	}
	in := make(map[Shard]bool, len(shards))
	for _, s := range shards {
		in[s] = true
	}
	var ids []ID
	x.machines.Range(func(id ID, m *machine) bool {
		if in[id.Shard()] && m.Phase != absent {
			ids = append(ids, id)
		}
		return true
	})
	return ids
}

// wakes rings when the store says that there may be something.
func (x *run) wakes(ctx context.Context) {
	waker, ok := x.store.(Waker)
	if !ok || x.simulated { // a simulation does not see a channel
		return
	}
	for range waker.Wake(ctx) {
		x.inboxBell.ring()
		x.beatBell.ring()
	}
}

// bell wakes a loop that waits.
type bell struct {
	runtime store.Runtime
	mu      sync.Mutex
	rung    bool
	waiting store.Signal
}

func newBell(rt store.Runtime) *bell { return &bell{runtime: rt} }

// ring ends the wait that is on, or the next one.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rung = true
	if b.waiting != nil {
		b.waiting.Fire()
	}
}

// wait returns when it is rung, d has passed, or ctx ends: then with its error.
func (b *bell) wait(ctx context.Context, d time.Duration) error {
	b.mu.Lock()
	if b.rung {
		b.rung = false
		b.mu.Unlock()
		return ctx.Err()
	}
	s := b.runtime.NewSignal()
	b.waiting = s
	b.mu.Unlock()
	timer := b.runtime.AfterFunc(d, s.Fire)
	err := s.Wait(ctx)
	timer.Stop()
	b.mu.Lock()
	b.rung, b.waiting = false, nil
	b.mu.Unlock()
	return err
}

// posted tells that there may be messages for sagas of this process.
func (r *Runner) posted() {
	r.mu.Lock()
	x := r.running
	r.mu.Unlock()
	if x != nil {
		x.inboxBell.ring()
	}
}

// dueAt tells that a saga of this process is due then.
func (r *Runner) dueAt(at time.Time) {
	if at.Sub(r.runtime.Now()) <= r.config.Resident {
		return // it stays in memory until then
	}
	r.mu.Lock()
	x := r.running
	r.mu.Unlock()
	if x == nil {
		return
	}
	if nano := at.UnixNano(); nano < x.nextDue.Load() || x.nextDue.Load() == looking || nano <= x.cursorAt.Load() {
		if nano <= x.cursorAt.Load() { // the clock was set back
			x.mu.Lock()
			x.rewind = true
			x.mu.Unlock()
		}
		x.dueBell.ring()
	}
}

const (
	looking = 0
	never   = math.MaxInt64
)
