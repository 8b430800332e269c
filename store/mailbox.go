package store

import (
	"context"
	"slices"
	"time"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// The word of a store says who owns it. The owner alone touches the engine; it
// is whichever goroutine found the store idle. The design is flat combining
// (Hendler, Incze, Shavit, Tzafrir, 2010): others leave their message and go.
//
//	idle    nobody: in is empty. Any goroutine may go to owned.
//	owned   one goroutine; in is empty. It may go to idle.
//	queued  one goroutine; in has messages. It takes them and goes to owned.
//	closed  nobody, ever again.
//
// in changes only under mu, and every change to it brings the word along before
// mu is released, so a message is never left without an owner.
const (
	idle uint32 = iota
	owned
	queued
	closed
)

// handOver is how many messages an owner processes before it lets a goroutine
// of its own go on, so that one sender is not kept for the work of all.
const handOver = 256

// message is what waits for a store's owner: an action from outside, something
// from a job, an operation, or if it is none of these that a timer went off.
type message[A any] struct {
	action A
	meta   *reducer.Meta
	track  *engine.Track
	job    worker
	op     func()
	kind   messageKind
}

type messageKind uint8

const (
	isAction messageKind = iota
	isEmitted
	isEnded
	isTick
)

// worker is a job as a message carries it.
type worker interface {
	emitted() tree.Outcome
	ended() tree.Outcome
}

// waiter is a Send that waits for room.
type waiter[A any] struct {
	message  message[A]
	room     Signal
	admitted bool
	err      error
}

// own processes m, then what waits, as the owner that the caller has become.
func (s *Store[S, A]) own(m *message[A]) {
	ok := false
	defer func() {
		if !ok {
			s.crashed(recover())
		}
	}()
	s.engine.Refresh()
	s.process(m)
	s.release()
	ok = true
}

// disown gives up an ownership that was taken for something else than a
// message, after processing what has come meanwhile.
func (s *Store[S, A]) disown() {
	if s.word.CompareAndSwap(owned, idle) {
		return
	}
	s.drain()
}

// drain processes what waits, as the owner.
func (s *Store[S, A]) drain() {
	ok := false
	defer func() {
		if !ok {
			s.crashed(recover())
		}
	}()
	s.release()
	ok = true
}

// release processes what waits until there is nothing, then ends the ownership.
func (s *Store[S, A]) release() {
	for n := 0; ; {
		for s.outAt < len(s.out) {
			if n++; n > handOver {
				s.last = nil // it has nothing to go on with, as there is more to reduce
				s.host.config.Runtime.Go(s.drain)
				return
			}
			m := &s.out[s.outAt]
			s.outAt++
			s.process(m)
			*m = message[A]{}
		}
		if s.refuse.Load() && s.finished() {
			return
		}
		last := s.last
		s.last = nil
		if s.word.CompareAndSwap(owned, idle) {
			return
		}
		s.last = last
		s.share()
		s.take()
	}
}

// take makes in the batch to be processed, and lets senders in who waited.
func (s *Store[S, A]) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	spare := s.out[:0]
	if cap(spare) > maxKept && len(s.out) < cap(spare)/4 {
		spare = nil // grown for a burst that is over
	}
	s.out, s.outAt, s.in, s.outside = s.in, 0, spare, 0
	for len(s.waiters) > 0 && s.outside < s.host.config.Mailbox {
		w := s.waiters[0]
		s.waiters[0] = nil
		s.waiters = s.waiters[1:]
		w.admitted = true
		s.in = append(s.in, w.message)
		s.outside++
		w.room.Fire()
	}
	if len(s.in) > 0 {
		s.word.Store(queued)
	} else {
		s.word.Store(owned)
	}
	s.engine.Refresh()
}

// maxKept is how many messages a mailbox keeps room for though it holds few.
const maxKept = 1024

