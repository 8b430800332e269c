package reducer

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

// ErrNoChild is what an action for a child that is not there is reported as:
// a dead letter in a store, a failure in a test.
var ErrNoChild = errors.New("no such child")

// Combine runs reducers one after another on the same state and action. Their
// effects run side by side. A nil reducer panics when Combine is called.
func Combine[S, A any](reducers ...Reducer[S, A]) Reducer[S, A] {
	for i, r := range reducers {
		mustReducer(r, fmt.Sprintf("reducer.Combine: reducer %d", i))
	}
	reducers = slices.Clone(reducers)
	return Func[S, A](func(state *S, action A, env Env) effect.Effect[A] {
		var fx effect.Of[A]
		switch len(reducers) {
		case 0:
			return fx.None()
		case 1:
			return reducers[0].Reduce(state, action, env)
		case 2:
			first := reducers[0].Reduce(state, action, env)
			return fx.All(first, reducers[1].Reduce(state, action, env))
		}
		all := make([]effect.Effect[A], len(reducers))
		for i, r := range reducers {
			all[i] = r.Reduce(state, action, env)
		}
		return fx.All(all...)
	})
}

// Scope runs child on the part of the state that get finds, for the actions
// that in takes out of the parent's; out makes the child's actions the parent's
// again. The child's keys are its own: name keeps them apart from those of the
// parent and of its other children, whose names must differ. get must not return
// nil; for a child that may be missing there is [IfPresent]. Scope panics if a
// function or child is nil.
func Scope[S, A, CS, CA any](name string, get func(*S) *CS, in func(A) (CA, bool), out func(CA) A, child Reducer[CS, CA]) Reducer[S, A] {
	mustParts("reducer.Scope", name, get == nil || in == nil || out == nil)
	mustReducer(child, "reducer.Scope "+name)
	return Func[S, A](func(state *S, action A, env Env) effect.Effect[A] {
		a, ok := in(action)
		if !ok {
			return effect.Effect[A]{}
		}
		return scoped(tree.ScopeKey{Name: name}, child.Reduce(get(state), a, env), out)
	})
}

// IfPresent is [Scope] for a child that may be missing: get then returns nil.
// An action for a missing child is reported as [ErrNoChild].
//
// When the child disappears from the state, its effects are cancelled, in the
// step that took it away; inside of another child, in the next step of that. A
// child that another takes the place of has not disappeared.
func IfPresent[S, A, CS, CA any](name string, get func(*S) *CS, in func(A) (CA, bool), out func(CA) A, child Reducer[CS, CA]) Reducer[S, A] {
	mustParts("reducer.IfPresent", name, get == nil || in == nil || out == nil)
	mustReducer(child, "reducer.IfPresent "+name)
	return Func[S, A](func(state *S, action A, env Env) effect.Effect[A] {
		gone := prune[A](tree.Gone{Name: name, Present: func(any) bool { return get(state) != nil }})
		a, ok := in(action)
		if !ok {
			return gone
		}
		var fx effect.Of[A]
		c := get(state)
		if c == nil {
			return fx.All(noChild(action, name), gone)
		}
		return fx.All(scoped(tree.ScopeKey{Name: name}, child.Reduce(c, a, env), out), gone)
	})
}

// ForEach runs child on one of the children that the map found by get holds,
// for the actions that in takes out of the parent's; in says for which child
// they are, and out makes the child's actions the parent's again. Each child's
// keys are its own. An action for a missing child is reported as [ErrNoChild].
// When a child disappears from the map its effects are cancelled, as with
// [IfPresent].
//
// child works on a copy of the map's value, which is put back when it has
// returned. Each step looks at the children that have effects running. For very many at
// once, use a store.Keyed with a store for each.
func ForEach[S, A, CS, CA any, K comparable](name string, get func(*S) map[K]CS, in func(A) (K, CA, bool), out func(K, CA) A, child Reducer[CS, CA]) Reducer[S, A] {
	mustParts("reducer.ForEach", name, get == nil || in == nil || out == nil)
	mustReducer(child, "reducer.ForEach "+name)
	return Func[S, A](func(state *S, action A, env Env) effect.Effect[A] {
		gone := prune[A](tree.Gone{Name: name, Present: func(key any) bool {
			k, ok := key.(K)
			if ok {
				_, ok = get(state)[k]
			}
			return ok
		}})
		key, a, ok := in(action)
		if !ok {
			return gone
		}
		var fx effect.Of[A]
		children := get(state)
		c, ok := children[key]
		if !ok {
			return fx.All(noChild(action, fmt.Sprintf("%s[%v]", name, key)), gone)
		}
		e := child.Reduce(&c, a, env)
		children[key] = c
		return fx.All(scoped(tree.ScopeKey{Name: name, Key: key}, e, func(a CA) A { return out(key, a) }), gone)
	})
}

func scoped[A, CA any](key tree.ScopeKey, e effect.Effect[CA], out func(CA) A) effect.Effect[A] {
	n := effect.Tree(effect.Map(e, out))
	if n.Kind == tree.None {
		return effect.Effect[A]{}
	}
	kid := tree.NewGroup[A](1)
	kid.Nodes = append(kid.Nodes, n)
	return effect.FromTree(tree.Node[A]{Kind: tree.Scope, Key: key, Group: kid})
}

func prune[A any](gone tree.Gone) effect.Effect[A] {
	return effect.FromTree(tree.Node[A]{Kind: tree.Prune, Key: gone})
}

func noChild[A any](action A, child string) effect.Effect[A] {
	return effect.FromTree(tree.Node[A]{
		Kind: tree.Fault, Key: fmt.Errorf("%w: %s", ErrNoChild, child), Action: action,
	})
}

// mustReducer panics on nil reducers, which are mistakes in wiring, before any
// action is lost to one.
func mustReducer(r any, what string) {
	if IsNil(r) {
		panic(what + ": nil reducer")
	}
}

func mustParts(what, name string, missing bool) {
	if missing {
		panic(what + " " + name + ": nil function")
	}
}

// IsNil tells whether a reducer is nil or holds a nil pointer or function.
func IsNil(r any) bool {
	if r == nil {
		return true
	}
	v := reflect.ValueOf(r)
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil()
}
