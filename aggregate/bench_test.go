package aggregate_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

// A counter has as little to decide as can be.
type (
	count   struct{ N int }
	counted struct{ N int }
	adding  struct{ N int }
	counter struct{}
)

func (counter) Decide(_ *count, c adding, _ reducer.Env) ([]counted, error) {
	return []counted{{c.N}}, nil
}
func (counter) Evolve(s *count, e counted) { s.N += e.N }

var counts = must(eventstore.NewRegistry(eventstore.TypeOf[counted]("count.counted", 1)))

// BenchmarkExecute is a command to an aggregate that is in memory, on an event
// store in memory, beside the append that it leads to.
func BenchmarkExecute(b *testing.B) {
	b.Run("append alone", benchmarkAppend)
	b.Run("command", benchmarkCommand)
}

func benchmarkAppend(b *testing.B) {
	ctx := b.Context()
	log := must(memory.New(memory.Config{}))
	b.ReportAllocs()
	for version := eventstore.Version(0); b.Loop(); version++ {
		event := must(counts.Encode(counted{1}))
		if _, err := log.Append(ctx, eventstore.Write{Stream: "count-a", Expected: eventstore.Exactly(version), Events: []eventstore.Event{event}}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkCommand(b *testing.B) {
	ctx := b.Context()
	h, err := aggregate.New("count", counter{}, counts, must(memory.New(memory.Config{})), aggregate.Config[count]{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, h.Shutdown(context.WithoutCancel(ctx))) })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Execute(ctx, "a", adding{1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExecuteHot is one aggregate that many use at once.
func BenchmarkExecuteHot(b *testing.B) {
	for _, clients := range []int{2, 16, 64} {
		b.Run(fmt.Sprint("clients=", clients), func(b *testing.B) {
			ctx := b.Context()
			h, err := aggregate.New("count", counter{}, counts, must(memory.New(memory.Config{})), aggregate.Config[count]{})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, h.Shutdown(context.WithoutCancel(ctx))) })
			b.ReportAllocs()
			b.SetParallelism(max(clients/runtime.GOMAXPROCS(0), 1))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := h.Execute(ctx, "a", adding{1}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkExecuteCold is a command to an aggregate with so many events that is
// not in memory.
func BenchmarkExecuteCold(b *testing.B) {
	for _, events := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint("events=", events), func(b *testing.B) {
			ctx := b.Context()
			log := must(memory.New(memory.Config{}))
			const halls = 16 // more than stay in memory
			for i := range halls {
				w := eventstore.Write{Stream: fmt.Sprint("count-", i), Expected: eventstore.None}
				for range events {
					w.Events = append(w.Events, must(counts.Encode(counted{1})))
				}
				_, err := log.Append(ctx, w)
				require.NoError(b, err)
			}
			h, err := aggregate.New("count", counter{}, counts, log, aggregate.Config[count]{MaxLive: 4})
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, h.Shutdown(context.WithoutCancel(ctx))) })
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := h.Load(ctx, fmt.Sprint(i%halls)); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// forgetful is an event store that keeps nothing, to see what a host keeps.
type forgetful struct{ position atomic.Int64 }

func (s *forgetful) Append(_ context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	w := &writes[0]
	at, _ := w.Expected.Version()
	done := eventstore.Appended{Stream: w.Stream}
	for i, e := range w.Events {
		done.Version, done.Position = at+eventstore.Version(i+1), eventstore.Position(s.position.Add(1))
		done.Events = append(done.Events, eventstore.Recorded{ID: e.ID, Stream: w.Stream, Type: e.Type, Version: done.Version, Position: done.Position, Data: e.Data})
	}
	return []eventstore.Appended{done}, nil
}

func (*forgetful) ReadStream(context.Context, string, eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(func(eventstore.Recorded, error) bool) {}
}

func (*forgetful) ReadAll(context.Context, eventstore.Position, eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(func(eventstore.Recorded, error) bool) {}
}

func (*forgetful) Subscribe(context.Context, eventstore.Position, eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	return func(func(eventstore.Recorded, error) bool) {}
}
func (*forgetful) Head(context.Context) (eventstore.Position, error) { return 0, nil }

// BenchmarkLive has 100,000 aggregates in memory, and executes a command on each
// again and again: what one costs, and that it does not grow.
func BenchmarkLive(b *testing.B) {
	const live = 100_000
	ctx := b.Context()
	ids := make([]string, live)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	var h *aggregate.Host[count, adding, counted]
	round := func() {
		for _, id := range ids {
			if _, err := h.Execute(ctx, id, adding{1}); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		before := heap()
		var err error
		h, err = aggregate.New("count", counter{}, counts, &forgetful{}, aggregate.Config[count]{IdleAfter: -1})
		require.NoError(b, err)
		round()
		b.ReportMetric(float64(heap()-before)/live, "B/live")
		for range 4 {
			round()
		}
		b.ReportMetric(float64(heap()-before)/live, "B/live-later")
		require.Equal(b, live, h.Len())
		require.NoError(b, h.Shutdown(context.WithoutCancel(ctx)))
	}
}

// heap is what is in use.
func heap() int64 {
	// Timers that were stopped stay with the processor that had them, and keep what they
	// are for, until it comes by; of many, most have nothing to do. One is left with none.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far less
}
