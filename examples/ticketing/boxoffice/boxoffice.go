// Package boxoffice decides about tickets: one is issued for a reservation,
// however often it is asked for, and may be made void when its event is
// cancelled. There is an aggregate of it for each reservation.
package boxoffice

import (
	"reflect"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

// State is the stub of a ticket.
type State struct {
	Ticket ticket.Ticket
	Issued bool
	Void   bool
}

// Command is what can be asked of the box office.
type Command interface{ isCommand() }

type (
	// Issue asks for a ticket.
	Issue struct{ Ticket ticket.Ticket }
	// Void makes it worthless.
	Void struct{}
)

func (Issue) isCommand() {}
func (Void) isCommand()  {}

// Event is what happens to a ticket.
type Event interface{ isEvent() }

type (
	// Issued gives it out.
	Issued struct {
		Ticket ticket.Ticket `json:"ticket"`
	}
	// Voided makes it worthless.
	Voided struct{}
)

func (Issued) isEvent() {}
func (Voided) isEvent() {}

// Types are the events as they are recorded.
func Types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[Issued]("ticket.issued", 1),
		eventstore.TypeOf[Voided]("ticket.voided", 1),
	}
}

// Why a command is rejected.
const (
	AnotherTicket ticket.Reason = "another-ticket"
	IsVoid        ticket.Reason = "ticket-void"
)

// Decider decides about tickets. It is an aggregate.Decider.
type Decider struct{}

// Decide says what a command makes happen.
func (Decider) Decide(s *State, command Command, _ reducer.Env) ([]Event, error) {
	switch c := command.(type) {
	case Issue:
		switch {
		case s.Void:
			return nil, IsVoid.Reject("")
		case !s.Issued:
			return []Event{Issued(c)}, nil
		case !reflect.DeepEqual(s.Ticket, c.Ticket):
			return nil, AnotherTicket.Reject("%v", s.Ticket)
		}
	case Void:
		if !s.Void {
			return []Event{Voided{}}, nil
		}
	}
	return nil, nil // it came again
}

// Evolve makes of a ticket the one after an event.
func (Decider) Evolve(s *State, event Event) {
	switch e := event.(type) {
	case Issued:
		s.Ticket, s.Issued = e.Ticket, true
	case Voided:
		s.Void = true
	}
}
