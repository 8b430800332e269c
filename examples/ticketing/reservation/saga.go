package reservation

import (
	"errors"
	"slices"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
)

// The requests of a reservation. Each may be made again and is to be done once.
type (
	// HoldSeats asks the inventory for seats.
	HoldSeats struct {
		Section ticket.Section
		Hold    inventory.Hold
	}
	// ConfirmSeats tells the inventory that they are paid.
	ConfirmSeats struct {
		Section     ticket.Section
		Reservation ticket.Reservation
	}
	// ReleaseSeats undoes both.
	ReleaseSeats struct {
		Section     ticket.Section
		Reservation ticket.Reservation
	}
	// RequestPayment opens the payment.
	RequestPayment struct {
		Reservation ticket.Reservation
		Amount      ticket.Money
	}
	// WithdrawPayment undoes it.
	WithdrawPayment struct{ Reservation ticket.Reservation }
	// ChargeCard asks the gateway for the money. A refusal is definitive.
	ChargeCard struct {
		Reservation ticket.Reservation
		Amount      ticket.Money
	}
	// RefundCard undoes it. The result is what was given back, 0 if nothing was
	// charged; nothing is charged afterwards.
	RefundCard struct{ Reservation ticket.Reservation }
	// RecordCharge tells the payment that the card was charged, or declined.
	RecordCharge struct {
		Reservation ticket.Reservation
		Declined    bool
	}
	// RecordRefund tells it what was given back.
	RecordRefund struct {
		Reservation ticket.Reservation
		Amount      ticket.Money
	}
	// IssueTicket asks the box office for the ticket.
	IssueTicket struct{ Ticket ticket.Ticket }
)

// Returns names the result's type.
func (HoldSeats) Returns(inventory.Held) {}

// Returns names the result's type.
func (ConfirmSeats) Returns(struct{}) {}

// Returns names the result's type.
func (ReleaseSeats) Returns(struct{}) {}

// Returns names the result's type.
func (RequestPayment) Returns(struct{}) {}

// Returns names the result's type.
func (WithdrawPayment) Returns(struct{}) {}

// Returns names the result's type.
func (ChargeCard) Returns(struct{}) {}

// Returns names the result's type.
func (RefundCard) Returns(ticket.Money) {}

// Returns names the result's type.
func (RecordCharge) Returns(struct{}) {}

// Returns names the result's type.
func (RecordRefund) Returns(struct{}) {}

// Returns names the result's type.
func (IssueTicket) Returns(struct{}) {}

// Saga is the type of reservations, with the names by which records know what it
// is made of.
var Saga = saga.Define("reservation", Reducer{}, saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Start]("start"), saga.Action[Cancel]("cancel"), saga.Action[CallOff]("call-off"),
		saga.Action[SeatsWereHeld]("seats-were-held"), saga.Action[PaymentWasRequested]("payment-was-requested"),
		saga.Action[WasCharged]("was-charged"), saga.Action[SeatsWereConfirmed]("seats-were-confirmed"),
		saga.Action[TicketWasIssued]("ticket-was-issued"), saga.Action[StepFailed]("step-failed"),
		saga.Action[WasRefunded]("was-refunded"), saga.Action[DeadlineDue]("deadline-due"),
	},
	Requests: []saga.RequestType{
		saga.On("hold-seats", func(_ HoldSeats, r saga.Reply[inventory.Held]) Action {
			return next(r, InventoryNoAnswer, SeatsWereHeld{r.Value.Seats, r.Value.Price})
		}, again),
		saga.On("request-payment", func(_ RequestPayment, r saga.Reply[struct{}]) Action {
			return next(r, PaymentUncertain, PaymentWasRequested{})
		}, again),
		saga.On("charge-card", func(_ ChargeCard, r saga.Reply[struct{}]) Action {
			return next(r, PaymentUncertain, WasCharged{})
		}, untilTheDeadline, saga.Timeout(10*time.Second)),
		saga.On("confirm-seats", func(_ ConfirmSeats, r saga.Reply[struct{}]) Action {
			return next(r, InventoryNoAnswer, SeatsWereConfirmed{})
		}, again),
		saga.On("issue-ticket", func(_ IssueTicket, r saga.Reply[struct{}]) Action {
			return next(r, "", TicketWasIssued{}) // it is tried until it is issued
		}),
		saga.On("refund-card", func(_ RefundCard, r saga.Reply[ticket.Money]) Action {
			return WasRefunded{r.Value}
		}, untilDecided, saga.Timeout(10*time.Second)),
		saga.Request[ReleaseSeats]("release-seats"),
		saga.Request[WithdrawPayment]("withdraw-payment"),
		saga.Request[RecordCharge]("record-charge"),
		saga.Request[RecordRefund]("record-refund"),
	},
	Errors: refusals(slices.Concat(inventory.Reasons(), []ticket.Reason{CardDeclined, payment.WasWithdrawn, payment.BadAmount})),
})

// When what has failed is tried again.
var (
	again = saga.Retry(saga.RetryPolicy{Attempts: 5, Delay: time.Second})
	// A silent gateway may have charged the card: only asking again tells.
	untilTheDeadline = saga.Retry(saga.RetryPolicy{Attempts: 1000, Delay: time.Second, MaxDelay: 5 * time.Second})
	// A charge may be in the works for minutes, and cannot be refunded before.
	untilDecided = saga.Retry(saga.RetryPolicy{Delay: 5 * time.Second, MaxDelay: time.Minute})
)

// refusals are errors as records keep them.
func refusals(reasons []ticket.Reason) (errs []saga.ErrorType) {
	for _, r := range reasons {
		errs = append(errs, saga.Error(string(r), ticket.RefusedError{Reason: r}))
	}
	return errs
}

// next is the action that a result becomes: done, or a failure for the reason of
// who refused, or uncertain if nobody has.
func next[R any](r saga.Reply[R], uncertain ticket.Reason, done Action) Action {
	var refused ticket.RefusedError
	switch {
	case r.Err == nil:
		return done
	case errors.As(r.Err, &refused):
		return StepFailed{refused.Reason}
	}
	return StepFailed{uncertain}
}
