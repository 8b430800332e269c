package bugs

import (
	"errors"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// ErrDeclined is a bank's refusal: nothing was charged, and nothing will be.
var ErrDeclined = errors.New("card declined")

// LateCharge takes a charge that times out for one that was refused. The bank
// may still make it, a second or a day later. In production: customers who were
// charged for orders that failed, found by them and not by you.
//
// Careful knows that only a refusal is certain. After anything else it asks for
// a refund, which also keeps the bank from charging from then on.
type LateCharge struct{ Careful bool }

// Order is the state of LateCharge, DoubleCharge and StuckAfterRestart.
type Order struct {
	Phase    OrderPhase
	Attempts int // of DoubleCharge
}

// OrderPhase is how far an order has come.
type OrderPhase uint8

// The phases of an order.
const (
	New OrderPhase = iota
	Paying
	Paid
	Failed
)

func (p OrderPhase) String() string { return [...]string{"new", "paying", "paid", "failed"}[p] }

type (
	// Place begins an order.
	Place struct{}
	// Charged tells what became of a charge.
	Charged struct{ Err error }
	// Refunded tells what became of a refund.
	Refunded struct{ Err error }
	// Resume is sent to an order when its process has started again.
	Resume struct{}
)

// Charge asks the bank for money, once for each key.
type Charge struct{ Key int }

// Returns names the result's type.
func (Charge) Returns(struct{}) {}

// Refund gives back what was charged, and bars what is charged later.
type Refund struct{}

// Returns names the result's type.
func (Refund) Returns(struct{}) {}

var fx effect.Of[any]

func charge(key int, opts ...effect.Option) effect.Effect[any] {
	return effect.Do(Charge{key}, func(r effect.Result[struct{}]) any { return Charged{r.Err} }, opts...)
}

func refund() effect.Effect[any] {
	return effect.Do(Refund{}, func(r effect.Result[struct{}]) any { return Refunded{r.Err} })
}

// Reduce implements reducer.Reducer.
func (r LateCharge) Reduce(o *Order, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Place:
		if o.Phase != New {
			return fx.None()
		}
		o.Phase = Paying
		return charge(1, effect.Timeout(10*time.Second))
	case Charged:
		switch {
		case a.Err == nil:
			o.Phase = Paid
		case r.Careful && !errors.Is(a.Err, ErrDeclined):
			return refund()
		default:
			o.Phase = Failed
		}
	case Refunded:
		if a.Err != nil {
			return refund()
		}
		o.Phase = Failed
	}
	return fx.None()
}
