package sagatest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

var lifeTests = []test{
	{"an ended context does nothing", func(b *bench) {
		b.put(record(id("a"), 1))
		ended, cancel := context.WithCancel(b.ctx())
		cancel()
		_, _, err := b.store.Load(ended, id("a"))
		require.ErrorIs(b, err, context.Canceled)
		_, err = b.store.Commit(ended, []saga.Change{change(record(id("a"), 2))})
		require.ErrorIs(b, err, context.Canceled)
		require.ErrorIs(b, b.store.Post(ended, message(id("a"), "m")), context.Canceled)
		require.Equal(b, int64(1), b.load(id("a")).Sequence)
		require.Empty(b, b.inbox(all("order")...))
	}},
	{"a closed store refuses everything", func(b *bench) {
		if b.home.Close == nil {
			b.Skip("the home cannot be closed")
		}
		w := b.join("w")
		require.NoError(b, b.home.Close(b.store))
		for name, call := range b.calls(w) {
			require.ErrorIs(b, call(), saga.ErrClosed, name)
		}
	}},
	{"the channel of a wake is closed in the end", func(b *bench) {
		waker, ok := b.store.(saga.Waker)
		if !ok {
			b.Skip("the home does not wake")
		}
		ctx, cancel := context.WithCancel(b.ctx())
		wake := waker.Wake(ctx)
		cancel()
		for range wake { // ends when it is closed
		}
		if b.home.Close == nil {
			return
		}
		wake = waker.Wake(b.ctx())
		require.NoError(b, b.home.Close(b.store))
		for range wake {
		}
	}},
	{"everything outlives the store", func(b *bench) {
		if b.home.Reopen == nil {
			b.Skip("nothing outlives the store")
		}
		w := b.join("w")
		l := b.claim(w, id("a").Shard())
		r := record(id("a"), 1)
		c := change(r)
		c.Epoch = l.Epoch
		b.committed(c)
		b.post(message(id("a"), "m"))
		require.NoError(b, b.store.SetPaused(b.ctx(), saga.Pause{Type: "refund", Paused: true, At: begin}))
		b.store = b.home.Reopen(b.T, b.store)
		b.same(r, b.load(r.ID))
		require.Len(b, b.history(r.ID), 1)
		require.Equal(b, []string{"m"}, messageIDs(b.inbox(all("order")...)))
		require.Equal(b, []string{"a"}, b.due(all("order"), saga.Due{}, 10))
		f := b.beat(w)
		require.Equal(b, saga.Fleet{
			Members: []saga.Member{{Worker: w, Live: true}},
			Leases:  []saga.Lease{l},
			Pauses:  []saga.Pause{{Type: "refund", Paused: true, At: begin}},
		}, f)
		require.Equal(b, f.Pauses[0], b.pauseLog("", 0, 1)[0].Pause)
		next := b.join("w")
		require.Greater(b, next.Incarnation, w.Incarnation)
		require.Equal(b, []saga.Verdict{saga.Fenced}, b.commit(func() saga.Change {
			c := change(record(id("a"), 2))
			c.Epoch = l.Epoch
			return c
		}()))
	}},
}

// calls are all methods of a store.
func (b *bench) calls(w saga.Worker) map[string]func() error {
	s, ctx := b.store, b.ctx()
	return map[string]func() error{
		"Load":      func() error { _, _, err := s.Load(ctx, id("a")); return err },
		"Commit":    func() error { _, err := s.Commit(ctx, []saga.Change{change(record(id("a"), 1))}); return err },
		"Due":       func() error { _, err := s.Due(ctx, all("order"), saga.Due{}, 1); return err },
		"List":      func() error { _, err := s.List(ctx, saga.Query{}); return err },
		"History":   func() error { _, err := s.History(ctx, id("a"), 0, 1); return err },
		"Purge":     func() error { _, err := s.Purge(ctx, begin, 1); return err },
		"Post":      func() error { return s.Post(ctx, message(id("a"), "m")) },
		"Inbox":     func() error { _, err := s.Inbox(ctx, all("order"), 1); return err },
		"Waiting":   func() error { _, err := s.Waiting(ctx, id("a"), 0, 1); return err },
		"Discard":   func() error { return s.Discard(ctx, []int64{1}) },
		"Join":      func() error { _, err := s.Join(ctx, saga.Worker{ID: "v"}, time.Minute); return err },
		"Beat":      func() error { _, err := s.Beat(ctx, w, time.Minute); return err },
		"Look":      func() error { _, err := s.Look(ctx); return err },
		"Claim":     func() error { _, err := s.Claim(ctx, w, []saga.Lease{{Shard: shard0}}); return err },
		"Release":   func() error { return s.Release(ctx, w, []saga.Lease{{Shard: shard0}}) },
		"Leave":     func() error { return s.Leave(ctx, w) },
		"SetPaused": func() error { return s.SetPaused(ctx, saga.Pause{Type: "order"}) },
		"PauseLog":  func() error { _, err := s.PauseLog(ctx, "", 0, 1); return err },
	}
}
