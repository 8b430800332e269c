// Package payment decides what is recorded of the money for one reservation: what
// was asked for, and what the gateway has done. There is an aggregate of it for
// each reservation.
//
//	── Request ──▶ requested ── RecordCharge ───▶ charged ──┐
//	                │      ╲── RecordDecline ──▶ declined   │ RecordRefund
//	       Withdraw ▼                                       ▼
//	             withdrawn ─────── RecordRefund ────────▶ refunded
//
// What comes again does nothing, and a Withdraw that comes before its Request is
// remembered: the Request is refused. What the gateway has done has happened,
// whenever it is told: a charge that is told of after the withdrawal changes
// nothing, since the refund is on its way.
package payment

import (
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

// Phase is how far a payment has come. One that nobody has asked for has none.
type Phase string

// The phases of a payment.
const (
	IsRequested Phase = "requested"
	IsCharged   Phase = "charged"
	IsDeclined  Phase = "declined"
	IsWithdrawn Phase = "withdrawn"
	IsRefunded  Phase = "refunded"
)

// State is a payment.
type State struct {
	Phase    Phase        `json:"phase"`
	Amount   ticket.Money `json:"amount"`
	Refunded ticket.Money `json:"refunded"`
}

// Command is what can be asked of a payment.
type Command interface{ isCommand() }

type (
	// Request asks for money.
	Request struct{ Amount ticket.Money }
	// RecordCharge tells that the gateway has it.
	RecordCharge struct{}
	// RecordDecline tells that the gateway will not.
	RecordDecline struct{}
	// RecordRefund tells what the gateway has given back.
	RecordRefund struct{ Amount ticket.Money }
	// Withdraw tells that nobody wants it any more.
	Withdraw struct{}
)

func (Request) isCommand()       {}
func (RecordCharge) isCommand()  {}
func (RecordDecline) isCommand() {}
func (RecordRefund) isCommand()  {}
func (Withdraw) isCommand()      {}

// Event is what happens to a payment.
type Event interface{ isEvent() }

type (
	// Requested begins it.
	Requested struct {
		Amount ticket.Money `json:"amount"`
	}
	// Charged tells that the money is here.
	Charged struct{}
	// Declined tells that it will not come.
	Declined struct{}
	// Refunded tells that it is back.
	Refunded struct {
		Amount ticket.Money `json:"amount"`
	}
	// Withdrawn tells that nobody wants it.
	Withdrawn struct{}
)

func (Requested) isEvent() {}
func (Charged) isEvent()   {}
func (Declined) isEvent()  {}
func (Refunded) isEvent()  {}
func (Withdrawn) isEvent() {}

// Types are the events as they are recorded.
func Types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Requested]("payment.requested", 1),
		eventstore.TypeOf[Charged]("payment.charged", 1),
		eventstore.TypeOf[Declined]("payment.declined", 1),
		eventstore.TypeOf[Refunded]("payment.refunded", 1),
		eventstore.TypeOf[Withdrawn]("payment.withdrawn", 1),
	}
}

// Why a command is rejected.
const (
	BadAmount    ticket.Reason = "bad-amount"
	WasWithdrawn ticket.Reason = "payment-withdrawn"
	NoRequest    ticket.Reason = "no-payment"
)

// Decider decides about payments. It is an aggregate.Decider.
type Decider struct{}

// Decide says what a command makes happen.
func (Decider) Decide(s *State, command Command, _ reducer.Env) ([]Event, error) {
	switch c := command.(type) {
	case Request:
		return s.request(c)
	case RecordCharge:
		return s.record(Charged{}, IsRequested)
	case RecordDecline:
		return s.record(Declined{}, IsRequested)
	case RecordRefund:
		switch {
		case s.Phase == IsRefunded && s.Refunded == c.Amount:
			return nil, nil
		case c.Amount != s.Amount || s.Phase == IsRefunded:
			return nil, BadAmount.Reject("%s given back of %s", c.Amount, s.Amount)
		}
		return s.record(Refunded(c), IsRequested, IsCharged, IsWithdrawn)
	case Withdraw:
		return s.record(Withdrawn{}, "", IsRequested)
	}
	return nil, NoRequest.Reject("payments know no %T", command)
}

func (s *State) request(c Request) ([]Event, error) {
	switch {
	case s.Phase == IsWithdrawn || s.Phase == IsRefunded:
		return nil, WasWithdrawn.Reject("")
	case c.Amount <= 0 || s.Phase != "" && s.Amount != c.Amount:
		return nil, BadAmount.Reject("%s", c.Amount)
	case s.Phase != "":
		return nil, nil // it came again
	}
	return []Event{Requested(c)}, nil
}

// record notes what has happened, unless it is of no consequence any more.
func (s *State) record(event Event, during ...Phase) ([]Event, error) {
	for _, phase := range during {
		if s.Phase == phase {
			return []Event{event}, nil
		}
	}
	if s.Phase == "" {
		return nil, NoRequest.Reject("")
	}
	return nil, nil
}

// Evolve makes of a payment the one after an event.
func (Decider) Evolve(s *State, event Event) {
	switch e := event.(type) {
	case Requested:
		s.Phase, s.Amount = IsRequested, e.Amount
	case Charged:
		s.Phase = IsCharged
	case Declined:
		s.Phase = IsDeclined
	case Refunded:
		s.Phase, s.Refunded = IsRefunded, e.Amount
	case Withdrawn:
		s.Phase = IsWithdrawn
	}
}
