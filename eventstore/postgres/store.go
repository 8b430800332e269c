package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed57833328/rondo/eventstore"
)

const (
	// poolSize is how many connections a store opens at most, unless its URL says
	// otherwise with pool_max_conns.
	poolSize = 20
	// closePatience is how long Close waits for commits that are going on.
	closePatience = 10 * time.Second
	// committers is how many commit what many append together.
	committers = 2
)

// Store is an event store in a PostgreSQL database. Make it with [Open] or [New].
type Store struct {
	config  Config
	pool    *pgxpool.Pool
	ownPool bool

	done  chan struct{} // closed by Close
	stop  context.CancelCauseFunc
	tasks sync.WaitGroup // the store's own goroutines
	close sync.Once
	gate  gate
	tail  tail
}

var (
	_ eventstore.Store       = (*Store)(nil)
	_ eventstore.Lookup      = (*Store)(nil)
	_ eventstore.Claims      = (*Store)(nil)
	_ eventstore.Snapshots   = (*Store)(nil)
	_ eventstore.Checkpoints = (*Store)(nil)
	_ eventstore.Keys        = (*Store)(nil)
)

// Open opens the store in the database at a URL, such as
// postgres://user:password@host:5432/database, or a connection string of libpq's
// other form. It has a pool of connections of its own, at most 20 if the URL has
// no pool_max_conns, which Close closes. Errors: a *[SchemaVersionError], an
// *[Error].
func Open(ctx context.Context, url string, config Config) (*Store, error) {
	poolConfig, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open event store: %w", err)
	}
	if !strings.Contains(url, "pool_max_conns") {
		poolConfig.MaxConns = poolSize
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, explain("open event store", err)
	}
	s, err := New(ctx, pool, config)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.ownPool = true
	return s, nil
}

// New opens the store in the database of a pool, which stays the caller's and
// must be open for as long as the store is. A store that has much to do needs
// some connections: [Config].DirectAppends, two for appends that are committed
// together, one for subscriptions to listen, and one for each read that goes on.
func New(ctx context.Context, pool *pgxpool.Pool, config Config) (*Store, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	if config.AutoMigrate {
		if _, err := Migrate(ctx, pool); err != nil {
			return nil, err
		}
	} else if err := checkSchema(ctx, pool); err != nil {
		return nil, err
	}
	life, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &Store{config: config, pool: pool, done: make(chan struct{}), stop: stop}
	s.gate.init(config.DirectAppends)
	s.tail.init()
	for range committers {
		s.tasks.Go(func() { s.commitLoop(life) })
	}
	s.tasks.Go(func() { s.notifyLoop(life) })
	s.tasks.Go(func() { s.followLoop(life) })
	s.tasks.Go(func() { s.listenLoop(life) })
	return s, nil
}

// Close refuses what comes after with eventstore.ErrClosed, ends subscriptions
// and appends that wait with it, and waits for the commits that are going on. A
// read that has begun ends with it when it needs the next page. Closing twice is
// no error.
func (s *Store) Close() error {
	s.close.Do(func() {
		close(s.done)
		s.gate.close()
		ended := make(chan struct{})
		go func() {
			s.gate.wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(closePatience):
		}
		s.stop(eventstore.ErrClosed)
		s.tasks.Wait()
		<-ended
		if s.ownPool {
			s.pool.Close()
		}
	})
	return nil
}

// open tells whether a call may begin.
func (s *Store) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.done:
		return eventstore.ErrClosed
	default:
		return nil
	}
}
