package postgres_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/postgres"
)

// The benchmarks compare sagas with the same durable writes made by hand, through
// pgx: a row that is replaced and a line of history for each decision, in one
// statement for each, and by one writer that commits those together that wait.
// Neither looks for leases, or finds sagas again after a crash. All three run in
// slices that take turns, on one server, so that the ratio holds on a machine that
// others use. The server waits for the disk (fsync and synchronous_commit are on).
//
//	make bench-saga
func BenchmarkSaga(b *testing.B) {
	for _, way := range []string{"happy", "compensated"} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", way, clients), func(b *testing.B) {
				server := postgrestest.Start(b, postgrestest.Config{Durable: true})
				o := newOurs(b, server.NewDatabase(b), way == "happy")
				h := newByHand(b, server.NewDatabase(b), decisionsOf(b, way == "happy"))
				race(b, server, clients, []*lane{
					{name: "ours", do: o.saga, counts: o.counted.counts},
					{name: "single", do: h.single, counts: h.counts},
					{name: "group", do: h.group, counts: h.counts},
				})
			})
		}
	}
}

// lane is one way to do sagas.
type lane struct {
	name   string
	do     func(ctx context.Context, key string) error
	counts func() (commits, statements int64)

	done                             int
	took                             time.Duration
	commits, statements, wal, allocs int64
	cpu                              time.Duration // of this process
}

func (l *lane) reset() { *l = lane{name: l.name, do: l.do, counts: l.counts} }

// race has the lanes take turns, each with so many clients, and reports what each
// has done.
func race(b *testing.B, server *postgrestest.Server, clients int, lanes []*lane) {
	b.Helper()
	admin, err := pgx.Connect(b.Context(), server.URL())
	require.NoError(b, err)
	defer admin.Close(b.Context()) //nolint:errcheck // nothing is lost with it
	wal := func() (at int64) {
		require.NoError(b, admin.QueryRow(b.Context(), `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`).Scan(&at))
		return at
	}
	keys := 0
	slice := func(l *lane, n int) {
		first := keys
		keys += n
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		log, mallocs := wal(), memory.Mallocs
		commits, statements := l.counts()
		cpu := cpuTime(b)
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
		l.cpu += cpuTime(b) - cpu
		l.done += n
		c, s := l.counts()
		l.commits, l.statements = l.commits+c-commits, l.statements+s-statements
		runtime.ReadMemStats(&memory)
		l.allocs += int64(memory.Mallocs - mallocs)
		l.wal += wal() - log
	}
	for range 2 { // connections and plans are made
		for _, l := range lanes {
			slice(l, 20*clients)
		}
	}
	for _, l := range lanes {
		l.reset()
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
		each := func(n int64) float64 { return float64(n) / float64(l.done) }
		b.ReportMetric(rate(l), l.name+"-sagas/s")
		b.ReportMetric(each(l.commits), l.name+"-commits/saga")
		b.ReportMetric(each(l.wal), l.name+"-WAL-B/saga")
		b.ReportMetric(each(l.cpu.Microseconds()), l.name+"-cpu-µs/saga")
		if l.name == "ours" {
			b.ReportMetric(each(l.statements), "ours-statements/saga")
			b.ReportMetric(each(l.allocs), "ours-allocs/saga")
		} else {
			b.ReportMetric(rate(lanes[0])/rate(l), "ratio-"+l.name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what the process has used of its processors, which says more than
// the clock on a machine that others use too.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ours are sagas.
type ours struct {
	runner  *saga.Runner
	counted *countedStore
}

func newOurs(b *testing.B, db *postgrestest.Database, happy bool) *ours {
	b.Helper()
	o := &ours{counted: &countedStore{Store: open(b, db.URL)}}
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

// countedStore counts what is asked of a home: each call is one statement in a
// transaction of its own, but for those of leases, which are seldom.
type countedStore struct {
	*postgres.Store

	commits, calls atomic.Int64
}

func (c *countedStore) counts() (commits, statements int64) { return c.commits.Load(), c.calls.Load() }

func (c *countedStore) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	c.commits.Add(1)
	c.calls.Add(1)
	return c.Store.Commit(ctx, changes)
}

func (c *countedStore) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	c.calls.Add(1)
	return c.Store.Load(ctx, id)
}

func (c *countedStore) Due(ctx context.Context, shards []saga.Shard, after saga.Due, limit int) ([]saga.Due, error) {
	c.calls.Add(1)
	return c.Store.Due(ctx, shards, after, limit)
}

func (c *countedStore) Inbox(ctx context.Context, shards []saga.Shard, limit int) ([]saga.Message, error) {
	c.calls.Add(1)
	return c.Store.Inbox(ctx, shards, limit)
}

func (c *countedStore) List(ctx context.Context, q saga.Query) ([]saga.Record, error) {
	c.calls.Add(1)
	return c.Store.List(ctx, q)
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
	made := slices.DeleteFunc(home.made, func(c saga.Change) bool { return c.Record.ID.Key == "first" })
	for _, c := range made {
		require.Empty(b, c.Consumed)
	}
	return made
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
