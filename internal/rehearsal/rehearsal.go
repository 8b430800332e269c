// Package rehearsal is the way from package sagatest to what package saga keeps to
// itself: the machine that a runner has of each saga, and the decisions that it
// makes. It has no code of its own, so that saga need not import what tests do.
package rehearsal

import (
	"reflect"
	"time"
)

// Open makes the machine of a saga that does not exist yet, in a process with a
// home that never fails. Package saga sets it. The error is what is wrong with the
// definition.
var Open func(definition any, c Config) (Machine, error)

// Config is what a runner would know.
type Config struct {
	Tenant, Key string
	StuckAfter  int // 0 is a runner's default
}

// Machine is a saga in memory, with its record. None of its methods changes it,
// and they may be called by many at once if what the definition is made of may.
type Machine interface {
	// Do takes an input at a time and does all that follows from it at once: it
	// decides, commits, and begins what is to be begun. The error is that the
	// input cannot be written; nothing has changed then.
	Do(now time.Time, in Input) (Machine, Outcome, error)
	// Snapshot is a saga.Snapshot of the record; without one its Sequence is 0.
	Snapshot() any
	// Types are those of the actions and of the requests, by their names.
	Types() (actions, requests map[string]reflect.Type)
	// Kin are machines of the types of its child sagas, by their types. They are
	// nobody's: those that are come with a Post.
	Kin() map[string]Machine
}

// Kind says what an input is.
type Kind uint8

// The kinds of inputs, with the fields that each uses.
const (
	Start   Kind = iota + 1 // Action
	Signal                  // Action, Message
	Cancel                  // Message, Reason
	Result                  // Attempt, and Value or Err; of a child too: see Attempt
	Resolve                 // Attempt.Effect, and Value or Err
	Due                     // the time has come that Outcome.Due has named
	Crash                   // the process ends, and another takes over
	Mail                    // Post
)

// Input is what a machine is given.
type Input struct {
	Kind            Kind
	Action          any
	Message, Reason string
	Attempt         Attempt
	Value           []byte // JSON
	Err             error
	Post            Post
}

// Outcome is what has come of an input.
type Outcome struct {
	// Begun are the attempts that begin now. A child saga is one too.
	Begun []Attempt
	// Posts are the messages that were committed to other sagas.
	Posts []Post
	// Due is when the machine wants to be woken, zero if not at all.
	Due time.Time
	// Err is what the sender is told.
	Err error
	// Decisions are those that were committed.
	Decisions []Decision
}

// Post is a message from a saga to its parent or to a child.
type Post struct {
	To, ID string
	Body   []byte
	// Child is the machine that it is for if there is none of that name yet. It is
	// nil of a message to the parent.
	Child Machine
}

// Attempt is a call of a handler.
type Attempt struct {
	// Effect is the key of the effect within its saga, with /undo behind it for
	// an undo; Key is the whole one.
	Effect, Key string
	N           int // from 1
	Request     string
	Type        reflect.Type // nil of a request that is not registered
	Data        []byte       // JSON
	Timeout     time.Duration

	// Child is the type of the state that a child saga completes with, nil of
	// what a handler does. Value is what was asked for then, nil if Cancels is
	// set: the child is to be cancelled, and undone if it has completed. A
	// rejection is that it was compensated; of a cancellation that there is no way
	// back. Any other error is that it was terminated.
	Child   reflect.Type
	Value   any
	Cancels bool
}

// Decision is a line of the history.
type Decision struct {
	Kind   string
	Action any // what was reduced, nil if nothing was
	Late   bool
	Issued []string
	Notes  []string
	// Problem is why the decision could not be made, Trace where it panicked.
	Problem, Trace string
	Data           []byte
}
