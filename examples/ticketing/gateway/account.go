package gateway

import (
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
)

// Account is what the gateway has done under a key. Time decides: a charge is
// made, or declined, once it is DecidedAt, whoever looks.
type Account struct {
	Amount     ticket.Money // 0 if it was never asked for any
	Declined   bool
	DecidedAt  time.Time
	RefundedAt time.Time // zero if it was not
	Closed     bool      // nothing is charged any more
}

// InTheWorks tells that the charge is not decided yet.
func (a *Account) InTheWorks(now time.Time) bool { return a.Amount > 0 && now.Before(a.DecidedAt) }

// Charged tells that the money was taken, whatever became of it since.
func (a *Account) Charged(now time.Time) bool {
	return a.Amount > 0 && !a.Declined && !now.Before(a.DecidedAt)
}

// Command is what the gateway does to an account.
type Command interface{ isCommand() }

type (
	// take decides a charge, which is known after a while.
	take struct {
		Amount   ticket.Money
		Declined bool
		Delay    time.Duration
	}
	// closeAccount gives back what was charged, and takes nothing any more.
	closeAccount struct{}
)

func (take) isCommand()         {}
func (closeAccount) isCommand() {}

// Event is what happens to an account.
type Event interface{ isEvent() }

type (
	// ChargeTaken is a charge that is made, or declined, at that time.
	ChargeTaken struct {
		Amount    ticket.Money `json:"amount"`
		Declined  bool         `json:"declined"`
		DecidedAt time.Time    `json:"decidedAt"`
	}
	// Closed ends it: what was charged is given back.
	Closed struct {
		At time.Time `json:"at"`
	}
)

func (ChargeTaken) isEvent() {}
func (Closed) isEvent()      {}

// Types are the events as they are recorded.
func Types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[ChargeTaken]("gateway.charge-taken", 1),
		eventstore.TypeOf[Closed]("gateway.closed", 1),
	}
}

// processing is why a charge cannot be refunded yet.
const processing ticket.Reason = "charge-in-the-works"

// Decider decides about accounts. It is an aggregate.Decider.
type Decider struct{}

// Decide says what a command makes happen.
func (Decider) Decide(a *Account, command Command, env reducer.Env) ([]Event, error) {
	switch c := command.(type) {
	case take:
		if a.Amount == 0 && !a.Closed { // or it came before, or too late
			return []Event{ChargeTaken{c.Amount, c.Declined, env.Now().Add(c.Delay)}}, nil
		}
	case closeAccount:
		switch {
		case a.Closed:
		case a.InTheWorks(env.Now()):
			return nil, processing.Reject("")
		default:
			return []Event{Closed{env.Now()}}, nil
		}
	}
	return nil, nil
}

// Evolve makes of an account the one after an event.
func (Decider) Evolve(a *Account, event Event) {
	switch e := event.(type) {
	case ChargeTaken:
		a.Amount, a.Declined, a.DecidedAt = e.Amount, e.Declined, e.DecidedAt
	case Closed:
		a.Closed = true
		if a.Amount > 0 && !a.Declined {
			a.RefundedAt = e.At
		}
	}
}
