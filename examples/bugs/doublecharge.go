package bugs

import (
	"errors"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// DoubleCharge tries a charge again with a new idempotency key. When it was the
// answer that was lost, and not the request, the money is taken twice. In
// production: two entries on the customer's statement, a second apart, on a day
// when the network was bad; your own log shows one failure and one success.
//
// Careful keeps the key: it names the payment, not the attempt.
type DoubleCharge struct{ Careful bool }

// Reduce implements reducer.Reducer.
func (r DoubleCharge) Reduce(o *Order, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Place:
		if o.Phase != New {
			return fx.None()
		}
		o.Phase, o.Attempts = Paying, 1
		return charge(1)
	case Charged:
		switch {
		case a.Err == nil:
			o.Phase = Paid
		case errors.Is(a.Err, ErrDeclined):
			o.Phase = Failed
		case r.Careful:
			return charge(1)
		default:
			o.Attempts++
			return charge(o.Attempts)
		}
	}
	return fx.None()
}
