package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// Options say how a file is opened. All of those without another word are
// required.
type Options struct {
	Schema Schema
	// Closed is the error of what comes after Close.
	Closed error
	// Normal has a commit not wait until the disk has it.
	Normal bool
	// ReadOnly opens a file for reading alone.
	ReadOnly bool
	// BusyTimeout is how long a job waits for another process.
	BusyTimeout time.Duration
	// Readers is how many reads are at work at once.
	Readers int
	// MaxBatch is how many jobs are committed together at most.
	MaxBatch int
	// Now is the clock that jobs are given.
	Now func() time.Time
	// Committed is called after each commit in which there was news, by the
	// committer, and must be quick.
	Committed func()
}

// File is an SQLite file that is open. Make it with [Open].
type File struct {
	options Options
	name    Name
	readers *sql.DB
	writer  *Writer // nil if it is read-only

	closing sync.Once
	closed  chan struct{}
	ended   error // of Close
}

// Path is the file's absolute path.
func (f *File) Path() string { return f.name.Path }

// Close commits what waits for it, and refuses whatever comes after. Closing again
// waits for the first and returns the same.
func (f *File) Close() error {
	f.closing.Do(func() {
		var errs []error
		if f.writer != nil {
			f.writer.queue.close(f.options.Closed)
			<-f.writer.ended
		}
		close(f.closed)
		errs = append(errs, f.readers.Close())
		if f.writer != nil {
			errs = append(errs, f.writer.close())
		}
		f.ended = f.name.wrap(errors.Join(errs...))
	})
	return f.ended
}

// Closed is closed once everything that waited is committed and Close refuses
// what comes.
func (f *File) Closed() <-chan struct{} { return f.closed }

// Enter is the error of a call that begins: of its context, or of a file that is
// closed.
func (f *File) Enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.isClosed() {
		return f.options.Closed
	}
	return nil
}

func (f *File) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

// Read runs do on a connection that reads.
func (f *File) Read(ctx context.Context, do func(c *Conn) error) error {
	held, err := f.readers.Conn(ctx)
	if err == nil {
		err = held.Raw(func(driverConn any) error {
			return do(driverConn.(*Conn))
		})
		_ = held.Close() // it only goes back to the pool
	} else {
		err = f.name.wrap(err)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case f.isClosed():
		return f.options.Closed
	}
	return err
}

// Write runs do in a transaction of the committer, as [Job.Run]. A verdict is
// returned as it is. If ctx ends while the job waits for its turn nothing is
// written; after that the caller waits for what becomes of it.
func (f *File) Write(ctx context.Context, bytes int, do func(w *Writer, now time.Time) (verdict, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &Job{Run: do, Bytes: bytes}
	if err := f.Submit(ctx, j, true); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.Withdraw() {
			return ctx.Err()
		}
		<-j.done // it is a matter of one commit
	}
	return j.verdict
}

// Submit hands a job to the committer, or does it if the caller may and nobody
// else is at it.
func (f *File) Submit(ctx context.Context, j *Job, canCommit bool) error {
	j.done = make(chan struct{})
	if f.writer == nil {
		if f.isClosed() {
			return f.options.Closed
		}
		return f.name.fail(ErrReadOnly, nil)
	}
	alone, err := f.writer.queue.add(j, canCommit)
	if alone {
		f.writer.do(ctx, j)
	}
	return err
}

// Writable is nil, or the error of what would write to a file that is read-only.
func (f *File) Writable() error {
	if f.writer == nil {
		return f.name.fail(ErrReadOnly, nil)
	}
	return nil
}

// News says that there is news in the transaction that is under way; see
// [Options].Committed.
func (f *File) News() { f.writer.news.Store(true) }
