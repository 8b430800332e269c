package sagatest

import (
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

var (
	shard0      = saga.Shard{Type: "order", Number: 0}
	shard1      = saga.Shard{Type: "order", Number: 1}
	refundShard = saga.Shard{Type: "refund", Number: 0}
)

func lease(shard saga.Shard, owner string, epoch int64) saga.Lease {
	return saga.Lease{Shard: shard, Owner: owner, Epoch: epoch}
}

var leaseTests = []test{
	{"a worker joins and is seen", func(b *bench) {
		w := b.join("w1", "order", "refund")
		require.Positive(b, w.Incarnation)
		require.Equal(b, []string{"order", "refund"}, w.Types)
		require.Equal(b, saga.Fleet{Members: []saga.Member{{Worker: w, Live: true}}}, b.beat(w))
		v := b.join("a", "refund")
		v.Draining = true
		require.Equal(b, []saga.Member{{Worker: v, Live: true}, {Worker: w, Live: true}}, b.beat(v).Members)
		w.Types = []string{"order"}
		require.Equal(b, []saga.Member{{Worker: v, Live: true}, {Worker: w, Live: true}}, b.beat(w).Members)
	}},
	{"a shard has one owner and an epoch that ascends", func(b *bench) {
		w, v := b.join("w"), b.join("v")
		got, err := b.store.Claim(b.ctx(), w, []saga.Lease{{Shard: shard0}, {Shard: shard1}})
		require.NoError(b, err)
		require.ElementsMatch(b, []saga.Lease{lease(shard0, "w", 1), lease(shard1, "w", 1)}, got)
		require.Equal(b, []saga.Lease{lease(shard0, "w", 1), lease(shard1, "w", 1)}, b.beat(v).Leases)
		got, err = b.store.Claim(b.ctx(), v, []saga.Lease{{Shard: shard0}, lease(shard1, "w", 1)})
		require.NoError(b, err)
		require.Equal(b, []saga.Lease{lease(shard1, "v", 2)}, got, "the first was claimed at epoch 0, which is over")
		require.NoError(b, b.store.Release(b.ctx(), w, []saga.Lease{lease(shard0, "w", 1), lease(shard1, "w", 1)}))
		require.Equal(b, []saga.Lease{lease(shard0, "", 2), lease(shard1, "v", 2)}, b.beat(w).Leases)
		require.NoError(b, b.store.Release(b.ctx(), w, []saga.Lease{lease(shard1, "w", 2)}), "not its own")
		require.Equal(b, []saga.Lease{lease(shard0, "", 2), lease(shard1, "v", 2)}, b.beat(w).Leases)
	}},
	{"leases of other types are not shown", func(b *bench) {
		w, v := b.join("w", "refund"), b.join("v", "order", "refund")
		b.claim(w, refundShard)
		b.claim(v, shard1)
		b.claim(v, shard0)
		require.Equal(b, []saga.Lease{lease(refundShard, "w", 1)}, b.beat(w).Leases)
		require.Equal(b, []saga.Lease{lease(shard0, "v", 1), lease(shard1, "v", 1), lease(refundShard, "w", 1)}, b.beat(v).Leases)
	}},
	{"one of many claims wins", func(b *bench) {
		var group sync.WaitGroup
		won := make(chan string, 8)
		for _, name := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			w := b.join(name)
			group.Go(func() {
				got, err := b.store.Claim(b.ctx(), w, []saga.Lease{{Shard: shard0}})
				if err == nil && len(got) == 1 {
					won <- name
				}
			})
		}
		group.Wait()
		close(won)
		require.Len(b, won, 1)
		require.Equal(b, []saga.Lease{lease(shard0, <-won, 1)}, b.beat(b.join("w")).Leases)
	}},
	{"a commit needs the epoch", func(b *bench) {
		w, v := b.join("w"), b.join("v")
		where := id("a").Shard()
		l := b.claim(w, where)
		c := change(record(id("a"), 1))
		c.Epoch = l.Epoch + 1
		require.Equal(b, []saga.Verdict{saga.Fenced}, b.commit(c))
		c.Epoch = l.Epoch
		b.committed(c)
		b.claim(v, where)
		c = change(record(id("a"), 2))
		c.Epoch = l.Epoch
		require.Equal(b, []saga.Verdict{saga.Fenced}, b.commit(c))
		c = change(record(id("a"), 1))
		c.Epoch = l.Epoch
		require.Equal(b, []saga.Verdict{saga.Fenced}, b.commit(c), "also where it is a conflict")
		require.Equal(b, int64(1), b.load(id("a")).Sequence)
		require.Len(b, b.history(id("a")), 1)
		b.committed(change(record(id("a"), 2))) // asks for no epoch
		c = change(record(saga.ID{Type: "never-claimed", Key: "a"}, 1))
		c.Epoch = 1
		require.Equal(b, []saga.Verdict{saga.Fenced}, b.commit(c))
	}},
	{"verdicts differ within a commit", func(b *bench) {
		w := b.join("w")
		keys := []string{"a", "b", "c", "d"}
		changes := make([]saga.Change, len(keys))
		for i, key := range keys {
			epoch := int64(0)
			for _, l := range b.beat(w).Leases {
				if l.Shard == id(key).Shard() {
					epoch = l.Epoch
				}
			}
			if epoch == 0 {
				epoch = b.claim(w, id(key).Shard()).Epoch
			}
			changes[i] = change(record(id(key), 1))
			changes[i].Epoch = epoch
		}
		changes[1].Epoch += 5
		changes[2].Record.Sequence, changes[2].Entry.Sequence = 2, 2
		require.Equal(b, []saga.Verdict{saga.Committed, saga.Fenced, saga.Conflict, saga.Committed}, b.commit(changes...))
	}},
	{"a restart fences the process before it", func(b *bench) {
		old := b.join("w", "order", "refund")
		l := b.claim(old, id("a").Shard())
		b.claim(old, refundShard)
		next := b.join("w", "order")
		require.Greater(b, next.Incarnation, old.Incarnation)
		_, err := b.store.Beat(b.ctx(), old, time.Minute)
		require.ErrorIs(b, err, saga.ErrFenced)
		_, err = b.store.Claim(b.ctx(), old, []saga.Lease{{Shard: shard1}})
		require.ErrorIs(b, err, saga.ErrFenced)
		require.NoError(b, b.store.Leave(b.ctx(), old), "does nothing")
		c := change(record(id("a"), 1))
		c.Epoch = l.Epoch
		require.Equal(b, []saga.Verdict{saga.Fenced}, b.commit(c))
		f := b.beat(next)
		require.Equal(b, []saga.Member{{Worker: next, Live: true}}, f.Members)
		seen := b.look()
		require.Equal(b, f.Members, seen.Members)
		require.Equal(b, []saga.Lease{lease(id("a").Shard(), "w", l.Epoch+1), lease(refundShard, "", 2)}, seen.Leases, "of all types")
		require.Equal(b, []saga.Lease{lease(id("a").Shard(), "w", l.Epoch+1)}, f.Leases)
		c.Epoch = l.Epoch + 1
		b.committed(c)
		other := b.join("v", "refund")
		require.Equal(b, []saga.Lease{lease(refundShard, "", 2)}, b.beat(other).Leases, "of a type it does not have any more")
	}},
	{"who does not beat is not live", func(b *bench) {
		w := b.join("w")
		b.claim(w, shard0)
		v, err := b.store.Join(b.ctx(), saga.Worker{ID: "v", Types: []string{"order"}}, time.Millisecond)
		require.NoError(b, err)
		require.Eventually(b, func() bool {
			members := b.look().Members
			i := slices.IndexFunc(members, func(m saga.Member) bool { return m.ID == "v" })
			return i < 0 || !members[i].Live
		}, 30*time.Second, time.Millisecond)
		_, err = b.store.Beat(b.ctx(), v, time.Minute)
		if err != nil { // it may have been forgotten
			require.ErrorIs(b, err, saga.ErrFenced)
			return
		}
		for _, m := range b.beat(w).Members {
			require.True(b, m.Live, "%s is live again", m.ID)
		}
		require.Equal(b, []saga.Lease{lease(shard0, "w", 1)}, b.beat(w).Leases)
	}},
	{"who leaves owns nothing", func(b *bench) {
		w, v := b.join("w"), b.join("v")
		b.claim(w, shard0)
		b.claim(v, shard1)
		require.NoError(b, b.store.Leave(b.ctx(), w))
		f := b.beat(v)
		require.Equal(b, []saga.Member{{Worker: v, Live: true}}, f.Members)
		require.Equal(b, []saga.Lease{lease(shard0, "", 2), lease(shard1, "v", 1)}, f.Leases)
		_, err := b.store.Beat(b.ctx(), w, time.Minute)
		require.ErrorIs(b, err, saga.ErrFenced)
		again := b.join("w")
		require.Greater(b, again.Incarnation, w.Incarnation, "incarnations outlive a leave")
	}},
	{"types are paused and go on", func(b *bench) {
		w := b.join("w")
		pause := saga.Pause{Type: "refund", Paused: true, Actor: "ada", Reason: "gateway down", At: begin}
		require.NoError(b, b.store.SetPaused(b.ctx(), pause))
		require.NoError(b, b.store.SetPaused(b.ctx(), saga.Pause{Type: "order", Paused: true, At: begin}))
		over := saga.Pause{Type: "order", Actor: "bob", Reason: "mended", At: begin.Add(time.Minute)}
		require.NoError(b, b.store.SetPaused(b.ctx(), over))
		require.Equal(b, []saga.Pause{over, pause}, b.beat(w).Pauses)
		require.Equal(b, []saga.Pause{over, pause}, b.look().Pauses)
	}},
	{"every pause is in the log", func(b *bench) {
		w := b.join("w")
		var want []saga.PauseEntry // the newest first
		for i, p := range []saga.Pause{
			{Type: "refund", Paused: true, Actor: "ada", Reason: "gateway down", At: begin},
			{Type: "drain.5", Worker: "w 5", Paused: true, Actor: "bob", Reason: "new disk", At: begin.Add(time.Minute)},
			{Type: "refund", Actor: "ada", Reason: "mended", At: begin}, // by a clock that is behind
			{Type: "refund", Paused: true, Actor: "ada", Reason: "gateway down", At: begin},
			{Type: "drain.5", Worker: "w 5", Actor: "bob", Reason: "done", At: begin.Add(time.Hour)},
		} {
			require.NoError(b, b.store.SetPaused(b.ctx(), p))
			all := b.pauseLog("", 0, 100)
			require.Len(b, all, i+1)
			require.Equal(b, p, all[0].Pause)
			require.Positive(b, all[0].Number)
			if i > 0 {
				require.Greater(b, all[0].Number, want[0].Number)
			}
			require.ElementsMatch(b, want, all[1:])
			want = all
		}
		require.Equal(b, []saga.Pause{want[0].Pause, want[1].Pause}, b.beat(w).Pauses, "the last of each")
		require.Equal(b, want[:2], b.pauseLog("", 0, 2))
		require.Equal(b, want[2:4], b.pauseLog("", want[1].Number, 2))
		require.Equal(b, []saga.PauseEntry{want[1], want[2], want[4]}, b.pauseLog("refund", 0, 100))
		require.Equal(b, []saga.PauseEntry{want[2]}, b.pauseLog("refund", want[1].Number, 1))
		require.Empty(b, b.pauseLog("order", 0, 1))
		require.Empty(b, b.pauseLog("", want[4].Number, 1))
		_, err := b.store.PauseLog(b.ctx(), "", 0, 0)
		b.refused(err, "limit")
		b.refused(b.store.SetPaused(b.ctx(), saga.Pause{Type: "order", Worker: "\x00"}), "pause.Worker")
		require.Equal(b, want, b.pauseLog("", 0, 100))
	}},
	{"bad workers are refused", func(b *bench) {
		_, err := b.store.Join(b.ctx(), saga.Worker{}, time.Minute)
		b.refused(err, "worker.ID")
		_, err = b.store.Join(b.ctx(), saga.Worker{ID: "w", Types: []string{"a b"}}, time.Minute)
		b.refused(err, "worker.Types[0]")
		_, err = b.store.Join(b.ctx(), saga.Worker{ID: "w"}, 0)
		b.refused(err, "ttl")
		w := b.join("w")
		_, err = b.store.Beat(b.ctx(), w, -1)
		b.refused(err, "ttl")
		_, err = b.store.Claim(b.ctx(), w, []saga.Lease{{Shard: saga.Shard{Type: "order", Number: -1}}})
		b.refused(err, "leases[0].Shard.Number")
		_, err = b.store.Claim(b.ctx(), w, []saga.Lease{{Shard: shard0}, {Shard: shard0}})
		b.refused(err, "leases[1].Shard")
		b.refused(b.store.SetPaused(b.ctx(), saga.Pause{}), "pause.Type")
	}},
	{"who listens is woken by a change of the fleet", func(b *bench) {
		waker, ok := b.store.(saga.Waker)
		if !ok {
			b.Skip("the home does not wake")
		}
		w := b.join("w")
		l := b.claim(w, shard0)
		for _, step := range []func() error{
			func() error { return b.store.Release(b.ctx(), w, []saga.Lease{l}) },
			func() error { return b.store.SetPaused(b.ctx(), saga.Pause{Type: "order", Paused: true}) },
			func() error { return b.store.Leave(b.ctx(), w) },
		} {
			wake := waker.Wake(b.ctx())
			require.NoError(b, step())
			b.woken(wake)
		}
	}},
}

func (b *bench) pauseLog(name string, before int64, limit int) []saga.PauseEntry {
	b.Helper()
	entries, err := b.store.PauseLog(b.ctx(), name, before, limit)
	require.NoError(b, err)
	return entries
}
