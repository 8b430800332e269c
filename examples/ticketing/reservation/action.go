package reservation

import "github.com/seed57833328/rondo/examples/ticketing/ticket"

// Action is what a reservation's store reduces: Start and Cancel from outside,
// Finished to answer them, and what came of its requests and timers.
type Action interface{ isAction() }

// Start begins a reservation. It is answered by [Finished].
type Start struct{ Order Order }

// Cancel ends a reservation that is not confirmed yet. It is answered by
// [Finished], which tells whether it came in time. One that comes before the
// Start keeps it from doing anything.
type Cancel struct{ Reservation ticket.Reservation }

// Resume goes on with a reservation whose process has started again, with the
// state that was saved. It must be the first action then: those who waited for
// it to end are gone.
type Resume struct{}

// Finished tells how the reservation ended.
type Finished struct{ Outcome Outcome }

// AsFinished is how to ask: store.AskKey(ctx, reservations, id, Start{order}, AsFinished).
func AsFinished(a Action) (Outcome, bool) {
	finished, ok := a.(Finished)
	return finished.Outcome, ok
}

// What comes back from requests and timers.
type (
	// SeatsWereHeld tells which seats, and what they cost together.
	SeatsWereHeld struct {
		Seats []ticket.Seat
		Price ticket.Money
	}
	// WasCharged tells that the money is here.
	WasCharged struct{}
	// SeatsWereConfirmed tells that the seats are sold.
	SeatsWereConfirmed struct{}
	// StepFailed tells that one of these did not come about. It is Certain if
	// nothing was done, otherwise something may have been.
	StepFailed struct {
		Reason  ticket.Reason
		Certain bool
	}
	// TicketWasIssued tells that the customer has it.
	TicketWasIssued struct{}
	// TicketFailed tells that it may be that nobody has.
	TicketFailed struct{}
	// TicketDue is the time to try again.
	TicketDue struct{}
	// DeadlineDue ends the time to pay.
	DeadlineDue struct{}
	// WasUndone tells that the top of the stack is undone, and what was
	// refunded by that.
	WasUndone struct{ Refunded ticket.Money }
	// UndoFailed tells that it is not.
	UndoFailed struct{}
	// UndoDue is the time to try again.
	UndoDue struct{}
)

func (Start) isAction()              {}
func (Cancel) isAction()             {}
func (Finished) isAction()           {}
func (Resume) isAction()             {}
func (SeatsWereHeld) isAction()      {}
func (WasCharged) isAction()         {}
func (SeatsWereConfirmed) isAction() {}
func (StepFailed) isAction()         {}
func (TicketWasIssued) isAction()    {}
func (TicketFailed) isAction()       {}
func (TicketDue) isAction()          {}
func (DeadlineDue) isAction()        {}
func (WasUndone) isAction()          {}
func (UndoFailed) isAction()         {}
func (UndoDue) isAction()            {}
