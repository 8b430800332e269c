package sagatest

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

var findTests = []test{
	{"what is due comes in order of time and id", func(b *bench) {
		at := func(key string, d time.Duration) saga.Record {
			r := record(id(key), 1)
			r.Due = begin.Add(d)
			return r
		}
		never := record(id("never"), 1)
		never.Due = time.Time{}
		other := record(saga.ID{Type: "refund", Key: "x"}, 1)
		other.Due = begin
		b.put(at("late", time.Hour), at("B", time.Minute), at("a", time.Minute), at("ä", time.Minute), at("first", -time.Hour), never, other)
		require.Equal(b, []string{"first", "B", "a", "ä", "late"}, b.due(all("order"), saga.Due{}, 100))
		require.Equal(b, []string{"first", "B"}, b.due(all("order"), saga.Due{}, 2))
		require.Equal(b, []string{"a", "ä"}, b.due(all("order"), saga.Due{ID: id("B"), At: begin.Add(time.Minute)}, 2))
		require.Equal(b, []string{"a", "ä", "late"}, b.due(all("order"), saga.Due{ID: id("C"), At: begin.Add(time.Minute)}, 100))
		require.Equal(b, []string{"late"}, b.due(all("order"), saga.Due{ID: id("ä"), At: begin.Add(time.Minute)}, 100))
		require.Equal(b, []string{"B"}, b.due([]saga.Shard{id("B").Shard()}, saga.Due{}, 100)[:1])
		require.Equal(b, []string{"first", "x", "B", "a", "ä", "late"}, b.due(append(all("order"), all("refund")...), saga.Due{}, 100))
		require.Empty(b, b.due(nil, saga.Due{}, 100))
	}},
	{"what is due follows the head", func(b *bench) {
		r := record(id("a"), 1)
		b.put(r)
		r = record(id("a"), 2)
		r.Due = begin.Add(-time.Minute)
		b.put(r)
		due, err := b.store.Due(b.ctx(), all("order"), saga.Due{}, 10)
		require.NoError(b, err)
		require.Equal(b, []saga.Due{{ID: id("a"), At: begin.Add(-time.Minute)}}, due)
		r = record(id("a"), 3)
		r.Due = time.Time{}
		b.put(r)
		require.Empty(b, b.due(all("order"), saga.Due{}, 10))
	}},
	{"what is due is paged through", func(b *bench) {
		var want []string
		for i := range 50 {
			r := record(id(fmt.Sprintf("k%02d", i)), 1)
			r.Due = begin.Add(time.Duration(i/10) * time.Second)
			b.put(r)
			want = append(want, r.ID.Key)
		}
		var got []string
		var after saga.Due
		for {
			page, err := b.store.Due(b.ctx(), all("order"), after, 7)
			require.NoError(b, err)
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				got = append(got, d.ID.Key)
			}
			after = page[len(page)-1]
		}
		require.Equal(b, want, got)
	}},
	{"records are listed by what is asked", func(b *bench) {
		w := b.join("w1")
		owned := id("owned").Shard()
		b.claim(w, owned)
		put := func(key string, edit func(r *saga.Record)) {
			r := record(id(key), 1)
			r.Ready, r.Attempts, r.Due = false, 0, time.Time{}
			edit(&r)
			b.put(r)
		}
		put("owned", func(*saga.Record) {})
		put("stuck", func(r *saga.Record) { r.Status, r.Attempts = saga.Stuck, 5 })
		put("ended", func(r *saga.Record) { r.Status = saga.Completed })
		put("ready", func(r *saga.Record) { r.Ready = true })
		put("old", func(r *saga.Record) { r.Started = begin.Add(-time.Hour) })
		put("overdue", func(r *saga.Record) { r.Due = begin.Add(-time.Hour) })
		b.put(record(saga.ID{Tenant: "acme", Type: "order", Key: "theirs"}, 1), record(saga.ID{Type: "refund", Key: "other"}, 1))
		everything := []string{"ended", "old", "overdue", "owned", "ready", "stuck"}
		var here []string
		for _, key := range everything {
			if id(key).Shard() == owned {
				here = append(here, key)
			}
		}
		for _, row := range []struct {
			name string
			q    saga.Query
			want []string
		}{
			{"type", saga.Query{Type: "order"}, everything},
			{"everything", saga.Query{}, append(slices.Clone(everything), "other")},
			{"tenant", saga.Query{Tenant: "acme"}, []string{"theirs"}},
			{"all tenants", saga.Query{AllTenants: true}, append(append(slices.Clone(everything), "other"), "theirs")},
			{"statuses", saga.Query{Statuses: []saga.Status{saga.Stuck, saga.Completed}}, []string{"ended", "stuck"}},
			{"ready", saga.Query{Type: "order", Ready: true}, []string{"ready"}},
			{"ready in a shard", saga.Query{Shards: []saga.Shard{id("ready").Shard()}, Ready: true}, []string{"ready"}},
			{"shards", saga.Query{Shards: all("refund")}, []string{"other"}},
			{"age", saga.Query{StartedBefore: begin}, []string{"old"}},
			{"overdue", saga.Query{DueBefore: begin}, []string{"overdue"}},
			{"attempts", saga.Query{Type: "order", Attempts: 5}, []string{"stuck"}},
			{"owner", saga.Query{Owner: "w1"}, here},
			{"owner of nothing", saga.Query{Owner: "w2"}, []string{}},
			{"limit", saga.Query{Type: "order", Limit: 2}, everything[:2]},
			{"after", saga.Query{Type: "order", After: id("old"), Limit: 2}, everything[2:4]},
			{"after, all tenants", saga.Query{AllTenants: true, After: saga.ID{Type: "refund", Key: "other"}}, []string{"theirs"}},
		} {
			records, err := b.store.List(b.ctx(), row.q)
			require.NoError(b, err, row.name)
			got := []string{}
			for _, r := range records {
				got = append(got, r.ID.Key)
				require.Empty(b, r.State, row.name)
				require.Empty(b, r.Work, row.name)
			}
			require.ElementsMatch(b, row.want, got, row.name)
			require.True(b, slices.IsSortedFunc(records, func(x, y saga.Record) int { return x.ID.Compare(y.ID) }), row.name)
		}
		one, err := b.store.List(b.ctx(), saga.Query{Statuses: []saga.Status{saga.Stuck}})
		require.NoError(b, err)
		want := b.load(id("stuck"))
		b.same(saga.Record{
			ID: want.ID, Sequence: 1, Commit: want.Commit, Status: saga.Stuck, Attempts: 5, Schema: 2, Reason: "because", Started: begin, Updated: want.Updated,
		}, one[0])
	}},
	{"a list is as long as the default", func(b *bench) {
		changes := make([]saga.Change, saga.DefaultLimit+1)
		for i := range changes {
			changes[i] = change(record(id(fmt.Sprintf("%03d", i)), 1))
		}
		b.committed(changes...)
		records, err := b.store.List(b.ctx(), saga.Query{})
		require.NoError(b, err)
		require.Len(b, records, saga.DefaultLimit)
		rest, err := b.store.List(b.ctx(), saga.Query{After: records[len(records)-1].ID})
		require.NoError(b, err)
		require.Len(b, rest, 1)
	}},
	{"bad questions are refused", func(b *bench) {
		_, err := b.store.Due(b.ctx(), all("order"), saga.Due{}, 0)
		b.refused(err, "limit")
		_, err = b.store.Due(b.ctx(), []saga.Shard{{Type: "order", Number: saga.Shards}}, saga.Due{}, 1)
		b.refused(err, "shards[0].Number")
		_, err = b.store.List(b.ctx(), saga.Query{Limit: -1})
		b.refused(err, "query.Limit")
		_, err = b.store.List(b.ctx(), saga.Query{Statuses: []saga.Status{"odd"}})
		b.refused(err, "query.Statuses[0]")
		_, err = b.store.Purge(b.ctx(), begin, 0)
		b.refused(err, "limit")
	}},
	{"what has ended is purged", func(b *bench) {
		for _, status := range saga.Statuses() {
			r := record(id(string(status)), 1)
			r.Status, r.Updated = status, begin
			b.put(r)
			b.post(message(r.ID, "m"))
		}
		n, err := b.store.Purge(b.ctx(), begin, 10)
		require.NoError(b, err)
		require.Zero(b, n, "nothing is older")
		n, err = b.store.Purge(b.ctx(), begin.Add(time.Microsecond), 2)
		require.NoError(b, err)
		require.Equal(b, 2, n)
		n, err = b.store.Purge(b.ctx(), begin.Add(time.Microsecond), 10)
		require.NoError(b, err)
		require.Equal(b, 1, n)
		for _, status := range saga.Statuses() {
			_, found, err := b.store.Load(b.ctx(), id(string(status)))
			require.NoError(b, err)
			require.Equal(b, !status.Ended(), found, status)
			if status.Ended() {
				require.Empty(b, b.history(id(string(status))), status)
			}
		}
		require.Len(b, b.inbox(all("order")...), 2, "of the running and the compensating one")
		b.committed(change(record(id("completed"), 1)))
		require.Len(b, b.history(id("completed")), 1)
	}},
}

func (b *bench) due(shards []saga.Shard, after saga.Due, limit int) []string {
	b.Helper()
	due, err := b.store.Due(b.ctx(), shards, after, limit)
	require.NoError(b, err)
	keys := make([]string, 0, len(due))
	for _, d := range due {
		keys = append(keys, d.ID.Key)
	}
	return keys
}
