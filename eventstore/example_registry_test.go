package eventstore_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// SectionOpened is an event as the program knows it now.
type SectionOpened struct {
	Seats []string `json:"seats"`
	Price int      `json:"price"` // in cents
}

// sectionOpenedV1 is the form that it had: a price in whole units.
type sectionOpenedV1 struct {
	Seats []string `json:"seats"`
	Price int      `json:"price"`
}

// A type's form has changed since an event of it was recorded. An upcaster brings
// the old data up when it is read; what was recorded stays as it is.
func Example_registry() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // it holds nothing that could be lost

	registry, err := eventstore.NewRegistry(
		eventstore.TypeOf[SectionOpened]("section-opened", 2,
			eventstore.Upcast(1, func(old sectionOpenedV1) SectionOpened {
				return SectionOpened{Seats: old.Seats, Price: 100 * old.Price}
			})),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	old := eventstore.Event{Type: "section-opened", Schema: 1, Data: []byte(`{"seats":["A1"],"price":40}`)}
	present, err := registry.Encode(SectionOpened{Seats: []string{"B1", "B2"}, Price: 35_50})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := store.Append(ctx, eventstore.Write{Stream: "sections", Expected: eventstore.None, Events: []eventstore.Event{old, present}}); err != nil {
		fmt.Println(err)
		return
	}

	events := store.ReadStream(ctx, "sections", 1)
	for e, err := range eventstore.Decode[SectionOpened](registry, events, eventstore.FailUnknown) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("recorded as schema %d: %v for %d cents\n", e.Schema, e.Event.Seats, e.Event.Price)
	}
	// Output:
	// recorded as schema 1: [A1] for 4000 cents
	// recorded as schema 2: [B1 B2] for 3550 cents
}
