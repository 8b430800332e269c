package sale

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
)

// Records gathers what an audit wants to see, as this process knows it.
func (s *Sale) Records() audit.Records {
	r := audit.Records{
		Offered:      s.catalogue.Offered(),
		Sections:     s.Sections(),
		Tickets:      s.boxOffice.Issued(),
		Reservations: map[ticket.Reservation]reservation.State{},
	}
	r.Ledger, r.InTheWorks = s.gateway.Ledger(s.runtime.Now())
	r.Opened = s.book.all()
	s.reservations.Range(func(id ticket.Reservation, state *reservationState) bool {
		r.Reservations[id] = state.Inner.Clone()
		return true
	})
	r.DeadLetters = s.deadLetters()
	return r
}

// RecordsInLog gathers the same from the log alone, read from its beginning.
func (s *Sale) RecordsInLog(ctx context.Context) (audit.Records, error) {
	past, err := Read(ctx, s.log.Store)
	if err != nil {
		return audit.Records{}, err
	}
	r := audit.Records{
		Offered:      s.catalogue.Offered(),
		Sections:     s.catalogue.Offered(),
		Tickets:      past.tickets,
		Reservations: map[ticket.Reservation]reservation.State{},
		DeadLetters:  s.deadLetters(),
	}
	for i, section := range r.Sections {
		if state := past.sections[sectionStream(section.ID)]; state != nil && state.Inner.Section.ID == section.ID {
			r.Sections[i] = state.Inner.Section
		}
	}
	g := gateway.New(0, gateway.Rates{}, past.log)
	for _, event := range past.gateway {
		g.Remember(event)
	}
	r.Ledger, r.InTheWorks = g.Ledger(s.runtime.Now())
	r.Opened = newBook(past.log, past.asked).all()
	for stream, state := range past.reservations {
		r.Reservations[named(stream, reservationStream(""))] = state.Inner
	}
	return r, nil
}

func (s *Sale) deadLetters() []string {
	return slices.Concat(lettersOf(s.sections.DeadLetters()), lettersOf(s.payments.DeadLetters()), lettersOf(s.reservations.DeadLetters()))
}

func lettersOf[A any](letters []store.DeadLetter[A]) []string {
	lines := make([]string, len(letters))
	for i, d := range letters {
		lines[i] = fmt.Sprintf("%s %v: %s: %v", d.Store, d.StoreKey, d.Effect.Name, d.Err)
	}
	return lines
}
