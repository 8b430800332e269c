package effect_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

type load struct{ ID string }

func (load) Returns(int) {}

type find struct{ ID string }

func (find) Returns(*int) {}

type action struct{ Name string }

var fx effect.Of[action]

func loaded(r effect.Result[int]) action { return action{fmt.Sprint("loaded ", r.Value, " ", r.Err)} }

// kinds is one effect of every kind of node.
func kinds() map[string]effect.Effect[action] {
	return map[string]effect.Effect[action]{
		"none":     fx.None(),
		"send":     fx.Send(action{"a"}),
		"all":      fx.All(fx.Send(action{"a"}), fx.Cancel("k")),
		"sequence": fx.Sequence(fx.Send(action{"a"}), fx.Cancel("k")),
		"request":  effect.Do(load{"1"}, loaded, effect.Key("k", effect.Latest), effect.Timeout(time.Second), effect.Retry(effect.RetryPolicy{})),
		"fire":     effect.Fire[action](load{"1"}),
		"stream":   effect.Stream(load{"1"}, loaded),
		"run":      fx.Run("job", func(context.Context) action { return action{"done"} }),
		"runs": fx.Stream("feed", func(context.Context) iter.Seq[action] {
			return func(yield func(action) bool) { _ = yield(action{"one"}) && yield(action{"two"}) }
		}, effect.Key("feed")),
		"after":  fx.After("k", time.Minute, action{"late"}),
		"cancel": fx.Cancel("k"),
		"hold":   fx.Hold("k"),
		"resume": fx.Resume("k", action{"a"}),
		"scope": effect.FromTree(tree.Node[action]{
			Kind: tree.Scope, Key: tree.ScopeKey{Name: "child", Key: 7}, Group: &tree.Group[action]{Nodes: []tree.Node[action]{effect.Tree(fx.Send(action{"a"}))}},
		}),
		"prune": effect.FromTree(tree.Node[action]{Kind: tree.Prune, Key: tree.Gone{Name: "child"}}),
		"fault": effect.FromTree(tree.Node[action]{Kind: tree.Fault, Key: effect.ErrNoHandler, Action: action{"a"}}),
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	want := map[string]effect.Description{
		"none":     {Kind: "none"},
		"send":     {Kind: "send", Action: action{"a"}},
		"all":      {Kind: "all", Effects: []effect.Description{{Kind: "send", Action: action{"a"}}, {Kind: "cancel", Key: "k"}}},
		"sequence": {Kind: "sequence", Effects: []effect.Description{{Kind: "send", Action: action{"a"}}, {Kind: "cancel", Key: "k"}}},
		"request": {
			Kind: "request", Name: "effect_test.load", Request: load{"1"}, Key: "k", Policy: "latest", Timeout: time.Second, Attempts: 3,
		},
		"fire":   {Kind: "request", Name: "effect_test.load", Request: load{"1"}},
		"stream": {Kind: "stream", Name: "effect_test.load", Request: load{"1"}},
		"run":    {Kind: "run", Name: "job"},
		"runs":   {Kind: "stream", Name: "feed", Key: "feed", Policy: "every"},
		"after":  {Kind: "after", Key: "k", Delay: time.Minute, Action: action{"late"}},
		"cancel": {Kind: "cancel", Key: "k"},
		"hold":   {Kind: "hold", Key: "k"},
		"resume": {Kind: "resume", Key: "k", Action: action{"a"}},
		"scope":  {Kind: "scope", Name: "child", Key: 7, Effects: []effect.Description{{Kind: "send", Action: action{"a"}}}},
		"prune":  {Kind: "prune", Name: "child"},
		"fault":  {Kind: "fault", Err: "no handler", Action: action{"a"}},
	}
	for name, e := range kinds() {
		require.Equal(t, want[name], effect.Describe(e), name)
	}
}

func TestDescriptionIsReadable(t *testing.T) {
	t.Parallel()
	var afx effect.Of[any]
	e := afx.All(
		effect.Do(load{"1"}, func(effect.Result[int]) any { return nil }, effect.Key("k", effect.Queue), effect.Timeout(time.Second), effect.Retry(effect.RetryPolicy{Attempts: 5})),
		afx.Sequence(afx.Send("text"), afx.Send(7), afx.Send(&action{"a"}), afx.Send(map[string]int{"a": 1}), afx.Send(nil)),
		afx.After([2]int{1, 2}, time.Minute, action{"late"}),
		afx.Run("job", nil, effect.Key("k")),
		afx.Cancel("k"),
		effect.FromTree(tree.Node[any]{Kind: tree.Fault, Key: effect.ErrNoHandler}),
	)
	require.Equal(t, `all
  request effect_test.load{ID:1} key=k policy=queue timeout=1s attempts=5
  sequence
    send action=string("text")
    send action=int(7)
    send action=*effect_test.action(&{Name:a})
    send action=map[string]int(map[a:1])
    send
  after key=[1 2] delay=1m0s action=effect_test.action{Name:late}
  run job key=k
  cancel key=k
  fault error="no handler"`, effect.Describe(e).String())
}

func TestGroupsHoldNothingNeedless(t *testing.T) {
	t.Parallel()
	a, b, c := fx.Send(action{"a"}), fx.Send(action{"b"}), fx.Send(action{"c"})
	for name, group := range map[string]func(...effect.Effect[action]) effect.Effect[action]{"all": fx.All, "sequence": fx.Sequence} {
		require.Equal(t, fx.None(), group(), name)
		require.Equal(t, fx.None(), group(fx.None(), group(), fx.None()), name)
		require.Equal(t, a, group(fx.None(), a), name)
		require.Equal(t, effect.Describe(group(a, b, c)), effect.Describe(group(a, group(b, fx.None(), c))), name)
		require.Equal(t, effect.Describe(group(a, b, c)), effect.Describe(group(group(a, b), c)), name)
		require.Equal(t, group(a, b), group(group(a, b)), name)
	}
	// Another kind of group is kept, in its place.
	d := effect.Describe(fx.Sequence(a, fx.All(b, c), fx.All(c)))
	require.Equal(t, []string{"send", "all", "send"}, []string{d.Effects[0].Kind, d.Effects[1].Kind, d.Effects[2].Kind})
}

func TestGroupsAreValues(t *testing.T) {
	t.Parallel()
	parts := []effect.Effect[action]{fx.Send(action{"a"}), fx.Send(action{"b"})}
	e := fx.All(parts...)
	more, other := fx.All(e, fx.Send(action{"c"})), fx.All(e, fx.Send(action{"d"}))
	parts[0] = fx.Cancel("k")
	require.Equal(t, "all\n  send action=effect_test.action{Name:a}\n  send action=effect_test.action{Name:b}", effect.Describe(e).String())
	require.Equal(t, action{"c"}, effect.Describe(more).Effects[2].Action)
	require.Equal(t, action{"d"}, effect.Describe(other).Effects[2].Action)
}

type parent struct{ Child action }

// Map changes actions and leaves all else as it is, of every kind of node.
func TestMap(t *testing.T) {
	t.Parallel()
	var mapped func(d effect.Description) effect.Description
	mapped = func(d effect.Description) effect.Description {
		if a, ok := d.Action.(action); ok {
			d.Action = parent{a}
		}
		for i := range d.Effects {
			d.Effects[i] = mapped(d.Effects[i])
		}
		return d
	}
	for name, e := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := effect.Map(e, func(a action) parent { return parent{a} })
			require.Equal(t, mapped(effect.Describe(e)), effect.Describe(m))
			twice := effect.Map(m, func(p parent) action { return p.Child })
			require.Equal(t, effect.Describe(e), effect.Describe(twice))
		})
	}
}

