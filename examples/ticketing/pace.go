package main

import (
	"container/list"
	"context"
	"iter"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

// lag tells how long a home has been at work for those who wait for it, by the
// clock of the sale, which waits when it is too long.
type lag struct {
	now func() time.Time

	mu      sync.Mutex
	waiting list.List // the time at which each call began
}

// wait notes that somebody waits, until end is called.
func (l *lag) wait() (end func()) {
	now := l.now() // the clock asks for the lag while it is set
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.waiting.PushBack(now)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waiting.Remove(e)
	}
}

// since is how long the one waits who has waited longest.
func (l *lag) since(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := l.waiting.Front(); first != nil {
		return now.Sub(first.Value.(time.Time)) //nolint:forcetypeassert // there are no others
	}
	return 0
}

// pause is the wait, in real time, before a home is asked again that has failed.
const pause = 100 * time.Millisecond

// rest waits, and tells whether ctx goes on.
func rest(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// pacedLog is a log for which the clock waits, and which is asked again while it
// cannot be reached.
type pacedLog struct {
	eventstore.Store
	lag *lag
}

// Append appends, however long it takes. The events have ids.
func (p *pacedLog) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	defer p.lag.wait()()
	for {
		done, err := p.Store.Append(ctx, writes...)
		if err == nil || !eventstore.Retryable(err) || !rest(ctx) {
			return done, err
		}
	}
}

// ReadStream reads, and goes on where it was interrupted.
func (p *pacedLog) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		next := from
		p.read(ctx, yield, func() iter.Seq2[eventstore.Recorded, error] { return p.Store.ReadStream(ctx, stream, next) },
			func(e *eventstore.Recorded) { next = e.Version + 1 })
	}
}

// ReadAll reads, and goes on where it was interrupted.
func (p *pacedLog) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		last := after
		p.read(ctx, yield, func() iter.Seq2[eventstore.Recorded, error] { return p.Store.ReadAll(ctx, last, f) },
			func(e *eventstore.Recorded) { last = e.Position })
	}
}

func (p *pacedLog) read(ctx context.Context, yield func(eventstore.Recorded, error) bool, open func() iter.Seq2[eventstore.Recorded, error], seen func(*eventstore.Recorded)) {
	defer p.lag.wait()()
	for again := true; again; {
		again = false
		for e, err := range open() {
			if eventstore.Retryable(err) && rest(ctx) {
				again = true
				break
			}
			if !yield(e, err) || err != nil {
				return
			}
			seen(&e)
		}
	}
}

// pacedSagas are a store of sagas for which the clock waits, and which is asked
// again while it cannot be reached.
type pacedSagas struct {
	saga.Store
	lag *lag
}

// Commit commits. Of one that has failed nothing is known; who has asked for it
// finds out, after a while.
func (p *pacedSagas) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	defer p.lag.wait()()
	verdicts, err := p.Store.Commit(ctx, changes)
	if err != nil {
		rest(ctx)
	}
	return verdicts, err
}

// Load loads, however long it takes.
func (p *pacedSagas) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	defer p.lag.wait()()
	for {
		r, found, err := p.Store.Load(ctx, id)
		if !eventstore.Retryable(err) || !rest(ctx) {
			return r, found, err
		}
	}
}

// Post posts, however long it takes. A message is known by its id.
func (p *pacedSagas) Post(ctx context.Context, m saga.Message) error {
	defer p.lag.wait()()
	for {
		err := p.Store.Post(ctx, m)
		if !eventstore.Retryable(err) || !rest(ctx) {
			return err
		}
	}
}
