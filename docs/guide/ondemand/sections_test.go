// Package ondemand is the program of the guide's second page: a store for each
// section of a hall, which loads the section when the first command for it comes.
package ondemand

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/workflow"
)

type Section struct {
	Name string
	Free int
}

// State begins empty. Load knows whether Section may be used.
type State struct {
	Load    workflow.Workflow[string, Reserve]
	Section Section
}

type Action interface{ isAction() }

type (
	// Reserve asks for seats. It is answered by Reserved or Refused.
	Reserve struct {
		ID      string // tells it from all other commands
		Section string
		Seats   int
	}
	Reserved struct {
		ID   string
		Left int
	}
	Refused struct{ ID, Why string }

	SectionLoaded  struct{ Section Section }
	LoadFailed     struct{ Section, Why string }
	SectionChanged struct{ Section string } // by somebody else
	GaveUp         struct{ ID string }      // whoever sent Reserve does not wait any more
	Restarted      struct{}                 // the state was restored in a new process
)

func (Reserve) isAction()        {}
func (Reserved) isAction()       {}
func (Refused) isAction()        {}
func (SectionLoaded) isAction()  {}
func (LoadFailed) isAction()     {}
func (SectionChanged) isAction() {}
func (GaveUp) isAction()         {}
func (Restarted) isAction()      {}

func AsAnswer(a Action) (Action, bool) {
	switch a.(type) {
	case Reserved, Refused:
		return a, true
	}
	return nil, false
}

var fx effect.Of[Action]

var policy = workflow.Policy{MaxWaiting: 100, Freshness: workflow.UntilInvalidated}

func Reduce(s *State, a Action, env reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Reserve:
		switch next, err := s.Load.Admit(a.Section, a, env.Now(), policy); {
		case err != nil:
			return fx.Send(Refused{a.ID, err.Error()})
		case next == workflow.Load:
			return fx.All(fx.Hold(a.ID), load(a.Section))
		case next == workflow.Wait:
			return fx.Hold(a.ID)
		}
		return reserve(&s.Section, a) // workflow.Process: the section is here

	case SectionLoaded:
		waiting, ok := s.Load.Loaded(a.Section.Name, env.Now(), policy)
		if !ok {
			return fx.None() // not the load that is waited for
		}
		s.Section = a.Section
		return resume(waiting)

	case LoadFailed:
		failed, rest, ok := s.Load.Failed(a.Section)
		if !ok {
			return fx.None()
		}
		refused := make([]effect.Effect[Action], len(failed))
		for i, c := range failed {
			refused[i] = fx.Resume(c.ID, Refused{c.ID, a.Why})
		}
		return fx.All(fx.All(refused...), resume(rest))

	case SectionChanged:
		s.Load.Invalidate(a.Section)

	case GaveUp:
		s.Load.Remove(func(c Reserve) bool { return c.ID == a.ID })
		return fx.Cancel(a.ID) // its hold

	case Restarted:
		if section, ok := s.Load.Restart(); ok {
			return load(section)
		}
	}
	return fx.None()
}

// reserve is the business, and knows nothing of loading.
func reserve(s *Section, c Reserve) effect.Effect[Action] {
	if s.Free < c.Seats {
		return fx.Send(Refused{c.ID, "too few seats"})
	}
	s.Free -= c.Seats
	return fx.Send(Reserved{c.ID, s.Free})
}

func resume(commands []Reserve) effect.Effect[Action] {
	again := make([]effect.Effect[Action], len(commands))
	for i, c := range commands {
		again[i] = fx.Resume(c.ID, c)
	}
	return fx.All(again...)
}

type LoadSection struct{ Section string }

func (LoadSection) Returns(Section) {}

func load(section string) effect.Effect[Action] {
	return effect.Do(LoadSection{section}, func(r effect.Result[Section]) Action {
		if r.Err != nil {
			return LoadFailed{section, r.Err.Error()}
		}
		return SectionLoaded{r.Value}
	}, effect.Timeout(5*time.Second), effect.Retry(effect.RetryPolicy{Attempts: 3}))
}

var ErrNoSection = errors.New("no such section")

// Database is where sections live while no store has them.
type Database struct {
	mu       sync.Mutex
	sections map[string]Section
	loads    int
}

func (db *Database) LoadSection(ctx context.Context, q LoadSection) (Section, error) {
	if err := store.Sleep(ctx, 40*time.Millisecond); err != nil { // a query takes its time
		return Section{}, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.loads++
	section, ok := db.sections[q.Section]
	if !ok {
		return Section{}, effect.Permanent(ErrNoSection)
	}
	return section, nil
}

// Passivated saves the section of a store that leaves memory.
func (db *Database) Passivated(name string, s State) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if s.Load.Phase() == workflow.Ready {
		db.sections[name] = s.Section
	}
}
