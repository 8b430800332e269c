package postgres

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/pghome"
)

const setTenantSQL = `SELECT set_config('rondo.tenant', $1, true)`

// maxCollisions is how often what collides with another transaction is tried
// again.
const maxCollisions = 20

// as does something for a tenant, in one round trip and one transaction: what
// queue puts into the pipeline runs with the tenant set, and the setting ends
// with it. If it collides with another transaction, as it may where the database
// isolates more than READ COMMITTED by default, all of it is done again, queue
// included.
func (s *Store) as(ctx context.Context, doing, tenant string, queue func(*pgx.Batch)) error {
	for collided := 0; ; collided++ {
		var pipeline pgx.Batch
		pipeline.Queue(setTenantSQL, tenant)
		queue(&pipeline)
		err := s.send(ctx, doing, &pipeline)
		var e *Error
		if collided == maxCollisions || !errors.As(err, &e) || e.Code != pghome.Serialization && e.Code != pghome.Deadlock {
			return err
		}
		if err := pause(ctx, rand.N(raceBackoff)); err != nil {
			return err
		}
	}
}

func (s *Store) send(ctx context.Context, doing string, pipeline *pgx.Batch) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.ended(ctx, explain(doing, err))
	}
	defer conn.Release()
	return explain(doing, conn.SendBatch(ctx, pipeline).Close())
}

// ended makes an error ErrClosed if it comes of the pool's being closed by Close.
// The caller's own end comes first; apart from it, a connection that is being
// made when Close lands is told by the pool that its context ended, which is not
// the caller's.
func (s *Store) ended(ctx context.Context, err error) error {
	select {
	case <-s.done:
		if s.ownPool && ctx.Err() == nil {
			return eventstore.ErrClosed
		}
	default:
	}
	return err
}
