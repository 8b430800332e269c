// Package order is the smallest saga that can go wrong: an order is charged, and
// has a deadline. [Careless] is how it is often written; [Careful] is right. The
// guide's page about exploration finds the difference.
package order

import (
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// Deadline is how long a customer has to pay.
const Deadline = 5 * time.Minute

// Phase is how far an order has come.
type Phase uint8

// The phases of an order.
const (
	New Phase = iota
	Paying
	Paid
	Refunding
	Closed
)

func (p Phase) String() string {
	return [...]string{"new", "paying", "paid", "refunding", "closed"}[p]
}

// Order is the state of an order's store.
type Order struct {
	ID    string
	Phase Phase
}

// Action is what the store reduces.
type Action interface{ isAction() }

type (
	// Place begins an order.
	Place struct{ ID string }
	// Cancel ends it, unless it is paid.
	Cancel struct{}
	// Charged tells what became of the charge: nil is paid.
	Charged struct{ Err error }
	// Expired ends the time to pay.
	Expired struct{}
	// Refunded tells what became of the refund.
	Refunded struct{ Err error }
	// Resume goes on after a restart, with the order that was saved.
	Resume struct{}
)

func (Place) isAction()    {}
func (Cancel) isAction()   {}
func (Charged) isAction()  {}
func (Expired) isAction()  {}
func (Refunded) isAction() {}
func (Resume) isAction()   {}

// Charge takes the money for an order. It is done once, however often it is
// asked for.
type Charge struct{ ID string }

// Returns names the result's type.
func (Charge) Returns(struct{}) {}

// Refund gives the money back, and sees to it that none is taken for the order
// any more.
type Refund struct{ ID string }

// Returns names the result's type.
func (Refund) Returns(struct{}) {}

var fx effect.Of[Action]

func charge(id string) effect.Effect[Action] {
	return effect.Do(Charge{id}, func(r effect.Result[struct{}]) Action { return Charged{r.Err} }, effect.Key("charge"))
}

func refund(id string) effect.Effect[Action] {
	return effect.Do(Refund{id}, func(r effect.Result[struct{}]) Action { return Refunded{r.Err} })
}

// Careless closes an order when its time is over, and thinks no more of the
// charge.
type Careless struct{}

// Reduce implements reducer.Reducer.
func (Careless) Reduce(o *Order, action Action, _ reducer.Env) effect.Effect[Action] {
	switch a := action.(type) {
	case Place:
		if o.Phase != New {
			return fx.None()
		}
		o.ID, o.Phase = a.ID, Paying
		return fx.All(charge(o.ID), fx.After("deadline", Deadline, Expired{}))
	case Charged:
		if a.Err != nil {
			o.Phase = Closed
		} else {
			o.Phase = Paid
		}
		return fx.Cancel("deadline")
	case Expired, Cancel:
		if o.Phase == Paying {
			o.Phase = Closed
			return fx.All(fx.Cancel("charge"), fx.Cancel("deadline"))
		}
	}
	return fx.None()
}

// Careful knows that a charge it has given up may have been made, or still will
// be: it undoes it.
type Careful struct{}

// Reduce implements reducer.Reducer.
func (Careful) Reduce(o *Order, action Action, _ reducer.Env) effect.Effect[Action] {
	switch a := action.(type) {
	case Place:
		if o.Phase != New {
			return fx.None()
		}
		o.ID, o.Phase = a.ID, Paying
		return pay(o)
	case Resume:
		switch o.Phase {
		case Paying:
			return pay(o)
		case Refunding:
			return refund(o.ID)
		case New, Paid, Closed:
		}
	case Charged:
		if a.Err != nil {
			return undo(o)
		}
		o.Phase = Paid
		return fx.Cancel("deadline")
	case Expired, Cancel:
		if o.Phase == Paying {
			return undo(o)
		}
	case Refunded:
		if a.Err != nil {
			return refund(o.ID)
		}
		o.Phase = Closed
	}
	return fx.None()
}

func pay(o *Order) effect.Effect[Action] {
	return fx.All(charge(o.ID), fx.After("deadline", Deadline, Expired{}))
}

// undo gives up the charge, and takes it back in case it was made.
func undo(o *Order) effect.Effect[Action] {
	o.Phase = Refunding
	return fx.All(fx.Cancel("charge"), fx.Cancel("deadline"), refund(o.ID))
}
