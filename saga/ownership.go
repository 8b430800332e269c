package saga

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// ownership is which shards this process owns. It is read by everybody, and
// changed by the heartbeat.
type ownership struct {
	now atomic.Pointer[owning]
	mu  sync.Mutex // over changes
}

// owning never changes once it is published.
type owning struct {
	epochs  map[Shard]int64
	pauses  map[string]bool
	working []Shard
}

func (o *ownership) get() *owning {
	if now := o.now.Load(); now != nil {
		return now
	}
	return &owning{}
}

// epoch is that under which this process works on a saga, if it does.
func (o *ownership) epoch(id ID) (int64, bool) {
	now := o.get()
	if len(now.epochs) == 0 || now.pauses[id.Type] {
		return 0, false
	}
	epoch, ok := now.epochs[id.Shard()]
	return epoch, ok
}

func (o *ownership) paused(name string) bool { return o.get().pauses[name] }

// working are the shards that are worked on, in order.
func (o *ownership) working() []Shard { return o.get().working }

func sortShards(shards []Shard) {
	slices.SortFunc(shards, func(a, b Shard) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Number, b.Number))
	})
}

// change publishes another ownership, and returns which shards are worked on
// that were not, or under another epoch, and which are not any more.
func (o *ownership) change(edit func(*owning)) (gained, lost []Shard) {
	o.mu.Lock()
	defer o.mu.Unlock()
	old := o.get()
	next := &owning{epochs: maps.Clone(old.epochs), pauses: maps.Clone(old.pauses)}
	if next.epochs == nil {
		next.epochs = map[Shard]int64{}
	}
	if next.pauses == nil {
		next.pauses = map[string]bool{}
	}
	edit(next)
	works := func(now *owning, s Shard) (int64, bool) {
		epoch, ok := now.epochs[s]
		return epoch, ok && !now.pauses[s.Type]
	}
	for s := range next.epochs {
		before, did := works(old, s)
		if after, does := works(next, s); does && (!did || before != after) {
			gained = append(gained, s)
		}
	}
	for s := range old.epochs {
		before, did := works(old, s)
		if after, does := works(next, s); did && (!does || before != after) {
			lost = append(lost, s)
		}
	}
	for s := range next.epochs {
		if !next.pauses[s.Type] {
			next.working = append(next.working, s)
		}
	}
	sortShards(next.working)
	o.now.Store(next)
	sortShards(gained)
	sortShards(lost)
	return gained, lost
}
