package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed57833328/rondo/internal/pghome"
	"github.com/seed57833328/rondo/saga"
)

const (
	// poolSize is how many connections a home opens at most, unless its URL says
	// otherwise with pool_max_conns.
	poolSize = 20
	opening  = "open home of sagas"
	// parallelCommits is how many commits a runner has on their way at once: more are
	// smaller ones, each of which costs the server about as much.
	parallelCommits = 2
)

// Store is a home for sagas in a PostgreSQL database. Make it with [Open] or
// [New].
type Store struct {
	config  Config
	pool    *pgxpool.Pool
	ownPool bool
	name    string // tells its own notifications from those of others

	done  chan struct{} // closed by Close
	stop  context.CancelFunc
	tasks sync.WaitGroup // the home's own goroutines
	close sync.Once
	bells bells
}

var (
	_ saga.Store         = (*Store)(nil)
	_ saga.Waker         = (*Store)(nil)
	_ saga.Parallel      = (*Store)(nil)
	_ saga.Transactional = (*Store)(nil)
)

// Open opens the home in the database at a URL, such as
// postgres://user:password@host:5432/database, or a connection string of libpq's
// other form. It has a pool of connections of its own, at most 20 if the URL has
// no pool_max_conns, which Close closes. Errors: a *[SchemaVersionError], an
// *[Error].
func Open(ctx context.Context, url string, config Config) (*Store, error) {
	poolConfig, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opening, err)
	}
	if !strings.Contains(url, "pool_max_conns") {
		poolConfig.MaxConns = poolSize
	}
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, explain(opening, err)
	}
	s, err := New(ctx, pool, config)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.ownPool = true
	return s, nil
}

// New opens the home in the database of a pool, which stays the caller's and must
// be open for as long as the home is. It needs a connection for each call that
// goes on, and one for [Store.Wake].
func New(ctx context.Context, pool *pgxpool.Pool, config Config) (*Store, error) {
	config = config.withDefaults()
	if config.AutoMigrate {
		if _, err := Migrate(ctx, pool); err != nil {
			return nil, err
		}
	} else if err := checkSchema(ctx, pool); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{config: config, pool: pool, name: uuid.NewString(), done: make(chan struct{}), stop: stop}
	s.bells.init()
	s.tasks.Go(func() { s.notifyLoop(life) })
	s.tasks.Go(func() { s.listenLoop(life) })
	return s, nil
}

// Close refuses what comes after with saga.ErrClosed, and closes the channels of
// [Store.Wake]. With a pool of its own it waits for the calls that are going on.
// Closing twice is no error.
func (s *Store) Close() error {
	s.close.Do(func() {
		close(s.done)
		s.stop()
		s.tasks.Wait()
		s.bells.close()
		if s.ownPool {
			s.pool.Close()
		}
	})
	return nil
}

// Commits is how many commits do well at once, see [saga.Parallel]: while one waits
// for the disk others are made, and the server writes several to the disk together.
func (s *Store) Commits() int { return parallelCommits }

// open tells whether a call may begin.
func (s *Store) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.done:
		return saga.ErrClosed
	default:
		return nil
	}
}

// maxCollisions is how often what collides with another transaction is done
// again; collisionPause is the longest wait before.
const (
	maxCollisions  = 20
	collisionPause = 20 * time.Millisecond
)

// query asks one statement, in a transaction of its own, and has its rows read. If
// it collides with another transaction, as it may where the database isolates more
// than READ COMMITTED by default, it is asked again, and read from the beginning.
func (s *Store) query(ctx context.Context, doing, sql string, args []any, read func(pgx.Rows) error) error {
	return s.do(ctx, doing, func(conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := read(rows); err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	})
}

// exec is query for what returns nothing.
func (s *Store) exec(ctx context.Context, doing, sql string, args ...any) error {
	return s.query(ctx, doing, sql, args, func(pgx.Rows) error { return nil })
}

// pipeline asks some statements in one round trip and one transaction, again as
// query.
func (s *Store) pipeline(ctx context.Context, doing string, queue func(*pgx.Batch)) error {
	return s.do(ctx, doing, func(conn *pgxpool.Conn) error {
		var b pgx.Batch
		queue(&b)
		return conn.SendBatch(ctx, &b).Close()
	})
}

func (s *Store) do(ctx context.Context, doing string, f func(*pgxpool.Conn) error) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	for collided := 0; ; collided++ {
		err := s.once(ctx, f)
		if err == nil {
			return nil
		}
		err = explain(doing, err)
		var e *Error
		if collided == maxCollisions || !errors.As(err, &e) || e.Code != pghome.Serialization && e.Code != pghome.Deadlock {
			return s.ended(ctx, err)
		}
		if err := pause(ctx, rand.N(collisionPause)); err != nil {
			return err
		}
	}
}

func (s *Store) once(ctx context.Context, f func(*pgxpool.Conn) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return f(conn)
}

// ended makes an error ErrClosed if it comes of the pool's being closed by Close.
// The caller's own end comes first; apart from it, a connection that is being made
// when Close lands is told by the pool that its context ended, which is not the
// caller's.
func (s *Store) ended(ctx context.Context, err error) error {
	select {
	case <-s.done:
		if s.ownPool && ctx.Err() == nil {
			return saga.ErrClosed
		}
	default:
	}
	return err
}

// pause waits, but no longer than its context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
