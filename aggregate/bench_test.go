package aggregate_test

import (
	"context"
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
// store in memory.
func BenchmarkExecute(b *testing.B) {
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
