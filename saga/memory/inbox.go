package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/seed57833328/rondo/saga"
)

// Post keeps a message; see [saga.Inbox].
func (s *Store) Post(ctx context.Context, m saga.Message) error {
	if err := saga.CheckMessage(m); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	starts := func(m saga.Message) bool { return m.Kind == saga.StartMessage }
	if s.heads[m.To] == nil && !starts(m) && !slices.ContainsFunc(s.inbox[m.To], starts) {
		return saga.ErrNotFound
	}
	if s.keep(m) {
		s.rouse()
	}
	return nil
}

// keep puts a message into the inbox, unless it waits there.
func (s *Store) keep(m saga.Message) bool {
	if slices.ContainsFunc(s.inbox[m.To], func(w saga.Message) bool { return w.ID == m.ID }) {
		return false
	}
	s.position++
	m.Position, m.At = s.position, saga.Recordable(m.At)
	s.inbox[m.To] = append(s.inbox[m.To], m)
	s.waiting[m.Position] = m.To
	s.shard(m.To.Shard()).inbox[m.To] = struct{}{}
	return true
}

// Inbox returns messages; see [saga.Inbox].
func (s *Store) Inbox(ctx context.Context, shards []saga.Shard, limit int) ([]saga.Message, error) {
	if err := cmp.Or(saga.CheckShards(shards), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []saga.Message
	for _, id := range shards {
		sh := s.shards[id]
		if sh == nil {
			continue
		}
		for to := range sh.inbox {
			h := s.heads[to]
			waits := h != nil && (h.Status == saga.Stuck || h.Status == saga.Paused)
			for _, m := range s.inbox[to] {
				if !waits || m.Kind == saga.WakeMessage {
					found = append(found, m)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b saga.Message) int { return cmp.Compare(a.Position, b.Position) })
	return slices.Clip(found[:min(limit, len(found))]), nil
}

// Waiting returns the messages of one saga; see [saga.Inbox].
func (s *Store) Waiting(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Message, error) {
	if err := cmp.Or(saga.CheckID("id", id), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []saga.Message
	for _, m := range s.inbox[id] { // in the order of their positions
		if m.Position > after && len(found) < limit {
			found = append(found, m)
		}
	}
	return found, nil
}

// Discard forgets messages; see [saga.Inbox].
func (s *Store) Discard(ctx context.Context, positions []int64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.discard(positions)
	return nil
}

func (s *Store) discard(positions []int64) {
	for _, p := range positions {
		to, waits := s.waiting[p]
		if !waits {
			continue
		}
		delete(s.waiting, p)
		left := slices.DeleteFunc(s.inbox[to], func(m saga.Message) bool { return m.Position == p })
		if s.inbox[to] = left; len(left) == 0 {
			delete(s.inbox, to)
			delete(s.shard(to.Shard()).inbox, to)
		}
	}
}
