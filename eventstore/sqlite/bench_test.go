package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

const benchData = 200 // bytes of an event

// bare is a prepared INSERT into the table of events, on a connection set up like
// the store's: what an append costs at least.
type bare struct {
	db   *sql.DB
	stmt *sql.Stmt
	data []byte
	n    int64
}

func newBare(b *testing.B, d sqlite.Durability) *bare {
	b.Helper()
	path := file(b)
	s, err := sqlite.Open(b.Context(), path, sqlite.Config{})
	require.NoError(b, err)
	require.NoError(b, s.Close())
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous("+map[sqlite.Durability]string{
		sqlite.Full: "FULL", sqlite.Normal: "NORMAL",
	}[d]+")&_pragma=secure_delete(FAST)&_pragma=cache_size(-16384)")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	db.SetMaxOpenConns(1)
	stmt, err := db.PrepareContext(b.Context(), `INSERT INTO rondo_events (tenant, stream, version, id, type, schema, at, meta, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	require.NoError(b, err)
	return &bare{db: db, stmt: stmt, data: make([]byte, benchData)}
}

func (x *bare) insert(b *testing.B) {
	b.Helper()
	x.n++
	id, err := uuid.NewV7()
	require.NoError(b, err)
	_, err = x.stmt.ExecContext(b.Context(), "", "seats-A", x.n, id[:], "inventory.seats-held", 1, time.Now().UnixMicro(), nil, x.data)
	require.NoError(b, err)
}

func appendOne(b testing.TB, s eventstore.Store, stream string, data []byte) {
	b.Helper()
	_, err := s.Append(b.Context(), eventstore.Write{
		Stream: stream, Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "inventory.seats-held", Data: data}},
	})
	require.NoError(b, err)
}

// times adds up how long something has taken, and how often it was done.
type times struct {
	all   []time.Duration
	total time.Duration
}

func (t *times) measure(f func()) {
	begin := time.Now()
	f()
	took := time.Since(begin)
	t.all = append(t.all, took)
	t.total += took
}

func (t *times) median() time.Duration {
	slices.Sort(t.all)
	return t.all[len(t.all)/2]
}

// BenchmarkAppend sets appends against bare prepared INSERTs, turn by turn.
func BenchmarkAppend(b *testing.B) {
	for _, d := range []sqlite.Durability{sqlite.Full, sqlite.Normal} {
		name := map[sqlite.Durability]string{sqlite.Full: "full", sqlite.Normal: "normal"}[d]
		for _, writers := range []int{1, 8, 32, 128} {
			b.Run(fmt.Sprintf("%s/writers=%d", name, writers), func(b *testing.B) {
				benchmarkAppend(b, d, writers, func(writer int) string { return "seats-" + strconv.Itoa(writer) })
			})
		}
		b.Run(name+"/writers=64,one stream", func(b *testing.B) {
			benchmarkAppend(b, d, 64, func(int) string { return "seats-A" })
		})
	}
}

func benchmarkAppend(b *testing.B, d sqlite.Durability, writers int, stream func(writer int) string) {
	b.Helper()
	limit := newBare(b, d)
	s := open(b, file(b), sqlite.Config{Durability: d})
	data := make([]byte, benchData)
	each := 1 // appends of a writer in a turn
	if writers > 1 {
		each = 4
	}
	var bare, ours times
	for b.Loop() {
		bare.measure(func() { limit.insert(b) })
		ours.measure(func() {
			if writers == 1 {
				appendOne(b, s, stream(0), data)
				return
			}
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for range each {
						appendOne(b, s, stream(w), data)
					}
				})
			}
			wg.Wait()
		})
	}
	report(b, &bare, &ours, 1, float64(writers*each))
}

// report compares what was measured, turn by turn, per event. "×bare" is how many
// of our events go into the time of a bare one; "×bare-mid" is that of the medians,
// which a disk's hiccups spoil less.
func report(b *testing.B, bare, ours *times, bareEvents, ourEvents float64) {
	b.Helper()
	n := float64(len(ours.all))
	events := ourEvents / bareEvents
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(bare.total)/n/bareEvents, "ns/bare")
	b.ReportMetric(float64(ours.total)/n/ourEvents, "ns/event")
	b.ReportMetric(events*float64(bare.total)/float64(ours.total), "×bare")
	b.ReportMetric(events*float64(bare.median())/float64(ours.median()), "×bare-mid")
}

// BenchmarkAppendMany appends 100 events at once, against as many bare INSERTs in a
// transaction, turn by turn.
func BenchmarkAppendMany(b *testing.B) {
	const many = 100
	limit := newBare(b, sqlite.Full)
	begin, err := limit.db.PrepareContext(b.Context(), `BEGIN IMMEDIATE`)
	require.NoError(b, err)
	commit, err := limit.db.PrepareContext(b.Context(), `COMMIT`)
	require.NoError(b, err)
	s := open(b, file(b), sqlite.Config{})
	var bare, ours times
	for b.Loop() {
		bare.measure(func() {
			_, err := begin.ExecContext(b.Context())
			require.NoError(b, err)
			for range many {
				limit.insert(b)
			}
			_, err = commit.ExecContext(b.Context())
			require.NoError(b, err)
		})
		ours.measure(func() { fill(b, s, "seats-A", many) })
	}
	report(b, &bare, &ours, many, many)
}

// BenchmarkInTx changes a row and appends an event in one transaction, by many
// goroutines at once.
func BenchmarkInTx(b *testing.B) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, file(b), sqlite.Config{})
			ctx := b.Context()
			require.NoError(b, s.InTx(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `CREATE TABLE seats (section TEXT PRIMARY KEY, held INTEGER NOT NULL) STRICT`)
				return err
			}))
			data := make([]byte, benchData)
			b.ReportAllocs()
			b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
			work := func() {
				err := s.InTx(ctx, func(tx *sql.Tx) error {
					if err := hold(ctx, tx, "A"); err != nil {
						return err
					}
					_, err := s.AppendTx(ctx, tx, eventstore.Write{
						Stream: "seats-A", Expected: eventstore.Any,
						Events: []eventstore.Event{{Type: "inventory.seats-held", Data: data}},
					})
					return err
				})
				if err != nil {
					b.Error(err)
				}
			}
			if writers == 1 {
				for b.Loop() {
					work()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					work()
				}
			})
		})
	}
}

// BenchmarkAppendAlone shows what an append allocates.
func BenchmarkAppendAlone(b *testing.B) {
	s := open(b, file(b), sqlite.Config{Durability: sqlite.Normal})
	data := make([]byte, benchData)
	b.ReportAllocs()
	for b.Loop() {
		appendOne(b, s, "seats-A", data)
	}
}

func fill(b *testing.B, s eventstore.Store, stream string, n int) {
	b.Helper()
	for n > 0 {
		w := eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: make([]eventstore.Event, min(n, 10_000))}
		for i := range w.Events {
			w.Events[i] = eventstore.Event{Type: "inventory.seats-held", Data: make([]byte, benchData)}
		}
		_, err := s.Append(b.Context(), w)
		require.NoError(b, err)
		n -= len(w.Events)
	}
}

// BenchmarkLoad reads a stream of 10,000 events, against a bare scan of its rows
// with database/sql.
func BenchmarkLoad(b *testing.B) {
	const events = 10_000
	path := file(b)
	s := open(b, path, sqlite.Config{})
	fill(b, s, "seats-A", events)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(1)")
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	stmt, err := db.PrepareContext(b.Context(), `SELECT position, version, id, type, schema, at, meta, data FROM rondo_events WHERE tenant = '' AND stream = ? AND version >= ? ORDER BY version`)
	require.NoError(b, err)
	var bare, ours times
	b.ReportAllocs()
	for b.Loop() {
		bare.measure(func() {
			rows, err := stmt.QueryContext(b.Context(), "seats-A", 1)
			require.NoError(b, err)
			n := 0
			for rows.Next() {
				var position, version, schema, at int64
				var id, data []byte
				var eventType string
				var meta sql.NullString
				if err := rows.Scan(&position, &version, &id, &eventType, &schema, &at, &meta, &data); err != nil {
					b.Fatal(err)
				}
				n++
			}
			require.NoError(b, rows.Err())
			require.Equal(b, events, n)
		})
		ours.measure(func() {
			n := 0
			for _, err := range s.ReadStream(b.Context(), "seats-A", 1) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			require.Equal(b, events, n)
		})
	}
	report(b, &bare, &ours, events, events)
}

// BenchmarkReadAll goes through 100,000 events. "heap-MB" is how much more memory
// is in use on the way than before, at most.
func BenchmarkReadAll(b *testing.B) {
	const events = 100_000
	s := open(b, filepath.Join(b.TempDir(), "events.db"), sqlite.Config{Durability: sqlite.Normal})
	fill(b, s, "seats-A", events)
	for name, f := range map[string]eventstore.Filter{
		"all":           {},
		"one category":  {Categories: []string{"seats"}},
		"one type":      {Types: []string{"inventory.seats-held"}},
		"nothing found": {Types: []string{"inventory.seats-released"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before, most := heap(), uint64(0)
			for b.Loop() {
				n := 0
				for _, err := range s.ReadAll(b.Context(), 0, f) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n%25_000 == 0 {
						b.StopTimer()
						most = max(most, heap())
						b.StartTimer()
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/events, "ns/event")
			b.ReportMetric(max(0, float64(most)-float64(before))/(1<<20), "heap-MB")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
