package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// A customer pays, hears nothing, and pays again with the same idempotency key.
// The key is committed with the events, so the second is given the first one's
// result.
func Example_claim() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // it holds nothing that could be lost

	pay := func(receipt string) {
		_, err := store.Append(ctx, eventstore.Write{
			Stream: "payments-7", Expected: eventstore.Any,
			Events: []eventstore.Event{{Type: "paid"}},
			Claim:  &eventstore.Claim{Key: "pay order 7", Result: []byte(receipt), Until: time.Now().Add(24 * time.Hour)},
		})
		var claimed *eventstore.ClaimedError
		switch {
		case errors.As(err, &claimed):
			fmt.Println("paid before:", string(claimed.Claim.Result))
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("paid:", receipt)
		}
	}
	pay("receipt 1")
	pay("receipt 2")
	// Output:
	// paid: receipt 1
	// paid before: receipt 1
}
