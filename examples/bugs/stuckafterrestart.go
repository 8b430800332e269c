package bugs

import (
	"errors"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// StuckAfterRestart saves that an order is being paid, and asks for the money.
// The process dies in between. In production: orders that say "paying" for ever.
//
// Careful is told when the process has started again, and asks once more. The
// key makes that safe: a charge of the life before is the same charge. For the
// same reason it may ask again after any error that is not a refusal.
type StuckAfterRestart struct{ Careful bool }

// Reduce implements reducer.Reducer.
func (r StuckAfterRestart) Reduce(o *Order, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Place:
		if o.Phase != New {
			return fx.None()
		}
		o.Phase = Paying
		return charge(1)
	case Resume:
		if r.Careful && o.Phase == Paying {
			return charge(1)
		}
	case Charged:
		switch {
		case a.Err == nil:
			o.Phase = Paid
		case errors.Is(a.Err, ErrDeclined):
			o.Phase = Failed
		default:
			return charge(1)
		}
	}
	return fx.None()
}
