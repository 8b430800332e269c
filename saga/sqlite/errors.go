package sqlite

import "github.com/seed57833328/rondo/internal/sqlitefile"

// The kinds of errors are those of an event store in SQLite: errors.Is finds them
// by the names of either package.
var (
	// ErrLocked is that another process had the file locked for longer than
	// Config.BusyTimeout. Nothing was written; it may be tried again.
	ErrLocked = sqlitefile.ErrLocked
	// ErrFull is that the disk, or what SQLite may use of it, is full. Nothing
	// was written.
	ErrFull = sqlitefile.ErrFull
	// ErrReadOnly is that the home was opened with Config.ReadOnly, or that the
	// file or its directory must not be written to.
	ErrReadOnly = sqlitefile.ErrReadOnly
	// ErrNotDatabase is that the file is not one of SQLite.
	ErrNotDatabase = sqlitefile.ErrNotDatabase
	// ErrOtherApplication is that the file belongs to another application, or
	// has tables with the names of a home's that are none.
	ErrOtherApplication = sqlitefile.ErrOtherApplication
	// ErrCorrupt is that SQLite found the file damaged.
	ErrCorrupt = sqlitefile.ErrCorrupt
)

// Error is a failure of SQLite or of its file: its Path, its Kind, which is one of
// the sentinels of this package or nil, and the driver's Err. errors.Is finds the
// sentinel, and errors.As the driver's error. A locked file is Retryable.
type Error = sqlitefile.Error

// SchemaError is returned by Open for the file at Path whose schema, Found, is not
// the one that this program has Known: a newer program wrote it, or, with
// Config.ReadOnly, it is older and cannot be brought up.
type SchemaError = sqlitefile.SchemaError
