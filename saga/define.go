package saga

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// Types is what a saga is made of, under the names by which records know it. A
// name stays as it is while there are sagas in flight; the Go type behind it may
// be renamed and moved.
type Types struct {
	// Actions are the types of actions that can come from outside or from
	// timers, or that results become.
	Actions []ActionType
	// Requests are the types of requests, with what becomes of their results.
	Requests []RequestType
	// Errors are errors that the reducer asks for with errors.Is.
	Errors []ErrorType
	// Schema is the version of the form of the state; 0 is 1. A record of a
	// newer one is left to processes that know it.
	Schema int
	// Upcasters bring the JSON of a state of each older schema up to the next.
	Upcasters map[int]func(state []byte) ([]byte, error)
}

// ActionType is a type of actions with its name, made by [Action].
type ActionType struct {
	name   string
	goType reflect.Type
	decode func([]byte) (any, error)
}

// Action registers the action type T under a name. Its values are kept as JSON.
func Action[T any](name string) ActionType {
	return ActionType{name: name, goType: reflect.TypeFor[T](), decode: func(data []byte) (any, error) {
		var a T
		err := json.Unmarshal(data, &a)
		return a, err
	}}
}

// RequestType is a type of requests with its name, made by [On], [Request] and
// [OnChild].
type RequestType struct {
	name    string
	goType  reflect.Type
	result  reflect.Type
	action  reflect.Type // nil of Request
	child   *kind        // nil but of OnChild
	state   reflect.Type // of the child
	problem error
	options Command
	// act makes the action that a reply becomes. The request may be there as a
	// value already.
	act func(data []byte, request any, r reply) (any, error)
	// perform does a request, and returns it, and the value of its result as JSON.
	perform func(ctx context.Context, h *tree.Handler, data []byte) (request any, value []byte, err error)
	// checks tells whether JSON is a value of the result.
	checks func(value []byte) error
}

// decodes tells whether JSON is a T, and has nothing that T has not.
func decodes[T any](value []byte) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	return d.Decode(new(T))
}

// reply is a Reply before its type is known.
type reply struct {
	value    []byte
	failure  *EffectError
	effectID string
	late     bool
	schema   int // of the value, if it is the state of a child
}

// On registers the request type Q under a name, with the function that makes an
// action of its results. The function must be pure, and has nothing but the
// request and the reply to go by: after a restart there is nothing else. Requests
// and values are kept as JSON, a value of at most [Config].MaxRecord bytes.
//
// Of an undo it is told once it is done.
func On[Q effect.Request[R], R, A any](name string, f func(q Q, r Reply[R]) A, opts ...Option) RequestType {
	t := requestType[Q, R](name, opts)
	t.action = reflect.TypeFor[A]()
	if f == nil {
		return t // without act: Define tells
	}
	t.act = func(data []byte, request any, r reply) (any, error) {
		q, ok := request.(Q)
		if !ok {
			if err := json.Unmarshal(data, &q); err != nil {
				return nil, fmt.Errorf("decode request %q: %w", name, err)
			}
		}
		answer := Reply[R]{EffectID: r.effectID, Late: r.late}
		switch {
		case r.failure != nil:
			answer.Err = r.failure
		case len(r.value) > 0:
			if err := json.Unmarshal(r.value, &answer.Value); err != nil {
				return nil, fmt.Errorf("decode the result of request %q: %w", name, err)
			}
		}
		return f(q, answer), nil
	}
	return t
}

// Request registers the request type Q under a name, for an undo, and for what
// the reducer wants no result of. Such a request must succeed in the end: one
// that does not is tried until the saga is Stuck, and a rejection leaves it Stuck
// at once.
func Request[Q effect.Request[R], R any](name string, opts ...Option) RequestType {
	return requestType[Q, R](name, opts)
}

func requestType[Q effect.Request[R], R any](name string, opts []Option) RequestType {
	t := RequestType{name: name, goType: reflect.TypeFor[Q](), result: reflect.TypeFor[R](), checks: decodes[R]}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&t.options)
		}
	}
	t.perform = func(ctx context.Context, h *tree.Handler, data []byte) (any, []byte, error) {
		var q Q
		if err := json.Unmarshal(data, &q); err != nil {
			return nil, nil, effect.Permanent(fmt.Errorf("decode request %q: %w", name, err))
		}
		n := effect.Tree(effect.Do(q, func(r effect.Result[R]) effect.Result[R] { return r }))
		r, _ := n.Call.Then(n.Call.Invoke(ctx, h, nil))
		if r.Err != nil {
			return q, nil, r.Err
		}
		value, err := json.Marshal(r.Value)
		if err != nil {
			return q, nil, effect.Permanent(fmt.Errorf("encode the result of request %q: %w", name, err))
		}
		return q, value, nil
	}
	return t
}

