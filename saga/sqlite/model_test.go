package sqlite_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// The home gives the answers of the one in memory, whatever is asked in whatever
// order.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t)
		defer m.close()
		rt.Repeat(map[string]func(*rapid.T){
			"Commit": m.commit, "Load": m.load, "History": m.history, "Due": m.due, "List": m.list, "Purge": m.purge,
			"Post": m.post, "Inbox": m.inbox, "Discard": m.discard,
			"Join": m.join, "Beat": m.beat, "Claim": m.claim, "Release": m.release, "Leave": m.leave, "SetPaused": m.pause, "PauseLog": m.pauseLog,
			"time passes": func(rt *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
			},
		})
	})
}

// model asks both.
type model struct {
	t       *testing.T
	ours    *sqlite.Store
	theirs  *memory.Store
	now     time.Time
	workers []saga.Worker
	places  []place // of messages
}

// place is where a message is: each home counts for itself.
type place struct{ ours, theirs int64 }

func newModel(t *testing.T) *model {
	t.Helper()
	m := &model{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return m.now }
	var err error
	m.ours, err = sqlite.Open(t.Context(), file(t), sqlite.Config{Now: clock, Durability: sqlite.Normal})
	require.NoError(t, err)
	m.theirs = memory.New(memory.Config{Now: clock})
	return m
}

func (m *model) close() {
	require.NoError(m.t, m.ours.Close())
	require.NoError(m.t, m.theirs.Close())
}

// same compares answers, in which nil is as good as empty.
func same[T any](rt *rapid.T, ours T, err error, theirs T, errTheirs error) {
	require.Equal(rt, fmt.Sprint(errTheirs), fmt.Sprint(err))
	text := func(v T) string {
		s := fmt.Sprintf("%+v", v)
		return strings.NewReplacer("<nil>", "[]", "map[]", "[]").Replace(s)
	}
	require.Equal(rt, text(theirs), text(ours))
}

var (
	someTenants = rapid.SampledFrom([]string{"", "acme"})
	someTypes   = rapid.SampledFrom([]string{"order", "refund"})
	someKeys    = rapid.SampledFrom([]string{"a", "B", "ä"})
	someTimes   = rapid.Map(rapid.IntRange(-1, 3), func(n int) time.Time {
		if n == -1 {
			return time.Time{}
		}
		return time.Date(2026, 3, 1, 12, 0, n, 500*n, time.UTC) // not all to the microsecond
	})
	someShards = rapid.Custom(func(rt *rapid.T) saga.Shard { return someID.Draw(rt, "of").Shard() })
	someID     = rapid.Custom(func(rt *rapid.T) saga.ID {
		return saga.ID{Tenant: someTenants.Draw(rt, "tenant"), Type: someTypes.Draw(rt, "type"), Key: someKeys.Draw(rt, "key")}
	})
)

func limits(rt *rapid.T) int { return rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(rt, "limit") }

// shards are some, each once, or all that any saga has.
func shards(rt *rapid.T) []saga.Shard {
	return rapid.SliceOfNDistinct(someShards, 0, 12, rapid.ID[saga.Shard]).Draw(rt, "shards")
}

func (m *model) message(rt *rapid.T) saga.Message {
	return saga.Message{
		To: someID.Draw(rt, "to"), ID: rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "id"), At: someTimes.Draw(rt, "at"), Body: []byte(`{}`),
		Kind: rapid.SampledFrom([]saga.MessageKind{saga.StartMessage, saga.SignalMessage, saga.WakeMessage}).Draw(rt, "kind"),
	}
}

