// Package cancellation undoes the sale of an event that its organiser has
// cancelled. It is a durable saga, one for each event: all sections are shut, and
// every reservation that has seats in them is revoked: cancelled if it is under
// way, refunded if it was completed. There is no way back, so each is tried until
// it is done.
//
// A section is shut before it is asked who has seats in it, so nobody is missed:
// whoever comes later is refused.
package cancellation

import (
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// AtOnce is how many reservations are revoked side by side.
const AtOnce = 16

// State is that of a cancellation.
type State struct {
	Sections int                  // that are not shut yet
	Left     []ticket.Reservation // to be revoked
	Revoking int
	Revoked  int
	Refunded ticket.Money
}

// Action is what a cancellation reduces.
type Action interface{ isAction() }

type (
	// Start begins it.
	Start struct{ Sections []ticket.Section }
	// SectionWasShut tells who has seats in it.
	SectionWasShut struct{ Reservations []ticket.Reservation }
	// WasRevoked tells what was given back, besides what a reservation gives back
	// that is cancelled on its way.
	WasRevoked struct{ Refunded ticket.Money }
)

func (Start) isAction()          {}
func (SectionWasShut) isAction() {}
func (WasRevoked) isAction()     {}

type (
	// ShutSection asks for the end of its sale, and who has seats then.
	ShutSection struct{ Section ticket.Section }
	// Revoke asks for the end of a reservation, and its money back.
	Revoke struct{ Reservation ticket.Reservation }
)

// Returns names the result's type.
func (ShutSection) Returns([]ticket.Reservation) {}

// Returns names the result's type.
func (Revoke) Returns(ticket.Money) {}

var fx saga.Of[Action]

// Reducer decides about one cancellation.
type Reducer struct{}

// Reduce implements reducer.Reducer.
func (Reducer) Reduce(s *State, action Action, _ reducer.Env) effect.Effect[Action] {
	switch a := action.(type) {
	case Start:
		s.Sections = len(a.Sections)
		all := []effect.Effect[Action]{fx.Pivot()}
		for _, section := range a.Sections {
			all = append(all, fx.Do(ShutSection{section}))
		}
		return fx.All(append(all, s.next())...)
	case SectionWasShut:
		s.Sections--
		s.Left = append(s.Left, a.Reservations...)
	case WasRevoked:
		s.Revoking--
		s.Revoked++
		s.Refunded += a.Refunded
	}
	return s.next()
}

// next revokes as many as may be, or ends when all are.
func (s *State) next() effect.Effect[Action] {
	var all []effect.Effect[Action]
	for s.Revoking < AtOnce && len(s.Left) > 0 {
		all = append(all, fx.Do(Revoke{s.Left[0]}))
		s.Left = s.Left[1:]
		s.Revoking++
	}
	if s.Sections == 0 && s.Revoking == 0 {
		return fx.Complete()
	}
	return fx.All(all...)
}

// Saga is the type of cancellations.
var Saga = saga.Define("cancellation", Reducer{}, saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Start]("start"), saga.Action[SectionWasShut]("section-was-shut"), saga.Action[WasRevoked]("was-revoked"),
	},
	Requests: []saga.RequestType{
		saga.On("shut-section", func(_ ShutSection, r saga.Reply[[]ticket.Reservation]) Action { return SectionWasShut{r.Value} }),
		saga.On("revoke", func(_ Revoke, r saga.Reply[ticket.Money]) Action { return WasRevoked{r.Value} },
			saga.Timeout(time.Minute), saga.Retry(saga.RetryPolicy{Delay: 5 * time.Second, MaxDelay: time.Minute})),
	},
})
