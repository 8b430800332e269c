package engine

import (
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

// group is a sequence whose elements run one after another, or a scope, which
// is a sequence of one with a name. A group stays until nothing below it is
// open. Effects side by side need none: they are open in the group around them.
type group[A any] struct {
	parent  *group[A]
	rest    []tree.Node[A] // what has not started
	open    int            // what has started and not settled
	scope   any            // the innermost scope's path, nil outside of any
	isScope bool
	dead    bool  // its child has gone: nothing of it is left
	skip    []any // keys cancelled while in rest
	walked  uint64
	cause   Cause
}

// path is a scope's place below other scopes.
type path struct {
	outer any
	key   tree.ScopeKey
}

// scopedKey is a key within a scope.
type scopedKey struct {
	scope any
	key   any
}

// String shows a scoped key as a reader would write it: reservation[r1]/load.
func (k scopedKey) String() string { return fmt.Sprintf("%v/%v", k.scope, k.key) }

func (p path) String() string {
	s := p.key.Name
	if p.key.Key != nil {
		s = fmt.Sprintf("%s[%v]", s, p.key.Key)
	}
	if p.outer != nil {
		s = fmt.Sprintf("%v/%s", p.outer, s)
	}
	return s
}

// start begins an effect within g, which may be nil.
func (e *Engine[S, A]) start(n *tree.Node[A], g *group[A], c Cause) {
	switch n.Kind {
	case tree.None:
	case tree.All:
		for i := range n.Kids() {
			e.start(&n.Kids()[i], g, c)
		}
	case tree.Sequence:
		e.begin(group[A]{rest: n.Kids(), cause: c}, g)
	case tree.Scope:
		outer, key := scopeOf(g), n.Key.(tree.ScopeKey) //nolint:forcetypeassert // only reducer makes scopes
		p := path{outer, key}
		if !e.checkKey(p, c, nil) {
			return
		}
		e.need()
		e.tasks.scopes[p]++
		e.begin(group[A]{rest: n.Kids(), cause: c, scope: p, isScope: true}, g)
	case tree.Send:
		e.send(n.Action, g, c)
	case tree.Run:
		e.startCall(n.Call, g, c)
	case tree.After:
		e.startTimer(n, g, c)
	case tree.Hold:
		e.hold(n.Key, g, c)
	case tree.Resume:
		e.resume(n, g, c)
	case tree.Cancel:
		if n.Key == nil {
			e.fault(c, Fault[A]{Err: fmt.Errorf("%w: Cancel of a nil key", effect.ErrInvalid)})
		} else if key := keyIn(g, n.Key); e.checkKey(key, c, nil) {
			e.cancel(key, g)
		}
	case tree.Prune:
		e.prune(n.Key.(tree.Gone), g) //nolint:forcetypeassert // only reducer prunes
	case tree.Fault:
		err, _ := n.Key.(error)
		e.fault(c, Fault[A]{Err: err, Action: n.Action, HasAction: true})
	}
}

func (e *Engine[S, A]) send(a A, g *group[A], c Cause) {
	c.Track.Add()
	if g != nil {
		g.open++
	}
	it := e.queue.add()
	it.action, it.cause, it.group = a, c, g
}

// begin starts a group below parent.
func (e *Engine[S, A]) begin(made group[A], parent *group[A]) {
	g := &made
	g.parent = parent
	if parent != nil {
		parent.open++
		if !g.isScope {
			g.scope = parent.scope
		}
	}
	if !g.isScope {
		e.need()
		e.tasks.sequences++
	}
	e.advance(g)
	if g.open == 0 {
		e.finish(g)
	}
}

// advance starts what is next in g, until something stays open.
func (e *Engine[S, A]) advance(g *group[A]) {
	for g.open == 0 && len(g.rest) > 0 {
		n := &g.rest[0]
		g.rest = g.rest[1:]
		g.open++ // keeps g from ending while n starts
		e.start(n, g, g.cause)
		g.open--
	}
}

// done is called when one of what g has open has settled.
func (e *Engine[S, A]) done(g *group[A]) {
	if g.open--; g.open == 0 {
		e.advance(g)
		if g.open == 0 {
			e.finish(g)
		}
	}
}

// finish ends a group of which nothing is open or left.
func (e *Engine[S, A]) finish(g *group[A]) {
	if g.isScope {
		p := g.scope.(path) //nolint:forcetypeassert // a scope's path
		if e.tasks.scopes[p]--; e.tasks.scopes[p] == 0 {
			delete(e.tasks.scopes, p)
		}
	} else {
		e.tasks.sequences--
	}
	if g.parent != nil {
		e.done(g.parent)
	}
}

// kill ends g and all groups around it up to the one that is last.
func (g *group[A]) kill(last *group[A]) {
	for ; ; g = g.parent {
		g.rest, g.dead = nil, true
		if g == last {
			return
		}
	}
}

// outermost returns the outermost group at or around g whose scope is one of
// paths, or nil.
func (g *group[A]) outermost(paths map[path]bool) *group[A] {
	var found *group[A]
	for ; g != nil; g = g.parent {
		if g.isScope && paths[g.scope.(path)] { //nolint:forcetypeassert // a scope's path
			found = g
		}
	}
	return found
}

// skips tells whether key was cancelled while effects of g had not started.
func (g *group[A]) skips(key any) bool {
	for ; g != nil; g = g.parent {
		for _, k := range g.skip {
			if k == key {
				return true
			}
		}
	}
	return false
}

// leaves calls f with the group of everything that is open, which includes what
// has ended and is not accounted for.
func (e *Engine[S, A]) leaves(f func(*group[A])) {
	for t := e.tasks.first; t != nil; t = t.next {
		f(t.group)
	}
	for i := range e.queue.len() {
		it := e.queue.at(i)
		f(it.group)
		if it.resume != nil {
			f(it.resume.group)
		}
	}
	for _, end := range e.ended[e.told:] {
		f(end.group)
	}
}

// groups calls f with every open group.
func (e *Engine[S, A]) groups(f func(*group[A])) {
	e.tasks.walk++
	e.leaves(func(g *group[A]) {
		for ; g != nil && g.walked != e.tasks.walk; g = g.parent {
			g.walked = e.tasks.walk
			f(g)
		}
	})
}

// prune ends the scopes whose child has gone from the state.
func (e *Engine[S, A]) prune(gone tree.Gone, around *group[A]) {
	if e.tasks == nil || len(e.tasks.scopes) == 0 {
		return
	}
	outer := scopeOf(around)
	var ended map[path]bool
	for p := range e.tasks.scopes {
		if p.outer == outer && p.key.Name == gone.Name && !gone.Present(p.key.Key) {
			if ended == nil {
				ended = map[path]bool{}
			}
			ended[p] = true
		}
	}
	if ended == nil {
		return
	}
	e.leaves(func(g *group[A]) {
		if last := g.outermost(ended); last != nil {
			g.kill(last)
		}
	})
	for t := e.tasks.first; t != nil; {
		old := t
		t = t.next
		if old.group != nil && old.group.dead {
			e.drop(old)
		}
	}
	e.queue.remove(func(it *item[A]) bool {
		if it.group == nil || !it.group.dead {
			return false
		}
		e.ends(it.group, it.cause.Track, nil)
		if it.resume != nil {
			e.ends(it.resume.group, it.resume.track, nil)
		}
		return true
	})
}

func scopeOf[A any](g *group[A]) any {
	if g == nil {
		return nil
	}
	return g.scope
}

func keyIn[A any](g *group[A], key any) any { return keyUnder(scopeOf(g), key) }

func keyUnder(scope, key any) any {
	if scope != nil && key != nil {
		return scopedKey{scope, key}
	}
	return key
}

// uses tells whether nodes, started in scope, have something under key.
func uses[A any](nodes []tree.Node[A], scope, key any) bool {
	for i := range nodes {
		n := &nodes[i]
		inner, own := scope, any(nil)
		switch n.Kind {
		case tree.Run:
			own = n.Call.Options().Key
		case tree.After, tree.Hold:
			own = n.Key
		case tree.Scope:
			inner = path{scope, n.Key.(tree.ScopeKey)} //nolint:forcetypeassert // only reducer makes scopes
		case tree.None, tree.Send, tree.All, tree.Sequence, tree.Cancel, tree.Resume, tree.Prune, tree.Fault:
		}
		if own != nil && keyUnder(scope, own) == key || uses(n.Kids(), inner, key) {
			return true
		}
	}
	return false
}
