package sale

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
)

// GoOn takes up what another process has left: holds run again, and whatever a
// payment or reservation waited for is asked for again. It is called once, when
// everything is on offer and before anybody asks.
func (s *Sale) GoOn(ctx context.Context) error {
	sections := map[string]ticket.Section{}
	for _, section := range s.catalogue.Offered() {
		sections[sectionStream(section.ID)] = section.ID
	}
	return errors.Join(
		goOn(ctx, s.past, s.past.sections, s.sections, sectionReducer,
			func(stream string) ticket.Section { return sections[stream] }),
		goOn(ctx, s.past, s.past.payments, s.payments, paymentReducer,
			func(stream string) ticket.Reservation { return named(stream, paymentStream("")) }),
		goOn(ctx, s.past, s.past.reservations, s.reservations, reservationReducer,
			func(stream string) ticket.Reservation { return named(stream, reservationStream("")) }))
}

// named is the reservation that a stream is named for.
func named(stream, prefix string) ticket.Reservation {
	return ticket.Reservation(strings.TrimPrefix(stream, prefix))
}

// goOn makes the stores that there were, each with the state that it had, and
// wakes those that have something to do.
func goOn[K comparable, S, A any](ctx context.Context, p *Past, states map[string]*recorder.State[S, A],
	stores *store.Keyed[K, recorder.State[S, A], recorder.Action[A]], r recorder.Reducer[S, A], key func(stream string) K,
) error {
	for _, stream := range streams(p, states) {
		if err := stores.Until(ctx, key(stream), func(*recorder.State[S, A]) bool { return true }); err != nil {
			return err
		}
		resumes, _ := store.ViewKey(stores, key(stream), r.Resumes)
		if !resumes {
			continue
		}
		if err := stores.Send(ctx, key(stream), recorder.Wake[A]{}); err != nil {
			return err
		}
	}
	return nil
}

func streams[S, A any](p *Past, states map[string]*recorder.State[S, A]) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(states))
}
