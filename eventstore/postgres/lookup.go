package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed57833328/rondo/eventstore"
)

const lookupSQL = `SELECT ` + columns + ` FROM rondo.events WHERE tenant = $1 AND id = ANY ($2) ORDER BY position`

// Lookup returns those of the events that were committed; see
// [eventstore.Lookup]. If some are not there it waits for the appends that are in
// flight, for the server may still be committing what the connection was lost
// over.
func (s *Store) Lookup(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
	tenant, err := s.tenant(ctx)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	wanted := map[uuid.UUID]bool{}
	var encoded []pgtype.UUID
	for _, id := range ids {
		if !wanted[id] {
			wanted[id] = true
			encoded = append(encoded, pgtype.UUID{Bytes: id, Valid: true})
		}
	}
	found, err := s.lookup(ctx, tenant, encoded)
	if err != nil || len(found) == len(wanted) {
		return found, err
	}
	if err := s.settled(ctx, "look up events"); err != nil {
		return nil, err
	}
	return s.lookup(ctx, tenant, encoded)
}

func (s *Store) lookup(ctx context.Context, tenant string, ids []pgtype.UUID) (found []eventstore.Recorded, err error) {
	p := page{tenant: tenant}
	err = s.as(ctx, "look up events", tenant, func(b *pgx.Batch) {
		b.Queue(lookupSQL, tenant, ids).Query(p.scan)
	})
	if err != nil {
		return nil, err
	}
	for i := range p.events {
		for p.missing(i) {
			if err := s.fill(ctx, &p, i); err != nil {
				return nil, err
			}
		}
	}
	return p.events, nil
}
