package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
)

// SendAndSettle sends a and waits until a and all it caused has finished: the
// actions of its effects, what those cause in turn, timers and holds, and what
// its handlers send with the context they are given, to other stores too.
//
// It returns what Send returns, the context's error (the action goes on), or
// why some of it was cut short: a *[StoppedError] or an *[AbandonedError].
func (s *Store[S, A]) SendAndSettle(ctx context.Context, a A) error {
	if err := s.notOwner(ctx, "SendAndSettle"); err != nil {
		return err
	}
	settled := s.host.config.Runtime.NewSignal()
	track := &engine.Track{Parent: join(ctx), Settled: settled.Fire}
	if err := s.send(ctx, a, track); err != nil {
		return err
	}
	if err := wait(ctx, settled); err != nil {
		return err
	}
	return track.Err()
}

// Ask sends a and waits for the first action caused by it for which match
// reports true; a itself counts. Concurrent asks never take each other's
// answer: match sees no action that another sender caused, even an equal one.
//
// It returns what Send returns, the context's error, [ErrNoAnswer] when all that
// a caused has finished without an answer, a *[StoppedError] or an
// *[AbandonedError] when it was cut short, and a panic of match as an error.
// match is called in the store's turn, and not after Ask has returned.
func Ask[S, A, R any](ctx context.Context, s *Store[S, A], a A, match func(A) (R, bool)) (R, error) {
	var none R
	if match == nil {
		return none, fmt.Errorf("store %q: Ask: match is nil", s.host.config.Name)
	}
	if err := s.notOwner(ctx, "Ask"); err != nil {
		return none, err
	}
	q := &question[S, A, R]{store: s, match: match}
	if s.host.simulated {
		q.answered = s.host.config.Runtime.NewSignal()
	} else {
		q.answered = &q.signal
	}
	track := &q.track
	track.Parent, track.Watch = join(ctx), q
	if err := s.send(ctx, a, track); err != nil {
		return none, err
	}
	err := wait(ctx, q.answered)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.done:
		return q.answer, q.err
	case err != nil:
		q.done = true // match is called no more
		return none, err
	case track.Err() != nil:
		return none, track.Err()
	}
	return none, fmt.Errorf("ask %T: %w", a, ErrNoAnswer)
}

// asker is a question, whatever the type of its answer.
type asker[A any] interface{ see(store any, a A) }

type question[S, A, R any] struct {
	store    *Store[S, A]
	match    func(A) (R, bool)
	answered Signal
	signal   realSignal // what answered is, on the real runtime: not one more allocation
	track    engine.Track

	mu     sync.Mutex
	done   bool
	answer R
	err    error
}

// TrackSettled ends the wait for an answer: there will be none.
func (q *question[S, A, R]) TrackSettled() { q.answered.Fire() }

// see is called by the store's owner for each action that the question caused.
func (q *question[S, A, R]) see(store any, a A) {
	if store != any(q.store) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.done {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			q.err, q.done = &effect.PanicError{Value: v, Stack: debug.Stack()}, true
		}
		if q.done {
			q.answered.Fire()
		}
	}()
	if answer, ok := q.match(a); ok {
		q.answer, q.done = answer, true
	}
}
