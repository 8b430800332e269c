package publish

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// errExpired is why a lease is given up that could not be renewed in its time.
// Nobody need have taken it, but somebody may have.
var errExpired = fmt.Errorf("lease ran out before it could be renewed: %w", eventstore.ErrFenced)

// errGoexit is the end of a handler that has ended its goroutine.
var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// PartialError is returned by a handler that has handled the first events of its
// batch and failed at the next. What it has handled is not given to it again:
// the checkpoint is set to the last of them.
type PartialError struct {
	Handled int // how many events, less than the batch has
	Err     error
}

func (e *PartialError) Error() string { return e.Err.Error() }

func (e *PartialError) Unwrap() error { return e.Err }

// Permanent marks an error of a handler as one that no other attempt will
// change: the publisher stops with a [*StoppedError]. It is nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }

func (e *permanentError) Unwrap() error { return e.err }

func isPermanent(err error) bool { return errors.As(err, new(*permanentError)) }

// StoppedError is returned by Run when a handler has failed for good: by
// [Permanent], or as often as Config.Attempts allows. The checkpoint stands
// before the event; whoever runs the subscription next begins with it.
type StoppedError struct {
	Subscription string
	Event        eventstore.Recorded // the first that was not handled
	Attempts     int                 // at that event
	Err          error
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("subscription %q stopped at attempt %d at event %s (%q, version %d of %q, position %d): %v",
		e.Subscription, e.Attempts, e.Event.ID, e.Event.Type, e.Event.Version, e.Event.Stream, e.Event.Position, e.Err)
}

func (e *StoppedError) Unwrap() error { return e.Err }

// PanicError is a handler's panic. It is tried again as any other error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Unwrap returns the value if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// RetryInfo tells of something that failed and will be tried again.
type RetryInfo struct {
	Subscription string
	Doing        Doing
	// Events are those that were to be handled, the first of them the one that
	// was not, if that is what failed.
	Events  []eventstore.Recorded
	Attempt int           // that failed, from 1
	Delay   time.Duration // until the next
	Err     error
}

// Doing is what failed.
type Doing string

// What a publisher does.
const (
	Handling  Doing = "handle events"
	Reading   Doing = "read events"
	Acquiring Doing = "acquire the lease"
	Renewing  Doing = "renew the lease"
	Saving    Doing = "save the checkpoint"
)

// final tells whether an error of the store or of the checkpoints will be the
// same next time. What is not known to be is tried again: a publisher is to
// outlive what it depends on.
func final(err error) bool {
	return errors.Is(err, eventstore.ErrClosed) ||
		errors.Is(err, eventstore.ErrNoTenant) ||
		errors.Is(err, eventstore.ErrFenced) ||
		errors.As(err, new(*eventstore.InputError)) ||
		errors.As(err, new(*eventstore.DataError))
}
