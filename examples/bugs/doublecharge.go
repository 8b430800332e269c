package bugs

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// DoubleCharge tries a charge again with a new idempotency key. When it was the
// answer that was lost, and not the request, the money is taken twice.
//
// Careful keeps the key: it names the payment, not the attempt.
type DoubleCharge struct{ Careful bool }

// Reduce implements reducer.Reducer.
func (r DoubleCharge) Reduce(o *Order, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Place:
		o.Phase, o.Attempts = Paying, 1
		return charge(1)
	case Charged:
		if a.Err == nil {
			o.Phase = Paid
			return fx.None()
		}
		o.Attempts++
		if r.Careful {
			return charge(1)
		}
		return charge(o.Attempts)
	}
	return fx.None()
}
