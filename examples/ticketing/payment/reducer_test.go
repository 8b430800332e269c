package payment

import (
	"errors"
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
	key    = ticket.Reservation("ann")
	amount = ticket.Money(299_80)
)

var (
	errSilent     = errors.New("connection lost")
	errInTheWorks = errors.New("charge is still in the works")

	toCharge = SubmitCharge{key, amount}
	toLookUp = LookUp{key}
	toRefund = SubmitRefund{key}
)

// charging is a payment whose charge has been submitted.
func charging(t *testing.T) *testkit.TestStore[State, Action] {
	t.Helper()
	ts := testkit.New[State, Action](t, State{}, Reducer{})
	ts.Send(Charge{key, amount}, func(s *State) {
		*s = State{Key: key, Amount: amount, Phase: Charging, Submits: 1, ChargesHeld: 1}
	})
	return ts
}

// charged is a payment that is done.
func charged(t *testing.T) *testkit.TestStore[State, Action] {
	t.Helper()
	ts := charging(t)
	testkit.Reply(ts, toCharge, struct{}{})
	ts.Receive(ChargeAnswered{true}, settled(IsCharged))
	ts.Receive(Charged{amount})
	return ts
}

// searching is a payment whose charge was not answered.
func searching(t *testing.T) *testkit.TestStore[State, Action] {
	t.Helper()
	ts := charging(t)
	ts.Advance(chargeTimeout)
	ts.Receive(ChargeUnanswered{}, func(s *State) { s.Phase = LookingUp })
	return ts
}

func settled(p Phase) func(*State) {
	return func(s *State) { s.Phase, s.ChargesHeld = p, 0 }
}

// givenUp is the change when a refund begins that somebody waits for.
func givenUp(s *State) { s.Phase, s.Why, s.ChargesHeld, s.RefundsHeld = Refunding, Withdrawn, 0, 1 }

func refunded(returned ticket.Money) func(*State) {
	return func(s *State) { s.Phase, s.Returned, s.RefundsHeld = IsRefunded, returned, 0 }
}

func TestCharge(t *testing.T) {
	t.Parallel()
	ts := charged(t)
	ts.Advance(24 * time.Hour) // the search is over before it began

	// It comes again and is answered at once.
	ts.Send(Charge{key, amount})
	ts.Receive(Charged{amount})
}

func TestChargeIsDeclined(t *testing.T) {
	t.Parallel()
	ts := charging(t)
	testkit.Fail(ts, toCharge, ErrDeclined)
	ts.Receive(ChargeAnswered{false}, settled(IsDeclined))
	ts.Receive(Refused{Declined})

	ts.Send(Charge{key, amount})
	ts.Receive(Refused{Declined})
	ts.Send(Refund{key}) // there is nothing to give back
	ts.Receive(Refunded{0})
}

func TestWhoeverAsksMeanwhileIsAnsweredToo(t *testing.T) {
	t.Parallel()
	ts := charging(t)
	ts.Send(Charge{key, amount}, func(s *State) { s.ChargesHeld = 2 })
	testkit.Reply(ts, toCharge, struct{}{})
	ts.Receive(ChargeAnswered{true}, settled(IsCharged))
	ts.Receive(Charged{amount})
	ts.Receive(Charged{amount})

	ts.Send(Refund{key}, givenUp)
	ts.Send(Refund{key}, func(s *State) { s.RefundsHeld = 2 })
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
	ts.Receive(Refunded{amount})
	ts.Receive(Refunded{amount})
}

func TestUnansweredChargeIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		standing Standing
		phase    Phase
		answer   Answer
	}{
		"charged":  {StandsCharged, IsCharged, Charged{amount}},
		"declined": {StandsDeclined, IsDeclined, Refused{Declined}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := searching(t)

			// First it is still in the works, then the gateway is silent.
			testkit.Reply(ts, toLookUp, StandsProcessing)
			ts.Receive(LookedUp{StandsProcessing})
			ts.Advance(lookUpEvery)
			ts.Receive(LookupDue{})
			ts.Advance(lookupTimeout)
			ts.Receive(LookedUp{StandsProcessing})
			ts.Advance(lookUpEvery)
			ts.Receive(LookupDue{})

			testkit.Reply(ts, toLookUp, c.standing)
			ts.Receive(LookedUp{c.standing}, settled(c.phase))
			ts.Receive(c.answer)
		})
	}
}

func TestUnknownChargeIsSubmittedAgain(t *testing.T) {
	t.Parallel()
	ts := searching(t)
	for submits := 2; submits <= submitsAtMost; submits++ {
		testkit.Reply(ts, toLookUp, StandsUnknown)
		ts.Receive(LookedUp{StandsUnknown}, func(s *State) { s.Phase, s.Submits = Charging, submits })
		testkit.Fail(ts, toCharge, errSilent)
		ts.Receive(ChargeUnanswered{}, func(s *State) { s.Phase = LookingUp })
	}
	// Enough: from now on it is only looked for.
	testkit.Reply(ts, toLookUp, StandsUnknown)
	ts.Receive(LookedUp{StandsUnknown})
	ts.Advance(lookUpEvery)
	ts.Receive(LookupDue{})
	testkit.Reply(ts, toLookUp, StandsCharged)
	ts.Receive(LookedUp{StandsCharged}, settled(IsCharged))
	ts.Receive(Charged{amount})
}

func TestPaymentGivesUpAndRefunds(t *testing.T) {
	t.Parallel()
	ts := searching(t)
	for range (GiveUpAfter - chargeTimeout - 1) / lookUpEvery {
		testkit.Reply(ts, toLookUp, StandsProcessing)
		ts.Receive(LookedUp{StandsProcessing})
		ts.Advance(lookUpEvery)
		ts.Receive(LookupDue{})
	}
	testkit.Reply(ts, toLookUp, StandsProcessing)
	ts.Receive(LookedUp{StandsProcessing})
	ts.Advance(lookUpEvery)
	ts.Receive(GiveUpDue{}, func(s *State) { s.Phase, s.Why, s.ChargesHeld = Refunding, Unresolved, 0 })
	ts.Receive(Refused{Unresolved})

	// The gateway has not decided yet. It is asked again until it has, and the
	// charge, late as it was, is given back.
	testkit.Fail(ts, toRefund, errInTheWorks)
	ts.Receive(RefundUnanswered{}, func(s *State) { s.Refunds = 1 })
	ts.Advance(refundAtFirst)
	ts.Receive(RefundDue{})
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
}

func TestRefundOfACharge(t *testing.T) {
	t.Parallel()
	ts := charged(t)
	ts.Send(Refund{key}, givenUp)
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
	ts.Receive(Refunded{amount})

	ts.Send(Refund{key})
	ts.Receive(Refunded{amount})
	ts.Send(Charge{key, amount})
	ts.Receive(Refused{Withdrawn})
}

// The reservation's deadline passes while the gateway is at work.
func TestChargeThatIsLateIsRefunded(t *testing.T) {
	t.Parallel()
	ts := charging(t)
	ts.Send(Refund{key}, givenUp)
	ts.Receive(Refused{Withdrawn})

	testkit.Reply(ts, toCharge, struct{}{}) // too late
	ts.Receive(ChargeAnswered{true})
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
	ts.Receive(Refunded{amount})
}

// Nothing was there to refund, it seemed.
func TestChargeThatIsLaterThanItsRefundIsRefunded(t *testing.T) {
	t.Parallel()
	ts := charging(t)
	ts.Send(Refund{key}, givenUp)
	ts.Receive(Refused{Withdrawn})
	testkit.Reply(ts, toRefund, 0)
	ts.Receive(RefundAnswered{0}, refunded(0))
	ts.Receive(Refunded{0})

	testkit.Reply(ts, toCharge, struct{}{})
	ts.Receive(ChargeAnswered{true}, func(s *State) { s.Phase = Refunding })
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
}

