package memory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// Config is what may be said about a store. The zero value works.
type Config struct {
	// RequireTenant makes a context without a tenant an ErrNoTenant. The default
	// is that it stands for the tenant "".
	RequireTenant bool
	// Now is the clock: of events, snapshots, claims and leases. It may be called
	// from any goroutine, and must not call the store. The default is time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Store is an event store in memory. Make it with [New].
type Store struct {
	config Config
	done   chan struct{} // closed by Close

	mu      sync.Mutex
	closed  bool
	tenants map[string]*tenant
	// log has all events; the position of one is its index and 1. Events are
	// never changed once they are in it, and streams share them: a slice that was
	// taken under the mutex can be read without it.
	log []*eventstore.Recorded
	// wake is closed by the next append. It is nil if nobody waits for that.
	wake chan struct{}
}

// tenant is what belongs to one tenant.
type tenant struct {
	name      string
	streams   map[string][]*eventstore.Recorded
	events    map[uuid.UUID]*eventstore.Recorded
	claims    map[string]eventstore.Claim
	snapshots map[snapshotKey]eventstore.Snapshot
	leases    map[string]eventstore.Lease
	keys      map[string][]byte // nil if it was deleted
}

var (
	_ eventstore.Store       = (*Store)(nil)
	_ eventstore.Lookup      = (*Store)(nil)
	_ eventstore.Claims      = (*Store)(nil)
	_ eventstore.Snapshots   = (*Store)(nil)
	_ eventstore.Checkpoints = (*Store)(nil)
	_ eventstore.Keys        = (*Store)(nil)
)

// New makes an empty store. The error is nil today; other homes have some.
func New(config Config) (*Store, error) {
	return &Store{
		config:  config.withDefaults(),
		done:    make(chan struct{}),
		tenants: map[string]*tenant{},
	}, nil
}

// Close ends the subscriptions with ErrClosed and refuses whatever comes after.
// A read that has begun goes on. Closing twice is no error.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	return nil
}

// Immediate returns the store itself: its appends wait for nothing but the
// processor, so an aggregate's is done on the goroutine of who executes. It does
// not speak for a store that embeds this one.
func (s *Store) Immediate() eventstore.Store { return s }

// enter checks a call that belongs to a tenant, and takes the mutex if the error
// is nil.
func (s *Store) enter(ctx context.Context) (*tenant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, err := eventstore.Tenant(ctx, s.config.RequireTenant)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, eventstore.ErrClosed
	}
	t := s.tenants[name]
	if t == nil {
		t = &tenant{
			name:      name,
			streams:   map[string][]*eventstore.Recorded{},
			events:    map[uuid.UUID]*eventstore.Recorded{},
			claims:    map[string]eventstore.Claim{},
			snapshots: map[snapshotKey]eventstore.Snapshot{},
			leases:    map[string]eventstore.Lease{},
			keys:      map[string][]byte{},
		}
		s.tenants[name] = t
	}
	return t, nil
}

// now is the time as it is recorded.
func (s *Store) now() time.Time { return recordable(s.config.Now()) }

func recordable(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
