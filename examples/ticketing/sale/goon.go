package sale

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// GoOn takes up what another process has left: holds run again, and whatever a
// payment or reservation waited for is asked for again. It is called once, when
// everything is on offer and before anybody asks.
func (s *Sale) GoOn(ctx context.Context) error {
	for _, section := range s.catalogue.Offered() {
		if !s.past.knows(sectionStream(section.ID)) {
			continue
		}
		if err := s.sections.Send(ctx, section.ID, recorder.Give[inventory.Action](inventory.Resume{})); err != nil {
			return err
		}
	}
	payments, _ := left(s.past, s.past.payments, func(p *payment.State) bool { return p.Phase.Decided() })
	for _, stream := range payments {
		id := ticket.Reservation(strings.TrimPrefix(stream, paymentStream("")))
		if err := s.payments.Send(ctx, id, recorder.Give[payment.Action](payment.Resume{})); err != nil {
			return err
		}
	}
	undecided, decided := left(s.past, s.past.reservations, func(r *reservation.State) bool { return r.Phase.Decided() })
	for _, stream := range decided { // to be seen in the tally
		id := ticket.Reservation(strings.TrimPrefix(stream, reservationStream("")))
		if err := s.reservations.Until(ctx, id, func(*reservationState) bool { return true }); err != nil {
			return err
		}
	}
	for _, stream := range undecided {
		id := ticket.Reservation(strings.TrimPrefix(stream, reservationStream("")))
		if err := s.reservations.Send(ctx, id, recorder.Give[reservation.Action](reservation.Resume{})); err != nil {
			return err
		}
	}
	return nil
}

// left lists the streams whose stores have still something to do, and the others.
func left[S, A any](p *Past, states map[string]*recorder.State[S, A], isDecided func(*S) bool) (undecided, decided []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stream := range slices.Sorted(maps.Keys(states)) {
		if isDecided(&states[stream].Inner) {
			decided = append(decided, stream)
		} else {
			undecided = append(undecided, stream)
		}
	}
	return undecided, decided
}

func (p *Past) knows(section string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sections[section] != nil
}