func (m *model) commit(rt *rapid.T) {
	ids := rapid.SliceOfNDistinct(someID, 1, 5, rapid.ID[saga.ID]).Draw(rt, "ids")
	ours, theirs := make([]saga.Change, len(ids)), make([]saga.Change, len(ids))
	for i, id := range ids {
		known, _, err := m.theirs.Load(m.t.Context(), id)
		require.NoError(rt, err)
		sequence := max(1, known.Sequence+int64(rapid.SampledFrom([]int{1, 1, 1, 1, 0, 2}).Draw(rt, "step")))
		c := saga.Change{
			Record: saga.Record{
				ID: id, Sequence: sequence, Commit: uuid.New(), Status: rapid.SampledFrom(saga.Statuses()).Draw(rt, "status"),
				Ready: rapid.Bool().Draw(rt, "ready"), Due: someTimes.Draw(rt, "due"), Attempts: rapid.IntRange(0, 3).Draw(rt, "attempts"),
				Schema: 1, Started: someTimes.Draw(rt, "started"), Updated: someTimes.Draw(rt, "updated"), State: []byte(`{}`), Work: []byte(`[]`),
			},
			Epoch: int64(rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(rt, "epoch")),
			Entry: saga.Entry{Sequence: sequence, At: someTimes.Draw(rt, "at"), Kind: "signal", Data: []byte(`{}`)},
		}
		for range rapid.IntRange(0, 2).Draw(rt, "posts") {
			c.Posts = append(c.Posts, m.message(rt))
		}
		ours[i], theirs[i] = c, c
		if len(m.places) > 0 && rapid.Bool().Draw(rt, "consumes") {
			p := rapid.SampledFrom(m.places).Draw(rt, "place")
			ours[i].Consumed, theirs[i].Consumed = []int64{p.ours}, []int64{p.theirs}
		}
	}
	a, errA := m.ours.Commit(m.t.Context(), ours)
	b, errB := m.theirs.Commit(m.t.Context(), theirs)
	same(rt, a, errA, b, errB)
}

func (m *model) load(rt *rapid.T) {
	id := someID.Draw(rt, "id")
	a, _, errA := m.ours.Load(m.t.Context(), id)
	b, _, errB := m.theirs.Load(m.t.Context(), id)
	same(rt, a, errA, b, errB)
}

func (m *model) history(rt *rapid.T) {
	id, after, limit := someID.Draw(rt, "id"), rapid.Int64Range(0, 4).Draw(rt, "after"), limits(rt)
	a, errA := m.ours.History(m.t.Context(), id, after, limit)
	b, errB := m.theirs.History(m.t.Context(), id, after, limit)
	same(rt, a, errA, b, errB)
}

func (m *model) due(rt *rapid.T) {
	after := saga.Due{}
	if rapid.Bool().Draw(rt, "goes on") {
		after = saga.Due{ID: someID.Draw(rt, "id"), At: someTimes.Draw(rt, "at")}
	}
	where, limit := shards(rt), limits(rt)
	a, errA := m.ours.Due(m.t.Context(), where, after, limit)
	b, errB := m.theirs.Due(m.t.Context(), where, after, limit)
	same(rt, a, errA, b, errB)
}

func (m *model) list(rt *rapid.T) {
	maybe := func(name string) bool { return rapid.IntRange(0, 3).Draw(rt, name) == 0 }
	q := saga.Query{AllTenants: rapid.Bool().Draw(rt, "all tenants"), Ready: rapid.Bool().Draw(rt, "ready"), Limit: limits(rt)}
	if maybe("a tenant") {
		q.Tenant = someTenants.Draw(rt, "tenant")
	}
	if maybe("a type") {
		q.Type = someTypes.Draw(rt, "type")
	}
	if maybe("statuses") {
		q.Statuses = rapid.SliceOfN(rapid.SampledFrom(saga.Statuses()), 1, 3).Draw(rt, "which")
	}
	if rapid.Bool().Draw(rt, "some shards") {
		q.Shards = shards(rt)
	}
	if maybe("age") {
		q.StartedBefore = someTimes.Draw(rt, "started before")
	}
	if maybe("overdue") {
		q.DueBefore = someTimes.Draw(rt, "due before")
	}
	if maybe("attempts") {
		q.Attempts = rapid.IntRange(0, 3).Draw(rt, "at least")
	}
	if maybe("an owner") {
		q.Owner = rapid.SampledFrom(workerNames).Draw(rt, "owner")
	}
	if maybe("goes on") {
		q.After = someID.Draw(rt, "after")
	}
	a, errA := m.ours.List(m.t.Context(), q)
	b, errB := m.theirs.List(m.t.Context(), q)
	same(rt, a, errA, b, errB)
}

// purge has both forget all that may be: with a limit each may choose.
func (m *model) purge(rt *rapid.T) {
	before := someTimes.Draw(rt, "before")
	a, errA := m.ours.Purge(m.t.Context(), before, 1000)
	b, errB := m.theirs.Purge(m.t.Context(), before, 1000)
	same(rt, a, errA, b, errB)
}

func (m *model) post(rt *rapid.T) {
	message := m.message(rt)
	same(rt, 0, m.ours.Post(m.t.Context(), message), 0, m.theirs.Post(m.t.Context(), message))
}

