// Package tree is the representation of effects. Package effect builds trees
// of nodes and hides them behind effect.Effect; the engine interprets them.
// Nothing in it starts, waits or measures: a tree is data.
package tree

import (
	"context"
	"reflect"
	"time"
)

// Kind says what a node asks for.
type Kind uint8

// The kinds of nodes. The fields a kind uses are named beside it.
const (
	None     Kind = iota // nothing: the zero value
	Send                 // Action is reduced before the next outside action
	All                  // the kids run side by side
	Sequence             // each kid runs when all of the one before has settled
	Run                  // Call is started; its options hold key, policy, timeout and retry
	After                // Action is reduced after Delay; Key may be nil
	Cancel               // everything under Key ends without a result
	Hold                 // the action being reduced stays unfinished under Key
	Resume               // Action goes on where the oldest hold of Key left
	Scope                // the kid runs in the name space Key
	Prune                // Key is a Gone: scopes whose child has gone end
	Fault                // Key is the error; Action is what it concerns
)

// Node is one effect. Kids of a node are never changed once it is built, so
// nodes may be shared.
//
// With an interface for its action a node is nine words, so that reducers return
// it in registers; that is why the kids are behind a pointer.
type Node[A any] struct {
	Kind   Kind
	Action A
	Key    any
	Delay  time.Duration
	Call   Call[A]
	Group  *Group[A] // nil for no kids
}

// Group is the kids of a node.
type Group[A any] struct {
	Nodes []Node[A]
	few   [3]Node[A] // where they are if they are no more
}

// NewGroup makes a group with room for n kids, in one allocation if they are few.
func NewGroup[A any](n int) *Group[A] {
	g := new(Group[A])
	if n <= len(g.few) {
		g.Nodes = g.few[:0]
	} else {
		g.Nodes = make([]Node[A], 0, n)
	}
	return g
}

// Kids are the nodes that a group or a scope is made of.
func (n *Node[A]) Kids() []Node[A] {
	if n.Group == nil {
		return nil
	}
	return n.Group.Nodes
}

// Gone tells which scopes of one collection of children have lost their child.
type Gone struct {
	// Name is the collection's name, equal to ScopeKey.Name of its scopes.
	Name string
	// Present reports whether the child of key is still there. It is called
	// at once, on the state the reducer left.
	Present func(key any) bool
}

// ScopeKey names the scope of one child.
type ScopeKey struct {
	Name string
	Key  any
}

// CallKind tells the three sorts of work apart.
type CallKind uint8

// The sorts of work.
const (
	Request CallKind = iota // one request, one result
	Stream                  // one request, any number of results, then an end
	Opaque                  // a function the engine cannot see into
)

// Call is work that a driver does outside the reducer, with the request's and
// the result's types hidden.
type Call[A any] interface {
	// Kind tells requests, streams and opaque functions apart.
	Kind() CallKind
	// Options are the call's own; never nil.
	Options() *Options
	// Request is the request value, or nil for an opaque function.
	Request() any
	// RequestType is what handlers are looked up by, or nil for an opaque function.
	RequestType() reflect.Type
	// Name is the request's type, or the opaque function's name.
	Name() string
	// Invoke does the work. A stream hands each value to emit, which reports
	// whether to go on; the outcome returned is then the stream's end.
	// A nil handler gives the outcome of a request nobody handles. A panic is an
	// outcome too; a runtime.Goexit in the handler is not, it ends the goroutine
	// and Invoke does not return.
	Invoke(ctx context.Context, h *Handler, emit func(Outcome) bool) Outcome
	// Outcome makes an outcome from an untyped value, for tests; it is an
	// error when the value is not of the result's type.
	Outcome(value any, err error) (Outcome, error)
	// Then maps an outcome to the action it causes; ok is false when the call
	// asked for none.
	Then(o Outcome) (a A, ok bool)
	// Code identifies the function behind Then, whatever it captured.
	Code() uintptr
}

// Outcome is what a call came to. It is used once: Then may recycle it.
type Outcome interface {
	// Err is the error of the result, nil for a success.
	Err() error
}

// Policy says what happens when an effect starts under a key in use.
type Policy uint8

// The policies.
const (
	Every   Policy = iota // run side by side
	Latest                // end what runs, then start
	Leading               // drop the new one
	Queue                 // wait until what runs has settled
)

// Options are what may be said about a call.
type Options struct {
	Key     any
	Policy  Policy
	Timeout time.Duration // per attempt; 0 is none
	Retry   *Retry        // nil is one attempt
}

// Retry says when an attempt that failed is followed by another.
type Retry struct {
	Attempts int
	Delay    time.Duration
	MaxDelay time.Duration
	Factor   float64
	Jitter   float64
	If       func(error) bool
}

// Handler does the work of one type of request.
type Handler struct {
	Request reflect.Type
	Kind    CallKind
	// Func is a func(context.Context, Q) (R, error), or for a stream a
	// func(context.Context, Q) iter.Seq2[R, error].
	Func any
	// Wrapped, when not nil, is Func within its middleware. Around a stream it
	// finds in its context what to emit to.
	Wrapped Invoker
	// Home is what it does its work in a transaction of, and in that of its context
	// if that has one; nil is nothing.
	Home any
	// Immediate tells that Func waits for nothing but the processor, and neither
	// uses a store nor ends its goroutine. A store may call it in its turn.
	Immediate bool
	// Err is what is wrong with the handler as it was declared.
	Err error
	// Slots recycles outcomes; nil means they are not recycled.
	Slots Pool
}

// Invoker is a handler's work with the types hidden.
type Invoker = func(ctx context.Context, request any) (any, error)

// Pool is the part of sync.Pool that outcomes need.
type Pool interface {
	Get() any
	Put(any)
}
