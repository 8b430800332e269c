package store_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// The state, and the actions that change it.
type (
	Counter struct{ Value int }
	Add     struct{ N int }
)

// addUp is the reducer: what an action does to the state, and what follows.
func addUp(c *Counter, a Add, _ reducer.Env) effect.Effect[Add] {
	c.Value += a.N
	return effect.Effect[Add]{} // nothing follows
}

// A store holds a state and runs a reducer on it. Any goroutine may send.
func Example() {
	ctx := context.Background()
	counter, err := store.New(Counter{}, reducer.Func[Counter, Add](addUp), store.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range 4 {
		if err := counter.Send(ctx, Add{n}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(store.View(counter, func(c *Counter) int { return c.Value }))
	fmt.Println(counter.Shutdown(ctx), counter.Send(ctx, Add{1}))
	// Output:
	// 6
	// <nil> store is shut down
}
