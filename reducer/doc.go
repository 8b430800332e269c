// Package reducer has the pure half of a program: functions that decide what an
// action does to a state, and what work follows.
//
// # A reducer
//
// A [Reducer] is given a state, an action and an [Env], changes the state and
// returns an effect:
//
//	func (Reducer) Reduce(s *State, a Action, env reducer.Env) effect.Effect[Action] {
//		switch a := a.(type) {
//		case Reserve:
//			s.Since = env.Now()
//			return effect.Do(LoadSection{a.Event, a.Section}, onLoaded)
//		case Loaded:
//			s.Free = a.Inventory.Free
//		}
//		return fx.None()
//	}
//
// A function of that shape is one as a [Func]. It is pure: the same state, action
// and env give the same state and effect. It reads no clock and no random number,
// waits for nothing and starts nothing; what it needs of the world it asks for
// with an effect, and is told by an action. That is what lets a store run it
// under a lock, a test call it without a store, and a journal be replayed.
//
// # What it may know
//
// [Env] is data about this step, recorded with it. Now is the time. NewID gives
// ids that are derived from the action's, so a replay draws the same. Meta says
// which action this is, what caused it, and for whom: the [Meta] of an action
// goes along to everything it causes, timers and handlers included. A sender
// gives it with [WithMeta], a handler reads it with [MetaFrom].
//
// By hand, as in a table test, a reducer is called with a [Fixed] env:
//
//	env := reducer.NewEnv(&reducer.Fixed{Time: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)})
//	e := Reducer{}.Reduce(&state, Reserve{"e1", "A"}, env)
//
// # Small reducers make large ones
//
// [Combine] runs several reducers on the same state and action.
//
// [Scope] runs a child on a part of the state. The child has a state and actions
// of its own, and knows nothing of its parent: in takes its actions out of the
// parent's, out puts them back in.
//
//	reducer.Scope("cart",
//		func(s *Shop) *Cart { return &s.Cart },
//		func(a Action) (CartAction, bool) { c, ok := a.(InCart); return c.Action, ok },
//		func(a CartAction) Action { return InCart{a} },
//		CartReducer{})
//
// [IfPresent] does so for a child that may be missing, [ForEach] for a map of
// children. Both cancel the effects of a child that has gone, and report an
// action for one that is not there as [ErrNoChild].
//
// The keys of a child's effects are its own: two children may both use "load",
// and cancel only what is theirs.
//
// # Concurrency
//
// A reducer is called by one store at a time for each state, and by many stores
// at once for different states. It has no fields that change.
package reducer
