package sqlite

import (
	"context"
	"iter"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

// Subscribe reads what stands after that position, and then what comes; see
// [eventstore.Store]. What this store appends it hears of at once, and of what
// other processes do within Config.PollInterval.
func (s *Store) Subscribe(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		r, err := s.reader(ctx, after, f)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		for {
			news := s.news.next() // before reading, so that nothing comes between
			head, err := r.next(ctx)
			if !r.page.yield(ctx, yield) {
				return
			}
			r.page.reset() // not kept while waiting
			switch {
			case err != nil && eventstore.Retryable(err):
				err = s.pause(ctx)
			case err == nil && r.after >= head:
				err = s.wait(ctx, news)
			}
			if err != nil {
				yield(eventstore.Recorded{}, err)
				return
			}
		}
	}
}

// wait returns when there may be news.
func (s *Store) wait(ctx context.Context, news <-chan struct{}) error {
	select {
	case <-news:
		return s.file.Enter(ctx)
	case <-s.file.Closed():
		return eventstore.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits for what another process keeps from being read.
func (s *Store) pause(ctx context.Context) error {
	timer := time.NewTimer(s.config.PollInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.file.Closed():
		return eventstore.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll wakes subscriptions when another process has appended. It looks only while
// one waits.
func (s *Store) poll() {
	defer close(s.polled)
	ticker := time.NewTicker(s.config.PollInterval)
	defer ticker.Stop()
	ctx := context.Background()
	var last eventstore.Position
	for {
		select {
		case <-s.file.Closed():
			return
		case <-ticker.C:
		}
		if !s.news.awaited() {
			continue
		}
		var now eventstore.Position
		err := s.file.Read(ctx, func(c *sqlitefile.Conn) (err error) {
			now, err = headOf(ctx, c)
			return err
		})
		// A subscription that wakes up reads, and so is told of the same failure.
		if err != nil || now > last {
			last = max(last, now)
			s.news.wake()
		}
	}
}
