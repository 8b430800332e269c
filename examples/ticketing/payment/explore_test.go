package payment_test

import (
	"testing"

	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/testkit"
)

// bank is the gateway as a payment needs it: one key, charged once at most, and
// closed by a refund.
type bank struct {
	Declines bool // every charge
	Standing payment.Standing
	Closed   bool
	Charged  ticket.Money
	Refunded ticket.Money
}

func (b *bank) charge(q payment.SubmitCharge) (struct{}, error) {
	if b.Standing == payment.StandsUnknown {
		b.Standing = payment.StandsCharged
		if b.Closed || b.Declines {
			b.Standing = payment.StandsDeclined
		} else {
			b.Charged += q.Amount
		}
	}
	if b.Standing == payment.StandsDeclined {
		return struct{}{}, payment.ErrDeclined
	}
	return struct{}{}, nil
}

func (b *bank) lookUp(payment.LookUp) (payment.Standing, error) { return b.Standing, nil }

func (b *bank) refund(payment.SubmitRefund) (ticket.Money, error) {
	b.Closed = true
	b.Refunded = b.Charged
	return b.Charged, nil
}

func model(b bank, inputs ...[]payment.Action) testkit.Model[payment.State, payment.Action, bank] {
	return testkit.Model[payment.State, payment.Action, bank]{
		World:   b,
		Reducer: payment.Reducer{},
		Inputs:  inputs,
		Answers: []testkit.Answer{
			testkit.On((*bank).charge),
			testkit.On((*bank).lookUp, testkit.ReadOnly()),
			testkit.On((*bank).refund),
		},
		// What was decided is saved; those who waited are gone.
		Recover: func(s *payment.State) (payment.State, []payment.Action) {
			return *s, []payment.Action{payment.Resume{}}
		},
	}
}

const price = 4500

var (
	charge = payment.Charge{Payment: "r1", Amount: price}
	refund = payment.Refund{Payment: "r1"}

	faults = []testkit.Option{testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1), testkit.Timeouts(2)}

	promises = append([]testkit.Option{
		testkit.Always("charged once at most", func(_ *payment.State, b *bank) bool { return b.Charged <= price }),
		testkit.Always("nothing is given back that was not charged", func(_ *payment.State, b *bank) bool { return b.Refunded <= b.Charged }),
		testkit.Always("no refund is answered while money can still be taken", func(s *payment.State, b *bank) bool {
			return s.Phase != payment.IsRefunded || b.Closed && b.Refunded == b.Charged
		}),
		testkit.Finally("it is decided", func(s *payment.State, _ *bank) bool {
			return s.Phase == payment.IsCharged || s.Phase == payment.IsDeclined || s.Phase == payment.IsRefunded
		}),
		testkit.Finally("the money is where the payment says", func(s *payment.State, b *bank) bool {
			return b.Charged-b.Refunded == map[bool]ticket.Money{true: price}[s.Phase == payment.IsCharged]
		}),
	}, faults...)
)

func reaches(name string, phase payment.Phase) testkit.Option {
	return testkit.Sometimes(name, func(s *payment.State, _ *bank) bool { return s.Phase == phase })
}

// A payment with one crash, one lost answer and one duplicate, and two requests
// that the gateway never answers.
func TestExplored(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		bank   bank
		inputs [][]payment.Action
		phase  payment.Phase
	}{
		"charge":                    {inputs: [][]payment.Action{{charge}}, phase: payment.IsCharged},
		"charge that is declined":   {bank: bank{Declines: true}, inputs: [][]payment.Action{{charge}}, phase: payment.IsDeclined},
		"charge and refund":         {inputs: [][]payment.Action{{charge}, {refund}}, phase: payment.IsRefunded},
		"declined charge, refunded": {bank: bank{Declines: true}, inputs: [][]payment.Action{{charge}, {refund}}, phase: payment.IsDeclined},
		"charged by two":            {inputs: [][]payment.Action{{charge}, {charge, refund}}, phase: payment.IsCharged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.Explore(t, model(row.bank, row.inputs...), append([]testkit.Option{reaches(name, row.phase)}, promises...)...)
		})
	}
}

// More goes wrong than can be explored.
func TestSimulated(t *testing.T) {
	t.Parallel()
	testkit.Simulate(t, model(bank{}, []payment.Action{charge, charge}, []payment.Action{refund}), append(promises[:len(promises):len(promises)],
		testkit.Crashes(5), testkit.LostReplies(5), testkit.Duplicates(5), testkit.Timeouts(20), testkit.FaultRate(0.4), testkit.Walks(300))...)
}
