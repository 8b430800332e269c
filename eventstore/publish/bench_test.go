package publish_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/publish"
)

// BenchmarkPublish publishes what is there to a handler that does nothing, beside
// reading it without one. One operation is one event of 1 kB.
func BenchmarkPublish(b *testing.B) {
	db, err := memory.New(memory.Config{})
	require.NoError(b, err)
	fill(b, db)
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for _, err := range db.ReadAll(b.Context(), 0, eventstore.Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
	})
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				require.NoError(b, db.ResetCheckpoint(b.Context(), "sub", 0))
				ctx, cancel := context.WithCancel(b.Context())
				p, err := publish.New(db, db, "sub", func(_ context.Context, batch publish.Batch) error {
					n += len(batch.Events)
					if batch.Position() == filled {
						cancel()
					}
					return nil
				}, publish.Config{BatchSize: size})
				require.NoError(b, err)
				require.Equal(b, context.Canceled, p.Run(ctx))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		})
	}
}

// filled is how many events there are to publish.
const filled = 10_000

// fill appends them.
func fill(b *testing.B, db *memory.Store) {
	b.Helper()
	events := make([]eventstore.Event, filled)
	for i := range events {
		events[i] = eventstore.Event{Type: "made", Data: make([]byte, 1024)}
	}
	_, err := db.Append(b.Context(), eventstore.Write{Stream: "a-1", Expected: eventstore.None, Events: events})
	require.NoError(b, err)
}
