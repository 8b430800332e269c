package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// How much is asked of the store at once.
const (
	duePage   = 256
	inboxPage = 512
	sweepPage = 256
)

// pause is how long a loop waits after a call of the store has failed.
const pause = time.Second

// failed tells that a call of the store has failed, unless ctx has ended, with which
// it was given up.
func (x *run) failed(ctx context.Context, call string, err error) {
	if ctx.Err() == nil {
		x.config.Hooks.StoreFailed(call, err)
	}
}

// dues wakes the sagas that are due, and sleeps until the next is.
func (x *run) dues(ctx context.Context) {
	var cursor Due
	for ctx.Err() == nil {
		x.mu.Lock()
		if x.rewind {
			x.rewind, cursor = false, Due{}
		}
		x.mu.Unlock()
		x.nextDue.Store(looking)
		x.cursorAt.Store(nanos(cursor.At))
		page, err := x.due(ctx, cursor)
		if err != nil {
			x.failed(ctx, "Due", err)
			_ = x.dueBell.wait(ctx, pause)
			continue
		}
		next, now := int64(never), x.runtime.Now()
		for _, d := range page {
			if d.At.After(now) {
				next = d.At.UnixNano()
				break
			}
			x.rouse(ctx, d.ID, false)
			cursor = d
		}
		if next == never && len(page) == duePage {
			continue
		}
		x.cursorAt.Store(nanos(cursor.At))
		x.nextDue.Store(next)
		sleep := x.config.Sweep
		if next != never {
			sleep = min(sleep, time.Unix(0, next).Sub(now))
		}
		_ = x.dueBell.wait(ctx, sleep)
	}
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixNano()
}

func (x *run) due(ctx context.Context, after Due) ([]Due, error) {
	shards := x.owned.working()
	if len(shards) == 0 {
		return nil, nil
	}
	ctx, cancel := x.bound(ctx)
	defer cancel()
	return x.store.Due(ctx, shards, after, duePage)
}

// rouse has a saga's machine see what is to be done.
func (x *run) rouse(ctx context.Context, id ID, reload bool) {
	if epoch, ok := x.owned.epoch(id); ok {
		_ = x.machines.Send(ctx, id, wake{Epoch: epoch, Reload: reload}) // it fails when the runner is closed
	}
}

// inboxes takes messages to their sagas.
func (x *run) inboxes(ctx context.Context) {
	for ctx.Err() == nil {
		messages, err := x.unread(ctx)
		if err != nil {
			x.failed(ctx, "Inbox", err)
			_ = x.inboxBell.wait(ctx, pause)
			continue
		}
		var read []int64
		for i := range messages {
			if x.deliver(ctx, &messages[i]) {
				read = append(read, messages[i].Position)
			}
		}
		if len(read) > 0 {
			bounded, cancel := x.bound(ctx)
			if err := x.store.Discard(bounded, read); err != nil {
				x.failed(ctx, "Discard", err)
			}
			cancel()
		}
		wait := x.config.Poll
		if len(messages) == inboxPage { // there are more, behind those in hand
			wait = min(wait, 20*time.Millisecond)
		}
		_ = x.inboxBell.wait(ctx, wait)
	}
}

// unread is what waits in the inbox for sagas of this process.
func (x *run) unread(ctx context.Context) ([]Message, error) {
	shards := x.owned.working()
	if len(shards) == 0 {
		return nil, nil
	}
	ctx, cancel := x.bound(ctx)
	defer cancel()
	return x.store.Inbox(ctx, shards, inboxPage)
}

// deliver takes a message to its saga, and tells whether it is done with.
func (x *run) deliver(ctx context.Context, m *Message) (done bool) {
	if m.Kind == WakeMessage {
		x.rouse(ctx, m.To, true)
		return true
	}
	epoch, ok := x.owned.epoch(m.To)
	if !ok {
		return false
	}
	in, err := inputOf(m)
	if err != nil {
		x.config.Hooks.Refused(m.To, m.ID, err)
		return true
	}
	_ = x.machines.Send(ctx, m.To, deliver{Epoch: epoch, Input: *in})
	return false
}

