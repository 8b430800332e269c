package command_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
)

func bus(b *testing.B, cfg command.Config, opts ...command.RouteOption) (*command.Bus, home) {
	b.Helper()
	db := newMemory(b, memoryConfig)
	c, err := command.New(db, db, []command.Route{
		command.Handle("put", func(_ context.Context, c put) (string, error) { return c.Name, nil }, opts...),
	}, cfg)
	if err != nil {
		b.Fatal(err)
	}
	return c, db
}

// BenchmarkDispatch is recording, routing and marking of a command whose handler
// does nothing, and beside it the two appends that are in it.
func BenchmarkDispatch(b *testing.B) {
	b.Run("bus", func(b *testing.B) {
		c, _ := bus(b, command.Config{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := command.Dispatch(b.Context(), c, put{Name: "a"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("two appends", func(b *testing.B) {
		_, db := bus(b, command.Config{})
		b.ReportAllocs()
		for b.Loop() {
			stream := "command-" + uuid.NewString()
			for v := range eventstore.Version(2) {
				_, err := db.Append(b.Context(), eventstore.Write{
					Stream: stream, Expected: eventstore.Exactly(v),
					Events: []eventstore.Event{{Type: "command.accepted", Data: []byte(`{"type":"put","payload":{"name":"a"}}`)}},
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkDispatchToAggregate is a command as it usually is, and beside it what
// its aggregate takes of that.
func BenchmarkDispatchToAggregate(b *testing.B) {
	db := newMemory(b, memoryConfig)
	sections, err := aggregate.New("section", Sections{}, sectionEvents, db, aggregate.Config[Section]{})
	if err != nil {
		b.Fatal(err)
	}
	c, err := command.New(db, db, []command.Route{
		command.Handle("open-section", func(ctx context.Context, c OpenSection) (aggregate.Feedback[Section], error) {
			return sections.Execute(ctx, c.Section, c, command.Key(ctx))
		}, command.DropResult()),
	}, command.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("bus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := command.Dispatch(b.Context(), c, OpenSection{"A", 3}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("aggregate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sections.Execute(b.Context(), "A", OpenSection{"A", 3}, aggregate.WithKey(uuid.NewString())); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRun is what a queued command takes from end to end.
func BenchmarkRun(b *testing.B) {
	done := make(chan struct{}, 1)
	db := newMemory(b, memoryConfig)
	c, err := command.New(db, db, []command.Route{
		command.Handle("put", func(_ context.Context, c put) (string, error) {
			if c.N == 1 {
				done <- struct{}{}
			}
			return c.Name, nil
		}),
	}, command.Config{})
	if err != nil {
		b.Fatal(err)
	}
	run(b.Context(), b, c)
	const batch = 100
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			if _, err := command.Enqueue(b.Context(), c, put{Name: "a", N: max(0, i-batch+2)}); err != nil {
				b.Fatal(err)
			}
		}
		<-done // the last one has begun, so the others have too
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/command")
}
