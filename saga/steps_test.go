package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/sagatest"
)

// steppedReservation is Reservation in steps.
var steppedReservation = saga.Steps("reservation",
	saga.Step[Order]{
		Do:       saga.Ask("hold-seats", func(Order) HoldSeats { return HoldSeats{2} }, func(o *Order, seats []string) { o.Seats = seats }),
		Undo:     saga.Ask("release-seats", func(Order) ReleaseSeats { return ReleaseSeats{} }, nil),
		Deadline: 5 * time.Minute,
	},
	saga.Step[Order]{
		Do:       saga.Ask("charge", func(o Order) Charge { return Charge{5000 * len(o.Seats)} }, nil),
		Undo:     saga.Ask("refund", func(o Order) Refund { return Refund{5000 * len(o.Seats)} }, nil),
		Timeout:  10 * time.Second,
		Deadline: 5 * time.Minute,
		Pivot:    true,
	},
	saga.Step[Order]{Do: saga.Ask("confirm-seats", func(o Order) ConfirmSeats { return ConfirmSeats{o.Seats} }, nil)},
)

// TestStepsAreAsDurableAsAReducer runs the same saga in both styles through the
// same troubles.
func TestStepsAreAsDurableAsAReducer(t *testing.T) {
	t.Parallel()
	type trouble = func(ctx context.Context, request, key string, attempt int) error
	on := func(what string, err error, attempts int) trouble {
		return func(_ context.Context, request, _ string, attempt int) error {
			if request == what && attempt <= attempts {
				return err
			}
			return nil
		}
	}
	down, refused := errors.New("down"), saga.Rejected(errors.New("no"))
	for name, row := range map[string]struct {
		before, after trouble
		cancel        string // at that request
		want          saga.Status
	}{
		"nothing":             {want: saga.Completed},
		"hold refused":        {before: on("hold", refused, 1), want: saga.Compensated},
		"hold unknown":        {after: on("hold", down, 99), want: saga.Compensated},
		"hold twice":          {after: on("hold", down, 2), want: saga.Completed},
		"charge refused":      {before: on("charge", refused, 1), want: saga.Compensated},
		"charge unknown":      {after: on("charge", down, 99), want: saga.Compensated},
		"confirm late":        {before: on("confirm", down, 15), want: saga.Completed},
		"cancel at hold":      {cancel: "hold", want: saga.Compensated},
		"cancel at charge":    {cancel: "charge", want: saga.Compensated},
		"cancel at confirm":   {cancel: "confirm", want: saga.Completed},
		"the gateway is slow": {before: waitFor("charge"), want: saga.Compensated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var outcomes [2]string
			for style, run := range []func(*office) saga.Snapshot{
				func(o *office) saga.Snapshot { o.start("ann"); return o.wait("ann") },
				func(o *office) saga.Snapshot {
					_, err := o.runner.Start(o.Context(), steppedReservation.ID("ann"), saga.Begin[Order]{})
					require.NoError(o, err)
					return o.wait("ann")
				},
			} {
				synctest.Test(t, func(t *testing.T) {
					h := newHouse()
					var o *office
					h.before, h.after = row.before, row.after
					if row.cancel != "" {
						h.before = func(ctx context.Context, request, _ string, _ int) error {
							if request == row.cancel {
								_ = o.runner.Cancel(ctx, Reservation.ID("ann"), "cancelled")
							}
							return nil
						}
					}
					o = open(t, newHome(), h, saga.Config{}, [...]saga.Saga{Reservation, steppedReservation}[style])
					end := run(o)
					require.Equal(t, row.want, end.Status)
					// What comes late comes at the same time as what is undone.
					kinds := o.kinds("ann")
					slices.SortStableFunc(kinds, func(a, b string) int { return strings.Count(a, "late") - strings.Count(b, "late") })
					outcomes[style] = fmt.Sprint(end.Status, h.holds(), h.made(), kinds, end.Updated.Sub(end.Started))
				})
			}
			require.Equal(t, outcomes[0], outcomes[1])
		})
	}
}

