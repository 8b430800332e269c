package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Store is an event store in an SQLite file. Make it with [Open].
type Store struct {
	config  Config
	path    string
	readers *sql.DB
	writer  *writer // nil if the store is read-only
	news    broadcast
	span    eventstore.Position // see defaultSpan

	closing sync.Once
	closed  chan struct{}
	polled  chan struct{} // closed when the poller has ended
	ended   error         // of Close
}

var (
	_ eventstore.Store       = (*Store)(nil)
	_ eventstore.Lookup      = (*Store)(nil)
	_ eventstore.Claims      = (*Store)(nil)
	_ eventstore.Snapshots   = (*Store)(nil)
	_ eventstore.Checkpoints = (*Store)(nil)
	_ eventstore.Keys        = (*Store)(nil)
)

// Path is the file's absolute path.
func (s *Store) Path() string { return s.path }

// Close commits what waits for it, ends the subscriptions with ErrClosed and
// refuses whatever comes after. The last to close a file of which no process has
// another store leaves it as one file, without those that SQLite keeps beside it.
// Closing again waits for the first and returns the same. It must not be called
// by a function of InTx, for which it would wait.
func (s *Store) Close() error {
	s.closing.Do(func() {
		var errs []error
		if s.writer != nil {
			s.writer.queue.close()
			<-s.writer.ended
		}
		close(s.closed)
		s.news.wake()
		<-s.polled
		errs = append(errs, s.readers.Close())
		if s.writer != nil {
			errs = append(errs, s.writer.close())
		}
		s.ended = wrap(s.path, errors.Join(errs...))
	})
	return s.ended
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// enter checks a call that belongs to a tenant, and returns that.
func (s *Store) enter(ctx context.Context) (tenant string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	tenant, err = eventstore.Tenant(ctx, s.config.RequireTenant)
	if err != nil {
		return "", err
	}
	if s.isClosed() {
		return "", eventstore.ErrClosed
	}
	return tenant, nil
}

// read runs f on a connection that reads.
func (s *Store) read(ctx context.Context, f func(c *conn) error) error {
	held, err := s.readers.Conn(ctx)
	if err == nil {
		err = held.Raw(func(driverConn any) error {
			return f(driverConn.(*conn))
		})
		_ = held.Close() // it only goes back to the pool
	} else {
		err = wrap(s.path, err)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case s.isClosed():
		return eventstore.ErrClosed
	}
	return err
}

// write runs f in a transaction of the committer, with a context that does not
// end. A verdict is returned as it is.
func (s *Store) write(ctx context.Context, f func(ctx context.Context, w *writer, now time.Time) (verdict, err error)) error {
	j := &job{
		done: make(chan struct{}),
		run: func(w *writer, now time.Time) (verdict, err error) {
			return f(context.WithoutCancel(ctx), w, recordable(now))
		},
	}
	if err := s.submit(ctx, j, true); err != nil {
		return err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.withdraw() {
			return ctx.Err()
		}
		<-j.done // it is a matter of one commit
	}
	return j.verdict
}

// submit hands a job to the committer, or does it if the caller may and nobody
// else is at it.
func (s *Store) submit(ctx context.Context, j *job, canCommit bool) error {
	if s.writer == nil {
		if s.isClosed() {
			return eventstore.ErrClosed
		}
		return &Error{Path: s.path, Kind: ErrReadOnly}
	}
	alone, err := s.writer.queue.add(j, canCommit)
	if alone {
		s.writer.do(ctx, j)
	}
	return err
}

// now is the time as it is recorded.
func (s *Store) now() time.Time { return recordable(s.config.Now()) }

func recordable(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// broadcast wakes all who wait for news.
type broadcast struct {
	mu   sync.Mutex
	news chan struct{} // nil if nobody waits
}

// next returns what the next wake will close.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.news == nil {
		b.news = make(chan struct{})
	}
	return b.news
}

func (b *broadcast) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.news != nil {
		close(b.news)
		b.news = nil
	}
}

func (b *broadcast) awaited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.news != nil
}
