package aggregate

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// Feedback is what a command has led to, when that is durable. Its caller needs
// no query to go on.
type Feedback[S any] struct {
	// State is the aggregate's after the command: what a fold of its stream up to
	// Version gives. It is the caller's own. It is zero if the command was
	// executed [WithoutFeedback].
	State S
	// Stream is the aggregate's.
	Stream string
	// Version and Position are those of the last event in State. Both are 0 if
	// the aggregate has none. A read model that has come to Position knows of it.
	Version  eventstore.Version
	Position eventstore.Position
	// Events are what the command made happen; none if there was nothing to do.
	// Like all that a store has recorded they must not be changed.
	Events []eventstore.Recorded
	// Replayed tells that the command was done before with the same idempotency
	// key. All else is as it was told then.
	Replayed bool
}

// Receipt is what the sender of a command gets that is accepted and not yet
// executed: one that is queued, or scheduled.
type Receipt struct {
	// ID identifies the command.
	ID uuid.UUID `json:"id"`
	// Due is when it will be executed; zero is soon.
	Due time.Time `json:"due,omitzero"`
}
