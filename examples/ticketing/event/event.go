package event

import (
	"slices"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

// Phase is how far an event has come: see the package documentation.
type Phase string

// The phases of an event. One that nobody has drafted has none.
const (
	IsDraft     Phase = "draft"
	IsPublished Phase = "published"
	IsOnSale    Phase = "on-sale"
	IsClosed    Phase = "closed"
	IsCancelled Phase = "cancelled"
)

// Layout is a section as it is planned.
type Layout struct {
	Name string `json:"name"`
	Tier string `json:"tier"`
	Rows []int  `json:"rows"` // how many seats each has, the front row first
}

// State is an event.
type State struct {
	Name     string        `json:"name"`
	Phase    Phase         `json:"phase"`
	Tiers    []ticket.Tier `json:"tiers"`
	Sections []Layout      `json:"sections"`
}

// Tier finds a tier by its name.
func (s *State) Tier(name string) (ticket.Tier, bool) {
	i := slices.IndexFunc(s.Tiers, func(t ticket.Tier) bool { return t.Name == name })
	if i < 0 {
		return ticket.Tier{}, false
	}
	return s.Tiers[i], true
}

// Command is what can be asked of an event.
type Command interface{ isCommand() }

type (
	// Draft begins an event.
	Draft struct {
		Name     string        `json:"name"`
		Tiers    []ticket.Tier `json:"tiers"`
		Sections []Layout      `json:"sections"`
	}
	// SetPrice changes what a tier costs.
	SetPrice struct {
		Tier  string       `json:"tier"`
		Price ticket.Money `json:"price"`
	}
	// Publish announces it.
	Publish struct{}
	// PutOnSale begins the sale.
	PutOnSale struct{}
	// Close ends it.
	Close struct{}
	// Cancel calls the event off.
	Cancel struct{}
)

func (Draft) isCommand()     {}
func (SetPrice) isCommand()  {}
func (Publish) isCommand()   {}
func (PutOnSale) isCommand() {}
func (Close) isCommand()     {}
func (Cancel) isCommand()    {}

// Event is what happens to one.
type Event interface{ isEvent() }

type (
	// Drafted begins it.
	Drafted struct {
		Name     string        `json:"name"`
		Tiers    []ticket.Tier `json:"tiers"`
		Sections []Layout      `json:"sections"`
	}
	// PriceSet changes a price.
	PriceSet struct {
		Tier  string       `json:"tier"`
		Price ticket.Money `json:"price"`
	}
	// Published tells that it was announced.
	Published struct{}
	// SaleBegun tells that it is on sale.
	SaleBegun struct{}
	// Closed tells that the sale is over.
	Closed struct{}
	// Cancelled tells that it will not take place.
	Cancelled struct{}
)

func (Drafted) isEvent()   {}
func (PriceSet) isEvent()  {}
func (Published) isEvent() {}
func (SaleBegun) isEvent() {}
func (Closed) isEvent()    {}
func (Cancelled) isEvent() {}

// Types are the events as they are recorded.
func Types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Drafted]("event.drafted", 1),
		eventstore.TypeOf[PriceSet]("event.price-set", 1),
		eventstore.TypeOf[Published]("event.published", 1),
		eventstore.TypeOf[SaleBegun]("event.sale-begun", 1),
		eventstore.TypeOf[Closed]("event.closed", 1),
		eventstore.TypeOf[Cancelled]("event.cancelled", 1),
	}
}

// Why a command is rejected.
const (
	NoSuchEvent  ticket.Reason = "no-such-event"
	NameTaken    ticket.Reason = "event-exists"
	BadDraft     ticket.Reason = "bad-draft"
	NoSuchTier   ticket.Reason = "no-such-tier"
	BadPrice     ticket.Reason = "bad-price"
	WrongPhase   ticket.Reason = "wrong-phase"
	WasCancelled ticket.Reason = "event-cancelled"
)

// The bounds of a draft.
const (
	MaxTiers    = 20
	MaxSections = 50
	MaxRows     = 2500
	MaxPerRow   = 50
	MaxPrice    = ticket.Money(10_000_000)
)

// Decider decides about events. It is an aggregate.Decider.
type Decider struct{}

