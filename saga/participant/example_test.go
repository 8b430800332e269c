package participant_test

import (
	"context"
	"fmt"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	events "github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/participant"
)

// The seats of a section are an aggregate. It keeps what was released, so that a
// hold that comes after its release is refused.
type (
	Section struct {
		Free int
		Held map[string]int // seats by subject; -1 once they were released
	}
	Command interface{ command() }
	Open    struct{ Seats int }
	Hold    struct {
		Subject string
		Seats   int
	}
	Release struct{ Subject string }
	Event   interface{ event() }
	Opened  struct{ Seats int }
	Held    struct {
		Subject string
		Seats   int
	}
	Released struct{ Subject string }
	Sections struct{}
)

func (Open) command()    {}
func (Hold) command()    {}
func (Release) command() {}
func (Opened) event()    {}
func (Held) event()      {}
func (Released) event()  {}

func (Sections) Decide(s *Section, c Command, _ reducer.Env) ([]Event, error) {
	switch c := c.(type) {
	case Open:
		return []Event{Opened(c)}, nil
	case Hold:
		switch {
		case s.Held[c.Subject] < 0:
			return nil, aggregate.Reject("released", "the seats were released before they were held")
		case s.Free < c.Seats:
			return nil, aggregate.Reject("sold-out", "%d seats are left, not %d", s.Free, c.Seats)
		}
		return []Event{Held(c)}, nil
	case Release:
		if s.Held[c.Subject] < 0 {
			return nil, nil
		}
		return []Event{Released(c)}, nil
	}
	return nil, nil
}

func (Sections) Evolve(s *Section, e Event) {
	switch e := e.(type) {
	case Opened:
		*s = Section{Free: e.Seats, Held: map[string]int{}}
	case Held:
		s.Free -= e.Seats
		s.Held[e.Subject] = e.Seats
	case Released:
		s.Free += s.Held[e.Subject]
		s.Held[e.Subject] = -1
	}
}

// A booking holds seats, with an aggregate of its own process, and has them paid,
// by a command for another one.
type (
	Booking   struct{ Section string }
	HoldSeats struct {
		Section string
		Seats   int
	}
	ReleaseSeats struct{ Section string }
	Pay          struct {
		Cents int `json:"cents"`
	}
)

func (HoldSeats) Returns(struct{})    {}
func (ReleaseSeats) Returns(struct{}) {}
func (Pay) Returns(string)            {}

var Bookings = saga.Steps("booking",
	saga.Step[Booking]{
		Do:   saga.Ask("hold-seats", func(b Booking) HoldSeats { return HoldSeats{b.Section, 2} }, nil),
		Undo: saga.Ask("release-seats", func(b Booking) ReleaseSeats { return ReleaseSeats(b) }, nil),
	},
	saga.Step[Booking]{Do: saga.Ask("pay", func(Booking) Pay { return Pay{9000} }, nil)},
)

func handlers(sections *aggregate.Host[Section, Command, Event], bus *command.Bus) []effect.Handler {
	seats := participant.Of(sections)
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, q HoldSeats) (struct{}, error) {
			_, err := seats.Execute(ctx, q.Section, Hold{participant.Subject(ctx), q.Seats})
			return struct{}{}, err
		}),
		effect.Handle(func(ctx context.Context, q ReleaseSeats) (struct{}, error) {
			_, err := seats.Execute(ctx, q.Section, Release{participant.Subject(ctx)})
			return struct{}{}, err
		}),
		effect.Handle(func(ctx context.Context, q Pay) (string, error) { return participant.Send(ctx, bus, q) }),
	}
}

var registry = must(eventstore.NewRegistry(
	eventstore.TypeOf[Opened]("opened", 1), eventstore.TypeOf[Held]("held", 1), eventstore.TypeOf[Released]("released", 1),
))

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	log := must(events.New(events.Config{}))
	sections := must(aggregate.New("section", Sections{}, registry, log, aggregate.Config[Section]{}))
	must(sections.Execute(ctx, "A", Open{Seats: 10}))
	bus := must(command.New(log, log, []command.Route{command.Handle("pay", func(ctx context.Context, _ Pay) (string, error) {
		return "", aggregate.Reject("declined", "the card was declined")
	})}, command.Config{}))
	go func() { _ = bus.Run(ctx) }() // in this process or another

	runner := must(saga.New(memory.New(memory.Config{}), saga.Config{Handlers: handlers(sections, bus)}, Bookings))
	go func() { _ = runner.Run(ctx) }()

	booking := must(runner.Start(ctx, Bookings.ID("ann"), saga.Begin[Booking]{Data: Booking{"A"}}))
	end := must(booking.Wait(ctx))
	fmt.Println(end.Status, "for", end.Reason)
	section := must(sections.Load(ctx, "A"))
	fmt.Println(section.State.Free, "seats are free at version", section.Version)
	fmt.Println(runner.Shutdown(ctx), sections.Shutdown(ctx))
	// Output:
	// compensated for pay: rejected: the card was declined (declined)
	// 10 seats are free at version 3
	// <nil> <nil>
}
