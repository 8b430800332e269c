package reservation

import (
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

var fx effect.Of[Action]

// The keys of effects. What is under one that was cancelled is never reduced: a
// reservation that compensates hears no more of the step it gave up.
const (
	step     = "step"
	deadline = "deadline"
	asking   = "asking"
)

// Reducer decides about one reservation.
type Reducer struct{}

// Reduce implements reducer.Reducer.
func (Reducer) Reduce(s *State, action Action, _ reducer.Env) effect.Effect[Action] {
	if late(s.Phase, action) {
		return fx.None()
	}
	switch a := action.(type) {
	case Start:
		return start(s, a.Order)
	case Resume:
		return goOn(s)
	case SeatsWereHeld:
		return pay(s, a)
	case WasCharged:
		return confirm(s)
	case SeatsWereConfirmed:
		return finishWithTicket(s)
	case TicketWasIssued:
		return decide(s)
	case TicketFailed:
		return fx.After(step, ticketWait, TicketDue{})
	case TicketDue:
		return issueTicket(s.Outcome.Ticket)

	case StepFailed:
		return stepFailed(s, a)
	case DeadlineDue:
		return compensate(s, Outcome{Phase: Failed, Reason: DeadlinePassed})
	case Cancel:
		return cancel(s, a)

	case WasUndone:
		return undone(s, a.Refunded)
	case UndoFailed:
		s.Attempts++
		return fx.After(step, undoWait(s.Attempts), UndoDue{})
	case UndoDue:
		return undoLast(s)
	}
	return fx.None() // Finished: it was for those who asked
}

// late finds what comes of a step that was given up. A store never reduces what
// was cancelled, but a recorder may have taken it up before that.
func late(p Phase, action Action) bool {
	switch action.(type) {
	case SeatsWereHeld:
		return p != Holding
	case WasCharged:
		return p != Paying
	case SeatsWereConfirmed:
		return p != Confirming
	case TicketWasIssued, TicketFailed, TicketDue:
		return p != Ticketing
	case StepFailed:
		return p != Holding && p != Paying && p != Confirming
	case DeadlineDue:
		return p != Holding && p != Paying
	case WasUndone, UndoFailed, UndoDue:
		return p != Compensating
	}
	return false
}

func start(s *State, order Order) effect.Effect[Action] {
	if s.Phase != New {
		return answer(s) // it came again, or was cancelled before
	}
	s.Order = order
	s.Phase = Holding
	s.Undo = append(s.Undo, SeatsHeld)
	return fx.All(
		answer(s),
		fx.After(deadline, Deadline, DeadlineDue{}),
		holdSeats(order))
}

// goOn asks again for what was on its way. Each request may be made twice.
func goOn(s *State) effect.Effect[Action] {
	s.Asking = 0
	limit := fx.After(deadline, Deadline, DeadlineDue{})
	switch s.Phase {
	case Holding:
		return fx.All(limit, holdSeats(s.Order))
	case Paying:
		return fx.All(limit, charge(s))
	case Confirming:
		return confirmSeats(s.Order)
	case Ticketing:
		return issueTicket(s.Outcome.Ticket)
	case Compensating:
		return undoLast(s)
	case New, Completed, Failed, Cancelled:
	}
	return fx.None()
}

func pay(s *State, held SeatsWereHeld) effect.Effect[Action] {
	s.Seats, s.Price = held.Seats, held.Price
	s.Phase = Paying
	s.Undo = append(s.Undo, Paid)
	return charge(s)
}

func confirm(s *State) effect.Effect[Action] {
	s.Phase = Confirming
	return fx.All(fx.Cancel(deadline), confirmSeats(s.Order))
}

func finishWithTicket(s *State) effect.Effect[Action] {
	s.Phase = Ticketing
	s.Undo = nil // there is no way back from here
	s.Outcome = Outcome{Phase: Completed, Ticket: ticket.Ticket{
		Reservation: s.Order.Reservation,
		Customer:    s.Order.Customer,
		Section:     s.Order.Section,
		Seats:       s.Seats,
		Paid:        s.Price,
	}}
	return issueTicket(s.Outcome.Ticket)
}

// stepFailed compensates. A step that was refused is off the stack: it left
// nothing to undo. That of the seats stays when it is their confirmation which
// was refused, since that has no undo of its own.
func stepFailed(s *State, a StepFailed) effect.Effect[Action] {
	if a.Certain && s.Phase != Confirming {
		s.Undo = s.Undo[:len(s.Undo)-1]
	}
	return compensate(s, Outcome{Phase: Failed, Reason: a.Reason})
}

func cancel(s *State, c Cancel) effect.Effect[Action] {
	outcome := Outcome{Phase: Cancelled}
	switch s.Phase {
	case New: // before its Start, which will find it cancelled
		s.Order.Reservation = c.Reservation
		s.Phase, s.Outcome = Cancelled, outcome
	case Holding, Paying, Confirming:
		return fx.All(answer(s), compensate(s, outcome))
	default: // too late
	}
	return answer(s)
}

// compensate gives up the step under way and undoes what was done.
func compensate(s *State, outcome Outcome) effect.Effect[Action] {
	s.Phase = Compensating
	s.Outcome = outcome
	return fx.All(fx.Cancel(step), fx.Cancel(deadline), undoLast(s))
}

// undoLast undoes the top of the stack, or ends the reservation if it is empty.
func undoLast(s *State) effect.Effect[Action] {
	if len(s.Undo) == 0 {
		return decide(s)
	}
	if s.Undo[len(s.Undo)-1] == Paid {
		return refund(s.Order)
	}
	return releaseSeats(s.Order)
}

func undone(s *State, refunded ticket.Money) effect.Effect[Action] {
	s.Undo = s.Undo[:len(s.Undo)-1]
	s.Attempts = 0
	s.Outcome.Refunded += refunded
	return undoLast(s)
}

// undoWait doubles up to a bound.
func undoWait(attempts int) time.Duration {
	wait := firstUndoWait
	for range attempts - 1 {
		wait = min(2*wait, longestUndoWait)
	}
	return wait
}

// decide ends the reservation and answers everybody who asked.
func decide(s *State) effect.Effect[Action] {
	s.Phase = s.Outcome.Phase
	all := make([]effect.Effect[Action], s.Asking)
	for i := range all {
		all[i] = fx.Resume(asking, Finished{s.Outcome})
	}
	s.Asking = 0
	return fx.All(all...)
}

// answer tells how the reservation ended, now or when it has.
func answer(s *State) effect.Effect[Action] {
	if s.Phase.Decided() {
		return fx.Send(Finished{s.Outcome})
	}
	s.Asking++
	return fx.Hold(asking)
}
