package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

func scope(name string, key any, e fxOf) fxOf {
	return effect.FromTree(tree.Node[string]{
		Kind: tree.Scope, Key: tree.ScopeKey{Name: name, Key: key}, Group: &tree.Group[string]{Nodes: []tree.Node[string]{effect.Tree(e)}},
	})
}

// prune says that only the children of present keys are still there.
func prune(name string, present ...any) fxOf {
	return effect.FromTree(tree.Node[string]{Kind: tree.Prune, Key: tree.Gone{Name: name, Present: func(key any) bool {
		for _, k := range present {
			if k == key {
				return true
			}
		}
		return false
	}}})
}

func TestKeysOfScopesAreApart(t *testing.T) {
	t.Parallel()
	k := effect.Key("k", effect.Latest)
	r := newRig(t, causes{
		"go": fx.All(
			do("outside", k),
			scope("child", 1, fx.All(do("one", k), scope("child", 1, do("nested", k)))),
			scope("child", 2, do("two", k)),
			scope("other", 1, do("other", k)),
		),
		"outside again": do("outside", k),
		"cancel one":    scope("child", 1, fx.Cancel("k")),
		"cancel":        fx.Cancel("k"),
		"resume":        scope("child", 2, fx.Resume("k", "resumed")),
		"hold":          fx.Hold("k"),
	})
	r.send("go")
	r.want("go", "start outside", "start one", "start nested", "start two", "start other")
	r.send("outside again", "cancel one", "cancel")
	r.want("outside again", "stop outside", "start outside", "cancel one", "stop one", "cancel", "stop outside")
	r.send("hold", "resume")
	r.want("hold", "resume", "resumed") // a scope's resume does not find the hold outside
	require.Equal(t, 4, r.engine.Open())
}

func TestPruneEndsAllOfAChild(t *testing.T) {
	t.Parallel()
	all := func(name string) fxOf {
		return fx.All(
			do(name+" call"), do(name+" keyed", effect.Key("k")), stream(name+" stream"), fx.Hold("h"),
			fx.After("t", time.Second, name+" tick"), fx.Sequence(do(name+" seq"), do(name+" never")),
			scope("grandchild", 1, fx.Sequence(do(name+" grand"), fx.Send(name+" never"))),
		)
	}
	r := newRig(t, causes{
		"one": scope("child", 1, all("one")), "two": scope("child", 2, all("two")), "other": scope("friend", 1, do("friend")),
		"prune 1": prune("child", 2), "prune 2": prune("child"),
	})
	r.send("one", "two", "one", "other")
	r.log = nil
	r.send("prune 1")
	r.want("prune 1",
		"stop one call", "stop one keyed", "stop one stream", "stop one seq", "stop one grand",
		"stop one call", "stop one keyed", "stop one stream", "stop one seq", "stop one grand")
	r.send("prune 2")
	r.want("prune 2", "stop two call", "stop two keyed", "stop two stream", "stop two seq", "stop two grand")
	r.pass(time.Hour)
	r.reply("friend")
	r.want("got friend")
	r.idle()
}

func TestPruneEndsWhatHasArrived(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"go":    scope("child", 1, fx.All(fx.Send("sent"), do("a"), fx.Sequence(fx.Send("first"), fx.Send("second")))),
		"prune": fx.All(prune("child"), scope("child", 1, do("of a new child"))),
	})
	r.receive("go", Cause{})
	r.engine.Next()
	r.settle("a", nil)
	r.commands()
	r.engine.Receive("prune", Cause{})
	for i := 0; ; i++ { // the prune comes first
		if a, ok := r.engine.Peek(i); !ok {
			require.FailNow(t, "no prune")
		} else if a == "prune" {
			r.engine.Promote(i)
			break
		}
	}
	r.drain()
	r.want("go", "start a", "prune", "start of a new child")
	r.reply("of a new child")
	r.want("got of a new child")
	r.idle()
}

