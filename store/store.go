package store

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// Store holds a state and runs a reducer on it. Its methods may be called from
// any goroutine.
type Store[S, A any] struct {
	host *host[S, A]
	key  any // of a keyed store's

	// word says who may touch what is owned: see mailbox.go.
	word   atomic.Uint32
	refuse atomic.Bool // actions from outside are refused: shutting down

	mu      sync.Mutex
	in      []message[A] // what waits for the owner
	outside int          // of those, actions from outside
	waiters []*waiter[A] // sends that wait for room
	end     *ending      // set once by shutdown, panic or passivation

	// What follows is the owner's.
	engine engine.Engine[S, A]
	out    []message[A] // taken from in, being processed from outAt
	outAt  int
	jobs   []*job[S, A] // at work, by the task's slot
	active int          // handlers that have not returned, cancelled ones too
	last   *job[S, A]   // whose goroutine is the owner, and goes on with other work; nil for none
	left   bool         // all that goes on has been abandoned
	timer  Timer
	armed  time.Time // what the timer is set to

	watch atomic.Pointer[watch[S, A]] // observers and predicates, nil for none

	scribe *scribe[S, A] // the owner's; nil without a journal
}

// host is what the stores of one Keyed have in common; a Store has its own.
type host[S, A any] struct {
	config   Config
	engine   engine.Config[S, A]
	handlers map[reflect.Type]*tree.Handler
	pool     *pool
	letters  deadLetters[A]
	hash     *fingerprint.Type[S] // with a journal
	panics   atomic.Int64         // of observers and hooks
	crashes  atomic.Int64         // stores stopped by a panic
	many     bool                 // a keyed store's

	// prompt is set where immediate handlers are called in the store's turn: no
	// hook is called around them, which may wait, and no simulation is to see
	// them in every order.
	prompt bool

	// simulated is set where runs are to repeat: nothing may follow the order
	// of a map.
	simulated bool
}

// New makes a store. It runs until [Store.Shutdown].
func New[S, A any](initial S, r reducer.Reducer[S, A], cfg Config) (*Store[S, A], error) {
	h, err := newHost(r, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store[S, A]{host: h}
	s.engine.Init(&h.engine, 0, initial)
	if h.hash != nil {
		s.scribe = newScribe(h, nil, &s.engine.State)
	}
	return s, nil
}

func newHost[S, A any](r reducer.Reducer[S, A], cfg Config) (*host[S, A], error) {
	cfg = cfg.withDefaults()
	handlers, err := cfg.validate(r)
	if err != nil {
		return nil, err
	}
	h := &host[S, A]{config: cfg, handlers: handlers}
	h.engine = engine.Config[S, A]{Reducer: r, ID: cfg.ID, Now: cfg.Runtime.Now}
	if cfg.Journal != nil {
		if h.hash, err = fingerprint.For[S](); err != nil {
			return nil, fmt.Errorf("store %q: Config.Journal: %w", cfg.Name, err)
		}
	}
	_, live := cfg.Runtime.(realRuntime)
	h.simulated = !live
	h.prompt = live && cfg.Hooks.EffectContext == nil && cfg.Hooks.EffectEnded == nil
	idle := idleWorkers
	if !live {
		idle = 0 // a worker that waits for work would be unseen by the runtime
	}
	h.pool = newPool(cfg.Runtime, cfg.Workers, idle)
	h.letters.limit = cfg.DeadLetters
	return h, nil
}

// idleWorkers is how many goroutines a store keeps for work to come.
const idleWorkers = 4

// Send hands the store an action. It returns nil when the action is accepted:
// it will be reduced, after those that this goroutine sent before it. Often it
// has been when Send returns, since a sender that finds the store idle reduces
// on its own goroutine.
//
// It returns the context's error, [ErrMailboxFull], [ErrClosed] or a
// *[StoppedError], and then the action is not and will not be reduced.
// Metadata that ctx carries (reducer.WithMeta) goes with the action.
func (s *Store[S, A]) Send(ctx context.Context, a A) error {
	if ctx == context.Background() { // the common case, without a lookup
		if s.word.CompareAndSwap(idle, owned) {
			if !s.refuse.Load() {
				s.own(&message[A]{action: a})
				return nil
			}
			s.disown()
		}
		return s.admit(ctx, message[A]{action: a})
	}
	return s.send(ctx, a, nil)
}

// send is Send with a track.
func (s *Store[S, A]) send(ctx context.Context, a A, t *engine.Track) error {
	m := message[A]{action: a, meta: origin(ctx), track: t}
	if t != nil {
		t.Add()
	} else {
		m.track = join(ctx)
	}
	if err := ctx.Err(); err != nil {
		m.track.Done()
		return err
	}
	if s.word.CompareAndSwap(idle, owned) {
		if !s.refuse.Load() {
			s.own(&m)
			return nil
		}
		s.disown()
	}
	err := s.admit(ctx, m)
	if err != nil {
		m.track.Done()
	}
	return err
}

// origin is the metadata that an action sent with ctx starts from.
func origin(ctx context.Context) *reducer.Meta {
	switch m := ctx.Value(reducer.MetaKey()).(type) {
	case *reducer.Meta:
		return m
	case func() reducer.Meta: // a handler's: its action is the cause
		meta := m()
		meta.CausationID, meta.ActionID = meta.ActionID, uuid.Nil
		return &meta
	}
	return nil
}

// member is a context whose sends are part of something that a track counts.
type member interface {
	// join counts one more in that track and returns it: nil if there is none,
	// or if what the context was made for has ended, so that a settled track is
	// never raised again.
	join() *engine.Track
}

func join(ctx context.Context) *engine.Track {
	if m, ok := ctx.Value(trackKey{}).(member); ok {
		return m.join()
	}
	return nil
}

type (
	trackKey struct{}
	poolKey  struct{} // the job, which gives up its place while it waits
	ownerKey struct{} // the store, for its observers
)

// View calls f with the state, between two actions, and returns what it
// returns. f must not keep the pointer or change what it points to, and must
// not call View. It works after shutdown too, on the last state.
func View[S, A, T any](s *Store[S, A], f func(*S) T) T {
	var result T
	s.view(func(state *S) { result = f(state) })
	return result
}

func (s *Store[S, A]) view(f func(*S)) {
	if s.word.CompareAndSwap(idle, owned) {
		defer s.disown()
		f(&s.engine.State)
		return
	}
	if w := s.watch.Load(); w != nil && w.peek(func() { f(&s.engine.State) }) {
		return
	}
	done := s.host.config.Runtime.NewSignal()
	var panicked any
	look := func() {
		defer done.Fire()
		defer func() { panicked = recover() }()
		f(&s.engine.State)
	}
	if !s.post(message[A]{op: look}) {
		s.mu.Lock() // closed: there is no owner any more
		defer s.mu.Unlock()
		f(&s.engine.State)
		return
	}
	_ = done.Wait(context.Background())
	if panicked != nil {
		panic(panicked)
	}
}
