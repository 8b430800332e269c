package saga

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned for what is asked of a store or a runner that was
	// closed.
	ErrClosed = errors.New("saga store is closed")
	// ErrNotFound is returned where there is no such saga.
	ErrNotFound = errors.New("no such saga")
	// ErrFenced is returned to a worker that is not that worker any more: another
	// with its id has joined, or it was forgotten.
	ErrFenced = errors.New("another worker has this id")
	// ErrEnded is returned for a message to a saga that has ended.
	ErrEnded = errors.New("saga has ended")
	// ErrPivoted is returned for a cancellation that comes after the point of no
	// return.
	ErrPivoted = errors.New("saga is past its point of no return")
	// ErrPaused is returned where a type is paused that would have to start a
	// saga.
	ErrPaused = errors.New("saga type is paused")
	// ErrNotPending is returned to an operator for an effect or an undo that is
	// not pending.
	ErrNotPending = errors.New("nothing of that id is pending")
	// ErrRefused is returned to an operator for what makes no sense in the
	// status that the saga has.
	ErrRefused = errors.New("not possible in this status")
)

// StuckError is returned for what has left a saga Stuck, or found it so. It is
// not lost: the saga takes it up again once it is mended and retried.
type StuckError struct {
	ID     ID
	Reason string
}

func (e *StuckError) Error() string { return fmt.Sprintf("saga %q is stuck: %s", e.ID, e.Reason) }

// TypeError is returned for a type of sagas that a runner does not know.
type TypeError struct {
	Type  string
	Known []string
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("saga type %q is unknown, want one of %q", e.Type, e.Known)
}

// SchemaError is returned for a state whose schema a definition does not know: it
// is newer, or an upcaster is missing.
type SchemaError struct {
	Type          string
	Schema, Known int
}

func (e *SchemaError) Error() string {
	if e.Schema > e.Known {
		return fmt.Sprintf("state of saga %q has schema %d, this program knows %d", e.Type, e.Schema, e.Known)
	}
	return fmt.Sprintf("state of saga %q has schema %d and cannot be brought up to %d", e.Type, e.Schema, e.Known)
}

// TooLargeError is why a saga is stuck whose record would be too large.
type TooLargeError struct {
	State, Work int // bytes
	Limit       int // of both together
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("record too large: %d bytes of state and %d of work, want at most %d together", e.State, e.Work, e.Limit)
}
