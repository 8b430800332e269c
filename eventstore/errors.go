package eventstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

var (
	// ErrClosed is returned for what is asked of a store that was closed.
	ErrClosed = errors.New("event store is closed")
	// ErrNoTenant is returned where a tenant is needed and the context has none.
	ErrNoTenant = errors.New("no tenant in the context")
	// ErrFenced is returned to the holder of a lease that another has taken.
	ErrFenced = errors.New("lease was taken by another")
	// ErrErased is returned for the key of a subject that was erased.
	ErrErased = errors.New("subject was erased")
	// ErrNoKey is returned for the key of a subject that never had one.
	ErrNoKey = errors.New("subject has no key")
)

// ConflictError is returned by Append when a stream is not at the version that
// was expected. Nothing was written.
type ConflictError struct {
	Stream   string
	Expected Expected
	Actual   Version // 0 if the stream has no events
}

func (e *ConflictError) Error() string {
	actual := fmt.Sprintf("is at version %d", e.Actual)
	if e.Actual == 0 {
		actual = "has no events"
	}
	return fmt.Sprintf("append to %q: expected %s, the stream %s", e.Stream, e.Expected, actual)
}

// DuplicateEventError is returned by Append when an event is already there: this
// append, or another with the same id, has happened before. Nothing was written.
type DuplicateEventError struct {
	Stream string // to which it was to be appended
	ID     uuid.UUID
}

func (e *DuplicateEventError) Error() string {
	return fmt.Sprintf("append to %q: event %s is already there", e.Stream, e.ID)
}

// ClaimedError is returned by Append when an idempotency key is taken. Nothing
// was written.
type ClaimedError struct {
	Claim Claim // that was committed with the key
	// More are those of the append's other keys that are taken, in the order of the
	// writes: who has many requests in one append need not meet them one by one.
	More []Claim
}

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("idempotency key %q is taken until %s", e.Claim.Key, e.Claim.Until.UTC().Format(time.RFC3339))
}

// UnknownOutcomeError is returned by Append when it cannot be known whether it
// has happened: the connection was lost, or the context ended, while it was
// being committed. [Lookup] with the ids tells, once the store can be reached;
// appending the same events again is safe too.
type UnknownOutcomeError struct {
	IDs []uuid.UUID // of the events; those that had none were given one
	Err error       // what has happened
}

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("append of %d events: outcome unknown: %v", len(e.IDs), e.Err)
}

func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// InputError is returned for what makes no sense. Nothing was done.
type InputError struct {
	Field string // what is wrong, as in "Write.Stream"
	Value string // shortened if it is long
	Want  string // what would have been accepted
}

func (e *InputError) Error() string {
	return fmt.Sprintf("%s is %s, want %s", e.Field, e.Value, e.Want)
}

// LeaseHeldError is returned by AcquireLease when another owner has the lease.
type LeaseHeldError struct {
	Subscription string
	Owner        string
	Expires      time.Time
}

func (e *LeaseHeldError) Error() string {
	return fmt.Sprintf("lease of subscription %q is held by %q until %s", e.Subscription, e.Owner, e.Expires.UTC().Format(time.RFC3339Nano))
}

// UnknownTypeError is returned for an event whose type a registry does not have.
type UnknownTypeError struct {
	Type    string
	Stream  string // "" if it was to be encoded
	Version Version
}

func (e *UnknownTypeError) Error() string {
	if e.Stream == "" {
		return fmt.Sprintf("event type %s is not registered", e.Type)
	}
	return fmt.Sprintf("event %d of %q: type %q is not registered", e.Version, e.Stream, e.Type)
}

// SchemaError is returned for an event or snapshot whose schema version a
// registry cannot bring up to the one it knows: it is newer, or an upcaster is
// missing.
type SchemaError struct {
	Type    string
	Stream  string
	Version Version
	Schema  int // of the data
	Known   int // the registry's
}

func (e *SchemaError) Error() string {
	what := fmt.Sprintf("event %d of %q: schema %d of type %q", e.Version, e.Stream, e.Schema, e.Type)
	if e.Schema > e.Known {
		return fmt.Sprintf("%s is newer than this program, which knows %d", what, e.Known)
	}
	return fmt.Sprintf("%s cannot be brought up to %d", what, e.Known)
}

// DataError is returned for an event whose data cannot be decoded.
type DataError struct {
	Type     string
	Stream   string
	Version  Version
	Position Position
	Err      error
}

func (e *DataError) Error() string {
	return fmt.Sprintf("event %d of %q (position %d): decode %q: %v", e.Version, e.Stream, e.Position, e.Type, e.Err)
}

func (e *DataError) Unwrap() error { return e.Err }

// Retryable tells whether the same call may succeed later, without anything
// being changed. It is not said of conflicts, for which a decision has to be
// made again, nor of what was wrong in the call. Errors of homes say so with a
// method Retryable() bool. An append of which nothing is known is retryable if
// its events have ids, for then it cannot happen twice; the events of an
// *UnknownOutcomeError that the store gave ids are appended again with those.
func Retryable(err error) bool {
	var r interface{ Retryable() bool }
	return errors.As(err, &r) && r.Retryable()
}

// Retryable says that the append may be done again with the same ids.
func (e *UnknownOutcomeError) Retryable() bool { return true }

// Retryable says that the lease will run out.
func (e *LeaseHeldError) Retryable() bool { return true }
