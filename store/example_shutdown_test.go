package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type (
	Oven       struct{ Baked []string }
	OvenAction interface{ isOvenAction() }
	PutInOven  struct {
		Name string
		For  time.Duration
	}
	Baked struct{ Name string }
)

func (PutInOven) isOvenAction() {}
func (Baked) isOvenAction()     {}

func reduceOven(o *Oven, action OvenAction, _ reducer.Env) effect.Effect[OvenAction] {
	var fx effect.Of[OvenAction]
	switch a := action.(type) {
	case PutInOven:
		return fx.After(a.Name, a.For, Baked{a.Name})
	case Baked:
		o.Baked = append(o.Baked, a.Name)
	}
	return fx.None()
}

// Shutdown refuses what comes from outside and lets what goes on finish, until
// its context ends. Then it lists what it abandoned; that is in the dead letters
// too, for another store to take over.
func Example_shutdown() {
	ctx := context.Background()
	oven, err := store.New(Oven{}, reducer.Func[Oven, OvenAction](reduceOven), store.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = oven.Send(ctx, PutInOven{"roll", time.Millisecond})
	_ = oven.Send(ctx, PutInOven{"loaf", time.Hour})
	_ = oven.Until(ctx, func(o *Oven) bool { return len(o.Baked) > 0 })

	hurry, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("closing time"))
	err = oven.Shutdown(hurry)
	fmt.Println(err)
	var abandoned *store.AbandonedError
	if errors.As(err, &abandoned) {
		for _, a := range abandoned.Abandoned {
			fmt.Println(a.Kind, a.Key, a.Action)
		}
	}
	fmt.Println(store.View(oven, func(o *Oven) []string { return o.Baked }))

	tomorrow, _ := store.New(Oven{}, reducer.Func[Oven, OvenAction](reduceOven), store.Config{})
	tomorrow.Adopt(oven.DeadLetters()...)
	for _, letter := range tomorrow.DeadLetters() {
		fmt.Println(tomorrow.Redeliver(ctx, letter.ID))
	}
	fmt.Println(tomorrow.Shutdown(ctx), store.View(tomorrow, func(o *Oven) []string { return o.Baked }))
	// Output:
	// shutdown abandoned 1 effects (closing time), 0 handlers still running: timer key=loaf action=store_test.Baked{Name:loaf}
	// timer loaf {loaf}
	// [roll]
	// <nil>
	// <nil> [loaf]
}
