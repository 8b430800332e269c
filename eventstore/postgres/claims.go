package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/eventstore"
)

// takenError is what append_many says of a claim that is taken. The claim itself
// is looked up for the caller, see resolve.
type takenError struct{ key string }

func (e *takenError) Error() string { return fmt.Sprintf("idempotency key %q is taken", e.key) }

const loadClaimSQL = `SELECT hash, result, until FROM rondo.claims WHERE tenant = $1 AND key = $2`

// LoadClaim returns the claim with that key; see [eventstore.Claims].
func (s *Store) LoadClaim(ctx context.Context, key string) (eventstore.Claim, bool, error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return eventstore.Claim{}, false, err
	}
	tenant, err := s.tenant(ctx)
	if err != nil {
		return eventstore.Claim{}, false, err
	}
	return s.loadClaim(ctx, tenant, key, ` AND until > clock_timestamp()`)
}

func (s *Store) loadClaim(ctx context.Context, tenant, key, condition string) (c eventstore.Claim, found bool, err error) {
	c.Key = key
	err = s.as(ctx, "load claim", tenant, func(b *pgx.Batch) {
		found = false
		b.Queue(loadClaimSQL+condition, tenant, key).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				found = true
				if err := rows.Scan(&c.Hash, &c.Result, &c.Until); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	})
	if err != nil || !found {
		return eventstore.Claim{}, false, err
	}
	c.Until = c.Until.UTC()
	return c, true, nil
}

// claimed returns the *eventstore.ClaimedError for a claim that was taken, nil if
// it is not there any more.
func (s *Store) claimed(ctx context.Context, tenant, key string) error {
	c, found, err := s.loadClaim(ctx, tenant, key, "")
	if err == nil && found {
		return &eventstore.ClaimedError{Claim: c}
	}
	return err
}

const deleteClaimsSQL = `
DELETE FROM rondo.claims c USING (
  SELECT tenant, key FROM rondo.claims WHERE until <= clock_timestamp() ORDER BY until LIMIT $1
) expired
WHERE c.tenant = expired.tenant AND c.key = expired.key AND c.until <= clock_timestamp()`

// DeleteExpiredClaims forgets claims whose time has run out; see
// [eventstore.Claims].
func (s *Store) DeleteExpiredClaims(ctx context.Context, limit int) (int, error) {
	if err := eventstore.CheckLimit(limit); err != nil {
		return 0, err
	}
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	var deleted int64
	err := s.as(ctx, "delete expired claims", allTenants, func(b *pgx.Batch) {
		b.Queue(deleteClaimsSQL, limit).Exec(func(tag pgconn.CommandTag) error {
			deleted = tag.RowsAffected()
			return nil
		})
	})
	return int(deleted), err
}