func TestRefundEndsTheSearch(t *testing.T) {
	t.Parallel()
	ts := searching(t)
	ts.Send(Refund{key}, givenUp) // the lookup in flight is not heard of again
	ts.Receive(Refused{Withdrawn})
	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
	ts.Receive(Refunded{amount})
}

func TestRefundBeforeTheChargeItUndoes(t *testing.T) {
	t.Parallel()
	ts := testkit.New[State, Action](t, State{}, Reducer{})
	ts.Send(Refund{key}, func(s *State) { *s = State{Key: key, Phase: Refunding, Why: Withdrawn, RefundsHeld: 1} })
	testkit.Reply(ts, toRefund, 0)
	ts.Receive(RefundAnswered{0}, refunded(0))
	ts.Receive(Refunded{0})

	ts.Send(Charge{key, amount})
	ts.Receive(Refused{Withdrawn})
}

func TestRefundIsTriedUntilItIsDone(t *testing.T) {
	t.Parallel()
	ts := charged(t)
	ts.Send(Refund{key}, givenUp)
	for attempts := 1; attempts <= StuckAfter; attempts++ {
		s := ts.State()
		require.False(t, s.Stuck())
		ts.Advance(refundTimeout)
		ts.Receive(RefundUnanswered{}, func(s *State) { s.Refunds = attempts })
		ts.Advance(refundWait(attempts))
		ts.Receive(RefundDue{})
	}
	s := ts.State()
	require.True(t, s.Stuck())

	testkit.Reply(ts, toRefund, amount)
	ts.Receive(RefundAnswered{amount}, refunded(amount))
	ts.Receive(Refunded{amount})
	s = ts.State()
	require.False(t, s.Stuck())
}

func TestRefundWaitIsBounded(t *testing.T) {
	t.Parallel()
	require.Equal(t, refundAtFirst, refundWait(1))
	require.Equal(t, 2*refundAtFirst, refundWait(2))
	require.Equal(t, refundAtLast, refundWait(1000))
}

// A recorder may have taken an action up before it was cancelled.
func TestWhatComesLateChangesNothing(t *testing.T) {
	t.Parallel()
	for action, inTime := range map[Action][]Phase{
		LookupDue{}:           {LookingUp},
		LookedUp{}:            {LookingUp},
		GiveUpDue{}:           {Charging, LookingUp},
		RefundDue{}:           {Refunding},
		RefundAnswered{}:      {Refunding},
		RefundUnanswered{}:    {Refunding},
		ChargeUnanswered{}:    {Charging},
		ChargeAnswered{false}: {Charging},
		ChargeAnswered{true}:  {Charging, IsRefunded}, // then it is given back
	} {
		for phase := New; phase <= IsRefunded; phase++ {
			before := State{Key: key, Amount: amount, Phase: phase, Submits: 1, Why: Withdrawn}
			after := before
			e := Reducer{}.Reduce(&after, action, reducer.Env{})
			changes := after != before || effect.Describe(e).Kind != "none"
			require.Equal(t, slices.Contains(inTime, phase), changes, "%T when it is %s", action, phase)
		}
	}
}

// What was on its way in another process is asked for again.
func TestResumes(t *testing.T) {
	t.Parallel()
	for phase := New; phase <= IsRefunded; phase++ {
		s := State{Key: key, Amount: amount, Phase: phase, ChargesHeld: 2, RefundsHeld: 1}
		resume, ok := Resumes(&s)
		e := Reducer{}.Reduce(&s, resume, reducer.Env{})
		require.Equal(t, slices.Contains([]Phase{Charging, LookingUp, Refunding}, phase), ok, "%s", phase)
		require.Equal(t, ok, effect.Describe(e).Kind != "none", "%s", phase)
		require.Equal(t, State{Key: key, Amount: amount, Phase: phase}, s) // who waited is gone
	}
}
