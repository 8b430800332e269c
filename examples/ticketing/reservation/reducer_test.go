package reservation

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

var (
	stalls = ticket.Section{Event: "gala", Name: "stalls"}
	seats  = []ticket.Seat{{Row: 1, Number: 2}}
	order  = Order{Reservation: "ann", Customer: "Ann", Section: stalls, Quantity: 1}
	paid   = ticket.Ticket{Reservation: "ann", Customer: "Ann", Section: stalls, Seats: seats, Paid: 10_00}
)

// after reduces actions on a new reservation, and returns the state and what the
// last of them asks for.
func after(actions ...Action) (s State, asked string) {
	var e effect.Effect[Action]
	for _, a := range actions {
		e = Reducer{}.Reduce(&s, a, reducer.Env{})
	}
	return s, asks(effect.Describe(e))
}

// asks names what an effect asks for.
func asks(d effect.Description) string {
	text := fmt.Sprintf("%v ", d.Key)
	switch q := d.Request.(type) {
	case nil:
	case saga.Command:
		text += fmt.Sprintf("%T undone by %T ", q.Request, q.Undo)
	default:
		text += fmt.Sprintf("%T ", q)
	}
	for _, e := range d.Effects {
		text += asks(e)
	}
	return text
}

var (
	start     = Start{order}
	held      = SeatsWereHeld{seats, 10_00}
	requested = PaymentWasRequested{}
	charged   = WasCharged{}
	confirmed = SeatsWereConfirmed{}
)

func TestSteps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		actions []Action
		phase   Phase
		asks    []string
	}{
		{[]Action{start}, Holding, []string{"deadline", "HoldSeats", "ReleaseSeats"}},
		{[]Action{start, held}, Requesting, []string{"RequestPayment", "WithdrawPayment"}},
		{[]Action{start, held, requested}, Charging, []string{"ChargeCard", "RefundCard"}},
		{[]Action{start, held, requested, charged}, Confirming, []string{"deadline", "RecordCharge", "ConfirmSeats"}},
		{[]Action{start, held, requested, charged, confirmed}, Ticketing, []string{"Pivot", "IssueTicket"}},
		{[]Action{start, held, requested, charged, confirmed, TicketWasIssued{}}, Completed, []string{"Completion"}},
	} {
		s, asked := after(c.actions...)
		require.Equal(t, c.phase, s.Phase)
		for _, what := range c.asks {
			require.Contains(t, asked, what)
		}
	}
	s, _ := after(start, held, requested, charged, confirmed, TicketWasIssued{})
	require.Equal(t, Outcome{Phase: Completed, Ticket: paid}, s.Outcome)
}

// Whatever ends it on its way is compensated once, and too late it changes
// nothing.
func TestEnds(t *testing.T) {
	t.Parallel()
	way := []Action{start, held, requested, charged, confirmed, TicketWasIssued{}}
	for _, end := range []struct {
		action  Action
		outcome Outcome
	}{
		{Cancel{}, Outcome{Phase: Cancelled}},
		{CallOff{}, Outcome{Phase: Failed, Reason: EventCancelled}},
		{DeadlineDue{}, Outcome{Phase: Failed, Reason: DeadlinePassed}},
		{StepFailed{inventory.SoldOut}, Outcome{Phase: Failed, Reason: inventory.SoldOut}},
	} {
		for n := range len(way) + 1 {
			before, _ := after(way[:n]...)
			s, asked := after(append(way[:n:n], end.action)...)
			if n >= 5 { // past the point of no return
				require.Equal(t, before, s)
				require.NotContains(t, asked, "Compensation")
				continue
			}
			require.Equal(t, Compensating, s.Phase)
			require.Equal(t, end.outcome, s.Outcome)
			require.Contains(t, asked, "Compensation")
			_, asked = after(append(way[:n:n], end.action, Cancel{})...)
			require.NotContains(t, asked, "Compensation", "it is undone once")
			require.Equal(t, end.outcome.Phase, Standing(s, saga.Compensated).Phase)
			require.Equal(t, Compensating, Standing(s, saga.Compensating).Phase)
		}
	}
	require.Equal(t, Failed, Standing(State{Phase: Charging}, saga.Compensated).Phase, "by an operator")
}

func TestDeclinedCardIsRecorded(t *testing.T) {
	t.Parallel()
	_, asked := after(start, held, requested, StepFailed{CardDeclined})
	require.Contains(t, asked, "RecordCharge")
	_, asked = after(start, held, requested, StepFailed{PaymentUncertain})
	require.NotContains(t, asked, "RecordCharge")
}

func TestRefundIsRecorded(t *testing.T) {
	t.Parallel()
	s, asked := after(start, held, requested, DeadlineDue{}, WasRefunded{10_00})
	require.Equal(t, ticket.Money(10_00), s.Outcome.Refunded)
	require.Contains(t, asked, "RecordRefund")
	s, asked = after(start, held, requested, DeadlineDue{}, WasRefunded{0})
	require.Zero(t, s.Outcome.Refunded)
	require.NotContains(t, asked, "RecordRefund")
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Outcome{
		"completed: A2 for $10.00":                 {Phase: Completed, Ticket: paid},
		"failed: sold out":                         {Phase: Failed, Reason: inventory.SoldOut},
		"failed: not paid in time, $4.00 refunded": {Phase: Failed, Reason: DeadlinePassed, Refunded: 4_00},
		"cancelled":                                {Phase: Cancelled},
	} {
		require.Equal(t, want, o.String())
	}
}

// What a refusal was for is told by the next step, and anything else is uncertain.
func TestReasonsOfFailure(t *testing.T) {
	t.Parallel()
	refused := &saga.EffectError{Message: "no"}
	require.Equal(t, StepFailed{InventoryNoAnswer}, next(saga.Reply[int]{Err: refused}, InventoryNoAnswer, charged))
	require.Equal(t, StepFailed{CardDeclined}, next(saga.Reply[int]{Err: ticket.RefusedError{Reason: CardDeclined}}, PaymentUncertain, charged))
	require.Equal(t, charged, next(saga.Reply[int]{}, PaymentUncertain, charged))
}
