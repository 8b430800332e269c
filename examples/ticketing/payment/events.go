package payment

import "github.com/seed57833328/rondo/eventstore"

// Events are the actions as they are recorded. An Answer is not: it tells what
// the state has in it already.
func Events() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Charge]("payment.charge", 1),
		eventstore.TypeOf[Refund]("payment.refund", 1),
		eventstore.TypeOf[Resume]("payment.resume", 1),
		eventstore.TypeOf[ChargeAnswered]("payment.charge-answered", 1),
		eventstore.TypeOf[ChargeUnanswered]("payment.charge-unanswered", 1),
		eventstore.TypeOf[LookupDue]("payment.lookup-due", 1),
		eventstore.TypeOf[LookedUp]("payment.looked-up", 1),
		eventstore.TypeOf[GiveUpDue]("payment.give-up-due", 1),
		eventstore.TypeOf[RefundDue]("payment.refund-due", 1),
		eventstore.TypeOf[RefundAnswered]("payment.refund-answered", 1),
		eventstore.TypeOf[RefundUnanswered]("payment.refund-unanswered", 1),
	}
}

// Tells finds the actions that are not recorded.
func Tells(a Action) bool {
	_, answer := a.(Answer)
	return answer
}
