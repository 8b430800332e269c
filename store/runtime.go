package store

import (
	"context"
	"sync"
	"time"
)

// Runtime is what stores run on: time, goroutines and waiting. The default is
// the real one; package store/sim has one that is deterministic, on which a
// whole application of live stores repeats from a seed.
type Runtime interface {
	// Now is the time.
	Now() time.Time
	// Go runs f at the same time as its caller.
	Go(f func())
	// AfterFunc runs f when d has passed.
	AfterFunc(d time.Duration, f func()) Timer
	// NewSignal makes something to wait for.
	NewSignal() Signal
}

// Timer is a pending AfterFunc, as time.Timer is.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// Signal is something that happens once and can be waited for.
type Signal interface {
	// Fire lets all who wait, now or later, go on. It may be called again.
	Fire()
	// Wait returns nil when the signal was fired, or the context's error. It
	// prefers nil if both are so.
	Wait(ctx context.Context) error
}

// Sleep waits until d has passed on the runtime that ctx belongs to: that of
// the store whose handler was given ctx, or of the simulation; otherwise on the
// real one. It returns early with the context's error when that ends.
func Sleep(ctx context.Context, d time.Duration) error {
	rt := RuntimeOf(ctx)
	done := rt.NewSignal()
	timer := rt.AfterFunc(d, done.Fire)
	defer timer.Stop()
	return wait(ctx, done)
}

// RuntimeOf returns the runtime that ctx belongs to.
func RuntimeOf(ctx context.Context) Runtime {
	if rt, ok := ctx.Value(runtimeKey{}).(Runtime); ok {
		return rt
	}
	return realRuntime{}
}

// WithRuntime returns a context that belongs to rt.
func WithRuntime(ctx context.Context, rt Runtime) context.Context {
	return context.WithValue(ctx, runtimeKey{}, rt)
}

type runtimeKey struct{}

// wait waits for a signal. If the caller works for a store, another may take
// its place meanwhile: the pool is for work, not for waiting.
func wait(ctx context.Context, s Signal) error {
	if ctx == context.Background() { // the common case, without a lookup
		return s.Wait(ctx)
	}
	if w, ok := ctx.Value(poolKey{}).(interface{ block() (unblock func()) }); ok {
		defer w.block()()
	}
	return s.Wait(ctx)
}

// realRuntime is the machine's own.
type realRuntime struct{}

func (realRuntime) Now() time.Time                            { return time.Now() }
func (realRuntime) Go(f func())                               { go f() }
func (realRuntime) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
func (realRuntime) NewSignal() Signal                         { return &realSignal{} }

type realSignal struct {
	mu   sync.Mutex
	done bool
	wake chan struct{} // closed by Fire; made by the first who has to wait
}

func (s *realSignal) Fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done && s.wake != nil {
		close(s.wake)
	}
	s.done = true
}

func (s *realSignal) Wait(ctx context.Context) error {
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return nil
	}
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	wake := s.wake
	s.mu.Unlock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	return ctx.Err()
}
