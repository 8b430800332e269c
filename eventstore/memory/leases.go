package memory

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
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
	t, err := s.enterLease(ctx, subscription)
	if err != nil {
		return eventstore.Lease{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	l := t.leases[subscription]
	switch held := l.Expires.After(now); {
	case held && l.Owner != owner:
		return eventstore.Lease{}, &eventstore.LeaseHeldError{Subscription: subscription, Owner: l.Owner, Expires: l.Expires}
	case !held:
		l.Token++
	}
	l.Subscription, l.Owner, l.Expires = subscription, owner, recordable(now.Add(ttl))
	t.leases[subscription] = l
	return l, nil
}

// SaveCheckpoint sets the checkpoint and renews the lease; see
// [eventstore.Checkpoints].
func (s *Store) SaveCheckpoint(ctx context.Context, lease eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
	if err := eventstore.CheckTTL(ttl); err != nil {
		return eventstore.Lease{}, err
	}
	if err := eventstore.CheckCheckpoint(checkpoint); err != nil {
		return eventstore.Lease{}, err
	}
	t, err := s.enterLease(ctx, lease.Subscription)
	if err != nil {
		return eventstore.Lease{}, err
	}
	defer s.mu.Unlock()
	l, found := t.leases[lease.Subscription]
	if !found || !sameHolder(l, lease) {
		return eventstore.Lease{}, eventstore.ErrFenced
	}
	if checkpoint < l.Checkpoint {
		return eventstore.Lease{}, &eventstore.InputError{
			Field: "checkpoint", Value: strconv.FormatInt(int64(checkpoint), 10),
			Want: fmt.Sprintf("at least %d, as far as %q has come", l.Checkpoint, l.Subscription),
		}
	}
	l.Checkpoint, l.Expires = checkpoint, recordable(s.now().Add(ttl))
	t.leases[lease.Subscription] = l
	return l, nil
}

// ReleaseLease gives the lease up; see [eventstore.Checkpoints].
func (s *Store) ReleaseLease(ctx context.Context, lease eventstore.Lease) error {
	t, err := s.enterLease(ctx, lease.Subscription)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if l, found := t.leases[lease.Subscription]; found && sameHolder(l, lease) {
		l.Token++
		l.Expires = s.now()
		t.leases[lease.Subscription] = l
	}
	return nil
}

// LoadCheckpoint returns the lease as it was last held; see
// [eventstore.Checkpoints].
func (s *Store) LoadCheckpoint(ctx context.Context, subscription string) (eventstore.Lease, bool, error) {
	t, err := s.enterLease(ctx, subscription)
	if err != nil {
		return eventstore.Lease{}, false, err
	}
	defer s.mu.Unlock()
	l, found := t.leases[subscription]
	return l, found, nil
}

// ResetCheckpoint sets the checkpoint and fences who holds the lease; see
// [eventstore.Checkpoints].
func (s *Store) ResetCheckpoint(ctx context.Context, subscription string, checkpoint eventstore.Position) error {
	if err := eventstore.CheckCheckpoint(checkpoint); err != nil {
		return err
	}
	t, err := s.enterLease(ctx, subscription)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	l := t.leases[subscription]
	l.Subscription, l.Checkpoint, l.Expires = subscription, checkpoint, s.now()
	l.Token++
	t.leases[subscription] = l
	return nil
}

func sameHolder(a, b eventstore.Lease) bool { return a.Token == b.Token && a.Owner == b.Owner }

func (s *Store) enterLease(ctx context.Context, subscription string) (*tenant, error) {
	if err := eventstore.CheckName("subscription", subscription); err != nil {
		return nil, err
	}
	return s.enter(ctx)
}
