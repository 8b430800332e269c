package sagatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

// Home is what is tested.
type Home struct {
	// Open returns an empty store, closed when the test ends.
	Open func(t *testing.T) saga.Store
	// Reopen closes the store and opens it again, as a new process would. It is
	// nil where nothing outlives the store.
	Reopen func(t *testing.T, s saga.Store) saga.Store
	// Share opens what a store has once more, as another process does, closed
	// when the test ends. It is nil where only one store can have it: then that
	// is shared.
	Share func(t *testing.T, s saga.Store) saga.Store
	// Close closes the store, as its Close does, which may be called again.
	Close func(s saga.Store) error
	// Ledger is a table that handlers write to in transactions of the home. It is
	// nil where no handler can: see saga.Transactional.
	Ledger *Ledger
}

// Run runs the suite, each part on a store of its own.
func Run(t *testing.T, home Home) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"Heads", headTests}, {"Finding", findTests}, {"Inbox", inboxTests}, {"Leases", leaseTests}, {"Life", lifeTests}, {"Chains", chainTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					test.run(&bench{T: t, home: home, store: home.Open(t)})
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(b *bench)
}

// bench is what a test works with.
type bench struct {
	*testing.T
	home  Home
	store saga.Store
}

func (b *bench) ctx() context.Context { return b.Context() }

// begin is a moment that all homes can keep.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

func id(key string) saga.ID { return saga.ID{Type: "order", Key: key} }

// record is a head with every field set.
func record(id saga.ID, sequence int64) saga.Record {
	return saga.Record{
		ID:       id,
		Sequence: sequence,
		Commit:   uuid.New(),
		Status:   saga.Running,
		Ready:    true,
		Due:      begin.Add(time.Duration(sequence) * time.Hour),
		Attempts: 3,
		Schema:   2,
		Reason:   "because",
		Started:  begin,
		Updated:  begin.Add(time.Duration(sequence) * time.Second),
		State:    fmt.Appendf(nil, `{"n":%d}`, sequence),
		Work:     fmt.Appendf(nil, `{"pending":[{"id":%d}]}`, sequence),
	}
}

// change is one that makes r the head.
func change(r saga.Record) saga.Change {
	return saga.Change{Record: r, Entry: saga.Entry{
		Sequence: r.Sequence, At: r.Updated, Kind: "signal", Data: fmt.Appendf(nil, `{"of":%d}`, r.Sequence),
	}}
}

func (b *bench) commit(changes ...saga.Change) []saga.Verdict {
	b.Helper()
	verdicts, err := b.store.Commit(b.ctx(), changes)
	require.NoError(b, err)
	require.Len(b, verdicts, len(changes))
	return verdicts
}

// committed commits changes that must hold.
func (b *bench) committed(changes ...saga.Change) {
	b.Helper()
	for i, v := range b.commit(changes...) {
		require.Equal(b, saga.Committed, v, "change %d", i)
	}
}

// put makes r a head, whatever fields it has.
func (b *bench) put(records ...saga.Record) {
	b.Helper()
	for _, r := range records {
		b.committed(change(r))
	}
}

func (b *bench) load(id saga.ID) saga.Record {
	b.Helper()
	r, found, err := b.store.Load(b.ctx(), id)
	require.NoError(b, err)
	require.True(b, found, "no %s", id)
	return r
}

// same compares records, in which homes may put nil for empty and the other way.
func (b *bench) same(want, got saga.Record) {
	b.Helper()
	require.Equal(b, string(want.State), string(got.State), "State")
	require.Equal(b, string(want.Work), string(got.Work), "Work")
	want.State, want.Work, got.State, got.Work = nil, nil, nil, nil
	require.Equal(b, want, got)
}

func (b *bench) history(id saga.ID) []saga.Entry {
	b.Helper()
	entries, err := b.store.History(b.ctx(), id, 0, 1000)
	require.NoError(b, err)
	return entries
}

func (b *bench) join(worker string, types ...string) saga.Worker {
	b.Helper()
	if len(types) == 0 {
		types = []string{"order"}
	}
	w, err := b.store.Join(b.ctx(), saga.Worker{ID: worker, Types: types}, time.Minute)
	require.NoError(b, err)
	return w
}

func (b *bench) beat(w saga.Worker) saga.Fleet {
	b.Helper()
	f, err := b.store.Beat(b.ctx(), w, time.Minute)
	require.NoError(b, err)
	return f
}

func (b *bench) look() saga.Fleet {
	b.Helper()
	f, err := b.store.Look(b.ctx())
	require.NoError(b, err)
	return f
}

// claim makes w the owner of the shard, whoever was.
func (b *bench) claim(w saga.Worker, s saga.Shard) saga.Lease {
	b.Helper()
	l := saga.Lease{Shard: s}
	for _, seen := range b.beat(w).Leases {
		if seen.Shard == s {
			l = seen
		}
	}
	claimed, err := b.store.Claim(b.ctx(), w, []saga.Lease{l})
	require.NoError(b, err)
	require.Equal(b, []saga.Lease{{Shard: s, Owner: w.ID, Epoch: l.Epoch + 1}}, claimed)
	return claimed[0]
}

func (b *bench) post(m saga.Message) {
	b.Helper()
	require.NoError(b, b.store.Post(b.ctx(), m))
}

func message(to saga.ID, id string) saga.Message {
	return saga.Message{To: to, ID: id, Kind: saga.SignalMessage, Body: []byte(`{"m":"` + id + `"}`), At: begin}
}

func (b *bench) inbox(shards ...saga.Shard) []saga.Message {
	b.Helper()
	messages, err := b.store.Inbox(b.ctx(), shards, 1000)
	require.NoError(b, err)
	return messages
}

func messageIDs(messages []saga.Message) []string {
	ids := make([]string, 0, len(messages))
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

// all are the shards of a type.
func all(name string) []saga.Shard {
	shards := make([]saga.Shard, saga.Shards)
	for i := range shards {
		shards[i] = saga.Shard{Type: name, Number: i}
	}
	return shards
}
