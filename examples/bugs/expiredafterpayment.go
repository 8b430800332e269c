package bugs

import (
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// ExpiredAfterPayment frees a seat when the time to pay is over, paid or not.
// In production: two people at the door with valid tickets for one seat. No test
// that ends with the payment sees it; the timer fires minutes later.
//
// Careful cancels the timer with the payment. No check of Paid is needed when it
// fires: once the Cancel is reduced, the timer's action never is, not even if it
// was due already.
type ExpiredAfterPayment struct{ Careful bool }

// Claim is the state of ExpiredAfterPayment.
type Claim struct{ Held, Paid bool }

type (
	// Pay makes a held seat one's own.
	Pay struct{}
	// Expired ends the time to pay.
	Expired struct{}
)

// Reduce implements reducer.Reducer.
func (r ExpiredAfterPayment) Reduce(c *Claim, action any, _ reducer.Env) effect.Effect[any] {
	switch action.(type) {
	case Hold:
		if c.Paid {
			return fx.None() // delivered again
		}
		c.Held = true
		return fx.After("expiry", 5*time.Minute, Expired{})
	case Pay:
		if !c.Held {
			return fx.None() // too late
		}
		c.Paid = true
		if r.Careful {
			return fx.Cancel("expiry")
		}
	case Expired:
		c.Held = false
	}
	return fx.None()
}
