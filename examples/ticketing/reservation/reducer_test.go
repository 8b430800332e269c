package reservation

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

const (
	id    = ticket.Reservation("ann-1")
	price = ticket.Money(299_80)
)

var (
	stalls = ticket.Section{Event: "gala", Name: "stalls"}
	order  = Order{Reservation: id, Customer: "ann", Section: stalls, Quantity: 2}
	seats  = []ticket.Seat{{Row: 1, Number: 4}, {Row: 1, Number: 5}}
	stub   = ticket.Ticket{Reservation: id, Customer: "ann", Section: stalls, Seats: seats, Paid: price}

	toHold    = HoldSeats{id, stalls, 2, nil}
	toCharge  = Charge{id, price}
	toConfirm = ConfirmSeats{id, stalls}
	toRelease = ReleaseSeats{id, stalls}
	toRefund  = Refund{id}
	toIssue   = IssueTicket{stub}

	errSoldOut  = &ticket.RejectionError{Reason: "sold out"}
	errHoldOver = &ticket.RejectionError{Reason: "hold is over"}
	errDeclined = &ticket.RejectionError{Reason: "card declined"}
	errSilent   = errors.New("connection lost")
)

type testStore = testkit.TestStore[State, Action]

// holding is a reservation that has asked for seats.
func holding(t *testing.T) *testStore {
	t.Helper()
	ts := testkit.New[State, Action](t, State{}, Reducer{})
	ts.Send(Start{order}, func(s *State) {
		*s = State{Order: order, Phase: Holding, Undo: []Step{SeatsHeld}, Asking: 1}
	})
	return ts
}

// paying is one that has seats and has asked for the money.
func paying(t *testing.T) *testStore {
	t.Helper()
	ts := holding(t)
	testkit.Reply(ts, toHold, SeatsWereHeld{seats, price})
	ts.Receive(SeatsWereHeld{seats, price}, func(s *State) {
		s.Phase, s.Seats, s.Price, s.Undo = Paying, seats, price, []Step{SeatsHeld, Paid}
	})
	return ts
}

// confirming is one that is paid.
func confirming(t *testing.T) *testStore {
	t.Helper()
	ts := paying(t)
	testkit.Reply(ts, toCharge, struct{}{})
	ts.Receive(WasCharged{}, func(s *State) { s.Phase = Confirming })
	return ts
}

// ticketing is one whose seats are sold.
func ticketing(t *testing.T) *testStore {
	t.Helper()
	ts := confirming(t)
	testkit.Reply(ts, toConfirm, struct{}{})
	ts.Receive(SeatsWereConfirmed{}, func(s *State) {
		s.Phase, s.Undo, s.Outcome = Ticketing, nil, Outcome{Phase: Completed, Ticket: stub}
	})
	return ts
}

// undoing is the change of whatever starts compensation.
func undoing(o Outcome, left ...Step) func(*State) {
	return func(s *State) { s.Phase, s.Outcome, s.Undo = Compensating, o, left }
}

// ends asserts that the top of the stack, the last there is, is undone, and with
// it the reservation decided.
func ends(ts *testStore, want Outcome) {
	testkit.Reply(ts, toRelease, struct{}{})
	ts.Receive(WasUndone{}, func(s *State) { s.Phase, s.Undo, s.Attempts, s.Asking = want.Phase, []Step{}, 0, 0 })
	ts.Receive(Finished{want})
}

// refunds asserts that the payment is undone, and the seats are next.
func refunds(ts *testStore, amount ticket.Money) {
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(WasUndone{amount}, func(s *State) { s.Undo, s.Outcome.Refunded = []Step{SeatsHeld}, amount })
}

func TestReservation(t *testing.T) {
	t.Parallel()
	ts := ticketing(t)
	testkit.Reply(ts, toIssue, struct{}{})
	ts.Receive(TicketWasIssued{}, func(s *State) { s.Phase, s.Asking = Completed, 0 })
	ts.Receive(Finished{Outcome{Phase: Completed, Ticket: stub}})
	ts.Advance(24 * time.Hour) // its deadline is no more

	ts.Send(Start{order}) // it comes again
	ts.Receive(Finished{Outcome{Phase: Completed, Ticket: stub}})
}

func TestSeatsAreRefused(t *testing.T) {
	t.Parallel()
	ts := holding(t)
	testkit.Fail(ts, toHold, errSoldOut) // nothing was done, so nothing is to be undone
	ts.Receive(StepFailed{"sold out", true}, func(s *State) {
		s.Phase, s.Outcome, s.Undo, s.Asking = Failed, Outcome{Phase: Failed, Reason: "sold out"}, []Step{}, 0
	})
	ts.Receive(Finished{Outcome{Phase: Failed, Reason: "sold out"}})
}

