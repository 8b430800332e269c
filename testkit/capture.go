package testkit

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

// The check of captured values is one of non-interference (Goguen and Meseguer
// 1982), held by a metamorphic test: the action that a result becomes may
// depend on the request and the result alone. So the step that asked is taken
// again with one value of its state, action or env changed. If it asks for the
// same, by the same code, the same result must become the same action.

// interference tells which value, other than those of the request, the function
// behind a call's Then depends on. value and err are what it is given.
func (ts *TestStore[S, A]) interference(rec *record[S, A], call tree.Call[A], value any, err error) (headline, body string) {
	if rec == nil || call.RequestType() == nil || call.Code() == 0 || ts.config.CaptureLeaves == 0 {
		return "", ""
	}
	c := capture[S, A]{ts: ts, rec: rec, call: call, value: value, err: err}
	return c.check()
}

type capture[S, A any] struct {
	ts    *TestStore[S, A]
	rec   *record[S, A]
	call  tree.Call[A]
	value any
	err   error

	scopes [][]tree.ScopeKey // where base was found
	base   []A
}

func (c *capture[S, A]) check() (headline, body string) {
	function := "the function that maps the result of " + show(c.call.Request()) + " to an action "
	live, ok := c.then(c.call)
	if !ok {
		return "", ""
	}
	if again, ok := c.then(c.call); ok && !c.same(live, again) {
		return function + "is impure: the same result gave another action",
			"action (-first +second):\n" + diff(live, again, c.ts.exact) + "\n\n" + causes(live, again, c.ts.exact)
	}
	p := duplicatePair(c.rec.before)
	c.scopes, c.base = c.actions(&p, c.rec.env)
	if len(c.base) == 0 {
		return "", ""
	}
	if !slices.ContainsFunc(c.base, func(a A) bool { return c.same(a, live) }) {
		return function + "reads what has changed since " + c.rec.title,
			"action (-as of that step +now):\n" + diff(c.base[0], live, c.ts.exact) +
				"\n\nIt has captured a pointer, slice or map of the state. A result may come after a restart, where only the request is known: " +
				"read the state when the action is reduced."
	}
	uses, from, to, other := c.search()
	if uses == "" {
		return "", ""
	}
	name := nameOf(c.call.RequestType())
	return function + "uses " + uses + ", which is not in the request",
		fmt.Sprintf("%s was taken again with %s = %s instead of %s. It asked for the same, and the same result became another action:\n%s\n\n"+
			"A result may come after a restart or in another process, where only the request is known: put %s into %s, "+
			"or read it from the state when the action is reduced.",
			c.rec.title, uses, to, from, diff(c.base, other, c.ts.exact), uses, name)
}

// search tries every value in turn.
func (c *capture[S, A]) search() (uses, from, to string, other []A) {
	total := c.ts.config.CaptureLeaves
	inAction := c.countLeaves(actionRoot)
	for i := range min(inAction, total) {
		if uses, from, to, other = c.tryLeaf(actionRoot, i); uses != "" {
			return uses, from, to, other
		}
	}
	if uses, from, to, other = c.searchEnv(); uses != "" {
		return uses, from, to, other
	}
	inState := c.countLeaves(stateRoot)
	left := max(total-inAction, total/4, 1)
	step := max(1, (inState+left-1)/left) // spread over a large state
	for i := 0; i < inState; i += step {
		if uses, from, to, other = c.tryLeaf(stateRoot, i); uses != "" {
			return uses, from, to, other
		}
	}
	return c.searchNames(total)
}

type root bool

const (
	actionRoot root = false
	stateRoot  root = true
)

// walk goes through the state or the action, if it can be changed without
// changing what is not its own.
func (c *capture[S, A]) walk(w *walker, p *pair[S, A], r root) {
	switch {
	case r == stateRoot && deep(&p.State):
		v := reflect.ValueOf(&p.State).Elem()
		w.root = rootName(v, "state")
		w.walk(open(v))
	case r == actionRoot && deep(&p.Action):
		v := reflect.ValueOf(&p.Action).Elem()
		w.root = rootName(v, "action")
		w.walk(open(v))
	}
}