// Definition is a type of sagas: a reducer and the names of what it uses. Make
// it with [Define].
type Definition[S, A any] struct{ kind *kind }

// Saga is a [Definition] of any type.
type Saga interface{ inside() *kind }

func (d *Definition[S, A]) inside() *kind { return d.kind }

// Define makes the type of sagas of that name, which is part of their ids. State
// and actions are JSON; a saga begins with the zero state. What is wrong with the
// definition is told by [New]: also what JSON would leave out of a state, an
// action, a request or a result, or could not read again, as a field that is not
// exported and not tagged json:"-". Types with MarshalJSON or MarshalText are trusted.
func Define[S, A any](name string, r reducer.Reducer[S, A], types Types) *Definition[S, A] {
	k := newKind(name, reflect.TypeFor[A](), types)
	k.keeps("state", reflect.TypeFor[S]())
	if reducer.IsNil(r) {
		k.fault(errors.New("reducer is nil"))
	}
	k.step = func(state []byte, action any, env reducer.Env, emit func(op) error) ([]byte, error) {
		return step(r, state, action, env, emit)
	}
	k.check = func(state []byte) error {
		var s S
		return json.Unmarshal(state, &s)
	}
	return &Definition[S, A]{k}
}

// Name is the name of the type.
func (d *Definition[S, A]) Name() string { return d.kind.name }

// ID is the id of the saga of that key, where there are no tenants.
func (d *Definition[S, A]) ID(key string) ID { return ID{Type: d.kind.name, Key: key} }

// State is the user's state in a snapshot, brought up to the present schema.
func (d *Definition[S, A]) State(s Snapshot) (S, error) {
	var state S
	data, err := d.kind.upcast(s.Record.State, s.Record.Schema)
	if err == nil && len(data) > 0 {
		err = json.Unmarshal(data, &state)
	}
	if err != nil {
		return state, fmt.Errorf("state of saga %q: %w", s.ID, err)
	}
	return state, nil
}

// maxSends bounds the actions that one decision reduces.
const maxSends = 1000

// step reduces an action, and what it sends, on a state that is JSON, and hands
// every other effect to emit.
func step[S, A any](r reducer.Reducer[S, A], data []byte, first any, env reducer.Env, emit func(op) error) ([]byte, error) {
	var state S
	if len(data) > 0 {
		if err := json.Unmarshal(data, &state); err != nil {
			return nil, fmt.Errorf("decode the state: %w", err)
		}
	}
	a, ok := first.(A)
	if !ok {
		return nil, fmt.Errorf("action %T is no %s", first, reflect.TypeFor[A]())
	}
	queue := []A{a}
	for n := 0; n < len(queue); n++ {
		if n == maxSends {
			return nil, fmt.Errorf("the decision sends more than %d actions, the last a %T", maxSends, queue[n])
		}
		root := effect.Tree(r.Reduce(&state, queue[n], env))
		send := func(a A) { queue = append(queue, a) }
		if err := walk(&root, send, emit); err != nil {
			return nil, err
		}
	}
	next, err := json.Marshal(&state)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	return next, nil
}

// op is one thing that a reducer asks for, with the action's type hidden.
type op struct {
	kind opKind
	effectOp
}

type effectOp struct {
	command Command
	key     any
	wait    int64 // nanoseconds
	action  any
	reason  string
}

type opKind uint8

const (
	opDo opKind = iota + 1
	opAfter
	opCancel
	opCompensate
	opPivot
	opComplete
)

// walk hands out what a tree asks for, in order.
func walk[A any](n *tree.Node[A], send func(A), emit func(op) error) error {
	switch n.Kind { //nolint:exhaustive // the rest cannot be kept
	case tree.None:
		return nil
	case tree.All:
		kids := n.Kids()
		for i := range kids {
			if err := walk(&kids[i], send, emit); err != nil {
				return err
			}
		}
		return nil
	case tree.Send:
		send(n.Action)
		return nil
	case tree.After:
		return emit(op{opAfter, effectOp{key: n.Key, wait: int64(n.Delay), action: n.Action}})
	case tree.Cancel:
		return emit(op{opCancel, effectOp{key: n.Key}})
	case tree.Run:
		switch q := n.Call.Request().(type) {
		case Command:
			return emit(op{opDo, effectOp{command: q}})
		case Compensation:
			return emit(op{opCompensate, effectOp{reason: q.Reason}})
		case Pivot:
			return emit(op{kind: opPivot})
		case Completion:
			return emit(op{kind: opComplete})
		}
	}
	return fmt.Errorf("%w: %s", errForeignEffect, effect.DescribeTree(*n))
}

var errForeignEffect = errors.New("a saga cannot keep an effect that saga.Of does not make")
