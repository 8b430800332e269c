package postgres

import (
	"fmt"

	"github.com/seed57833328/rondo/internal/pghome"
)

// Error is what PostgreSQL, or the way to it, had against something. The store
// wraps what it knows no better name for.
type Error struct {
	// Doing is what was tried, such as "append".
	Doing string
	// Reason is what was wrong, in plain words, "" where Err says all there is.
	Reason string
	// Code is PostgreSQL's code, "" if the error is not the server's.
	Code string
	// Err is pgx's error.
	Err error

	retryable bool
}

func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s: %v", e.Doing, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Doing, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Retryable tells whether the same may succeed later: the server was not to be
// reached, was overloaded or shutting down, or a transaction collided.
func (e *Error) Retryable() bool { return e.retryable }

// explain wraps an error of pgx. Errors of a context stay as they are.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	t := pghome.Explain(err)
	if t.Cancelled {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &Error{Doing: doing, Reason: t.Reason, Code: t.Code, Err: err, retryable: t.Retryable}
}
