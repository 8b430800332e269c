package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed57833328/rondo/saga"
)

const (
	expiredSQL = `
SELECT number, tenant, type, key FROM rondo.sagas WHERE ended < $1 ORDER BY ended LIMIT $2 FOR UPDATE SKIP LOCKED`
	purgeHeadsSQL   = `DELETE FROM rondo.sagas WHERE number = ANY ($1::bigint[]) AND (tenant, type, key) IN (SELECT * FROM unnest($2::text[], $3::text[], $4::text[]))`
	purgeHistorySQL = `DELETE FROM rondo.saga_history WHERE saga = ANY ($1::bigint[])`
	purgeInboxSQL   = `DELETE FROM rondo.saga_inbox WHERE (tenant, type, key) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))`
	purgeEffectsSQL = `DELETE FROM rondo.saga_effects WHERE saga = ANY ($1::text[])`
)

// Purge forgets sagas that have ended; see [saga.Heads]. What their effects have
// come to in this database (see [HandleTx]) goes with them. Sagas that another
// purge has in hand are left to it.
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := saga.CheckLimit(limit); err != nil {
		return 0, err
	}
	purged := 0
	err := s.do(ctx, "purge sagas", func(conn *pgxpool.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, expiredSQL, encodeBound(before), limit)
			if err != nil {
				return err
			}
			var numbers []int64
			var tenants, types, keys, names []string
			var number int64
			var id saga.ID
			_, err = pgx.ForEachRow(rows, []any{&number, &id.Tenant, &id.Type, &id.Key}, func() error {
				numbers = append(numbers, number)
				tenants, types, keys, names = append(tenants, id.Tenant), append(types, id.Type), append(keys, id.Key), append(names, id.String())
				return nil
			})
			if purged = len(numbers); err != nil || purged == 0 {
				return err
			}
			var b pgx.Batch
			b.Queue(purgeHeadsSQL, numbers, tenants, types, keys)
			b.Queue(purgeHistorySQL, numbers)
			b.Queue(purgeInboxSQL, tenants, types, keys)
			b.Queue(purgeEffectsSQL, names)
			return tx.SendBatch(ctx, &b).Close()
		})
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}
