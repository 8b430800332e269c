package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// The benchmarks compare the store with what the database can do: a plain INSERT
// into a table of the same columns and indexes, a bare scan. Both run in slices
// that take turns, on one server and one pool's number of connections, so that
// the ratio holds on a machine that others use. The server waits for the disk
// (fsync and synchronous_commit are on) but where the name says otherwise.
//
//	go test -run '^$' -bench . -benchtime 4s ./eventstore/postgres

// payload is a small event's.
var payload = []byte(`{"event":"e1","section":"A","seats":["A-12","A-13"],"reservation":"0197f1e2-7a52-7d0a-9f60-2c0f5f1f3c11","price":4200}`)

// arena is a server with the store and the table to compare it with.
type arena struct {
	store *postgres.Store
	plain *pgxpool.Pool
	tail  atomic.Int64
}

func newArena(b *testing.B, server postgrestest.Config, conns int32) *arena {
	b.Helper()
	return newArenaOn(b, postgrestest.Start(b, server), conns)
}

func newArenaOn(b *testing.B, server *postgrestest.Server, conns int32) *arena {
	b.Helper()
	db := server.NewDatabase(b)
	store := open(b, db, postgres.Config{})
	db.Exec(b, `SELECT 1`)
	cfg := db.Config(b)
	cfg.MaxConns = conns
	plain, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(plain.Close)
	_, err = plain.Exec(b.Context(), `CREATE TABLE plain (LIKE rondo.events INCLUDING ALL)`)
	require.NoError(b, err)
	return &arena{store: store, plain: plain}
}

const insertSQL = `INSERT INTO plain (position, version, at, id, schema, tenant, stream, type, data)
	VALUES (nextval('rondo.position'), $1, clock_timestamp(), $2, 1, '.', $3, $4, $5)`

func (a *arena) insert(ctx context.Context, stream string, version int) error {
	_, err := a.plain.Exec(ctx, insertSQL, version, [16]byte(uuid.Must(uuid.NewV7())), stream, "inventory.seats-held", payload)
	return err
}

func (a *arena) append(ctx context.Context, stream string, version int) error {
	_, err := a.store.Append(ctx, eventstore.Write{
		Stream: stream, Expected: eventstore.Exactly(eventstore.Version(version - 1)),
		Events: []eventstore.Event{{Type: "inventory.seats-held", Data: payload}},
	})
	return err
}

// versus lets ours and theirs take turns, each with so many writers, and reports
// how many of each were done a second and the ratio.
func (a *arena) versus(b *testing.B, writers int, ours, theirs func(ctx context.Context, stream string, version int) error) {
	b.Helper()
	rates := a.turns(b, max(200, 20*writers), contender{writers, 1, ours}, contender{writers, 1, theirs})
	b.ReportMetric(rates[0], "ours/s")
	b.ReportMetric(rates[1], "plain/s")
	b.ReportMetric(rates[0]/rates[1], "ratio")
}

// contender is something to measure: so many writers call do, which does so many
// of what is counted.
type contender struct {
	writers, each int
	do            func(ctx context.Context, stream string, version int) error
}

// turns lets contenders take turns, in slices of so many, until each has done b.N,
// and returns how many each has done a second.
func (a *arena) turns(b *testing.B, size int, contenders ...contender) []float64 {
	b.Helper()
	done := make([]int, len(contenders))
	took := make([]time.Duration, len(contenders))
	slice := func(which int, n int) {
		c := contenders[which]
		round := a.tail.Add(1)
		var group sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(n))
		began := time.Now()
		for w := range c.writers {
			group.Go(func() {
				for version := 1; left.Add(-int64(c.each)) > -int64(c.each); version++ {
					if err := c.do(b.Context(), fmt.Sprintf("seats-%d-%d-%d", which, round, w), version); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		took[which] += time.Since(began)
		done[which] += (n + c.each - 1) / c.each * c.each
	}
	for i, c := range contenders { // connections and statements are made
		slice(i, 2*c.writers*c.each)
	}
	clear(done)
	clear(took)
	b.ResetTimer()
	for done[0] < b.N {
		n := min(b.N-done[0], size)
		for i := range contenders {
			slice(i, n)
		}
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	rates := make([]float64, len(contenders))
	for i := range rates {
		rates[i] = float64(done[i]) / took[i].Seconds()
	}
	return rates
}

func BenchmarkAppend(b *testing.B) {
	for _, server := range []struct {
		name   string
		config postgrestest.Config
	}{
		{"sync", postgrestest.Config{Durable: true}},
		// A disk that takes a millisecond longer, as those over a network do.
		{"slow", postgrestest.Config{Durable: true, Settings: map[string]string{"commit_delay": "1000", "commit_siblings": "0"}}},
		{"async", postgrestest.Config{Durable: true, Settings: map[string]string{"synchronous_commit": "off"}}},
	} {
		b.Run(server.name, func(b *testing.B) {
			a := newArena(b, server.config, 20)
			for _, writers := range []int{1, 8, 32, 128, 512} {
				b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
					a.versus(b, writers, a.append, a.insert)
				})
			}
		})
	}
}

// BenchmarkCeiling is what committing together could reach at most: two
// connections insert one event each into half as many streams as there are
// writers, by one INSERT that unnests them and checks nothing, and nobody waits
// for the others. Both are reported as multiples of a plain INSERT each.
func BenchmarkCeiling(b *testing.B) {
	a := newArena(b, postgrestest.Config{Durable: true}, 20)
	for _, writers := range []int{32, 128, 512} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			each := writers / 2
			rates := a.turns(b, 20*writers,
				contender{writers, 1, a.append},
				contender{writers, 1, a.insert},
				contender{2, each, func(ctx context.Context, stream string, version int) error {
					return a.unnest(ctx, each, func(i int) (string, int) { return fmt.Sprintf("%s-%d", stream, i), version })
				}},
			)
			b.ReportMetric(rates[0], "ours/s")
			b.ReportMetric(rates[1], "plain/s")
			b.ReportMetric(rates[2], "unnest/s")
			b.ReportMetric(rates[0]/rates[1], "ratio")
			b.ReportMetric(rates[2]/rates[1], "ceiling")
		})
	}
}

