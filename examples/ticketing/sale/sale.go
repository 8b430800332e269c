// Package sale puts the stores of a ticket sale together: a store for each
// section, each payment and each reservation, the handlers between them, and the
// world around them: the catalogue, the gateway, the box office, the customers.
//
// All of them write to one log, and another process goes on from it: [Read] it,
// [Past.Begin], New, [Sale.Offer] the same sections, [Sale.GoOn].
package sale

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Config is what may be said about a sale. The zero value is one without
// failures, in real time, that is remembered as long as the process lives.
type Config struct {
	// Seed is what the gateway's failures are drawn from.
	Seed uint64
	// Rates are how often it fails. The default is never.
	Rates gateway.Rates
	// Runtime is what the stores run on. The default is the real one.
	Runtime store.Runtime
	// Past is what the sale goes on from, and the log that it goes on to write.
	// The default is an empty one in memory.
	Past *Past
	// Watch is told of every action of a reservation. It is called in the
	// store's turn and must be quick; nil is nobody.
	Watch func(Happening)
	// Halted is told when a store cannot go on: its log cannot be written, or
	// is written by another process. Nobody gets an answer from it then. nil is
	// nobody.
	Halted func(error)
}

// Happening is something that happened to a reservation.
type Happening struct {
	At          time.Time
	Reservation ticket.Reservation
	Action      reservation.Action
}

// Sale is a ticket sale. Its methods may be called from any goroutine.
type Sale struct {
	past      *Past
	log       *recorder.Log
	gateway   *gateway.Gateway
	catalogue *inventory.Catalogue
	boxOffice *BoxOffice
	book      *book
	runtime   store.Runtime

	sections     *store.Keyed[ticket.Section, sectionState, recorder.Action[inventory.Action]]
	payments     *store.Keyed[ticket.Reservation, paymentState, recorder.Action[payment.Action]]
	reservations *store.Keyed[ticket.Reservation, reservationState, recorder.Action[reservation.Action]]

	actions atomic.Int64 // reduced, by all stores
}

// sectionIdleAfter is how long a section's store stays in memory when nobody
// asks for it. It is read from the log when somebody does. Payments and
// reservations stay.
const sectionIdleAfter = 30 * time.Minute

// New opens the doors. There is nothing on offer yet.
func New(cfg Config) (*Sale, error) {
	if cfg.Runtime == nil {
		cfg.Runtime = store.RuntimeOf(context.Background())
	}
	if cfg.Past == nil {
		var err error
		if cfg.Past, err = inMemory(); err != nil {
			return nil, err
		}
	}
	// What is counted, and who is told, is this sale's own.
	log := &recorder.Log{Store: cfg.Past.log.Store, Registry: cfg.Past.log.Registry}
	if cfg.Halted != nil {
		log.Halted = func(h recorder.Halt) { cfg.Halted(fmt.Errorf("store of %q: %s", h.Stream, h.Reason)) }
	}
	s := &Sale{
		past:      cfg.Past,
		log:       log,
		gateway:   gateway.New(cfg.Seed, cfg.Rates, log),
		catalogue: inventory.NewCatalogue(),
		boxOffice: NewBoxOffice(log),
		book:      newBook(log, cfg.Past.asked),
		runtime:   cfg.Runtime,
	}
	for _, event := range cfg.Past.gateway {
		s.gateway.Remember(event)
	}
	for _, t := range cfg.Past.tickets {
		s.boxOffice.Remember(t)
	}
	var errs [3]error
	s.sections, errs[0] = store.NewKeyed(
		func(id ticket.Section) sectionState { return take(s.past, s.past.sections, sectionStream(id)) },
		sectionReducer,
		store.KeyedConfig[ticket.Section, sectionState]{
			Config: config(s, "sections", cfg, sectionReducer, nil,
				recorder.Handlers[inventory.Action](log), effect.Handle(s.catalogue.LoadSection)),
			IdleAfter: sectionIdleAfter,
			Passivated: func(id ticket.Section, state sectionState) {
				s.catalogue.Passivated(id, state.Inner)
			},
		})
	s.payments, errs[1] = store.NewKeyed(
		func(id ticket.Reservation) paymentState { return take(s.past, s.past.payments, paymentStream(id)) },
		paymentReducer,
		store.KeyedConfig[ticket.Reservation, paymentState]{
			Config: config(s, "payments", cfg, paymentReducer, nil,
				recorder.Handlers[payment.Action](log), s.gateway.Handlers()...),
		})
	s.reservations, errs[2] = store.NewKeyed(
		func(id ticket.Reservation) reservationState {
			return take(s.past, s.past.reservations, reservationStream(id))
		},
		reservationReducer,
		store.KeyedConfig[ticket.Reservation, reservationState]{
			Config: config(s, "reservations", cfg, reservationReducer, s.watch(cfg),
				recorder.Handlers[reservation.Action](log), s.handlers()...),
		})
	return s, errors.Join(errs[:]...)
}

