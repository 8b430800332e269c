package publish

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// inbox is what was read and not taken yet: at most a batch. The reader fills it
// while the batch before is handled.
type inbox struct {
	size, bytes int

	mu      sync.Mutex
	events  []eventstore.Recorded
	filled  int                 // bytes
	scanned eventstore.Position // there is nothing else up to it
	closed  bool
	err     error // why it was closed

	ready chan struct{} // has a token when there is something to take
	room  chan struct{} // has a token when something was taken
}

func newInbox(size, bytes int) *inbox {
	return &inbox{size: size, bytes: bytes, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// taken is what an inbox had.
type taken struct {
	events  []eventstore.Recorded
	scanned eventstore.Position
	closed  bool
	err     error
	idle    bool // nothing came in time
}

// put adds an event, and waits for room. The error is the context's.
func (in *inbox) put(ctx context.Context, e eventstore.Recorded) error {
	for {
		in.mu.Lock()
		if len(in.events) == 0 || len(in.events) < in.size && in.filled+len(e.Data) <= in.bytes {
			in.events = append(in.events, e)
			in.filled += len(e.Data)
			in.mu.Unlock()
			signal(in.ready)
			return nil
		}
		in.mu.Unlock()
		select {
		case <-in.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mark says that what was put is all there is up to that position.
func (in *inbox) mark(scanned eventstore.Position) {
	in.mu.Lock()
	in.scanned = scanned
	in.mu.Unlock()
	signal(in.ready)
}

// close says that nothing will come any more.
func (in *inbox) close(err error) {
	in.mu.Lock()
	in.closed, in.err = true, err
	in.mu.Unlock()
	signal(in.ready)
}

// take returns all there is, and waits for something until idle has passed: then
// it returns nothing. The error is the context's.
func (in *inbox) take(ctx context.Context, idle time.Duration) (taken, error) {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case <-in.ready:
	case <-timer.C:
		return taken{idle: true}, nil
	case <-ctx.Done():
		return taken{}, ctx.Err()
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	t := taken{events: slices.Clip(in.events), scanned: in.scanned, closed: in.closed, err: in.err}
	in.events, in.filled = nil, 0
	signal(in.room)
	return t, nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
