package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// books are the records, sorted by what they are about.
type books struct {
	Records
	price    map[ticket.Section]ticket.Money
	charged  map[ticket.Reservation][]ticket.Money
	refunded map[ticket.Reservation][]ticket.Money
	issued   map[ticket.Reservation][]ticket.Ticket
	void     map[ticket.Reservation]bool
	opened   map[ticket.Reservation]bool
}

func newBooks(r Records) *books {
	b := &books{
		Records:  r,
		price:    map[ticket.Section]ticket.Money{},
		charged:  map[ticket.Reservation][]ticket.Money{},
		refunded: map[ticket.Reservation][]ticket.Money{},
		issued:   map[ticket.Reservation][]ticket.Ticket{},
		void:     map[ticket.Reservation]bool{},
		opened:   map[ticket.Reservation]bool{},
	}
	for _, s := range r.Offered {
		b.price[s.ID] = s.Tier.Price
	}
	for _, e := range r.Ledger {
		switch e.Kind {
		case gateway.IsCharge:
			b.charged[e.Key] = append(b.charged[e.Key], e.Amount)
		case gateway.IsRefund:
			b.refunded[e.Key] = append(b.refunded[e.Key], e.Amount)
		}
	}
	for _, t := range r.Tickets {
		b.issued[t.Reservation] = append(b.issued[t.Reservation], t)
	}
	for _, t := range r.Void {
		b.void[t.Reservation] = true
	}
	for _, id := range r.Opened {
		b.opened[id] = true
	}
	return b
}

// seats: every seat on offer is sold, held or free exactly once, and there are
// no others.
func (b *books) seats() Check {
	c := Check{Promise: "each seat sold, held or free once"}
	standing := map[ticket.Section]*inventory.Section{}
	for i := range b.Sections {
		s := &b.Sections[i]
		if standing[s.ID] != nil {
			c.problem("section %s stands twice", s.ID)
		}
		standing[s.ID] = s
	}
	var total, sold, held, free int
	for i := range b.Offered {
		offered := &b.Offered[i]
		total += offered.Seats()
		s := standing[offered.ID]
		if s == nil {
			c.problem("section %s is gone", offered.ID)
			continue
		}
		delete(standing, offered.ID)
		owners := c.owners(s)
		for row := range offered.Rows {
			for n := range offered.Rows[row] {
				seat := ticket.Seat{Row: row + 1, Number: n + 1}
				if !s.Has(seat) {
					c.problem("seat %s of %s is gone", seat, s.ID)
					continue
				}
				owner := s.Rows[row][n]
				switch claims := owners[seat]; {
				case len(claims) > 1:
					c.problem("seat %s of %s is claimed by %s", seat, s.ID, list(claims))
				case len(claims) == 0 && owner != "":
					c.problem("seat %s of %s is taken by %s, which has no claim to it", seat, s.ID, owner)
				case len(claims) == 1 && owner != claims[0]:
					c.problem("seat %s of %s is claimed by %s, but taken by %q", seat, s.ID, claims[0], owner)
				case owner == "":
					free++
				case s.Claims[owner].Status == inventory.IsSold:
					sold++
				default:
					held++
				}
			}
		}
		if s.Seats() > offered.Seats() {
			c.problem("section %s has %d seats, %d were on offer", s.ID, s.Seats(), offered.Seats())
		}
	}
	for _, s := range b.Sections {
		if standing[s.ID] != nil {
			c.problem("section %s was never on offer", s.ID)
		}
	}
	c.Found = fmt.Sprintf("%d seats: %d sold, %d held, %d free", total, sold, held, free)
	return c
}

// owners lists, by seat, the reservations that claim it.
func (c *Check) owners(s *inventory.Section) map[ticket.Seat][]ticket.Reservation {
	owners := map[ticket.Seat][]ticket.Reservation{}
	for _, r := range slices.Sorted(maps.Keys(s.Claims)) {
		for _, seat := range s.Claims[r].Seats {
			if !s.Has(seat) {
				c.problem("%s claims seat %s of %s, which does not exist", r, seat, s.ID)
			}
			owners[seat] = append(owners[seat], r)
		}
	}
	return owners
}

