package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed57833328/rondo/eventstore"
)

// InTx runs a function in a transaction that is committed together with appends
// that wait at the same time, and with nothing of them if it fails: whatever
// other tables the file has, in one commit with the events that the function
// appends by [Store.AppendTx]. When InTx returns nil all of it is as durable as
// what Append returns.
//
// The function runs on the caller's goroutine while the whole store waits, so it
// should do no more than its statements. It may be called again, if a commit with
// others has failed, so it should change nothing but the database. It must not
// end the transaction, which is refused, nor wait for the store: no Append, no
// InTx, no Close. Its context is checked between statements, which are never
// interrupted.
//
// An error of the function rolls back what it did, and is returned as it is; so
// does a panic, which goes on. Other errors are ErrClosed, those of the context,
// and *Error. After one of a disk that failed it is not known whether the commit
// has happened.
func (s *Store) InTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	return s.file.InTx(ctx, f)
}

// AppendTx appends in a transaction of the caller's: one that InTx gave, or one of
// a database handle of his own on the same file, begun as IMMEDIATE. The events
// are there once it has been committed, and Appended tells where. Errors are those
// of Append; after a conflict, a duplicate or a claim nothing was written, and the
// transaction can go on.
//
// Subscriptions of this store hear at once of what InTx commits, and otherwise
// within Config.PollInterval.
func (s *Store) AppendTx(ctx context.Context, tx *sql.Tx, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	if err := s.file.Writable(); err != nil {
		return nil, err
	}
	a, err := s.prepare(ctx, writes)
	if err != nil {
		return nil, err
	}
	x, now := s.file.Executor(tx), s.now()
	verdict, err := a.check(ctx, x, now)
	if err != nil {
		return nil, err
	}
	if verdict != nil {
		return nil, verdict
	}
	if _, err := x.Exec(ctx, "SAVEPOINT rondo_append"); err != nil {
		return nil, err
	}
	if err := a.insert(ctx, x, now); err != nil {
		_, undo := x.Exec(context.WithoutCancel(ctx), "ROLLBACK TO rondo_append; RELEASE rondo_append")
		return nil, errors.Join(err, undo)
	}
	if _, err := x.Exec(ctx, "RELEASE rondo_append"); err != nil {
		return nil, err
	}
	s.file.News()
	return a.appended(), nil
}