// BenchmarkAppend100 appends a hundred events at a time, against one INSERT that
// unnests them.
func BenchmarkAppend100(b *testing.B) {
	const n = 100
	a := newArena(b, postgrestest.Config{Durable: true}, 20)
	unnest := func(ctx context.Context, stream string, version int) error {
		return a.unnest(ctx, n, func(i int) (string, int) { return stream, (version-1)*n + i + 1 })
	}
	ours := func(ctx context.Context, stream string, version int) error {
		events := make([]eventstore.Event, n)
		for i := range events {
			events[i] = eventstore.Event{Type: "inventory.seats-held", Data: payload}
		}
		_, err := a.store.Append(ctx, eventstore.Write{
			Stream: stream, Expected: eventstore.Exactly(eventstore.Version((version - 1) * n)), Events: events,
		})
		return err
	}
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { a.versus(b, writers, ours, unnest) })
	}
}

// unnest inserts n events by one statement, into the streams and with the versions
// that at says.
func (a *arena) unnest(ctx context.Context, n int, at func(i int) (string, int)) error {
	versions, ids := make([]int64, n), make([][16]byte, n)
	streams, types, data := make([]string, n), make([]string, n), make([][]byte, n)
	for i := range n {
		stream, version := at(i)
		versions[i], ids[i] = int64(version), uuid.Must(uuid.NewV7())
		streams[i], types[i], data[i] = stream, "inventory.seats-held", payload
	}
	_, err := a.plain.Exec(ctx, `INSERT INTO plain (position, version, at, id, schema, tenant, stream, type, data)
		SELECT nextval('rondo.position'), u.version, clock_timestamp(), u.id, 1, '.', u.stream, u.type, u.data
		FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::bytea[]) AS u(version, id, stream, type, data)`,
		versions, ids, streams, types, data)
	return err
}

// BenchmarkHotStream has 64 append to one stream, whatever version it has.
func BenchmarkHotStream(b *testing.B) {
	a := newArena(b, postgrestest.Config{Durable: true}, 20)
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				_, err := a.store.Append(b.Context(), eventstore.Write{
					Stream: "seats-hot", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "inventory.seats-held", Data: payload}},
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLoad reads a stream of 10,000 events, against a query that scans its
// rows into as many variables.
func BenchmarkLoad(b *testing.B) {
	const n = 10_000
	a := newArena(b, postgrestest.Config{Durable: true}, 20)
	events := make([]eventstore.Event, n)
	for i := range events {
		events[i] = eventstore.Event{
			Type: "inventory.seats-held", Data: payload,
			Meta: eventstore.Meta{CorrelationID: uuid.Must(uuid.NewV7()), CausationID: uuid.Must(uuid.NewV7()), Actor: "customer-1"},
		}
	}
	_, err := a.store.Append(b.Context(), eventstore.Write{Stream: "seats-long", Expected: eventstore.None, Events: events})
	require.NoError(b, err)
	_, err = a.plain.Exec(b.Context(), `BEGIN; SET LOCAL rondo.tenant = '.'; INSERT INTO plain SELECT * FROM rondo.events; COMMIT; ANALYZE plain; ANALYZE rondo.events`)
	require.NoError(b, err)

	ours := func() error {
		read := 0
		for _, err := range a.store.ReadStream(b.Context(), "seats-long", 0) {
			if err != nil {
				return err
			}
			read++
		}
		if read != n {
			return fmt.Errorf("read %d events", read)
		}
		return nil
	}
	bare := func() error {
		rows, err := a.plain.Query(b.Context(), `SELECT position, version, at, id, correlation_id, causation_id, schema, tenant, stream, type, data,
			actor, trace_parent, subject, labels FROM plain WHERE tenant = '.' AND stream = $1 ORDER BY version`, "seats-long")
		if err != nil {
			return err
		}
		read := 0
		var (
			position, version          int64
			at                         time.Time
			id, correlation, causation pgtype.UUID
			schema                     int16
			tenant, stream, eventType  string
			actor, trace, subject      pgtype.Text
			labels                     []byte
		)
		for rows.Next() {
			var data []byte
			if err := rows.Scan(&position, &version, &at, &id, &correlation, &causation, &schema, &tenant, &stream, &eventType, &data,
				&actor, &trace, &subject, &labels); err != nil {
				return err
			}
			read++
		}
		if read != n {
			return fmt.Errorf("read %d rows", read)
		}
		return rows.Err()
	}
	var took [2]time.Duration
	run := func(which int, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		took[which] += time.Since(began)
	}
	for range 8 { // statements are prepared, plans are made
		run(0, ours)
		run(1, bare)
	}
	took = [2]time.Duration{}
	b.ResetTimer()
	for range b.N {
		run(0, ours)
		run(1, bare)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*n/took[0].Seconds(), "ours-events/s")
	b.ReportMetric(float64(b.N)*n/took[1].Seconds(), "bare-rows/s")
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
	b.ReportMetric(0, "ns/op")
}
