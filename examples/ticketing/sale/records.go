package sale

import (
	"context"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
)

// Records gathers what an audit wants to see: from the log, read from its
// beginning, and from the store of sagas. Nothing that this process knows
// besides goes into it.
func (s *Sale) Records(ctx context.Context) (audit.Records, error) {
	books := NewBooks()
	if err := books.CatchUp(ctx, s.log, s.registry); err != nil {
		return audit.Records{}, err
	}
	r := audit.Records{
		Offered:      books.Offered(),
		Sections:     books.Standing(),
		Opened:       books.Asked,
		Payments:     map[ticket.Reservation]payment.State{},
		Reservations: map[ticket.Reservation]reservation.State{},
	}
	for _, t := range books.Tickets {
		switch {
		case t.Void:
			r.Void = append(r.Void, t.Ticket)
		default:
			r.Tickets = append(r.Tickets, t.Ticket)
		}
	}
	for id, p := range books.Payments {
		r.Payments[id] = *p
	}
	r.Ledger, r.InTheWorks = books.Ledger(s.runtime.Now())
	err := eachReservation(ctx, s.sagas, func(id ticket.Reservation, record saga.Record, state reservation.State) {
		r.Reservations[id] = state
		if record.Status == saga.Stuck {
			r.Stuck = append(r.Stuck, string(id)+": "+record.Reason)
		}
	})
	return r, err
}

// Tally is a sale in numbers, at one moment or nearly so.
type Tally struct {
	Free, Held, Sold                   int // seats
	Open, Completed, Failed, Cancelled int // reservations
	Stuck                              int // of those that are open
	Charged, Refunded                  ticket.Money
	Decisions                          int64 // of sagas, by this process
	Events                             int64 // appended by it
}

// Tally counts.
func (s *Sale) Tally(ctx context.Context) (Tally, error) {
	t := Tally{Decisions: s.decisions.Load(), Events: s.appended.Load()}
	s.board.count(&t)
	err := s.look(ctx, func(b *Books) {
		for _, section := range b.Standing() {
			t.Free += section.Free()
			for _, claim := range section.Claims {
				switch claim.Status {
				case inventory.IsHeld:
					t.Held += len(claim.Seats)
				case inventory.IsSold:
					t.Sold += len(claim.Seats)
				case inventory.IsReleased:
				}
			}
		}
		ledger, _ := b.Ledger(s.runtime.Now())
		for _, e := range ledger {
			switch e.Kind {
			case gateway.IsCharge:
				t.Charged += e.Amount
			case gateway.IsRefund:
				t.Refunded += e.Amount
			}
		}
	})
	return t, err
}
