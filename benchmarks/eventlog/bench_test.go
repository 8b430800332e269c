package eventlog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

const (
	insertSide = "insert"
	rondo      = "rondo"
	peer       = "watermill"
)

var sides = []string{insertSide, rondo, peer}

// turn is how many appends a side does before it is another's turn.
const turn = 512

func BenchmarkAppend(b *testing.B) { compare(b, nil) }

// BenchmarkAppendUnsynced has no side wait for the disk: what is left is the
// processor's.
func BenchmarkAppendUnsynced(b *testing.B) {
	compare(b, map[string]string{"synchronous_commit": "off"})
}

func compare(b *testing.B, settings map[string]string) {
	b.Helper()
	db := postgrestest.Start(b, postgrestest.Config{Durable: true, Settings: settings}).NewDatabase(b)
	data := make([]byte, 200)
	for i := range data {
		data[i] = ' '
	}
	data[0], data[199] = '{', '}' // Watermill's default column is JSON
	appends := map[string]func(context.Context) error{
		insertSide: inserter(b, db, data), rondo: appender(b, db, data), peer: publisher(b, db, data),
	}
	for _, writers := range []int{1, 8, 32, 128} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			took := map[string]time.Duration{}
			round := 0
			for b.Loop() {
				for i := range sides {
					side := sides[(i+round)%len(sides)]
					took[side] += inParallel(b, writers, appends[side])
				}
				round++
			}
			for _, side := range sides {
				b.ReportMetric(float64(turn*round)/took[side].Seconds(), side+"/s")
				b.ReportMetric(took[insertSide].Seconds()/took[side].Seconds(), "×insert:"+side)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func inserter(b *testing.B, db *postgrestest.Database, data []byte) func(context.Context) error {
	b.Helper()
	pool := wide(b, db)
	_, err := pool.Exec(b.Context(), `CREATE SCHEMA bench`)
	require.NoError(b, err)
	_, err = pool.Exec(b.Context(), `CREATE TABLE bench.events (position bigserial PRIMARY KEY, stream text, version bigint, id uuid UNIQUE,
		at timestamptz DEFAULT now(), type text, data bytea, UNIQUE (stream, version))`)
	require.NoError(b, err)
	return func(ctx context.Context) error {
		_, err := pool.Exec(ctx, `INSERT INTO bench.events (stream, version, id, type, data) VALUES ($1, 1, $2, 'measured', $3)`,
			"order-"+uuid.NewString(), uuid.Must(uuid.NewV7()), data)
		return err
	}
}

func appender(b *testing.B, db *postgrestest.Database, data []byte) func(context.Context) error {
	b.Helper()
	store, err := postgres.New(b.Context(), wide(b, db), postgres.Config{AutoMigrate: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	return func(ctx context.Context) error {
		_, err := store.Append(ctx, eventstore.Write{
			Stream: "order-" + uuid.NewString(), Expected: eventstore.None, Events: []eventstore.Event{{Type: "measured", Data: data}},
		})
		return err
	}
}

func publisher(b *testing.B, db *postgrestest.Database, data []byte) func(context.Context) error {
	b.Helper()
	p, err := watermillsql.NewPublisher(watermillsql.BeginnerFromPgx(wide(b, db)), watermillsql.PublisherConfig{
		SchemaAdapter: watermillsql.DefaultPostgreSQLSchema{}, AutoInitializeSchema: true,
	}, watermill.NopLogger{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, p.Close()) })
	return func(ctx context.Context) error {
		m := message.NewMessage(uuid.NewString(), data)
		m.SetContext(ctx)
		return p.Publish("orders", m)
	}
}

// wide is a pool with room for all writers of the sides that take a connection
// each.
func wide(b *testing.B, db *postgrestest.Database) *pgxpool.Pool {
	b.Helper()
	cfg := db.Config(b)
	cfg.MaxConns = 128
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return pool
}

// inParallel has a number of writers do a turn together.
func inParallel(b *testing.B, writers int, do func(context.Context) error) time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(turn)
	var all sync.WaitGroup
	began := time.Now()
	for range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}
