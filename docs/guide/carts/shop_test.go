// Package carts is the first program of the guide's third page: a shop whose
// reducer is made of its own and those of its carts.
package carts

import (
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// Cart knows nothing of a shop.
type Cart struct{ Seats []string }

type CartAction interface{ isCartAction() }

type (
	AddSeat   struct{ Seat string }
	Forgotten struct{} // nothing was added for ten minutes
)

func (AddSeat) isCartAction()   {}
func (Forgotten) isCartAction() {}

var cartFx effect.Of[CartAction]

func ReduceCart(c *Cart, a CartAction, _ reducer.Env) effect.Effect[CartAction] {
	switch a := a.(type) {
	case AddSeat:
		c.Seats = append(c.Seats, a.Seat)
		return cartFx.After("idle", 10*time.Minute, Forgotten{})
	case Forgotten:
		c.Seats = nil
	}
	return cartFx.None()
}

type State struct {
	Press  Cart            // the press's, always there
	Patron *Cart           // nil while there is no patron
	Carts  map[string]Cart // the customers', by name
	Sold   []string
}

type Action interface{ isAction() }

type (
	Enter    struct{ Customer string }
	Checkout struct{ Customer string }

	InCart struct { // something for, or from, the cart of a customer
		Customer string
		Do       CartAction
	}
	InPress  struct{ Do CartAction }
	InPatron struct{ Do CartAction }
)

func (Enter) isAction()    {}
func (Checkout) isAction() {}
func (InCart) isAction()   {}
func (InPress) isAction()  {}
func (InPatron) isAction() {}

var fx effect.Of[Action]

func reduceShop(s *State, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Enter:
		s.Carts[a.Customer] = Cart{}
	case Checkout:
		s.Sold = append(s.Sold, s.Carts[a.Customer].Seats...)
		delete(s.Carts, a.Customer)
	case InCart:
		if _, ok := a.Do.(Forgotten); ok { // the cart has emptied itself; we take it away
			delete(s.Carts, a.Customer)
		}
	}
	return fx.None()
}

var cart = reducer.Func[Cart, CartAction](ReduceCart)

var Shop = reducer.Combine(
	reducer.ForEach("cart", func(s *State) map[string]Cart { return s.Carts },
		func(a Action) (string, CartAction, bool) { c, ok := a.(InCart); return c.Customer, c.Do, ok },
		func(customer string, a CartAction) Action { return InCart{customer, a} }, cart),
	reducer.Scope("press", func(s *State) *Cart { return &s.Press },
		func(a Action) (CartAction, bool) { p, ok := a.(InPress); return p.Do, ok },
		func(a CartAction) Action { return InPress{a} }, cart),
	reducer.IfPresent("patron", func(s *State) *Cart { return s.Patron },
		func(a Action) (CartAction, bool) { p, ok := a.(InPatron); return p.Do, ok },
		func(a CartAction) Action { return InPatron{a} }, cart),
	reducer.Func[State, Action](reduceShop),
)
