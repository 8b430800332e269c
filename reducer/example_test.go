package reducer_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// The examples are about a shop whose cart is a reducer of its own.
type (
	Cart       struct{ Seats []string }
	CartAction interface{}
	AddSeat    struct{ Seat string }
	Expired    struct{}

	Shop struct {
		Cart    Cart
		Visitor *Cart
		Carts   map[string]Cart
	}
	Action interface{}
	InCart struct {
		Customer string
		Action   CartAction
	}
	Leave struct{ Customer string }
)

var carts effect.Of[CartAction]

// CartReducer empties a cart when nothing was added to it for a while.
type CartReducer struct{}

func (CartReducer) Reduce(c *Cart, a CartAction, _ reducer.Env) effect.Effect[CartAction] {
	switch a := a.(type) {
	case AddSeat:
		c.Seats = append(c.Seats, a.Seat)
		return carts.After("expiry", 5*time.Minute, Expired{})
	case Expired:
		c.Seats = nil
	}
	return carts.None()
}

func ofCart(a Action) (CartAction, bool) {
	c, ok := a.(InCart)
	return c.Action, ok
}

func inCart(a CartAction) Action { return InCart{Action: a} }

func ExampleFunc() {
	type Counted struct{}
	var fx effect.Of[Counted]
	count := reducer.Func[int, Counted](func(n *int, _ Counted, _ reducer.Env) effect.Effect[Counted] {
		*n++
		return fx.None()
	})
	n := 0
	count.Reduce(&n, Counted{}, reducer.Env{})
	count.Reduce(&n, Counted{}, reducer.Env{})
	fmt.Println(n)
	// Output: 2
}

// By hand, a reducer is called with a fixed env: the same gives the same.
func ExampleFixed() {
	type Order struct {
		ID uuid.UUID
		At time.Time
	}
	type Place struct{}
	place := reducer.Func[Order, Place](func(o *Order, _ Place, env reducer.Env) effect.Effect[Place] {
		o.ID, o.At = env.NewID(), env.Now()
		return effect.Effect[Place]{}
	})
	for range 2 {
		env := reducer.NewEnv(&reducer.Fixed{
			Time:   time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
			Action: reducer.Meta{ActionID: uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")},
		})
		var o Order
		place.Reduce(&o, Place{}, env)
		fmt.Println(o.ID, o.At.Format(time.TimeOnly))
	}
	// Output:
	// e2ee41ce-8334-587e-86d0-4c4519cbf424 12:00:00
	// e2ee41ce-8334-587e-86d0-4c4519cbf424 12:00:00
}

func ExampleCombine() {
	var fx effect.Of[string]
	double := reducer.Func[int, string](func(n *int, a string, _ reducer.Env) effect.Effect[string] {
		if a == "double" {
			*n *= 2
		}
		return fx.None()
	})
	audit := reducer.Func[int, string](func(n *int, a string, _ reducer.Env) effect.Effect[string] {
		if a == "audit" {
			return fx.None()
		}
		return fx.Send("audit") // sees what double has done
	})
	n := 21
	e := reducer.Combine(double, audit).Reduce(&n, "double", reducer.Env{})
	fmt.Println(n, effect.Describe(e))
	// Output: 42 send action=string("audit")
}

func ExampleScope() {
	r := reducer.Scope("cart", func(s *Shop) *Cart { return &s.Cart }, ofCart, inCart, CartReducer{})
	var s Shop
	e := r.Reduce(&s, InCart{Action: AddSeat{"A1"}}, reducer.Env{})
	fmt.Println(s.Cart.Seats)
	fmt.Println(effect.Describe(e))
	// Output:
	// [A1]
	// scope cart
	//   after key=expiry delay=5m0s action=reducer_test.InCart{Customer: Action:{}}
}

// A visitor's cart is there while the visitor is; its timer goes with it.
func ExampleIfPresent() {
	visitor := reducer.IfPresent("visitor", func(s *Shop) *Cart { return s.Visitor }, ofCart, inCart, CartReducer{})
	s := Shop{Visitor: &Cart{}}
	fmt.Println(effect.Describe(visitor.Reduce(&s, InCart{Action: AddSeat{"A1"}}, reducer.Env{})))
	s.Visitor = nil
	fmt.Println(effect.Describe(visitor.Reduce(&s, InCart{Action: AddSeat{"A2"}}, reducer.Env{})))
	// Output:
	// all
	//   scope visitor
	//     after key=expiry delay=5m0s action=reducer_test.InCart{Customer: Action:{}}
	//   prune visitor
	// all
	//   fault error="no such child: visitor" action=reducer_test.InCart{Customer: Action:{Seat:A2}}
	//   prune visitor
}

// Every customer has a cart. When one leaves, only that one's timer is cancelled.
func ExampleForEach() {
	var fx effect.Of[Action]
	leave := reducer.Func[Shop, Action](func(s *Shop, a Action, _ reducer.Env) effect.Effect[Action] {
		if a, ok := a.(Leave); ok {
			delete(s.Carts, a.Customer)
		}
		return fx.None()
	})
	each := reducer.ForEach("cart",
		func(s *Shop) map[string]Cart { return s.Carts },
		func(a Action) (string, CartAction, bool) { c, ok := a.(InCart); return c.Customer, c.Action, ok },
		func(customer string, a CartAction) Action { return InCart{customer, a} },
		CartReducer{})
	shop := reducer.Combine(leave, each)

	s := Shop{Carts: map[string]Cart{"ada": {}, "bob": {}}}
	fmt.Println(effect.Describe(shop.Reduce(&s, InCart{"ada", AddSeat{"A1"}}, reducer.Env{})))
	fmt.Println(s.Carts["ada"], s.Carts["bob"])
	fmt.Println(effect.Describe(shop.Reduce(&s, Leave{"ada"}, reducer.Env{})))
	// Output:
	// all
	//   scope cart key=ada
	//     after key=expiry delay=5m0s action=reducer_test.InCart{Customer:ada Action:{}}
	//   prune cart
	// {[A1]} {[]}
	// prune cart
}
