package command

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
)

var (
	// ErrNotFound is returned for the id of a command that is not there.
	ErrNotFound error = &stateError{"command is not there", http.StatusNotFound}
	// ErrNoResult is returned to who gives a command again that was carried out,
	// if its answer was not kept: see [DropResult].
	ErrNoResult error = &stateError{"command was carried out before, and its answer was not kept", http.StatusConflict}
	// ErrStarted is returned by Cancel for a command that was begun.
	ErrStarted error = &stateError{"command was begun", http.StatusConflict}
	// ErrFinished is returned by Cancel for a command that is done.
	ErrFinished error = &stateError{"command is finished", http.StatusConflict}
)

// stateError is a sentinel with an HTTP status.
type stateError struct {
	text   string
	status int
}

func (e *stateError) Error() string { return e.text }

func (e *stateError) HTTPStatus() int { return e.status }

// UnknownTypeError is returned for a command whose type has no handler. Nothing
// was recorded.
type UnknownTypeError struct {
	Type  string
	Known []string // in order
}

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("command type %s has no handler, want one of %s", quote(e.Type), strings.Join(e.Known, ", "))
}

// HTTPStatus is 400. Package aggregate/httpreply asks errors for it.
func (e *UnknownTypeError) HTTPStatus() int { return http.StatusBadRequest }

// Problem is what is wrong with a field of a command.
type Problem struct {
	// Field is its path in the payload, as in "lines.quantity". It is empty if
	// the problem is the payload's.
	Field string `json:"field"`
	// Problem says what is wrong, and what would be accepted.
	Problem string `json:"problem"`
}

func (p Problem) String() string {
	if p.Field == "" {
		return p.Problem
	}
	return p.Field + " " + p.Problem
}

// ValidationError is returned for a payload that is no good. Nothing was
// recorded.
type ValidationError struct {
	Type     string // of the command
	Problems []Problem
}

func (e *ValidationError) Error() string {
	all := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p.String()
	}
	return fmt.Sprintf("command %s is not valid: %s", quote(e.Type), strings.Join(all, "; "))
}

// HTTPStatus is 400.
func (e *ValidationError) HTTPStatus() int { return http.StatusBadRequest }

// ForbiddenError says that the actor may not give the command.
type ForbiddenError struct {
	Type  string
	Actor string
	Err   error // of Config.Authorize
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("%s may not give command %s: %v", quote(e.Actor), quote(e.Type), e.Err)
}

func (e *ForbiddenError) Unwrap() error { return e.Err }

// HTTPStatus is 403.
func (e *ForbiddenError) HTTPStatus() int { return http.StatusForbidden }

// FailedError tells again that a command has failed, to who gives it again with
// the same id. If it was rejected, a *aggregate.RejectionError is in it.
type FailedError struct {
	ID   uuid.UUID
	Type string
	Failure
}

func (e *FailedError) Error() string {
	if e.Rejected {
		return fmt.Sprintf("command %s was rejected before: %s (%s)", e.ID, e.Reason, e.Code)
	}
	return fmt.Sprintf("command %s has failed before: %s (%s)", e.ID, e.Reason, e.Code)
}

// Unwrap returns the rejection, if it was one.
func (e *FailedError) Unwrap() error {
	if e.Rejected {
		return &aggregate.RejectionError{Code: e.Code, Reason: e.Reason}
	}
	return nil
}

// ScheduledError is returned by Dispatch for a command that was scheduled with
// the same id, and is not due.
type ScheduledError struct{ Receipt Receipt }

func (e *ScheduledError) Error() string {
	return fmt.Sprintf("command %s is scheduled for %s", e.Receipt.ID, e.Receipt.Due.UTC().Format("2006-01-02T15:04:05.999999999Z07:00"))
}

// HTTPStatus is 409.
func (e *ScheduledError) HTTPStatus() int { return http.StatusConflict }

// InterruptedError says that a context has ended while a command was accepted,
// carried out or waited for.
type InterruptedError struct {
	ID uuid.UUID
	// Recorded tells that the command is pending: it will be carried out, by
	// Run or by dispatching it again with the same id. If it is false, and Unknown
	// is too, nothing was recorded and nothing will be done.
	Recorded bool
	// Unknown tells that it could not be known whether it was recorded.
	Unknown bool
	// Err is the context's error, or what it has led to.
	Err error
}

func (e *InterruptedError) Error() string {
	switch {
	case e.Recorded:
		return fmt.Sprintf("command %s: interrupted, it stays pending: %v", e.ID, e.Err)
	case e.Unknown:
		return fmt.Sprintf("command %s: interrupted, it may have been recorded: %v", e.ID, e.Err)
	}
	return fmt.Sprintf("command %s: interrupted before it was recorded: %v", e.ID, e.Err)
}

func (e *InterruptedError) Unwrap() error { return e.Err }

// HandlerError is what a handler has failed with, for the command that failed.
type HandlerError struct {
	ID   uuid.UUID
	Type string
	Err  error
}

func (e *HandlerError) Error() string { return fmt.Sprintf("command %s: %v", quote(e.Type), e.Err) }

func (e *HandlerError) Unwrap() error { return e.Err }

// errExit is the end of a handler that has ended its goroutine.
var errExit = errors.New("handler ended its goroutine (runtime.Goexit)")

// errCrashed is why a command is given up that was begun as often as it may be, and
// of which nothing was recorded since.
var errCrashed = errors.New("it was begun as often as it may be, and each time nothing was heard of it again")

// errTimeout is why an attempt's context ends.
var errTimeout = fmt.Errorf("the attempt took too long: %w", context.DeadlineExceeded)

// maxStack is how much of a stack is recorded.
const maxStack = 8 << 10

// maxReason is how much of an error is recorded.
const maxReason = 4 << 10

// retryable is the default of Config.Retryable.
func retryable(err error) bool {
	return aggregate.Retryable(err) || errors.Is(err, errTimeout)
}

// failureOf says why a command has failed.
func (b *Bus) failureOf(err error) *Failure {
	f := &Failure{Code: CodeError, Reason: shorten(err.Error(), maxReason)}
	var (
		rejection *aggregate.RejectionError
		panicked  *effect.PanicError
		forbidden *ForbiddenError
		invalid   *ValidationError
	)
	switch {
	case errors.As(err, &rejection):
		f.Code, f.Reason, f.Rejected = rejection.Code, shorten(rejection.Reason, maxReason), true
	case errors.As(err, &forbidden):
		f.Code = CodeForbidden
	case errors.As(err, &invalid):
		f.Code = CodeInvalid
	case errors.As(err, &panicked):
		f.Code, f.Stack = CodePanic, shorten(string(panicked.Stack), maxStack)
	case errors.Is(err, eventstore.ErrErased):
		f.Code = CodeErased
	case aggregate.IsConflict(err):
		f.Code = CodeConflict
	case errors.Is(err, errCrashed):
		f.Code = CodeCrashed
	case errors.Is(err, errTimeout):
		f.Code, f.Passing = CodeTimeout, true
	case b.cfg.Retryable(err):
		f.Code, f.Passing = CodePassing, true
	}
	return f
}

// shorten cuts text that is to be recorded, and makes it text.
func shorten(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// quote shows a name in an error, shortened.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s, 64)) }