func TestMapOfCalls(t *testing.T) {
	t.Parallel()
	up := func(a action) parent { return parent{a} }
	h := effect.Handle(func(_ context.Context, q load) (int, error) { return len(q.ID), nil })
	t.Run("a request", func(t *testing.T) {
		t.Parallel()
		e := effect.Do(load{"1"}, loaded)
		c, m := effect.Tree(e).Call, effect.Tree(effect.Map(e, up)).Call
		require.Equal(t, c.Code(), m.Code())
		require.Equal(t, c.RequestType(), m.RequestType())
		require.Same(t, c.Options(), m.Options())
		a, ok := m.Then(m.Invoke(t.Context(), effect.Inside(h), nil))
		require.True(t, ok)
		require.Equal(t, parent{action{"loaded 1 <nil>"}}, a)
	})
	t.Run("what is fired", func(t *testing.T) {
		t.Parallel()
		m := effect.Tree(effect.Map(effect.Fire[action](load{"1"}), up)).Call
		_, ok := m.Then(m.Invoke(t.Context(), effect.Inside(h), nil))
		require.False(t, ok)
		require.Zero(t, m.Code())
	})
	t.Run("an opaque function", func(t *testing.T) {
		t.Parallel()
		m := effect.Tree(effect.Map(kinds()["run"], up)).Call
		a, ok := m.Then(m.Invoke(t.Context(), nil, nil))
		require.True(t, ok)
		require.Equal(t, parent{action{"done"}}, a)
	})
	t.Run("an opaque stream", func(t *testing.T) {
		t.Parallel()
		m := effect.Tree(effect.Map(kinds()["runs"], up)).Call
		all := []parent{}
		end := m.Invoke(t.Context(), nil, func(o tree.Outcome) bool {
			a, ok := m.Then(o)
			require.True(t, ok)
			all = append(all, a)
			return true
		})
		require.Equal(t, []parent{{action{"one"}}, {action{"two"}}}, all)
		_, ok := m.Then(end)
		require.False(t, ok)
	})
	t.Run("an outcome that a test makes", func(t *testing.T) {
		t.Parallel()
		m := effect.Tree(effect.Map(effect.Do(load{"1"}, loaded), up)).Call
		_, err := m.Outcome("text", nil)
		require.EqualError(t, err, "result of effect_test.load: got string, want int")
		o, err := m.Outcome(5, nil)
		require.NoError(t, err)
		a, _ := m.Then(o)
		require.Equal(t, parent{action{"loaded 5 <nil>"}}, a)
	})
}