// Decide says what a command makes happen.
func (Decider) Decide(s *State, command Command, _ reducer.Env) ([]Event, error) {
	draft, drafts := command.(Draft)
	if s.Phase == "" && !drafts {
		return nil, NoSuchEvent.Reject("")
	}
	switch c := command.(type) {
	case Draft:
		return s.draft(draft)
	case SetPrice:
		return s.setPrice(c)
	case Publish:
		return s.move(IsPublished, Published{}, IsDraft)
	case PutOnSale:
		return s.move(IsOnSale, SaleBegun{}, IsPublished)
	case Close:
		return s.move(IsClosed, Closed{}, IsOnSale)
	case Cancel:
		return s.move(IsCancelled, Cancelled{}, IsDraft, IsPublished, IsOnSale)
	}
	return nil, WrongPhase.Reject("events know no %T", command)
}

// move takes the event to another phase, from one of those.
func (s *State) move(to Phase, by Event, from ...Phase) ([]Event, error) {
	switch {
	case s.Phase == to:
		return nil, nil // it came again
	case s.Phase == IsCancelled:
		return nil, WasCancelled.Reject("")
	case !slices.Contains(from, s.Phase):
		return nil, WrongPhase.Reject("it is %s, and cannot be %s", s.Phase, to)
	}
	return []Event{by}, nil
}

func (s *State) draft(d Draft) ([]Event, error) {
	if s.Phase != "" {
		return nil, NameTaken.Reject("it is %s", s.Phase)
	}
	planned := State{Tiers: d.Tiers}
	switch {
	case d.Name == "":
		return nil, BadDraft.Reject("name is empty")
	case len(d.Tiers) == 0 || len(d.Tiers) > MaxTiers:
		return nil, BadDraft.Reject("tiers are %d, want 1 to %d", len(d.Tiers), MaxTiers)
	case len(d.Sections) == 0 || len(d.Sections) > MaxSections:
		return nil, BadDraft.Reject("sections are %d, want 1 to %d", len(d.Sections), MaxSections)
	}
	for i, t := range d.Tiers {
		if _, twice := (&State{Tiers: d.Tiers[:i]}).Tier(t.Name); twice || t.Name == "" {
			return nil, BadDraft.Reject("tiers[%d].name is %q, want a name that no other has", i, t.Name)
		}
		if t.Price < 1 || t.Price > MaxPrice {
			return nil, BadDraft.Reject("tiers[%d].price is %d, want 1 to %d cents", i, t.Price, MaxPrice)
		}
	}
	for i, section := range d.Sections {
		if section.Name == "" || slices.ContainsFunc(d.Sections[:i], func(l Layout) bool { return l.Name == section.Name }) {
			return nil, BadDraft.Reject("sections[%d].name is %q, want a name that no other has", i, section.Name)
		}
		if _, known := planned.Tier(section.Tier); !known {
			return nil, BadDraft.Reject("sections[%d].tier is %q, want one of the tiers", i, section.Tier)
		}
		if len(section.Rows) == 0 || len(section.Rows) > MaxRows {
			return nil, BadDraft.Reject("sections[%d].rows are %d, want 1 to %d", i, len(section.Rows), MaxRows)
		}
		for row, seats := range section.Rows {
			if seats < 1 || seats > MaxPerRow {
				return nil, BadDraft.Reject("sections[%d].rows[%d] has %d seats, want 1 to %d", i, row, seats, MaxPerRow)
			}
		}
	}
	return []Event{Drafted(d)}, nil
}

func (s *State) setPrice(c SetPrice) ([]Event, error) {
	tier, known := s.Tier(c.Tier)
	switch {
	case s.Phase != IsDraft && s.Phase != IsPublished:
		return nil, WrongPhase.Reject("it is %s, prices stay", s.Phase)
	case !known:
		return nil, NoSuchTier.Reject("%q", c.Tier)
	case c.Price < 1 || c.Price > MaxPrice:
		return nil, BadPrice.Reject("%d, want 1 to %d cents", c.Price, MaxPrice)
	case tier.Price == c.Price:
		return nil, nil
	}
	return []Event{PriceSet(c)}, nil
}

// Evolve makes of an event the one after what has happened.
func (Decider) Evolve(s *State, happened Event) {
	switch e := happened.(type) {
	case Drafted:
		*s = State{Name: e.Name, Phase: IsDraft, Tiers: slices.Clone(e.Tiers), Sections: slices.Clone(e.Sections)}
	case PriceSet:
		for i := range s.Tiers {
			if s.Tiers[i].Name == e.Tier {
				s.Tiers[i].Price = e.Price
			}
		}
	case Published:
		s.Phase = IsPublished
	case SaleBegun:
		s.Phase = IsOnSale
	case Closed:
		s.Phase = IsClosed
	case Cancelled:
		s.Phase = IsCancelled
	}
}
