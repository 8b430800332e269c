package sale

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/boxoffice"
	"github.com/seed57833328/rondo/examples/ticketing/cancellation"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
)

// handlers do what the sagas ask for: commands to aggregates, under the key of the
// effect, and the gateway, under the payment's own.
func (s *Sale) handlers() []effect.Handler {
	return []effect.Handler{
		effect.Handle(s.holdSeats),
		effect.Handle(func(ctx context.Context, q reservation.ConfirmSeats) (struct{}, error) {
			return do(ctx, s.sections, sectionKey(q.Section), inventory.Command(inventory.Confirm{Reservation: q.Reservation}))
		}),
		effect.Handle(func(ctx context.Context, q reservation.ReleaseSeats) (struct{}, error) {
			return do(ctx, s.sections, sectionKey(q.Section), inventory.Command(inventory.Release{Reservation: q.Reservation}))
		}),
		effect.Handle(func(ctx context.Context, q reservation.RequestPayment) (struct{}, error) {
			return do(ctx, s.payments, string(q.Reservation), payment.Command(payment.Request{Amount: q.Amount}))
		}),
		effect.Handle(func(ctx context.Context, q reservation.WithdrawPayment) (struct{}, error) {
			return do(ctx, s.payments, string(q.Reservation), payment.Command(payment.Withdraw{}))
		}),
		effect.Handle(s.recordCharge),
		effect.Handle(func(ctx context.Context, q reservation.RecordRefund) (struct{}, error) {
			return do(ctx, s.payments, string(q.Reservation), payment.Command(payment.RecordRefund{Amount: q.Amount}))
		}),
		effect.Handle(s.chargeCard),
		effect.Handle(func(ctx context.Context, q reservation.RefundCard) (ticket.Money, error) {
			return s.gateway.Refund(ctx, q.Reservation)
		}),
		effect.Handle(func(ctx context.Context, q reservation.IssueTicket) (struct{}, error) {
			return do(ctx, s.tickets, string(q.Ticket.Reservation), boxoffice.Command(boxoffice.Issue{Ticket: q.Ticket}))
		}),
		effect.Handle(s.shutSection),
		effect.Handle(s.revoke),
	}
}

// do executes a command for a saga, which has no session and wants no feedback.
func do[S, C, E any](ctx context.Context, h *aggregate.Host[S, C, E], id string, c C) (struct{}, error) {
	_, err := h.Execute(ctx, id, c, aggregate.WithKey(saga.EffectID(ctx)), aggregate.WithoutFeedback())
	return struct{}{}, refused(err)
}

// refused tells a saga of a rejection that it is definitive.
func refused(err error) error {
	var rejection *aggregate.RejectionError
	if errors.As(err, &rejection) {
		return fmt.Errorf("%w (%w)", ticket.RefusedError{Reason: ticket.Reason(rejection.Code)}, err)
	}
	return err
}

func (s *Sale) holdSeats(ctx context.Context, q reservation.HoldSeats) (inventory.Held, error) {
	got, err := s.sections.Execute(ctx, sectionKey(q.Section), q.Hold, aggregate.WithKey(saga.EffectID(ctx)), aggregate.WithoutFeedback())
	if err != nil {
		return inventory.Held{}, refused(err)
	}
	for _, e := range got.Events {
		decoded, err := s.registry.Decode(e)
		if held, ok := decoded.(inventory.Held); ok || err != nil {
			return held, err
		}
	}
	return inventory.Held{}, fmt.Errorf("hold for %s: its seats are held under another key", q.Hold.Reservation)
}

func (s *Sale) chargeCard(ctx context.Context, q reservation.ChargeCard) (struct{}, error) {
	err := s.gateway.Charge(ctx, q.Reservation, q.Amount)
	if errors.Is(err, gateway.ErrDeclined) {
		return struct{}{}, ticket.RefusedError{Reason: reservation.CardDeclined}
	}
	return struct{}{}, err
}

func (s *Sale) recordCharge(ctx context.Context, q reservation.RecordCharge) (struct{}, error) {
	var c payment.Command = payment.RecordCharge{}
	if q.Declined {
		c = payment.RecordDecline{}
	}
	return do(ctx, s.payments, string(q.Reservation), c)
}

// shutSection ends the sale of a section whose event is cancelled.
func (s *Sale) shutSection(ctx context.Context, q cancellation.ShutSection) ([]ticket.Reservation, error) {
	got, err := s.sections.Execute(ctx, sectionKey(q.Section), inventory.Shut{Cancelled: true}, aggregate.WithKey(saga.EffectID(ctx)))
	var claims []ticket.Reservation
	for id, claim := range got.State.Claims {
		if claim.Status != inventory.IsReleased {
			claims = append(claims, id)
		}
	}
	slices.Sort(claims)
	return claims, err
}

// revoke takes back what a reservation has: it is cancelled if it is under way, or
// else refunded.
func (s *Sale) revoke(ctx context.Context, q cancellation.Revoke) (ticket.Money, error) {
	id := q.Reservation
	if err := s.signal(ctx, id, reservation.CallOff{}); err != nil {
		return 0, err
	}
	outcome, err := s.Await(ctx, id)
	if err != nil || outcome.Phase != reservation.Completed {
		return 0, err // it has given back everything by itself
	}
	amount, err := s.gateway.Refund(ctx, id)
	if err != nil {
		return 0, err
	}
	key := func(what string) aggregate.Option { return aggregate.WithKey(saga.EffectID(ctx) + "/" + what) }
	if _, err := s.payments.Execute(ctx, string(id), payment.RecordRefund{Amount: amount}, key("payment"), aggregate.WithoutFeedback()); err != nil {
		return 0, err
	}
	if _, err := s.tickets.Execute(ctx, string(id), boxoffice.Void{}, key("ticket"), aggregate.WithoutFeedback()); err != nil {
		return 0, err
	}
	_, err = s.sections.Execute(ctx, sectionKey(outcome.Ticket.Section), inventory.Release{Reservation: id}, key("seats"), aggregate.WithoutFeedback())
	return amount, err
}
