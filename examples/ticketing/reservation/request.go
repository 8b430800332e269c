package reservation

import (
	"errors"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// The requests of a reservation. Each may be made again and is to be done once.
// Their errors are a *ticket.RejectionError if nothing was done and nothing will be;
// after any other error it is unknown.
type (
	// HoldSeats asks the inventory for seats.
	HoldSeats struct {
		Reservation ticket.Reservation
		Section     ticket.Section
		Quantity    int
		Chosen      []ticket.Seat
	}
	// ConfirmSeats tells the inventory that they are paid.
	ConfirmSeats struct {
		Reservation ticket.Reservation
		Section     ticket.Section
	}
	// ReleaseSeats undoes both.
	ReleaseSeats struct {
		Reservation ticket.Reservation
		Section     ticket.Section
	}
	// Charge asks the payment for the money.
	Charge struct {
		Reservation ticket.Reservation
		Amount      ticket.Money
	}
	// Refund undoes it. The result is what was given back, 0 if nothing was
	// charged.
	Refund struct{ Reservation ticket.Reservation }
	// IssueTicket asks the box office for the ticket.
	IssueTicket struct{ Ticket ticket.Ticket }
)

// Returns names the result's type.
func (HoldSeats) Returns(SeatsWereHeld) {}

// Returns names the result's type.
func (ConfirmSeats) Returns(struct{}) {}

// Returns names the result's type.
func (ReleaseSeats) Returns(struct{}) {}

// Returns names the result's type.
func (Charge) Returns(struct{}) {}

// Returns names the result's type.
func (Refund) Returns(ticket.Money) {}

// Returns names the result's type.
func (IssueTicket) Returns(struct{}) {}

// again is for steps that answer soon or not at all.
func again() []effect.Option {
	return []effect.Option{
		effect.Key(step),
		effect.Timeout(30 * time.Second),
		effect.Retry(effect.RetryPolicy{Attempts: 3, Delay: time.Second}),
	}
}

func holdSeats(o Order) effect.Effect[Action] {
	return effect.Do(HoldSeats{o.Reservation, o.Section, o.Quantity, o.Chosen},
		func(r effect.Result[SeatsWereHeld]) Action {
			if r.Err != nil {
				return failed(r.Err, InventoryNoAnswer)
			}
			return r.Value
		}, again()...)
}

// charge has neither a timeout nor a retry: the payment tries on its own, and
// the deadline ends it.
func charge(s *State) effect.Effect[Action] {
	return effect.Do(Charge{s.Order.Reservation, s.Price},
		func(r effect.Result[struct{}]) Action {
			if r.Err != nil {
				return failed(r.Err, PaymentUncertain)
			}
			return WasCharged{}
		}, effect.Key(step))
}

func confirmSeats(o Order) effect.Effect[Action] {
	return effect.Do(ConfirmSeats{o.Reservation, o.Section},
		func(r effect.Result[struct{}]) Action {
			if r.Err != nil {
				return failed(r.Err, InventoryNoAnswer)
			}
			return SeatsWereConfirmed{}
		}, again()...)
}

func issueTicket(t ticket.Ticket) effect.Effect[Action] {
	return effect.Do(IssueTicket{t}, func(r effect.Result[struct{}]) Action {
		if r.Err != nil {
			return TicketFailed{}
		}
		return TicketWasIssued{}
	}, effect.Timeout(30*time.Second))
}

func releaseSeats(o Order) effect.Effect[Action] {
	return effect.Do(ReleaseSeats{o.Reservation, o.Section},
		func(r effect.Result[struct{}]) Action {
			if r.Err != nil {
				return UndoFailed{}
			}
			return WasUndone{}
		}, effect.Timeout(30*time.Second))
}

// refund has no timeout: the payment answers when the money is back.
func refund(o Order) effect.Effect[Action] {
	return effect.Do(Refund{o.Reservation}, func(r effect.Result[ticket.Money]) Action {
		if r.Err != nil {
			return UndoFailed{}
		}
		return WasUndone{Refunded: r.Value}
	})
}

// failed is a step that was refused, or else came to nothing for a reason that
// leaves it uncertain.
func failed(err error, uncertain ticket.Reason) Action {
	var rejection *ticket.RejectionError
	if errors.As(err, &rejection) {
		return StepFailed{Reason: rejection.Reason, Certain: true}
	}
	return StepFailed{Reason: uncertain}
}
