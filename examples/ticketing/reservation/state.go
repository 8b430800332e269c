package reservation

import (
	"cmp"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
)

// Deadline is how long a customer has to pay.
const Deadline = 5 * time.Minute

// Why a reservation ends, besides the reasons that others have.
const (
	DeadlinePassed    ticket.Reason = "not-paid-in-time"
	PaymentUncertain  ticket.Reason = "payment-uncertain"
	InventoryNoAnswer ticket.Reason = "no-answer-about-the-seats"
	EventCancelled    ticket.Reason = "event-cancelled"
	CardDeclined      ticket.Reason = "card-declined"
)

// Order is what a customer wants: the seats chosen, or if there are none a
// Quantity of the best available.
type Order struct {
	Reservation ticket.Reservation
	Customer    string
	Section     ticket.Section
	Quantity    int
	Chosen      []ticket.Seat
}

// Phase is how far a reservation has come.
type Phase string

// The phases of a reservation: see the package documentation.
const (
	New          Phase = ""
	Holding      Phase = "holding"
	Requesting   Phase = "requesting"
	Charging     Phase = "paying"
	Confirming   Phase = "confirming"
	Ticketing    Phase = "ticketing"
	Compensating Phase = "compensating"
	Completed    Phase = "completed"
	Failed       Phase = "failed"
	Cancelled    Phase = "cancelled"
)

// Decided tells whether p is an end.
func (p Phase) Decided() bool { return p == Completed || p == Failed || p == Cancelled }

// Outcome is how a reservation ended, or will once everything is undone.
type Outcome struct {
	Phase    Phase         // Completed, Failed or Cancelled
	Ticket   ticket.Ticket // if Completed
	Reason   ticket.Reason // if Failed
	Refunded ticket.Money  // was charged, and given back
}

func (o Outcome) String() string {
	text := string(o.Phase)
	if o.Phase == Completed {
		text += fmt.Sprintf(": %s for %s", ticket.Seats(o.Ticket.Seats), o.Ticket.Paid)
	}
	if o.Reason != "" {
		text += ": " + o.Reason.String()
	}
	if o.Refunded != 0 {
		text += fmt.Sprintf(", %s refunded", o.Refunded)
	}
	return text
}

// State is that of a reservation.
type State struct {
	Order   Order
	Phase   Phase
	Seats   []ticket.Seat // held, since Requesting
	Price   ticket.Money  // of them
	Outcome Outcome       // since Compensating or Ticketing
}

// Standing is a state with the end that the status of its saga tells of: the
// reducer is not told when everything is undone, nor when what it asked for last
// is done, the record of the charge.
func Standing(s State, status saga.Status) State {
	switch {
	case s.Phase == Completed && !status.Ended():
		s.Phase = Ticketing
	case status == saga.Compensated:
		s.Outcome.Phase = cmp.Or(s.Outcome.Phase, Failed) // an operator has undone it
		s.Phase = s.Outcome.Phase
	}
	return s
}
