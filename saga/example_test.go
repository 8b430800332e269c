package saga_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
)

// Order is the state of a reservation: plain data, kept as JSON.
type Order struct {
	Customer string
	Seats    []string
}

// Action is what a reservation reduces.
type Action interface{ action() }

type (
	Reserve struct {
		Customer string
		Quantity int
	}
	Held    struct{ Seats []string }
	Charged struct{}
	Sold    struct{}
	Refused struct{ Reason string }
	Expired struct{}
)

func (Reserve) action() {}
func (Held) action()    {}
func (Charged) action() {}
func (Sold) action()    {}
func (Refused) action() {}
func (Expired) action() {}

// What a reservation asks of others.
type (
	HoldSeats    struct{ Quantity int }
	ReleaseSeats struct{}
	Charge       struct{ Cents int }
	Refund       struct{ Cents int }
	ConfirmSeats struct{ Seats []string }
)

func (HoldSeats) Returns([]string)    {}
func (ReleaseSeats) Returns(struct{}) {}
func (Charge) Returns(struct{})       {}
func (Refund) Returns(struct{})       {}
func (ConfirmSeats) Returns(struct{}) {}

var errDeclined = errors.New("card declined")

var fx saga.Of[Action]

// Reserver decides about one reservation.
type Reserver struct{}

func (Reserver) Reduce(o *Order, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Reserve:
		o.Customer = a.Customer
		return fx.All(
			fx.Do(HoldSeats{a.Quantity}, saga.Undo(ReleaseSeats{})),
			fx.After("deadline", 5*time.Minute, Expired{}))
	case Held:
		o.Seats = a.Seats
		return fx.Do(Charge{Cents: 5000 * len(a.Seats)}, saga.Undo(Refund{Cents: 5000 * len(a.Seats)}))
	case Charged:
		return fx.All(fx.Pivot(), fx.Cancel("deadline"), fx.Do(ConfirmSeats{o.Seats}))
	case Sold:
		return fx.Complete()
	case Refused:
		return fx.Compensate(a.Reason)
	case Expired:
		return fx.Compensate("the hold ran out")
	}
	return fx.None()
}

func onHeld(_ HoldSeats, r saga.Reply[[]string]) Action {
	if r.Err != nil {
		return Refused{"seats: " + r.Err.Error()}
	}
	return Held{r.Value}
}

func onCharged(_ Charge, r saga.Reply[struct{}]) Action {
	if r.Err != nil {
		return Refused{"payment: " + r.Err.Error()}
	}
	return Charged{}
}

// Reservation is the type of sagas: its names stand in the store.
var Reservation = saga.Define("reservation", Reserver{}, saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
		saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
	},
	Requests: []saga.RequestType{
		saga.On("hold-seats", onHeld),
		saga.On("charge", onCharged, saga.Timeout(10*time.Second)),
		saga.On("confirm-seats", func(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }),
		saga.Request[ReleaseSeats]("release-seats"),
		saga.Request[Refund]("refund"),
	},
})

func Example() {
	ctx := context.Background()
	handlers := []effect.Handler{
		effect.Handle(func(ctx context.Context, q HoldSeats) ([]string, error) {
			fmt.Println("hold", q.Quantity, "under", saga.EffectID(ctx))
			return []string{"A1", "A2"}, nil
		}),
		effect.Handle(func(ctx context.Context, _ ReleaseSeats) (struct{}, error) {
			fmt.Println("release under", saga.EffectID(ctx))
			return struct{}{}, nil
		}),
		effect.Handle(func(ctx context.Context, q Charge) (struct{}, error) {
			fmt.Println("charge", q.Cents, "under", saga.EffectID(ctx))
			return struct{}{}, saga.Rejected(errDeclined)
		}),
		effect.Handle(func(context.Context, Refund) (struct{}, error) { return struct{}{}, nil }),
		effect.Handle(func(context.Context, ConfirmSeats) (struct{}, error) { return struct{}{}, nil }),
	}
	runner, err := saga.New(memory.New(memory.Config{}), saga.Config{Handlers: handlers}, Reservation)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = runner.Run(ctx) }() // until Shutdown

	reservation, err := runner.Start(ctx, Reservation.ID("ann-1"), Reserve{Customer: "ann", Quantity: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	end, err := reservation.Wait(ctx)
	fmt.Println(end.Status, "for", end.Reason, err)
	order, err := Reservation.State(end)
	fmt.Println(order.Seats, err)
	fmt.Println(runner.Shutdown(ctx))
	// Output:
	// hold 2 under reservation/ann-1/1/0
	// charge 10000 under reservation/ann-1/2/0
	// release under reservation/ann-1/1/0/undo
	// compensated for payment: card declined <nil>
	// [A1 A2] <nil>
	// <nil>
}
