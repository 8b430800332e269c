package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

var errAborted = errors.New("the function panicked or ended its goroutine")

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
func (f *File) InTx(ctx context.Context, do func(tx *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	turns, returns := make(chan *sql.Tx), make(chan error)
	j := &Job{}
	j.Run = func(w *Writer, _ time.Time) (verdict, err error) {
		tx, err := w.held.BeginTx(context.Background(), nil)
		if err != nil {
			return nil, err
		}
		w.conn.guarded.Store(true)
		turns <- tx
		verdict = <-returns
		w.conn.guarded.Store(false)
		if j.aborted = errors.Is(verdict, errAborted); verdict != nil {
			return verdict, undone(tx.Rollback())
		}
		return ended(tx.Commit())
	}
	if err := f.Submit(ctx, j, false); err != nil {
		return err
	}
	cancelled := ctx.Done()
	for {
		select {
		case tx := <-turns:
			call(do, tx, returns)
		case <-j.done:
			return j.verdict
		case <-cancelled:
			if j.Withdraw() {
				return ctx.Err()
			}
			cancelled = nil // its turn has come
		}
	}
}

// call runs f and says what it returned. If it does not return, nor does call.
func call(f func(*sql.Tx) error, tx *sql.Tx, returns chan<- error) {
	result := errAborted
	defer func() { returns <- result }()
	result = f(tx)
}

// undone is the error of a rollback. That the function has rolled back itself is
// none.
func undone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// ended sorts the error of the end of a transaction.
func ended(err error) (verdict, _ error) {
	if errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("what it did was rolled back: %w", errEndTx), nil
	}
	return nil, err
}
