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

// keep records what decide comes to on what has happened, and returns what has
// happened then. Of several at once for a key, each decides on what the others
// have recorded.
func (g *Gateway) keep(ctx context.Context, key ticket.Reservation, decide func(*ledger) any) (ledger, error) {
	g.mu.Lock()
	l := g.account(key).ledger
	g.mu.Unlock()
	err := g.log.Keep(ctx, Category+"-"+string(key), &l.version, l.apply, func() any { return decide(&l) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.account(key); a.version < l.version {
		a.ledger = l
	}
	return l, err
}

// Remember takes in an event that was read from the log, before anything else is
// asked of the gateway.
func (g *Gateway) Remember(event any) {
	var key ticket.Reservation
	switch e := event.(type) {
	case ChargeTaken:
		key = e.Key
	case Closed:
		key = e.Key
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.account(key)
	a.apply(event)
	a.version++
}

func (l *ledger) apply(event any) {
	switch e := event.(type) {
	case ChargeTaken:
		l.charge, l.amount, l.decidedAt = payment.StandsCharged, e.Amount, e.DecidedAt
		if e.Declined {
			l.charge = payment.StandsDeclined
		}
	case Closed:
		l.closed = true
		if l.charge == payment.StandsCharged {
			l.refundedAt = e.At
		}
	}
}
