package main

import (
	"context"
	"sync"
	"time"

	"github.com/seed57833328/rondo/store"
)

// fastRuntime is the real runtime with a clock of its own, that begins when it is
// told to, runs faster, and waits for what cannot keep up: at three hundred times
// the speed, a disk that takes its time for a tenth of a second would be half a
// minute late, and everybody who waits for it would have given up.
type fastRuntime struct {
	store.Runtime
	speed float64
	began time.Time // in reality

	mu     sync.Mutex
	now    time.Time
	behind func(now time.Time) bool

	quit    chan struct{}
	running sync.WaitGroup
}

const (
	// tick is how often the clock is set, in real time.
	tick = time.Millisecond
	// longestTick is how much of the real time between two ticks counts: when it
	// is more, others could not work either.
	longestTick = 5 * time.Millisecond
)

// newFastRuntime makes one whose clock begins at start. It runs until stop.
func newFastRuntime(speed float64, start time.Time) *fastRuntime {
	r := &fastRuntime{
		Runtime: store.RuntimeOf(context.Background()),
		speed:   speed, began: time.Now(), now: start,
		quit: make(chan struct{}),
	}
	r.running.Go(r.run)
	return r
}

func (r *fastRuntime) stop() {
	close(r.quit)
	r.running.Wait()
}

// waitFor has the clock wait while behind says so.
func (r *fastRuntime) waitFor(behind func(now time.Time) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind = behind
}

func (r *fastRuntime) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-r.quit:
			return
		case <-ticker.C:
			now := time.Now()
			r.advance(time.Duration(float64(min(now.Sub(last), longestTick)) * r.speed))
			last = now
		}
	}
}

func (r *fastRuntime) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.behind == nil || !r.behind(r.now) {
		r.now = r.now.Add(d)
	}
}

// Now is the time on this runtime.
func (r *fastRuntime) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// AfterFunc runs f when d of this runtime's time has passed.
func (r *fastRuntime) AfterFunc(d time.Duration, f func()) store.Timer {
	t := &fastTimer{runtime: r, f: f}
	t.Reset(d)
	return t
}

// fastTimer is a pending AfterFunc. Its real timer looks at the clock, and waits
// on if that has waited.
type fastTimer struct {
	runtime *fastRuntime
	f       func()

	mu      sync.Mutex
	real    *time.Timer
	at      time.Time
	pending bool
}

func (t *fastTimer) Reset(d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	active := t.pending
	t.at, t.pending = t.runtime.Now().Add(d), true
	t.wait(d)
	return active
}

// wait is called with mu held.
func (t *fastTimer) wait(d time.Duration) {
	d = time.Duration(float64(d) / t.runtime.speed)
	if t.real == nil {
		t.real = time.AfterFunc(d, t.fire)
		return
	}
	t.real.Reset(d)
}

func (t *fastTimer) fire() {
	t.mu.Lock()
	if left := t.at.Sub(t.runtime.Now()); t.pending && left > 0 {
		t.wait(max(left, time.Duration(float64(tick)*t.runtime.speed)))
		t.mu.Unlock()
		return
	}
	fires := t.pending
	t.pending = false
	t.mu.Unlock()
	if fires {
		t.f()
	}
}

func (t *fastTimer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	active := t.pending
	t.pending = false
	t.real.Stop()
	return active
}
