package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
)

// beats says that the worker lives, and sees to it that it owns its share.
func (x *run) beats(ctx context.Context) {
	for ctx.Err() == nil {
		began := x.runtime.Now()
		x.beat(ctx)
		// However long it took: others count from when the store was told.
		_ = x.beatBell.wait(ctx, x.config.Heartbeat-max(0, x.runtime.Now().Sub(began)))
	}
}

func (x *run) beat(ctx context.Context) {
	began := x.runtime.Now()
	if began.Sub(x.beatAt) > x.config.Lease {
		x.disown(ctx) // the process stood still: others may have taken over
	}
	x.mu.Lock()
	w := x.worker
	w.Draining = x.draining || x.drained
	x.mu.Unlock()
	var fleet Fleet
	err := x.briefly(ctx, func(ctx context.Context) (err error) {
		fleet, err = x.store.Beat(ctx, w, x.config.Lease)
		return err
	})
	switch {
	case errors.Is(err, ErrFenced):
		x.disown(ctx)
		x.fail(fmt.Errorf("worker %q: %w: each process needs a Config.Worker of its own", w.ID, ErrFenced))
		return
	case err != nil:
		x.failed(ctx, "Beat", err)
		return
	}
	x.beatAt = began
	x.follow(ctx, &fleet)
}

// errSlow is that the store was given up.
var errSlow = errors.New("no answer")

// briefly makes a call of the store that is to be over by the next beat, as those are
// for which a shutdown waits. Its error says so if it was not.
func (x *run) briefly(ctx context.Context, call func(context.Context) error) error {
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	field, most := "Heartbeat", x.config.Heartbeat
	if x.config.StoreTimeout < most {
		field, most = "StoreTimeout", x.config.StoreTimeout
	}
	defer x.runtime.AfterFunc(most, func() { cancel(errSlow) }).Stop()
	err := call(bounded)
	if err != nil && context.Cause(bounded) == errSlow { //nolint:errorlint // it is that very one
		err = fmt.Errorf("the store has not answered within Config.%s, which is %v: %w", field, most, err)
	}
	return err
}

// disown takes all shards for another's.
func (x *run) disown(ctx context.Context) {
	_, lost := x.owned.change(func(o *owning) { clear(o.epochs) })
	x.abandon(ctx, lost)
}

// follow brings what this process takes for its own in line with the fleet, and
// claims or gives up what is missing to its share or beyond it.
func (x *run) follow(ctx context.Context, fleet *Fleet) {
	pauses := map[string]bool{}
	for _, p := range fleet.Pauses {
		if p.Paused {
			pauses[p.Type] = true
		}
	}
	x.mu.Lock()
	x.members = fleet.Members
	if asked := pauses[drainName(x.worker.ID)]; asked != x.drained {
		x.drained = asked
		x.beatBell.ring() // so that others know
	}
	drained := x.draining || x.drained
	x.mu.Unlock()
	mine, claims := x.share(fleet, drained)
	if len(claims) > 0 {
		var claimed []Lease
		err := x.briefly(ctx, func(ctx context.Context) (err error) {
			claimed, err = x.store.Claim(ctx, x.worker, claims)
			return err
		})
		if err != nil {
			x.failed(ctx, "Claim", err)
		}
		for _, l := range claimed {
			mine[l.Shard] = l.Epoch
		}
	}
	gained, lost := x.owned.change(func(o *owning) {
		clear(o.epochs)
		for s, epoch := range mine {
			o.epochs[s] = epoch
		}
		o.pauses = pauses
	})
	x.part(ctx, fleet, mine, lost)
	if len(gained)+len(lost) > 0 {
		x.config.Hooks.Owned(len(mine))
	}
	if len(gained) > 0 {
		x.mu.Lock()
		x.recovers = append(x.recovers, gained...)
		x.mu.Unlock()
		x.sweepBell.ring()
		x.inboxBell.ring()
	}
}