func TestMapWithNilPanics(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "effect.Map: nil function", func() { effect.Map[action, action](fx.None(), nil) })
}

func TestOutcomesThatATestMakes(t *testing.T) {
	t.Parallel()
	number, pointer := effect.Tree(effect.Do(load{"1"}, loaded)).Call, effect.Tree(effect.Do(find{"1"}, func(r effect.Result[*int]) action {
		return action{fmt.Sprint("found ", r.Value, " ", r.Err)}
	})).Call
	_, err := number.Outcome(nil, nil)
	require.EqualError(t, err, "result of effect_test.load: got nil, want int")
	o, err := number.Outcome(3, context.Canceled) // an error, never both
	require.NoError(t, err)
	a, _ := number.Then(o)
	require.Equal(t, action{"loaded 0 context canceled"}, a)
	o, err = pointer.Outcome(nil, nil)
	require.NoError(t, err)
	a, _ = pointer.Then(o)
	require.Equal(t, action{"found <nil> <nil>"}, a)
}

func TestCodeTellsFunctionsApart(t *testing.T) {
	t.Parallel()
	codes := []uintptr{}
	for n := range 2 {
		e := effect.Do(load{"1"}, func(effect.Result[int]) action { return action{fmt.Sprint(n)} })
		codes = append(codes, effect.Tree(e).Call.Code())
	}
	require.Equal(t, codes[0], codes[1]) // whatever they captured
	require.NotEqual(t, codes[0], effect.Tree(effect.Do(load{"1"}, loaded)).Call.Code())
	require.NotZero(t, effect.Tree(kinds()["run"]).Call.Code())
	require.Zero(t, effect.Tree(fx.Run("nothing", nil)).Call.Code())
}

