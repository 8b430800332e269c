package reducer_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/reducer"
)

// The tests have a shop with one cart, perhaps a visitor, and orders by id, each
// with items by number. All of them run the same child.

type part struct {
	Seen  []string
	Items map[int]part
}

type shop struct {
	Cart    part
	Visitor *part
	Orders  map[string]part
}

type to struct {
	Path []any // "cart", "visitor", an order's id and perhaps an item's number
	What string
}

var sfx effect.Of[to]

type load struct{ What string }

func (load) Returns(int) {}

var cfx effect.Of[to]

// child is the reducer of every part. Its own actions have an empty path.
var child = reducer.Func[part, to](func(p *part, a to, _ reducer.Env) effect.Effect[to] {
	p.Seen = append(p.Seen, a.What)
	switch a.What {
	case "load":
		return effect.Do(load{"x"}, func(effect.Result[int]) to { return to{What: "loaded"} }, effect.Key("k", effect.Latest))
	case "wait":
		return cfx.After("t", time.Second, to{What: "waited"})
	case "steps":
		return cfx.Sequence(cfx.Send(to{What: "one"}), cfx.Send(to{What: "two"}))
	case "cancel":
		return cfx.All(cfx.Cancel("k"), cfx.Cancel("t"))
	}
	return cfx.None()
})

func within(prefix ...any) (in func(to) (to, bool), out func(to) to) {
	in = func(a to) (to, bool) {
		if len(a.Path) < len(prefix) || !slices.Equal(a.Path[:len(prefix)], prefix) {
			return to{}, false
		}
		return to{a.Path[len(prefix):], a.What}, true
	}
	out = func(a to) to { return to{append(slices.Clone(prefix), a.Path...), a.What} }
	return in, out
}

func first[K comparable](a to) (K, to, bool) {
	if len(a.Path) == 0 {
		var none K
		return none, to{}, false
	}
	k, ok := a.Path[0].(K)
	return k, to{a.Path[1:], a.What}, ok
}

func under[K comparable](k K, a to) to { return to{append([]any{k}, a.Path...), a.What} }

// onlyOwn keeps a child from actions for its children.
func onlyOwn(r reducer.Reducer[part, to]) reducer.Reducer[part, to] {
	return reducer.Func[part, to](func(p *part, a to, env reducer.Env) effect.Effect[to] {
		if len(a.Path) > 0 {
			return cfx.None()
		}
		return r.Reduce(p, a, env)
	})
}

func newShop() reducer.Reducer[shop, to] {
	cartIn, cartOut := within("cart")
	visitorIn, visitorOut := within("visitor")
	item := reducer.ForEach("item", func(p *part) map[int]part { return p.Items }, first[int], under[int], child)
	order := reducer.Combine(onlyOwn(child), reducer.Func[part, to](func(p *part, a to, _ reducer.Env) effect.Effect[to] {
		if a.What == "drop item 1" {
			delete(p.Items, 1)
		}
		return cfx.None()
	}), item)
	return reducer.Combine(
		reducer.Func[shop, to](func(s *shop, a to, _ reducer.Env) effect.Effect[to] {
			switch a.What {
			case "leave":
				s.Visitor = nil
			case "close":
				delete(s.Orders, a.Path[0].(string)[len("close "):])
			case "remove": // for the child itself
				delete(s.Orders, a.Path[0].(string))
			}
			return sfx.None()
		}),
		reducer.Scope("cart", func(s *shop) *part { return &s.Cart }, cartIn, cartOut, child),
		reducer.IfPresent("visitor", func(s *shop) *part { return s.Visitor }, visitorIn, visitorOut, child),
		reducer.ForEach("order", func(s *shop) map[string]part { return s.Orders },
			func(a to) (string, to, bool) {
				id, rest, ok := first[string](a)
				return id, rest, ok && id[0] == 'o'
			}, under[string], order),
	)
}

