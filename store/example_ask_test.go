package store_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type (
	SeatAction interface{ isSeatAction() }
	Reserve    struct{ Seats int }
	Reserved   struct{ First, Last int }
	SoldOut    struct{ Left int }
	Hall       struct{ Taken, Size int }
)

func (Reserve) isSeatAction()  {}
func (Reserved) isSeatAction() {}
func (SoldOut) isSeatAction()  {}

func reduceHall(h *Hall, action SeatAction, _ reducer.Env) effect.Effect[SeatAction] {
	var fx effect.Of[SeatAction]
	if a, ok := action.(Reserve); ok {
		if h.Taken+a.Seats > h.Size {
			return fx.Send(SoldOut{h.Size - h.Taken})
		}
		h.Taken += a.Seats
		return fx.Send(Reserved{h.Taken - a.Seats + 1, h.Taken})
	}
	return fx.None()
}

// reservation matches the actions that answer a Reserve.
func reservation(action SeatAction) (string, bool) {
	switch a := action.(type) {
	case Reserved:
		return fmt.Sprintf("%d seats", a.Last-a.First+1), true
	case SoldOut:
		return "sold out", true
	}
	return "", false
}

// Ask sends an action and returns the answer that this very action caused.
// Those who ask the same at the same time each get their own.
func Example_ask() {
	ctx := context.Background()
	hall, err := store.New(Hall{Size: 10}, reducer.Func[Hall, SeatAction](reduceHall), store.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			answer, err := store.Ask(ctx, hall, SeatAction(Reserve{3}), reservation)
			fmt.Println(answer, err)
		})
	}
	wg.Wait()
	// Unordered output:
	// 3 seats <nil>
	// 3 seats <nil>
	// 3 seats <nil>
	// sold out <nil>
	// sold out <nil>
}
