package aggregate

import (
	"fmt"

	"github.com/seed57833328/rondo/reducer"
)

// Decider is the business logic of an aggregate: pure functions of its state S,
// its commands C and its events E. C and E are usually interfaces that the types
// of commands and events implement.
//
// One value serves all aggregates of its kind, from many goroutines at once.
type Decider[S, C, E any] interface {
	// Decide says what a command makes happen: events, nothing, or a rejection,
	// as [Reject] makes. It reads the state and never changes it, and must not
	// keep it. Like a reducer it reads no clock and draws no chance: env has the
	// time, ids, and who asks. It may be called several times for one command, on
	// other states.
	Decide(state *S, command C, env reducer.Env) ([]E, error)
	// Evolve makes of a state the one after an event. It is called for what has
	// been decided and for what is read, and cannot refuse.
	Evolve(state *S, event E)
}

// Reject makes the error with which a Decide rejects a command: a
// *[RejectionError] with a code for programs and a reason for people.
func Reject(code, format string, args ...any) error {
	return &RejectionError{Code: code, Reason: fmt.Sprintf(format, args...)}
}