func (m *model) inbox(rt *rapid.T) {
	where, limit := shards(rt), limits(rt)
	a, errA := m.ours.Inbox(m.t.Context(), where, limit)
	b, errB := m.theirs.Inbox(m.t.Context(), where, limit)
	for i := range min(len(a), len(b)) {
		m.places = append(m.places, place{a[i].Position, b[i].Position})
		a[i].Position, b[i].Position = 0, 0
	}
	same(rt, a, errA, b, errB)
}

func (m *model) discard(rt *rapid.T) {
	if len(m.places) == 0 {
		rt.Skip("nothing was read")
	}
	var ours, theirs []int64
	for _, p := range rapid.SliceOfN(rapid.SampledFrom(m.places), 1, 3).Draw(rt, "places") {
		ours, theirs = append(ours, p.ours), append(theirs, p.theirs)
	}
	same(rt, 0, m.ours.Discard(m.t.Context(), ours), 0, m.theirs.Discard(m.t.Context(), theirs))
}

var workerNames = []string{"v", "w"}

// worker is one that has joined, though it may have been followed by another.
func (m *model) worker(rt *rapid.T) (ours, theirs saga.Worker) {
	if len(m.workers) == 0 {
		rt.Skip("nobody has joined")
	}
	at := rapid.IntRange(0, len(m.workers)/2-1).Draw(rt, "worker")
	return m.workers[2*at], m.workers[2*at+1]
}

func (m *model) join(rt *rapid.T) {
	w := saga.Worker{
		ID:    rapid.SampledFrom(workerNames).Draw(rt, "worker"),
		Types: rapid.SliceOfNDistinct(someTypes, 0, 3, rapid.ID[string]).Draw(rt, "types"),
	}
	a, errA := m.ours.Join(m.t.Context(), w, time.Minute)
	b, errB := m.theirs.Join(m.t.Context(), w, time.Minute)
	m.workers = append(m.workers, a, b)
	a.Incarnation, b.Incarnation = 0, 0
	same(rt, a, errA, b, errB)
}

func (m *model) beat(rt *rapid.T) {
	ours, theirs := m.worker(rt)
	ours.Draining = rapid.Bool().Draw(rt, "drains")
	theirs.Draining = ours.Draining
	a, errA := m.ours.Beat(m.t.Context(), ours, time.Minute)
	b, errB := m.theirs.Beat(m.t.Context(), theirs, time.Minute)
	for _, f := range []saga.Fleet{a, b} {
		for i := range f.Members {
			f.Members[i].Incarnation = 0
		}
	}
	same(rt, a, errA, b, errB)
}

func leases(rt *rapid.T) []saga.Lease {
	return rapid.SliceOfNDistinct(rapid.Custom(func(rt *rapid.T) saga.Lease {
		return saga.Lease{Shard: someShards.Draw(rt, "shard"), Epoch: rapid.Int64Range(0, 3).Draw(rt, "epoch")}
	}), 0, 8, func(l saga.Lease) saga.Shard { return l.Shard }).Draw(rt, "leases")
}

func (m *model) claim(rt *rapid.T) {
	ours, theirs := m.worker(rt)
	wanted := leases(rt)
	a, errA := m.ours.Claim(m.t.Context(), ours, wanted)
	b, errB := m.theirs.Claim(m.t.Context(), theirs, slices.Clone(wanted))
	same(rt, a, errA, b, errB)
}

func (m *model) release(rt *rapid.T) {
	ours, theirs := m.worker(rt)
	given := leases(rt)
	same(rt, 0, m.ours.Release(m.t.Context(), ours, given), 0, m.theirs.Release(m.t.Context(), theirs, given))
}

func (m *model) leave(rt *rapid.T) {
	ours, theirs := m.worker(rt)
	same(rt, 0, m.ours.Leave(m.t.Context(), ours), 0, m.theirs.Leave(m.t.Context(), theirs))
}

func (m *model) pause(rt *rapid.T) {
	p := saga.Pause{Type: someTypes.Draw(rt, "type"), Paused: rapid.Bool().Draw(rt, "paused"), Actor: "ada", At: someTimes.Draw(rt, "at")}
	same(rt, 0, m.ours.SetPaused(m.t.Context(), p), 0, m.theirs.SetPaused(m.t.Context(), p))
}

func (m *model) pauseLog(rt *rapid.T) {
	name, before, limit := rapid.SampledFrom([]string{"", "order", "refund"}).Draw(rt, "type"), rapid.Int64Range(0, 9).Draw(rt, "before"), limits(rt)
	a, errA := m.ours.PauseLog(m.t.Context(), name, before, limit)
	b, errB := m.theirs.PauseLog(m.t.Context(), name, before, limit)
	same(rt, a, errA, b, errB)
}
