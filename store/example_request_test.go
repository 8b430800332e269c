package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// FetchPrice is a request: plain data that says what is wanted, and by its
// method what comes back.
type FetchPrice struct{ Item string }

func (FetchPrice) Returns(int) {}

type (
	CartAction interface{ isCartAction() }
	PutIn      struct{ Item string }
	Priced     struct {
		Item  string
		Cents int
		Err   error
	}
	Cart struct {
		Cents   int
		Unknown []string
	}
)

func (PutIn) isCartAction()  {}
func (Priced) isCartAction() {}

func reduceCart(c *Cart, action CartAction, _ reducer.Env) effect.Effect[CartAction] {
	switch a := action.(type) {
	case PutIn:
		return effect.Do(FetchPrice(a), func(r effect.Result[int]) CartAction {
			return Priced{a.Item, r.Value, r.Err}
		})
	case Priced:
		if a.Err != nil {
			c.Unknown = append(c.Unknown, a.Item)
			break
		}
		c.Cents += a.Cents
	}
	return effect.Effect[CartAction]{}
}

// A reducer asks for work with a request; a handler, an ordinary function that
// is given to the store, does it.
func Example_request() {
	ctx := context.Background()
	prices := map[string]int{"apple": 120, "pear": 95}
	fetch := func(_ context.Context, p FetchPrice) (int, error) {
		cents, ok := prices[p.Item]
		if !ok {
			return 0, errors.New("no such item")
		}
		return cents, nil
	}
	cart, err := store.New(Cart{}, reducer.Func[Cart, CartAction](reduceCart), store.Config{
		Handlers: []effect.Handler{effect.Handle(fetch)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range []string{"apple", "pear", "moon"} {
		if err := cart.Send(ctx, PutIn{item}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(cart.Shutdown(ctx)) // waits for the prices
	fmt.Printf("%+v\n", store.View(cart, func(c *Cart) Cart { return *c }))
	// Output:
	// <nil>
	// {Cents:215 Unknown:[moon]}
}
