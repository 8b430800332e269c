package sale

import (
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// The streams of a sale, each named for its category and what it is about.
const (
	saleCategory        = "sale"        // one: Opened, GoneOn, Closed
	bookCategory        = "book"        // of a reservation: Asked
	ticketCategory      = "ticket"      // of a reservation: TicketIssued
	sectionCategory     = "section"     // recorded actions
	paymentCategory     = "payment"     // recorded actions
	reservationCategory = "reservation" // recorded actions

	saleStream = saleCategory + "-1"
)

func bookStream(id ticket.Reservation) string        { return bookCategory + "-" + string(id) }
func ticketStream(id ticket.Reservation) string      { return ticketCategory + "-" + string(id) }
func paymentStream(id ticket.Reservation) string     { return paymentCategory + "-" + string(id) }
func reservationStream(id ticket.Reservation) string { return reservationCategory + "-" + string(id) }

// sectionStream keeps the two names apart, whatever is in them.
func sectionStream(id ticket.Section) string {
	escape := strings.NewReplacer("%", "%25", "/", "%2F")
	return sectionCategory + "-" + escape.Replace(id.Event) + "/" + escape.Replace(id.Name)
}

// What is recorded of a sale, besides the actions of its stores.
type (
	// Opened begins a sale.
	Opened struct{ Terms Terms }
	// GoneOn tells that another process goes on with it.
	GoneOn struct{}
	// Closed tells that all customers have left.
	Closed struct{}
	// Asked is a line of the customers' book: the order is only named if it
	// was cancelled before it was made.
	Asked struct{ Order reservation.Order }
	// TicketIssued is a stub of the box office.
	TicketIssued struct{ Ticket ticket.Ticket }
)

// Terms are what a sale is about. They stay as they are to its end.
type Terms struct {
	Customers, Seats, Sections int
	Seed                       uint64 // of customers and failures
	Rates                      gateway.Rates
	OpenedAt                   time.Time
}

// Registry has the types of all that is in the log of a sale.
func Registry() (*eventstore.Registry, error) {
	return eventstore.NewRegistry(slices.Concat(
		[]eventstore.Type{
			eventstore.TypeOf[Opened]("sale.opened", 1),
			eventstore.TypeOf[GoneOn]("sale.gone-on", 1),
			eventstore.TypeOf[Closed]("sale.closed", 1),
			eventstore.TypeOf[Asked]("book.asked", 1),
			eventstore.TypeOf[TicketIssued]("ticket.issued", 1),
		},
		inventory.Events(), payment.Events(), reservation.Events(), gateway.Events())...)
}