// inputOf is what a message brings.
func inputOf(m *Message) (*input, error) {
	var in input
	if err := json.Unmarshal(m.Body, &in); err != nil {
		return nil, fmt.Errorf("decode the message: %w", err)
	}
	in.position = m.Position
	return &in, nil
}

// sweeps searches shards for work: those taken over at once, all of them now and
// then.
func (x *run) sweeps(ctx context.Context) {
	for ctx.Err() == nil {
		began := x.runtime.Now()
		err := x.sweepBell.wait(ctx, x.config.Sweep)
		if err != nil {
			return
		}
		x.mu.Lock()
		shards := x.recovers
		x.recovers = nil
		all := len(shards) == 0 && x.runtime.Now().Sub(began) >= x.config.Sweep
		x.rewind = true // what was due before is found again
		x.mu.Unlock()
		x.dueBell.ring()
		if all {
			shards = x.owned.working()
			x.strangers(ctx)
			x.purge(ctx)
		}
		if err := x.recover(ctx, shards); err != nil && ctx.Err() == nil {
			x.failed(ctx, "List", err)
			x.mu.Lock()
			x.recovers = append(x.recovers, shards...)
			x.mu.Unlock()
			_ = x.sleep(ctx, pause)
			x.sweepBell.ring()
		}
	}
}

// recover goes on with what is to be done at once in those shards. That is all
// there is to recovery.
func (x *run) recover(ctx context.Context, shards []Shard) error {
	if len(shards) == 0 {
		return nil
	}
	q := Query{AllTenants: true, Shards: shards, Ready: true, Limit: sweepPage}
	for {
		bounded, cancel := x.bound(ctx)
		page, err := x.store.List(bounded, q)
		cancel()
		if err != nil {
			return err
		}
		for i := range page {
			x.rouse(ctx, page[i].ID, false)
			q.After = page[i].ID
		}
		if len(page) < q.Limit {
			return nil
		}
		for x.busy.Load() > int64(x.config.MaxRecover) {
			if err := x.sleep(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// purge forgets sagas that have ended long enough ago.
func (x *run) purge(ctx context.Context) {
	if x.config.Keep == 0 {
		return
	}
	for n := purgePage; n == purgePage && ctx.Err() == nil; {
		bounded, cancel := x.bound(ctx)
		var err error
		n, err = x.store.Purge(bounded, x.runtime.Now().Add(-x.config.Keep), purgePage)
		cancel()
		if err != nil {
			x.failed(ctx, "Purge", err)
			return
		}
	}
}

// purgePage is how many sagas are purged in one transaction.
const purgePage = 200

// shardsOf are all shards of a type.
func shardsOf(name string) []Shard {
	all := make([]Shard, Shards)
	for i := range all {
		all[i] = Shard{Type: name, Number: i}
	}
	return all
}

// strangers reports sagas that wait, whose types nobody knows.
func (x *run) strangers(running context.Context) {
	ctx, cancel := x.bound(running)
	defer cancel()
	now := x.runtime.Now()
	known := map[string]bool{}
	x.mu.Lock()
	for _, m := range x.members {
		for _, t := range m.Types {
			known[t] = known[t] || m.Live
		}
	}
	x.mu.Unlock()
	for _, q := range []Query{
		{AllTenants: true, Ready: true, Limit: 1000},
		{AllTenants: true, DueBefore: now, Limit: 1000},
	} {
		page, err := x.store.List(ctx, q)
		if err != nil {
			x.failed(running, "List", err)
			return
		}
		for i := range page {
			if t := page[i].ID.Type; !known[t] {
				known[t] = true // once is enough
				x.config.Hooks.UnknownType(t)
			}
		}
	}
	for _, k := range x.kinds {
		for _, t := range sortedKeys(k.children) {
			if known[t] {
				continue
			}
			known[t] = true
			waiting, err := x.store.Inbox(ctx, shardsOf(t), 1)
			if err != nil {
				x.failed(running, "Inbox", err)
				return
			}
			if len(waiting) > 0 {
				x.config.Hooks.UnknownType(t)
			}
		}
	}
}
