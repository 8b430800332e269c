package sale

import (
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/boxoffice"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// The categories of streams. All but the first two are those of aggregates.
const (
	saleCategory    = "sale" // one: Opened
	bookCategory    = "book" // of a reservation: Asked
	eventCategory   = "event"
	sectionCategory = "section"
	paymentCategory = "payment"
	ticketCategory  = "ticket"
	gatewayCategory = "gateway"

	saleStream = saleCategory + "-1"
)

// sectionKey is the id of a section's aggregate. It keeps the two names apart,
// whatever is in them.
func sectionKey(id ticket.Section) string {
	escape := strings.NewReplacer("%", "%25", "/", "%2F")
	return escape.Replace(id.Event) + "/" + escape.Replace(id.Name)
}

// What is recorded besides the events of aggregates.
type (
	// Opened begins a sale.
	Opened struct{ Terms Terms }
	// Asked is a line of the customers' book: what somebody is going to ask for.
	// The order is only named if it was cancelled before it was made.
	Asked struct{ Order reservation.Order }
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
			eventstore.TypeOf[Asked]("book.asked", 1),
		},
		event.Types(), inventory.Types(), payment.Types(), boxoffice.Types(), gateway.Types())...)
}
