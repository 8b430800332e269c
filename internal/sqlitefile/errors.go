package sqlitefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	lib "modernc.org/sqlite/lib"
)

var (
	// ErrLocked is that another process had the file locked for longer than
	// Config.BusyTimeout. Nothing was written; it may be tried again.
	ErrLocked = errors.New("file is locked by another process")
	// ErrFull is that the disk, or what SQLite may use of it, is full. Nothing
	// was written.
	ErrFull = errors.New("disk is full")
	// ErrReadOnly is that the store was opened with Config.ReadOnly, or that the
	// file or its directory must not be written to.
	ErrReadOnly = errors.New("file is read-only")
	// ErrNotDatabase is that the file is not one of SQLite.
	ErrNotDatabase = errors.New("file is not an SQLite database")
	// ErrOtherApplication is that the file belongs to another application, or
	// has tables with the names of a store's that are none.
	ErrOtherApplication = errors.New("file belongs to another application")
	// ErrCorrupt is that SQLite found the file damaged.
	ErrCorrupt = errors.New("file is damaged")
)

// Name is what errors call a file.
type Name struct {
	Store string // what is kept in it, such as "event store"
	Path  string
}

// Error is a failure of SQLite or of its file. errors.Is finds the sentinel that
// says what kind it is, and errors.As the driver's error.
type Error struct {
	Store string // what is kept in the file, such as "event store"
	Path  string // the file's
	// Kind is ErrLocked, ErrFull, ErrReadOnly, ErrNotDatabase, ErrOtherApplication
	// or ErrCorrupt, and nil for what is none of these.
	Kind error
	Err  error // what has happened; nil if Kind says it all
}

func (e *Error) Error() string {
	switch {
	case e.Kind == nil:
		return fmt.Sprintf("%s %q: %v", e.Store, e.Path, e.Err)
	case e.Err == nil:
		return fmt.Sprintf("%s %q: %v", e.Store, e.Path, e.Kind)
	}
	return fmt.Sprintf("%s %q: %v: %v", e.Store, e.Path, e.Kind, e.Err)
}

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Retryable says that of a locked file, which another process will unlock.
func (e *Error) Retryable() bool { return errors.Is(e.Kind, ErrLocked) }

// SchemaError is returned for a file whose schema this program does not know, as
// a newer one wrote it, or, with Config.ReadOnly, cannot bring up to the one it
// knows.
type SchemaError struct {
	Store string // what is kept in the file, such as "event store"
	Path  string
	Found int64 // the schema version of the file
	Known int64 // the one of this program
}

func (e *SchemaError) Error() string {
	if e.Found > e.Known {
		return fmt.Sprintf("%s %q: schema version %d is newer than this program, which knows %d", e.Store, e.Path, e.Found, e.Known)
	}
	return fmt.Sprintf("%s %q: schema version %d is older than %d, to which opening it for writing would bring it", e.Store, e.Path, e.Found, e.Known)
}

// code is the primary result code of SQLite, 0 if err is none of the driver's.
func code(err error) int {
	const primary = 0xff
	return extendedCode(err) & primary
}

func extendedCode(err error) int {
	var e interface{ Code() int } // the driver's *Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code()
}

func isBusy(err error) bool {
	c := code(err)
	return c == lib.SQLITE_BUSY || c == lib.SQLITE_LOCKED
}

// isUnsure tells whether a commit that failed so may have happened: its pages
// may be on the disk though the disk did not say so, and then a process that
// opens the file after this one has died finds them.
func isUnsure(err error) bool { return code(err) == lib.SQLITE_IOERR }

// isWounded tells whether a connection that failed so should not be used again.
func isWounded(err error) bool {
	switch code(err) {
	case lib.SQLITE_IOERR, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_CANTOPEN, lib.SQLITE_NOMEM, lib.SQLITE_PROTOCOL, lib.SQLITE_MISUSE:
		return true
	}
	return false
}

// kind is the sentinel for a result code, nil if there is none.
func kind(err error) error {
	switch code(err) {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return ErrLocked
	case lib.SQLITE_FULL:
		return ErrFull
	case lib.SQLITE_READONLY:
		return ErrReadOnly
	case lib.SQLITE_NOTADB:
		return ErrNotDatabase
	case lib.SQLITE_CORRUPT:
		return ErrCorrupt
	}
	return nil
}

// wrap is an error of the driver as a caller is told it. What a context says is
// passed on as it is.
func (n Name) wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch {
	case extendedCode(err) == lib.SQLITE_READONLY_DIRECTORY:
		return n.fail(kind(err), fmt.Errorf("its directory must be writable, for what SQLite keeps beside it: %w", err))
	case code(err) == lib.SQLITE_CANTOPEN:
		return n.cannotOpen(err)
	}
	return n.fail(kind(err), err)
}

// cannotOpen is the error of a file that SQLite cannot open, which does not say why
// not. The file must not be opened here: closing it would take SQLite's locks of
// this process.
func (n Name) cannotOpen(err error) *Error {
	beside, why := os.CreateTemp(filepath.Dir(n.Path), ".rondo-*")
	if why == nil {
		why = errors.Join(beside.Close(), os.Remove(beside.Name()))
	}
	if why != nil {
		return n.fail(kindOnDisk(why), fmt.Errorf("make a file beside it: %w: %w", cause(why), err))
	}
	if info, statErr := os.Stat(n.Path); statErr == nil {
		err = fmt.Errorf("its permissions are %v: %w", info.Mode(), err)
	}
	return n.fail(nil, err)
}

// kindOnDisk is the sentinel for why the system did not make a file.
func kindOnDisk(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	case errors.Is(err, syscall.ENOSPC):
		return ErrFull
	}
	return nil
}

// cause is an error of package os without the name of a file.
func cause(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (n Name) fail(kind, err error) *Error {
	return &Error{Store: n.Store, Path: n.Path, Kind: kind, Err: err}
}
