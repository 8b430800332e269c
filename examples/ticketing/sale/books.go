package sale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/boxoffice"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// Books are what the log says: a read model that is brought up to date by whoever
// looks at it. They belong to one goroutine at a time.
type Books struct {
	Terms    Terms
	Opened   bool // there is a sale
	Asked    []ticket.Reservation
	Events   []*event.State                // in the order in which they were drafted
	Sections map[string]*inventory.Section // by the ids of their aggregates
	Payments map[ticket.Reservation]*payment.State
	Tickets  []*boxoffice.State // in the order in which they were issued
	Accounts map[ticket.Reservation]*gateway.Account
	// Count is how many events there are.
	Count int

	position eventstore.Position
	asked    map[ticket.Reservation]bool
	events   map[string]*event.State
	tickets  map[string]*boxoffice.State
}

// NewBooks are empty ones.
func NewBooks() *Books {
	return &Books{
		Sections: map[string]*inventory.Section{},
		Payments: map[ticket.Reservation]*payment.State{},
		Accounts: map[ticket.Reservation]*gateway.Account{},
		asked:    map[ticket.Reservation]bool{},
		events:   map[string]*event.State{},
		tickets:  map[string]*boxoffice.State{},
	}
}

// ErrForeign is what there is in a log that is not of a sale.
var ErrForeign = errors.New("the events are not those of a ticket sale")

// Read reads a log from its beginning. One that has events and no sale is
// ErrForeign.
func Read(ctx context.Context, log eventstore.Store) (*Books, error) {
	registry, err := Registry()
	if err != nil {
		return nil, err
	}
	b := NewBooks()
	if err := b.CatchUp(ctx, log, registry); err != nil {
		return nil, err
	}
	if b.Count > 0 && !b.Opened {
		return nil, fmt.Errorf("%w: there are %d, and none opens one; serve goes on with what serve has made", ErrForeign, b.Count)
	}
	return b, nil
}

// CatchUp reads what the log has since it was last read.
func (b *Books) CatchUp(ctx context.Context, log eventstore.Store, registry *eventstore.Registry) error {
	for e, err := range eventstore.Decode[any](registry, log.ReadAll(ctx, b.position, eventstore.Filter{}), eventstore.FailUnknown) {
		var unknown *eventstore.UnknownTypeError
		if errors.As(err, &unknown) {
			return fmt.Errorf("%w: %w", ErrForeign, err)
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		b.enter(e)
		b.position = e.Position
		b.Count++
	}
	return nil
}

// enter takes in the next event, as the decider does that has made it.
func (b *Books) enter(e eventstore.Decoded[any]) {
	category, id, _ := strings.Cut(e.Stream, "-")
	key := ticket.Reservation(id)
	switch what := e.Event.(type) {
	case Opened:
		b.Terms, b.Opened = what.Terms, true
	case Asked:
		if id := what.Order.Reservation; !b.asked[id] {
			b.asked[id] = true
			b.Asked = append(b.Asked, id)
		}
	case gateway.Event:
		gateway.Decider{}.Evolve(entry(b.Accounts, key), what)
	case inventory.Event:
		inventory.Decider{}.Evolve(entry(b.Sections, id), what)
	case payment.Event:
		payment.Decider{}.Evolve(entry(b.Payments, key), what)
	case event.Event:
		if b.events[id] == nil {
			b.Events = append(b.Events, entry(b.events, id))
		}
		event.Decider{}.Evolve(b.events[id], what)
	case boxoffice.Event:
		if b.tickets[id] == nil {
			b.Tickets = append(b.Tickets, entry(b.tickets, id))
		}
		boxoffice.Decider{}.Evolve(b.tickets[id], what)
	default:
		panic(fmt.Sprintf("books: %T of category %q has no place in them", what, category)) // a test reads one of each
	}
}

func entry[K comparable, V any](of map[K]*V, key K) *V {
	v := of[key]
	if v == nil {
		v = new(V)
		of[key] = v
	}
	return v
}

// Offered are the sections as they were put on sale, in the order of their events
// and layouts. The tier is as it was when the sale began.
func (b *Books) Offered() []inventory.Section {
	var offered []inventory.Section
	for _, e := range b.Events {
		if e.Phase == event.IsDraft || e.Phase == event.IsPublished {
			continue
		}
		for _, layout := range e.Sections {
			tier, _ := e.Tier(layout.Tier)
			offered = append(offered, inventory.NewSection(ticket.Section{Event: e.Name, Name: layout.Name}, tier, layout.Rows...))
		}
	}
	return offered
}

// Closed tells that there were events, and that the sale of all of them is over.
func (b *Books) Closed() bool {
	open := func(e *event.State) bool { return e.Phase != event.IsClosed && e.Phase != event.IsCancelled }
	return len(b.Events) > 0 && !slices.ContainsFunc(b.Events, open)
}

// Standing are the same sections as they stand now.
func (b *Books) Standing() []inventory.Section {
	sections := b.Offered()
	for i := range sections {
		if s := b.Sections[sectionKey(sections[i].ID)]; s != nil && s.ID == sections[i].ID {
			sections[i] = s.Clone()
		}
	}
	return sections
}

// Ledger is what the gateway has charged and refunded up to now, by key, and the
// keys of charges that are not decided yet.
func (b *Books) Ledger(now time.Time) (entries []gateway.Entry, undecided []ticket.Reservation) {
	for _, key := range slices.Sorted(maps.Keys(b.Accounts)) {
		a := b.Accounts[key]
		if a.InTheWorks(now) {
			undecided = append(undecided, key)
		}
		entries = append(entries, a.Entries(key, now)...)
	}
	return entries, undecided
}
