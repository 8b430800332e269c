package memory

import (
	"context"
	"slices"

	"github.com/seed57833328/rondo/eventstore"
)

// LoadClaim returns the claim with that key; see [eventstore.Claims].
func (s *Store) LoadClaim(ctx context.Context, key string) (eventstore.Claim, bool, error) {
	if err := eventstore.CheckName("key", key); err != nil {
		return eventstore.Claim{}, false, err
	}
	t, err := s.enter(ctx)
	if err != nil {
		return eventstore.Claim{}, false, err
	}
	defer s.mu.Unlock()
	c, found := t.claims[key]
	if !found || !c.Until.After(s.now()) {
		return eventstore.Claim{}, false, nil
	}
	return cloneClaim(c), true, nil
}

// DeleteExpiredClaims forgets claims whose time has run out; see
// [eventstore.Claims].
func (s *Store) DeleteExpiredClaims(ctx context.Context, limit int) (int, error) {
	if err := eventstore.CheckLimit(limit); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, eventstore.ErrClosed
	}
	now, deleted := s.now(), 0
	for _, t := range s.tenants {
		for key, c := range t.claims {
			if c.Until.After(now) {
				continue
			}
			if deleted == limit {
				return deleted, nil
			}
			delete(t.claims, key)
			deleted++
		}
	}
	return deleted, nil
}

func cloneClaim(c eventstore.Claim) eventstore.Claim {
	c.Hash, c.Result = slices.Clone(c.Hash), slices.Clone(c.Result)
	c.Until = recordable(c.Until)
	return c
}
