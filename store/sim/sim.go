package sim

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/store"
)

// Runtime is a simulated machine: virtual time, and goroutines of which one
// runs at a time. It is a store.Runtime.
type Runtime struct {
	yielded chan struct{} // the running task has stopped or ended

	mu      sync.Mutex
	rng     *rand.Rand
	now     time.Time
	running *task
	ready   []*task
	polled  []*task // wait with a context that can only be asked
	timers  timers
	order   uint64
	waiting int // tasks that wait for a signal
	ids     *rand.Rand
	alive   map[*task]struct{} // that have not ended
	over    bool               // what is left is being ended
	crash   *crash
}

var _ store.Runtime = (*Runtime)(nil)

// task is a goroutine of the simulation.
type task struct {
	resume chan struct{}
	ctx    context.Context //nolint:containedctx // that of the wait it is in
	signal *signal         // that it waits for, nil if it runs or may
}

type crash struct {
	value any
	stack []byte
}

// Start is when a simulation begins.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Run runs f in a simulation and returns when f has, and nothing else can go on
// without time passing. What is then still waiting is told by an error, as is a
// simulation in which everything waits for ever. A panic anywhere in it is
// raised again by Run. Goroutines that are left are ended, as runtime.Goexit
// does, before Run returns.
//
// The order in which goroutines run is drawn from seed: the same seed gives the
// same run. f is given a context that belongs to the simulation, for
// store.Sleep and for handlers' and customers' waits.
func Run(seed uint64, f func(ctx context.Context, rt *Runtime)) error {
	rt := &Runtime{yielded: make(chan struct{}), now: Start, alive: map[*task]struct{}{}}
	rt.rng = rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15)) //nolint:gosec // repeatable on purpose
	rt.ids = rand.New(rand.NewPCG(seed, seed^0xbf58476d1ce4e5b9)) //nolint:gosec // repeatable on purpose
	defer rt.end()
	done := false
	rt.Go(func() {
		defer func() { done = true }()
		f(store.WithRuntime(context.Background(), rt), rt)
	})
	for {
		rt.mu.Lock()
		t := rt.next(!done)
		rt.running = t
		waiting := rt.waiting
		rt.mu.Unlock()
		if t == nil {
			switch {
			case !done:
				return fmt.Errorf("simulation stands still at %v: %d goroutines wait for ever", rt.now.Sub(Start), waiting)
			case waiting > 0:
				return fmt.Errorf("simulation ended at %v with %d goroutines still waiting", rt.now.Sub(Start), waiting)
			}
			return nil
		}
		t.resume <- struct{}{}
		<-rt.yielded
		if c := rt.crash; c != nil {
			panic(fmt.Sprintf("%v\n\nin a simulation, seed %d, at %v:\n%s", c.value, seed, rt.now.Sub(Start), c.stack))
		}
	}
}

// next chooses what runs next: at random among what may, or what the earliest
// timer starts. It is called with mu held.
func (rt *Runtime) next(mayWait bool) *task {
	for {
		if len(rt.ready) == 0 {
			rt.poll()
		}
		if n := len(rt.ready); n > 0 {
			i := rt.rng.IntN(n)
			t := rt.ready[i]
			rt.ready[i] = rt.ready[n-1]
			rt.ready[n-1] = nil
			rt.ready = rt.ready[:n-1]
			return t
		}
		if !mayWait || len(rt.timers) == 0 {
			return nil
		}
		rt.now = rt.timers[0].at
		for len(rt.timers) > 0 && !rt.timers[0].at.After(rt.now) {
			t := heap.Pop(&rt.timers).(*timer) //nolint:forcetypeassert // a heap of timers
			rt.start(t.f)
		}
	}
}

// poll lets those go on whose context has ended. It is called with mu held.
func (rt *Runtime) poll() {
	left := rt.polled[:0]
	for _, t := range rt.polled {
		switch {
		case t.signal == nil: // has gone on since
		case t.ctx.Err() != nil:
			rt.wake(t)
		default:
			left = append(left, t)
		}
	}
	clear(rt.polled[len(left):])
	rt.polled = left
}

// wake makes a waiting task ready. It is called with mu held.
func (rt *Runtime) wake(t *task) {
	if t.signal == nil {
		return
	}
	t.signal = nil
	rt.waiting--
	rt.ready = append(rt.ready, t)
}

// Now is the virtual time. It stands still while anything runs.
func (rt *Runtime) Now() time.Time {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.now
}