// tickets: a seat that is sold is on its buyer's ticket, and a ticket's seats
// are sold to its owner.
func (b *books) tickets() Check {
	type place struct {
		section ticket.Section
		seat    ticket.Seat
	}
	c := Check{Promise: "each sold seat on one ticket"}
	on := map[place][]ticket.Reservation{}
	seats := 0
	for _, t := range b.Tickets {
		seats += len(t.Seats)
		for _, seat := range t.Seats {
			at := place{t.Section, seat}
			on[at] = append(on[at], t.Reservation)
		}
	}
	for _, s := range b.Sections {
		for _, r := range slices.Sorted(maps.Keys(s.Claims)) {
			claim := s.Claims[r]
			if claim.Status != inventory.IsSold {
				continue
			}
			for _, seat := range claim.Seats {
				at := place{s.ID, seat}
				if !slices.Equal(on[at], []ticket.Reservation{r}) {
					c.problem("seat %s of %s is sold to %s and on tickets of %s", seat, s.ID, r, list(on[at]))
				}
				delete(on, at)
			}
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(on), func(a, b place) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	}) {
		c.problem("seat %s of %s is on tickets of %s and not sold", at.seat, at.section, list(on[at]))
	}
	c.Found = fmt.Sprintf("%d tickets, %d seats", len(b.Tickets), seats)
	return c
}

// charges: what was charged is matched by a ticket, or else by a refund.
func (b *books) charges() Check {
	c := Check{Promise: "each charge has ticket or refund"}
	ticketed, refunds := 0, 0
	for _, key := range slices.Sorted(maps.Keys(b.charged)) {
		charged, refunded, tickets := b.charged[key], b.refunded[key], len(b.issued[key])
		switch {
		case len(charged) > 1:
			c.problem("%s was charged %d times", key, len(charged))
		case len(refunded) > 1:
			c.problem("%s was refunded %d times", key, len(refunded))
		case len(refunded) == 0 && tickets == 0:
			c.problem("%s was charged %s and has neither ticket nor refund", key, charged[0])
		case len(refunded) == 1 && tickets > 0:
			c.problem("%s was refunded %s and has a ticket", key, refunded[0])
		case len(refunded) == 1 && refunded[0] != charged[0]:
			c.problem("%s was charged %s and refunded %s", key, charged[0], refunded[0])
		case len(refunded) == 1:
			refunds++
		default:
			ticketed++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.refunded)) {
		if len(b.charged[key]) == 0 {
			c.problem("%s was refunded %s and never charged", key, b.refunded[key][0])
		}
	}
	for _, key := range b.InTheWorks {
		c.problem("the gateway has not decided the charge of %s", key)
	}
	c.Found = fmt.Sprintf("%d charges: %d kept, %d refunded", len(b.charged), ticketed, refunds)
	return c
}

// payments: a ticket was paid for, in full.
func (b *books) payments() Check {
	c := Check{Promise: "each ticket paid in full"}
	for _, id := range slices.Sorted(maps.Keys(b.issued)) {
		t := b.issued[id][0]
		price, charged := b.price[t.Section].Times(len(t.Seats)), sum(b.charged[id])-sum(b.refunded[id])
		switch {
		case len(b.issued[id]) > 1:
			c.problem("%s has %d tickets", id, len(b.issued[id]))
		case charged != price:
			c.problem("%s has a ticket worth %s and was charged %s", id, price, charged)
		case t.Paid != price:
			c.problem("%s has a ticket worth %s that says %s", id, price, t.Paid)
		}
	}
	c.Found = fmt.Sprintf("%d tickets", len(b.Tickets))
	return c
}

