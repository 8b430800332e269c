package payment

import (
	"errors"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// SubmitCharge asks the gateway to charge. The key makes it happen once, however
// often it is submitted. The result is an error that wraps [ErrDeclined] if the
// gateway will not; after any other error it is unknown what happened.
type SubmitCharge struct {
	Key    ticket.Reservation
	Amount ticket.Money
}

// LookUp asks the gateway what it knows of a charge.
type LookUp struct{ Key ticket.Reservation }

// SubmitRefund asks the gateway to give back what was charged under the key, and
// to charge nothing under it from now on. The result is the amount given back,
// the same each time.
type SubmitRefund struct{ Key ticket.Reservation }

// Returns names the result's type.
func (SubmitCharge) Returns(struct{}) {}

// Returns names the result's type.
func (LookUp) Returns(Standing) {}

// Returns names the result's type.
func (SubmitRefund) Returns(ticket.Money) {}

// ErrDeclined is the gateway's refusal to charge.
var ErrDeclined = errors.New("declined")

// Standing is what a gateway knows of a charge.
type Standing uint8

// The standings of a charge.
const (
	StandsUnknown    Standing = iota // never heard of it
	StandsProcessing                 // not decided yet
	StandsCharged
	StandsDeclined
)

func (s Standing) String() string {
	return [...]string{"unknown", "processing", "charged", "declined"}[s]
}

// How long the gateway may take to answer before that counts as silence.
const (
	chargeTimeout = 10 * time.Second
	lookupTimeout = 5 * time.Second
	refundTimeout = 10 * time.Second
)

func submitCharge(key ticket.Reservation, amount ticket.Money) effect.Effect[Action] {
	return effect.Do(SubmitCharge{key, amount}, func(r effect.Result[struct{}]) Action {
		switch {
		case r.Err == nil:
			return ChargeAnswered{Approved: true}
		case errors.Is(r.Err, ErrDeclined):
			return ChargeAnswered{Approved: false}
		}
		return ChargeUnanswered{}
	}, effect.Timeout(chargeTimeout))
}

func lookUp(key ticket.Reservation) effect.Effect[Action] {
	return effect.Do(LookUp{key}, func(r effect.Result[Standing]) Action {
		if r.Err != nil {
			return LookedUp{StandsProcessing} // as good as: ask again
		}
		return LookedUp{r.Value}
	}, effect.Key(search), effect.Timeout(lookupTimeout))
}

func submitRefund(key ticket.Reservation) effect.Effect[Action] {
	return effect.Do(SubmitRefund{key}, func(r effect.Result[ticket.Money]) Action {
		if r.Err != nil {
			return RefundUnanswered{}
		}
		return RefundAnswered{r.Value}
	}, effect.Timeout(refundTimeout))
}
