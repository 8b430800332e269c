package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed57833328/rondo/saga"
)

// Load returns the record of a saga; see [saga.Heads].
func (s *Store) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	if err := saga.CheckID("id", id); err != nil {
		return saga.Record{}, false, err
	}
	if err := s.enter(ctx); err != nil {
		return saga.Record{}, false, err
	}
	defer s.mu.Unlock()
	h := s.heads[id]
	if h == nil {
		return saga.Record{}, false, nil
	}
	return h.Record, true, nil
}

// Commit makes changes; see [saga.Heads].
func (s *Store) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	if err := saga.CheckChanges(changes); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	verdicts := make([]saga.Verdict, len(changes))
	posted := false
	for i := range changes {
		verdicts[i] = s.commit(&changes[i])
		posted = posted || verdicts[i] == saga.Committed && len(changes[i].Posts) > 0
	}
	if posted {
		s.rouse()
	}
	return verdicts, nil
}

func (s *Store) commit(c *saga.Change) saga.Verdict {
	id := c.Record.ID
	where := id.Shard()
	if c.Epoch != 0 && s.fleet.leases[where].Epoch != c.Epoch {
		return saga.Fenced
	}
	h := s.heads[id]
	var at int64
	if h != nil {
		at = h.Sequence
	}
	if at != c.Record.Sequence-1 {
		return saga.Conflict
	}
	sh := s.shard(where)
	if h == nil {
		h = &head{}
		s.heads[id] = h
	} else {
		sh.unindex(h)
	}
	h.Record = c.Record
	h.Due = saga.Recordable(c.Record.Due)
	h.Started, h.Updated = saga.Recordable(c.Record.Started), saga.Recordable(c.Record.Updated)
	entry := c.Entry
	entry.At = saga.Recordable(entry.At)
	h.history = append(h.history, entry)
	sh.index(h)
	s.discard(c.Consumed)
	for _, m := range c.Posts {
		s.keep(m)
	}
	return saga.Committed
}

// Due returns what is due first; see [saga.Heads].
func (s *Store) Due(ctx context.Context, shards []saga.Shard, after saga.Due, limit int) ([]saga.Due, error) {
	if err := cmp.Or(saga.CheckShards(shards), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	after.At = saga.Recordable(after.At)
	var found []saga.Due
	for _, id := range shards {
		sh := s.shards[id]
		if sh == nil {
			continue
		}
		first, exact := slices.BinarySearchFunc(sh.due, after, compareDue)
		if exact {
			first++
		}
		for _, h := range sh.due[first:min(first+limit, len(sh.due))] {
			found = append(found, saga.Due{ID: h.ID, At: h.Due})
		}
	}
	slices.SortFunc(found, func(a, b saga.Due) int { return cmp.Or(a.At.Compare(b.At), a.ID.Compare(b.ID)) })
	return slices.Clip(found[:min(limit, len(found))]), nil
}

// List returns records; see [saga.Heads].
func (s *Store) List(ctx context.Context, q saga.Query) ([]saga.Record, error) {
	if err := saga.CheckQuery(&q); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []saga.Record
	collect := func(heads map[saga.ID]*head) {
		for _, h := range heads {
			if s.matches(h, &q) {
				r := h.Record
				r.State, r.Work = nil, nil
				found = append(found, r)
			}
		}
	}
	if len(q.Shards) == 0 {
		collect(s.heads)
	}
	for _, id := range q.Shards {
		switch sh := s.shards[id]; {
		case sh == nil:
		case q.Ready:
			collect(sh.ready)
		default:
			collect(sh.heads)
		}
	}
	slices.SortFunc(found, func(a, b saga.Record) int { return a.ID.Compare(b.ID) })
	return slices.Clip(found[:min(q.Limit, len(found))]), nil
}

func (s *Store) matches(h *head, q *saga.Query) bool {
	return (q.AllTenants || h.ID.Tenant == q.Tenant) &&
		(q.Type == "" || h.ID.Type == q.Type) &&
		(len(q.Statuses) == 0 || slices.Contains(q.Statuses, h.Status)) &&
		(!q.Ready || h.Ready) &&
		(q.StartedBefore.IsZero() || h.Started.Before(q.StartedBefore)) &&
		(q.DueBefore.IsZero() || !h.Due.IsZero() && h.Due.Before(q.DueBefore)) &&
		h.Attempts >= q.Attempts &&
		(q.Owner == "" || s.fleet.leases[h.ID.Shard()].Owner == q.Owner) &&
		(q.After == saga.ID{} || h.ID.Compare(q.After) > 0)
}

// History returns what was decided; see [saga.Heads].
func (s *Store) History(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Entry, error) {
	if err := cmp.Or(saga.CheckID("id", id), saga.CheckLimit(limit)); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	h := s.heads[id]
	if h == nil {
		return nil, nil
	}
	first, _ := slices.BinarySearchFunc(h.history, after+1, func(e saga.Entry, at int64) int { return cmp.Compare(e.Sequence, at) })
	return slices.Clone(h.history[first:min(first+limit, len(h.history))]), nil
}

// Purge forgets sagas that have ended; see [saga.Heads].
func (s *Store) Purge(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := saga.CheckLimit(limit); err != nil {
		return 0, err
	}
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	purged := 0
	for id, h := range s.heads {
		if purged == limit {
			break
		}
		if !h.Status.Ended() || !h.Updated.Before(before) {
			continue
		}
		s.shard(id.Shard()).unindex(h)
		delete(s.heads, id)
		var positions []int64
		for _, m := range s.inbox[id] {
			positions = append(positions, m.Position)
		}
		s.discard(positions)
		purged++
	}
	return purged, nil
}
