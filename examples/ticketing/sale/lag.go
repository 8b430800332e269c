package sale

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/seed57833328/rondo/store"
)

// lag knows the appends that are on their way, by hooks of the stores.
type lag struct {
	mu    sync.Mutex
	since list.List // of when what they append was taken up, in the order of the attempts
}

type appending interface{ Since() time.Time }

// began is a hook for EffectContext.
func (l *lag) began(ctx context.Context, e store.EffectInfo) context.Context {
	if q, ok := e.Request.(appending); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		return context.WithValue(ctx, l, l.since.PushBack(q.Since()))
	}
	return ctx
}

// ended is a hook for EffectEnded.
func (l *lag) ended(ctx context.Context, _ store.EffectInfo, _ time.Duration, _ error) {
	if at, ok := ctx.Value(l).(*list.Element); ok {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.since.Remove(at)
	}
}

// Lag tells how long the oldest action waits that is being recorded.
func (s *Sale) Lag(now time.Time) time.Duration {
	s.lag.mu.Lock()
	defer s.lag.mu.Unlock()
	var longest time.Duration
	if first := s.lag.since.Front(); first != nil {
		since, _ := first.Value.(time.Time)
		longest = now.Sub(since)
	}
	return longest
}
