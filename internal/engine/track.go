package engine

import "sync/atomic"

// Track counts what is unfinished of all that one action caused: actions that
// wait, tasks that have not settled. Its count may be raised from anywhere by a
// sender that acts for something it counts already, so it spans stores.
// A nil Track counts nothing.
type Track struct {
	// Parent is the track of what the sender itself was caused by. It counts
	// this track as one.
	Parent *Track
	// Settled is called once, when the count comes to nothing; nil is nobody.
	// It is called from the midst of an engine's call: it may signal or enqueue,
	// not use the engine.
	Settled func()
	// Watch is the driver's own. A [Settler] is told as Settled is.
	Watch any

	open atomic.Int64
	err  atomic.Pointer[error]
}

// Settler is a Watch that is told when its track's count comes to nothing. It
// saves the function that Settled would be.
type Settler interface{ TrackSettled() }

// NewTrack makes a track that parent, if not nil, waits for.
func NewTrack(parent *Track, settled func(), watch any) *Track {
	parent.Add()
	return &Track{Parent: parent, Settled: settled, Watch: watch}
}

// Add counts one more.
func (t *Track) Add() {
	if t != nil {
		t.open.Add(1)
	}
}

// Done counts one less.
func (t *Track) Done() {
	if t != nil && t.open.Add(-1) == 0 {
		if t.Settled != nil {
			t.Settled()
		}
		if w, ok := t.Watch.(Settler); ok {
			w.TrackSettled()
		}
		t.Parent.Done()
	}
}

// Fail records why something that t and its parents count was cut short. The
// first reason stays.
func (t *Track) Fail(err error) {
	for ; t != nil; t = t.Parent {
		t.err.CompareAndSwap(nil, &err)
	}
}

// Err is why something that t counts was cut short, or nil.
func (t *Track) Err() error {
	if err := t.err.Load(); err != nil {
		return *err
	}
	return nil
}
