package pghome

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of PostgreSQL's errors, of its Appendix A.
const (
	UniqueViolation  = "23505"
	ReadOnly         = "25006"
	BadRole          = "28000"
	BadPassword      = "28P01"
	UnknownDatabase  = "3D000"
	InvalidSchema    = "3F000"
	Serialization    = "40001"
	Deadlock         = "40P01"
	UndefinedFunc    = "42883"
	UndefinedTable   = "42P01"
	NoPrivilege      = "42501"
	DiskFull         = "53100"
	OutOfMemory      = "53200"
	TooManyConns     = "53300"
	LockNotAvailable = "55P03"
	QueryCanceled    = "57014"
	AdminShutdown    = "57P01"
	CrashShutdown    = "57P02"
	CannotConnect    = "57P03"
	IdleSession      = "57P05"
)

// reasons says in plain words what a code means, and whether what failed may be
// done again as it is.
var reasons = map[string]struct {
	text      string
	retryable bool
}{
	ReadOnly:         {"the server is read-only: it is a standby, or default_transaction_read_only is on", true},
	BadRole:          {"the server refuses the credentials: no such role, or it may not connect from here", false},
	BadPassword:      {"the server refuses the credentials: wrong password", false},
	UnknownDatabase:  {"there is no such database", false},
	InvalidSchema:    {"the database is not migrated", false},
	UndefinedTable:   {"the database is not migrated", false},
	UndefinedFunc:    {"the database is not migrated", false},
	NoPrivilege:      {"the role lacks a right, the heads of the migrations say which it needs", false},
	Serialization:    {"it collided with another transaction", true},
	Deadlock:         {"it collided with another transaction", true},
	DiskFull:         {"the server's disk is full", true},
	OutOfMemory:      {"the server is out of memory", true},
	TooManyConns:     {"the server has too many connections", true},
	LockNotAvailable: {"a lock was not to be had in time", true},
	QueryCanceled:    {"the server cancelled it: an administrator did, or it took longer than statement_timeout", true},
	AdminShutdown:    {"the server ended the connection: it shuts down, or an administrator ended it", true},
	CrashShutdown:    {"the server ended the connection: it recovers from a crash", true},
	CannotConnect:    {"the server does not accept connections: it starts up, shuts down or recovers", true},
	IdleSession:      {"the server ended the connection: it was idle for too long", true},
}

// rowSecurity is where the server refuses what a policy would leave rows out of, since
// it was told to: the code is that of a missing right, and the text may be translated.
const rowSecurity = "check_enable_rls"

// Trouble is what an error of pgx says.
type Trouble struct {
	// Code is PostgreSQL's, "" if the error is not the server's.
	Code string
	// Reason is what was wrong, in plain words, "" where the error says all there
	// is.
	Reason string
	// Retryable tells that the same may succeed later.
	Retryable bool
	// Cancelled tells that a context has ended.
	Cancelled bool
}

// Explain tells what an error says.
func Explain(err error) Trouble {
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	switch {
	case errors.As(err, &refused) && PoolerLost(refused):
		return Trouble{Code: refused.Code, Reason: "a pooler lost the server", Retryable: true}
	case errors.As(err, &refused) && refused.Code == NoPrivilege && refused.Routine == rowSecurity:
		return Trouble{Code: refused.Code, Reason: "the setting row_security is off for the role or the database, and has to be on"}
	case errors.As(err, &refused):
		known := reasons[refused.Code]
		return Trouble{Code: refused.Code, Reason: known.text, Retryable: known.retryable}
	case errors.As(err, &unreachable) && !errors.Is(err, context.Canceled):
		// A deadline is connect_timeout's: a pool connects with a context of its own.
		return Trouble{Reason: "the server is not reachable", Retryable: true}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Trouble{Cancelled: true}
	case connectionLost(err):
		return Trouble{Reason: "the connection was lost", Retryable: true}
	}
	return Trouble{}
}

// PoolerLost tells that an error is of a pooler that has lost the server, or found
// none: of the class of connection exceptions, and fatal. What the server did with
// what it was sent is not known then.
func PoolerLost(err *pgconn.PgError) bool {
	return strings.HasPrefix(err.Code, "08") && err.SeverityUnlocalized != "ERROR"
}

// connectionLost tells errors of the connection from those of the call.
func connectionLost(err error) bool {
	var network net.Error
	return pgconn.SafeToRetry(err) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
