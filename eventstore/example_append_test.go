package eventstore_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

func Example_appendAndRead() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // it holds nothing that could be lost

	done, err := store.Append(ctx, eventstore.Write{
		Stream:   "seats-A",
		Expected: eventstore.None, // nobody has written to it
		Events: []eventstore.Event{
			{Type: "seats-opened", Data: []byte(`{"seats":["A1","A2"]}`)},
			{Type: "seats-held", Data: []byte(`{"seats":["A1"]}`)},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("now at version", done[0].Version)

	for event, err := range store.ReadStream(ctx, "seats-A", 1) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %s %s\n", event.Version, event.Type, event.Data)
	}
	// Output:
	// now at version 2
	// 1 seats-opened {"seats":["A1","A2"]}
	// 2 seats-held {"seats":["A1"]}
}
