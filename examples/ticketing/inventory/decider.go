package inventory

import (
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

// HoldFor is how long seats are kept for somebody who has not paid.
const HoldFor = 5 * time.Minute

// Command is what can be asked of a section.
type Command interface{ isCommand() }

type (
	// Open puts the section on sale: rows says how many seats each row has, the
	// front row first.
	Open struct {
		Section ticket.Section
		Tier    ticket.Tier
		Rows    []int
	}
	// Hold asks for seats: those chosen, or if there are none a Quantity of the
	// best available.
	Hold struct {
		Reservation ticket.Reservation
		Quantity    int
		Chosen      []ticket.Seat
	}
	// Confirm says that what the reservation holds is sold.
	Confirm struct{ Reservation ticket.Reservation }
	// Release gives back what the reservation has, held or sold.
	Release struct{ Reservation ticket.Reservation }
	// Shut ends the sale of the section. If the event is cancelled what is held
	// can no longer be confirmed.
	Shut struct{ Cancelled bool }
)

func (Open) isCommand()    {}
func (Hold) isCommand()    {}
func (Confirm) isCommand() {}
func (Release) isCommand() {}
func (Shut) isCommand()    {}

// Event is what happens to a section.
type Event interface{ isEvent() }

type (
	// Opened puts it on sale.
	Opened struct {
		Section ticket.Section `json:"section"`
		Tier    ticket.Tier    `json:"tier"`
		Rows    []int          `json:"rows"`
	}
	// Held keeps seats until then, which cost that together.
	Held struct {
		Reservation ticket.Reservation `json:"reservation"`
		Seats       []ticket.Seat      `json:"seats"`
		Price       ticket.Money       `json:"price"`
		Until       time.Time          `json:"until"`
	}
	// Sold makes them those of who holds them.
	Sold struct {
		Reservation ticket.Reservation `json:"reservation"`
	}
	// Released makes them free.
	Released struct {
		Reservation ticket.Reservation `json:"reservation"`
	}
	// WasShut ends the sale.
	WasShut struct {
		Cancelled bool `json:"cancelled"`
	}
)

func (Opened) isEvent()   {}
func (Held) isEvent()     {}
func (Sold) isEvent()     {}
func (Released) isEvent() {}
func (WasShut) isEvent()  {}

// Types are the events as they are recorded.
func Types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Opened]("inventory.opened", 1),
		eventstore.TypeOf[Held]("inventory.held", 1),
		eventstore.TypeOf[Sold]("inventory.sold", 1),
		eventstore.TypeOf[Released]("inventory.released", 1),
		eventstore.TypeOf[WasShut]("inventory.shut", 1),
	}
}

// Why a command is rejected.
const (
	SoldOut       ticket.Reason = "sold-out"
	TooFewLeft    ticket.Reason = "too-few-seats-left"
	NotTogether   ticket.Reason = "no-seats-side-by-side"
	SeatTaken     ticket.Reason = "seat-taken"
	SeatTwice     ticket.Reason = "seat-named-twice"
	NoSuchSeat    ticket.Reason = "no-such-seat"
	NoSuchSection ticket.Reason = "no-such-section"
	SectionOpen   ticket.Reason = "section-open"
	NotOnSale     ticket.Reason = "not-on-sale"
	BadQuantity   ticket.Reason = "quantity-out-of-range"
	HoldOver      ticket.Reason = "hold-is-over"
	NoHold        ticket.Reason = "no-hold"
)

// Reasons are all for which a hold or its confirmation is refused.
func Reasons() []ticket.Reason {
	return []ticket.Reason{
		SoldOut, TooFewLeft, NotTogether, SeatTaken, SeatTwice, NoSuchSeat, NoSuchSection, NotOnSale, BadQuantity, HoldOver, NoHold,
	}
}

// Decider decides about sections. It is an aggregate.Decider.
type Decider struct{}

// Decide says what a command makes happen.
func (Decider) Decide(s *Section, command Command, env reducer.Env) ([]Event, error) {
	switch c := command.(type) {
	case Open:
		return s.open(c)
	case Hold:
		return s.hold(c, env)
	case Confirm:
		return s.confirm(c, env)
	case Release:
		if s.Claims[c.Reservation].Status == IsReleased {
			return nil, nil
		}
		return []Event{Released(c)}, nil
	case Shut:
		if s.Shut && (s.Cancelled || !c.Cancelled) {
			return nil, nil
		}
		return []Event{WasShut(c)}, nil
	}
	return nil, NoSuchSection.Reject("sections know no %T", command)
}

func (s *Section) open(c Open) ([]Event, error) {
	switch {
	case s.ID == (ticket.Section{}) && len(c.Rows) > 0:
		return []Event{Opened(c)}, nil
	case s.ID == c.Section && s.Tier == c.Tier && s.hasRows(c.Rows):
		return nil, nil // it came again
	}
	return nil, SectionOpen.Reject("%s has other seats", s.ID)
}

func (s *Section) hasRows(rows []int) bool {
	if len(rows) != len(s.Rows) {
		return false
	}
	for i, n := range rows {
		if len(s.Rows[i]) != n {
			return false
		}
	}
	return true
}

func (s *Section) hold(c Hold, env reducer.Env) ([]Event, error) {
	claim, claimed := s.Claims[c.Reservation]
	switch {
	case claim.Status == IsHeld || claim.Status == IsSold:
		return nil, nil // it came again
	case claimed:
		return nil, HoldOver.Reject("")
	case s.ID == (ticket.Section{}):
		return nil, NoSuchSection.Reject("")
	case s.Shut:
		return nil, NotOnSale.Reject("")
	}
	seats, err := s.find(c)
	if err != nil {
		return nil, err
	}
	return []Event{Held{c.Reservation, seats, s.Tier.Price.Times(len(seats)), env.Now().Add(HoldFor)}}, nil
}

func (s *Section) confirm(c Confirm, env reducer.Env) ([]Event, error) {
	claim, claimed := s.Claims[c.Reservation]
	switch {
	case claim.Status == IsSold:
		return nil, nil
	case !claimed:
		return nil, NoHold.Reject("")
	case claim.Status != IsHeld || !env.Now().Before(claim.Until):
		return nil, HoldOver.Reject("")
	case s.Cancelled:
		return nil, NotOnSale.Reject("the event is cancelled")
	}
	return []Event{Sold(c)}, nil
}

// Evolve makes of a section the one after an event.
func (Decider) Evolve(s *Section, event Event) {
	if s.Claims == nil {
		s.Claims = map[ticket.Reservation]Claim{}
	}
	switch e := event.(type) {
	case Opened:
		s.ID, s.Tier = e.Section, e.Tier
		for _, seats := range e.Rows {
			s.Rows = append(s.Rows, make([]ticket.Reservation, seats))
		}
	case Held:
		s.Claims[e.Reservation] = Claim{IsHeld, e.Seats, e.Until}
		s.seat(e.Seats, e.Reservation)
	case Sold:
		s.Claims[e.Reservation] = Claim{Status: IsSold, Seats: s.Claims[e.Reservation].Seats}
	case Released:
		s.seat(s.Claims[e.Reservation].Seats, "")
		s.Claims[e.Reservation] = Claim{Status: IsReleased}
	case WasShut:
		s.Shut, s.Cancelled = true, s.Cancelled || e.Cancelled
	}
}

// seat makes somebody the owner of seats; "" is nobody.
func (s *Section) seat(seats []ticket.Seat, owner ticket.Reservation) {
	for _, seat := range seats {
		s.Rows[seat.Row-1][seat.Number-1] = owner
	}
}
