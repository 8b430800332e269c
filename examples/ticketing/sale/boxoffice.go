package sale

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// BoxOffice issues tickets and keeps the stubs, in the log before anybody has a
// ticket. Its methods may be called from any goroutine.
type BoxOffice struct {
	log *recorder.Log

	mu     sync.Mutex
	issued []ticket.Ticket
	place  map[ticket.Reservation]int // in issued
}

// NewBoxOffice makes one that has issued nothing.
func NewBoxOffice(log *recorder.Log) *BoxOffice {
	return &BoxOffice{log: log, place: map[ticket.Reservation]int{}}
}

// issueTicket is the handler of that request. It issues one ticket for a
// reservation, however often it is asked.
func (b *BoxOffice) issueTicket(ctx context.Context, q reservation.IssueTicket) (struct{}, error) {
	issued := b.find(q.Ticket.Reservation)
	var version eventstore.Version // 0, since a stream has one ticket
	err := b.log.Keep(ctx, ticketStream(q.Ticket.Reservation), &version,
		func(event any) {
			if e, ok := event.(TicketIssued); ok {
				issued = &e.Ticket
				b.Remember(e.Ticket)
			}
		},
		func() any {
			if issued != nil {
				return nil
			}
			return TicketIssued{q.Ticket}
		})
	if err == nil && !reflect.DeepEqual(*issued, q.Ticket) {
		err = fmt.Errorf("reservation %s has another ticket: %v", q.Ticket.Reservation, *issued)
	}
	return struct{}{}, err
}

func (b *BoxOffice) find(id ticket.Reservation) *ticket.Ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, ok := b.place[id]; ok {
		t := b.issued[i]
		return &t
	}
	return nil
}

// Remember takes in a ticket that was issued, once.
func (b *BoxOffice) Remember(t ticket.Ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.place[t.Reservation]; !ok {
		b.place[t.Reservation] = len(b.issued)
		b.issued = append(b.issued, t)
	}
}

// Issued returns the tickets, in the order in which they were issued.
func (b *BoxOffice) Issued() []ticket.Ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.issued)
}
