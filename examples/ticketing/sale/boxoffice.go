package sale

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// BoxOffice issues tickets and keeps the stubs. Its methods may be called from
// any goroutine.
type BoxOffice struct {
	mu     sync.Mutex
	issued []ticket.Ticket
	place  map[ticket.Reservation]int // in issued
}

// NewBoxOffice makes one that has issued nothing.
func NewBoxOffice() *BoxOffice {
	return &BoxOffice{place: map[ticket.Reservation]int{}}
}

// issueTicket is the handler of that request. It issues one ticket for a
// reservation, however often it is asked.
func (b *BoxOffice) issueTicket(_ context.Context, q reservation.IssueTicket) (struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := q.Ticket
	if i, ok := b.place[t.Reservation]; ok {
		if !reflect.DeepEqual(b.issued[i], t) {
			return struct{}{}, fmt.Errorf("reservation %s has another ticket: %v", t.Reservation, b.issued[i])
		}
		return struct{}{}, nil
	}
	b.place[t.Reservation] = len(b.issued)
	b.issued = append(b.issued, t)
	return struct{}{}, nil
}

// Issued returns the tickets, in the order in which they were issued.
func (b *BoxOffice) Issued() []ticket.Ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.issued)
}
