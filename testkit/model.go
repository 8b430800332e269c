package testkit

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// Model is what [Explore] and [Simulate] look into: one store of state S and
// actions A, or several, and the world W that their requests act on.
//
// A Model is only read. States, the world, actions and requests are copied and
// hashed: by their methods Clone and Hash if they have them, by reflection
// otherwise.
//
//	func (s State) Clone() State   // shares nothing with s that a reducer changes
//	func (s State) Hash() uint64   // equal states, equal hashes; 64 good bits
type Model[S, A, W any] struct {
	// State is what the store begins with. Of several stores it has a part for
	// each.
	State S
	// World is what the requests act on: a bank, an inventory, a table. It is a
	// simple picture of the real thing, and part of what is explored.
	World W
	// Reducer is that of the one store.
	Reducer reducer.Reducer[S, A]
	// Stores are several stores, in the place of Reducer; A is then [Sent].
	Stores []Store[S]
	// Inputs are the actions from outside, a slice for each sender. A sender's
	// actions are sent in their order, each at any moment; those of different
	// senders in any order.
	Inputs [][]A
	// Answers say what requests can be answered, each made by [On] or [Route].
	Answers []Answer
	// Recover is the start after a crash: given the state at the crash, it
	// returns what a new process begins with (what was durable stays, what was
	// volatile is zero) and the actions with which it starts. It is needed for
	// [Crashes].
	Recover func(crashed *S) (recovered S, restart []A)
	// Start is the time at which the model begins; zero is the first moment of
	// the year 2000, UTC.
	Start time.Time
}

// Sent is an action for one of several stores.
type Sent struct {
	Store  string
	Action any
}

// To is an action for the store of that name.
func To(store string, action any) Sent { return Sent{store, action} }

// Store is one of several stores of a [Model]; [StoreOf] makes it.
type Store[S any] struct {
	name string
	make func(x *setup, index int) hosting[S]
}

// StoreOf is a store of the reducer r, whose state is the part of the model's
// state that at finds. at must find the same place each time, and never nil.
func StoreOf[S, CS, CA any](name string, at func(*S) *CS, r reducer.Reducer[CS, CA]) Store[S] {
	return Store[S]{name: name, make: func(x *setup, index int) hosting[S] { return newHost(x, index, name, at, r) }}
}

// Answer says what a type of requests can be answered. [On] and [Route] make
// them.
type Answer struct{ h *handler }

// handler is an answer with its types hidden.
type handler struct {
	request reflect.Type
	zero    any          // result
	world   reflect.Type // nil of a route
	// apply has the request act on the world.
	apply func(world, request any) (value any, err error)
	// route gives the store a request goes to, and the action it is there.
	route func(request any) (store string, action any)
	// match takes the answer out of an action of that store.
	match func(action any) (value any, ok bool, err error)

	fails    []error
	reads    bool
	commutes bool
	trouble  string
}

// AnswerOption says more of an [Answer].
type AnswerOption func(*handler)

// On answers requests of type Q by f, which acts on the world. A request can
// then end in any of these ways:
//
//   - f has acted and its answer arrives: at once, or later, with anything in
//     between;
//   - it [Fails] with one of the errors declared, and f has not acted;
//   - it or its answer is lost ([LostReplies]): the caller gets [ErrLost], and
//     f has acted or not;
//   - it is delivered twice ([Duplicates]);
//   - its caller gives up (by Cancel, timeout, crash): then f may still act, at
//     any later moment, or never.
//
// f may fail too, by its own judgement of the world. It must be pure but for
// the world, and keep nothing of its request. An error that is a state of the
// world (a card declined) is better returned by f than declared.
func On[W any, Q effect.Request[R], R any](f func(world *W, q Q) (R, error), opts ...AnswerOption) Answer {
	h := &handler{request: reflect.TypeFor[Q](), zero: *new(R), world: reflect.TypeFor[W]()}
	if f == nil {
		h.trouble = fmt.Sprintf("On[%s]: nil function", h.request)
	}
	h.apply = func(world, request any) (any, error) {
		value, err := f(world.(*W), request.(Q)) //nolint:forcetypeassert // checked when the model is taken
		if err != nil {
			return nil, err
		}
		return value, nil
	}
	for _, o := range opts {
		o(h)
	}
	return Answer{h}
}

// Route answers requests of type Q by another store of the model: to says which,
// and with which action; answer takes the result, or its error, out of an action
// that this one caused there, as the match of store.Ask does. What can happen to a request
// that [On] answers can happen to this one.
func Route[Q effect.Request[R], R, A any](to func(Q) (store string, action A), answer func(A) (value R, ok bool, err error), opts ...AnswerOption) Answer {
	h := &handler{request: reflect.TypeFor[Q](), zero: *new(R)}
	if to == nil || answer == nil {
		h.trouble = fmt.Sprintf("Route[%s]: nil function", h.request)
	}
	h.route = func(request any) (string, any) {
		store, action := to(request.(Q)) //nolint:forcetypeassert // looked up by its type
		return store, action
	}
	h.match = func(action any) (any, bool, error) {
		a, ok := action.(A)
		if !ok {
			return nil, false, nil
		}
		value, ok, err := answer(a)
		if err != nil {
			return nil, ok, err
		}
		return value, ok, nil
	}
	for _, o := range opts {
		o(h)
	}
	return Answer{h}
}

// Fails declares errors with which a request can end without having acted. How
// often in all is bounded by [Failures].
func Fails(errs ...error) AnswerOption {
	return func(h *handler) {
		for _, err := range errs {
			if err == nil {
				h.trouble = fmt.Sprintf("Fails of %s: nil error", h.request)
			}
		}
		h.fails = append(h.fails, errs...)
	}
}

// ReadOnly tells that a request does not change the world or the other store:
// once nobody waits for it, it is forgotten, and it is not delivered twice.
func ReadOnly() AnswerOption { return func(h *handler) { h.reads = true } }

// Commutes tells that what a request does to the world can be exchanged with
// what any other does: both orders leave the same world and give the same
// answers. Then it acts just when its answer arrives, or after its caller has
// given up, and the moments between are left out: those in which the world knows
// already what the state does not. An Always or a Sometimes that holds the one
// against the other does not see them; one of the state alone or of the world
// alone misses nothing, nor does Finally. The claim is checked on the way,
// wherever two requests wait at once.
func Commutes() AnswerOption { return func(h *handler) { h.commutes = true } }

var (
	// ErrLost is what a caller gets whose request, or its answer, was lost: it
	// cannot know whether the request has acted.
	ErrLost = errors.New("no answer: the request or its answer was lost")
	// ErrNoReply is what a caller gets when a store has finished all that a
	// routed request caused and gave no answer.
	ErrNoReply = errors.New("the store finished without an answer")
)
