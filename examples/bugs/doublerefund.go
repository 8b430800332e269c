package bugs

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// DoubleRefund gives the money back when the customer cancels, and when the
// organiser does. On some days both do.
//
// Careful compensates once: the decision to do so is part of the state.
type DoubleRefund struct{ Careful bool }

// Ticket is the state of DoubleRefund. It begins paid.
type Ticket struct{ Compensating, Done bool }

// Cancel takes a ticket back.
type Cancel struct{ By string }

// PayBack gives money back, as often as it is asked to.
type PayBack struct{}

// Returns names the result's type.
func (PayBack) Returns(struct{}) {}

// Reduce implements reducer.Reducer.
func (r DoubleRefund) Reduce(t *Ticket, action any, _ reducer.Env) effect.Effect[any] {
	switch action.(type) {
	case Cancel:
		if r.Careful && t.Compensating {
			return fx.None()
		}
		t.Compensating = true
		return effect.Do(PayBack{}, func(r effect.Result[struct{}]) any { return Refunded{r.Err} })
	case Refunded:
		t.Done = true
	}
	return fx.None()
}