// Elapsed is the virtual time since Start.
func (rt *Runtime) Elapsed() time.Duration { return rt.Now().Sub(Start) }

// Go runs f as a goroutine of the simulation. A goroutine started otherwise is
// not part of it, and must not wait for anything that is.
func (rt *Runtime) Go(f func()) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.start(f)
}

// start is Go with mu held.
func (rt *Runtime) start(f func()) {
	if rt.over {
		return
	}
	t := &task{resume: make(chan struct{})}
	rt.ready = append(rt.ready, t)
	rt.alive[t] = struct{}{}
	go func() {
		<-t.resume
		defer func() {
			if v := recover(); v != nil && !rt.over {
				rt.crash = &crash{v, debug.Stack()}
			}
			rt.mu.Lock()
			delete(rt.alive, t)
			rt.mu.Unlock()
			rt.yielded <- struct{}{}
		}()
		if !rt.over {
			f()
		}
	}()
}

// end ends what is left, one goroutine at a time.
func (rt *Runtime) end() {
	rt.mu.Lock()
	rt.over = true
	rt.mu.Unlock()
	for t := range rt.alive {
		rt.running = t
		t.resume <- struct{}{}
		<-rt.yielded
	}
}

// NewID is the name space of action ids for a store that is given none.
func (rt *Runtime) NewID() uuid.UUID {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], rt.ids.Uint64())
	binary.BigEndian.PutUint64(id[8:], rt.ids.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4
	return id
}

// AfterFunc runs f as a goroutine when d of virtual time has passed.
func (rt *Runtime) AfterFunc(d time.Duration, f func()) store.Timer {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	t := &timer{runtime: rt, f: f, index: -1}
	t.set(d)
	return t
}

// NewSignal makes something to wait for in virtual time.
func (rt *Runtime) NewSignal() store.Signal { return &signal{runtime: rt} }

type signal struct {
	runtime *Runtime
	fired   bool
	waiters []*task
}

func (s *signal) Fire() {
	rt := s.runtime
	rt.mu.Lock()
	defer rt.mu.Unlock()
	s.fired = true
	for _, t := range s.waiters {
		if t.signal == s {
			rt.wake(t)
		}
	}
	s.waiters = nil
}

func (s *signal) Wait(ctx context.Context) error {
	rt := s.runtime
	rt.mu.Lock()
	if rt.over {
		rt.mu.Unlock()
		runtime.Goexit()
	}
	if s.fired {
		rt.mu.Unlock()
		return nil
	}
	if err := ctx.Err(); err != nil {
		rt.mu.Unlock()
		return err
	}
	t := rt.running
	t.signal, t.ctx = s, ctx
	s.waiters = append(s.waiters, t)
	rt.waiting++
	var stop func() bool
	if told, ok := ctx.(interface {
		AfterFunc(f func()) (stop func() bool)
	}); ok {
		rt.mu.Unlock()
		stop = told.AfterFunc(func() {
			rt.mu.Lock()
			defer rt.mu.Unlock()
			if t.signal == s {
				rt.wake(t)
			}
		})
		rt.mu.Lock()
	} else if ctx.Done() != nil {
		rt.polled = append(rt.polled, t)
	}
	rt.mu.Unlock()
	rt.yielded <- struct{}{}
	<-t.resume
	if stop != nil {
		stop()
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.over {
		runtime.Goexit()
	}
	if s.fired {
		return nil
	}
	return ctx.Err()
}

// timer is a pending AfterFunc.
type timer struct {
	runtime *Runtime
	f       func()
	at      time.Time
	order   uint64
	index   int // in the heap, -1 if it is not
}

func (t *timer) set(d time.Duration) {
	rt := t.runtime
	rt.order++
	t.at, t.order = rt.now.Add(max(0, d)), rt.order
	heap.Push(&rt.timers, t)
}

func (t *timer) Stop() bool {
	t.runtime.mu.Lock()
	defer t.runtime.mu.Unlock()
	return t.stop()
}

func (t *timer) stop() bool {
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.runtime.timers, t.index)
	return true
}

func (t *timer) Reset(d time.Duration) bool {
	t.runtime.mu.Lock()
	defer t.runtime.mu.Unlock()
	active := t.stop()
	t.set(d)
	return active
}

type timers []*timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].order < h[j].order
	}
	return h[i].at.Before(h[j].at)
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timers) Push(x any) {
	t := x.(*timer) //nolint:forcetypeassert // a heap of timers
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
