package store

import "math"

// evict passivates an idle store that was not used for long: the least recently
// used of a sample, as in Redis's approximated LRU, or any if all of that are
// at work.
func (k *Keyed[K, S, A]) evict() bool {
	if victim := k.victim(); victim != nil && k.passivate(victim) {
		return true
	}
	evicted := false
	k.each(func(r *resident[K, S, A]) bool {
		evicted = k.passivate(r)
		return !evicted
	})
	return evicted
}

// victim is the one of a sample that was not used for longest; of all, where
// runs are to repeat.
func (k *Keyed[K, S, A]) victim() (victim *resident[K, S, A]) {
	sample := 16
	if k.host.simulated {
		sample = math.MaxInt
	}
	start := k.clock.Add(1)
	seen := 0
	for i := range uint64(shardCount) {
		sh := &k.shards[(start+i)%shardCount]
		sh.mu.RLock()
		for _, r := range sh.m { // in random order
			if seen++; r.word.Load() == idle && (victim == nil || r.usedBefore(victim)) {
				victim = r
			}
			if seen >= sample && victim != nil {
				break
			}
		}
		sh.mu.RUnlock()
		if seen >= sample && victim != nil {
			break
		}
	}
	return victim
}

func (r *resident[K, S, A]) usedBefore(other *resident[K, S, A]) bool {
	if a, b := r.used.Load(), other.used.Load(); a != b {
		return a < b
	}
	return r.nth < other.nth
}

// sweep passivates what has not been used since the sweep before the last.
func (k *Keyed[K, S, A]) sweep() {
	if k.closed.Load() {
		return
	}
	before := k.marks[0]
	k.marks[0], k.marks[1] = k.marks[1], k.clock.Add(1)
	k.each(func(r *resident[K, S, A]) bool {
		if r.used.Load() < before && !k.passivate(r) {
			r.used.Store(k.clock.Load()) // it is in use
		}
		return true
	})
	k.sweeping.Store(false)
	if k.live.Load() > 0 {
		k.schedule()
	}
}

// schedule sees to it that a sweep is due.
func (k *Keyed[K, S, A]) schedule() {
	if k.config.IdleAfter > 0 && k.sweeping.CompareAndSwap(false, true) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if !k.closed.Load() {
			k.timer = k.host.config.Runtime.AfterFunc(k.config.IdleAfter/2, k.sweep)
		}
	}
}

// passivate forgets a store if nothing goes on in it and nobody looks on. Who
// finds the store gone from its shard finds it no longer counted either.
func (k *Keyed[K, S, A]) passivate(r *resident[K, S, A]) bool {
	gone, owner := k.forget(r)
	if owner && !gone {
		r.disown()
	}
	return gone
}

// forget is passivate but for the ownership that it takes.
func (k *Keyed[K, S, A]) forget(r *resident[K, S, A]) (gone, owner bool) {
	sh := k.shard(r.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !r.word.CompareAndSwap(idle, owned) {
		return false, false
	}
	r.mu.Lock()
	if !r.engine.Idle() || r.active > 0 || len(r.in) > 0 || r.end != nil || r.watched() {
		r.mu.Unlock()
		return false, true
	}
	r.close(errPassivated)
	delete(sh.m, r.id)
	k.live.Add(-1)
	if k.config.Passivated != nil {
		k.host.guard(func() { k.config.Passivated(r.id, r.engine.State) })
	}
	return true, true
}

// watched tells whether anybody observes the store or waits for its state.
func (s *Store[S, A]) watched() bool {
	w := s.watch.Load()
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.observers) > 0 || len(w.waiting) > 0
}
