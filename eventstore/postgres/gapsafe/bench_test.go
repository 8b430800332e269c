package gapsafe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// ways are what can be done so that no position is committed late, as the
// statement that comes before the position is drawn, in the same function. Each
// has a table of its own, of the shape of ours.
var ways = []struct{ name, declare, before, position string }{
	{"nothing", ``, ``, `nextval('%s_seq')`},
	{"watermark", ``, `PERFORM pg_advisory_xact_lock_shared((29295::bigint << 48) | coalesce(pg_sequence_last_value('%s_seq'), 0));`, `nextval('%s_seq')`},
	{"exclusive-lock", ``, `PERFORM pg_advisory_xact_lock(29295);`, `nextval('%s_seq')`},
	{"counter-row", `n bigint;`, `UPDATE %s_counter SET last = last + 1 RETURNING last INTO n;`, `n`},
	{"xid8", `x xid8 := pg_current_xact_id();`, ``, `nextval('%s_seq')`},
	{"notify-inside", ``, `PERFORM pg_notify('bench', '');`, `nextval('%s_seq')`},
}

const wayBatch = 400 // appends of each way in a round

// BenchmarkPositions measures one append to a stream of its own, a transaction
// each, by each way, in turns on one server that waits for the disk.
// "single-committer" has one connection commit for all, without protection, since
// nobody else draws positions: what waits goes into one transaction. "store" is
// the store itself, which commits together what comes together.
func BenchmarkPositions(b *testing.B) {
	server := postgrestest.Start(b, postgrestest.Config{Durable: true})
	db := server.NewDatabase(b)
	migrate(b, db)
	pool := db.Pool(b)
	for i, w := range ways {
		table := fmt.Sprintf("way%d", i)
		fill := func(sql string) string {
			if !containsVerb(sql) {
				return sql
			}
			return fmt.Sprintf(sql, table)
		}
		for _, sql := range []string{
			`CREATE SEQUENCE ` + table + `_seq`,
			`CREATE TABLE ` + table + `_counter (last bigint)`,
			`INSERT INTO ` + table + `_counter VALUES (0)`,
			`CREATE TABLE ` + table + ` (position bigint PRIMARY KEY, version bigint, at timestamptz, id uuid, tenant text, stream text, type text, data bytea,
				UNIQUE (tenant, stream, version), UNIQUE (tenant, id))`,
			`CREATE FUNCTION ` + table + `_append(p_stream text, p_id uuid, p_data bytea) RETURNS bigint LANGUAGE plpgsql AS $$
				DECLARE p bigint; ` + w.declare + `
				BEGIN
					` + fill(w.before) + `
					p := ` + fill(w.position) + `;
					INSERT INTO ` + table + ` VALUES (p, 1, clock_timestamp(), p_id, '.', p_stream, 'tested', p_data);
					RETURN p;
				END $$`,
			`GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC`,
			`GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC`,
		} {
			db.Exec(b, sql)
		}
	}
	for _, writers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			store := newStore(b, db, writers)
			commits := singleCommitter(b, pool)
			took := make([]time.Duration, len(ways)+2)
			data := make([]byte, 200)
			for b.Loop() {
				for i := range ways {
					sql := fmt.Sprintf(`SELECT way%d_append($1, $2, $3)`, i)
					took[i] += inParallel(b, writers, func(ctx context.Context) error {
						_, err := pool.Exec(ctx, sql, uuid.NewString(), uuid.New(), data)
						return err
					})
				}
				took[len(ways)] += inParallel(b, writers, func(context.Context) error {
					done := make(chan error, 1)
					commits <- committing{[]any{uuid.NewString(), uuid.New(), data}, done}
					return <-done
				})
				took[len(ways)+1] += inParallel(b, writers, func(ctx context.Context) error {
					_, err := store.Append(ctx, eventstore.Write{
						Stream: uuid.NewString(), Expected: eventstore.None, Events: []eventstore.Event{{Type: "tested", Data: data}},
					})
					return err
				})
			}
			for i, name := range append(names(), "single-committer", "store") {
				b.ReportMetric(took[0].Seconds()/took[i].Seconds(), "×nothing:"+name)
			}
			b.ReportMetric(float64(b.N*wayBatch)/took[1].Seconds(), "watermark/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// committing is an append on its way to the single committer.
type committing struct {
	args []any
	done chan<- error
}

// singleCommitter commits what comes on the channel, all that waits in one
// transaction.
func singleCommitter(b *testing.B, pool *pgxpool.Pool) chan<- committing {
	b.Helper()
	queue := make(chan committing, 128)
	var ended sync.WaitGroup
	ended.Go(func() {
		for first := range queue {
			group := []committing{first}
			for len(group) < cap(queue) && len(queue) > 0 {
				group = append(group, <-queue)
			}
			var batch pgx.Batch // one implicit transaction
			for _, c := range group {
				batch.Queue(`SELECT way0_append($1, $2, $3)`, c.args...)
			}
			err := pool.SendBatch(context.Background(), &batch).Close() //nolint:usetesting // b's context ends before the queue
			for _, c := range group {
				c.done <- err
			}
		}
	})
	b.Cleanup(func() {
		close(queue)
		ended.Wait()
	})
	return queue
}

func containsVerb(sql string) bool { return slices.Contains([]byte(sql), '%') }

func names() (all []string) {
	for _, w := range ways {
		all = append(all, w.name)
	}
	return all
}

func newStore(b *testing.B, db *postgrestest.Database, writers int) *postgres.Store {
	b.Helper()
	cfg := db.Config(b)
	cfg.MaxConns = int32(min(writers, 64)) + 8 //nolint:gosec // small
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	store, err := postgres.New(b.Context(), pool, postgres.Config{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close()) })
	return store
}

// inParallel has a number of writers do wayBatch appends together.
func inParallel(b *testing.B, writers int, do func(context.Context) error) time.Duration {
	b.Helper()
	var left atomic.Int64
	left.Store(wayBatch)
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

// BenchmarkReaderLag measures the time from an append's return to its delivery by
// a subscription, while a transaction in the same database that has written
// something else is held open, for at least 5 s.
func BenchmarkReaderLag(b *testing.B) {
	server := postgrestest.Start(b, postgrestest.Config{Durable: true})
	db := server.NewDatabase(b)
	migrate(b, db)
	store := newStore(b, db, 8)
	db.Exec(b, `CREATE TABLE foreign_work (n int)`)
	db.Exec(b, `GRANT ALL ON foreign_work TO PUBLIC`)
	tx, err := db.Pool(b).Begin(b.Context())
	require.NoError(b, err)
	_, err = tx.Exec(b.Context(), `INSERT INTO foreign_work VALUES (1)`)
	require.NoError(b, err)

	delivered := make(chan eventstore.Position, 1)
	ctx, stop := context.WithCancel(b.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		for e, err := range store.Subscribe(ctx, 0, eventstore.Filter{}) {
			if err != nil {
				return
			}
			delivered <- e.Position
		}
	})
	var lags []time.Duration
	began := time.Now()
	for n := 0; n < b.N || time.Since(began) < 5*time.Second; n++ {
		done, err := store.Append(b.Context(), eventstore.Write{
			Stream: "s", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "tested"}},
		})
		require.NoError(b, err)
		at := time.Now()
		for p := eventstore.Position(0); p < done[0].Position; {
			p = <-delivered
		}
		lags = append(lags, time.Since(at))
	}
	stop()
	reading.Wait()
	require.NoError(b, tx.Rollback(b.Context()))
	slices.Sort(lags)
	b.ReportMetric(float64(lags[len(lags)/2].Microseconds())/1e3, "ms/p50")
	b.ReportMetric(float64(lags[len(lags)*99/100].Microseconds())/1e3, "ms/p99")
	b.ReportMetric(float64(lags[len(lags)-1].Microseconds())/1e3, "ms/max")
	b.ReportMetric(0, "ns/op")
}
