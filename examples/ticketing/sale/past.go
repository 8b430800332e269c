package sale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// The stores of a sale, each with its reducer recorded.
type (
	sectionState     = recorder.State[inventory.State, inventory.Action]
	paymentState     = recorder.State[payment.State, payment.Action]
	reservationState = recorder.State[reservation.State, reservation.Action]
)

var (
	sectionReducer = recorder.New(inventory.Reducer{},
		recorder.Config[inventory.State, inventory.Action]{Tells: inventory.Tells, Resume: inventory.Resumes})
	paymentReducer = recorder.New(payment.Reducer{},
		recorder.Config[payment.State, payment.Action]{Tells: payment.Tells, Resume: payment.Resumes})
	reservationReducer = recorder.New(reservation.Reducer{},
		recorder.Config[reservation.State, reservation.Action]{Tells: reservation.Tells, Resume: reservation.Resumes})
)

// Past is what a log has of a sale: all that its last process knew, and had done.
type Past struct {
	// Terms are what it is about; the zero value if there is no sale yet.
	Terms Terms
	// Closed tells that it is over.
	Closed bool
	// Last is when the last thing happened.
	Last time.Time
	// Events is how many there are.
	Events int

	log     *recorder.Log
	version eventstore.Version // of the sale's stream
	gateway []any
	tickets []ticket.Ticket
	asked   []reservation.Order

	mu           sync.Mutex
	sections     map[string]*sectionState
	payments     map[string]*paymentState
	reservations map[string]*reservationState
}

// ErrForeign is what there is in a log that is not of a sale.
var ErrForeign = errors.New("the events are not those of a ticket sale")

// Read reads a log from its beginning.
func Read(ctx context.Context, store eventstore.Store) (*Past, error) {
	registry, err := Registry()
	if err != nil {
		return nil, err
	}
	p := &Past{
		log:          &recorder.Log{Store: store, Registry: registry},
		sections:     map[string]*sectionState{},
		payments:     map[string]*paymentState{},
		reservations: map[string]*reservationState{},
	}
	for e, err := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
		if err == nil {
			err = p.add(e)
		}
		var unknown *eventstore.UnknownTypeError
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("%w: %w", ErrForeign, err)
		}
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
	}
	if p.Events > 0 && p.version == 0 {
		return nil, fmt.Errorf("%w: none of the %d opens one", ErrForeign, p.Events)
	}
	return p, nil
}

// add takes in the next event.
func (p *Past) add(e eventstore.Recorded) error {
	p.Events++
	at, err := recorder.Time(e)
	if err != nil {
		return err
	}
	if at.After(p.Last) {
		p.Last = at
	}
	switch eventstore.Category(e.Stream) {
	case sectionCategory:
		return replay(p.log, sectionReducer, p.sections, e)
	case paymentCategory:
		return replay(p.log, paymentReducer, p.payments, e)
	case reservationCategory:
		return replay(p.log, reservationReducer, p.reservations, e)
	}
	event, err := p.log.Registry.Decode(e)
	if err != nil {
		return err
	}
	if eventstore.Category(e.Stream) == gateway.Category {
		p.gateway = append(p.gateway, event)
		return nil
	}
	switch event := event.(type) {
	case Opened:
		p.Terms, p.version = event.Terms, e.Version
	case GoneOn:
		p.version = e.Version
	case Closed:
		p.Closed, p.version = true, e.Version
	case Asked:
		p.asked = append(p.asked, event.Order)
	case TicketIssued:
		p.tickets = append(p.tickets, event.Ticket)
	}
	return nil
}

// replay reduces a recorded action once more. What it leads to has been done, or
// is asked for again when its store resumes.
func replay[S, A any](log *recorder.Log, r recorder.Reducer[S, A], states map[string]*recorder.State[S, A], e eventstore.Recorded) error {
	entry, err := recorder.Decode[A](log.Registry, e)
	if err != nil {
		return err
	}
	s := states[e.Stream]
	if s == nil {
		s = &recorder.State[S, A]{Stream: e.Stream}
		states[e.Stream] = s
	}
	r.Replay(s, entry)
	return nil
}

// inMemory is the past of a sale that begins in memory.
func inMemory() (*Past, error) {
	store, err := memory.New(memory.Config{})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	p, err := Read(ctx, store)
	if err == nil {
		err = p.Begin(ctx, Terms{})
	}
	return p, err
}

// take gives the state of a stream to the first store that is made for it. Those
// after that begin with nothing, and find the stream by their first append.
func take[S, A any](p *Past, states map[string]*recorder.State[S, A], stream string) recorder.State[S, A] {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := states[stream]
	if s == nil {
		return recorder.State[S, A]{Stream: stream}
	}
	delete(states, stream)
	return *s
}

// Begin records that a sale begins, with these terms, or that this process goes
// on with the one there is. Of processes that have read the same past one begins,
// and the others get a *eventstore.ConflictError.
func (p *Past) Begin(ctx context.Context, terms Terms) error {
	var event any = GoneOn{}
	if p.version == 0 {
		event, p.Terms, p.Last = Opened{terms}, terms, terms.OpenedAt
	}
	return p.record(ctx, event)
}

// Close records that a sale is over.
func (p *Past) Close(ctx context.Context) error {
	p.Closed = true
	return p.record(ctx, Closed{})
}

func (p *Past) record(ctx context.Context, event any) error {
	err := p.log.Write(ctx, saleStream, p.version, event)
	if err == nil {
		p.version++
	}
	return err
}
