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

// Resumes is the [Resume] that a state needs which another process has left, if
// anything goes on in it.
func Resumes(s *State) (Action, bool) {
	goesOn := s.Load.Phase() == workflow.Loading
	for _, claim := range s.Section.Claims {
		goesOn = goesOn || claim.Status == IsHeld
	}
	return Resume{}, goesOn
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
		return loadFailed(s, a, env)
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
		return fx.Send(Rejected{c.of(), ticket.Reject(Unavailable, "%v", err)})
	case step == workflow.Load:
		return fx.All(fx.Hold(placeOf(c)), load(c.at()))
	case step == workflow.Wait:
		return fx.Hold(placeOf(c))
	}
	answer, then := process(&s.Section, c)
	return fx.All(then, fx.Send(answer))
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

// loaded keeps the section, and decides for those who waited, in their order.
func loaded(s *State, section Section, env reducer.Env) effect.Effect[Action] {
	waiting, ok := s.Load.Loaded(section.ID, env.Now(), policy)
	if !ok {
		return fx.None()
	}
	s.Section = section.Clone() // what is in an action stays as it was
	return admitAgain(s, waiting, env)
}

// loadFailed refuses those who waited. The next command tries again.
func loadFailed(s *State, a LoadFailed, env reducer.Env) effect.Effect[Action] {
	failed, rest, ok := s.Load.Failed(a.Section)
	if !ok {
		return fx.None()
	}
	var all []effect.Effect[Action]
	for _, c := range failed {
		all = append(all, fx.Resume(placeOf(c), Rejected{c.of(), a.Rejection}))
	}
	return fx.All(append(all, admitAgain(s, rest, env))...)
}

// admitAgain decides for those who have waited, and answers each in the place
// where it was held. Who needs another section waits on.
func admitAgain(s *State, waiting []Command, env reducer.Env) effect.Effect[Action] {
	var all []effect.Effect[Action]
	for _, c := range waiting {
		switch step, err := s.Load.Admit(c.at(), c, env.Now(), policy); {
		case err != nil:
			all = append(all, fx.Resume(placeOf(c), Rejected{c.of(), ticket.Reject(Unavailable, "%v", err)}))
		case step == workflow.Process:
			answer, then := process(&s.Section, c)
			all = append(all, then, fx.Resume(placeOf(c), answer))
		case step == workflow.Load:
			all = append(all, load(c.at()))
		}
	}
	return fx.All(all...)
}

// process decides a command with the section at hand: the answer, and what else
// follows from it.
func process(s *Section, c Command) (Answer, effect.Effect[Action]) {
	switch c := c.(type) {
	case Hold:
		return hold(s, c)
	case Confirm:
		return confirm(s, c)
	case Release:
		return release(s, c)
	}
	return Rejected{c.of(), &ticket.RejectionError{Reason: Unavailable}}, fx.None()
}

func hold(s *Section, c Hold) (Answer, effect.Effect[Action]) {
	switch claim := s.Claims[c.Reservation]; claim.Status {
	case IsHeld, IsSold:
		return held(s, c.Reservation, claim.Seats), fx.None() // it came again
	case IsReleased, IsExpired:
		return Rejected{c.Reservation, &ticket.RejectionError{Reason: HoldOver}}, fx.None()
	}
	seats, rejection := s.find(c)
	if rejection != nil {
		return Rejected{c.Reservation, rejection}, fx.None()
	}
	s.give(c.Reservation, seats)
	return held(s, c.Reservation, seats), fx.After(expiry{c.Reservation}, HoldFor, HoldExpired{c.Reservation})
}

func held(s *Section, r ticket.Reservation, seats []ticket.Seat) Held {
	return Held{Reservation: r, Seats: seats, Price: s.Tier.Price.Times(len(seats))}
}

func confirm(s *Section, c Confirm) (Answer, effect.Effect[Action]) {
	claim, ok := s.Claims[c.Reservation]
	switch {
	case !ok:
		return Rejected{c.Reservation, &ticket.RejectionError{Reason: NoHold}}, fx.None()
	case claim.Status == IsReleased || claim.Status == IsExpired:
		return Rejected{c.Reservation, &ticket.RejectionError{Reason: HoldOver}}, fx.None()
	}
	claim.Status = IsSold
	s.Claims[c.Reservation] = claim
	return Confirmed{c.Reservation, claim.Seats}, fx.Cancel(expiry{c.Reservation})
}

func release(s *Section, c Release) (Answer, effect.Effect[Action]) {
	freed := s.take(c.Reservation, IsReleased)
	return Released{c.Reservation, freed}, fx.Cancel(expiry{c.Reservation})
}

// expiry is the key of a hold's timer.
type expiry struct{ Reservation ticket.Reservation }

// goOn lets the holds that there are end in their time, or loads the section for
// those who waited for it.
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
