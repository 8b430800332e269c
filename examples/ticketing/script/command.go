package script

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// Help describes the commands, for --help.
const Help = `  {"do":"open","event":E,"tiers":[{"name":T,"cents":N}],
   "sections":[{"name":S,"tier":T,"rows":N,"seats":N}]}
        put an event on sale; "seats" is how many a row has
  {"do":"reserve","id":R,"event":E,"section":S,"quantity":N}
        the best seats available, side by side
  {"do":"reserve","id":R,"event":E,"section":S,"seats":["A1","A2"]}
        those chosen; "customer":C may be added to both
  {"do":"gateway","id":R,"answers":A}
        before R is reserved: what the gateway does to its charge. A is decline,
        timeout (charged, without an answer), lost (neither), or late, which
        takes "after":"6m"
  {"do":"cancel","id":R}
  {"do":"call-off","event":E}
        the organiser cancels an event: everybody is refunded
  {"do":"wait","for":"5m"}
        let time pass; no other command does, but audit
  {"do":"status","id":R}
        how a reservation stands
  {"do":"seats","event":E,"section":S}
        draw a section: · free, ○ held, ● sold
  {"do":"audit"}
        wait until every reservation is decided, then audit; so ends each script
`

const (
	maxTiers    = 20
	maxSections = 50
	maxRows     = 50
	maxPerRow   = 50
	maxCents    = 10_000_000
	maxWait     = 7 * 24 * time.Hour
)

// command is what a line says.
type command func(p *player)

// parse reads a line as a command that makes sense as things stand. The error
// names the field, its value and what would be accepted.
func (p *player) parse(line []byte) (command, error) {
	f := parseFields("", line)
	if f.err != nil {
		return nil, f.err
	}
	switch f.choice("do", "open", "reserve", "cancel", "call-off", "gateway", "wait", "status", "seats", "audit") {
	case "open":
		return p.parseOpen(f)
	case "reserve":
		return p.parseReserve(f)
	case "cancel":
		id := p.knownReservation(f)
		return func(p *player) { p.cancel(id) }, f.rest("do", "id")
	case "call-off":
		name := p.knownEvent(f)
		return func(p *player) { p.callOff(name) }, f.rest("do", "event")
	case "gateway":
		return p.parseGateway(f)
	case "wait":
		d := f.duration("for", maxWait)
		return func(p *player) { p.wait(d) }, f.rest("do", "for")
	case "status":
		id := p.knownReservation(f)
		return func(p *player) { p.status(id) }, f.rest("do", "id")
	case "seats":
		s := p.knownSection(f)
		return func(p *player) { p.seats(s.ID) }, f.rest("do", "event", "section")
	case "audit":
		return (*player).audit, f.rest("do")
	}
	return nil, f.err
}

func (p *player) parseOpen(f *fields) (command, error) {
	draft := event.Draft{Name: f.text("event")}
	if _, twice := p.events[draft.Name]; twice {
		f.fail("event", strconv.Quote(draft.Name), "one that is not open yet")
	}
	tiers := map[string]ticket.Tier{}
	var tierNames []string
	for i, raw := range f.list("tiers", "tiers", maxTiers) {
		t := parseFields(fmt.Sprintf("tiers[%d]", i), raw)
		tier := ticket.Tier{Name: t.text("name"), Price: ticket.Money(t.number("cents", maxCents))}
		if _, twice := tiers[tier.Name]; twice {
			t.fail("name", strconv.Quote(tier.Name), "each tier once")
		}
		tiers[tier.Name] = tier
		tierNames = append(tierNames, tier.Name)
		draft.Tiers = append(draft.Tiers, tier)
		f.note(t.rest("name", "cents"))
	}
	var sections []inventory.Section
	for i, raw := range f.list("sections", "sections", maxSections) {
		s := parseFields(fmt.Sprintf("sections[%d]", i), raw)
		id := ticket.Section{Event: draft.Name, Name: s.text("name")}
		if slices.ContainsFunc(sections, func(other inventory.Section) bool { return other.ID == id }) {
			s.fail("name", strconv.Quote(id.Name), "each section once")
		}
		tierName := s.text("tier")
		tier, ok := tiers[tierName]
		if !ok {
			s.fail("tier", strconv.Quote(tierName), "one of the event's tiers: "+strings.Join(tierNames, ", "))
		}
		rows := make([]int, s.number("rows", maxRows))
		seats := s.number("seats", maxPerRow)
		for row := range rows {
			rows[row] = int(seats)
		}
		sections = append(sections, inventory.NewSection(id, tier, rows...))
		draft.Sections = append(draft.Sections, event.Layout{Name: id.Name, Tier: tierName, Rows: rows})
		f.note(s.rest("name", "tier", "rows", "seats"))
	}
	return func(p *player) { p.open(draft, sections) }, f.rest("do", "event", "tiers", "sections")
}

