package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

// The channel of notifications. They have no payload: whoever is woken asks how
// far the log can be read.
const (
	listenSQL = `LISTEN rondo`
	// The commit of a notification does not wait for the disk: it is lost in a
	// crash anyway.
	notifySQL = `SELECT set_config('synchronous_commit', 'off', true), pg_notify('rondo', '')`
	// notifyPause is the least time between two notifications of a store. The
	// first after a pause goes out at once.
	notifyPause = 10 * time.Millisecond
	// followPause is the most that following rests after it has asked, when it
	// is woken again and again.
	followPause = 5 * time.Millisecond
	// retryPause is the most between two tries of what failed.
	retryPause = time.Second
)

// tail knows the end of the log. All subscriptions of a store share it: one
// goroutine asks for the head when there may be something new, one listens for
// what other processes append, and one tells them of what this one has.
type tail struct {
	follow chan struct{} // has one when followLoop is to ask
	notify chan struct{} // has one when notifyLoop is to notify
	listen chan struct{} // has one when there is a subscription

	mu      sync.Mutex
	head    eventstore.Position
	next    *news
	readers int
	// pending is the greatest position that was drawn in a user's transaction and
	// may not be committed yet; see AppendTx.
	pending eventstore.Position
}

// news is what subscriptions wait for.
type news struct {
	come chan struct{} // closed when head has changed, or will not
	err  error         // why it will not
}

func (t *tail) init() {
	t.follow, t.notify, t.listen = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	t.next = &news{come: make(chan struct{})}
}

// signal puts one into a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// appended says that this process has committed something.
func (t *tail) appended() {
	signal(t.notify)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers > 0 {
		signal(t.follow)
	}
}

// expect says that something was appended which somebody else commits.
func (t *tail) expect(p eventstore.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending = max(t.pending, p)
	signal(t.follow)
}

// join begins a subscription, leave ends it.
func (t *tail) join() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers++
	signal(t.follow)
	signal(t.listen)
}

func (t *tail) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers--
}

// state returns how far the log can be read, and where it is told when that has
// changed.
func (t *tail) state() (eventstore.Position, *news) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head, t.next
}

// tell tells those who wait, with the mutex held.
func (t *tail) tell(err error) {
	t.next.err = err
	close(t.next.come)
	t.next = &news{come: make(chan struct{})}
}

// fail ends the subscriptions that wait now.
func (t *tail) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(err)
}

// wanted tells whether anybody waits for the head.
func (t *tail) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.readers > 0 || t.pending > 0
}

// set takes an answer, and tells whether there may soon be another.
func (t *tail) set(h head) (soon bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.safe != t.head {
		t.head = h.safe
		t.tell(nil)
	}
	if t.pending > 0 && h.drawn >= int64(t.pending) && (!h.inFlight.Valid || h.inFlight.Int64 >= int64(t.pending)) {
		t.pending = 0
		signal(t.notify)
	}
	return h.inFlight.Valid || h.seen > h.safe
}

// followLoop keeps the head up to date for as long as anybody wants it.
func (s *Store) followLoop(life context.Context) {
	var fast, failed backoff
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.tail.follow:
		case <-timer.C:
		case <-life.Done():
			return
		}
		if !s.tail.wanted() {
			timer.Reset(time.Hour) // joining signals
			continue
		}
		began := time.Now()
		h, err := s.head(life, "follow the log")
		if err != nil {
			if life.Err() != nil {
				return
			}
			if !eventstore.Retryable(err) {
				s.tail.fail(err)
			}
			s.config.Hooks.Retrying("follow the log", err)
			timer.Reset(failed.nextOf(retryPause))
			continue
		}
		failed = backoff{}
		wait := s.config.PollInterval
		if s.tail.set(h) {
			wait = min(wait, fast.next())
		} else {
			fast = backoff{}
		}
		timer.Reset(wait)
		// So that a process that appends without a pause does not ask without one.
		if pause(life, min(time.Since(began), followPause)) != nil {
			return
		}
	}
}

// notifyLoop tells other processes that this one has appended.
func (s *Store) notifyLoop(life context.Context) {
	var failed backoff
	for {
		select {
		case <-s.tail.notify:
		case <-life.Done():
			return
		}
		var pipeline pgx.Batch
		pipeline.Queue(notifySQL)
		wait := notifyPause
		if err := s.send(life, "notify", &pipeline); err != nil {
			if life.Err() != nil {
				return
			}
			s.config.Hooks.Retrying("notify", err)
			signal(s.tail.notify)
			wait = failed.nextOf(retryPause)
		} else {
			failed = backoff{}
		}
		if pause(life, wait) != nil {
			return
		}
	}
}

// listenLoop waits for what other processes append, from the first subscription
// on. It has a connection of its own.
func (s *Store) listenLoop(life context.Context) {
	select {
	case <-s.tail.listen:
	case <-life.Done():
		return
	}
	var failed backoff
	for {
		err := s.listenOn(life, func() { failed = backoff{} })
		if life.Err() != nil {
			return
		}
		s.config.Hooks.Retrying("listen", explain("listen", err))
		if pause(life, failed.nextOf(retryPause)) != nil {
			return
		}
	}
}

// listenOn listens until the connection is lost.
func (s *Store) listenOn(life context.Context, connected func()) error {
	pooled, err := s.pool.Acquire(life)
	if err != nil {
		return err
	}
	conn := pooled.Hijack()
	defer conn.Close(context.WithoutCancel(life)) //nolint:errcheck // nothing is lost with it
	if _, err := conn.Exec(life, listenSQL); err != nil {
		return err
	}
	connected()
	for {
		signal(s.tail.follow) // at first for what came while nobody listened
		if _, err := conn.WaitForNotification(life); err != nil {
			return err
		}
	}
}
