package gateway

import (
	"context"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// What happens to a key, as it is recorded.
type (
	// ChargeTaken is a charge that is done, or declined, at that time.
	ChargeTaken struct {
		Key       ticket.Reservation
		Amount    ticket.Money
		Declined  bool
		DecidedAt time.Time
	}
	// Closed ends it: what was charged is given back, and nothing is charged
	// any more.
	Closed struct {
		Key ticket.Reservation
		At  time.Time
	}
)

// Events are the types of what is recorded.
func Events() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[ChargeTaken]("gateway.charge-taken", 1),
		eventstore.TypeOf[Closed]("gateway.closed", 1),
	}
}

// Category is that of the streams that a gateway writes.
const Category = "gateway"

// keep records what decide comes to, in the account's turn.
func (g *Gateway) keep(ctx context.Context, key ticket.Reservation, a *account, decide func() any) error {
	return g.log.Keep(ctx, Category+"-"+string(key), &a.version,
		func(event any) {
			g.mu.Lock()
			defer g.mu.Unlock()
			a.apply(event)
		},
		func() any {
			g.mu.Lock()
			defer g.mu.Unlock()
			return decide()
		})
}

// Remember takes in an event that was read from the log, before anything else is
// asked of the gateway.
func (g *Gateway) Remember(event any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e := event.(type) {
	case ChargeTaken:
		g.account(e.Key).remember(e)
	case Closed:
		g.account(e.Key).remember(e)
	}
}

func (a *account) remember(event any) {
	a.apply(event)
	a.version++
}

func (a *account) apply(event any) {
	switch e := event.(type) {
	case ChargeTaken:
		a.charge, a.amount, a.decidedAt = payment.StandsCharged, e.Amount, e.DecidedAt
		if e.Declined {
			a.charge = payment.StandsDeclined
		}
	case Closed:
		a.closed = true
		if a.charge == payment.StandsCharged {
			a.refundedAt = e.At
		}
	}
}
