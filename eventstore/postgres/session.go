package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

const setTenantSQL = `SELECT set_config('rondo.tenant', $1, true)`

// as does something for a tenant, in one round trip and one transaction: what
// queue puts into the pipeline runs with the tenant set, and the setting ends
// with it.
func (s *Store) as(ctx context.Context, doing, tenant string, queue func(*pgx.Batch)) error {
	var pipeline pgx.Batch
	pipeline.Queue(setTenantSQL, tenant)
	queue(&pipeline)
	return s.send(ctx, doing, &pipeline)
}

func (s *Store) send(ctx context.Context, doing string, pipeline *pgx.Batch) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.ended(explain(doing, err))
	}
	defer conn.Release()
	return explain(doing, conn.SendBatch(ctx, pipeline).Close())
}

// ended makes an error ErrClosed if it comes of the pool's being closed by Close.
func (s *Store) ended(err error) error {
	select {
	case <-s.done:
		if s.ownPool && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return eventstore.ErrClosed
		}
	default:
	}
	return err
}
