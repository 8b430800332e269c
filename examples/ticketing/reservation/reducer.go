package reservation

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// Action is what a reservation reduces.
type Action interface{ isAction() }

// What comes from outside.
type (
	// Start begins a reservation.
	Start struct{ Order Order }
	// Cancel is the customer's. In the place of a Start it keeps the reservation
	// from ever beginning.
	Cancel struct{}
	// CallOff tells that the event is cancelled.
	CallOff struct{}
)

// What comes back from requests and timers.
type (
	// SeatsWereHeld tells which seats, and what they cost together.
	SeatsWereHeld struct {
		Seats []ticket.Seat
		Price ticket.Money
	}
	// PaymentWasRequested tells that the card may be charged.
	PaymentWasRequested struct{}
	// WasCharged tells that the money is here.
	WasCharged struct{}
	// SeatsWereConfirmed tells that the seats are sold.
	SeatsWereConfirmed struct{}
	// TicketWasIssued tells that the customer has it.
	TicketWasIssued struct{}
	// StepFailed tells that one of these did not come about.
	StepFailed struct{ Reason ticket.Reason }
	// WasRefunded tells what the gateway has given back.
	WasRefunded struct{ Amount ticket.Money }
	// DeadlineDue ends the time to pay.
	DeadlineDue struct{}
)

func (Start) isAction()               {}
func (Cancel) isAction()              {}
func (CallOff) isAction()             {}
func (SeatsWereHeld) isAction()       {}
func (PaymentWasRequested) isAction() {}
func (WasCharged) isAction()          {}
func (SeatsWereConfirmed) isAction()  {}
func (TicketWasIssued) isAction()     {}
func (StepFailed) isAction()          {}
func (WasRefunded) isAction()         {}
func (DeadlineDue) isAction()         {}

var fx saga.Of[Action]

const deadline = "deadline"

// Reducer decides about one reservation.
type Reducer struct{}

// Reduce implements reducer.Reducer.
func (Reducer) Reduce(s *State, action Action, _ reducer.Env) effect.Effect[Action] {
	switch a := action.(type) {
	case Start:
		return s.hold(a.Order)
	case SeatsWereHeld:
		return s.requestPayment(a)
	case PaymentWasRequested:
		return s.charge()
	case WasCharged:
		return s.confirm()
	case SeatsWereConfirmed:
		return s.issueTicket()
	case TicketWasIssued:
		s.Phase = Completed
		return fx.Complete()

	case StepFailed:
		return s.failed(a.Reason)
	case DeadlineDue:
		return s.compensate(Outcome{Phase: Failed, Reason: DeadlinePassed})
	case Cancel:
		return s.compensate(Outcome{Phase: Cancelled})
	case CallOff:
		return s.compensate(Outcome{Phase: Failed, Reason: EventCancelled})

	case WasRefunded:
		return s.refunded(a.Amount)
	}
	return fx.None()
}

func (s *State) hold(order Order) effect.Effect[Action] {
	s.Order, s.Phase = order, Holding
	return fx.All(
		fx.After(deadline, Deadline, DeadlineDue{}),
		fx.Do(HoldSeats{order.Section, inventory.Hold{Reservation: order.Reservation, Quantity: order.Quantity, Chosen: order.Chosen}},
			saga.Undo(ReleaseSeats{order.Section, order.Reservation})))
}

func (s *State) requestPayment(held SeatsWereHeld) effect.Effect[Action] {
	s.Phase, s.Seats, s.Price = Requesting, held.Seats, held.Price
	id := s.Order.Reservation
	return fx.Do(RequestPayment{id, s.Price}, saga.Undo(WithdrawPayment{id}))
}

func (s *State) charge() effect.Effect[Action] {
	s.Phase = Charging
	id := s.Order.Reservation
	return fx.Do(ChargeCard{id, s.Price}, saga.Undo(RefundCard{id}))
}

func (s *State) confirm() effect.Effect[Action] {
	s.Phase = Confirming
	id := s.Order.Reservation
	return fx.All(
		fx.Cancel(deadline),
		fx.Do(RecordCharge{Reservation: id}),
		fx.Do(ConfirmSeats{s.Order.Section, id}))
}

func (s *State) issueTicket() effect.Effect[Action] {
	s.Phase = Ticketing
	s.Outcome = Outcome{Phase: Completed, Ticket: ticket.Ticket{
		Reservation: s.Order.Reservation, Customer: s.Order.Customer,
		Section: s.Order.Section, Seats: s.Seats, Paid: s.Price,
	}}
	return fx.All(fx.Pivot(), fx.Do(IssueTicket{s.Outcome.Ticket}))
}

// failed gives up. A payment that waits for a card is told that it was declined.
func (s *State) failed(reason ticket.Reason) effect.Effect[Action] {
	declined := s.Phase == Charging && reason == CardDeclined
	undo := s.compensate(Outcome{Phase: Failed, Reason: reason})
	if declined {
		return fx.All(undo, fx.Do(RecordCharge{s.Order.Reservation, true}))
	}
	return undo
}

// compensate undoes what was done, unless that goes on already, or it is too late.
func (s *State) compensate(outcome Outcome) effect.Effect[Action] {
	switch s.Phase {
	case Ticketing, Compensating, Completed, Failed, Cancelled:
		return fx.None()
	case New, Holding, Requesting, Charging, Confirming:
	}
	s.Phase, s.Outcome = Compensating, outcome
	return fx.Compensate(outcome.String())
}

func (s *State) refunded(amount ticket.Money) effect.Effect[Action] {
	if amount == 0 { // the card was never charged
		return fx.None()
	}
	s.Outcome.Refunded += amount
	return fx.Do(RecordRefund{s.Order.Reservation, amount})
}
