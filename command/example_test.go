package command_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

// What can be asked for, as it comes in: a command names its aggregate, and says
// what its handler answers.
type (
	OpenSection struct {
		Section string `json:"section"`
		Seats   int    `json:"seats"`
	}
	ReserveSeats struct {
		Section string `json:"section"`
		Order   string `json:"order"`
		Seats   int    `json:"seats"`
	}
	ReleaseSeats struct {
		Section string `json:"section"`
		Order   string `json:"order"`
	}
)

func (OpenSection) Returns(aggregate.Feedback[Section])  {}
func (ReserveSeats) Returns(aggregate.Feedback[Section]) {}
func (ReleaseSeats) Returns(aggregate.Feedback[Section]) {}

func (c ReserveSeats) Validate() error {
	var p command.Problems
	p.Check(c.Section != "", "section", "is empty, want the name of a section")
	p.Check(c.Seats > 0, "seats", "is %d, want at least 1", c.Seats)
	return p.Err()
}

// The seats of a section are an aggregate.
type (
	Event  interface{ event() }
	Opened struct {
		Seats int `json:"seats"`
	}
	Reserved struct {
		Order string `json:"order"`
		Seats int    `json:"seats"`
	}
	Released struct {
		Order string `json:"order"`
	}
	Section struct {
		Seats, Free int
		Orders      map[string]int
	}
	Sections struct{}
)

func (Opened) event()   {}
func (Reserved) event() {}
func (Released) event() {}

func (Sections) Decide(s *Section, c any, _ reducer.Env) ([]Event, error) {
	switch c := c.(type) {
	case OpenSection:
		return []Event{Opened{c.Seats}}, nil
	case ReserveSeats:
		if s.Free < c.Seats {
			return nil, aggregate.Reject("sold-out", "%d seats are left, not %d", s.Free, c.Seats)
		}
		return []Event{Reserved{c.Order, c.Seats}}, nil
	case ReleaseSeats:
		if s.Orders[c.Order] == 0 {
			return nil, nil
		}
		return []Event{Released{c.Order}}, nil
	}
	return nil, aggregate.Reject("unknown", "sections know no %T", c)
}

func (Sections) Evolve(s *Section, e Event) {
	switch e := e.(type) {
	case Opened:
		*s = Section{Seats: e.Seats, Free: e.Seats, Orders: map[string]int{}}
	case Reserved:
		s.Free -= e.Seats
		s.Orders[e.Order] += e.Seats
	case Released:
		s.Free += s.Orders[e.Order]
		delete(s.Orders, e.Order)
	}
}

var sectionEvents = must(eventstore.NewRegistry(
	eventstore.TypeOf[Opened]("section.opened", 1),
	eventstore.TypeOf[Reserved]("section.reserved", 1),
	eventstore.TypeOf[Released]("section.released", 1),
))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newBus is what each process does when it starts.
func newBus(db *memory.Store) *command.Bus {
	sections := must(aggregate.New("section", Sections{}, sectionEvents, db, aggregate.Config[Section]{}))
	return must(command.New(db, db, []command.Route{
		command.Handle("open-section", func(ctx context.Context, c OpenSection) (aggregate.Feedback[Section], error) {
			return sections.Execute(ctx, c.Section, c, command.Key(ctx))
		}),
		command.Handle("reserve-seats", func(ctx context.Context, c ReserveSeats) (aggregate.Feedback[Section], error) {
			return sections.Execute(ctx, c.Section, c, command.Key(ctx))
		}),
		command.Handle("release-seats", func(ctx context.Context, c ReleaseSeats) (aggregate.Feedback[Section], error) {
			return sections.Execute(ctx, c.Section, c, command.Key(ctx))
		}),
	}, command.Config{}))
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	db := must(memory.New(memory.Config{}))
	bus := newBus(db)

	// A command that is dispatched is carried out at once, and its answer can be
	// used at once.
	got, err := command.Dispatch(ctx, bus, OpenSection{Section: "A", Seats: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s is at version %d with %d free seats\n", got.Stream, got.Version, got.State.Free)

	// With an id it can be repeated: when its answer was lost, for instance.
	id := uuid.MustParse("0190b6a5-7c4e-7d39-8c0b-6b1d6f3f9a01")
	for range 2 {
		got, err = command.Dispatch(ctx, bus, ReserveSeats{Section: "A", Order: "r1", Seats: 2}, command.WithID(id))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("version %d: %d free seats\n", got.Version, got.State.Free)
	}

	// What makes no sense is refused, and what must not be is rejected.
	_, err = command.Dispatch(ctx, bus, ReserveSeats{Section: "A", Order: "r2"})
	fmt.Println(err)
	_, err = command.Dispatch(ctx, bus, ReserveSeats{Section: "A", Order: "r2", Seats: 2})
	var rejection *aggregate.RejectionError
	if errors.As(err, &rejection) {
		fmt.Println(rejection.Code+":", rejection.Reason)
	}

	// A command that is scheduled gives a receipt.
	receipt, err := command.Schedule(ctx, bus, time.Now().Add(50*time.Millisecond), ReleaseSeats{Section: "A", Order: "r1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("it is", receipt.Status)

	// The process ends here. Another one goes on with what is pending.
	bus = newBus(db)
	ended := make(chan error)
	go func() { ended <- bus.Run(ctx) }()
	record, err := bus.Wait(ctx, receipt.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("it is", record.Status, "after", record.Attempts, "attempt")
	stop()
	fmt.Println(<-ended)
	// Output:
	// section-A is at version 1 with 3 free seats
	// version 2: 1 free seats
	// version 2: 1 free seats
	// command "reserve-seats" is not valid: seats is 0, want at least 1
	// sold-out: 1 seats are left, not 2
	// it is pending
	// it is consumed after 1 attempt
	// context canceled
}
