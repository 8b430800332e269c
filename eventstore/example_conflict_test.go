package eventstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// Two customers decide on the same version. The second is told what it is now,
// and that nothing was written, also not to the other stream.
func Example_conflict() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // it holds nothing that could be lost

	hold := func(customer string) eventstore.Write {
		return eventstore.Write{
			Stream: "seats-A", Expected: eventstore.Exactly(0),
			Events: []eventstore.Event{{Type: "seats-held", Meta: eventstore.Meta{Actor: customer}}},
		}
	}
	if _, err := store.Append(ctx, hold("Ada")); err != nil {
		fmt.Println(err)
		return
	}
	_, err = store.Append(ctx,
		eventstore.Write{Stream: "orders-7", Expected: eventstore.None, Events: []eventstore.Event{{Type: "order-placed"}}},
		hold("Grace"),
	)
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		fmt.Println(err)
		fmt.Println("decide again, on version", conflict.Actual)
	}
	for order, err := range store.ReadStream(ctx, "orders-7", 1) {
		fmt.Println("an order without a seat:", order, err)
	}
	// Output:
	// append to "seats-A": expected no events, the stream is at version 1
	// decide again, on version 1
}
