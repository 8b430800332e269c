package publish_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/eventstore/publish"
)

// Mails are sent for tickets that were sold, and for nothing else. The first
// attempt at the second one fails.
func Example() {
	ctx, shutdown := context.WithCancel(context.Background())
	db, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	for i, what := range []string{"sold", "held", "sold"} {
		_, err := db.Append(ctx, eventstore.Write{
			Stream: "tickets-A", Expected: eventstore.Exactly(eventstore.Version(i)),
			Events: []eventstore.Event{{Type: what, Data: fmt.Appendf(nil, `{"seat":"A%d"}`, i+1)}},
		})
		if err != nil {
			panic(err)
		}
	}

	failed := false
	p, err := publish.New(db, db, "mailer", publish.Each(func(_ context.Context, e eventstore.Recorded) error {
		if e.Version == 3 && !failed {
			failed = true
			return errors.New("mail server is busy")
		}
		fmt.Printf("mail: %s %s\n", e.Type, e.Data)
		return nil
	}), publish.Config{
		Filter: eventstore.Filter{Types: []string{"sold"}},
		Hooks: publish.Hooks{
			Retrying: func(r publish.RetryInfo) { fmt.Println("again:", r.Err) },
			Published: func(b publish.Batch) {
				if b.Position() == 3 {
					shutdown()
				}
			},
		},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(p.Run(ctx))
	lease, _, err := db.LoadCheckpoint(context.Background(), "mailer")
	fmt.Println("checkpoint", lease.Checkpoint, err)
	// Output:
	// mail: sold {"seat":"A1"}
	// again: mail server is busy
	// mail: sold {"seat":"A3"}
	// context canceled
	// checkpoint 3 <nil>
}

// ledger is a sink that makes each event count once: with what an event does, it
// keeps its position and the token of whoever brought it.
type ledger struct {
	mu    sync.Mutex
	token int64
	last  eventstore.Position
	sum   int
}

func (l *ledger) handle(_ context.Context, b publish.Batch) error {
	l.mu.Lock() // the sink's transaction
	defer l.mu.Unlock()
	if b.Lease.Token < l.token {
		return errors.New("somebody else runs the subscription")
	}
	l.token = b.Lease.Token
	for _, e := range b.Events {
		if e.Position > l.last {
			l.sum += len(e.Data)
			l.last = e.Position
		}
	}
	return nil
}

// After a crash between handling and saving the same events come again, and count
// once.
func Example_exactlyOnce() {
	ctx, shutdown := context.WithCancel(context.Background())
	db, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	for range 3 {
		if _, err := db.Append(ctx, eventstore.Write{
			Stream: "account-1", Expected: eventstore.Any,
			Events: []eventstore.Event{{Type: "paid", Data: []byte("10 euros!!")}},
		}); err != nil {
			panic(err)
		}
	}
	var l ledger
	run := func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		p, err := publish.New(db, db, "ledger", l.handle, publish.Config{
			Hooks: publish.Hooks{Published: func(b publish.Batch) {
				if b.Position() == 3 {
					cancel()
				}
			}},
		})
		if err != nil {
			panic(err)
		}
		fmt.Println(p.Run(ctx), l.sum)
	}
	run()
	if err := db.ResetCheckpoint(ctx, "ledger", 1); err != nil { // as if it had not been saved
		panic(err)
	}
	run()
	shutdown()
	// Output:
	// context canceled 30
	// context canceled 30
}

// An event that can never be published stops the publisher with an error that
// names it, and holds up those behind it until somebody has decided what to do.
func ExamplePermanent() {
	ctx := context.Background()
	db, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := db.Append(ctx, eventstore.Write{
		Stream: "orders-7", Expected: eventstore.None,
		Events: []eventstore.Event{{Type: "ordered"}, {Type: "garbled"}, {Type: "shipped"}},
	}); err != nil {
		panic(err)
	}
	p, err := publish.New(db, db, "broker", publish.Each(func(_ context.Context, e eventstore.Recorded) error {
		if e.Type == "garbled" {
			return publish.Permanent(errors.New("the broker does not take it"))
		}
		fmt.Println("published", e.Type)
		return nil
	}), publish.Config{})
	if err != nil {
		panic(err)
	}
	var stopped *publish.StoppedError
	if errors.As(p.Run(ctx), &stopped) {
		fmt.Printf("stopped at %q, version %d of %s: %v\n", stopped.Event.Type, stopped.Event.Version, stopped.Event.Stream, stopped.Err)
	}
	// Output:
	// published ordered
	// stopped at "garbled", version 2 of orders-7: the broker does not take it
}
