package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of PostgreSQL's errors, of its Appendix A.
const (
	codeReadOnly         = "25006"
	codeBadRole          = "28000"
	codeBadPassword      = "28P01"
	codeUnknownDatabase  = "3D000"
	codeInvalidSchema    = "3F000"
	codeSerialization    = "40001"
	codeDeadlock         = "40P01"
	codeUndefinedTable   = "42P01"
	codeNoPrivilege      = "42501"
	codeDiskFull         = "53100"
	codeOutOfMemory      = "53200"
	codeTooManyConns     = "53300"
	codeLockNotAvailable = "55P03"
	codeQueryCanceled    = "57014"
	codeAdminShutdown    = "57P01"
	codeCrashShutdown    = "57P02"
	codeCannotConnect    = "57P03"
	codeIdleSession      = "57P05"
)

// reasons says in plain words what a code means, and whether what failed may be
// done again as it is.
var reasons = map[string]struct {
	text      string
	retryable bool
}{
	codeReadOnly:         {"the server is read-only: it is a standby, or default_transaction_read_only is on", true},
	codeBadRole:          {"the server refuses the credentials: no such role, or it may not connect from here", false},
	codeBadPassword:      {"the server refuses the credentials: wrong password", false},
	codeUnknownDatabase:  {"there is no such database", false},
	codeInvalidSchema:    {"the database is not migrated", false},
	codeUndefinedTable:   {"the database is not migrated", false},
	codeNoPrivilege:      {"the role lacks a right, see migrations/00001_sagas.sql for those it needs", false},
	codeSerialization:    {"it collided with another transaction", true},
	codeDeadlock:         {"it collided with another transaction", true},
	codeDiskFull:         {"the server's disk is full", true},
	codeOutOfMemory:      {"the server is out of memory", true},
	codeTooManyConns:     {"the server has too many connections", true},
	codeLockNotAvailable: {"a lock was not to be had in time", true},
	codeQueryCanceled:    {"the server cancelled it: an administrator did, or it took longer than statement_timeout", true},
	codeAdminShutdown:    {"the server ended the connection: it shuts down, or an administrator ended it", true},
	codeCrashShutdown:    {"the server ended the connection: it recovers from a crash", true},
	codeCannotConnect:    {"the server does not accept connections: it starts up, shuts down or recovers", true},
	codeIdleSession:      {"the server ended the connection: it was idle for too long", true},
}

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
	e := &Error{Doing: doing, Err: err}
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	switch {
	case errors.As(err, &refused):
		known := reasons[refused.Code]
		e.Code, e.Reason, e.retryable = refused.Code, known.text, known.retryable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &unreachable):
		e.Reason, e.retryable = "the server is not reachable", true
	case connectionLost(err):
		e.Reason, e.retryable = "the connection was lost", true
	}
	return e
}

// connectionLost tells errors of the connection from those of the call.
func connectionLost(err error) bool {
	var network net.Error
	return pgconn.SafeToRetry(err) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
