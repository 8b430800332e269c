package sqlite

import (
	"context"
	"database/sql/driver"
	"sync"
	"time"

	"github.com/seed57833328/rondo/internal/sqlitefile"
)

// Wake tells of what is new; see [saga.Waker]. What this home brings about it
// tells at once, and what others do within Config.PollInterval.
func (s *Store) Wake(ctx context.Context) <-chan struct{} { return s.news.listen(ctx) }

// news tells all who listen.
type news struct {
	mu     sync.Mutex
	closed bool
	wakes  map[chan struct{}]struct{}
}

func (n *news) listen(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		close(wake)
		return wake
	}
	if n.wakes == nil {
		n.wakes = map[chan struct{}]struct{}{}
	}
	n.wakes[wake] = struct{}{}
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if _, open := n.wakes[wake]; open {
			delete(n.wakes, wake)
			close(wake)
		}
	})
	return wake
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for wake := range n.wakes {
		select {
		case wake <- struct{}{}:
		default: // one waits to be taken
		}
	}
}

func (n *news) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for wake := range n.wakes {
		close(wake)
	}
	n.wakes = nil
}

func (n *news) awaited() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.wakes) > 0
}

// selectNews is another row after a message has come, a worker joined, a shard
// changed hands or a type was paused.
const selectNews = `SELECT
	(SELECT coalesce(sum(seq), 0) FROM sqlite_sequence WHERE name IN ('rondo_saga_inbox', 'rondo_saga_workers')),
	(SELECT coalesce(sum(epoch), 0) FROM rondo_saga_leases),
	(SELECT coalesce(sum(at + paused), 0) FROM rondo_saga_pauses)`

// poll tells who listens when another process has brought something. It looks only
// while somebody does.
func (s *Store) poll() {
	defer close(s.polled)
	ticker := time.NewTicker(s.config.PollInterval)
	defer ticker.Stop()
	ctx := context.Background()
	var last [3]int64
	for {
		select {
		case <-s.file.Closed():
			return
		case <-ticker.C:
		}
		if !s.news.awaited() {
			continue
		}
		var now [3]int64
		err := s.file.Read(ctx, func(c *sqlitefile.Conn) error {
			_, err := sqlitefile.First(ctx, c, func(row []driver.Value) error {
				return sqlitefile.Scan(row, &now[0], &now[1], &now[2])
			}, selectNews)
			return err
		})
		// Who is woken reads, and so is told of the same failure.
		if err != nil || now != last {
			last = now
			s.news.tell()
		}
	}
}
