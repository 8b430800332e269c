package sagatest

import (
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

var inboxTests = []test{
	{"messages come back in order", func(b *bench) {
		b.put(record(id("a"), 1), record(id("b"), 1))
		posted := []saga.Message{message(id("b"), "1"), message(id("a"), "2"), message(id("b"), "3"), message(id("a"), "1")}
		for _, m := range posted {
			b.post(m)
		}
		got := b.inbox(all("order")...)
		require.Len(b, got, 4)
		var last int64
		for i := range got {
			require.Greater(b, got[i].Position, last)
			last = got[i].Position
			got[i].Position = 0
		}
		require.Equal(b, posted, got)
		first, err := b.store.Inbox(b.ctx(), all("order"), 2)
		require.NoError(b, err)
		require.Equal(b, []string{"1", "2"}, messageIDs(first))
		require.Equal(b, []string{"2", "1"}, messageIDs(b.inbox(id("a").Shard())))
		require.Empty(b, b.inbox(all("refund")...))
		require.Empty(b, b.inbox())
	}},
	{"a message that waits is not kept twice", func(b *bench) {
		b.put(record(id("a"), 1), record(id("b"), 1))
		b.post(message(id("a"), "m"))
		b.post(message(id("a"), "m"))
		b.post(message(id("b"), "m"))
		got := b.inbox(all("order")...)
		require.Len(b, got, 2)
		require.NoError(b, b.store.Discard(b.ctx(), []int64{got[0].Position, 999_999}))
		b.post(message(id("a"), "m"))
		again := b.inbox(all("order")...)
		require.Len(b, again, 2, "it is new once the first is gone")
		require.Equal(b, id("a"), again[1].To)
		require.Greater(b, again[1].Position, got[1].Position, "positions are not used again")
	}},
	{"a message needs its saga", func(b *bench) {
		require.ErrorIs(b, b.store.Post(b.ctx(), message(id("a"), "m")), saga.ErrNotFound)
		for _, kind := range []saga.MessageKind{saga.CancelMessage, saga.ReplyMessage, saga.WakeMessage} {
			m := message(id("a"), "m")
			m.Kind = kind
			require.ErrorIs(b, b.store.Post(b.ctx(), m), saga.ErrNotFound, kind)
		}
		start := message(id("a"), "start")
		start.Kind = saga.StartMessage
		b.post(start)
		b.post(message(id("a"), "m"))
		require.Equal(b, []string{"start", "m"}, messageIDs(b.inbox(all("order")...)))
		require.ErrorIs(b, b.store.Post(b.ctx(), message(saga.ID{Tenant: "t", Type: "order", Key: "a"}, "m")), saga.ErrNotFound)
	}},
	{"messages for who is stuck or paused wait", func(b *bench) {
		sequence := int64(0)
		turn := func(s saga.Status) {
			sequence++
			r := record(id("a"), sequence)
			r.Status = s
			b.put(r)
		}
		turn(saga.Running)
		b.put(record(id("b"), 1))
		wake := message(id("a"), "wake")
		wake.Kind = saga.WakeMessage
		for _, m := range []saga.Message{message(id("a"), "1"), message(id("a"), "2"), message(id("b"), "3"), wake} {
			b.post(m)
		}
		for _, row := range []struct {
			status saga.Status
			want   []string
		}{
			{saga.Running, []string{"1", "2", "3", "wake"}},
			{saga.Stuck, []string{"3", "wake"}},
			{saga.Paused, []string{"3", "wake"}},
			{saga.Compensating, []string{"1", "2", "3", "wake"}},
			{saga.Compensated, []string{"1", "2", "3", "wake"}},
		} {
			turn(row.status)
			require.Equal(b, row.want, messageIDs(b.inbox(all("order")...)), row.status)
		}
	}},
	{"what waits for one saga", func(b *bench) {
		r := record(id("a"), 1)
		r.Status = saga.Stuck
		b.put(r, record(id("b"), 1))
		posted := []saga.Message{message(id("a"), "2"), message(id("b"), "1"), message(id("a"), "1"), message(id("a"), "3")}
		for _, m := range posted {
			b.post(m)
		}
		waiting := func(id saga.ID, after int64, limit int) []saga.Message {
			got, err := b.store.Waiting(b.ctx(), id, after, limit)
			require.NoError(b, err)
			return got
		}
		got := waiting(id("a"), 0, 10)
		require.Equal(b, []string{"2", "1", "3"}, messageIDs(got))
		for i, m := range got {
			m.Position = 0
			require.Equal(b, []saga.Message{posted[0], posted[2], posted[3]}[i], m)
		}
		require.Equal(b, []string{"2", "1"}, messageIDs(waiting(id("a"), 0, 2)))
		require.Equal(b, []string{"3"}, messageIDs(waiting(id("a"), got[1].Position, 2)))
		require.Empty(b, waiting(id("a"), got[2].Position, 2))
		require.Equal(b, []string{"1"}, messageIDs(waiting(id("b"), 0, 1)))
		require.Empty(b, waiting(id("odd"), 0, 1))
		require.Empty(b, waiting(saga.ID{Tenant: "t", Type: "order", Key: "a"}, 0, 1))
		require.NoError(b, b.store.Discard(b.ctx(), []int64{got[0].Position}))
		require.Equal(b, []string{"1", "3"}, messageIDs(waiting(id("a"), 0, 10)))
		_, err := b.store.Waiting(b.ctx(), id("a"), 0, 0)
		b.refused(err, "limit")
		_, err = b.store.Waiting(b.ctx(), saga.ID{}, 0, 1)
		b.refused(err, "id.Type")
	}},
	{"what waits does not crowd out others", func(b *bench) {
		r := record(id("stuck"), 1)
		r.Status = saga.Stuck
		b.put(r, record(id("b"), 1))
		for i := range 5 {
			b.post(message(id("stuck"), fmt.Sprint(i)))
		}
		b.post(message(id("b"), "m"))
		got, err := b.store.Inbox(b.ctx(), all("order"), 2)
		require.NoError(b, err)
		require.Equal(b, []string{"m"}, messageIDs(got))
	}},
	{"many post at once", func(b *bench) {
		b.put(record(id("a"), 1))
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				if err := b.store.Post(b.ctx(), message(id("a"), fmt.Sprint(i%8))); err != nil {
					b.Errorf("post: %v", err)
				}
			})
		}
		group.Wait()
		require.ElementsMatch(b, []string{"0", "1", "2", "3", "4", "5", "6", "7"}, messageIDs(b.inbox(all("order")...)))
	}},
	{"bad messages are refused", func(b *bench) {
		m := message(id("a"), "")
		b.refused(b.store.Post(b.ctx(), m), "message.ID")
		m = message(id(""), "m")
		b.refused(b.store.Post(b.ctx(), m), "message.To.Key")
		m = message(id("a"), "m")
		m.Kind = "odd"
		b.refused(b.store.Post(b.ctx(), m), "message.Kind")
		_, err := b.store.Inbox(b.ctx(), all("order"), 0)
		b.refused(err, "limit")
	}},
	{"who listens is woken by a post", func(b *bench) {
		waker, ok := b.store.(saga.Waker)
		if !ok {
			b.Skip("the home does not wake")
		}
		b.put(record(id("a"), 1), record(id("b"), 1))
		wake := waker.Wake(b.ctx())
		b.post(message(id("a"), "m"))
		b.woken(wake)
		c := change(record(id("a"), 2))
		c.Posts = []saga.Message{message(id("b"), "m")}
		b.committed(c)
		b.woken(wake)
	}},
}

// woken waits for a wake. One that comes late is slow, not wrong: the bound only
// ends a test that would never end.
func (b *bench) woken(wake <-chan struct{}) {
	b.Helper()
	select {
	case _, ok := <-wake:
		require.True(b, ok, "the channel was closed")
	case <-time.After(30 * time.Second):
		b.Fatal("no wake came")
	}
}