// waitFor has a request take until its context ends.
func waitFor(what string) func(ctx context.Context, request, key string, attempt int) error {
	return func(ctx context.Context, request, _ string, _ int) error {
		if request == what {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// Lamp is switched on by the request that also switches it off.
type Lamp struct{ Undone int }

type SwitchLamp struct{ On bool }

func (SwitchLamp) Returns(struct{}) {}

// A request that undoes its own step says nothing of whether that is done.
func TestAStepIsUndoneByTheRequestThatDoesIt(t *testing.T) {
	t.Parallel()
	def := saga.Steps("lamp",
		saga.Step[Lamp]{
			Do:   saga.Ask("switch", func(Lamp) SwitchLamp { return SwitchLamp{true} }, func(l *Lamp, _ struct{}) { l.Undone-- }),
			Undo: saga.Ask("switch", func(Lamp) SwitchLamp { return SwitchLamp{false} }, func(l *Lamp, _ struct{}) { l.Undone++ }),
		},
		saga.Step[Lamp]{Do: saga.Ask("charge", func(Lamp) Charge { return Charge{} }, nil)})
	s := sagatest.Begin(t, def, saga.Begin[Lamp]{})
	s.Cancel("enough")
	s.Undone(SwitchLamp{false})
	s.Changed(func(stepped *saga.Stepped[Lamp]) { stepped.Data.Undone++ })
	s.Ended(saga.Compensated, "enough")
}

func TestStepsAreChecked(t *testing.T) {
	t.Parallel()
	ask := saga.Ask("charge", func(Order) Charge { return Charge{} }, nil)
	for want, def := range map[string]saga.Saga{
		"no steps":                                 saga.Steps[Order]("a"),
		"step 0 has no request":                    saga.Steps("a", saga.Step[Order]{}),
		"step 1 has no request":                    saga.Steps("a", saga.Step[Order]{Do: ask}, saga.Step[Order]{Do: ask, Undo: saga.Ask[Order, Refund]("refund", nil, nil)}),
		"want at least 0":                          saga.Steps("a", saga.Step[Order]{Do: ask, Deadline: -1}),
		"steps[1].Deadline is 1s, want none after": saga.Steps("a", saga.Step[Order]{Do: ask, Pivot: true}, saga.Step[Order]{Do: ask, Deadline: time.Second}),
		"RetryPolicy.Attempts is -1":               saga.Steps("a", saga.Step[Order]{Do: ask, Retry: saga.RetryPolicy{Attempts: -1}}),
	} {
		_, err := saga.New(newHome(), saga.Config{}, def)
		require.ErrorContains(t, err, want)
	}
}

// Plan is the state of a trip.
type Plan struct {
	Nights int
	Hotel  string
}

type (
	BookHotel   struct{ Nights int }
	CancelHotel struct{ Nights int }
	Pay         struct{ Cents int }
)

func (BookHotel) Returns(string)     {}
func (CancelHotel) Returns(struct{}) {}
func (Pay) Returns(struct{})         {}

// A saga whose steps follow one another needs no reducer.
func ExampleSteps() {
	trip := saga.Steps("trip",
		saga.Step[Plan]{
			Do:   saga.Ask("book-hotel", func(p Plan) BookHotel { return BookHotel{p.Nights} }, func(p *Plan, hotel string) { p.Hotel = hotel }),
			Undo: saga.Ask("cancel-hotel", func(p Plan) CancelHotel { return CancelHotel{p.Nights} }, nil),
		},
		saga.Step[Plan]{Do: saga.Ask("pay", func(p Plan) Pay { return Pay{9900 * p.Nights} }, nil), Pivot: true},
	)
	handlers := []effect.Handler{
		effect.Handle(func(context.Context, BookHotel) (string, error) { return "Adlon", nil }),
		effect.Handle(func(_ context.Context, q CancelHotel) (struct{}, error) {
			fmt.Println("cancelled", q.Nights, "nights")
			return struct{}{}, nil
		}),
		effect.Handle(func(_ context.Context, q Pay) (struct{}, error) {
			if q.Cents > 20000 {
				return struct{}{}, saga.Rejected(errors.New("above the limit"))
			}
			return struct{}{}, nil
		}),
	}
	ctx := context.Background()
	runner, err := saga.New(memory.New(memory.Config{}), saga.Config{Handlers: handlers}, trip)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = runner.Run(ctx) }()
	for _, nights := range []int{2, 3} {
		h, err := runner.Start(ctx, trip.ID(fmt.Sprint(nights, " nights")), saga.Begin[Plan]{Data: Plan{Nights: nights}})
		if err != nil {
			fmt.Println(err)
			return
		}
		end, err := h.Wait(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		state, err := trip.State(end)
		fmt.Println(h.ID.Key, state.Data.Hotel, end.Status, end.Reason, err)
	}
	fmt.Println(runner.Shutdown(ctx))
	// Output:
	// 2 nights Adlon completed  <nil>
	// cancelled 3 nights
	// 3 nights Adlon compensated pay: above the limit <nil>
	// <nil>
}
