package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/reducer"
)

// Observer is called after each action has been reduced and its effects have
// been started, in the order of the actions. The next action waits for it, so
// it must be quick. If it panics it is removed, and counted in Health.
//
// An observer that sends must pass on ctx: what it sends is then caused by the
// action, and is accepted even when the mailbox is full, since the store cannot
// make room while it waits for its observer. For the same reason SendAndSettle,
// Ask, Until and Shutdown of its own store refuse that ctx. View works.
type Observer[S, A any] func(ctx context.Context, e Event[S, A])

// Event is an action that has been reduced.
type Event[S, A any] struct {
	Seq    uint64 // 1 for the store's first
	Action A
	State  *S // as it is now; good during the call, not to be changed
	Meta   reducer.Meta
	Effect effect.Effect[A] // what the reducer returned; see effect.Describe
}

// watch is who looks on: observers, and those who wait for a state.
type watch[S, A any] struct {
	mu        sync.Mutex
	observers []*observer[S, A]
	waiting   []*predicate[S]

	// quiet is true while observers are called: nobody reduces, so a View from
	// anywhere, an observer itself included, need not wait for the owner.
	quiet sync.RWMutex
	still bool
}

type observer[S, A any] struct {
	f       Observer[S, A]
	stopped atomic.Bool
}

type predicate[S any] struct {
	holds func(*S) bool
	met   Signal
	err   error
	gone  bool // who waited has left; under watch.mu
}

// watching returns the store's watch, made on first use.
func (s *Store[S, A]) watching() *watch[S, A] {
	if w := s.watch.Load(); w != nil {
		return w
	}
	s.watch.CompareAndSwap(nil, &watch[S, A]{})
	return s.watch.Load()
}

// Observe calls o after every action from now on. No call begins after stop has
// returned; one that has begun may go on. A nil observer is called by nobody.
func (s *Store[S, A]) Observe(o Observer[S, A]) (stop func()) {
	if o == nil {
		return func() {}
	}
	w := s.watching()
	made := &observer[S, A]{f: o}
	w.mu.Lock()
	w.observers = append(slices.Clone(w.observers), made)
	w.mu.Unlock()
	return func() {
		made.stopped.Store(true)
		w.remove(made)
	}
}

func (w *watch[S, A]) remove(o *observer[S, A]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observers = slices.DeleteFunc(slices.Clone(w.observers), func(other *observer[S, A]) bool { return other == o })
}

// peek runs f if the state stands still.
func (w *watch[S, A]) peek(f func()) bool {
	w.quiet.RLock()
	defer w.quiet.RUnlock()
	if w.still {
		f()
	}
	return w.still
}

func (w *watch[S, A]) setStill(still bool) {
	w.quiet.Lock()
	w.still = still
	w.quiet.Unlock()
}

// tell lets all know of a step who want to: it comes after its effects started.
func (s *Store[S, A]) tell(step *engine.Step[A]) {
	if hook := s.host.config.Hooks.Reduced; hook != nil {
		s.share()
		s.host.guard(func() {
			hook(StepInfo{Store: s.host.config.Name, Key: s.key, Seq: step.Seq, Action: step.Action, Meta: s.engine.Meta(step.Seq, step.Cause)})
		})
	}
	if w := s.watch.Load(); w != nil {
		w.mu.Lock()
		observers := w.observers
		w.mu.Unlock()
		if len(observers) > 0 {
			s.share()
			s.show(w, observers, step)
		}
		w.check(&s.engine.State)
	}
	// Last, so that who gets an answer finds that all others have seen it.
	for t := step.Cause.Track; t != nil; t = t.Parent {
		if w, ok := t.Watch.(asker[A]); ok {
			w.see(s, step.Action)
		}
	}
}

