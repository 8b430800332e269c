package payment

import "github.com/seed57833328/rondo/examples/ticketing/ticket"

// Action is what a payment's store reduces: a command, an [Answer], or what came
// of a request or a timer of its own.
type Action interface{ isAction() }

// Charge asks for the money. It is answered by [Charged] or [Refused].
type Charge struct {
	Payment ticket.Reservation
	Amount  ticket.Money
}

// Refund asks for it back. It is answered by [Refunded], however long that takes.
type Refund struct{ Payment ticket.Reservation }

// Resume goes on with a payment whose process has started again, with the state
// that was saved. It must be the first action then: those who waited for an
// answer before are gone.
type Resume struct{}

// Answer is what came of a command.
type Answer interface {
	Action
	isAnswer()
}

// AsAnswer is how a handler asks: store.AskKey(ctx, payments, id, command, payment.AsAnswer).
func AsAnswer(a Action) (Answer, bool) {
	answer, ok := a.(Answer)
	return answer, ok
}

// Charged answers a Charge: the money is here.
type Charged struct{ Amount ticket.Money }

// Refused answers a Charge. After [Declined] nothing was charged. After any
// other reason something may have been, and is being refunded.
type Refused struct{ Reason ticket.Reason }

// Refunded answers a Refund: what was charged has been given back, and nothing
// will be charged any more. Amount is 0 if nothing was.
type Refunded struct{ Amount ticket.Money }

// Why a charge is refused.
const (
	Declined   ticket.Reason = "card declined"
	Unresolved ticket.Reason = "payment could not be resolved"
	Withdrawn  ticket.Reason = "payment withdrawn"
)

// What comes back from the gateway and from timers.
type (
	// ChargeAnswered is the gateway's word on a charge: approved, or not.
	ChargeAnswered struct{ Approved bool }
	// ChargeUnanswered is its silence.
	ChargeUnanswered struct{}
	// LookupDue is the time to look a charge up.
	LookupDue struct{}
	// LookedUp is what the gateway knows of a charge.
	LookedUp struct{ Standing Standing }
	// GiveUpDue ends the search.
	GiveUpDue struct{}
	// RefundDue is the time to try a refund again.
	RefundDue struct{}
	// RefundAnswered is a refund that was done.
	RefundAnswered struct{ Amount ticket.Money }
	// RefundUnanswered is one that has to be tried again.
	RefundUnanswered struct{}
)

func (Charge) isAction()           {}
func (Resume) isAction()           {}
func (Refund) isAction()           {}
func (Charged) isAction()          {}
func (Refused) isAction()          {}
func (Refunded) isAction()         {}
func (ChargeAnswered) isAction()   {}
func (ChargeUnanswered) isAction() {}
func (LookupDue) isAction()        {}
func (LookedUp) isAction()         {}
func (GiveUpDue) isAction()        {}
func (RefundDue) isAction()        {}
func (RefundAnswered) isAction()   {}
func (RefundUnanswered) isAction() {}

func (Charged) isAnswer()  {}
func (Refused) isAnswer()  {}
func (Refunded) isAnswer() {}
