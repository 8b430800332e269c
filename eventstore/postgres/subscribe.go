package postgres

import (
	"context"
	"iter"

	"github.com/seed57833328/rondo/eventstore"
)

// Subscribe reads what stands after that position, and then what comes; see
// [eventstore.Store]. What fails and may succeed later is tried again, and told to
// [Hooks].Retrying.
func (s *Store) Subscribe(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		c, err := s.cursor(ctx, "subscribe", after, f)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		s.tail.join()
		defer s.tail.leave()
		for {
			head, next := s.tail.state()
			if c.after < head {
				if !c.readOn(ctx, head, yield) {
					return
				}
				continue
			}
			select {
			case <-next.come:
				if next.err != nil {
					yield(eventstore.Recorded{}, next.err)
					return
				}
			case <-s.done:
				yield(eventstore.Recorded{}, eventstore.ErrClosed)
				return
			case <-ctx.Done():
				yield(eventstore.Recorded{}, ctx.Err())
				return
			}
		}
	}
}

// readOn is readTo that does not end with the connection.
func (c *cursor) readOn(ctx context.Context, safe eventstore.Position, yield func(eventstore.Recorded, error) bool) bool {
	var failed backoff
	retry := func(err error) bool {
		if ctx.Err() != nil || !eventstore.Retryable(err) {
			return false
		}
		c.store.config.Hooks.Retrying(c.doing, err)
		return pause(ctx, failed.nextOf(retryPause)) == nil
	}
	for c.after < safe {
		if err := c.read(ctx, safe); err != nil {
			if !retry(err) {
				if ctx.Err() != nil {
					err = ctx.Err()
				}
				yield(eventstore.Recorded{}, err)
				return false
			}
			continue
		}
		failed = backoff{}
		if !c.store.handOut(ctx, &c.page, retry, yield) {
			return false
		}
	}
	return true
}
