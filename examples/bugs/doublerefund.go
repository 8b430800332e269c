package bugs

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// DoubleRefund gives the money back when the customer cancels, and when the
// organiser does. On some days both do. In production: more refunded than was
// sold, for the events that were cancelled; each refund has a reason and a
// number, so that none looks wrong by itself.
//
// Careful compensates once: the decision to do so is part of the state, and the
// idempotency key names what is compensated, not who asked for it. So it can be
// asked for again after an error, and after a restart.
type DoubleRefund struct{ Careful bool }

// Ticket is the state of DoubleRefund. It begins paid.
type Ticket struct{ Compensating, Done bool }

// Cancel takes a ticket back.
type Cancel struct{ By string }

// PayBack gives money back, once for each key.
type PayBack struct{ Key string }

// Returns names the result's type.
func (PayBack) Returns(struct{}) {}

// Reduce implements reducer.Reducer.
func (r DoubleRefund) Reduce(t *Ticket, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Cancel:
		if !r.Careful {
			return payBack("cancelled by " + a.By)
		}
		if !t.Compensating {
			t.Compensating = true
			return payBack("ticket")
		}
	case Resume:
		if t.Compensating && !t.Done {
			return payBack("ticket")
		}
	case Refunded:
		if a.Err != nil && r.Careful {
			return payBack("ticket")
		}
		t.Done = a.Err == nil
	}
	return fx.None()
}

func payBack(key string) effect.Effect[any] {
	return effect.Do(PayBack{key}, func(r effect.Result[struct{}]) any { return Refunded{r.Err} })
}
