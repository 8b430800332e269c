package postgres

import (
	"context"
	"sync"
	"time"
)

// The channel of notifications. Their payload is the name of the home that sends
// one, so that it need not be woken a second time, and nothing else: whoever is
// woken looks.
const (
	listenSQL = `LISTEN rondo_sagas`
	// The commit of a notification does not wait for the disk: it is lost in a
	// crash anyway.
	notifySQL = `SELECT set_config('synchronous_commit', 'off', true), pg_notify('rondo_sagas', $1)`
	// notifyPause is the least time between two notifications of a home. The
	// first after a pause goes out at once.
	notifyPause = 10 * time.Millisecond
	// retryPause is the most between two tries of what failed.
	retryPause = time.Second
)

// bells are what wakes those who listen.
type bells struct {
	notify chan struct{} // has one when notifyLoop is to notify
	listen chan struct{} // has one when somebody listens

	mu     sync.Mutex
	closed bool
	wakes  map[chan struct{}]struct{}
}

func (b *bells) init() {
	b.notify, b.listen = make(chan struct{}, 1), make(chan struct{}, 1)
	b.wakes = map[chan struct{}]struct{}{}
}

// signal puts one into a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Wake tells of what is new; see [saga.Waker]. The first call has the home take a
// connection of its own, to listen. What is notified while that is lost is made up
// for by one wake when it is there again.
func (s *Store) Wake(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	b := &s.bells
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		close(wake)
		return wake
	}
	b.wakes[wake] = struct{}{}
	signal(b.listen)
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, open := b.wakes[wake]; open {
			delete(b.wakes, wake)
			close(wake)
		}
	})
	return wake
}

// ring wakes all who listen to this home.
func (b *bells) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for wake := range b.wakes {
		signal(wake)
	}
}

func (b *bells) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for wake := range b.wakes {
		delete(b.wakes, wake)
		close(wake)
	}
}

// rouse tells everybody that there may be something new.
func (s *Store) rouse() {
	s.bells.ring()
	signal(s.bells.notify)
}

// notifyLoop tells other processes.
func (s *Store) notifyLoop(life context.Context) {
	var failed backoff
	for {
		select {
		case <-s.bells.notify:
		case <-life.Done():
			return
		}
		wait := notifyPause
		if _, err := s.pool.Exec(life, notifySQL, s.name); err != nil {
			if life.Err() != nil {
				return
			}
			s.config.Hooks.Retrying("notify", explain("notify", err))
			signal(s.bells.notify)
			wait = failed.next()
		} else {
			failed = backoff{}
		}
		if pause(life, wait) != nil {
			return
		}
	}
}

// listenLoop waits for what other processes say, from the first Wake on.
func (s *Store) listenLoop(life context.Context) {
	select {
	case <-s.bells.listen:
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
		if pause(life, failed.next()) != nil {
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
	s.bells.ring() // for what came while nobody listened
	for {
		n, err := conn.WaitForNotification(life)
		if err != nil {
			return err
		}
		if n.Payload != s.name {
			s.bells.ring()
		}
	}
}

// backoff is a wait that becomes longer with every failure.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, notifyPause), retryPause)
	return b.last
}
