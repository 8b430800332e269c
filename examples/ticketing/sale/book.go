package sale

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// book is what customers know: for what they have asked. A line is in the log
// before anybody is asked. Its methods may be called from any goroutine.
type book struct {
	log *recorder.Log

	mu    sync.Mutex
	asked map[ticket.Reservation]bool
}

func newBook(log *recorder.Log, asked []reservation.Order) *book {
	b := &book{log: log, asked: map[ticket.Reservation]bool{}}
	for _, order := range asked {
		b.asked[order.Reservation] = true
	}
	return b
}

// write notes an order, once.
func (b *book) write(ctx context.Context, order reservation.Order) error {
	if b.has(order.Reservation) {
		return nil
	}
	var version eventstore.Version // 0, since a stream has one line
	return b.log.Keep(ctx, bookStream(order.Reservation), &version,
		func(any) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.asked[order.Reservation] = true
		},
		func() any {
			if b.has(order.Reservation) {
				return nil
			}
			return Asked{order}
		})
}

func (b *book) has(id ticket.Reservation) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[id]
}

// all are the reservations that were asked for.
func (b *book) all() []ticket.Reservation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.asked))
}
