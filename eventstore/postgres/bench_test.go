package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
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
	var done [2]int
	var took [2]time.Duration
	slice := func(which int, n int, f func(context.Context, string, int) error) {
		round := a.tail.Add(1)
		var group sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(n))
		began := time.Now()
		for w := range writers {
			group.Go(func() {
				for version := 1; left.Add(-1) >= 0; version++ {
					if err := f(b.Context(), fmt.Sprintf("seats-%d-%d-%d", which, round, w), version); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		took[which] += time.Since(began)
		done[which] += n
	}
	slice(0, 2*writers, ours) // connections and statements are made
	slice(1, 2*writers, theirs)
	done, took = [2]int{}, [2]time.Duration{}
	b.ResetTimer()
	for done[0] < b.N {
		n := min(b.N-done[0], max(200, 20*writers))
		slice(0, n, ours)
		slice(1, n, theirs)
	}
	b.StopTimer()
	rate := func(i int) float64 { return float64(done[i]) / took[i].Seconds() }
	b.ReportMetric(rate(0), "ours/s")
	b.ReportMetric(rate(1), "plain/s")
	b.ReportMetric(rate(0)/rate(1), "ratio")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkAppend(b *testing.B) {
	for _, server := range []struct {
		name   string
		config postgrestest.Config
	}{
		{"sync", postgrestest.Config{Durable: true}},
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
