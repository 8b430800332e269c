package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/seed57833328/rondo/internal/sqlitefile"
	"github.com/seed57833328/rondo/saga"
)

// migrations are the steps of the schema, in SQL that can be read and, with the
// goose command, run by hand.
//
//go:embed migrations/*.sql
var migrations embed.FS

// knownVersion is the last of the migrations. A test holds it to them.
const knownVersion = 2

// Store is a home for sagas in an SQLite file. Make it with [Open].
type Store struct {
	config Config
	file   *sqlitefile.File
	news   news
	polled chan struct{} // closed when the poller has ended
}

var (
	_ saga.Store         = (*Store)(nil)
	_ saga.Waker         = (*Store)(nil)
	_ saga.Transactional = (*Store)(nil)
)

// Open opens the home in the file with that path, which is made if it is not
// there, and brings its schema up to that of this program. Several programs may do
// so at once. The file may also have an event store (package eventstore/sqlite) and
// tables of the application.
//
// Errors: *eventstore.InputError, *SchemaError, *Error, and those of the context.
func Open(ctx context.Context, path string, config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	steps, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	s := &Store{config: config.withDefaults(), polled: make(chan struct{})}
	s.file, err = sqlitefile.Open(ctx, "saga store", path, "saga/memory", sqlitefile.Options{
		Schema: sqlitefile.Schema{
			Migrations: steps, Version: knownVersion, VersionTable: "rondo_saga_schema_version", Tables: "rondo_saga*",
		},
		Closed:      saga.ErrClosed,
		Normal:      s.config.Durability == Normal,
		ReadOnly:    s.config.ReadOnly,
		BusyTimeout: s.config.BusyTimeout,
		Readers:     s.config.Readers,
		MaxBatch:    s.config.MaxBatch,
		Now:         s.config.Now,
		Committed:   s.news.tell,
	})
	if err != nil {
		return nil, err
	}
	go s.poll()
	return s, nil
}

// Path is the file's absolute path.
func (s *Store) Path() string { return s.file.Path() }

// Close commits what waits for it, closes the channels of Wake and refuses
// whatever comes after. The last to close a file of which no process has another
// home leaves it as one file, without those that SQLite keeps beside it. Closing
// again waits for the first and returns the same. It must not be called by a
// function of InTx, for which it would wait.
func (s *Store) Close() error {
	err := s.file.Close()
	<-s.polled
	s.news.close()
	return err
}

// InTx runs a function in a transaction that is committed together with decisions
// that wait at the same time, and with nothing of it if it fails: whatever other
// tables the file has. When InTx returns nil, what the function did is as durable
// as a decision. [HandleTx] runs handlers by it.
//
// The function runs on the caller's goroutine while the whole home waits, so it
// should do no more than its statements. It may be called again, if a commit with
// others has failed, so it should change nothing but the database. It must not end
// the transaction, which is refused, nor wait for the home: no Commit, no InTx, no
// Start or Signal of a runner. Its context is checked between statements, which are
// never interrupted.
//
// An error of the function rolls back what it did, and is returned as it is; so
// does a panic, which goes on. Other errors are ErrClosed, those of the context,
// and *Error. After one of a disk that failed it is not known whether the commit
// has happened.
func (s *Store) InTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	return s.file.InTx(ctx, f)
}

// micro is a time as the file has it.
func micro(t time.Time) int64 { return saga.Recordable(t).UnixMicro() }

// microAfter is the first that the file can have which is not before t.
func microAfter(t time.Time) int64 {
	at := micro(t)
	if time.UnixMicro(at).Before(t) {
		at++
	}
	return at
}

func fromMicro(at int64) time.Time { return time.UnixMicro(at).UTC() }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// blob is b as SQLite is told it: what is empty is not NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
