package sale

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
)

// handlers do the requests of reservations: they ask the stores that know, with
// the context they are given, so that what those do is caused by the reservation
// and ends with it.
func (s *Sale) handlers() []effect.Handler {
	return []effect.Handler{
		effect.Handle(s.holdSeats),
		effect.Handle(s.confirmSeats),
		effect.Handle(s.releaseSeats),
		effect.Handle(s.charge),
		effect.Handle(s.refund),
		effect.Handle(s.boxOffice.issueTicket),
	}
}

func (s *Sale) holdSeats(ctx context.Context, q reservation.HoldSeats) (reservation.SeatsWereHeld, error) {
	answer, err := s.askSection(ctx, q.Section, inventory.Hold(q))
	held, ok := answer.(inventory.Held)
	if err == nil && !ok {
		err = fmt.Errorf("hold seats: unexpected answer %T", answer)
	}
	return reservation.SeatsWereHeld{Seats: held.Seats, Price: held.Price}, err
}

func (s *Sale) confirmSeats(ctx context.Context, q reservation.ConfirmSeats) (struct{}, error) {
	_, err := s.askSection(ctx, q.Section, inventory.Confirm(q))
	return struct{}{}, err
}

func (s *Sale) releaseSeats(ctx context.Context, q reservation.ReleaseSeats) (struct{}, error) {
	_, err := s.askSection(ctx, q.Section, inventory.Release(q))
	return struct{}{}, err
}

// askSection turns a refusal into an error.
func (s *Sale) askSection(ctx context.Context, id ticket.Section, c inventory.Command) (inventory.Answer, error) {
	answer, err := store.AskKey(ctx, s.sections, id, recorder.Give[inventory.Action](c), recorder.Match(inventory.AsAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask section %s: %w", id, err)
	}
	if rejected, ok := answer.(inventory.Rejected); ok {
		return nil, rejected.Rejection
	}
	return answer, nil
}

// charge tells a declined card from every other refusal: only after the former
// is there nothing to be refunded.
func (s *Sale) charge(ctx context.Context, q reservation.Charge) (struct{}, error) {
	answer, err := store.AskKey(ctx, s.payments, q.Reservation,
		recorder.Give[payment.Action](payment.Charge{Payment: q.Reservation, Amount: q.Amount}), recorder.Match(payment.AsAnswer))
	if err != nil {
		return struct{}{}, fmt.Errorf("ask payment %s: %w", q.Reservation, err)
	}
	switch a := answer.(type) {
	case payment.Charged:
		return struct{}{}, nil
	case payment.Refused:
		if a.Reason == payment.Declined {
			return struct{}{}, &ticket.RejectionError{Reason: a.Reason}
		}
		return struct{}{}, fmt.Errorf("charge: %s", a.Reason)
	}
	return struct{}{}, fmt.Errorf("charge: unexpected answer %T", answer)
}

func (s *Sale) refund(ctx context.Context, q reservation.Refund) (ticket.Money, error) {
	answer, err := store.AskKey(ctx, s.payments, q.Reservation,
		recorder.Give[payment.Action](payment.Refund{Payment: q.Reservation}), recorder.Match(payment.AsAnswer))
	if err != nil {
		return 0, fmt.Errorf("ask payment %s: %w", q.Reservation, err)
	}
	refunded, ok := answer.(payment.Refunded)
	if !ok {
		return 0, fmt.Errorf("refund: unexpected answer %T", answer)
	}
	return refunded.Amount, nil
}
