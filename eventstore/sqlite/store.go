package sqlite

import (
	"context"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

// Store is an event store in an SQLite file. Make it with [Open].
type Store struct {
	config Config
	file   *sqlitefile.File
	news   broadcast
	span   eventstore.Position // see defaultSpan
	polled chan struct{}       // closed when the poller has ended
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
func (s *Store) Path() string { return s.file.Path() }

// Close commits what waits for it, ends the subscriptions with ErrClosed and
// refuses whatever comes after. The last to close a file of which no process has
// another store leaves it as one file, without those that SQLite keeps beside it.
// Closing again waits for the first and returns the same. It must not be called
// by a function of InTx, for which it would wait.
func (s *Store) Close() error {
	err := s.file.Close()
	s.news.wake()
	<-s.polled
	return err
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
	return tenant, s.file.Enter(ctx)
}

// write runs f in a transaction of the committer, with a context that does not
// end. A verdict is returned as it is.
func (s *Store) write(ctx context.Context, f func(ctx context.Context, w *sqlitefile.Writer, now time.Time) (verdict, err error)) error {
	return s.file.Write(ctx, 0, func(w *sqlitefile.Writer, now time.Time) (verdict, err error) {
		return f(context.WithoutCancel(ctx), w, recordable(now))
	})
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