// rig drives a shop.
type rig struct {
	*testing.T
	engine engine.Engine[shop, to]
	now    time.Time
	log    []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	items := func() part { return part{Items: map[int]part{1: {}, 2: {}}} }
	r.engine.Init(&engine.Config[shop, to]{Reducer: newShop(), Now: func() time.Time { return r.now }}, 0,
		shop{Visitor: &part{}, Orders: map[string]part{"o1": items(), "o2": items()}})
	return r
}

func (r *rig) send(what string, path ...any) {
	r.engine.Receive(to{path, what}, engine.Cause{})
	r.drain()
}

func (r *rig) drain() {
	for {
		_, ok := r.engine.Next()
		for _, c := range r.engine.Commands() {
			switch c.Op {
			case engine.Start:
				r.log = append(r.log, "start")
			case engine.Stop:
				r.log = append(r.log, "stop")
			case engine.Report:
				r.log = append(r.log, fmt.Sprint(c.Fault.Err, " ", c.Fault.Action))
			case engine.Ack:
			}
		}
		if !ok {
			return
		}
	}
}

// settle answers all that runs and lets the timers fire.
func (r *rig) settle() {
	for _, t := range slices.Collect(r.engine.Tasks()) {
		if t.State == engine.Running {
			o, err := t.Call.Outcome(1, nil)
			require.NoError(r, err)
			require.True(r, r.engine.Settle(t.ID, t.Attempt, o))
		}
	}
	r.now = r.now.Add(time.Second)
	r.engine.Tick(r.now)
	r.drain()
}

func (r *rig) want(log ...string) {
	r.Helper()
	require.Equal(r, log, r.log)
	r.log = nil
}

func TestActionsFindTheirChild(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send("load", "cart")
	r.send("load", "visitor")
	r.send("load", "o1")
	r.send("steps", "o2")
	r.send("load", "o1", 2)
	r.send("nobody's")
	r.want("start", "start", "start", "start")
	r.settle()
	s := r.engine.State
	require.Equal(t, []string{"load", "loaded"}, s.Cart.Seen)
	require.Equal(t, []string{"load", "loaded"}, s.Visitor.Seen)
	require.Equal(t, []string{"load", "loaded"}, s.Orders["o1"].Seen)
	require.Equal(t, []string{"steps", "one", "two"}, s.Orders["o2"].Seen)
	require.Equal(t, []string{"load", "loaded"}, s.Orders["o1"].Items[2].Seen)
	require.Empty(t, s.Orders["o1"].Items[1].Seen)
	require.True(t, r.engine.Idle())
}

func TestKeysOfChildrenAreApart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	paths := [][]any{{"cart"}, {"visitor"}, {"o1"}, {"o2"}, {"o1", 1}, {"o1", 2}, {"o2", 1}}
	for _, path := range paths {
		r.send("load", path...)
		r.send("wait", path...)
	}
	require.Equal(t, 2*len(paths), r.engine.Open()) // none has replaced another
	r.send("cancel", "o1")
	require.Equal(t, 2*len(paths)-2, r.engine.Open())
	r.send("load", "o1", 1) // latest: its own
	require.Equal(t, 2*len(paths)-2, r.engine.Open())
	r.settle()
	require.Equal(t, []string{"load", "wait", "cancel"}, r.engine.State.Orders["o1"].Seen)
	require.Equal(t, []string{"load", "wait", "load", "loaded", "waited"}, r.engine.State.Orders["o1"].Items[1].Seen)
	require.True(t, r.engine.Idle())
}

