package sagatest_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// Order is a reservation: seats are held, a card is charged within five minutes and
// the seats are confirmed, or all of it is undone.
type Order struct {
	Customer string
	Seats    []string
	Back     int // cents of charges that came late
	Notes    map[string]int
	Order    []string
}

type Action interface{ action() }

type (
	Reserve struct {
		Customer string
		Quantity int
	}
	Held    struct{ Seats []string }
	Charged struct{}
	TooLate struct{ Cents int }
	Sold    struct{}
	Refused struct{ Reason string }
	Expired struct{}
	Rename  struct{ Customer string }
	Remind  struct{}
	Release struct{} // gives the charge up, and nothing else
	Misdo   struct{ How string }
	Foreign struct{} // is not registered
)

func (Reserve) action() {}
func (Held) action()    {}
func (Charged) action() {}
func (TooLate) action() {}
func (Sold) action()    {}
func (Refused) action() {}
func (Expired) action() {}
func (Rename) action()  {}
func (Remind) action()  {}
func (Release) action() {}
func (Misdo) action()   {}
func (Foreign) action() {}

type (
	HoldSeats    struct{ Quantity int }
	ReleaseSeats struct{}
	Charge       struct{ Cents int }
	Refund       struct{ Cents int }
	PayBack      struct{ Cents int }
	ConfirmSeats struct{ Seats []string }
)

func (HoldSeats) Returns([]string)    {}
func (ReleaseSeats) Returns(struct{}) {}
func (Charge) Returns(struct{})       {}
func (Refund) Returns(struct{})       {}
func (PayBack) Returns(struct{})      {}
func (ConfirmSeats) Returns(struct{}) {}

var (
	errDeclined = errors.New("card declined")
	errDown     = errors.New("connection refused")
)

var fx saga.Of[Action]

// mistakes are those that a reservation can be made with.
type mistakes struct {
	NoRelease bool // the seats are not given back
	NoRefund  bool // a charge has no undo
	PaysBack  bool // instead of the undo, what was charged late is paid back
}

type reserver struct {
	mistakes
	calls *int
}

func (r reserver) Reduce(o *Order, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Reserve:
		o.Customer = a.Customer
		release := saga.Undo(ReleaseSeats{})
		if r.NoRelease {
			release = saga.Option{}
		}
		return fx.All(
			fx.Do(HoldSeats{a.Quantity}, release),
			fx.After("deadline", 5*time.Minute, Expired{}))
	case Held:
		o.Seats = a.Seats
		cents := 5000 * len(a.Seats)
		refund := saga.Undo(Refund{cents})
		if r.NoRefund {
			refund = saga.Option{}
		}
		return fx.Do(Charge{cents}, saga.Key("charge"), refund)
	case Charged:
		return fx.All(fx.Pivot(), fx.Cancel("deadline"), fx.Do(ConfirmSeats{o.Seats}))
	case TooLate:
		o.Back += a.Cents
		return fx.Do(PayBack(a))
	case Sold:
		return fx.Complete()
	case Refused:
		return fx.Compensate(a.Reason)
	case Expired:
		return fx.Compensate("the hold ran out")
	case Rename:
		o.Customer = a.Customer
	case Release:
		return fx.Cancel("charge")
	case Misdo:
		return r.misdo(o, a.How)
	}
	return fx.None()
}

func (r reserver) misdo(o *Order, how string) effect.Effect[Action] {
	switch how {
	case "panic":
		panic("at the box office")
	case "chance":
		o.Back = rand.Int() //nolint:gosec // that is the mistake
	case "calls":
		*r.calls++
		o.Back = *r.calls
	case "fill":
		o.Notes = map[string]int{"a": 1, "b": 2, "c": 3}
	case "order":
		o.Order = slices.Collect(maps.Keys(o.Notes))
	case "effects":
		var all []effect.Effect[Action]
		for _, n := range o.Notes {
			all = append(all, fx.Do(PayBack{n}))
		}
		return fx.All(all...)
	case "foreign":
		return effect.Of[Action]{}.Hold("x")
	case "remind":
		return fx.After("reminder", time.Minute, Remind{})
	case "remind without end":
		return fx.After("reminder", 0, Misdo{how})
	}
	return fx.None()
}

// reservation is the definition. Attempts are few, so that explorations end.
func reservation(m mistakes) *saga.Definition[Order, Action] {
	few := saga.Retry(saga.RetryPolicy{Attempts: 2, Delay: time.Second, Jitter: -1})
	charge := []saga.Option{few, saga.Timeout(10 * time.Second)}
	if m.PaysBack {
		charge = append(charge, saga.Late())
	}
	return saga.Define("reservation", reserver{m, new(int)}, saga.Types{
		Actions: []saga.ActionType{
			saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
			saga.Action[TooLate]("too-late"), saga.Action[Sold]("sold"), saga.Action[Refused]("refused"),
			saga.Action[Expired]("expired"), saga.Action[Rename]("rename"), saga.Action[Remind]("remind"),
			saga.Action[Release]("release"), saga.Action[Misdo]("misdo"),
		},
		Requests: []saga.RequestType{
			saga.On("hold-seats", func(_ HoldSeats, r saga.Reply[[]string]) Action {
				if r.Err != nil {
					return Refused{"seats: " + r.Err.Error()}
				}
				return Held{r.Value}
			}, few),
			saga.On("charge", func(q Charge, r saga.Reply[struct{}]) Action {
				switch {
				case r.Late && r.Err == nil:
					return TooLate(q)
				case r.Err != nil:
					return Refused{"payment: " + r.Err.Error()}
				}
				return Charged{}
			}, charge...),
			saga.On("confirm-seats", func(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }, few),
			saga.Request[ReleaseSeats]("release-seats", few),
			saga.Request[Refund]("refund", few),
			saga.Request[PayBack]("pay-back", few),
		},
		Errors: []saga.ErrorType{saga.Error("declined", errDeclined)},
	})
}

// Reservation has no mistakes.
var Reservation = reservation(mistakes{})
