package testkit_test

import (
	"errors"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// The reducer that most tests here are about: seats of a section are held for
// five minutes. The section is loaded when the first command comes; commands
// that come meanwhile wait.

type State struct {
	Phase   Phase
	Section string
	Free    int
	Waiting []Action
	Holds   map[string]int // seats by customer
	Failed  error
}

type Phase int

const (
	Idle Phase = iota
	Loading
	Ready
)

func (p Phase) String() string { return [...]string{"Idle", "Loading", "Ready"}[p] }

type Action any

type (
	ReserveSeats  struct{ Section, Customer string }
	SectionLoaded struct {
		Section string
		Free    int
	}
	LoadFailed  struct{ Err error }
	HoldExpired struct{ Customer string }
	Release     struct{ Customer string }
	Confirm     struct{ Customer string }
	Nonsense    struct{}
)

type LoadSection struct{ Section string }

func (LoadSection) Returns(Inventory) {}

type Inventory struct{ Free int }

type Notify struct{ Customer string }

func (Notify) Returns(struct{}) {}

var (
	fx          effect.Of[Action]
	errSold     = errors.New("sold out")
	errNotFound = errors.New("no such section")
)

type Booking struct{}

func (Booking) Reduce(s *State, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case ReserveSeats:
		if s.Phase == Ready {
			return reserve(s, a)
		}
		s.Waiting = append(s.Waiting, a)
		if s.Phase == Loading {
			return fx.Hold("waiting")
		}
		s.Phase = Loading
		return fx.All(fx.Hold("waiting"), load(a.Section))
	case SectionLoaded:
		waiting := s.Waiting
		s.Phase, s.Section, s.Free, s.Waiting = Ready, a.Section, a.Free, nil
		var resumed []effect.Effect[Action]
		for _, w := range waiting {
			resumed = append(resumed, fx.Resume("waiting", w))
		}
		return fx.All(resumed...)
	case LoadFailed:
		s.Phase, s.Failed, s.Waiting = Idle, a.Err, nil
		return fx.Cancel("waiting")
	case HoldExpired:
		s.Free += s.Holds[a.Customer]
		delete(s.Holds, a.Customer)
	case Release:
		s.Free += s.Holds[a.Customer]
		delete(s.Holds, a.Customer)
		return fx.Cancel(hold(a))
	case Confirm:
		return fx.All(fx.Cancel(hold(a)), effect.Fire[Action](Notify(a)))
	case Nonsense:
		return fx.After("nonsense", -time.Second, a)
	}
	return fx.None()
}

type hold struct{ Customer string }

func reserve(s *State, a ReserveSeats) effect.Effect[Action] {
	if s.Free == 0 {
		s.Failed = errSold
		return fx.None()
	}
	if s.Holds == nil {
		s.Holds = map[string]int{}
	}
	s.Free--
	s.Holds[a.Customer]++
	return fx.After(hold{a.Customer}, 5*time.Minute, HoldExpired{a.Customer})
}

func load(section string) effect.Effect[Action] {
	return effect.Do(LoadSection{section}, func(r effect.Result[Inventory]) Action {
		if r.Err != nil {
			return LoadFailed{r.Err}
		}
		return SectionLoaded{section, r.Value.Free}
	}, effect.Key("load"))
}

// loaded is a state in which nothing needs to be loaded.
func loaded(free int) State {
	return State{Phase: Ready, Section: "A", Free: free, Holds: map[string]int{}}
}