// The very result that makes a child go ends the sequence it came from.
func TestPruneByOwnResult(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]fxOf{"a result": do("a"), "a send": fx.Send("got a"), "a timer": fx.After(nil, 0, "got a")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, causes{"go": scope("child", 1, fx.Sequence(first, do("never"))), "got a": prune("child")})
			r.send("go")
			if name == "a result" {
				r.reply("a")
			}
			r.pass(0)
			require.Equal(t, "got a", r.log[len(r.log)-1])
			r.idle()
		})
	}
}

func TestPruneStartsNothingItEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(fx.All(scope("child", 1, do("a")), prune("child")), do("after"))})
	r.send("go")
	r.want("go", "start after")
}

func TestPruneLooksAtItsOwnLevelOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"go":     fx.All(scope("child", 1, do("outer")), scope("parent", 1, scope("child", 1, do("inner")))),
		"inner":  scope("parent", 1, prune("child")),
		"outer":  prune("child"),
		"parent": prune("parent"),
	})
	r.send("go", "inner")
	r.want("go", "start outer", "start inner", "inner", "stop inner")
	r.send("go", "outer")
	r.want("go", "start outer", "start inner", "outer", "stop outer", "stop outer")
	r.send("parent")
	r.want("parent", "stop inner")
	r.idle()
}

func TestPruneInTheOrderOfStart(t *testing.T) {
	t.Parallel()
	for range 20 { // scopes are in a map
		r := newRig(t, causes{"go": fx.All(
			scope("child", 1, do("a")), scope("child", 2, do("b")), scope("child", 3, do("c")), scope("child", 1, do("d")), scope("child", 4, do("e")),
		), "prune": prune("child", 4)})
		r.send("go", "prune")
		r.want("go", "start a", "start b", "start c", "start d", "start e", "prune", "stop a", "stop b", "stop c", "stop d")
	}
}

func TestKeysOfScopesAreReadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": scope("order", "o1", scope("item", nil, do("a", effect.Key("load"))))})
	r.send("go")
	for task := range r.engine.Tasks() {
		require.Equal(t, "order[o1]/item/load", task.Key.(interface{ String() string }).String())
	}
}

// With the reducers that make scopes.
func TestScopesOfForEach(t *testing.T) {
	t.Parallel()
	type child struct{ n int }
	type state struct{ children map[string]child }
	type action struct{ key, what string }
	var cfx effect.Of[string]
	each := reducer.ForEach("child", func(s *state) map[string]child { return s.children },
		func(a action) (string, string, bool) { return a.key, a.what, a.key != "" },
		func(key, what string) action { return action{key, what} },
		reducer.Func[child, string](func(c *child, what string, _ reducer.Env) effect.Effect[string] {
			c.n++
			if what == "go" {
				return cfx.All(cfx.After("t", time.Second, "tick"), effect.Do(ask{what}, got(what), effect.Key("k", effect.Latest)))
			}
			return cfx.None()
		}))
	// The parent takes the child away before ForEach sees the action for it.
	parent := reducer.Func[state, action](func(s *state, a action, _ reducer.Env) effect.Effect[action] {
		if a.what == "remove" {
			delete(s.children, a.key)
		}
		return effect.Effect[action]{}
	})
	var e Engine[state, action]
	e.Init(&Config[state, action]{Now: func() time.Time { return epoch }, Reducer: reducer.Combine(parent, each)}, 0,
		state{map[string]child{"a": {}, "b": {}}})
	send := func(a action) {
		e.Receive(a, Cause{})
		for {
			if _, ok := e.Next(); !ok {
				return
			}
		}
	}
	send(action{"a", "go"})
	send(action{"b", "go"})
	require.Equal(t, 4, e.Open())
	e.Commands()
	send(action{"a", "remove"})
	require.Equal(t, 2, e.Open())
	ops := []Op{}
	for _, c := range e.Commands() {
		ops = append(ops, c.Op)
	}
	require.Equal(t, []Op{Report, Stop}, ops)
	send(action{"b", "remove"})
	require.NoError(t, leftovers(&e))
}
