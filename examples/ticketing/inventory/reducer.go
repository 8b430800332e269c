package inventory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/workflow"
)

// HoldFor is how long seats are kept for somebody who has not paid.
const HoldFor = 5 * time.Minute

// policy keeps a section once it is loaded: its store alone changes it, so it
// cannot be out of date.
var policy = workflow.Policy{MaxWaiting: 10_000, Freshness: workflow.UntilInvalidated}

// State is that of one section's store. The zero value is one that has to load.
type State struct {
	Load    workflow.Workflow[ticket.Section, Command]
	Section Section
}

// LoadSection asks for a section as it stands.
type LoadSection struct{ Section ticket.Section }

// Returns names the result's type.
func (LoadSection) Returns(Section) {}

var fx effect.Of[Action]

// Reducer decides about the seats of a section.
type Reducer struct{}

// Reduce implements reducer.Reducer.
func (Reducer) Reduce(s *State, action Action, env reducer.Env) effect.Effect[Action] {
	switch a := action.(type) {
	case Command:
		return admit(s, a, env)
	case SectionLoaded:
		return loaded(s, a.Section, env)
	case LoadFailed:
		return loadFailed(s, a)
	case Resume:
		return goOn(s)
	case HoldExpired:
		if s.Section.Claims[a.Reservation].Status == IsHeld { // or it comes too late
			s.Section.take(a.Reservation, IsExpired)
		}
	}
	return fx.None() // an Answer: it was for those who asked
}

// admit lets a command go on if the section is here. Otherwise the command
// waits, the first one while it loads the section, the others behind it.
func admit(s *State, c Command, env reducer.Env) effect.Effect[Action] {
	switch step, err := s.Load.Admit(c.at(), c, env.Now(), policy); {
	case err != nil:
		return reject(c, ticket.Reject(Unavailable, "%v", err))
	case step == workflow.Load:
		return fx.All(fx.Hold(placeOf(c)), load(c.at()))
	case step == workflow.Wait:
		return fx.Hold(placeOf(c))
	}
	return process(&s.Section, c)
}

// place is the key under which a command waits.
type place struct {
	Command     string
	Reservation ticket.Reservation
}

func placeOf(c Command) place { return place{fmt.Sprintf("%T", c), c.of()} }

func load(id ticket.Section) effect.Effect[Action] {
	return effect.Do(LoadSection{id}, func(r effect.Result[Section]) Action {
		var rejection *ticket.RejectionError
		switch {
		case r.Err == nil:
			return SectionLoaded{r.Value}
		case errors.As(r.Err, &rejection):
			return LoadFailed{id, rejection}
		}
		return LoadFailed{id, ticket.Reject(Unavailable, "%v", r.Err)}
	}, effect.Timeout(5*time.Second), effect.Retry(effect.RetryPolicy{Attempts: 5}))
}

// loaded keeps the section and lets those who waited go on, in their order.
func loaded(s *State, section Section, env reducer.Env) effect.Effect[Action] {
	waiting, ok := s.Load.Loaded(section.ID, env.Now(), policy)
	if !ok {
		return fx.None()
	}
	s.Section = section.Clone() // what is in an action stays as it was
	return resume(waiting)
}

// loadFailed refuses those who waited. The next command tries again.
func loadFailed(s *State, a LoadFailed) effect.Effect[Action] {
	failed, rest, ok := s.Load.Failed(a.Section)
	if !ok {
		return fx.None()
	}
	var all []effect.Effect[Action]
	for _, c := range failed {
		all = append(all, fx.Resume(placeOf(c), Rejected{c.of(), a.Rejection}))
	}
	return fx.All(append(all, resume(rest))...)
}

func resume(waiting []Command) effect.Effect[Action] {
	again := make([]effect.Effect[Action], len(waiting))
	for i, c := range waiting {
		again[i] = fx.Resume(placeOf(c), c)
	}
	return fx.All(again...)
}

// process decides a command with the section at hand.
func process(s *Section, c Command) effect.Effect[Action] {
	switch c := c.(type) {
	case Hold:
		return hold(s, c)
	case Confirm:
		return confirm(s, c)
	case Release:
		return release(s, c)
	}
	return fx.None()
}

func hold(s *Section, c Hold) effect.Effect[Action] {
	switch claim := s.Claims[c.Reservation]; claim.Status {
	case IsHeld, IsSold:
		return held(s, c.Reservation, claim.Seats) // it came again
	case IsReleased, IsExpired:
		return reject(c, &ticket.RejectionError{Reason: HoldOver})
	}
	seats, rejection := s.find(c)
	if rejection != nil {
		return reject(c, rejection)
	}
	s.give(c.Reservation, seats)
	return fx.All(
		fx.After(expiry{c.Reservation}, HoldFor, HoldExpired{c.Reservation}),
		held(s, c.Reservation, seats))
}

// goOn loads again what was being loaded, or lets the holds that there are end in
// their time.
func goOn(s *State) effect.Effect[Action] {
	if id, waits := s.Load.Restart(); waits {
		return load(id)
	}
	return expireAgain(&s.Section)
}

// expireAgain gives those who hold seats the whole time once more: when they
// began is not known.
func expireAgain(s *Section) effect.Effect[Action] {
	var all []effect.Effect[Action]
	for _, r := range slices.Sorted(maps.Keys(s.Claims)) {
		if s.Claims[r].Status == IsHeld {
			all = append(all, fx.After(expiry{r}, HoldFor, HoldExpired{r}))
		}
	}
	return fx.All(all...)
}

func confirm(s *Section, c Confirm) effect.Effect[Action] {
	claim, ok := s.Claims[c.Reservation]
	switch {
	case !ok:
		return reject(c, &ticket.RejectionError{Reason: NoHold})
	case claim.Status == IsReleased || claim.Status == IsExpired:
		return reject(c, &ticket.RejectionError{Reason: HoldOver})
	}
	claim.Status = IsSold
	s.Claims[c.Reservation] = claim
	return fx.All(
		fx.Cancel(expiry{c.Reservation}),
		fx.Send(Confirmed{c.Reservation, claim.Seats}))
}

func release(s *Section, c Release) effect.Effect[Action] {
	freed := s.take(c.Reservation, IsReleased)
	return fx.All(
		fx.Cancel(expiry{c.Reservation}),
		fx.Send(Released{c.Reservation, freed}))
}

// expiry is the key of a hold's timer.
type expiry struct{ Reservation ticket.Reservation }

func held(s *Section, r ticket.Reservation, seats []ticket.Seat) effect.Effect[Action] {
	return fx.Send(Held{Reservation: r, Seats: seats, Price: s.Tier.Price.Times(len(seats))})
}

func reject(c Command, why *ticket.RejectionError) effect.Effect[Action] {
	return fx.Send(Rejected{c.of(), why})
}
