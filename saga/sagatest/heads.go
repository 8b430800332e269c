package sagatest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

var headTests = []test{
	{"nothing is found at first", func(b *bench) {
		_, found, err := b.store.Load(b.ctx(), id("none"))
		require.NoError(b, err)
		require.False(b, found)
		require.Empty(b, b.history(id("none")))
	}},
	{"a record comes back as it was committed", func(b *bench) {
		r := record(saga.ID{Tenant: "acme & sons/ü:", Type: "order", Key: "a/b:c ü"}, 1)
		b.committed(change(r))
		b.same(r, b.load(r.ID))
		next := record(r.ID, 2)
		next.Status, next.Ready, next.Due, next.Attempts, next.Reason = saga.Completed, false, time.Time{}, 0, ""
		next.State, next.Work = []byte("null"), nil
		b.committed(change(next))
		b.same(next, b.load(r.ID))
	}},
	{"times are kept to the microsecond", func(b *bench) {
		r := record(id("a"), 1)
		r.Due = begin.Add(1999 * time.Nanosecond).In(time.FixedZone("there", 3600))
		b.committed(change(r))
		require.Equal(b, begin.Add(time.Microsecond), b.load(r.ID).Due)
	}},
	{"states of a megabyte are kept", func(b *bench) {
		r := record(id("a"), 1)
		r.State = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
		b.committed(change(r))
		b.same(r, b.load(r.ID))
	}},
	{"bytes are kept as they are", func(b *bench) {
		r := record(id("a"), 1)
		r.State = []byte(`{"b" : 1,  "a":1.50, "a": "\u0000"}`)
		c := change(r)
		c.Entry.Data = []byte(`{ "z":1 }`)
		b.committed(c)
		b.same(r, b.load(r.ID))
		require.Equal(b, `{ "z":1 }`, string(b.history(r.ID)[0].Data))
	}},
	{"only the next sequence is committed", func(b *bench) {
		first := record(id("a"), 1)
		require.Equal(b, []saga.Verdict{saga.Conflict}, b.commit(change(record(id("a"), 2))), "2 before 1")
		b.committed(change(first))
		require.Equal(b, []saga.Verdict{saga.Conflict}, b.commit(change(record(id("a"), 1))), "1 again")
		require.Equal(b, []saga.Verdict{saga.Conflict}, b.commit(change(record(id("a"), 3))), "3 before 2")
		b.same(first, b.load(id("a")))
		b.committed(change(record(id("a"), 2)))
		require.Equal(b, []saga.Verdict{saga.Conflict}, b.commit(change(first)), "the very same again")
		require.Len(b, b.history(id("a")), 2)
	}},
	{"tenants and types are kept apart", func(b *bench) {
		ids := []saga.ID{{Type: "order", Key: "a"}, {Tenant: "t", Type: "order", Key: "a"}, {Type: "refund", Key: "a"}}
		for i, id := range ids {
			r := record(id, 1)
			r.Attempts = i
			b.committed(change(r))
		}
		for i, id := range ids {
			require.Equal(b, i, b.load(id).Attempts)
			require.Len(b, b.history(id), 1)
		}
	}},
	{"a refused change leaves nothing behind", func(b *bench) {
		b.put(record(id("a"), 1), record(id("b"), 1))
		b.post(message(id("a"), "m1"))
		at := b.inbox(all("order")...)[0].Position
		c := change(record(id("a"), 3))
		c.Consumed = []int64{at}
		c.Posts = []saga.Message{message(id("b"), "m2")}
		require.Equal(b, []saga.Verdict{saga.Conflict}, b.commit(c))
		require.Len(b, b.history(id("a")), 1)
		require.Equal(b, []string{"m1"}, messageIDs(b.inbox(all("order")...)))
	}},
	{"a change consumes and posts", func(b *bench) {
		b.put(record(id("a"), 1), record(id("b"), 1))
		b.post(message(id("a"), "m1"))
		b.post(message(id("a"), "m2"))
		at := b.inbox(all("order")...)[0].Position
		c := change(record(id("a"), 2))
		c.Consumed = []int64{at}
		c.Posts = []saga.Message{message(id("b"), "m3"), message(id("b"), "m3"), message(id("nobody"), "m4")}
		b.committed(c)
		require.Equal(b, []string{"m2", "m3", "m4"}, messageIDs(b.inbox(all("order")...)))
	}},
	{"each change has its own verdict", func(b *bench) {
		b.put(record(id("b"), 1), record(id("c"), 1))
		changes := []saga.Change{
			change(record(id("a"), 1)), change(record(id("b"), 1)), change(record(id("c"), 2)), change(record(id("d"), 7)), change(record(id("e"), 1)),
		}
		require.Equal(b, []saga.Verdict{saga.Committed, saga.Conflict, saga.Committed, saga.Conflict, saga.Committed}, b.commit(changes...))
		for _, i := range []int{0, 2, 4} {
			b.same(changes[i].Record, b.load(changes[i].Record.ID))
		}
		require.Len(b, b.history(id("b")), 1)
	}},
	{"many changes are committed at once", func(b *bench) {
		changes := make([]saga.Change, 300)
		for i := range changes {
			changes[i] = change(record(id(fmt.Sprint(i)), 1))
			changes[i].Posts = []saga.Message{message(id(fmt.Sprint(i)), "m")}
		}
		b.committed(changes...)
		require.Len(b, b.inbox(all("order")...), len(changes))
		for i := range changes {
			b.same(changes[i].Record, b.load(changes[i].Record.ID))
		}
	}},
	{"no changes are no error", func(b *bench) { b.committed() }},
	{"one of many that commit at once wins", func(b *bench) {
		const rivals = 16
		b.put(record(id("a"), 1))
		var group sync.WaitGroup
		commits := make([]uuid.UUID, rivals)
		won := make(chan uuid.UUID, rivals)
		for i := range rivals {
			r := record(id("a"), 2)
			commits[i] = r.Commit
			group.Go(func() {
				verdicts, err := b.store.Commit(b.ctx(), []saga.Change{change(r), change(record(id(fmt.Sprint("other", i)), 1))})
				if err == nil && verdicts[0] == saga.Committed {
					won <- r.Commit
				}
			})
		}
		group.Wait()
		close(won)
		require.Len(b, won, 1)
		require.Equal(b, <-won, b.load(id("a")).Commit)
		require.Len(b, b.history(id("a")), 2)
		for i := range rivals {
			b.load(id(fmt.Sprint("other", i)))
		}
	}},
	{"bad input is refused", func(b *bench) {
		good := func() saga.Change { return change(record(id("a"), 1)) }
		for _, row := range []struct {
			name string
			make func(c *saga.Change)
		}{
			{"changes[0].Record.ID.Key", func(c *saga.Change) { c.Record.ID.Key = "" }},
			{"changes[0].Record.ID.Key", func(c *saga.Change) { c.Record.ID.Key = strings.Repeat("k", saga.MaxKey+1) }},
			{"changes[0].Record.ID.Key", func(c *saga.Change) { c.Record.ID.Key = "a\x00b" }},
			{"changes[0].Record.ID.Type", func(c *saga.Change) { c.Record.ID.Type = "or/der" }},
			{"changes[0].Record.Sequence", func(c *saga.Change) { c.Record.Sequence = 0 }},
			{"changes[0].Record.Commit", func(c *saga.Change) { c.Record.Commit = uuid.Nil }},
			{"changes[0].Record.Status", func(c *saga.Change) { c.Record.Status = "odd" }},
			{"changes[0].Entry.Sequence", func(c *saga.Change) { c.Entry.Sequence = 2 }},
			{"changes[0].Entry.Kind", func(c *saga.Change) { c.Entry.Kind = "" }},
			{"changes[0].Epoch", func(c *saga.Change) { c.Epoch = -1 }},
			{"changes[0].Posts[0].ID", func(c *saga.Change) { c.Posts = []saga.Message{message(id("b"), "")} }},
		} {
			c := good()
			row.make(&c)
			_, err := b.store.Commit(b.ctx(), []saga.Change{c})
			b.refused(err, row.name)
		}
		_, err := b.store.Commit(b.ctx(), []saga.Change{good(), good()})
		b.refused(err, "changes[1].Record.ID")
		_, _, err = b.store.Load(b.ctx(), saga.ID{Type: "order"})
		b.refused(err, "id.Key")
		_, found, err := b.store.Load(b.ctx(), id("a"))
		require.NoError(b, err)
		require.False(b, found, "something refused was committed")
	}},
	{"a history is read in parts", func(b *bench) {
		for n := range int64(5) {
			b.committed(change(record(id("a"), n+1)))
		}
		for _, row := range []struct {
			after int64
			limit int
			want  []int64
		}{{0, 2, []int64{1, 2}}, {2, 2, []int64{3, 4}}, {4, 2, []int64{5}}, {5, 2, []int64{}}, {-1, 9, []int64{1, 2, 3, 4, 5}}} {
			entries, err := b.store.History(b.ctx(), id("a"), row.after, row.limit)
			require.NoError(b, err)
			got := []int64{}
			for _, e := range entries {
				got = append(got, e.Sequence)
				require.Equal(b, "signal", e.Kind)
				require.Equal(b, fmt.Sprintf(`{"of":%d}`, e.Sequence), string(e.Data))
				require.Equal(b, begin.Add(time.Duration(e.Sequence)*time.Second), e.At)
			}
			require.Equal(b, row.want, got, "after %d", row.after)
		}
		_, err := b.store.History(b.ctx(), id("a"), 0, 0)
		b.refused(err, "limit")
	}},
}

// refused asserts an error about a field.
func (b *bench) refused(err error, field string) {
	b.Helper()
	var input *eventstore.InputError
	require.ErrorAs(b, err, &input)
	require.Equal(b, field, input.Field)
}
