package boxoffice_test

import (
	"testing"

	"github.com/seed57833328/rondo/examples/ticketing/boxoffice"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/testkit"
)

func TestTickets(t *testing.T) {
	t.Parallel()
	mine := ticket.Ticket{Reservation: "ann", Seats: []ticket.Seat{{Row: 1, Number: 2}}, Paid: 500}
	other := mine
	other.Paid = 1
	testkit.Given(t, boxoffice.Decider{}).
		When(boxoffice.Issue{Ticket: mine}).
		Then(boxoffice.Issued{Ticket: mine}).
		ThenState(func(s *boxoffice.State) { s.Ticket, s.Issued = mine, true }).
		When(boxoffice.Issue{Ticket: mine}).ThenNothing().
		When(boxoffice.Issue{Ticket: other}).ThenRejected("another-ticket").
		When(boxoffice.Void{}).
		Then(boxoffice.Voided{}).
		ThenState(func(s *boxoffice.State) { s.Void = true }).
		When(boxoffice.Void{}).ThenNothing().
		When(boxoffice.Issue{Ticket: mine}).ThenRejected("ticket-void")
	testkit.Given(t, boxoffice.Decider{}).
		When(boxoffice.Void{}).Then(boxoffice.Voided{}).
		When(boxoffice.Issue{Ticket: mine}).ThenRejected("ticket-void")
}
