package recorder_test

import (
	"testing"

	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/testkit"
)

// A recorded payment, and its gateway.
type (
	paymentState  = recorder.State[payment.State, payment.Action]
	paymentAction = recorder.Action[payment.Action]

	bank struct {
		Log      log[payment.Action]
		Standing payment.Standing
		Closed   bool
		Charged  ticket.Money
		Refunded ticket.Money
	}
)

func (b *bank) append(q recorder.Append[payment.Action]) (struct{}, error) { return b.Log.append(q) }
func (b *bank) load(q recorder.Load[payment.Action]) ([]recorder.Entry[payment.Action], error) {
	return b.Log.load(q)
}

func (b *bank) charge(q payment.SubmitCharge) (struct{}, error) {
	if b.Standing == payment.StandsUnknown {
		b.Standing = payment.StandsDeclined
		if !b.Closed {
			b.Standing = payment.StandsCharged
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

// A payment with timers, searches and refunds, all of it through the log, and
// more that goes wrong than can be explored.
func TestSimulatedPayment(t *testing.T) {
	t.Parallel()
	const price = 4500
	r := recorder.New(payment.Reducer{}, recorder.Config[payment.State, payment.Action]{Tells: payment.Tells, Resume: payment.Resumes})
	charge := recorder.Give[payment.Action](payment.Charge{Payment: "r1", Amount: price})
	refund := recorder.Give[payment.Action](payment.Refund{Payment: "r1"})
	begin := paymentState{Stream: "payment-r1"}
	m := testkit.Model[paymentState, paymentAction, bank]{
		State:   begin,
		Reducer: r,
		Inputs:  [][]paymentAction{{charge, charge}, {refund}},
		Answers: []testkit.Answer{
			testkit.On((*bank).append),
			testkit.On((*bank).load, testkit.ReadOnly()),
			testkit.On((*bank).charge),
			testkit.On((*bank).lookUp, testkit.ReadOnly()),
			testkit.On((*bank).refund),
		},
		Recover: func(*paymentState) (paymentState, []paymentAction) {
			return begin, []paymentAction{recorder.Wake[payment.Action]{}, charge, refund} // who had asked asks again
		},
	}
	reaches := func(p payment.Phase) testkit.Option {
		return testkit.Sometimes(p.String(), func(s *paymentState, _ *bank) bool { return s.Inner.Phase == p })
	}
	testkit.Simulate(t, m,
		testkit.Always("the state is what the log says", func(s *paymentState, b *bank) bool {
			return s.Version <= b.Log.version() && s.Inner == replayed(r, b.Log.Entries[:s.Version])
		}),
		testkit.Always("charged once at most", func(_ *paymentState, b *bank) bool { return b.Charged <= price }),
		testkit.Always("no refund is answered while money can still be taken", func(s *paymentState, b *bank) bool {
			return s.Inner.Phase != payment.IsRefunded || b.Closed && b.Refunded == b.Charged
		}),
		testkit.Finally("it is decided", func(s *paymentState, b *bank) bool {
			switch s.Inner.Phase {
			case payment.IsCharged, payment.IsDeclined, payment.IsRefunded:
				return true
			case payment.New: // its commands came to nothing before they were in the log
				return s.Inner == payment.State{}
			case payment.Charging, payment.LookingUp, payment.Refunding:
			}
			return false
		}),
		testkit.Finally("the money is where the payment says", func(s *paymentState, b *bank) bool {
			return b.Charged-b.Refunded == map[bool]ticket.Money{true: price}[s.Inner.Phase == payment.IsCharged]
		}),
		reaches(payment.IsCharged), reaches(payment.IsRefunded),
		testkit.Crashes(5), testkit.LostReplies(5), testkit.Duplicates(5), testkit.Timeouts(20), testkit.FaultRate(0.4), testkit.Walks(100))
}