func rootName(v reflect.Value, unnamed string) string {
	if v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" {
		return unnamed
	}
	return t.Name()
}

func (c *capture[S, A]) countLeaves(r root) (n int) {
	p := duplicatePair(c.rec.before)
	c.walk(&walker{leaf: func(reflect.Value) bool { n++; return false }}, &p, r)
	return n
}

// tryLeaf changes the ith leaf, in another way if the first leads elsewhere.
func (c *capture[S, A]) tryLeaf(r root, i int) (uses, from, to string, other []A) {
	for variant := range 2 {
		p := duplicatePair(c.rec.before)
		n, changed := i, false
		w := walker{}
		w.leaf = func(v reflect.Value) bool {
			if n--; n >= 0 || w.done {
				return false
			}
			w.done = true
			uses, from = leafName(w.path(), v), showLeaf(v)
			changed = alter(v, variant)
			to = showLeaf(v)
			return changed
		}
		c.walk(&w, &p, r)
		if !changed {
			continue
		}
		matched, other := c.compare(&p, c.rec.env)
		if other != nil {
			return uses, from, to, other
		}
		if matched {
			break
		}
	}
	return "", "", "", nil
}

// A slice that is met as a leaf is met for its length, unless it is of bytes.
func countsLength(v reflect.Value) bool { return v.Kind() == reflect.Slice && !isLeaf(v.Type()) }

func leafName(path string, v reflect.Value) string {
	if countsLength(v) {
		return "len(" + path + ")"
	}
	return path
}

func showLeaf(v reflect.Value) string {
	if countsLength(v) {
		return show(v.Len())
	}
	return show(v.Interface())
}

// searchEnv changes what the env gives, one thing at a time.
func (c *capture[S, A]) searchEnv() (uses, from, to string, other []A) {
	another := func(id uuid.UUID) uuid.UUID { return uuid.NewSHA1(id, []byte("another")) }
	for _, part := range []struct {
		name   string
		change func(*moment)
		value  func(moment) any
	}{
		{"env.Now()", func(m *moment) { m.now = m.now.Add(time.Hour) }, func(m moment) any { return m.now }},
		{"env.NewID()", func(m *moment) { m.space = another(m.space) }, func(m moment) any { return m.NewID() }},
		{"env.Meta().ActionID", func(m *moment) { m.meta.ActionID = another(m.meta.ActionID) }, func(m moment) any { return m.meta.ActionID }},
		{"env.Meta().CorrelationID", func(m *moment) { m.meta.CorrelationID = another(m.meta.CorrelationID) }, func(m moment) any { return m.meta.CorrelationID }},
		{"env.Meta().CausationID", func(m *moment) { m.meta.CausationID = another(m.meta.CausationID) }, func(m moment) any { return m.meta.CausationID }},
		{"env.Meta().Tenant", func(m *moment) { m.meta.Tenant += "~" }, func(m moment) any { return m.meta.Tenant }},
		{"env.Meta().Actor", func(m *moment) { m.meta.Actor += "~" }, func(m moment) any { return m.meta.Actor }},
		{"env.Meta().TraceParent", func(m *moment) { m.meta.TraceParent += "~" }, func(m moment) any { return m.meta.TraceParent }},
	} {
		p, env := duplicatePair(c.rec.before), c.rec.env
		part.change(&env)
		if _, other = c.compare(&p, env); other != nil {
			return part.name, show(part.value(c.rec.env)), show(part.value(env)), other
		}
	}
	return "", "", "", nil
}

