package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed57833328/rondo/eventstore"
)

// takenError is what append_many says of a claim that is taken. The claim itself
// is looked up for the caller, see resolve.
type takenError struct{ key string }

func (e *takenError) Error() string { return fmt.Sprintf("idempotency key %q is taken", e.key) }

const (
	loadClaimSQL = `SELECT hash, result, until FROM rondo.claims WHERE tenant = $1 AND key = $2 AND until > clock_timestamp()`
	// One that was found to be taken may have run out since.
	takenClaimsSQL = `
SELECT key, hash, result, until FROM rondo.claims
WHERE tenant = $1 AND key = ANY ($2) AND (key = $3 OR until > clock_timestamp())`
)

// LoadClaim returns the claim with that key; see [eventstore.Claims].
func (s *Store) LoadClaim(ctx context.Context, key string) (eventstore.Claim, bool, error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return eventstore.Claim{}, false, err
	}
	tenant, err := s.tenant(ctx)
	if err != nil {
		return eventstore.Claim{}, false, err
	}
	c, found := eventstore.Claim{Key: key}, false
	err = s.as(ctx, "load claim", tenant, func(b *pgx.Batch) {
		found = false
		b.Queue(loadClaimSQL, tenant, key).Query(func(rows pgx.Rows) error {
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

// taken loads the claims that have keys of an append, of which this one was taken.
func (s *Store) taken(ctx context.Context, r *request, key string) (claims []eventstore.Claim, err error) {
	err = s.as(ctx, "load claims", r.tenant, func(b *pgx.Batch) {
		b.Queue(takenClaimsSQL, r.tenant, r.claimKeys(), key).Query(func(rows pgx.Rows) (err error) {
			claims, err = pgx.CollectRows(rows, readClaim)
			return err
		})
	})
	return claims, err
}

// takenTx is taken in a user's transaction.
func takenTx(ctx context.Context, tx pgx.Tx, r *request, key string) ([]eventstore.Claim, error) {
	rows, err := tx.Query(ctx, takenClaimsSQL, r.tenant, r.claimKeys(), key)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, readClaim)
}

func readClaim(row pgx.CollectableRow) (c eventstore.Claim, err error) {
	err = row.Scan(&c.Key, &c.Hash, &c.Result, &c.Until)
	c.Until = c.Until.UTC()
	return c, err
}

func (r *request) claimKeys() (keys []string) {
	for i := range r.writes {
		if c := r.writes[i].Claim; c != nil {
			keys = append(keys, c.Key)
		}
	}
	return keys
}

// claimed is the error of an append some of whose keys are taken, nil if none is any
// more.
func (r *request) claimed(taken []eventstore.Claim) error {
	if len(taken) == 0 {
		return nil
	}
	place := map[string]int{}
	for i, key := range r.claimKeys() {
		place[key] = i
	}
	slices.SortFunc(taken, func(a, b eventstore.Claim) int { return cmp.Compare(place[a.Key], place[b.Key]) })
	return &eventstore.ClaimedError{Claim: taken[0], More: taken[1:]}
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
