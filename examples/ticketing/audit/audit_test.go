package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

var (
	stalls  = ticket.Section{Event: "gala", Name: "stalls"}
	gallery = ticket.Section{Event: "gala", Name: "gallery"}

	a1 = ticket.Seat{Row: 1, Number: 1}
	a2 = ticket.Seat{Row: 1, Number: 2}
	a3 = ticket.Seat{Row: 1, Number: 3}
	a4 = ticket.Seat{Row: 1, Number: 4}
)

// sound are the books of a small sale: ann has two seats, bob has one, cat was
// refunded, dan found it sold out, and eve cancelled.
func sound() audit.Records {
	section := func(id ticket.Section, price ticket.Money) inventory.Section {
		return inventory.NewSection(id, ticket.Tier{Name: "tier", Price: price}, 4)
	}
	ended := func(p reservation.Phase) reservation.State { return reservation.State{Phase: p} }
	r := audit.Records{
		Offered:  []inventory.Section{section(stalls, 100_05), section(gallery, 20_10)},
		Sections: []inventory.Section{section(stalls, 100_05), section(gallery, 20_10)},
		Tickets: []ticket.Ticket{
			{Reservation: "ann", Section: stalls, Seats: []ticket.Seat{a2, a3}, Paid: 200_10},
			{Reservation: "bob", Section: gallery, Seats: []ticket.Seat{a1}, Paid: 20_10},
		},
		Ledger: []gateway.Entry{
			{Key: "ann", Kind: gateway.IsCharge, Amount: 200_10, At: time.Unix(1, 0)},
			{Key: "bob", Kind: gateway.IsCharge, Amount: 20_10, At: time.Unix(2, 0)},
			{Key: "cat", Kind: gateway.IsCharge, Amount: 40_20, At: time.Unix(3, 0)},
			{Key: "cat", Kind: gateway.IsRefund, Amount: 40_20, At: time.Unix(4, 0)},
		},
		Payments: map[ticket.Reservation]payment.State{
			"ann": {Phase: payment.IsCharged, Amount: 200_10}, "bob": {Phase: payment.IsCharged, Amount: 20_10},
			"cat": {Phase: payment.IsRefunded, Amount: 40_20, Refunded: 40_20}, "eve": {Phase: payment.IsWithdrawn, Amount: 20_10},
		},
		Opened: []ticket.Reservation{"ann", "bob", "cat", "dan", "eve"},
		Reservations: map[ticket.Reservation]reservation.State{
			"ann": ended(reservation.Completed), "bob": ended(reservation.Completed),
			"cat": ended(reservation.Failed), "dan": ended(reservation.Failed), "eve": ended(reservation.Cancelled),
		},
	}
	claim(&r.Sections[0], "ann", inventory.IsSold, a2, a3)
	claim(&r.Sections[1], "bob", inventory.IsSold, a1)
	claim(&r.Sections[1], "cat", inventory.IsReleased)
	claim(&r.Sections[1], "eve", inventory.IsReleased)
	return r
}

func claim(s *inventory.Section, r ticket.Reservation, status inventory.Status, seats ...ticket.Seat) {
	s.Claims[r] = inventory.Claim{Status: status, Seats: seats}
	for _, seat := range seats {
		s.Rows[seat.Row-1][seat.Number-1] = r
	}
}

func TestSoundBooksPass(t *testing.T) {
	t.Parallel()
	report := audit.Run(sound())
	require.True(t, report.Passed(), "%s", report)
	require.Equal(t, ""+
		"ok    each seat sold, held or free once  8 seats: 3 sold, 0 held, 5 free\n"+
		"ok    each sold seat on one ticket       2 tickets, 3 seats\n"+
		"ok    each charge has ticket or refund   3 charges: 2 kept, 1 refunded\n"+
		"ok    each ticket paid in full           2 tickets\n"+
		"ok    each payment recorded as made      4 payments\n"+
		"ok    money kept is price of sold seats  $260.40 - $40.20 = $220.20\n"+
		"ok    no reservation undecided           2 completed, 2 failed, 1 cancelled\n"+
		"ok    nothing waits for an operator      0 stuck\n", report.String())
}

// When an event is cancelled tickets are void, and the money is back.
func TestVoidTicketIsFine(t *testing.T) {
	t.Parallel()
	r := sound()
	r.Void, r.Tickets = r.Tickets[1:], r.Tickets[:1]
	r.Sections[1].Rows[0][0] = ""
	claim(&r.Sections[1], "bob", inventory.IsReleased)
	r.Ledger = append(r.Ledger, gateway.Entry{Key: "bob", Kind: gateway.IsRefund, Amount: 20_10})
	r.Payments["bob"] = payment.State{Phase: payment.IsRefunded, Amount: 20_10, Refunded: 20_10}
	report := audit.Run(r)
	require.True(t, report.Passed(), "%s", report)
}