func TestEffectsOfAChildThatGoesAreCancelled(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, what string
		path       []any
		child      [][]any // that go
	}{
		{"if present", "leave", nil, [][]any{{"visitor"}}},
		{"for each, by an action of the parent's", "close", []any{"close o1"}, [][]any{{"o1"}, {"o1", 1}, {"o1", 2}}},
		{"nested", "drop item 1", []any{"o1"}, [][]any{{"o1", 1}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for _, path := range append([][]any{{"cart"}, {"o2"}, {"o2", 1}}, row.child...) {
				r.send("load", path...)
				r.send("wait", path...)
			}
			open := r.engine.Open()
			r.log = nil
			r.send(row.what, row.path...)
			require.Equal(t, open-2*len(row.child), r.engine.Open())
			require.Equal(t, slices.Repeat([]string{"stop"}, len(row.child)), r.log)
			r.log = nil
			r.settle()
			require.Empty(t, r.log) // nothing comes for a child that has gone
			require.Equal(t, []string{"load", "wait", "loaded", "waited"}, r.engine.State.Orders["o2"].Items[1].Seen)
			require.True(t, r.engine.Idle())
		})
	}
}

// The action that takes a child away may be the child's own: it is reported, and
// the effects end all the same.
func TestActionThatRemovesItsOwnChild(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send("load", "o1")
	r.send("remove", "o1")
	r.want("start", "no such child: order[o1] {[o1] remove}", "stop")
	require.True(t, r.engine.Idle())
	r.send("load", "visitor")
	r.engine.State.Visitor = nil
	r.send("load", "visitor")
	r.want("start", "no such child: visitor {[visitor] load}", "stop")
	require.True(t, r.engine.Idle())
}

func TestActionForAMissingChildIsReported(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.engine.State.Visitor, r.engine.State.Orders["o2"] = nil, part{}
	r.send("load", "visitor")
	r.send("load", "o9")
	r.send("load", "o1", 9)
	r.send("load", "o2", 1)
	r.want(
		"no such child: visitor {[visitor] load}",
		"no such child: order[o9] {[o9] load}",
		"no such child: item[9] {[o1 9] load}",
		"no such child: item[1] {[o2 1] load}",
	)
	r.engine.State.Orders = nil
	r.send("load", "o1")
	r.want("no such child: order[o1] {[o1] load}")
}

// A new child of the same key starts afresh.
func TestChildOfAKeyThatWasUsedBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send("wait", "o1")
	r.send("close", "close o1")
	r.engine.State.Orders["o1"] = part{}
	r.send("load", "o1")
	r.settle()
	require.Equal(t, []string{"load", "loaded"}, r.engine.State.Orders["o1"].Seen)
}

// One that another takes the place of within a step has not gone.
func TestChildThatIsReplacedKeepsItsEffects(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.send("wait", "visitor")
	r.engine.State.Visitor = &part{}
	r.settle()
	require.Equal(t, []string{"waited"}, r.engine.State.Visitor.Seen)
}

func TestComposedReducersArePure(t *testing.T) {
	t.Parallel()
	r := newShop()
	state := func() shop {
		return shop{Visitor: &part{}, Orders: map[string]part{"o1": {Items: map[int]part{1: {}}}}}
	}
	for _, path := range [][]any{nil, {"cart"}, {"visitor"}, {"o1"}, {"o1", 1}, {"o9"}} {
		a, b := state(), state()
		env := reducer.NewEnv(&reducer.Fixed{})
		one, two := r.Reduce(&a, to{path, "steps"}, env), r.Reduce(&b, to{path, "steps"}, env)
		require.Equal(t, a, b)
		require.Equal(t, effect.Describe(one), effect.Describe(two))
		require.Equal(t, []string{"o1"}, slices.Collect(maps.Keys(a.Orders)))
	}
}

func TestEffectsOfChildrenAsData(t *testing.T) {
	t.Parallel()
	s := shop{Orders: map[string]part{"o1": {Items: map[int]part{1: {}}}}}
	e := newShop().Reduce(&s, to{[]any{"o1", 1}, "load"}, reducer.Env{})
	require.Equal(t, `all
  prune visitor
  scope order key=o1
    all
      scope item key=1
        request reducer_test.load{What:x} key=k policy=latest
      prune item
  prune order`, effect.Describe(e).String())
}
