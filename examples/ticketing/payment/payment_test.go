package payment_test

import (
	"testing"

	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/testkit"
)

var (
	d         payment.Decider
	requested = payment.Requested{Amount: 500}
)

func TestChargedAndRefunded(t *testing.T) {
	t.Parallel()
	testkit.Given(t, d).
		When(payment.Request{Amount: 500}).Then(requested).
		ThenState(func(s *payment.State) { s.Phase, s.Amount = payment.IsRequested, 500 }).
		When(payment.RecordCharge{}).Then(payment.Charged{}).
		ThenState(func(s *payment.State) { s.Phase = payment.IsCharged }).
		When(payment.RecordRefund{Amount: 500}).Then(payment.Refunded{Amount: 500}).
		ThenState(func(s *payment.State) { s.Phase, s.Refunded = payment.IsRefunded, 500 })
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	testkit.Given(t, d, requested).
		When(payment.RecordDecline{}).Then(payment.Declined{}).
		ThenState(func(s *payment.State) { s.Phase = payment.IsDeclined }).
		When(payment.Withdraw{}).ThenNothing()
}

func TestTwice(t *testing.T) {
	t.Parallel()
	testkit.Given(t, d, requested).
		When(payment.Request{Amount: 500}).ThenNothing().
		When(payment.RecordCharge{}).Then(payment.Charged{}).
		When(payment.RecordCharge{}).ThenNothing().
		When(payment.Request{Amount: 500}).ThenNothing().
		When(payment.RecordDecline{}).ThenNothing().
		When(payment.Withdraw{}).ThenNothing(). // it is charged: the refund ends it
		When(payment.RecordRefund{Amount: 500}).Then(payment.Refunded{Amount: 500}).
		When(payment.RecordRefund{Amount: 500}).ThenNothing().
		When(payment.RecordCharge{}).ThenNothing().
		When(payment.Withdraw{}).ThenNothing().
		When(payment.Request{Amount: 500}).ThenRejected("payment-withdrawn")
}

func TestWithdrawBeforeRequest(t *testing.T) {
	t.Parallel()
	testkit.Given(t, d).
		When(payment.Withdraw{}).Then(payment.Withdrawn{}).
		ThenState(func(s *payment.State) { s.Phase = payment.IsWithdrawn }).
		When(payment.Request{Amount: 500}).ThenRejected("payment-withdrawn")
}

// The card was charged, although nobody wanted it any more: the refund is
// recorded, whether or not the charge was.
func TestLateCharge(t *testing.T) {
	t.Parallel()
	testkit.Given(t, d, requested).
		When(payment.Withdraw{}).Then(payment.Withdrawn{}).
		When(payment.RecordCharge{}).ThenNothing().
		When(payment.RecordRefund{Amount: 500}).Then(payment.Refunded{Amount: 500})
	testkit.Given(t, d, requested).
		When(payment.RecordRefund{Amount: 500}).Then(payment.Refunded{Amount: 500})
}

func TestNonsense(t *testing.T) {
	t.Parallel()
	testkit.Given(t, d).
		When(payment.Request{Amount: 0}).ThenRejected("bad-amount").
		When(payment.Request{Amount: -5}).ThenRejected("bad-amount").
		When(payment.RecordCharge{}).ThenRejected("no-payment").
		When(payment.RecordDecline{}).ThenRejected("no-payment").
		When(payment.RecordRefund{Amount: 5}).ThenRejected("bad-amount").
		When(payment.Request{Amount: 500}).Then(requested).
		When(payment.Request{Amount: 499}).ThenRejected("bad-amount").
		When(payment.RecordRefund{Amount: 501}).ThenRejected("bad-amount").
		When(payment.RecordRefund{Amount: 500}).Then(payment.Refunded{Amount: 500}).
		When(payment.RecordRefund{Amount: 499}).ThenRejected("bad-amount")
}
