// Package sale puts the stores of a ticket sale together: a store for each
// section, each payment and each reservation, the handlers between them, and the
// world around them: the catalogue, the gateway, the box office, the customers.
package sale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Config is what may be said about a sale. The zero value is one without
// failures, in real time.
type Config struct {
	// Seed is what the gateway's failures are drawn from.
	Seed uint64
	// Rates are how often it fails. The default is never.
	Rates gateway.Rates
	// Runtime is what the stores run on. The default is the real one.
	Runtime store.Runtime
	// Watch is told of every action of a reservation. It is called in the
	// store's turn and must be quick; nil is nobody.
	Watch func(Happening)
}

// Happening is something that happened to a reservation.
type Happening struct {
	At          time.Time
	Reservation ticket.Reservation
	Action      reservation.Action
}

// Sale is a ticket sale. Its methods may be called from any goroutine.
type Sale struct {
	gateway   *gateway.Gateway
	catalogue *inventory.Catalogue
	boxOffice *BoxOffice
	runtime   store.Runtime

	sections     *store.Keyed[ticket.Section, inventory.State, inventory.Action]
	payments     *store.Keyed[ticket.Reservation, payment.State, payment.Action]
	reservations *store.Keyed[ticket.Reservation, reservation.State, reservation.Action]

	actions atomic.Int64 // reduced, by all stores

	mu     sync.Mutex
	opened map[ticket.Reservation]bool // the book of what customers asked for
}

// sectionIdleAfter is how long a section's store stays in memory when nobody
// asks for it. Payments and reservations have nowhere to go yet and stay.
const sectionIdleAfter = 30 * time.Minute

// New opens the doors. There is nothing on offer yet.
func New(cfg Config) (*Sale, error) {
	if cfg.Runtime == nil {
		cfg.Runtime = store.RuntimeOf(context.Background())
	}
	s := &Sale{
		gateway:   gateway.New(cfg.Seed, cfg.Rates),
		catalogue: inventory.NewCatalogue(),
		boxOffice: NewBoxOffice(),
		runtime:   cfg.Runtime,
		opened:    map[ticket.Reservation]bool{},
	}
	var errs [3]error
	s.sections, errs[0] = store.NewKeyed(
		func(ticket.Section) inventory.State { return inventory.State{} },
		inventory.Reducer{},
		store.KeyedConfig[ticket.Section, inventory.State]{
			Config:     s.config("sections", cfg, []effect.Handler{effect.Handle(s.catalogue.LoadSection)}),
			IdleAfter:  sectionIdleAfter,
			Passivated: s.catalogue.Passivated,
		})
	s.payments, errs[1] = store.NewKeyed(
		func(ticket.Reservation) payment.State { return payment.State{} },
		payment.Reducer{},
		store.KeyedConfig[ticket.Reservation, payment.State]{
			Config: s.config("payments", cfg, s.gateway.Handlers()),
		})
	s.reservations, errs[2] = store.NewKeyed(
		func(ticket.Reservation) reservation.State { return reservation.State{} },
		reservation.Reducer{},
		store.KeyedConfig[ticket.Reservation, reservation.State]{
			Config: s.config("reservations", cfg, s.handlers()),
		})
	return s, errors.Join(errs[:]...)
}

// config is what the stores have in common. The id makes a simulated run repeat
// to the last byte: action ids come from it.
func (s *Sale) config(name string, cfg Config, handlers []effect.Handler) store.Config {
	return store.Config{
		Name:     name,
		Handlers: handlers,
		Runtime:  cfg.Runtime,
		ID:       uuid.NewSHA1(reducer.DeriveID(uuid.Nil, cfg.Seed), []byte(name)),
		Hooks: store.Hooks{Reduced: func(step store.StepInfo) {
			s.actions.Add(1)
			if action, ok := step.Action.(reservation.Action); ok && cfg.Watch != nil {
				id, _ := step.Key.(ticket.Reservation)
				cfg.Watch(Happening{cfg.Runtime.Now(), id, action})
			}
		}},
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
	s.open(order.Reservation)
	return store.AskKey(ctx, s.reservations, order.Reservation, reservation.Action(reservation.Start{Order: order}), reservation.AsFinished)
}

// Cancel cancels a reservation and waits until it is decided. Its outcome tells
// whether the cancellation came in time.
func (s *Sale) Cancel(ctx context.Context, id ticket.Reservation) (reservation.Outcome, error) {
	s.open(id)
	return store.AskKey(ctx, s.reservations, id, reservation.Action(reservation.Cancel{Reservation: id}), reservation.AsFinished)
}

// open writes a reservation into the book.
func (s *Sale) open(id ticket.Reservation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened[id] = true
}

// Await waits until a reservation is decided.
func (s *Sale) Await(ctx context.Context, id ticket.Reservation) error {
	return s.reservations.Until(ctx, id, func(r *reservation.State) bool { return r.Phase.Decided() })
}

// Reservation tells how a reservation stands.
func (s *Sale) Reservation(id ticket.Reservation) (reservation.State, bool) {
	return store.ViewKey(s.reservations, id, (*reservation.State).Clone)
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
	section, live := store.ViewKey(s.sections, id, func(state *inventory.State) inventory.Section {
		return state.Section.Clone()
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
	Actions                            int64
}

// Tally counts.
func (s *Sale) Tally() Tally {
	t := Tally{Actions: s.actions.Load()}
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
	s.reservations.Range(func(_ ticket.Reservation, r *reservation.State) bool {
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

// Records gathers what an audit wants to see.
func (s *Sale) Records() audit.Records {
	r := audit.Records{
		Offered:      s.catalogue.Offered(),
		Sections:     s.Sections(),
		Tickets:      s.boxOffice.Issued(),
		Reservations: map[ticket.Reservation]reservation.State{},
	}
	r.Ledger, r.InTheWorks = s.gateway.Ledger(s.runtime.Now())
	s.mu.Lock()
	r.Opened = slices.Sorted(maps.Keys(s.opened))
	s.mu.Unlock()
	s.reservations.Range(func(id ticket.Reservation, state *reservation.State) bool {
		r.Reservations[id] = state.Clone()
		return true
	})
	r.DeadLetters = slices.Concat(lettersOf(s.sections.DeadLetters()), lettersOf(s.payments.DeadLetters()), lettersOf(s.reservations.DeadLetters()))
	return r
}

func lettersOf[A any](letters []store.DeadLetter[A]) []string {
	lines := make([]string, len(letters))
	for i, d := range letters {
		lines[i] = fmt.Sprintf("%s %v: %s: %v", d.Store, d.StoreKey, d.Effect.Name, d.Err)
	}
	return lines
}

// Close shuts the stores down. It returns what was left undone, if ctx ends
// before everything has come to its end.
func (s *Sale) Close(ctx context.Context) error {
	return errors.Join(
		s.reservations.Shutdown(ctx), // it asks the others, so it goes first
		s.payments.Shutdown(ctx),
		s.sections.Shutdown(ctx))
}
