package sqlite_test

import (
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// A nap is a saga that sleeps.
type nap struct{ Hours int }

var naps = saga.Define("nap", reducer.Func[struct{}, nap](func(_ *struct{}, a nap, _ reducer.Env) effect.Effect[nap] {
	return saga.Of[nap]{}.After("", time.Duration(a.Hours)*time.Hour, a)
}), saga.Types{Actions: []saga.ActionType{saga.Action[nap]("nap")}})

// bedroom is a worker with sagas that sleep.
type bedroom struct {
	runner *saga.Runner
	naps   atomic.Int64
}

func newBedroom(t testing.TB) *bedroom {
	t.Helper()
	runner, err := saga.New(open(t, file(t), sqlite.Config{Durability: sqlite.Normal}), saga.Config{Resident: 20 * time.Millisecond}, naps)
	require.NoError(t, err)
	ended := make(chan error, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { ended <- runner.Run(ctx) }()
	t.Cleanup(func() {
		require.NoError(t, runner.Shutdown(ctx))
		require.NoError(t, <-ended)
	})
	return &bedroom{runner: runner}
}

// sleep has n more sagas sleep.
func (r *bedroom) sleep(t testing.TB, n int) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(64)
	for range n {
		g.Go(func() error {
			_, err := r.runner.Start(t.Context(), naps.ID(strconv.FormatInt(r.naps.Add(1), 10)), nap{Hours: 10})
			return err
		})
	}
	require.NoError(t, g.Wait())
}

// size is what a process holds of memory and has of goroutines.
func size() (heap int64, goroutines int) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held is gone after the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), runtime.NumGoroutine() //nolint:gosec // it is less than 2^63
}

// settled is size when what can fall asleep has, as far as can be told.
func settled(t testing.TB) (heap int64, goroutines int) {
	t.Helper()
	heap, goroutines = size()
	require.Eventually(t, func() bool {
		last := heap
		heap, goroutines = size()
		return heap > last-64<<10
	}, waitAtMost, 100*time.Millisecond)
	return heap, goroutines
}

// Sagas that sleep take neither memory nor goroutines.
//
//nolint:paralleltest // it looks at the memory of the whole process
func TestSleepersTakeNoMemory(t *testing.T) {
	const first, more = 1_000, 10_000
	const each = 20 // bytes of heap; a saga that is in memory has some thousand
	r := newBedroom(t)
	r.sleep(t, first)
	heap, goroutines := settled(t)
	r.sleep(t, more)
	require.Eventually(t, func() bool {
		now, some := size()
		t.Logf("%d sagas more: %d bytes and %d goroutines more", more, now-heap, some-goroutines)
		return now < heap+each*more && some <= goroutines+4
	}, waitAtMost, 100*time.Millisecond)
}

// BenchmarkSleepersOfAWorker reports what sagas that sleep take of a worker, each in
// bytes of its heap, all of them in goroutines; it looks at one again and again.
func BenchmarkSleepersOfAWorker(b *testing.B) {
	const first, more = 1_000, 100_000
	r := newBedroom(b)
	r.sleep(b, first)
	heap, goroutines := settled(b)
	r.sleep(b, more)
	now, some := settled(b)
	for b.Loop() {
		_, err := r.runner.State(b.Context(), naps.ID("1"))
		require.NoError(b, err)
	}
	b.ReportMetric(float64(now-heap)/more, "heap-B/saga")
	b.ReportMetric(float64(some-goroutines), "goroutines")
}
