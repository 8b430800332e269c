package bugs

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// StuckAfterRestart saves that an order is being paid, and asks for the money.
// The process dies in between. In production: orders that say "paying" for ever.
//
// Careful is told when the process has started again, and asks once more; the
// key makes that safe.
type StuckAfterRestart struct{ Careful bool }

// Reduce implements reducer.Reducer.
func (r StuckAfterRestart) Reduce(o *Order, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Place:
		o.Phase = Paying
		return charge(1)
	case Resume:
		if r.Careful && o.Phase == Paying {
			return charge(1)
		}
	case Charged:
		o.Phase = Paid
		if a.Err != nil {
			o.Phase = Failed
		}
	}
	return fx.None()
}
