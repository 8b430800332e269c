package recorder

import (
	"errors"
	"slices"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

// State is that of a recorded store.
type State[S, A any] struct {
	// Stream is the name of the store's stream.
	Stream string
	// Inner is the state of the wrapped reducer, after Version events.
	Inner   S
	Version eventstore.Version
	// Committed is how many events the stream has, as far as is known.
	Committed eventstore.Version
	// Line has the actions that wait, in their order, OnTheWay how many of them
	// are being appended, Taken how many were ever taken up.
	Line     []Entry[A]
	OnTheWay int
	Taken    int
	// Busy tells that an append or a load is on its way.
	Busy bool
	// Settled tells that an append of this store's was committed, Resumed that
	// it has taken up what its past has left.
	Settled, Resumed bool
	// Halted is why the store does not go on, "" if it does.
	Halted string
}

// Config is what may be said about a recorder. The zero value works.
type Config[S, A any] struct {
	// Tells finds actions that change nothing, and need no record. The default
	// is none.
	Tells func(A) bool
	// Resume returns the action with which a store goes on that another process
	// has left in that state, if there is anything to do: what was on its way is
	// to be asked for again. The default is that there never is.
	Resume func(*S) (a A, ok bool)
}

// Reducer records the actions of another reducer before it reduces them.
type Reducer[S, A any] struct {
	config Config[S, A]
	// inner is the wrapped reducer as a child, which is gone when the store has
	// halted: what goes on in it is cancelled then.
	inner reducer.Reducer[State[S, A], Action[A]]
}

// New makes a reducer that records the actions of inner.
func New[S, A any](inner reducer.Reducer[S, A], config Config[S, A]) Reducer[S, A] {
	if config.Tells == nil {
		config.Tells = func(A) bool { return false }
	}
	if config.Resume == nil {
		config.Resume = func(*S) (none A, ok bool) { return none, false }
	}
	return Reducer[S, A]{config, reducer.IfPresent("recorded",
		func(s *State[S, A]) *S {
			if s.Halted != "" {
				return nil
			}
			return &s.Inner
		},
		func(action Action[A]) (a A, ok bool) {
			switch action := action.(type) {
			case Given[A]:
				return action.Action, true
			case Recorded[A]:
				return action.Entry.Action, true
			}
			return a, false
		},
		Give[A],
		inner)}
}

// maxEntries is how many actions share an append.
const maxEntries = 1000

// Reduce implements reducer.Reducer.
func (r Reducer[S, A]) Reduce(s *State[S, A], action Action[A], env reducer.Env) effect.Effect[Action[A]] {
	var fx effect.Of[Action[A]]
	if s.Halted != "" {
		return fx.None() // whoever asked hears that there is no answer
	}
	switch a := action.(type) {
	case Given[A]:
		if r.config.Tells(a.Action) {
			return r.inner.Reduce(s, a, env)
		}
		return take(s, a.Action, env)
	case Recorded[A]:
		return r.Replay(s, a.Entry)
	case Wake[A]:
		if s.Busy || s.Settled {
			return fx.None() // it is awake
		}
		return load(s)
	case Appended[A]:
		return appended(s)
	case Loaded[A]:
		return r.loaded(s, a.Entries, env)
	case NotAppended[A]:
		var conflict *eventstore.ConflictError
		if errors.As(a.Err, &conflict) && !s.Settled && conflict.Actual > s.Version {
			return load(s)
		}
		s.Halted = a.Err.Error()
	case NotLoaded[A]:
		s.Halted = a.Err.Error()
	}
	return fx.All(
		giveUp(s),
		r.inner.Reduce(s, action, env), // it is gone, and its effects with it
		effect.Fire[Action[A]](Halt{s.Stream, s.Halted}, persistently()))
}

// Reduces returns the action of the wrapped reducer that is reduced with this
// one of the store: each of them once.
func (r Reducer[S, A]) Reduces(action any) (a A, ok bool) {
	switch action := action.(type) {
	case Recorded[A]:
		return action.Entry.Action, true
	case Given[A]:
		return action.Action, r.config.Tells(action.Action)
	}
	return a, false
}

// Resumes tells whether the state is one that has something to do when it was
// left by another process: [Wake] has its store do it.
func (r Reducer[S, A]) Resumes(s *State[S, A]) bool {
	_, ok := r.config.Resume(&s.Inner)
	return ok
}

// take puts an action in line for the log.
func take[S, A any](s *State[S, A], a A, env reducer.Env) effect.Effect[Action[A]] {
	var fx effect.Of[Action[A]]
	s.Line = append(s.Line, entryOf(a, env))
	s.Taken++
	hold := fx.Hold(s.place(len(s.Line) - 1))
	if s.Busy {
		return hold
	}
	return fx.All(hold, write(s))
}

func entryOf[A any](a A, env reducer.Env) Entry[A] {
	e := Entry[A]{a, env.Now(), env.Meta()}
	e.Meta.Tenant = "" // is not recorded: the log is that of one
	return e
}

// place is the key under which an action waits: its number.
type place int

// place is that of the ith in line.
func (s *State[S, A]) place(i int) place { return place(s.Taken - len(s.Line) + i) }

// write appends what stands in line.
func write[S, A any](s *State[S, A]) effect.Effect[Action[A]] {
	s.Busy, s.OnTheWay = true, min(len(s.Line), maxEntries)
	return effect.Do(Append[A]{s.Stream, s.Committed, slices.Clone(s.Line[:s.OnTheWay])},
		func(r effect.Result[struct{}]) Action[A] {
			if r.Err != nil {
				return NotAppended[A]{r.Err}
			}
			return Appended[A]{}
		}, persistently())
}

// load reads what others have written to the stream.
func load[S, A any](s *State[S, A]) effect.Effect[Action[A]] {
	s.Busy, s.OnTheWay = true, 0
	return effect.Do(Load[A]{s.Stream, s.Version}, func(r effect.Result[[]Entry[A]]) Action[A] {
		if r.Err != nil {
			return NotLoaded[A]{r.Err}
		}
		return Loaded[A]{r.Value}
	}, persistently())
}

// persistently is for requests that must come to their end.
func persistently() effect.Option {
	return effect.Retry(effect.RetryPolicy{Attempts: 1000, MaxDelay: time.Minute})
}

// appended lets go on what is in the log now, each action in its own place, and
// appends what has come meanwhile.
func appended[S, A any](s *State[S, A]) effect.Effect[Action[A]] {
	var fx effect.Of[Action[A]]
	all := make([]effect.Effect[Action[A]], s.OnTheWay, s.OnTheWay+1)
	for i, e := range s.Line[:s.OnTheWay] {
		all[i] = fx.Resume(s.place(i), Recorded[A]{e})
	}
	s.Settled = true
	s.Committed += eventstore.Version(s.OnTheWay)
	s.Line = slices.Clone(s.Line[s.OnTheWay:])
	s.Busy, s.OnTheWay = false, 0
	if len(s.Line) > 0 {
		all = append(all, write(s))
	}
	return fx.All(all...)
}

// Replay reduces an action that is in the log. To have a state again, all of its
// stream's are replayed in their order, and their effects left alone.
func (r Reducer[S, A]) Replay(s *State[S, A], e Entry[A]) effect.Effect[Action[A]] {
	s.Version++
	s.Committed = max(s.Committed, s.Version)
	return r.inner.Reduce(s, Recorded[A]{e}, e.env())
}

// loaded makes the state that of the log. What others have begun and not ended
// is taken up first, and then what stands in line.
func (r Reducer[S, A]) loaded(s *State[S, A], entries []Entry[A], env reducer.Env) effect.Effect[Action[A]] {
	var fx effect.Of[Action[A]]
	for _, e := range entries {
		r.Replay(s, e)
	}
	if a, ok := r.config.Resume(&s.Inner); ok && !s.Resumed {
		s.Resumed = true
		s.Line = slices.Insert(s.Line, 0, entryOf(a, env)) // nobody waits for it
	}
	if s.Busy = false; len(s.Line) == 0 {
		return fx.None()
	}
	return write(s)
}

// giveUp lets nobody wait any more.
func giveUp[S, A any](s *State[S, A]) effect.Effect[Action[A]] {
	var fx effect.Of[Action[A]]
	all := make([]effect.Effect[Action[A]], len(s.Line))
	for i := range s.Line {
		all[i] = fx.Cancel(s.place(i))
	}
	s.Line, s.OnTheWay, s.Busy = nil, 0, false
	return fx.All(all...)
}
