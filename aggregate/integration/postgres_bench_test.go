package integration_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore/postgres"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
)

// BenchmarkPostgres compares commands with what one would write by hand: a
// transaction that reads a row and locks it, checks, inserts an event and updates
// the row. Both run in slices that take turns on one server, which waits for the
// disk, so that the ratio holds on a machine that others use.
//
//	go test -run '^$' -bench Postgres -benchtime 2000x ./aggregate/integration
func BenchmarkPostgres(b *testing.B) {
	const conns = 20
	server := postgrestest.Start(b, postgrestest.Config{Durable: true})
	db := server.NewDatabase(b)
	cfg := db.Config(b)
	cfg.MaxConns = conns
	log, err := postgres.Open(b.Context(), db.URL, postgres.Config{AutoMigrate: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, log.Close()) })
	h, err := aggregate.New("count", counter{}, counts, log, aggregate.Config[count]{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, h.Shutdown(context.WithoutCancel(b.Context()))) })
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	for _, statement := range []string{
		`CREATE TABLE heads (id text PRIMARY KEY, version bigint NOT NULL, total bigint NOT NULL)`,
		`CREATE TABLE plain (LIKE rondo.events INCLUDING ALL)`,
	} {
		_, err = pool.Exec(b.Context(), statement)
		require.NoError(b, err)
	}

	ours := func(ctx context.Context, id string) error {
		_, err := h.Execute(ctx, id, adding{1})
		return err
	}
	bare := func(ctx context.Context, id string) error { return byHand(ctx, pool, id) }
	run := 0
	for _, hot := range []bool{false, true} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("hot=%t/clients=%d", hot, clients), func(b *testing.B) {
				run++
				name := func(client int) string {
					if hot {
						client = 0
					}
					return fmt.Sprint(run, "-", client)
				}
				versus(b, clients, name, ours, bare)
			})
		}
	}
}

// versus lets ours and theirs take turns, each with so many clients, and reports
// how many of each were done in a second.
func versus(b *testing.B, clients int, name func(client int) string, ours, theirs func(context.Context, string) error) {
	b.Helper()
	var done [2]int
	var took [2]time.Duration
	slice := func(which, n int, f func(context.Context, string) error) {
		var group sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(n))
		began := time.Now()
		for c := range clients {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					if err := f(b.Context(), name(c)); err != nil {
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
	slice(0, 2*clients, ours) // connections and statements are made, aggregates loaded
	slice(1, 2*clients, theirs)
	done, took = [2]int{}, [2]time.Duration{}
	b.ResetTimer()
	for done[0] < b.N {
		n := min(b.N-done[0], max(200, 10*clients))
		slice(0, n, ours)
		slice(1, n, theirs)
	}
	b.StopTimer()
	rate := func(i int) float64 { return float64(done[i]) / took[i].Seconds() }
	b.ReportMetric(rate(0), "ours/s")
	b.ReportMetric(rate(1), "byhand/s")
	b.ReportMetric(rate(0)/rate(1), "ratio")
	b.ReportMetric(0, "ns/op")
}

// byHand adds to a count as a careful program would without the host.
func byHand(ctx context.Context, pool *pgxpool.Pool, id string) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var version, total int64
		err := tx.QueryRow(ctx, `SELECT version, total FROM heads WHERE id = $1 FOR UPDATE`, id).Scan(&version, &total)
		if errors.Is(err, pgx.ErrNoRows) {
			if _, err := tx.Exec(ctx, `INSERT INTO heads VALUES ($1, 0, 0) ON CONFLICT DO NOTHING`, id); err != nil {
				return err
			}
			err = tx.QueryRow(ctx, `SELECT version, total FROM heads WHERE id = $1 FOR UPDATE`, id).Scan(&version, &total)
		}
		if err != nil {
			return err
		}
		if total < 0 {
			return errors.New("it is refused")
		}
		var batch pgx.Batch // one round trip for both
		batch.Queue(`INSERT INTO plain (position, version, at, id, schema, tenant, stream, type, data)
			VALUES (nextval('rondo.position'), $1, clock_timestamp(), $2, 1, '.', $3, 'count.counted', $4)`,
			version+1, [16]byte(uuid.Must(uuid.NewV7())), "count-"+id, []byte(`{"N":1}`))
		batch.Queue(`UPDATE heads SET version = version + 1, total = total + 1 WHERE id = $1`, id)
		return tx.SendBatch(ctx, &batch).Close()
	})
}
