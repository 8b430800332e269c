package eventstore_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// A subscription reads what is there, then what comes, and skips nothing in
// between.
func Example_subscribe() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // it holds nothing that could be lost

	sell := func(stream string) {
		_, err := store.Append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{Type: "sold"}}})
		if err != nil {
			fmt.Println(err)
		}
	}
	sell("seats-A")
	sell("seats-B")
	sell("orders-1") // of another category

	for event, err := range store.Subscribe(ctx, 0, eventstore.Filter{Categories: []string{"seats"}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Stream, event.Version)
		switch event.Stream {
		case "seats-B":
			sell("seats-C") // it comes while the subscription goes on
		case "seats-C":
			return
		}
	}
	// Output:
	// seats-A 1
	// seats-B 1
	// seats-C 1
}
