package effect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
)

var (
	// ErrNoHandler is the result of a request that nobody handles.
	ErrNoHandler = errors.New("no handler")
	// ErrTimeout is the result of an attempt that took longer than its
	// [Timeout]. It wraps context.DeadlineExceeded.
	ErrTimeout error = timeoutError{}
	// ErrInvalid is what comes of an effect that makes no sense: a key that
	// cannot be compared, a negative duration, a policy out of range; and of
	// middleware or a handler that breaks its contract.
	ErrInvalid = errors.New("invalid effect")

	errEnd     = io.EOF
	errNilFunc = fmt.Errorf("%w: its function is nil", ErrInvalid)
)

type timeoutError struct{}

func (timeoutError) Error() string { return "timed out" }
func (timeoutError) Unwrap() error { return context.DeadlineExceeded }

// PanicError is the result of a handler that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // where, as debug.Stack tells
}

func newPanicError(v any) *PanicError { return &PanicError{Value: v, Stack: debug.Stack()} }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap is the value of the panic, if that was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Permanent marks err as one that another attempt will not mend: a declined
// card, a version conflict. It is nil if err is.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string   { return e.err.Error() }
func (e *permanentError) Unwrap() error   { return e.err }
func (e *permanentError) Retryable() bool { return false }

// Retryable tells whether another attempt may succeed. It is false for nil, a
// cancelled context, a request without handler or one that is invalid, a panic,
// and an error that has a method Retryable() bool which says so, as those of
// [Permanent] have. It is true for everything else, a timeout included.
func Retryable(err error) bool {
	var says interface{ Retryable() bool }
	var panicked *PanicError
	switch {
	case err == nil:
		return false
	case errors.As(err, &says):
		return says.Retryable()
	case errors.As(err, &panicked):
		return false
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, ErrNoHandler) && !errors.Is(err, ErrInvalid)
}