// recorded: what is recorded of payments is what the gateway has done.
func (b *books) recorded() Check {
	c := Check{Promise: "each payment recorded as made"}
	for _, id := range slices.Sorted(maps.Keys(b.Payments)) {
		p := b.Payments[id]
		charged, refunded := sum(b.charged[id]), sum(b.refunded[id])
		var took, gave ticket.Money
		switch p.Phase {
		case payment.IsCharged:
			took = p.Amount
		case payment.IsRefunded:
			took, gave = p.Amount, p.Refunded
		default:
		}
		if took != charged || gave != refunded {
			c.problem("payment %s is %s: %s taken, %s given back; the gateway has %s and %s", id, p.Phase, took, gave, charged, refunded)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.charged)) {
		if _, ok := b.Payments[id]; !ok {
			c.problem("the gateway charged %s, of which no payment is recorded", id)
		}
	}
	c.Found = fmt.Sprintf("%d payments", len(b.Payments))
	return c
}

// sums: the money is what the sold seats cost, to the cent.
func (b *books) sums() Check {
	c := Check{Promise: "money kept is price of sold seats"}
	var charged, refunded, worth ticket.Money
	for _, e := range b.Ledger {
		switch e.Kind {
		case gateway.IsCharge:
			charged += e.Amount
		case gateway.IsRefund:
			refunded += e.Amount
		}
	}
	for _, s := range b.Sections {
		for _, claim := range s.Claims {
			if claim.Status == inventory.IsSold {
				worth += b.price[s.ID].Times(len(claim.Seats))
			}
		}
	}
	if charged-refunded != worth {
		c.problem("%s is in the till, the sold seats are worth %s", charged-refunded, worth)
	}
	c.Found = fmt.Sprintf("%s - %s = %s", charged, refunded, charged-refunded)
	return c
}

// decisions: every reservation that a customer opened has come to an end, and
// that end is the one the other records tell of.
func (b *books) decisions() Check {
	c := Check{Promise: "no reservation undecided"}
	ends := map[reservation.Phase]int{}
	for _, id := range b.Opened {
		r, ok := b.Reservations[id]
		tickets := len(b.issued[id])
		switch {
		case !ok:
			c.problem("%s was opened and is not known", id)
		case !r.Phase.Decided():
			c.problem("%s is %s", id, r.Phase)
		case r.Phase == reservation.Completed && tickets == 0 && !b.void[id]:
			c.problem("%s is completed and has no ticket", id)
		case r.Phase != reservation.Completed && tickets > 0:
			c.problem("%s is %s and has a ticket", id, r.Phase)
		default:
			ends[r.Phase]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.Reservations)) {
		if !b.opened[id] {
			c.problem("%s was never opened", id)
		}
	}
	for _, s := range b.Sections {
		for _, id := range slices.Sorted(maps.Keys(s.Claims)) {
			if s.Claims[id].Status != inventory.IsHeld {
				continue
			}
			switch r, known := b.Reservations[id]; {
			case !known:
				c.problem("%s is not known and holds %s", id, ticket.Seats(s.Claims[id].Seats))
			case r.Phase.Decided():
				c.problem("%s is %s and still holds %s", id, r.Phase, ticket.Seats(s.Claims[id].Seats))
			}
		}
	}
	c.Found = fmt.Sprintf("%d completed, %d failed, %d cancelled",
		ends[reservation.Completed], ends[reservation.Failed], ends[reservation.Cancelled])
	return c
}

// stuck: no saga has given up.
func (b *books) stuck() Check {
	return Check{
		Promise:  "nothing waits for an operator",
		Found:    fmt.Sprintf("%d stuck", len(b.Stuck)),
		Problems: b.Stuck,
	}
}

func sum(amounts []ticket.Money) (total ticket.Money) {
	for _, m := range amounts {
		total += m
	}
	return total
}

func list(ids []ticket.Reservation) string {
	if len(ids) == 0 {
		return "nobody"
	}
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, " and ")
}
