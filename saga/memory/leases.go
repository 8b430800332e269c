package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

// fleet is who runs sagas, and which.
type fleet struct {
	workers map[string]*worker
	// incarnations outlive the workers, so that one that comes back is newer.
	incarnations map[string]int64
	leases       map[saga.Shard]saga.Lease
	pauses       map[string]saga.Pause
	pauseLog     []saga.PauseEntry
}

type worker struct {
	saga.Worker
	expires time.Time
}

func newFleet() fleet {
	return fleet{
		workers:      map[string]*worker{},
		incarnations: map[string]int64{},
		leases:       map[saga.Shard]saga.Lease{},
		pauses:       map[string]saga.Pause{},
	}
}

// Join makes a new incarnation of a worker; see [saga.Leases].
func (s *Store) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	if err := cmp.Or(saga.CheckWorker(w), eventstore.CheckTTL(ttl)); err != nil {
		return saga.Worker{}, err
	}
	if err := s.enter(ctx); err != nil {
		return saga.Worker{}, err
	}
	defer s.mu.Unlock()
	f := &s.fleet
	f.incarnations[w.ID]++
	w.Incarnation = f.incarnations[w.ID]
	w.Types = slices.Clone(w.Types)
	f.workers[w.ID] = &worker{w, s.config.Now().Add(ttl)}
	for shard, l := range f.leases {
		if l.Owner == w.ID {
			l.Epoch++
			if !slices.Contains(w.Types, shard.Type) {
				l.Owner = ""
			}
			f.leases[shard] = l
		}
	}
	s.rouse()
	return w, nil
}

// current is the worker, if there is no newer incarnation of it.
func (f *fleet) current(w saga.Worker) (*worker, error) {
	c := f.workers[w.ID]
	if c == nil || c.Incarnation != w.Incarnation {
		return nil, saga.ErrFenced
	}
	return c, nil
}

// Beat says that a worker lives; see [saga.Leases].
func (s *Store) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if err := cmp.Or(saga.CheckWorker(w), eventstore.CheckTTL(ttl)); err != nil {
		return saga.Fleet{}, err
	}
	if err := s.enter(ctx); err != nil {
		return saga.Fleet{}, err
	}
	defer s.mu.Unlock()
	f := &s.fleet
	c, err := f.current(w)
	if err != nil {
		return saga.Fleet{}, err
	}
	now := s.config.Now()
	c.Types, c.Draining, c.expires = slices.Clone(w.Types), w.Draining, now.Add(ttl)
	return f.look(now, func(typ string) bool { return slices.Contains(w.Types, typ) }), nil
}

// Look returns who runs sagas; see [saga.Leases].
func (s *Store) Look(ctx context.Context) (saga.Fleet, error) {
	if err := s.enter(ctx); err != nil {
		return saga.Fleet{}, err
	}
	defer s.mu.Unlock()
	return s.fleet.look(s.config.Now(), func(string) bool { return true }), nil
}

// look is the fleet, with the leases of those types.
func (f *fleet) look(now time.Time, of func(typ string) bool) (seen saga.Fleet) {
	for _, id := range slices.Sorted(maps.Keys(f.workers)) {
		m := f.workers[id]
		seen.Members = append(seen.Members, saga.Member{Worker: m.Worker, Live: m.expires.After(now)})
	}
	for shard, l := range f.leases {
		if of(shard.Type) {
			seen.Leases = append(seen.Leases, l)
		}
	}
	slices.SortFunc(seen.Leases, func(a, b saga.Lease) int {
		return cmp.Or(cmp.Compare(a.Shard.Type, b.Shard.Type), cmp.Compare(a.Shard.Number, b.Shard.Number))
	})
	for _, t := range slices.Sorted(maps.Keys(f.pauses)) {
		seen.Pauses = append(seen.Pauses, f.pauses[t])
	}
	return seen
}

// Claim makes a worker the owner of leases; see [saga.Leases].
func (s *Store) Claim(ctx context.Context, w saga.Worker, leases []saga.Lease) ([]saga.Lease, error) {
	if err := checkLeases(w, leases); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	f := &s.fleet
	if _, err := f.current(w); err != nil {
		return nil, err
	}
	var claimed []saga.Lease
	for _, l := range leases {
		if f.leases[l.Shard].Epoch != l.Epoch {
			continue
		}
		l = saga.Lease{Shard: l.Shard, Owner: w.ID, Epoch: l.Epoch + 1}
		f.leases[l.Shard] = l
		claimed = append(claimed, l)
	}
	return claimed, nil
}

// Release gives leases up; see [saga.Leases].
func (s *Store) Release(ctx context.Context, w saga.Worker, leases []saga.Lease) error {
	if err := checkLeases(w, leases); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, l := range leases {
		if held := s.fleet.leases[l.Shard]; held.Owner == w.ID && held.Epoch == l.Epoch {
			s.fleet.leases[l.Shard] = saga.Lease{Shard: l.Shard, Epoch: l.Epoch + 1}
		}
	}
	s.rouse()
	return nil
}

// Leave releases all that a worker owns; see [saga.Leases].
func (s *Store) Leave(ctx context.Context, w saga.Worker) error {
	if err := saga.CheckWorker(w); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	f := &s.fleet
	if _, err := f.current(w); err != nil {
		return nil // it is another's
	}
	delete(f.workers, w.ID)
	for shard, l := range f.leases {
		if l.Owner == w.ID {
			f.leases[shard] = saga.Lease{Shard: shard, Epoch: l.Epoch + 1}
		}
	}
	s.rouse()
	return nil
}

// SetPaused keeps a pause or a resumption; see [saga.Leases].
func (s *Store) SetPaused(ctx context.Context, p saga.Pause) error {
	if err := saga.CheckPause(p); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	p.At = saga.Recordable(p.At)
	f := &s.fleet
	f.pauses[p.Type] = p
	f.pauseLog = append(f.pauseLog, saga.PauseEntry{Number: int64(len(f.pauseLog)) + 1, Pause: p})
	s.rouse()
	return nil
}

// PauseLog returns pauses and resumptions; see [saga.Leases].
func (s *Store) PauseLog(ctx context.Context, name string, before int64, limit int) ([]saga.PauseEntry, error) {
	if err := saga.CheckLimit(limit); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []saga.PauseEntry
	for _, e := range slices.Backward(s.fleet.pauseLog) {
		if (name == "" || e.Type == name) && (before == 0 || e.Number < before) && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, nil
}

func checkLeases(w saga.Worker, leases []saga.Lease) error {
	if err := saga.CheckWorker(w); err != nil {
		return err
	}
	return saga.CheckLeases(leases)
}
