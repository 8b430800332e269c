package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type SendReceipt struct {
	Customer string
	Cents    int
}

func (SendReceipt) Returns(struct{}) {}

type (
	Till struct{ Sold int }
	Sale struct {
		Customer string
		Cents    int
	}
)

func reduceTill(t *Till, s Sale, _ reducer.Env) effect.Effect[Sale] {
	t.Sold += s.Cents
	return effect.Fire[Sale](SendReceipt(s)) // nobody waits for its result
}

// What fails with nobody to tell becomes a dead letter. It keeps the whole
// request, so that it can be done again when the fault is mended.
func Example_deadLetters() {
	ctx := context.Background()
	outage := errors.New("mail server is down")
	till, err := store.New(Till{}, reducer.Func[Till, Sale](reduceTill), store.Config{
		Handlers: []effect.Handler{effect.Handle(func(_ context.Context, r SendReceipt) (struct{}, error) {
			if outage == nil {
				fmt.Printf("receipt for %+v\n", r)
			}
			return struct{}{}, outage
		})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(till.SendAndSettle(ctx, Sale{"ada", 1250}))
	fmt.Println(till.Health().Status, till.Health().Reasons)
	outage = nil
	for _, letter := range till.DeadLetters() {
		fmt.Printf("%d: %+v: %v\n", letter.ID, letter.Effect.Request, letter.Err)
		if err := till.Redeliver(ctx, letter.ID); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(till.Shutdown(ctx), len(till.DeadLetters()))
	// Output:
	// <nil>
	// degraded [1 dead letters]
	// 1: {Customer:ada Cents:1250}: mail server is down
	// receipt for {Customer:ada Cents:1250}
	// <nil> 0
}