func (s *Store[S, A]) show(w *watch[S, A], observers []*observer[S, A], step *engine.Step[A]) {
	e := Event[S, A]{Seq: step.Seq, Action: step.Action, State: &s.engine.State, Meta: s.engine.Meta(step.Seq, step.Cause), Effect: step.Effect}
	ctx := &observerContext{Context: context.Background(), store: s, runtime: s.host.config.Runtime, meta: e.Meta, track: step.Cause.Track}
	w.setStill(true)
	defer w.setStill(false)
	defer ctx.end()
	for _, o := range observers {
		if o.stopped.Load() {
			continue
		}
		if s.host.guard(func() { o.f(ctx, e) }) {
			o.stopped.Store(true)
			w.remove(o)
		}
	}
}

// observerContext is what observers are given to send with. When they have
// returned it is one like any other, with the action's metadata.
type observerContext struct {
	context.Context //nolint:containedctx // it is one
	store           any
	runtime         Runtime
	meta            reducer.Meta
	track           *engine.Track

	mu   sync.Mutex
	over bool
}

func (c *observerContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
}

// join counts on the engine, which counts the step until the next.
func (c *observerContext) join() *engine.Track {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil
	}
	c.track.Add()
	return c.track
}

func (c *observerContext) Value(key any) any {
	switch key.(type) {
	case ownerKey:
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.over {
			return c.store
		}
	case runtimeKey:
		return c.runtime
	case trackKey:
		return c
	default:
		if key == reducer.MetaKey() {
			return func() reducer.Meta { return c.meta }
		}
	}
	return nil
}

// notOwner refuses a wait for the store by its own observer.
func (s *Store[S, A]) notOwner(ctx context.Context, what string) error {
	if ctx.Value(ownerKey{}) == any(s) {
		return fmt.Errorf("store %q: %s by an observer of the store, which waits for it", s.host.config.Name, what)
	}
	return nil
}

// Until waits until pred holds of the state: now, or after some action. It
// returns the context's error when that ends first, [ErrClosed] or a
// *[StoppedError] when the store does, and a panic of pred as an error. pred is
// called in the store's turn; it must be quick and not keep the pointer.
func (s *Store[S, A]) Until(ctx context.Context, pred func(*S) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if pred == nil {
		return fmt.Errorf("store %q: Until: predicate is nil", s.host.config.Name)
	}
	if err := s.notOwner(ctx, "Until"); err != nil {
		return err
	}
	w := s.watching()
	p := &predicate[S]{holds: pred, met: s.host.config.Runtime.NewSignal()}
	if !s.post(message[A]{op: func() { w.add(p, &s.engine.State) }}) {
		if held := View(s, func(state *S) bool { return p.test(state) }); held {
			return p.err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.refusal()
	}
	if err := wait(ctx, p.met); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		p.gone = true
		w.waiting = slices.DeleteFunc(w.waiting, func(other *predicate[S]) bool { return other == p })
		return err
	}
	if p.err == errUnmet { //nolint:errorlint // the sentinel itself
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.refusal()
	}
	return p.err
}

// errUnmet ends the wait of a predicate whose store has closed.
var errUnmet = fmt.Errorf("unmet: %w", ErrClosed)

// test evaluates the predicate; a panic counts as met, with an error.
func (p *predicate[S]) test(state *S) (met bool) {
	defer func() {
		if v := recover(); v != nil {
			p.err, met = &effect.PanicError{Value: v, Stack: debug.Stack()}, true
		}
	}()
	return p.holds(state)
}

func (w *watch[S, A]) add(p *predicate[S], state *S) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.gone:
	case p.test(state):
		p.met.Fire()
	default:
		w.waiting = append(w.waiting, p)
	}
}

// check tries the predicates on a new state.
func (w *watch[S, A]) check(state *S) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(p *predicate[S]) bool {
		met := p.test(state)
		if met {
			p.met.Fire()
		}
		return met
	})
}

func (w *watch[S, A]) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.waiting {
		p.err = errUnmet
		p.met.Fire()
	}
	w.waiting = nil
}
