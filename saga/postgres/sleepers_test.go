package postgres_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// sleep makes sagas that are due within a minute or so from the hour on.
func sleep(t testing.TB, s *postgres.Store, from, to int) {
	t.Helper()
	const together = 500
	for ; from < to; from += together {
		changes := make([]saga.Change, min(together, to-from))
		for i := range changes {
			n := from + i
			changes[i] = change(Reservation.ID(strconv.Itoa(n)), 1)
			changes[i].Record.Due = changes[i].Record.Started.Add(time.Hour + time.Duration(n)*time.Millisecond)
		}
		verdicts, err := s.Commit(t.Context(), changes)
		require.NoError(t, err)
		require.Equal(t, len(changes), count(verdicts, saga.Committed))
	}
}

func allShards() []saga.Shard {
	shards := make([]saga.Shard, saga.Shards)
	for i := range shards {
		shards[i] = saga.Shard{Type: Reservation.ID("").Type, Number: i}
	}
	return shards
}

// What is due is found by an index, and what is read for it does not grow with the
// sagas that sleep.
func TestDueReadsNoSleepers(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	s := open(t, db.URL)
	pool := db.Pool(t)
	read := func() (rows float64) {
		t.Helper()
		_, err := pool.Exec(t.Context(), `ANALYZE rondo.sagas`)
		require.NoError(t, err)
		types, numbers, at, nothing := make([]string, saga.Shards), make([]int16, saga.Shards), make([]time.Time, saga.Shards), make([]string, saga.Shards)
		for i, shard := range allShards() {
			types[i], numbers[i] = shard.Type, int16(shard.Number)
		}
		var plan []byte
		require.NoError(t, pool.QueryRow(t.Context(), `EXPLAIN (ANALYZE, FORMAT JSON) `+fmt.Sprintf(postgres.DueSQL, 8), types, numbers, at, nothing, nothing).Scan(&plan))
		var nodes []map[string]any
		require.NoError(t, json.Unmarshal(plan, &nodes))
		var walk func(node map[string]any)
		walk = func(node map[string]any) {
			if node["Relation Name"] == "sagas" {
				require.Equal(t, "sagas_due", node["Index Name"], string(plan))
				n, _ := node["Actual Rows"].(float64)
				removed, _ := node["Rows Removed by Filter"].(float64)
				loops, _ := node["Actual Loops"].(float64)
				rows += (n + removed) * loops
			}
			children, _ := node["Plans"].([]any)
			for _, c := range children {
				walk(c.(map[string]any)) //nolint:forcetypeassert // a plan has plans
			}
		}
		walk(nodes[0]["Plan"].(map[string]any)) //nolint:forcetypeassert // it is one
		return rows
	}
	sleep(t, s, 0, 2_000)
	few := read()
	require.NotZero(t, few)
	sleep(t, s, 2_000, 20_000)
	require.InDelta(t, few, read(), 64, "as many as are asked for, of each shard")

	page, err := s.Due(t.Context(), allShards(), saga.Due{}, 1000)
	require.NoError(t, err)
	for i, d := range page {
		require.Equal(t, strconv.Itoa(i), d.ID.Key, "in the order of their time")
	}
	require.Len(t, page, 1000)
}

// BenchmarkSleepers finds what is due first among sagas that sleep.
func BenchmarkSleepers(b *testing.B) {
	for _, sleepers := range []int{1_000, 10_000, 100_000} {
		b.Run(strconv.Itoa(sleepers), func(b *testing.B) {
			db := postgrestest.New(b)
			s := open(b, db.URL)
			sleep(b, s, 0, sleepers)
			db.Exec(b, `VACUUM ANALYZE rondo.sagas`)
			shards := allShards()
			for _, limit := range []int{1, 256} {
				b.Run(fmt.Sprint("limit=", limit), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						page, err := s.Due(b.Context(), shards, saga.Due{}, limit)
						require.NoError(b, err)
						require.Len(b, page, limit)
					}
				})
			}
		})
	}
}