func TestSeatsAreUncertain(t *testing.T) {
	t.Parallel()
	ts := holding(t)
	for range 2 { // attempts that are followed by another
		testkit.Fail(ts, toHold, errSilent)
		ts.Advance(2 * time.Second)
	}
	testkit.Fail(ts, toHold, errSilent)
	want := Outcome{Phase: Failed, Reason: InventoryNoAnswer}
	ts.Receive(StepFailed{InventoryNoAnswer, false}, undoing(want, SeatsHeld))
	ends(ts, want)
}

func TestCardIsDeclined(t *testing.T) {
	t.Parallel()
	ts := paying(t)
	testkit.Fail(ts, toCharge, errDeclined) // the seats are released, there is no refund
	want := Outcome{Phase: Failed, Reason: "card declined"}
	ts.Receive(StepFailed{"card declined", true}, undoing(want, SeatsHeld))
	ends(ts, want)
}

func TestPaymentIsUncertain(t *testing.T) {
	t.Parallel()
	ts := paying(t)
	testkit.Fail(ts, toCharge, errSilent) // it may have happened: refund, then release
	want := Outcome{Phase: Failed, Reason: PaymentUncertain}
	ts.Receive(StepFailed{PaymentUncertain, false}, undoing(want, SeatsHeld, Paid))
	refunds(ts, 0)
	ends(ts, want)
}

func TestHoldIsOverWhenThePaymentComes(t *testing.T) {
	t.Parallel()
	ts := confirming(t)
	testkit.Fail(ts, toConfirm, errHoldOver)
	ts.Receive(StepFailed{"hold is over", true}, undoing(Outcome{Phase: Failed, Reason: "hold is over"}, SeatsHeld, Paid))
	refunds(ts, price)
	ends(ts, Outcome{Phase: Failed, Reason: "hold is over", Refunded: price})
}

// The gateway takes its time. The deadline comes first, so the charge is
// refunded, done or not: that it was done is only seen by the refund.
func TestDeadlineRefundsALateCharge(t *testing.T) {
	t.Parallel()
	ts := paying(t)
	ts.Advance(Deadline)
	ts.Receive(DeadlineDue{}, undoing(Outcome{Phase: Failed, Reason: DeadlinePassed}, SeatsHeld, Paid))
	refunds(ts, price)
	ends(ts, Outcome{Phase: Failed, Reason: DeadlinePassed, Refunded: price})
}

func TestCustomerCancels(t *testing.T) {
	t.Parallel()
	t.Run("while seats are asked for", func(t *testing.T) {
		t.Parallel()
		ts := holding(t)
		ts.Send(Cancel{id}, func(s *State) { undoing(Outcome{Phase: Cancelled}, SeatsHeld)(s); s.Asking = 2 })
		endsForTwo(ts, Outcome{Phase: Cancelled})
	})
	t.Run("while paying", func(t *testing.T) {
		t.Parallel()
		ts := paying(t)
		ts.Send(Cancel{id}, func(s *State) { undoing(Outcome{Phase: Cancelled}, SeatsHeld, Paid)(s); s.Asking = 2 })
		refunds(ts, price)
		endsForTwo(ts, Outcome{Phase: Cancelled, Refunded: price})
	})
	t.Run("while seats are confirmed", func(t *testing.T) {
		t.Parallel()
		ts := confirming(t)
		ts.Send(Cancel{id}, func(s *State) { undoing(Outcome{Phase: Cancelled}, SeatsHeld, Paid)(s); s.Asking = 2 })
		refunds(ts, price)
		endsForTwo(ts, Outcome{Phase: Cancelled, Refunded: price})
	})
	t.Run("while it is undone already", func(t *testing.T) {
		t.Parallel()
		ts := paying(t)
		testkit.Fail(ts, toCharge, errDeclined)
		want := Outcome{Phase: Failed, Reason: "card declined"}
		ts.Receive(StepFailed{"card declined", true}, undoing(want, SeatsHeld))
		ts.Send(Cancel{id}, func(s *State) { s.Asking = 2 })
		endsForTwo(ts, want)
	})
	t.Run("when the seats are sold, which is too late", func(t *testing.T) {
		t.Parallel()
		ts := ticketing(t)
		ts.Send(Cancel{id}, func(s *State) { s.Asking = 2 })
		testkit.Reply(ts, toIssue, struct{}{})
		ts.Receive(TicketWasIssued{}, func(s *State) { s.Phase, s.Asking = Completed, 0 })
		ts.Receive(Finished{Outcome{Phase: Completed, Ticket: stub}})
		ts.Receive(Finished{Outcome{Phase: Completed, Ticket: stub}})
		ts.Send(Cancel{id})
		ts.Receive(Finished{Outcome{Phase: Completed, Ticket: stub}})
	})
	t.Run("before the start", func(t *testing.T) {
		t.Parallel()
		ts := testkit.New[State, Action](t, State{}, Reducer{})
		ts.Send(Cancel{id}, func(s *State) {
			s.Order.Reservation, s.Phase, s.Outcome = id, Cancelled, Outcome{Phase: Cancelled}
		})
		ts.Receive(Finished{Outcome{Phase: Cancelled}})
		ts.Send(Start{order})
		ts.Receive(Finished{Outcome{Phase: Cancelled}})
	})
}

