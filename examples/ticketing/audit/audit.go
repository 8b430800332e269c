// Package audit holds a sale to its promises. It is computed from the records
// alone: the gateway's ledger, the seats as they stand, the tickets that were
// issued, the book of reservations that customers opened. None of them is kept
// by what is audited with another.
package audit

import (
	"fmt"
	"strings"

	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// Records is all that an audit knows of a sale.
type Records struct {
	Offered      []inventory.Section // as they were put on sale
	Sections     []inventory.Section // as they stand
	Tickets      []ticket.Ticket
	Void         []ticket.Ticket // were issued, and are worth nothing any more
	Payments     map[ticket.Reservation]payment.State
	Ledger       []gateway.Entry
	InTheWorks   []ticket.Reservation // charges that the gateway has not decided
	Opened       []ticket.Reservation
	Reservations map[ticket.Reservation]reservation.State
	Stuck        []string // sagas that wait for an operator
}

// Report is what an audit finds: a check for each promise.
type Report []Check

// Check is how it stands with one promise.
type Check struct {
	Promise  string
	Found    string   // what was looked at, in numbers
	Problems []string // none if the promise is kept
}

// Run audits the records.
func Run(r Records) Report {
	b := newBooks(r)
	return Report{
		b.seats(),
		b.tickets(),
		b.charges(),
		b.payments(),
		b.recorded(),
		b.sums(),
		b.decisions(),
		b.stuck(),
	}
}

// Passed tells whether every promise is kept.
func (r Report) Passed() bool { return r.Problems() == 0 }

// Problems counts them.
func (r Report) Problems() int {
	n := 0
	for _, c := range r {
		n += len(c.Problems)
	}
	return n
}

// String writes a line for each promise, and what is wrong below it.
func (r Report) String() string {
	const shown = 10
	var b strings.Builder
	for _, c := range r {
		verdict := "ok  "
		if len(c.Problems) > 0 {
			verdict = "FAIL"
		}
		fmt.Fprintf(&b, "%s  %-34s %s\n", verdict, c.Promise, c.Found)
		for i, problem := range c.Problems {
			if i == shown {
				fmt.Fprintf(&b, "        and %d more\n", len(c.Problems)-shown)
				break
			}
			fmt.Fprintf(&b, "        %s\n", problem)
		}
	}
	return b.String()
}

func (c *Check) problem(format string, args ...any) {
	c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
}
