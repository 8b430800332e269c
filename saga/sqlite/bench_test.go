package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// The benchmarks compare sagas with the same durable writes made by hand, through
// database/sql: a row that is replaced and a line of history for each decision, in
// one transaction for each, and by one writer that commits those together that wait.
// Neither looks for leases, or finds sagas again after a crash. All three run in
// slices that take turns, so that the ratio holds on a machine that others use. All
// wait for the disk.
//
//	make bench-saga
func BenchmarkSaga(b *testing.B) {
	for _, way := range []string{"happy", "compensated"} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", way, clients), func(b *testing.B) {
				o := newOurs(b, way == "happy")
				decisions := decisionsOf(b, way == "happy")
				single, group := newByHand(b, decisions), newByHand(b, decisions)
				race(b, clients, []*lane{
					{name: "ours", do: o.saga, commits: o.counted.commits.Load, path: o.path},
					{name: "single", do: single.single, commits: single.commits.Load, path: single.path},
					{name: "group", do: group.group, commits: group.commits.Load, path: group.path},
				})
			})
		}
	}
}

// lane is one way to do sagas.
type lane struct {
	name    string
	do      func(ctx context.Context, key string) error
	commits func() int64
	path    string

	done             int
	took             time.Duration
	committed, alloc int64
}

// race has the lanes take turns, each with so many clients, and reports what each
// has done.
func race(b *testing.B, clients int, lanes []*lane) {
	b.Helper()
	keys := 0
	slice := func(l *lane, n int) {
		first := keys
		keys += n
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		mallocs, commits := memory.Mallocs, l.commits()
		var left atomic.Int64
		var group sync.WaitGroup
		began := time.Now()
		for range clients {
			group.Go(func() {
				for i := left.Add(1); i <= int64(n); i = left.Add(1) {
					if err := l.do(b.Context(), strconv.Itoa(first+int(i))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		l.took += time.Since(began)
		l.done += n
		l.committed += l.commits() - commits
		runtime.ReadMemStats(&memory)
		l.alloc += int64(memory.Mallocs - mallocs)
	}
	for _, l := range lanes { // statements are prepared
		slice(l, 20*clients)
		l.done, l.took, l.committed, l.alloc = 0, 0, 0, 0
	}
	b.ResetTimer()
	for lanes[0].done < b.N {
		n := min(b.N-lanes[0].done, max(100, 30*clients))
		for _, l := range lanes {
			slice(l, n)
		}
	}
	b.StopTimer()
	rate := func(l *lane) float64 { return float64(l.done) / l.took.Seconds() }
	for _, l := range lanes {
		b.ReportMetric(rate(l), l.name+"-sagas/s")
		b.ReportMetric(float64(l.committed)/float64(l.done), l.name+"-commits/saga")
		b.ReportMetric(float64(l.alloc)/float64(l.done), l.name+"-allocs/saga")
		if l != lanes[0] {
			b.ReportMetric(rate(lanes[0])/rate(l), "ratio-"+l.name)
		}
		if info, err := os.Stat(l.path); err == nil {
			b.ReportMetric(float64(info.Size())/float64(keys/len(lanes)), l.name+"-file-B/saga")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// ours are sagas.
type ours struct {
	runner  *saga.Runner
	counted *countedStore
	path    string
}

func newOurs(b *testing.B, happy bool) *ours {
	b.Helper()
	o := &ours{path: file(b)}
	o.counted = &countedStore{Store: open(b, o.path, sqlite.Config{})}
	o.runner, _ = run(b, o.counted, saga.Config{Handlers: handlers(idle(happy)), Heartbeat: 3 * time.Second, Lease: 12 * time.Second})
	_, err := o.runner.Start(b.Context(), Reservation.ID("first"), Reserve{Quantity: 2}) // returns when it is a worker
	require.NoError(b, err)
	return o
}

// idle are handlers that do nothing, or decline the card.
func idle(happy bool) func(context.Context, string) error {
	return func(_ context.Context, request string) error {
		if request == "charge" && !happy {
			return saga.Rejected(errDeclined)
		}
		return nil
	}
}

func (o *ours) saga(ctx context.Context, key string) error {
	h, err := o.runner.Start(ctx, Reservation.ID(key), Reserve{Customer: "ann", Quantity: 2})
	if err != nil {
		return err
	}
	_, err = h.Wait(ctx)
	return err
}

// countedStore counts commits of decisions.
type countedStore struct {
	*sqlite.Store

	commits atomic.Int64
}

func (c *countedStore) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	c.commits.Add(1)
	return c.Store.Commit(ctx, changes)
}

// decisionsOf are the decisions of one saga, as they are kept.
func decisionsOf(b *testing.B, happy bool) []saga.Change {
	b.Helper()
	home := &recordingStore{Store: memory.New(memory.Config{})}
	runner, kill := run(b, home, saga.Config{Handlers: handlers(idle(happy))})
	defer kill()
	for _, key := range []string{"first", "100000"} { // the first may be started by way of the inbox
		h, err := runner.Start(b.Context(), Reservation.ID(key), Reserve{Customer: "ann", Quantity: 2})
		require.NoError(b, err)
		_, err = h.Wait(b.Context())
		require.NoError(b, err)
	}
	home.mu.Lock()
	defer home.mu.Unlock()
	return slices.DeleteFunc(home.made, func(c saga.Change) bool { return c.Record.ID.Key == "first" })
}

type recordingStore struct {
	saga.Store

	mu   sync.Mutex
	made []saga.Change
}

func (r *recordingStore) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = append(r.made, changes...)
	return r.Store.Commit(ctx, changes)
}

// BenchmarkSleepers asks what is due first, and what waits in the inbox, beside
// sagas that sleep for an hour. The time must not grow with them.
func BenchmarkSleepers(b *testing.B) {
	for _, sleepers := range []int{1_000, 100_000} {
		s := sleeping(b, sleepers)
		shards := everyShard()
		b.Run(fmt.Sprintf("due/%d", sleepers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				due, err := s.Due(b.Context(), shards, saga.Due{}, 1)
				require.NoError(b, err)
				require.Len(b, due, 1)
			}
		})
		b.Run(fmt.Sprintf("inbox/%d", sleepers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				messages, err := s.Inbox(b.Context(), shards, 100)
				require.NoError(b, err)
				require.Empty(b, messages)
			}
		})
	}
}

func everyShard() []saga.Shard {
	shards := make([]saga.Shard, saga.Shards)
	for i := range shards {
		shards[i] = saga.Shard{Type: "reservation", Number: i}
	}
	return shards
}

// sleeping is a home with so many sagas that are due in hours.
func sleeping(t testing.TB, sagas int) *sqlite.Store {
	t.Helper()
	s := open(t, file(t), sqlite.Config{Durability: sqlite.Normal})
	now := time.Now()
	for first := 0; first < sagas; first += 1000 {
		var changes []saga.Change
		for i := first; i < min(sagas, first+1000); i++ {
			c := change(Reservation.ID(strconv.Itoa(i)), 1)
			c.Record.Due = now.Add(time.Hour + time.Duration(i)*time.Millisecond)
			changes = append(changes, c)
		}
		verdicts, err := s.Commit(t.Context(), changes)
		require.NoError(t, err)
		require.Len(t, verdicts, len(changes))
	}
	return s
}

// change is a decision that makes a saga's record one of that sequence.
func change(id saga.ID, sequence int64) saga.Change {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return saga.Change{
		Record: saga.Record{ID: id, Sequence: sequence, Commit: uuid.New(), Status: saga.Running, Started: at, Updated: at, Schema: 1, State: []byte(`{}`)},
		Entry:  saga.Entry{Sequence: sequence, At: at, Kind: "signal", Data: []byte(`{}`)},
	}
}
