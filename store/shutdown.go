package store

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// ending is how a store comes to its end.
type ending struct {
	done Signal // fired when nothing is owned any more
	err  error  // why, once done; nil after a shutdown that finished
}

// Shutdown refuses actions from outside, lets what goes on finish (effects,
// timers and holds, and all that they cause) and closes the store. When ctx
// ends before that, it cancels what is left and returns an *[AbandonedError]
// that lists it; handlers that do not heed their context may then still run.
//
// Timers are waited for too: a reducer that starts long ones should be sent an
// action that cancels them, or ctx should end.
//
// Shutdown may be called again, and by several; all return the same. After a
// panic it returns the *[StoppedError]. A handler, an observer or a hook of the
// store must not call it: it would wait for itself.
func (s *Store[S, A]) Shutdown(ctx context.Context) error {
	if err := s.notOwner(ctx, "Shutdown"); err != nil {
		return err
	}
	s.mu.Lock()
	if s.end == nil {
		s.beginEnd(ErrClosed)
	}
	end := s.end
	s.put(message[A]{op: func() {}}) // so that an owner looks
	if wait(ctx, end.done) == nil {
		return end.err
	}
	cause := context.Cause(ctx)
	s.post(message[A]{op: func() { s.abandon(cause) }})
	_ = end.done.Wait(context.Background())
	return end.err
}

// beginEnd refuses what is outside. It is called with mu held.
func (s *Store[S, A]) beginEnd(refusal error) {
	s.end = &ending{done: s.host.config.Runtime.NewSignal()}
	s.refuse.Store(true)
	for _, w := range s.waiters {
		w.err = refusal
		w.room.Fire()
	}
	s.waiters = nil
}

// refusal is why an action from outside is not accepted. It is called with mu
// held.
func (s *Store[S, A]) refusal() error {
	if s.end != nil && s.end.err != nil {
		if _, stopped := s.end.err.(*StoppedError); stopped || s.end.err == errPassivated { //nolint:errorlint // set by this package, never wrapped
			return s.end.err
		}
	}
	return ErrClosed
}

// finished closes the store if nothing is left to do. It is the owner's.
func (s *Store[S, A]) finished() bool {
	if s.word.Load() == closed {
		return true
	}
	if !s.engine.Idle() || s.active > 0 {
		return false
	}
	s.mu.Lock()
	if len(s.in) > 0 {
		s.mu.Unlock()
		return false
	}
	s.close(nil)
	return true
}

// close ends the ownership for good. It is called by the owner with mu held,
// and releases it.
func (s *Store[S, A]) close(err error) {
	if s.end == nil {
		s.beginEnd(err)
	}
	s.refuse.Store(true)
	s.end.err = err
	s.out, s.outAt, s.in = nil, 0, nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.word.Store(closed)
	end := s.end
	s.mu.Unlock()
	defer end.done.Fire()
	if s.scribe != nil {
		_ = s.scribe.j.Flush() // kept in Err
	}
	if w := s.watch.Load(); w != nil {
		w.close()
	}
	if !s.host.many {
		s.host.pool.close()
	}
	if stopped := s.host.config.Hooks.Stopped; stopped != nil && err != errPassivated { //nolint:errorlint // the sentinel itself
		s.host.guard(func() { stopped(s.host.config.Name, err) })
	}
}

// abandon closes the store with work left. It is the owner's.
func (s *Store[S, A]) abandon(cause error) {
	if s.left || s.word.Load() == closed {
		return
	}
	if s.engine.Idle() && s.active == 0 {
		return // it finished after all, and will be closed as such
	}
	err := &AbandonedError{Cause: cause, Running: s.active}
	s.leave(err, &err.Abandoned)
}

// crashed closes the store after a panic. It is the owner's.
func (s *Store[S, A]) crashed(value any) {
	if s.word.Load() == closed { // it was a hook that was told of the end
		return
	}
	if value == nil {
		value = "runtime.Goexit was called"
	}
	s.host.crashes.Add(1)
	err := &StoppedError{Store: s.host.config.Name, Key: s.key, State: &s.engine.State, Value: value, Stack: debug.Stack()}
	err.During, err.Action = s.engine.Doing()
	if action, ok := err.Action.(A); ok && s.scribe != nil {
		s.scribe.panicked(&s.engine, action, s.engine.Reducing(), value)
	}
	var list []Abandoned
	s.leave(err, &list)
}

// leave makes dead letters of all that goes on and closes the store with err.
func (s *Store[S, A]) leave(err error, list *[]Abandoned) {
	s.left = true
	s.mu.Lock()
	if s.end == nil {
		s.beginEnd(err)
	}
	s.end.err = err // those who are refused from here on are told
	s.mu.Unlock()
	for t := range s.engine.Tasks() {
		a := Abandoned{StoreKey: s.key, Key: t.Key, Meta: s.engine.Meta(t.Cause.Parent, t.Cause)}
		letter := DeadLetter[A]{Err: err, Meta: a.Meta, Key: t.Key}
		switch {
		case t.Call != nil:
			a.Kind, a.Name, a.Request = kindOf(t.Call), t.Call.Name(), t.Call.Request()
			letter.call = t.Call
		case t.State == engine.Held:
			a.Kind = "hold"
		default:
			a.Kind, a.Action = "timer", t.Action
			letter.Action, letter.HasAction = t.Action, true
		}
		*list = append(*list, a)
		if a.Kind != "hold" {
			s.bury(letter)
		}
	}
	for _, j := range s.jobs { // before their tracks settle: see job.join
		if j != nil {
			j.cancel()
		}
	}
	s.engine.Abandon(err)
	s.engine.Commands()
	rest := s.out[s.outAt:]
	for {
		for i := range rest {
			s.drop(&rest[i], err, list)
		}
		s.mu.Lock()
		if len(s.in) == 0 {
			s.close(err)
			return
		}
		rest = s.in
		s.in, s.outside = nil, 0
		s.word.Store(owned)
		s.mu.Unlock()
	}
}

// drop does with a message what can be done when nothing is reduced any more.
func (s *Store[S, A]) drop(m *message[A], err error, list *[]Abandoned) {
	switch {
	case m.op != nil:
		m.op()
	case m.kind == isAction:
		var meta reducer.Meta
		if m.meta != nil {
			meta = *m.meta
		}
		*list = append(*list, Abandoned{Kind: "action", StoreKey: s.key, Action: m.action, Meta: meta})
		s.bury(DeadLetter[A]{Err: err, Action: m.action, HasAction: true, Meta: meta, outside: true})
		m.track.Fail(err)
		m.track.Done()
	}
}

// fault makes a dead letter of what came to nothing.
func (s *Store[S, A]) fault(c *engine.Command[A]) {
	f := c.Fault
	s.bury(DeadLetter[A]{
		Err: f.Err, Action: f.Action, HasAction: f.HasAction, Key: f.Key, call: f.Call,
		Meta: s.engine.Meta(c.Cause.Parent, c.Cause),
	})
}

// describe gives a call as data.
func describe[A any](c tree.Call[A]) effect.Description {
	return effect.DescribeTree(tree.Node[A]{Kind: tree.Run, Call: c})
}

var errPassivated = fmt.Errorf("passivated: %w", ErrClosed)
