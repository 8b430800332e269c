// Package visits is the program of the guide's page on parent and child: visits
// that ask the sections of a hall for a seat, each kept in a store of its own.
package visits

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Section is the child: one section of the hall.
type Section struct {
	Free int
	Has  map[string]bool // visit → whether it has a seat; false is given up
}

type SectionAction interface{ isSectionAction() }

type (
	Hold    struct{ Visit string }
	Release struct{ Visit string }

	Held     struct{}
	Refused  struct{ Reason string }
	Released struct{}
)

func (Hold) isSectionAction()     {}
func (Release) isSectionAction()  {}
func (Held) isSectionAction()     {}
func (Refused) isSectionAction()  {}
func (Released) isSectionAction() {}

var sectionFx effect.Of[SectionAction]

func ReduceSection(s *Section, a SectionAction, _ reducer.Env) effect.Effect[SectionAction] {
	switch a := a.(type) {
	case Hold:
		has, known := s.Has[a.Visit]
		switch {
		case has: // it came again
			return sectionFx.Send(Held{})
		case known: // its release has overtaken it
			return sectionFx.Send(Refused{"given up"})
		case s.Free == 0:
			return sectionFx.Send(Refused{"sold out"})
		}
		s.Free--
		s.Has[a.Visit] = true
		return sectionFx.Send(Held{})
	case Release:
		if s.Has[a.Visit] {
			s.Free++
		}
		s.Has[a.Visit] = false // also if there was nothing to release
		return sectionFx.Send(Released{})
	}
	return sectionFx.None()
}

func asAnswer(a SectionAction) (SectionAction, bool) {
	switch a.(type) {
	case Held, Refused, Released:
		return a, true
	}
	return nil, false
}

// Visit is the parent: one customer's evening.
type Visit struct {
	Name, Section string
	Phase         Phase
}

type Phase string

const (
	Holding Phase = "holding"
	Paying  Phase = "paying"
	Seated  Phase = "seated"
	Leaving Phase = "leaving"
	Gone    Phase = "gone"
)

type Action interface{ isAction() }

type (
	Arrive      struct{ Name, Section string }
	SeatHeld    struct{}
	NoSeat      struct{ Reason string } // nothing was done, and nothing will be
	Unknown     struct{ Err error }     // perhaps it was done
	Paid        struct{}
	DeadlineDue struct{}
	SeatFree    struct{}
	Stuck       struct{ Err error } // the seat could not be given back
)

func (Arrive) isAction()      {}
func (SeatHeld) isAction()    {}
func (NoSeat) isAction()      {}
func (Unknown) isAction()     {}
func (Paid) isAction()        {}
func (DeadlineDue) isAction() {}
func (SeatFree) isAction()    {}
func (Stuck) isAction()       {}

// What a visit asks of a section.
type (
	HoldSeat    struct{ Visit, Section string }
	ReleaseSeat struct{ Visit, Section string }
)

func (HoldSeat) Returns(struct{})    {}
func (ReleaseSeat) Returns(struct{}) {}

var fx effect.Of[Action]

func Reduce(v *Visit, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Arrive:
		v.Name, v.Section, v.Phase = a.Name, a.Section, Holding
		return fx.All(
			fx.After("deadline", 5*time.Minute, DeadlineDue{}),
			holdSeat(HoldSeat{a.Name, a.Section}))
	case SeatHeld:
		v.Phase = Paying
	case Paid:
		if v.Phase == Paying {
			v.Phase = Seated
			return fx.Cancel("deadline")
		}
	case NoSeat: // there is nothing to undo
		v.Phase = Gone
		return fx.Cancel("deadline")
	case Unknown, DeadlineDue:
		return giveUp(v)
	case SeatFree:
		v.Phase = Gone
	}
	return fx.None()
}

func holdSeat(q HoldSeat) effect.Effect[Action] {
	return effect.Do(q, func(r effect.Result[struct{}]) Action {
		var refused *RefusedError
		switch {
		case r.Err == nil:
			return SeatHeld{}
		case errors.As(r.Err, &refused):
			return NoSeat{refused.Reason}
		}
		return Unknown{r.Err}
	}, effect.Key("hold", effect.Latest), effect.Timeout(10*time.Second))
}

// giveUp hears no more of the hold, and undoes it whether it was done or not.
func giveUp(v *Visit) effect.Effect[Action] {
	v.Phase = Leaving
	return fx.All(fx.Cancel("hold"), fx.Cancel("deadline"), releaseSeat(ReleaseSeat{v.Name, v.Section}))
}

func releaseSeat(q ReleaseSeat) effect.Effect[Action] {
	return effect.Do(q, func(r effect.Result[struct{}]) Action {
		if r.Err != nil {
			return Stuck{r.Err}
		}
		return SeatFree{}
	}, effect.Timeout(10*time.Second), effect.Retry(effect.RetryPolicy{Attempts: 100, Delay: time.Second}))
}

// RefusedError is a child's no.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// Retryable is false: the answer stays the same.
func (e *RefusedError) Retryable() bool { return false }

// House has a store for each section and for each visit.
type House struct {
	sections *store.Keyed[string, Section, SectionAction]
	visits   *store.Keyed[string, Visit, Action]
}

func open(seats int, section reducer.Reducer[Section, SectionAction], cfg store.Config) (*House, error) {
	var h House
	var err error
	h.sections, err = store.NewKeyed(
		func(string) Section { return Section{Free: seats, Has: map[string]bool{}} },
		section,
		store.KeyedConfig[string, Section]{Config: store.Config{Runtime: cfg.Runtime}})
	if err != nil {
		return nil, err
	}
	cfg.Handlers = []effect.Handler{effect.Handle(h.holdSeat), effect.Handle(h.releaseSeat)}
	h.visits, err = store.NewKeyed(
		func(string) Visit { return Visit{} },
		reducer.Func[Visit, Action](Reduce),
		store.KeyedConfig[string, Visit]{Config: cfg})
	return &h, err
}

func (h *House) holdSeat(ctx context.Context, q HoldSeat) (struct{}, error) {
	return h.ask(ctx, q.Section, Hold{q.Visit})
}

func (h *House) releaseSeat(ctx context.Context, q ReleaseSeat) (struct{}, error) {
	return h.ask(ctx, q.Section, Release{q.Visit})
}

func (h *House) ask(ctx context.Context, section string, command SectionAction) (struct{}, error) {
	answer, err := store.AskKey(ctx, h.sections, section, command, asAnswer)
	if err != nil {
		return struct{}{}, fmt.Errorf("ask section %s: %w", section, err)
	}
	if no, ok := answer.(Refused); ok {
		return struct{}{}, &RefusedError{no.Reason}
	}
	return struct{}{}, nil
}

// Close ends the house: first those who ask, then those who are asked.
func (h *House) Close(ctx context.Context) error {
	return errors.Join(h.visits.Shutdown(ctx), h.sections.Shutdown(ctx))
}
