package reservation

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

const (
	// Deadline is how long a customer has to pay.
	Deadline = 5 * time.Minute
	// StuckAfter is how many attempts at undoing a step make a reservation
	// [State.Stuck].
	StuckAfter = 8

	firstUndoWait   = 2 * time.Second
	longestUndoWait = time.Minute
	ticketWait      = 10 * time.Second
)

// Why a reservation ends, besides the reasons that others have.
const (
	DeadlinePassed    ticket.Reason = "not paid in time"
	PaymentUncertain  ticket.Reason = "payment uncertain"
	InventoryNoAnswer ticket.Reason = "no answer about the seats"
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
type Phase uint8

// The phases of a reservation: see the package documentation.
const (
	New Phase = iota
	Holding
	Paying
	Confirming
	Ticketing
	Compensating
	Completed
	Failed
	Cancelled
)

func (p Phase) String() string {
	return [...]string{
		"new", "holding", "paying", "confirming", "ticketing", "compensating", "completed", "failed", "cancelled",
	}[p]
}

// Decided tells whether p is an end.
func (p Phase) Decided() bool { return p >= Completed }

// Outcome is how a reservation ended, or will once everything is undone.
type Outcome struct {
	Phase    Phase         // Completed, Failed or Cancelled
	Ticket   ticket.Ticket // if Completed
	Reason   ticket.Reason // if Failed
	Refunded ticket.Money  // was charged, and given back
}

func (o Outcome) String() string {
	text := o.Phase.String()
	if o.Phase == Completed {
		text += fmt.Sprintf(": %s for %s", ticket.Seats(o.Ticket.Seats), o.Ticket.Paid)
	}
	if o.Reason != "" {
		text += ": " + string(o.Reason)
	}
	if o.Refunded != 0 {
		text += fmt.Sprintf(", %s refunded", o.Refunded)
	}
	return text
}

// State is that of one reservation's store. The zero value is a new one.
type State struct {
	Order    Order
	Phase    Phase
	Seats    []ticket.Seat // held, since Paying
	Price    ticket.Money  // of them
	Undo     []Step        // what was done or may have been, the last at the end
	Attempts int           // at undoing the last one
	Outcome  Outcome       // since Compensating or Ticketing

	Asking int // commands that are held until it is decided
}

// Clone returns a copy that shares nothing with s.
func (s *State) Clone() State {
	c := *s
	c.Order.Chosen = slices.Clone(s.Order.Chosen)
	c.Seats = slices.Clone(s.Seats)
	c.Undo = slices.Clone(s.Undo)
	c.Outcome.Ticket.Seats = slices.Clone(s.Outcome.Ticket.Seats)
	return c
}

// Resumes is the [Resume] that a state needs which another process has left, if
// anything goes on in it.
func Resumes(s *State) (Action, bool) { return Resume{}, s.Phase != New && !s.Phase.Decided() }

// Stuck tells that compensation does not get on. It is tried on, but somebody
// should have a look.
func (s *State) Stuck() bool { return s.Attempts >= StuckAfter }

// Step is something that can be undone.
type Step uint8

// The steps on the stack.
const (
	SeatsHeld Step = iota + 1 // undone by ReleaseSeats
	Paid                      // undone by Refund
)

func (s Step) String() string { return [...]string{"unknown", "seats held", "paid"}[s] }
