// Package boxoffice is the program of the guide's first page and the subject of
// the tests on its last: a box office that holds seats for five minutes and
// charges cards.
package boxoffice

import (
	"context"
	"errors"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// Action is something that has happened.
type Action interface{ isAction() }

// State is all that the box office remembers.
type State struct {
	Free    int
	Held    map[string]time.Time // customer → until when
	Tickets map[string]string    // customer → receipt
}

type (
	Hold        struct{ Customer string } // somebody wants a seat for five minutes
	Pay         struct{ Customer string } // and pays for it
	Leave       struct{ Customer string } // or gives it up
	HoldExpired struct{ Customer string } // the five minutes are over

	Kept     struct{ Customer string }
	Refused  struct{ Customer, Reason string }
	Sold     struct{ Customer, Receipt string }
	Declined struct {
		Customer string
		Err      error
	}
)

func (Hold) isAction()        {}
func (Pay) isAction()         {}
func (Leave) isAction()       {}
func (HoldExpired) isAction() {}
func (Kept) isAction()        {}
func (Sold) isAction()        {}
func (Declined) isAction()    {}
func (Refused) isAction()     {}

const (
	holdFor = 5 * time.Minute
	price   = 4500 // cents
)

// hold is the key of a customer's timer.
type hold string

var fx effect.Of[Action]

func Reduce(s *State, a Action, env reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Hold:
		if _, held := s.Held[a.Customer]; held || s.Free == 0 {
			return fx.Send(Refused{a.Customer, "no seat for you"})
		}
		s.Free--
		s.Held[a.Customer] = env.Now().Add(holdFor)
		return fx.All(
			fx.Send(Kept(a)),
			fx.After(hold(a.Customer), holdFor, HoldExpired(a)))

	case HoldExpired:
		delete(s.Held, a.Customer)
		s.Free++

	case Pay:
		if _, held := s.Held[a.Customer]; !held {
			return fx.Send(Refused{a.Customer, "no seat is held"})
		}
		delete(s.Held, a.Customer)
		return fx.All(fx.Cancel(hold(a.Customer)), charge(a.Customer))

	case Sold:
		s.Tickets[a.Customer] = a.Receipt

	case Declined:
		s.Free++

	case Leave:
		if _, held := s.Held[a.Customer]; held {
			delete(s.Held, a.Customer)
			s.Free++
		}
		return fx.Cancel(hold(a.Customer))
	}
	return fx.None()
}

// Charge asks for the price of a seat. The result is a receipt.
type Charge struct {
	Customer string
	Cents    int
}

func (Charge) Returns(string) {}

func charge(customer string) effect.Effect[Action] {
	return effect.Do(Charge{customer, price}, func(r effect.Result[string]) Action {
		if r.Err != nil {
			return Declined{customer, r.Err}
		}
		return Sold{customer, r.Value}
	}, effect.Timeout(10*time.Second))
}

var ErrDeclined = errors.New("card declined")

// Bank stands for the code that you have already: a client, a repository.
type Bank struct{ Broke map[string]bool }

func (b *Bank) Charge(_ context.Context, c Charge) (string, error) {
	if b.Broke[c.Customer] {
		return "", effect.Permanent(ErrDeclined)
	}
	return "receipt for " + c.Customer, nil
}

func AsAnswer(a Action) (Action, bool) {
	switch a.(type) {
	case Kept, Sold, Declined, Refused:
		return a, true
	}
	return nil, false
}

// opened is a box office at the beginning of an evening.
func opened(seats int) State {
	return State{Free: seats, Held: map[string]time.Time{}, Tickets: map[string]string{}}
}
