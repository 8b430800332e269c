package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
)

// A lease is held while its time has not run out, by whoever has its token. The
// times are the server's. Giving a lease up and resetting the checkpoint draw a
// new token that nobody has.

const (
	leaseColumns = `owner, token, checkpoint, expires`
	// acquireSQL returns no row if somebody else holds the lease.
	acquireSQL = `
INSERT INTO rondo.subscriptions AS s (tenant, name, owner, token, checkpoint, expires)
VALUES ($1, $2, $3, 1, 0, clock_timestamp() + $4::interval)
ON CONFLICT ON CONSTRAINT subscriptions_pkey DO UPDATE
  SET owner = excluded.owner, expires = excluded.expires,
      token = CASE WHEN s.expires > clock_timestamp() THEN s.token ELSE s.token + 1 END
  WHERE s.owner = excluded.owner OR s.expires <= clock_timestamp()
RETURNING ` + leaseColumns
	// saveSQL returns no row if the lease is not held, or the checkpoint is lower.
	saveSQL = `
UPDATE rondo.subscriptions SET checkpoint = $5, expires = clock_timestamp() + $6::interval
WHERE tenant = $1 AND name = $2 AND owner = $3 AND token = $4 AND checkpoint <= $5
RETURNING ` + leaseColumns
	releaseSQL = `
UPDATE rondo.subscriptions SET token = token + 1, expires = clock_timestamp()
WHERE tenant = $1 AND name = $2 AND owner = $3 AND token = $4`
	loadSQL  = `SELECT ` + leaseColumns + ` FROM rondo.subscriptions WHERE tenant = $1 AND name = $2`
	resetSQL = `
INSERT INTO rondo.subscriptions AS s (tenant, name, owner, token, checkpoint, expires)
VALUES ($1, $2, '', 1, $3, clock_timestamp())
ON CONFLICT ON CONSTRAINT subscriptions_pkey DO UPDATE
  SET token = s.token + 1, checkpoint = excluded.checkpoint, expires = excluded.expires`
)

// AcquireLease takes or renews a lease; see [eventstore.Checkpoints].
func (s *Store) AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (eventstore.Lease, error) {
	if err := eventstore.CheckName("owner", owner); err != nil {
		return eventstore.Lease{}, err
	}
	if err := eventstore.CheckTTL(ttl); err != nil {
		return eventstore.Lease{}, err
	}
	tenant, err := s.checkSubscription(ctx, subscription)
	if err != nil {
		return eventstore.Lease{}, err
	}
	for {
		var acquired, other scannedLease
		err = s.as(ctx, "acquire lease", tenant, func(b *pgx.Batch) {
			acquired.found, other.found = false, false // it may be done again
			b.Queue(acquireSQL, tenant, subscription, owner, ttl).Query(acquired.scan)
			b.Queue(loadSQL, tenant, subscription).Query(other.scan)
		})
		switch {
		case err != nil:
			return eventstore.Lease{}, err
		case acquired.found:
			return acquired.lease(subscription), nil
		case other.found:
			held := other.lease(subscription)
			return eventstore.Lease{}, &eventstore.LeaseHeldError{Subscription: subscription, Owner: held.Owner, Expires: held.Expires}
		}
		// It was there and is gone: an administrator deleted the row.
	}
}

// SaveCheckpoint sets the checkpoint and renews the lease; see
// [eventstore.Checkpoints].
func (s *Store) SaveCheckpoint(ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	return s.saveCheckpoint(ctx, lease, checkpoint, ttl, func(tenant string, queue func(*pgx.Batch)) error {
		return s.as(ctx, "save checkpoint", tenant, queue)
	})
}

