package effect

import (
	"context"
	"iter"
	"time"

	"github.com/seed57833328/rondo/internal/tree"
)

// Effect describes work to be done after a reducer has returned. It is a
// value: making one does nothing, and the same one may be returned any number
// of times. The zero value is no effect at all.
type Effect[A any] struct{ node tree.Node[A] }

// Of makes the effects that need no type but the action's. Declare one beside
// the reducer, so that A is written once:
//
//	var fx effect.Of[Action]
type Of[A any] struct{}

// None is no effect. It is the zero value of Effect.
func (Of[A]) None() Effect[A] { return Effect[A]{} }

// Send reduces a before the next action from outside. Several are reduced in
// the order in which they were returned.
func (Of[A]) Send(a A) Effect[A] {
	return Effect[A]{tree.Node[A]{Kind: tree.Send, Action: a}}
}

// All runs effects side by side.
func (Of[A]) All(effects ...Effect[A]) Effect[A] {
	return group(tree.All, effects)
}

// Sequence runs effects one after another: each starts when the one before has
// settled. An effect has settled when it has ended, whether with a result, an
// error or by being cancelled, and the actions it gave have been reduced; of a
// group, when all of its effects have. What those actions start in their turn
// is not waited for.
func (Of[A]) Sequence(effects ...Effect[A]) Effect[A] {
	return group(tree.Sequence, effects)
}

// After reduces a when d has passed. It replaces a timer that runs under the
// same key, which makes it a debounce; other effects under that key go on. A
// nil key makes a timer that nothing replaces or cancels. A negative d or a key
// that cannot be compared is reported and starts no timer.
func (Of[A]) After(key any, d time.Duration, a A) Effect[A] {
	return Effect[A]{tree.Node[A]{Kind: tree.After, Key: key, Delay: d, Action: a}}
}

// Cancel ends everything under key: requests, streams, timers and holds, those
// that wait their turn too. Once it is reduced, no result of theirs is, not even
// one that had arrived. Ended effects count as settled.
func (Of[A]) Cancel(key any) Effect[A] {
	return Effect[A]{tree.Node[A]{Kind: tree.Cancel, Key: key}}
}

// Hold says that the action being reduced is not finished but waits under key
// for a later [Of.Resume]. Until then it counts as unfinished for whoever sent
// it and waits, and for shutdown. Several holds of one key resume in the order
// in which they were made; Cancel ends them all.
//
// A command that waits in the state while its data loads is held, so that its
// sender's wait goes on and its answer finds the sender.
func (Of[A]) Hold(key any) Effect[A] {
	return Effect[A]{tree.Node[A]{Kind: tree.Hold, Key: key}}
}

// Resume reduces a, as Send does, in the place of the action that the oldest
// hold of key kept: with its metadata, and for the sender that waits for it.
// Without such a hold, as after a restart, it is the same as Send.
func (Of[A]) Resume(key any, a A) Effect[A] {
	return Effect[A]{tree.Node[A]{Kind: tree.Resume, Key: key, Action: a}}
}

// Run calls f, a function that tests cannot see into, and reduces the action it
// returns. Prefer a request: it can be asserted, logged and answered by a test.
// If f panics there is no action, and the panic becomes a dead letter.
func (Of[A]) Run(name string, f func(context.Context) A, opts ...Option) Effect[A] {
	var work func(context.Context) iter.Seq[A]
	if f != nil {
		work = func(ctx context.Context) iter.Seq[A] {
			return func(yield func(A) bool) { yield(f(ctx)) }
		}
	}
	return opaqueCall(name, tree.Opaque, work, opts)
}

// Stream reduces every action that the sequence made by f yields; as [Of.Run]
// it is opaque. The sequence is asked for its next action when the one before
// has been reduced.
func (Of[A]) Stream(name string, f func(context.Context) iter.Seq[A], opts ...Option) Effect[A] {
	return opaqueCall(name, tree.Stream, f, opts)
}

// Map changes the actions of an effect with f: how a parent takes up its
// child's effects. f must be pure. Map panics if f is nil.
func Map[A, B any](e Effect[A], f func(A) B) Effect[B] {
	if f == nil {
		panic("effect.Map: nil function")
	}
	return Effect[B]{mapNode(e.node, f)}
}

// group copies effects into one node, leaving out those that are nothing and
// taking apart groups of the same kind.
func group[A any](kind tree.Kind, effects []Effect[A]) Effect[A] {
	n, last := 0, 0
	for i := range effects {
		switch node := &effects[i].node; node.Kind {
		case tree.None:
		case kind:
			n, last = n+len(node.Kids()), i
		default:
			n, last = n+1, i
		}
	}
	if n == 0 {
		return Effect[A]{}
	}
	if n == 1 {
		return effects[last]
	}
	kids := tree.NewGroup[A](n)
	for i := range effects {
		switch node := &effects[i].node; node.Kind {
		case tree.None:
		case kind:
			kids.Nodes = append(kids.Nodes, node.Kids()...)
		default:
			kids.Nodes = append(kids.Nodes, *node)
		}
	}
	return Effect[A]{tree.Node[A]{Kind: kind, Group: kids}}
}

func mapNode[A, B any](n tree.Node[A], f func(A) B) tree.Node[B] {
	m := tree.Node[B]{Kind: n.Kind, Key: n.Key, Delay: n.Delay}
	switch n.Kind { //nolint:exhaustive // the rest has no action of its own
	case tree.Send, tree.After, tree.Resume, tree.Fault:
		m.Action = f(n.Action)
	case tree.Run:
		m.Call = &mappedCall[A, B]{inner: n.Call, f: f}
	}
	if kids := n.Kids(); len(kids) > 0 {
		m.Group = tree.NewGroup[B](len(kids))
		for _, kid := range kids {
			m.Group.Nodes = append(m.Group.Nodes, mapNode(kid, f))
		}
	}
	return m
}

// Tree gives the node inside an effect to the engine. Its result cannot be
// named outside this module; see [Describe] for the public view.
func Tree[A any](e Effect[A]) tree.Node[A] { return e.node }

// FromTree is the inverse of [Tree], for packages of this module.
func FromTree[A any](n tree.Node[A]) Effect[A] { return Effect[A]{n} }

// TreeOf is [Tree] without the copy.
func TreeOf[A any](e *Effect[A]) *tree.Node[A] { return &e.node }
