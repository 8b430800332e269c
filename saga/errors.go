package saga

import "errors"

var (
	// ErrClosed is returned for what is asked of a store or a runner that was
	// closed.
	ErrClosed = errors.New("saga store is closed")
	// ErrNotFound is returned where there is no such saga.
	ErrNotFound = errors.New("no such saga")
	// ErrFenced is returned to a worker that is not that worker any more: another
	// with its id has joined, or it was forgotten.
	ErrFenced = errors.New("another worker has this id")
)