// config is what the stores have in common. The id makes a simulated run repeat
// to the last byte: action ids come from it. No two processes have the same, for
// the ids of actions are those of events.
func config[S, A any](s *Sale, name string, cfg Config, r recorder.Reducer[S, A], watch func(key any, a A), log []effect.Handler, handlers ...effect.Handler) store.Config {
	return store.Config{
		Name:     name,
		Handlers: append(log, handlers...),
		Runtime:  cfg.Runtime,
		ID:       uuid.NewSHA1(reducer.DeriveID(uuid.Nil, cfg.Seed), fmt.Appendf(nil, "%s/%d", name, s.past.version)),
		Hooks: store.Hooks{Reduced: func(step store.StepInfo) {
			if a, ok := r.Reduces(step.Action); ok {
				s.actions.Add(1)
				if watch != nil {
					watch(step.Key, a)
				}
			}
		}},
	}
}

func (s *Sale) watch(cfg Config) func(key any, a reservation.Action) {
	if cfg.Watch == nil {
		return nil
	}
	return func(key any, a reservation.Action) {
		id, _ := key.(ticket.Reservation)
		cfg.Watch(Happening{s.runtime.Now(), id, a})
	}
}

// Offer puts sections on sale.
func (s *Sale) Offer(sections ...inventory.Section) {
	for _, section := range sections {
		s.catalogue.Offer(section)
	}
}

// Behave sets what the gateway does to the first charge of a reservation.
func (s *Sale) Behave(id ticket.Reservation, b gateway.Behaviour) { s.gateway.Behave(id, b) }

// Reserve starts a reservation and waits until it is decided.
func (s *Sale) Reserve(ctx context.Context, order reservation.Order) (reservation.Outcome, error) {
	return s.ask(ctx, order, reservation.Start{Order: order})
}

// Cancel cancels a reservation and waits until it is decided. Its outcome tells
// whether the cancellation came in time.
func (s *Sale) Cancel(ctx context.Context, id ticket.Reservation) (reservation.Outcome, error) {
	return s.ask(ctx, reservation.Order{Reservation: id}, reservation.Cancel{Reservation: id})
}

// ask writes a reservation into the book, and asks its store.
func (s *Sale) ask(ctx context.Context, order reservation.Order, a reservation.Action) (reservation.Outcome, error) {
	if err := s.book.write(ctx, order); err != nil {
		return reservation.Outcome{}, err
	}
	return store.AskKey(ctx, s.reservations, order.Reservation, recorder.Give(a), recorder.Match(reservation.AsFinished))
}

// Await waits until a reservation is decided.
func (s *Sale) Await(ctx context.Context, id ticket.Reservation) error {
	return s.reservations.Until(ctx, id, func(r *reservationState) bool { return r.Inner.Phase.Decided() })
}

// Reservation tells how a reservation stands.
func (s *Sale) Reservation(id ticket.Reservation) (reservation.State, bool) {
	return store.ViewKey(s.reservations, id, func(r *reservationState) reservation.State { return r.Inner.Clone() })
}

// Sections returns the sections as they stand, in the order in which they were
// offered.
func (s *Sale) Sections() []inventory.Section {
	sections := s.catalogue.Offered()
	for i := range sections {
		sections[i] = s.section(sections[i].ID)
	}
	return sections
}

// section is in its store, or where its store loads it from.
func (s *Sale) section(id ticket.Section) inventory.Section {
	section, live := store.ViewKey(s.sections, id, func(state *sectionState) inventory.Section {
		return state.Inner.Section.Clone()
	})
	if !live || section.ID != id {
		section, _ = s.catalogue.Section(id)
	}
	return section
}

// Tally is a sale in numbers, at one moment or nearly so.
type Tally struct {
	Free, Held, Sold                   int // seats
	Open, Completed, Failed, Cancelled int // reservations
	Stuck                              int // of those that are open
	Charged, Refunded                  ticket.Money
	Actions                            int64 // reduced by this process
	Events                             int64 // recorded by it
}

// Tally counts.
func (s *Sale) Tally() Tally {
	t := Tally{Actions: s.actions.Load(), Events: s.log.Recorded()}
	for _, section := range s.Sections() {
		t.Free += section.Free()
		for _, claim := range section.Claims {
			switch claim.Status {
			case inventory.IsHeld:
				t.Held += len(claim.Seats)
			case inventory.IsSold:
				t.Sold += len(claim.Seats)
			case inventory.IsReleased, inventory.IsExpired:
			}
		}
	}
	s.reservations.Range(func(_ ticket.Reservation, state *reservationState) bool {
		r := &state.Inner
		switch r.Phase {
		case reservation.Completed:
			t.Completed++
		case reservation.Failed:
			t.Failed++
		case reservation.Cancelled:
			t.Cancelled++
		default:
			t.Open++
		}
		if r.Stuck() {
			t.Stuck++
		}
		return true
	})
	ledger, _ := s.gateway.Ledger(s.runtime.Now())
	for _, e := range ledger {
		switch e.Kind {
		case gateway.IsCharge:
			t.Charged += e.Amount
		case gateway.IsRefund:
			t.Refunded += e.Amount
		}
	}
	return t
}

// Lag tells how long the oldest action waits that is being recorded.
func (s *Sale) Lag(now time.Time) time.Duration { return s.log.Lag(now) }

// Close shuts the stores down. It returns what was left undone, if ctx ends
// before everything has come to its end.
func (s *Sale) Close(ctx context.Context) error {
	return errors.Join(
		s.reservations.Shutdown(ctx), // it asks the others, so it goes first
		s.payments.Shutdown(ctx),
		s.sections.Shutdown(ctx))
}
