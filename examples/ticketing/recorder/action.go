package recorder

import (
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

// Action is what a recorded store reduces: [Given], [Wake], [Recorded], or what
// came of the requests of the recorder itself.
type Action[A any] interface{ isAction(A) }

// Given is an action of the wrapped reducer as it comes: from outside, from a
// request, from a timer.
type Given[A any] struct{ Action A }

// Wake has a store of a new process go on with what its stream has, see
// [Config].Resume.
type Wake[A any] struct{}

// Recorded is one that is in the log, to be reduced.
type Recorded[A any] struct{ Entry Entry[A] }

// What comes back from the recorder's requests.
type (
	// Appended tells that the actions on their way are in the log.
	Appended[A any] struct{}
	// NotAppended tells that they are not, and will not be.
	NotAppended[A any] struct{ Err error }
	// Loaded is what the log had.
	Loaded[A any] struct{ Entries []Entry[A] }
	// NotLoaded tells that it could not be read.
	NotLoaded[A any] struct{ Err error }
)

func (Given[A]) isAction(A)       {}
func (Wake[A]) isAction(A)        {}
func (Recorded[A]) isAction(A)    {}
func (Appended[A]) isAction(A)    {}
func (NotAppended[A]) isAction(A) {}
func (Loaded[A]) isAction(A)      {}
func (NotLoaded[A]) isAction(A)   {}

// Give makes an action one for a recorded store.
func Give[A any](a A) Action[A] { return Given[A]{a} }

// Match makes the match of an ask one for a recorded store.
func Match[A, R any](match func(A) (R, bool)) func(Action[A]) (R, bool) {
	return func(action Action[A]) (r R, ok bool) {
		if a, given := action.(Given[A]); given {
			return match(a.Action)
		}
		return r, false
	}
}

// Entry is an action as it is recorded, with all that its reduction depends on.
type Entry[A any] struct {
	Action A
	At     time.Time
	Meta   reducer.Meta // the ActionID is the event's id
}

// env is the same whenever the action is reduced.
func (e *Entry[A]) env() reducer.Env {
	return reducer.NewEnv(&reducer.Fixed{Time: e.At, Action: e.Meta})
}

// The requests of a recorder. [Log] does them.
type (
	// Append asks for entries at the end of a stream that has so many events.
	// The error is a *eventstore.ConflictError if it has others.
	Append[A any] struct {
		Stream  string
		After   eventstore.Version
		Entries []Entry[A]
	}
	// Load asks for the entries of a stream after that version.
	Load[A any] struct {
		Stream string
		After  eventstore.Version
	}
	// Halt tells that the store of that stream cannot go on.
	Halt struct{ Stream, Reason string }
)

// Returns names the result's type.
func (Append[A]) Returns(struct{}) {}

// Returns names the result's type.
func (Load[A]) Returns([]Entry[A]) {}

// Returns names the result's type.
func (Halt) Returns(struct{}) {}
