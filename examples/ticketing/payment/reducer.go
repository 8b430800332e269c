package payment

import (
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

const (
	// GiveUpAfter is how long a payment tries to learn what became of a charge,
	// if nobody asks for a refund before.
	GiveUpAfter = 10 * time.Minute
	// StuckAfter is how many attempts at a refund make a payment [State.Stuck].
	StuckAfter = 20

	submitsAtMost = 3
	lookUpEvery   = 10 * time.Second
	refundAtFirst = 5 * time.Second
	refundAtLast  = time.Minute
)

// Phase is how far a payment has come.
type Phase uint8

// The phases of a payment: see the package documentation.
const (
	New Phase = iota
	Charging
	LookingUp
	IsCharged
	IsDeclined
	Refunding
	IsRefunded
)

func (p Phase) String() string {
	return [...]string{"new", "charging", "looking up", "charged", "declined", "refunding", "refunded"}[p]
}

// State is that of one payment's store. The zero value is a new one.
type State struct {
	Key      ticket.Reservation
	Amount   ticket.Money
	Phase    Phase
	Submits  int           // of the charge
	Refunds  int           // attempts at one, since Refunding
	Returned ticket.Money  // by the gateway
	Why      ticket.Reason // a Charge is refused, when Refunding or IsRefunded

	// Commands that are held until the outcome is certain.
	ChargesHeld, RefundsHeld int
}

// Stuck tells that a refund does not come to an end. It is tried on, but
// somebody should have a look.
func (s *State) Stuck() bool { return s.Phase == Refunding && s.Refunds >= StuckAfter }

// Resumes is the [Resume] that a state needs which another process has left, if
// anything goes on in it.
func Resumes(s *State) (Action, bool) {
	return Resume{}, s.Phase == Charging || s.Phase == LookingUp || s.Phase == Refunding
}

var fx effect.Of[Action]

// The keys of effects. What is under one that was cancelled is never reduced: a
// payment that is settled hears no more of its search.
const (
	chargeHeld  = "charge held"
	refundHeld  = "refund held"
	giveUp      = "give up"
	search      = "search"
	refundAgain = "refund again"
)

// Reducer decides about one payment.
type Reducer struct{}

// Reduce implements reducer.Reducer.
func (Reducer) Reduce(s *State, action Action, _ reducer.Env) effect.Effect[Action] {
	if late(s.Phase, action) {
		return fx.None()
	}
	switch a := action.(type) {
	case Charge:
		return charge(s, a)
	case Refund:
		return refund(s, a)
	case Resume:
		return goOn(s)
	case ChargeAnswered:
		return chargeAnswered(s, a.Approved)
	case ChargeUnanswered:
		return chargeUnanswered(s)
	case LookupDue:
		return lookUp(s.Key)
	case LookedUp:
		return lookedUp(s, a.Standing)
	case GiveUpDue:
		return startRefund(s, Unresolved)
	case RefundDue:
		return submitRefund(s.Key)
	case RefundAnswered:
		return refundAnswered(s, a.Amount)
	case RefundUnanswered:
		s.Refunds++
		return fx.After(refundAgain, refundWait(s.Refunds), RefundDue{})
	}
	return fx.None() // an Answer: it was for those who asked
}

// late finds what comes of a search or a refund that is over. A store never
// reduces what was cancelled, but a recorder may have taken it up before that.
func late(p Phase, action Action) bool {
	switch action.(type) {
	case LookupDue, LookedUp:
		return p != LookingUp
	case GiveUpDue:
		return p != Charging && p != LookingUp
	case RefundDue, RefundAnswered, RefundUnanswered:
		return p != Refunding
	}
	return false
}

// charge starts a payment, or answers as its phase has it.
func charge(s *State, c Charge) effect.Effect[Action] {
	switch s.Phase {
	case New:
		s.Key, s.Amount = c.Payment, c.Amount
		return fx.All(
			holdCharge(s),
			fx.After(giveUp, GiveUpAfter, GiveUpDue{}),
			submit(s))
	case Charging, LookingUp:
		return holdCharge(s)
	case IsCharged:
		return fx.Send(Charged{s.Amount})
	case IsDeclined:
		return fx.Send(Refused{Declined})
	case Refunding, IsRefunded:
		return fx.Send(Refused{s.Why})
	}
	return fx.None()
}

// refund undoes a payment, whatever its phase.
func refund(s *State, c Refund) effect.Effect[Action] {
	switch s.Phase {
	case New:
		s.Key = c.Payment
	case IsDeclined, IsRefunded:
		return fx.Send(Refunded{s.Returned})
	case Refunding:
		return holdRefund(s)
	case Charging, LookingUp, IsCharged:
	}
	return fx.All(holdRefund(s), startRefund(s, Withdrawn))
}

// goOn asks again for what was on its way. The gateway's keys make that safe.
func goOn(s *State) effect.Effect[Action] {
	s.ChargesHeld, s.RefundsHeld = 0, 0
	limit := fx.After(giveUp, GiveUpAfter, GiveUpDue{})
	switch s.Phase {
	case Charging:
		return fx.All(limit, submitCharge(s.Key, s.Amount))
	case LookingUp:
		return fx.All(limit, lookUp(s.Key))
	case Refunding:
		return submitRefund(s.Key)
	case New, IsCharged, IsDeclined, IsRefunded:
	}
	return fx.None()
}

func submit(s *State) effect.Effect[Action] {
	s.Phase = Charging
	s.Submits++
	return submitCharge(s.Key, s.Amount)
}

// chargeAnswered takes the gateway's word, at whatever time it comes.
func chargeAnswered(s *State, approved bool) effect.Effect[Action] {
	switch s.Phase {
	case Charging:
		return settle(s, approved)
	case IsRefunded:
		if approved {
			return startRefund(s, s.Why) // too late: give it back
		}
	default: // a refund is under way, which covers it
	}
	return fx.None()
}

func chargeUnanswered(s *State) effect.Effect[Action] {
	if s.Phase != Charging {
		return fx.None()
	}
	s.Phase = LookingUp
	return lookUp(s.Key)
}

func lookedUp(s *State, standing Standing) effect.Effect[Action] {
	switch {
	case standing == StandsCharged:
		return settle(s, true)
	case standing == StandsDeclined:
		return settle(s, false)
	case standing == StandsUnknown && s.Submits < submitsAtMost:
		return submit(s)
	}
	return fx.After(search, lookUpEvery, LookupDue{})
}

// settle ends a charge with a certain outcome.
func settle(s *State, approved bool) effect.Effect[Action] {
	s.Phase = IsDeclined
	var answer Action = Refused{Declined}
	if approved {
		s.Phase = IsCharged
		answer = Charged{s.Amount}
	}
	return fx.All(
		fx.Cancel(giveUp),
		fx.Cancel(search),
		resume(chargeHeld, &s.ChargesHeld, answer))
}

// startRefund gives up whatever goes on, for the reason why.
func startRefund(s *State, why ticket.Reason) effect.Effect[Action] {
	s.Phase, s.Why, s.Refunds = Refunding, why, 0
	return fx.All(
		fx.Cancel(giveUp),
		fx.Cancel(search),
		resume(chargeHeld, &s.ChargesHeld, Refused{why}),
		submitRefund(s.Key))
}

func refundAnswered(s *State, amount ticket.Money) effect.Effect[Action] {
	s.Phase, s.Returned = IsRefunded, amount
	return resume(refundHeld, &s.RefundsHeld, Refunded{amount})
}

// refundWait doubles up to a bound.
func refundWait(attempts int) time.Duration {
	wait := refundAtFirst
	for range attempts - 1 {
		wait = min(2*wait, refundAtLast)
	}
	return wait
}

func holdCharge(s *State) effect.Effect[Action] {
	s.ChargesHeld++
	return fx.Hold(chargeHeld)
}

func holdRefund(s *State) effect.Effect[Action] {
	s.RefundsHeld++
	return fx.Hold(refundHeld)
}

// resume answers every command that is held under key.
func resume(key string, held *int, answer Action) effect.Effect[Action] {
	all := make([]effect.Effect[Action], *held)
	for i := range all {
		all[i] = fx.Resume(key, answer)
	}
	*held = 0
	return fx.All(all...)
}
