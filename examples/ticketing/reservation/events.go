package reservation

import "github.com/seed57833328/rondo/eventstore"

// Events are the actions as they are recorded. Finished is not: it tells what
// the state has in it already.
func Events() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Start]("reservation.start", 1),
		eventstore.TypeOf[Cancel]("reservation.cancel", 1),
		eventstore.TypeOf[Resume]("reservation.resume", 1),
		eventstore.TypeOf[SeatsWereHeld]("reservation.seats-were-held", 1),
		eventstore.TypeOf[WasCharged]("reservation.was-charged", 1),
		eventstore.TypeOf[SeatsWereConfirmed]("reservation.seats-were-confirmed", 1),
		eventstore.TypeOf[StepFailed]("reservation.step-failed", 1),
		eventstore.TypeOf[TicketWasIssued]("reservation.ticket-was-issued", 1),
		eventstore.TypeOf[TicketFailed]("reservation.ticket-failed", 1),
		eventstore.TypeOf[TicketDue]("reservation.ticket-due", 1),
		eventstore.TypeOf[DeadlineDue]("reservation.deadline-due", 1),
		eventstore.TypeOf[WasUndone]("reservation.was-undone", 1),
		eventstore.TypeOf[UndoFailed]("reservation.undo-failed", 1),
		eventstore.TypeOf[UndoDue]("reservation.undo-due", 1),
	}
}

// Tells finds the actions that are not recorded.
func Tells(a Action) bool {
	_, finished := a.(Finished)
	return finished
}