// searchNames gives one string or id another value wherever it occurs, as key
// of a map too: a reducer that looks an action's id up in the state finds it
// still.
func (c *capture[S, A]) searchNames(limit int) (uses, from, to string, other []A) {
	type name struct {
		path string
		is   any
	}
	var names []name
	known := map[any]int{} // how often each occurs
	each := func(p *pair[S, A], leaf func(w *walker, v reflect.Value) bool) {
		for _, r := range []root{actionRoot, stateRoot} {
			w := walker{keys: true}
			w.leaf = func(v reflect.Value) bool { return leaf(&w, v) }
			c.walk(&w, p, r)
		}
	}
	p := duplicatePair(c.rec.before)
	each(&p, func(w *walker, v reflect.Value) bool {
		if is, ok := asName(v); ok {
			if known[is]++; known[is] == 1 {
				names = append(names, name{w.path(), is})
			}
		}
		return false
	})
	for _, n := range names {
		if known[n.is] < 2 { // changed alone already
			continue
		}
		if limit--; limit < 0 {
			break
		}
		p := duplicatePair(c.rec.before)
		each(&p, func(_ *walker, v reflect.Value) bool {
			is, ok := asName(v)
			if !ok || is != n.is {
				return false
			}
			from = show(v.Interface())
			changed := alter(v, 0)
			to = show(v.Interface())
			return changed
		})
		if _, other = c.compare(&p, c.rec.env); other != nil {
			return n.path, from, to, other
		}
	}
	return "", "", "", nil
}

// asName gives a string or an array of bytes, if it is not empty, as a value
// that is the same for all types it may have.
func asName(v reflect.Value) (any, bool) {
	switch v.Kind() {
	case reflect.String:
		return v.String(), v.String() != ""
	case reflect.Array:
		return string(v.Slice(0, v.Len()).Bytes()), !v.IsZero()
	default:
		return nil, false
	}
}

// compare takes the changed step and returns the actions that the result then
// becomes, if they are others than before. matched tells whether the step asked
// for the same at all.
func (c *capture[S, A]) compare(p *pair[S, A], env moment) (matched bool, other []A) {
	scopes, got := c.actions(p, env)
	if len(got) != len(c.base) || !reflect.DeepEqual(scopes, c.scopes) {
		return false, nil
	}
	for i := range got {
		if !c.same(c.base[i], got[i]) {
			return true, got
		}
	}
	return true, nil
}

// actions takes the step and gives the actions that the result becomes, for
// every call that asks for the same by the same code. More than one is rare.
func (c *capture[S, A]) actions(p *pair[S, A], env moment) (scopes [][]tree.ScopeKey, got []A) {
	e, panicked := c.ts.again(p, env)
	if panicked != nil {
		return nil, nil
	}
	ok := true
	eachCall(effect.TreeOf(&e), nil, func(call tree.Call[A], scope []tree.ScopeKey) {
		if !ok || !c.asksTheSame(call) {
			return
		}
		var a A
		if a, ok = c.then(call); ok {
			scopes, got = append(scopes, slices.Clone(scope)), append(got, a)
		}
	})
	if !ok {
		return nil, nil
	}
	return scopes, got
}

func (c *capture[S, A]) asksTheSame(call tree.Call[A]) bool {
	return call.RequestType() == c.call.RequestType() && call.Kind() == c.call.Kind() && call.Code() == c.call.Code() &&
		c.same(call.Options().Key, c.call.Options().Key) && c.same(call.Request(), c.call.Request())
}

func (c *capture[S, A]) same(x, y any) bool { return equal(x, y, c.ts.exact) }

// then gives the action of an outcome of its own. ok is false for one that
// panics or gives what cannot be compared; both are told elsewhere, or never.
func (c *capture[S, A]) then(call tree.Call[A]) (a A, ok bool) {
	value := c.value
	if value != nil && uncloneable("", reflect.ValueOf(value)) == nil {
		value = duplicate(value)
	}
	o, err := call.Outcome(value, c.err)
	if err != nil {
		return a, false
	}
	if catch(func() { a, ok = call.Then(o) }) != nil {
		return a, false
	}
	return a, ok && uncloneable("", reflect.ValueOf(a)) == nil
}

// eachCall calls f with every call in a tree and the scopes around it.
func eachCall[A any](n *tree.Node[A], scopes []tree.ScopeKey, f func(tree.Call[A], []tree.ScopeKey)) {
	if n.Kind == tree.Run {
		f(n.Call, scopes)
	}
	if n.Kind == tree.Scope {
		scopes = append(slices.Clip(scopes), n.Key.(tree.ScopeKey)) //nolint:forcetypeassert // only reducer makes scopes
	}
	for i := range n.Kids() {
		eachCall(&n.Kids()[i], scopes, f)
	}
}
