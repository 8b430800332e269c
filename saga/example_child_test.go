package saga_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
)

// A stay is a saga of its own: a room and a breakfast, or neither.
type Stay struct{ Nights, Room int }

type (
	BookRoom       struct{ Nights int }
	FreeRoom       struct{ Nights int }
	OrderBreakfast struct{ Room int }
	BuyTicket      struct{ Show string }
)

func (BookRoom) Returns(int)            {}
func (FreeRoom) Returns(struct{})       {}
func (OrderBreakfast) Returns(struct{}) {}
func (BuyTicket) Returns(struct{})      {}

var Stays = saga.Steps("stay",
	saga.Step[Stay]{
		Do:   saga.Ask("book-room", func(s Stay) BookRoom { return BookRoom{s.Nights} }, func(s *Stay, room int) { s.Room = room }),
		Undo: saga.Ask("free-room", func(s Stay) FreeRoom { return FreeRoom{s.Nights} }, nil),
	},
	saga.Step[Stay]{Do: saga.Ask("order-breakfast", func(s Stay) OrderBreakfast { return OrderBreakfast{s.Room} }, nil)},
)

// A weekend is a stay and a ticket: the stay is its child.
type Weekend struct{ Room int }

type WeekendAction interface{ weekend() }

type (
	PlanWeekend struct{ Nights int }
	Lodged      struct{ Room int }
	Homeless    struct{ Reason string }
	GotTicket   struct{}
	SoldOut     struct{ Reason string }
)

func (PlanWeekend) weekend() {}
func (Lodged) weekend()      {}
func (Homeless) weekend()    {}
func (GotTicket) weekend()   {}
func (SoldOut) weekend()     {}

var weekendFx saga.Of[WeekendAction]

func planWeekend(w *Weekend, a WeekendAction, _ reducer.Env) effect.Effect[WeekendAction] {
	switch a := a.(type) {
	case PlanWeekend:
		return weekendFx.Do(Stays.Child(saga.Begin[Stay]{Data: Stay{Nights: a.Nights}}))
	case Lodged:
		w.Room = a.Room
		return weekendFx.Do(BuyTicket{"Rondo"})
	case GotTicket:
		return weekendFx.Complete()
	case Homeless:
		return weekendFx.Compensate(a.Reason)
	case SoldOut:
		return weekendFx.Compensate(a.Reason)
	}
	return weekendFx.None()
}

func onStay(_ saga.StepsAction, r saga.Reply[saga.Stepped[Stay]]) WeekendAction {
	if r.Err != nil {
		return Homeless{r.Err.Error()}
	}
	return Lodged{r.Value.Data.Room}
}

func onTicket(_ BuyTicket, r saga.Reply[struct{}]) WeekendAction {
	if r.Err != nil {
		return SoldOut{"ticket: " + r.Err.Error()}
	}
	return GotTicket{}
}

var Weekends = saga.Define("weekend", reducer.Func[Weekend, WeekendAction](planWeekend), saga.Types{
	Actions: []saga.ActionType{
		saga.Action[PlanWeekend]("plan"), saga.Action[Lodged]("lodged"), saga.Action[Homeless]("homeless"),
		saga.Action[GotTicket]("ticket"), saga.Action[SoldOut]("sold-out"),
	},
	Requests: []saga.RequestType{saga.OnChild("stay", Stays, onStay), saga.On("buy-ticket", onTicket)},
})

// A saga runs another saga and waits for its end. When it compensates, the child
// is cancelled, even if it has completed.
func ExampleDefinition_Child() {
	ctx := context.Background()
	handlers := []effect.Handler{
		effect.Handle(func(ctx context.Context, _ BookRoom) (int, error) {
			fmt.Println("book a room under", saga.EffectID(ctx))
			return 12, nil
		}),
		effect.Handle(func(_ context.Context, q OrderBreakfast) (struct{}, error) {
			fmt.Println("order breakfast for", q.Room)
			return struct{}{}, nil
		}),
		effect.Handle(func(ctx context.Context, _ FreeRoom) (struct{}, error) {
			fmt.Println("free the room under", saga.EffectID(ctx))
			return struct{}{}, nil
		}),
		effect.Handle(func(context.Context, BuyTicket) (struct{}, error) {
			return struct{}{}, saga.Rejected(errors.New("sold out"))
		}),
	}
	runner, err := saga.New(memory.New(memory.Config{}), saga.Config{Handlers: handlers}, Weekends, Stays)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = runner.Run(ctx) }() // until Shutdown

	weekend, err := runner.Start(ctx, Weekends.ID("ann"), PlanWeekend{Nights: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	end, err := weekend.Wait(ctx)
	fmt.Println(end.Status, "for", end.Reason, err)
	stay, err := runner.State(ctx, Stays.ID("weekend/ann/1/0"))
	fmt.Println(stay.Status, "for", stay.Reason, err)
	fmt.Println(runner.Shutdown(ctx))
	// Output:
	// book a room under stay/weekend/ann/1/0/1/0
	// order breakfast for 12
	// free the room under stay/weekend/ann/1/0/1/0/undo
	// compensated for ticket: sold out <nil>
	// compensated for parent: ticket: sold out <nil>
	// <nil>
}