func (p *player) parseReserve(f *fields) (command, error) {
	known := []string{"do", "id", "customer", "event", "section", "quantity", "seats"}
	id := ticket.Reservation(f.text("id"))
	if p.reserved[id] {
		f.fail("id", strconv.Quote(string(id)), "one that is not reserved yet")
	}
	order := reservation.Order{Reservation: id, Customer: string(id)}
	if f.has("customer") {
		order.Customer = f.text("customer")
	}
	section := p.knownSection(f)
	order.Section = section.ID
	switch {
	case f.err != nil:
	case f.has("quantity") && f.has("seats"):
		f.fail("seats", string(f.raw["seats"]), "either seats or quantity")
	case f.has("seats"):
		for i, raw := range f.list("seats", "seats", inventory.MaxSeats) {
			order.Chosen = append(order.Chosen, f.seat(fmt.Sprintf("seats[%d]", i), raw, &section))
		}
	default:
		order.Quantity = int(f.number("quantity", inventory.MaxSeats))
	}
	return func(p *player) { p.reserve(order) }, f.rest(known...)
}

// seat reads a seat of a section.
func (f *fields) seat(name string, raw json.RawMessage, section *inventory.Section) ticket.Seat {
	last := len(section.Rows)
	want := fmt.Sprintf("a seat of %s, %s to %s", section.ID, ticket.Seat{Row: 1, Number: 1}, ticket.Seat{Row: last, Number: len(section.Rows[last-1])})
	var text string
	if json.Unmarshal(raw, &text) != nil {
		f.fail(name, string(raw), want)
		return ticket.Seat{}
	}
	seat, err := ticket.ParseSeat(text)
	if err != nil || !section.Has(seat) {
		f.fail(name, string(raw), want)
	}
	return seat
}

func (p *player) parseGateway(f *fields) (command, error) {
	id := ticket.Reservation(f.text("id"))
	if p.reserved[id] {
		f.fail("id", strconv.Quote(string(id)), "one that is not reserved yet")
	}
	var b gateway.Behaviour
	switch f.choice("answers", "decline", "timeout", "lost", "late") {
	case "decline":
		b.Decline = true
	case "timeout":
		b.Silent = true
	case "lost":
		b.Lost = true
	case "late":
		b.Delay = f.duration("after", maxWait)
		return func(p *player) { p.behave(id, b) }, f.rest("do", "id", "answers", "after")
	}
	return func(p *player) { p.behave(id, b) }, f.rest("do", "id", "answers")
}

// knownSection takes the event and section of a command.
func (p *player) knownSection(f *fields) inventory.Section {
	of, name := f.text("event"), f.text("section")
	sections, ok := p.events[of]
	if !ok {
		f.fail("event", strconv.Quote(of), "an event that is open"+orNone(p.eventNames))
		return inventory.Section{}
	}
	var names []string
	for _, s := range sections {
		if s.ID.Name == name {
			return s
		}
		names = append(names, s.ID.Name)
	}
	f.fail("section", strconv.Quote(name), fmt.Sprintf("a section of %s: %s", of, strings.Join(names, ", ")))
	return inventory.Section{}
}

// knownEvent takes an event that was opened, and not called off.
func (p *player) knownEvent(f *fields) string {
	name := f.text("event")
	if _, ok := p.events[name]; !ok || slices.Contains(p.cancelled, name) {
		f.fail("event", strconv.Quote(name), "an event that is open"+orNone(p.eventNames))
	}
	return name
}

// knownReservation takes the id of a command.
func (p *player) knownReservation(f *fields) ticket.Reservation {
	id := ticket.Reservation(f.text("id"))
	if !p.reserved[id] {
		f.fail("id", strconv.Quote(string(id)), "the id of an earlier reserve")
	}
	return id
}

func orNone(names []string) string {
	if len(names) == 0 {
		return " (there is none)"
	}
	return ": " + strings.Join(names, ", ")
}
