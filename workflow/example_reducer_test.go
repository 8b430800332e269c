package workflow_test

import (
	"fmt"
	"time"

	"github.com/seed57833328/rondo/workflow"
)

type (
	Section struct {
		Name string
		Free int
	}

	State struct {
		Load    workflow.Workflow[string, ReserveSeats]
		Section Section
	}

	ReserveSeats  struct{ ID, Section string }
	SectionLoaded struct {
		Key  string
		Data Section
	}
)

var policy = workflow.Policy{MaxWaiting: 100}

// Reduce prints the effects it would return, but returns the actions to reduce
// next.
func Reduce(s *State, action any, now time.Time) (again []ReserveSeats) {
	switch a := action.(type) {
	case ReserveSeats:
		switch next, err := s.Load.Admit(a.Section, a, now, policy); {
		case err != nil:
			fmt.Println(a.ID, "is refused:", err)
			return nil
		case next == workflow.Load:
			fmt.Println(a.ID, "loads section", a.Section)
			return nil
		case next == workflow.Wait:
			fmt.Println(a.ID, "waits")
			return nil
		}
		s.Section.Free--
		fmt.Printf("%s has a seat in %s, %d left\n", a.ID, s.Section.Name, s.Section.Free)
	case SectionLoaded:
		waiting, ok := s.Load.Loaded(a.Key, now, policy)
		if !ok {
			fmt.Println("not waited for: section", a.Key)
			return nil
		}
		s.Section = a.Data
		return waiting
	}
	return nil
}

// A reducer, driven by hand where a store would drive it.
func Example() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sections := map[string]Section{"A": {"A", 40}, "B": {"B", 9}}

	var state State
	Reduce(&state, ReserveSeats{"r1", "A"}, now)
	Reduce(&state, ReserveSeats{"r2", "A"}, now)
	Reduce(&state, ReserveSeats{"r3", "B"}, now)
	Reduce(&state, ReserveSeats{"r4", "A"}, now)
	Reduce(&state, SectionLoaded{"B", sections["B"]}, now)

	for state.Load.Phase() == workflow.Loading {
		key, _ := state.Load.Key()
		for _, command := range Reduce(&state, SectionLoaded{key, sections[key]}, now) {
			Reduce(&state, command, now)
		}
	}
	// Output:
	// r1 loads section A
	// r2 waits
	// r3 waits
	// r4 waits
	// not waited for: section B
	// r1 has a seat in A, 39 left
	// r2 has a seat in A, 38 left
	// r3 loads section B
	// r4 waits
	// r3 has a seat in B, 8 left
	// r4 loads section A
	// r4 has a seat in A, 39 left
}