// share is what the process keeps of what it owns, and what it should claim.
func (x *run) share(fleet *Fleet, drained bool) (mine map[Shard]int64, claims []Lease) {
	live := map[string]bool{}
	sharers := map[string]int{} // live workers of each type
	for _, m := range fleet.Members {
		live[m.ID] = m.Live
		for _, t := range m.Types {
			if m.Live && !m.Draining && (m.ID != x.worker.ID || !drained) {
				sharers[t]++
			}
		}
	}
	leases := map[Shard]Lease{}
	for _, l := range fleet.Leases {
		leases[l.Shard] = l
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	mine = map[Shard]int64{}
	for _, name := range x.types {
		most := 0
		if !drained {
			most = (Shards + sharers[name] - 1) / max(sharers[name], 1)
		}
		has := 0
		first := offset(x.worker.ID, name) // not all begin with the same
		for i := range Shards {
			s := Shard{name, (first + i) % Shards}
			l := leases[s]
			_, going := x.releasing[s]
			if l.Owner == x.worker.ID && !going && has < most {
				mine[s] = l.Epoch
				has++
			}
		}
		for i := 0; i < Shards && has < most; i++ {
			s := Shard{name, (first + i) % Shards}
			if l := leases[s]; l.Owner == "" || l.Owner != x.worker.ID && !live[l.Owner] {
				l.Shard = s
				claims = append(claims, l)
				has++
			}
		}
	}
	return mine, claims
}

func offset(worker, name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(worker + "\x00" + name))
	return int(h.Sum32() % Shards)
}

// part sees to the shards that are not worked on: those that others have taken,
// those whose type is paused, and those that are beyond the share, which are
// given up once nothing is at work in them.
func (x *run) part(ctx context.Context, fleet *Fleet, mine map[Shard]int64, lost []Shard) {
	var taken, surplus, paused []Shard
	var leases []Lease
	still := map[Shard]Lease{}
	for _, l := range fleet.Leases {
		if l.Owner == x.worker.ID {
			still[l.Shard] = l
		}
	}
	for _, s := range lost {
		if _, ours := still[s]; !ours {
			taken = append(taken, s)
		}
	}
	for s := range mine {
		if x.owned.paused(s.Type) {
			paused = append(paused, s)
		}
	}
	x.mu.Lock()
	for s, l := range still {
		if _, owned := mine[s]; owned {
			continue
		}
		if _, going := x.releasing[s]; !going {
			x.releasing[s] = l
			surplus = append(surplus, s)
			leases = append(leases, l)
		}
	}
	if len(leases) > 0 {
		x.releases++
	}
	x.mu.Unlock()
	x.abandon(ctx, taken)
	for _, id := range x.inMemory(paused) {
		_ = x.machines.Send(ctx, id, leave{})
	}
	if len(leases) > 0 {
		x.runtime.Go(func() { x.release(ctx, surplus, leases) })
	}
}

// release gives up shards when nothing is at work in them, or after a while.
func (x *run) release(ctx context.Context, shards []Shard, leases []Lease) {
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, s := range shards {
			delete(x.releasing, s)
		}
		if x.releases--; x.releases == 0 && x.released != nil {
			x.released.Fire()
		}
	}()
	grace, cancel := context.WithCancel(ctx)
	timer := x.runtime.AfterFunc(x.config.Lease, cancel)
	if err := x.leave(grace, shards); err != nil {
		x.abandon(context.WithoutCancel(ctx), shards)
	}
	timer.Stop()
	cancel()
	err := x.briefly(context.WithoutCancel(ctx), func(ctx context.Context) error { return x.store.Release(ctx, x.worker, leases) })
	if err != nil {
		x.config.Hooks.StoreFailed("Release", err) // it is tried again with the next beat
	}
}

// drainPrefix is that of the names that are no types.
const drainPrefix = "drain."

// drainName is the type whose pause tells a worker to give up its shards.
func drainName(worker string) string {
	sum := sha256.Sum256([]byte(worker))
	return drainPrefix + hex.EncodeToString(sum[:16])
}