func TestOptions(t *testing.T) {
	t.Parallel()
	options := func(opts ...effect.Option) tree.Options {
		o := effect.Tree(effect.Do(load{"1"}, loaded, opts...)).Call.Options()
		if o.Retry != nil {
			r := *o.Retry
			r.If = nil
			o.Retry = &r
		}
		return *o
	}
	require.Equal(t, tree.Options{}, options())
	// The zero option says nothing, and of two of a kind the later holds.
	require.Equal(t, tree.Options{Key: "b", Policy: tree.Queue, Timeout: 2}, options(
		effect.Key("a", effect.Latest), effect.Timeout(1), effect.Key("b", effect.Leading, effect.Queue), effect.Timeout(2), effect.Option{}))
	require.Equal(t, &tree.Retry{Attempts: 3, Delay: 100 * time.Millisecond, MaxDelay: 30 * time.Second, Factor: 2},
		options(effect.Retry(effect.RetryPolicy{})).Retry)
	require.Equal(t, &tree.Retry{Attempts: 3, Delay: time.Minute, MaxDelay: time.Minute, Factor: 2},
		options(effect.Retry(effect.RetryPolicy{Delay: time.Minute})).Retry)
	require.Equal(t, &tree.Retry{Attempts: 9, Delay: 1, MaxDelay: 2, Factor: 3, Jitter: .5},
		options(effect.Retry(effect.RetryPolicy{Attempts: 9, Delay: 1, MaxDelay: 2, Factor: 3, Jitter: .5})).Retry)
	names := []string{}
	for p := range effect.Policy(5) {
		names = append(names, p.String())
	}
	require.Equal(t, []string{"every", "latest", "leading", "queue", "unknown"}, names)
}

var sink effect.Effect[action]

func TestAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of the whole process
	if raceEnabled {
		t.Skip("the race detector allocates itself")
	}
	for _, row := range []struct {
		name string
		max  float64
		make func() effect.Effect[action]
	}{
		{"None", 0, fx.None},
		{"Send", 0, func() effect.Effect[action] { return fx.Send(action{"a"}) }},
		{"After", 0, func() effect.Effect[action] { return fx.After("k", time.Second, action{"a"}) }},
		{"Cancel", 0, func() effect.Effect[action] { return fx.Cancel("k") }},
		{"Hold", 0, func() effect.Effect[action] { return fx.Hold("k") }},
		{"Resume", 0, func() effect.Effect[action] { return fx.Resume("k", action{"a"}) }},
		{"Do", 1, func() effect.Effect[action] { return effect.Do(load{"1"}, loaded) }},
		{"Do with options", 1, func() effect.Effect[action] {
			return effect.Do(load{"1"}, loaded, effect.Key("k", effect.Latest), effect.Timeout(time.Second))
		}},
		{"Fire", 1, func() effect.Effect[action] { return effect.Fire[action](load{"1"}) }},
		{"Stream", 1, func() effect.Effect[action] { return effect.Stream(load{"1"}, loaded) }},
		{"All of none", 0, func() effect.Effect[action] { return fx.All(fx.None(), fx.None()) }},
		{"All of one", 0, func() effect.Effect[action] { return fx.All(fx.None(), fx.Cancel("k")) }},
		{"All of two", 1, func() effect.Effect[action] { return fx.All(fx.Send(action{"a"}), fx.Cancel("k")) }},
		{"Sequence of three", 1, func() effect.Effect[action] {
			return fx.Sequence(fx.Send(action{"a"}), fx.Cancel("k"), fx.Hold("k"))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.LessOrEqual(t, testing.AllocsPerRun(100, func() { sink = row.make() }), row.max)
		})
	}
}