// endsForTwo is ends when two have asked.
func endsForTwo(ts *testStore, want Outcome) {
	ends(ts, want)
	ts.Receive(Finished{want})
}

func TestUndoIsTriedUntilItIsDone(t *testing.T) {
	t.Parallel()
	ts := paying(t)
	testkit.Fail(ts, toCharge, errDeclined)
	want := Outcome{Phase: Failed, Reason: "card declined"}
	ts.Receive(StepFailed{"card declined", true}, undoing(want, SeatsHeld))
	for attempts := 1; attempts <= StuckAfter; attempts++ {
		s := ts.State()
		require.False(t, s.Stuck())
		testkit.Fail(ts, toRelease, errSilent)
		ts.Receive(UndoFailed{}, func(s *State) { s.Attempts = attempts })
		ts.Advance(undoWait(attempts))
		ts.Receive(UndoDue{})
	}
	s := ts.State()
	require.True(t, s.Stuck(), "somebody should have a look")
	ends(ts, want)
	s = ts.State()
	require.False(t, s.Stuck())
}

func TestUndoWaitIsBounded(t *testing.T) {
	t.Parallel()
	require.Equal(t, firstUndoWait, undoWait(1))
	require.Equal(t, 2*firstUndoWait, undoWait(2))
	require.Equal(t, longestUndoWait, undoWait(1000))
}

func TestTicketIsTriedUntilItIsIssued(t *testing.T) {
	t.Parallel()
	ts := ticketing(t)
	for range 20 {
		testkit.Fail(ts, toIssue, errSilent)
		ts.Receive(TicketFailed{})
		ts.Advance(ticketWait)
		ts.Receive(TicketDue{})
	}
	testkit.Reply(ts, toIssue, struct{}{})
	ts.Receive(TicketWasIssued{}, func(s *State) { s.Phase, s.Asking = Completed, 0 })
	ts.Receive(Finished{Outcome{Phase: Completed, Ticket: stub}})
}

func TestOutcomeInWords(t *testing.T) {
	t.Parallel()
	require.Equal(t, "completed: A4 A5 for $299.80", Outcome{Phase: Completed, Ticket: stub}.String())
	require.Equal(t, "failed: not paid in time, $299.80 refunded", Outcome{Phase: Failed, Reason: DeadlinePassed, Refunded: price}.String())
	require.Equal(t, "cancelled", Outcome{Phase: Cancelled}.String())
}

// A recorder may have taken an action up before it was cancelled.
func TestWhatComesLateChangesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action Action
		inTime []Phase
	}{
		{SeatsWereHeld{Seats: seats, Price: price}, []Phase{Holding}},
		{WasCharged{}, []Phase{Paying}},
		{SeatsWereConfirmed{}, []Phase{Confirming}},
		{StepFailed{Reason: "sold out", Certain: true}, []Phase{Holding, Paying, Confirming}},
		{DeadlineDue{}, []Phase{Holding, Paying}},
		{TicketWasIssued{}, []Phase{Ticketing}},
		{TicketFailed{}, []Phase{Ticketing}},
		{TicketDue{}, []Phase{Ticketing}},
		{WasUndone{}, []Phase{Compensating}},
		{UndoFailed{}, []Phase{Compensating}},
		{UndoDue{}, []Phase{Compensating}},
	} {
		for phase := New; phase <= Cancelled; phase++ {
			before := State{Order: order, Phase: phase, Undo: []Step{SeatsHeld}, Outcome: Outcome{Phase: Failed}}
			after := before.Clone()
			e := Reducer{}.Reduce(&after, c.action, reducer.Env{})
			changes := !reflect.DeepEqual(after, before) || effect.Describe(e).Kind != "none"
			require.Equal(t, slices.Contains(c.inTime, phase), changes, "%T when it is %s", c.action, phase)
		}
	}
}

// What was on its way in another process is asked for again.
func TestResumes(t *testing.T) {
	t.Parallel()
	for phase := New; phase <= Cancelled; phase++ {
		s := State{Order: order, Phase: phase, Undo: []Step{SeatsHeld}, Asking: 3}
		resume, ok := Resumes(&s)
		e := Reducer{}.Reduce(&s, resume, reducer.Env{})
		require.Equal(t, phase != New && !phase.Decided(), ok, "%s", phase)
		require.Equal(t, ok, effect.Describe(e).Kind != "none", "%s", phase)
		require.Equal(t, State{Order: order, Phase: phase, Undo: []Step{SeatsHeld}}, s) // who waited is gone
	}
}
