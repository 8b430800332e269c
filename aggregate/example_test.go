package aggregate_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

// The seats of a section: what can be asked of them, and what has happened.
type (
	Command interface{ command() }
	Open    struct{ Seats int }
	Reserve struct {
		Order string
		Seats int
	}

	Event  interface{ event() }
	Opened struct {
		Seats int `json:"seats"`
	}
	Reserved struct {
		Order string `json:"order"`
		Seats int    `json:"seats"`
	}

	// Section is what a decision needs to know.
	Section struct {
		Seats, Free int
		Orders      map[string]int
	}
)

func (Open) command()    {}
func (Reserve) command() {}
func (Opened) event()    {}
func (Reserved) event()  {}

// Sections decides about sections. It is all that is to be written.
type Sections struct{}

func (Sections) Decide(s *Section, c Command, _ reducer.Env) ([]Event, error) {
	switch c := c.(type) {
	case Open:
		if s.Seats > 0 {
			return nil, aggregate.Reject("open", "the section is open already")
		}
		return []Event{Opened(c)}, nil
	case Reserve:
		switch {
		case s.Orders[c.Order] > 0:
			return nil, nil // it has its seats
		case s.Free < c.Seats:
			return nil, aggregate.Reject("sold-out", "%d seats are left, not %d", s.Free, c.Seats)
		}
		return []Event{Reserved(c)}, nil
	}
	return nil, aggregate.Reject("unknown", "sections know no %T", c)
}

func (Sections) Evolve(s *Section, e Event) {
	switch e := e.(type) {
	case Opened:
		*s = Section{Seats: e.Seats, Free: e.Seats, Orders: map[string]int{}}
	case Reserved:
		s.Free -= e.Seats
		s.Orders[e.Order] = e.Seats
	}
}

var registry = must(eventstore.NewRegistry(
	eventstore.TypeOf[Opened]("section.opened", 1),
	eventstore.TypeOf[Reserved]("section.reserved", 1),
))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func Example() {
	ctx := context.Background()
	log := must(memory.New(memory.Config{}))
	sections, err := aggregate.New("section", Sections{}, registry, log, aggregate.Config[Section]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = sections.Shutdown(ctx) }()

	if _, err := sections.Execute(ctx, "A", Open{Seats: 3}); err != nil {
		fmt.Println(err)
		return
	}

	// What the caller gets is what is now, so there is nothing to query.
	got, err := sections.Execute(ctx, "A", Reserve{Order: "r1", Seats: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s is at version %d: %d of %d seats are left\n", got.Stream, got.Version, got.State.Free, got.State.Seats)

	_, err = sections.Execute(ctx, "A", Reserve{Order: "r2", Seats: 2})
	var rejection *aggregate.RejectionError
	if errors.As(err, &rejection) {
		fmt.Println(rejection.Code+":", rejection.Reason)
	}
	// Output:
	// section-A is at version 2: 1 of 3 seats are left
	// sold-out: 1 seats are left, not 2
}
