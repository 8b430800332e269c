package sqlite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// Order is a reservation of seats: they are held, a card is charged and the seats
// confirmed, or all of it undone.
type Order struct {
	Customer string
	Seats    []string
}

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

func reduceOrder(o *Order, a Action, _ reducer.Env) effect.Effect[Action] {
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

// Reservation is the type of these sagas.
var Reservation = saga.Define("reservation", reducer.Func[Order, Action](reduceOrder), saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
		saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
	},
	Requests: []saga.RequestType{
		saga.On("hold-seats", func(_ HoldSeats, r saga.Reply[[]string]) Action {
			if r.Err != nil {
				return Refused{"seats: " + r.Err.Error()}
			}
			return Held{r.Value}
		}, quickly),
		saga.On("charge", func(_ Charge, r saga.Reply[struct{}]) Action {
			switch {
			case errors.Is(r.Err, errDeclined):
				return Refused{"declined"}
			case r.Err != nil:
				return Refused{"payment: " + r.Err.Error()}
			}
			return Charged{}
		}, quickly),
		saga.On("confirm-seats", func(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }, quickly),
		saga.Request[ReleaseSeats]("release-seats", quickly),
		saga.Request[Refund]("refund", quickly),
	},
	Errors: []saga.ErrorType{saga.Error("declined", errDeclined)},
})

// quickly has failures tried again soon, so that tests need not wait.
var quickly = saga.Retry(saga.RetryPolicy{Attempts: 50, Delay: time.Millisecond, MaxDelay: 20 * time.Millisecond})

// handlers do what reservations ask for by one function.
func handlers(act func(ctx context.Context, request string) error) []effect.Handler {
	nothing := struct{}{}
	return []effect.Handler{
		effect.Handle(func(ctx context.Context, _ HoldSeats) ([]string, error) {
			return []string{"A1", "A2"}, act(ctx, "hold")
		}),
		effect.Handle(func(ctx context.Context, _ ReleaseSeats) (struct{}, error) { return nothing, act(ctx, "release") }),
		effect.Handle(func(ctx context.Context, _ Charge) (struct{}, error) { return nothing, act(ctx, "charge") }),
		effect.Handle(func(ctx context.Context, _ Refund) (struct{}, error) { return nothing, act(ctx, "refund") }),
		effect.Handle(func(ctx context.Context, _ ConfirmSeats) (struct{}, error) { return nothing, act(ctx, "confirm") }),
	}
}

// run runs a worker until the returned function is called, or the test ends. The
// function kills it, as far as that is possible within a process.
func run(t testing.TB, home saga.Store, config saga.Config) (runner *saga.Runner, kill func()) {
	t.Helper()
	if config.Heartbeat == 0 {
		config.Heartbeat, config.Poll = 100*time.Millisecond, 20*time.Millisecond
	}
	if config.Lease == 0 { // nobody is to take over, however seldom the machine lets it run
		config.Lease = time.Minute
	}
	runner, err := saga.New(home, config, Reservation)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background()) //nolint:usetesting // it ends after the test's
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = runner.Run(ctx) // it is cancelled
	}()
	kill = func() {
		cancel()
		<-ended
		_ = runner.Shutdown(ctx) // it has ended
	}
	t.Cleanup(kill)
	return runner, kill
}

const (
	waitAtMost = time.Minute
	pollEvery  = 2 * time.Millisecond
)
