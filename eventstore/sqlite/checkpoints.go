package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/sqlitefile"
)

const (
	selectLease = `SELECT owner, token, checkpoint, expires FROM rondo_checkpoints WHERE tenant = ? AND subscription = ?`
	upsertLease = `INSERT INTO rondo_checkpoints (tenant, subscription, owner, token, checkpoint, expires) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET owner = excluded.owner, token = excluded.token, checkpoint = excluded.checkpoint, expires = excluded.expires`
)

// A lease is held while its time has not run out, by whoever has its token.
// Giving it up and resetting the checkpoint draw a new token that nobody has.

// AcquireLease takes or renews a lease; see [eventstore.Checkpoints].
func (s *Store) AcquireLease(ctx context.Context, subscription, owner string, ttl time.Duration) (eventstore.Lease, error) {
	if err := eventstore.CheckName("owner", owner); err != nil {
		return eventstore.Lease{}, err
	}
	if err := eventstore.CheckTTL(ttl); err != nil {
		return eventstore.Lease{}, err
	}
	return s.changeLease(ctx, subscription, func(l *eventstore.Lease, _ bool, now time.Time) (bool, error) {
		switch held := l.Expires.After(now); {
		case held && l.Owner != owner:
			return false, &eventstore.LeaseHeldError{Subscription: subscription, Owner: l.Owner, Expires: l.Expires}
		case !held:
			l.Token++
		}
		l.Owner, l.Expires = owner, recordable(now.Add(ttl))
		return true, nil
	})
}

// SaveCheckpoint sets the checkpoint and renews the lease; see
// [eventstore.Checkpoints].
func (s *Store) SaveCheckpoint(ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	change, err := saving(lease, checkpoint, ttl)
	if err != nil {
		return eventstore.Lease{}, err
	}
	return s.changeLease(ctx, lease.Subscription, change)
}

// SaveCheckpointTx is SaveCheckpoint in a transaction of the caller's, as with
// [Store.AppendTx]: what a subscription has made of the events and how far it has
// come are committed together. After an error the transaction should be rolled
// back, as whoever is fenced has no business to commit.
func (s *Store) SaveCheckpointTx(ctx context.Context, tx *sql.Tx, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	change, err := saving(lease, checkpoint, ttl)
	if err != nil {
		return eventstore.Lease{}, err
	}
	tenant, err := s.enterLease(ctx, lease.Subscription)
	if err != nil {
		return eventstore.Lease{}, err
	}
	changed, verdict, err := changeLease(ctx, s.file.Executor(tx), tenant, lease.Subscription, s.now(), change)
	if verdict != nil {
		err = verdict
	}
	return changed, err
}

// ReleaseLease gives the lease up; see [eventstore.Checkpoints].
func (s *Store) ReleaseLease(ctx context.Context, lease eventstore.Lease) error {
	_, err := s.changeLease(ctx, lease.Subscription, func(l *eventstore.Lease, found bool, now time.Time) (bool, error) {
		if !found || !sameHolder(*l, lease) {
			return false, nil
		}
		l.Token++
		l.Expires = now
		return true, nil
	})
	return err
}

// LoadCheckpoint returns the lease as it was last held; see
// [eventstore.Checkpoints].
func (s *Store) LoadCheckpoint(ctx context.Context, subscription string) (l eventstore.Lease, found bool, err error) {
	tenant, err := s.enterLease(ctx, subscription)
	if err != nil {
		return l, false, err
	}
	err = s.file.Read(ctx, func(c *sqlitefile.Conn) (err error) {
		l, found, err = loadLease(ctx, c, tenant, subscription)
		return err
	})
	if err != nil || !found {
		return eventstore.Lease{}, false, err
	}
	return l, true, nil
}

// ResetCheckpoint sets the checkpoint and fences who holds the lease; see
// [eventstore.Checkpoints].
func (s *Store) ResetCheckpoint(ctx context.Context, subscription string, checkpoint eventstore.Position) error {
	if err := eventstore.CheckCheckpoint(checkpoint); err != nil {
		return err
	}
	_, err := s.changeLease(ctx, subscription, func(l *eventstore.Lease, _ bool, now time.Time) (bool, error) {
		l.Checkpoint, l.Expires = checkpoint, now
		l.Token++
		return true, nil
	})
	return err
}

// leaseChange changes a lease, and tells whether it did. Its error is a verdict.
type leaseChange func(l *eventstore.Lease, found bool, now time.Time) (bool, error)

func saving(lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (leaseChange, error) {
	if err := eventstore.CheckTTL(ttl); err != nil {
		return nil, err
	}
	if err := eventstore.CheckCheckpoint(checkpoint); err != nil {
		return nil, err
	}
	return func(l *eventstore.Lease, found bool, now time.Time) (bool, error) {
		if !found || !sameHolder(*l, lease) {
			return false, eventstore.ErrFenced
		}
		if checkpoint < l.Checkpoint {
			return false, &eventstore.InputError{
				Field: "checkpoint", Value: strconv.FormatInt(int64(checkpoint), 10),
				Want: fmt.Sprintf("at least %d, as far as %q has come", l.Checkpoint, l.Subscription),
			}
		}
		l.Checkpoint, l.Expires = checkpoint, recordable(now.Add(ttl))
		return true, nil
	}, nil
}

func sameHolder(a, b eventstore.Lease) bool { return a.Token == b.Token && a.Owner == b.Owner }

func (s *Store) enterLease(ctx context.Context, subscription string) (tenant string, err error) {
	if err := eventstore.CheckName("subscription", subscription); err != nil {
		return "", err
	}
	return s.enter(ctx)
}

func (s *Store) changeLease(ctx context.Context, subscription string, change leaseChange) (l eventstore.Lease, err error) {
	tenant, err := s.enterLease(ctx, subscription)
	if err != nil {
		return l, err
	}
	err = s.write(ctx, func(ctx context.Context, w *sqlitefile.Writer, now time.Time) (verdict, err error) {
		l, verdict, err = changeLease(ctx, w.Conn(), tenant, subscription, now, change)
		return verdict, err
	})
	if err != nil {
		return eventstore.Lease{}, err
	}
	return l, nil
}

func changeLease(ctx context.Context, x sqlitefile.Executor, tenant, subscription string, now time.Time, change leaseChange) (l eventstore.Lease, verdict, err error) {
	l, found, err := loadLease(ctx, x, tenant, subscription)
	if err != nil {
		return l, nil, err
	}
	l.Subscription = subscription
	changed, verdict := change(&l, found, now)
	if verdict != nil || !changed {
		return eventstore.Lease{}, verdict, nil
	}
	_, err = x.Exec(ctx, upsertLease, tenant, subscription, l.Owner, l.Token, int64(l.Checkpoint), l.Expires.UnixMicro())
	return l, nil, err
}

func loadLease(ctx context.Context, x sqlitefile.Executor, tenant, subscription string) (l eventstore.Lease, found bool, err error) {
	var checkpoint, expires int64
	found, err = sqlitefile.First(ctx, x, func(row []driver.Value) error {
		return sqlitefile.Scan(row, &l.Owner, &l.Token, &checkpoint, &expires)
	}, selectLease, tenant, subscription)
	if err != nil || !found {
		return eventstore.Lease{}, false, err
	}
	l.Subscription, l.Checkpoint, l.Expires = subscription, eventstore.Position(checkpoint), time.UnixMicro(expires).UTC()
	return l, true, nil
}