// put queues m. It is called with mu held and releases it. If the store is idle
// the caller becomes its owner and processes. It reports false if the store has
// closed.
func (s *Store[S, A]) put(m message[A]) bool {
	for {
		switch s.word.Load() {
		case closed:
			s.mu.Unlock()
			return false
		case idle:
			if s.word.CompareAndSwap(idle, queued) {
				s.in = append(s.in, m)
				s.mu.Unlock()
				if m.kind == isEnded {
					s.comesFrom(m.job)
				}
				s.drain()
				return true
			}
		case owned:
			if s.word.CompareAndSwap(owned, queued) {
				s.in = append(s.in, m)
				s.mu.Unlock()
				return true
			}
		case queued:
			s.in = append(s.in, m)
			s.mu.Unlock()
			return true
		}
	}
}

// post queues what no bound applies to. It never blocks.
func (s *Store[S, A]) post(m message[A]) bool {
	s.mu.Lock()
	return s.put(m)
}

// admit queues an action from outside if the bound allows.
func (s *Store[S, A]) admit(ctx context.Context, m message[A]) error {
	s.mu.Lock()
	if s.end != nil || s.refuse.Load() {
		err := s.refusal()
		s.mu.Unlock()
		return err
	}
	// The owner itself, in an observer, cannot wait for itself to make room.
	if s.outside >= s.host.config.Mailbox && ctx.Value(ownerKey{}) == nil {
		if s.host.config.WhenFull == Reject {
			s.mu.Unlock()
			return ErrMailboxFull
		}
		w := &waiter[A]{message: m, room: s.host.config.Runtime.NewSignal()}
		s.waiters = append(s.waiters, w)
		s.mu.Unlock()
		return s.await(ctx, w)
	}
	s.outside++
	if !s.put(m) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.refusal()
	}
	return nil
}

// await waits until w is admitted or refused.
func (s *Store[S, A]) await(ctx context.Context, w *waiter[A]) error {
	err := wait(ctx, w.room)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.admitted || w.err != nil {
		return w.err
	}
	s.waiters = slices.DeleteFunc(s.waiters, func(other *waiter[A]) bool { return other == w })
	return err
}

// process lets the engine have one message and does what it says.
func (s *Store[S, A]) process(m *message[A]) {
	switch {
	case m.op != nil:
		m.op()
		return
	case m.kind == isAction:
		if m.track != nil {
			s.after(s.reduceTracked(m))
			break
		}
		s.after(s.engine.Reduce(m.action, engine.Cause{Meta: m.meta}))
	case m.kind == isTick:
		s.armed = time.Time{}
		s.engine.Tick(s.host.config.Runtime.Now())
	default:
		s.fromJob(m)
	}
	s.pump()
}

// reduceTracked reduces an action that a track counts, also if that panics. The
// engine counts it for itself.
func (s *Store[S, A]) reduceTracked(m *message[A]) *engine.Step[A] {
	defer m.track.Done()
	return s.engine.Reduce(m.action, engine.Cause{Meta: m.meta, Track: m.track})
}

// pump reduces until nothing waits. After each step its commands are carried
// out, then it is told.
func (s *Store[S, A]) pump() {
	s.execute()
	for {
		step, ok := s.engine.Next()
		if !ok {
			break
		}
		s.after(step)
	}
	if at, ok := s.engine.Deadline(); ok && (s.armed.IsZero() || at.Before(s.armed)) {
		s.arm(at)
	}
}

// after does what follows a step: its effects start, then all are told.
func (s *Store[S, A]) after(step *engine.Step[A]) {
	if s.scribe != nil {
		s.scribe.step(&s.engine, step)
	}
	s.execute()
	if step.Cause.Track != nil || s.host.config.Hooks.Reduced != nil || s.watch.Load() != nil {
		s.tell(step)
	}
}

// arm sets the timer to go off at the given time.
func (s *Store[S, A]) arm(at time.Time) {
	rt := s.host.config.Runtime
	s.armed = at
	d := max(0, at.Sub(rt.Now()))
	if s.timer == nil {
		s.timer = rt.AfterFunc(d, func() { s.post(message[A]{kind: isTick}) })
		return
	}
	s.timer.Reset(d)
}