func TestNothingPasses(t *testing.T) {
	t.Parallel()
	require.True(t, audit.Run(audit.Records{}).Passed())
}

func TestSeatsHeldByAnOpenReservationAreFine(t *testing.T) {
	t.Parallel()
	r := sound()
	r.Opened = append(r.Opened, "fay")
	r.Reservations["fay"] = reservation.State{Phase: reservation.Charging}
	claim(&r.Sections[0], "fay", inventory.IsHeld, a4)
	report := audit.Run(r)
	require.Equal(t, "8 seats: 3 sold, 1 held, 4 free", report[0].Found)
	require.Empty(t, report[0].Problems)
	require.Equal(t, []string{"fay is paying"}, report[6].Problems)
}

// The checks, by their place in a report.
const (
	seats = iota
	tickets
	charges
	payments
	recorded
	sums
	decisions
	stuck
)

// Each row cooks the books in one way.
func TestCookedBooksAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cook    func(*audit.Records)
		promise int
		problem string
	}{
		"a seat is sold twice": {func(r *audit.Records) {
			claim(&r.Sections[0], "mal", inventory.IsSold, a3)
		}, seats, "seat A3 of gala/stalls is claimed by ann and mal"},
		"a seat is sold and held": {func(r *audit.Records) {
			claim(&r.Sections[0], "mal", inventory.IsHeld, a3)
		}, seats, "seat A3 of gala/stalls is claimed by ann and mal"},
		"a seat is sold and free": {func(r *audit.Records) {
			r.Sections[0].Rows[0][1] = ""
		}, seats, `seat A2 of gala/stalls is claimed by ann, but taken by ""`},
		"a seat is taken by nobody": {func(r *audit.Records) {
			r.Sections[0].Rows[0][0] = "ghost"
		}, seats, "seat A1 of gala/stalls is taken by ghost, which has no claim to it"},
		"a seat is taken by another": {func(r *audit.Records) {
			r.Sections[0].Rows[0][1] = "mal"
		}, seats, `seat A2 of gala/stalls is claimed by ann, but taken by "mal"`},
		"a seat is gone": {func(r *audit.Records) {
			r.Sections[0].Rows[0] = r.Sections[0].Rows[0][:3]
		}, seats, "seat A4 of gala/stalls is gone"},
		"a seat is new": {func(r *audit.Records) {
			r.Sections[0].Rows[0] = append(r.Sections[0].Rows[0], "")
		}, seats, "section gala/stalls has 5 seats, 4 were on offer"},
		"a seat is sold that does not exist": {func(r *audit.Records) {
			r.Sections[0].Claims["mal"] = inventory.Claim{Status: inventory.IsSold, Seats: []ticket.Seat{{Row: 9, Number: 9}}}
		}, seats, "mal claims seat I9 of gala/stalls, which does not exist"},
		"a section is gone": {func(r *audit.Records) {
			r.Sections = r.Sections[:1]
		}, seats, "section gala/gallery is gone"},
		"a section is new": {func(r *audit.Records) {
			r.Sections = append(r.Sections, inventory.NewSection(ticket.Section{Event: "gala", Name: "roof"}, ticket.Tier{}, 3))
		}, seats, "section gala/roof was never on offer"},
		"a section stands twice": {func(r *audit.Records) {
			r.Sections = append(r.Sections, r.Sections[0])
		}, seats, "section gala/stalls stands twice"},

		"a sold seat is on no ticket": {func(r *audit.Records) {
			r.Tickets[0].Seats = r.Tickets[0].Seats[:1]
		}, tickets, "seat A3 of gala/stalls is sold to ann and on tickets of nobody"},
		"a seat is on two tickets": {func(r *audit.Records) {
			r.Tickets[1].Section, r.Tickets[1].Seats = stalls, []ticket.Seat{a2}
		}, tickets, "seat A2 of gala/stalls is sold to ann and on tickets of ann and bob"},
		"a seat is on another's ticket": {func(r *audit.Records) {
			r.Tickets[0].Reservation = "mal"
		}, tickets, "seat A2 of gala/stalls is sold to ann and on tickets of mal"},
		"a ticket's seat is not sold": {func(r *audit.Records) {
			r.Tickets[0].Seats = append(r.Tickets[0].Seats, a4)
		}, tickets, "seat A4 of gala/stalls is on tickets of ann and not sold"},
		"a ticket's seat is only held": {func(r *audit.Records) {
			claim(&r.Sections[1], "bob", inventory.IsHeld, a1)
		}, tickets, "seat A1 of gala/gallery is on tickets of bob and not sold"},

		"a charge has neither ticket nor refund": {func(r *audit.Records) {
			r.Ledger = r.Ledger[:3]
		}, charges, "cat was charged $40.20 and has neither ticket nor refund"},
		"a charge has both": {func(r *audit.Records) {
			r.Ledger = append(r.Ledger, gateway.Entry{Key: "ann", Kind: gateway.IsRefund, Amount: 200_10})
		}, charges, "ann was refunded $200.10 and has a ticket"},
		"a charge is made twice": {func(r *audit.Records) {
			r.Ledger = append(r.Ledger, r.Ledger[0])
		}, charges, "ann was charged 2 times"},
		"a refund is made twice": {func(r *audit.Records) {
			r.Ledger = append(r.Ledger, r.Ledger[3])
		}, charges, "cat was refunded 2 times"},
		"a refund falls short": {func(r *audit.Records) {
			r.Ledger[3].Amount--
		}, charges, "cat was charged $40.20 and refunded $40.19"},
		"a refund has no charge": {func(r *audit.Records) {
			r.Ledger = append(r.Ledger, gateway.Entry{Key: "dan", Kind: gateway.IsRefund, Amount: 5})
		}, charges, "dan was refunded $0.05 and never charged"},
		"a charge is still in the works": {func(r *audit.Records) {
			r.InTheWorks = []ticket.Reservation{"dan"}
		}, charges, "the gateway has not decided the charge of dan"},

		"a ticket is not paid": {func(r *audit.Records) {
			r.Ledger = r.Ledger[1:]
		}, payments, "ann has a ticket worth $200.10 and was charged $0.00"},
		"a ticket is paid in part": {func(r *audit.Records) {
			r.Ledger[0].Amount--
		}, payments, "ann has a ticket worth $200.10 and was charged $200.09"},
		"a ticket says another price": {func(r *audit.Records) {
			r.Tickets[0].Paid++
		}, payments, "ann has a ticket worth $200.10 that says $200.11"},
		"a reservation has two tickets": {func(r *audit.Records) {
			r.Tickets = append(r.Tickets, r.Tickets[0])
		}, payments, "ann has 2 tickets"},

		"a cent is missing": {func(r *audit.Records) {
			r.Ledger[1].Amount--
		}, sums, "$220.19 is in the till, the sold seats are worth $220.20"},
		"a seat is sold without money": {func(r *audit.Records) {
			claim(&r.Sections[1], "dan", inventory.IsSold, a4)
		}, sums, "$220.20 is in the till, the sold seats are worth $240.30"},

		"a reservation is undecided": {func(r *audit.Records) {
			r.Reservations["cat"] = reservation.State{Phase: reservation.Compensating}
		}, decisions, "cat is compensating"},
		"a reservation is lost": {func(r *audit.Records) {
			delete(r.Reservations, "dan")
		}, decisions, "dan was opened and is not known"},
		"a reservation comes from nowhere": {func(r *audit.Records) {
			r.Reservations["mal"] = reservation.State{Phase: reservation.Failed}
		}, decisions, "mal was never opened"},
		"a reservation is completed without a ticket": {func(r *audit.Records) {
			r.Tickets = r.Tickets[1:]
		}, decisions, "ann is completed and has no ticket"},
		"a reservation has failed with a ticket": {func(r *audit.Records) {
			r.Reservations["ann"] = reservation.State{Phase: reservation.Failed}
		}, decisions, "ann is failed and has a ticket"},
		"a reservation has ended and keeps seats": {func(r *audit.Records) {
			claim(&r.Sections[0], "dan", inventory.IsHeld, a4)
		}, decisions, "dan is failed and still holds A4"},
		"seats are held for nobody": {func(r *audit.Records) {
			claim(&r.Sections[0], "mal", inventory.IsHeld, a4)
		}, decisions, "mal is not known and holds A4"},

		"a charge is not recorded": {func(r *audit.Records) {
			r.Payments["ann"] = payment.State{Phase: payment.IsRequested, Amount: 200_10}
		}, recorded, "payment ann is requested: $0.00 taken, $0.00 given back; the gateway has $200.10 and $0.00"},
		"a refund is not recorded": {func(r *audit.Records) {
			r.Payments["cat"] = payment.State{Phase: payment.IsCharged, Amount: 40_20}
		}, recorded, "payment cat is charged: $40.20 taken, $0.00 given back; the gateway has $40.20 and $40.20"},
		"a payment is lost": {func(r *audit.Records) {
			delete(r.Payments, "bob")
		}, recorded, "the gateway charged bob, of which no payment is recorded"},

		"a saga is stuck": {func(r *audit.Records) {
			r.Stuck = []string{"dan: refund refused"}
		}, stuck, "dan: refund refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			c.cook(&r)
			report := audit.Run(r)
			require.False(t, report.Passed())
			require.Contains(t, report[c.promise].Problems, c.problem, "%s", report)
			require.Contains(t, report.String(), "FAIL  "+report[c.promise].Promise)
		})
	}
}

func TestReportNamesTheFirstProblems(t *testing.T) {
	t.Parallel()
	r := sound()
	for range 15 {
		r.Stuck = append(r.Stuck, "lost")
	}
	report := audit.Run(r)
	require.Equal(t, 15, report.Problems())
	require.Contains(t, report.String(), "        lost\n        and 5 more\n")
}