// saveCheckpoint is SaveCheckpoint, in whatever transaction as runs it.
func (s *Store) saveCheckpoint(
	ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration,
	as func(tenant string, queue func(*pgx.Batch)) error,
) (eventstore.Lease, error) {
	if err := eventstore.CheckTTL(ttl); err != nil {
		return eventstore.Lease{}, err
	}
	if err := eventstore.CheckCheckpoint(checkpoint); err != nil {
		return eventstore.Lease{}, err
	}
	tenant, err := s.checkSubscription(ctx, lease.Subscription)
	if err != nil {
		return eventstore.Lease{}, err
	}
	var saved, there scannedLease
	err = as(tenant, func(b *pgx.Batch) {
		saved.found, there.found = false, false // it may be done again
		b.Queue(saveSQL, tenant, lease.Subscription, lease.Owner, lease.Token, int64(checkpoint), ttl).Query(saved.scan)
		b.Queue(loadSQL, tenant, lease.Subscription).Query(there.scan)
	})
	switch {
	case err != nil:
		return eventstore.Lease{}, err
	case saved.found:
		return saved.lease(lease.Subscription), nil
	case there.found && there.owner == lease.Owner && there.token == lease.Token:
		return eventstore.Lease{}, &eventstore.InputError{
			Field: "checkpoint", Value: strconv.FormatInt(int64(checkpoint), 10),
			Want: fmt.Sprintf("at least %d, as far as %q has come", there.checkpoint, lease.Subscription),
		}
	}
	return eventstore.Lease{}, eventstore.ErrFenced
}

// ReleaseLease gives the lease up; see [eventstore.Checkpoints].
func (s *Store) ReleaseLease(ctx context.Context, lease eventstore.Lease) error {
	tenant, err := s.checkSubscription(ctx, lease.Subscription)
	if err != nil {
		return err
	}
	return s.as(ctx, "release lease", tenant, func(b *pgx.Batch) {
		b.Queue(releaseSQL, tenant, lease.Subscription, lease.Owner, lease.Token)
	})
}

// LoadCheckpoint returns the lease as it was last held; see
// [eventstore.Checkpoints].
func (s *Store) LoadCheckpoint(ctx context.Context, subscription string) (eventstore.Lease, bool, error) {
	tenant, err := s.checkSubscription(ctx, subscription)
	if err != nil {
		return eventstore.Lease{}, false, err
	}
	var loaded scannedLease
	err = s.as(ctx, "load checkpoint", tenant, func(b *pgx.Batch) {
		b.Queue(loadSQL, tenant, subscription).Query(loaded.scan)
	})
	if err != nil || !loaded.found {
		return eventstore.Lease{}, false, err
	}
	return loaded.lease(subscription), true, nil
}

// ResetCheckpoint sets the checkpoint and fences who holds the lease; see
// [eventstore.Checkpoints].
func (s *Store) ResetCheckpoint(ctx context.Context, subscription string, checkpoint eventstore.Position) error {
	if err := eventstore.CheckCheckpoint(checkpoint); err != nil {
		return err
	}
	tenant, err := s.checkSubscription(ctx, subscription)
	if err != nil {
		return err
	}
	return s.as(ctx, "reset checkpoint", tenant, func(b *pgx.Batch) {
		b.Queue(resetSQL, tenant, subscription, int64(checkpoint))
	})
}

func (s *Store) checkSubscription(ctx context.Context, subscription string) (tenant string, err error) {
	if err := eventstore.CheckName("subscription", subscription); err != nil {
		return "", err
	}
	return s.tenant(ctx)
}

// scannedLease is a row of rondo.subscriptions, or none.
type scannedLease struct {
	found             bool
	owner             string
	token, checkpoint int64
	expires           time.Time
}

func (l *scannedLease) scan(rows pgx.Rows) error {
	for rows.Next() {
		l.found = true
		if err := rows.Scan(&l.owner, &l.token, &l.checkpoint, &l.expires); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (l *scannedLease) lease(subscription string) eventstore.Lease {
	return eventstore.Lease{
		Subscription: subscription, Owner: l.owner, Token: l.token, Checkpoint: eventstore.Position(l.checkpoint), Expires: l.expires.UTC(),
	}
}
