package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed57833328/rondo/saga"
)

// Config is what may be said about a home. The zero value works.
type Config struct {
	// Now is the clock that leases run out by. It may be called from any
	// goroutine, and must not call the home. The default is time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Store is a home for sagas in memory. Make it with [New].
type Store struct {
	config Config

	mu       sync.Mutex
	closed   bool
	heads    map[saga.ID]*head
	shards   map[saga.Shard]*shard
	inbox    map[saga.ID][]saga.Message // in the order of their positions
	position int64
	waiting  map[int64]saga.ID // the saga of each message in the inbox
	fleet    fleet
	wakes    map[chan struct{}]struct{}
}

// head is a saga with its history.
type head struct {
	saga.Record
	history []saga.Entry
}

// shard has what is looked for by shard.
type shard struct {
	heads map[saga.ID]*head
	ready map[saga.ID]*head
	due   []*head // by compareDue
	inbox map[saga.ID]struct{}
}

var (
	_ saga.Store = (*Store)(nil)
	_ saga.Waker = (*Store)(nil)
)

// New makes an empty home.
func New(config Config) *Store {
	return &Store{
		config:  config.withDefaults(),
		heads:   map[saga.ID]*head{},
		shards:  map[saga.Shard]*shard{},
		inbox:   map[saga.ID][]saga.Message{},
		waiting: map[int64]saga.ID{},
		fleet:   newFleet(),
		wakes:   map[chan struct{}]struct{}{},
	}
}

// Close refuses whatever comes after, and closes the channels of [Store.Wake].
// Closing twice is no error.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for wake := range s.wakes {
		delete(s.wakes, wake)
		close(wake)
	}
	return nil
}

// enter locks the home for a call.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return saga.ErrClosed
	}
	return nil
}

// Wake tells of what is new; see [saga.Waker].
func (s *Store) Wake(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(wake)
		return wake
	}
	s.wakes[wake] = struct{}{}
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, open := s.wakes[wake]; open {
			delete(s.wakes, wake)
			close(wake)
		}
	})
	return wake
}

// rouse wakes all who listen.
func (s *Store) rouse() {
	for wake := range s.wakes {
		select {
		case wake <- struct{}{}:
		default: // one waits to be taken
		}
	}
}

func (s *Store) shard(id saga.Shard) *shard {
	sh := s.shards[id]
	if sh == nil {
		sh = &shard{heads: map[saga.ID]*head{}, ready: map[saga.ID]*head{}, inbox: map[saga.ID]struct{}{}}
		s.shards[id] = sh
	}
	return sh
}

func compareDue(a *head, b saga.Due) int {
	return cmp.Or(a.Due.Compare(b.At), a.ID.Compare(b.ID))
}

// index puts a head where it is looked for.
func (sh *shard) index(h *head) {
	sh.heads[h.ID] = h
	if h.Ready {
		sh.ready[h.ID] = h
	}
	if !h.Due.IsZero() {
		at, _ := slices.BinarySearchFunc(sh.due, saga.Due{ID: h.ID, At: h.Due}, compareDue)
		sh.due = slices.Insert(sh.due, at, h)
	}
}

// unindex takes it away again.
func (sh *shard) unindex(h *head) {
	delete(sh.heads, h.ID)
	delete(sh.ready, h.ID)
	if at, found := slices.BinarySearchFunc(sh.due, saga.Due{ID: h.ID, At: h.Due}, compareDue); found {
		sh.due = slices.Delete(sh.due, at, at+1)
	}
}
