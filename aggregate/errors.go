package aggregate

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/workflow"
)

// ErrStateChanged is what a Decide that has changed the state is told, unless
// Config.TrustDecide is set. It comes in a *[DeciderError].
var ErrStateChanged = errors.New("it changed the state")

// RejectionError says that a command was decided, and the decision is no. With
// an idempotency key it is kept, and comes again.
type RejectionError struct {
	// Code is for programs. It is empty if Decide returned an error of its own
	// that is not a rejection.
	Code string
	// Reason is for people.
	Reason string
	// Err is the error that Decide returned, if that was not made by [Reject].
	// It is not kept with an idempotency key: tell rejections apart by Code.
	Err error
}

func (e *RejectionError) Error() string {
	if e.Code == "" {
		return "rejected: " + e.Reason
	}
	return fmt.Sprintf("rejected: %s (%s)", e.Reason, e.Code)
}

func (e *RejectionError) Unwrap() error { return e.Err }

// RejectionCode is Code, for those who do not know this package: testkit.Given.
func (e *RejectionError) RejectionCode() string { return e.Code }

// KeyReusedError is returned for an idempotency key that another command has
// had: the command, its payload or its aggregate differ.
type KeyReusedError struct{ Key string }

func (e *KeyReusedError) Error() string {
	return fmt.Sprintf("idempotency key %q was used for another command", e.Key)
}

// InterruptedError says that a command was not seen to its end: its caller's
// context has ended, the host was shut down, or the outcome of its append could
// not be known.
type InterruptedError struct {
	Stream string
	// MaybeDone tells that the command may have been done, or still be: its
	// events were being appended. If it is false nothing was and will be done.
	MaybeDone bool
	// Key is the command's idempotency key. With one, the same command can be
	// executed again to learn what became of it.
	Key string
	// Err is why: the context's error, or the event store's.
	Err error
}

func (e *InterruptedError) Error() string {
	if e.MaybeDone {
		return fmt.Sprintf("interrupted, it may have been done: %v", e.Err)
	}
	return fmt.Sprintf("interrupted before anything was done: %v", e.Err)
}

func (e *InterruptedError) Unwrap() error { return e.Err }

// Retryable says that the command can be executed again without being done
// twice, and that it makes sense.
func (e *InterruptedError) Retryable() bool {
	return !ended(e.Err) && (e.Key != "" || !e.MaybeDone)
}

// DeciderError is returned for a mistake in a decider: a panic (a
// *effect.PanicError with the stack), an event that cannot be encoded, a changed
// state ([ErrStateChanged]). Nothing was appended.
type DeciderError struct {
	Func string // "Decide" or "Evolve"
	Of   string // the type of the command or event
	Err  error
}

func (e *DeciderError) Error() string { return fmt.Sprintf("%s of %s: %v", e.Func, e.Of, e.Err) }

func (e *DeciderError) Unwrap() error { return e.Err }

// IsRejection tells whether a command was decided with no.
func IsRejection(err error) bool {
	var r *RejectionError
	return errors.As(err, &r)
}

// IsConflict tells whether something else stands in a command's way: others
// have changed the aggregate as often as it was decided (Config.Attempts), or
// its idempotency key is another's. What was decided is out of date.
func IsConflict(err error) bool {
	var conflict *eventstore.ConflictError
	var reused *KeyReusedError
	return errors.As(err, &conflict) || errors.As(err, &reused)
}

// IsInput tells whether what the caller gave makes no sense: the id, the key, the
// tenant, the command. The *eventstore.InputError says which, and what is wanted.
func IsInput(err error) bool {
	var input *eventstore.InputError
	var no *refusal // of events, which are the decider's
	return errors.As(err, &input) && !errors.As(err, &no)
}

// Retryable tells whether the same command may succeed when it is executed again
// a little later, and cannot be done twice by that.
func Retryable(err error) bool {
	if IsRejection(err) || IsConflict(err) {
		return false
	}
	return eventstore.Retryable(err) ||
		errors.Is(err, workflow.ErrFull) || errors.Is(err, store.ErrTooManyLive) || errors.Is(err, store.ErrMailboxFull)
}

// IsPermanent tells whether a command has failed for a reason that stays: bad
// input, an event that cannot be read, a mistake in the decider. It is not said
// of rejections and conflicts, nor of what its own context has cut short.
func IsPermanent(err error) bool {
	var cut *InterruptedError
	return err != nil && !IsRejection(err) && !IsConflict(err) && !Retryable(err) && !ended(err) && !errors.As(err, &cut)
}

// ended tells the error of a context that has ended, and not that of an attempt
// which took too long.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, effect.ErrTimeout)
}
