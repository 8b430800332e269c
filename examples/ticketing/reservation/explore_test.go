package reservation_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/examples/ticketing/boxoffice"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/testkit"
)

const ann ticket.Reservation = "ann"

// world is what a reservation acts on: the deciders of the sale, which do a
// command once for a key, and the gateway.
type world struct {
	Section inventory.Section
	Payment payment.State
	Ticket  boxoffice.State
	Done    map[string]ticket.Reason // by the key of a command: why it was refused, "" if it was not

	Declines        bool // what the gateway does to a card
	Charged, Closed bool
	Refunded        bool
}

// execute has a decider execute a command for a saga, as a host of package
// aggregate does.
func execute[S, C, E any](w *world, d aggregate.Decider[S, C, E], s *S, key string, c C) error {
	if reason, done := w.Done[key]; done {
		return refusal(reason)
	}
	events, err := d.Decide(s, c, reducer.NewEnv(&reducer.Fixed{Time: time.Date(2026, 7, 1, 20, 0, 0, 0, time.UTC)}))
	var rejection *aggregate.RejectionError
	if err != nil && !errors.As(err, &rejection) {
		return err
	}
	w.Done = maps.Clone(w.Done)
	if rejection != nil {
		w.Done[key] = ticket.Reason(rejection.Code)
		return refusal(w.Done[key])
	}
	w.Done[key] = ""
	for _, e := range events {
		d.Evolve(s, e)
	}
	return nil
}

func refusal(reason ticket.Reason) error {
	if reason == "" {
		return nil
	}
	return ticket.RefusedError{Reason: reason}
}

type nothing = struct{}

func (w *world) hold(key string, q reservation.HoldSeats) (inventory.Held, error) {
	err := execute(w, inventory.Decider{}, &w.Section, key, inventory.Command(q.Hold))
	seats := w.Section.Claims[ann].Seats
	return inventory.Held{Reservation: ann, Seats: seats, Price: w.Section.Tier.Price.Times(len(seats))}, err
}

func (w *world) confirm(key string, _ reservation.ConfirmSeats) (nothing, error) {
	return nothing{}, execute(w, inventory.Decider{}, &w.Section, key, inventory.Command(inventory.Confirm{Reservation: ann}))
}

func (w *world) release(key string, _ reservation.ReleaseSeats) (nothing, error) {
	return nothing{}, execute(w, inventory.Decider{}, &w.Section, key, inventory.Command(inventory.Release{Reservation: ann}))
}

func (w *world) request(key string, q reservation.RequestPayment) (nothing, error) {
	return nothing{}, execute(w, payment.Decider{}, &w.Payment, key, payment.Command(payment.Request{Amount: q.Amount}))
}

func (w *world) withdraw(key string, _ reservation.WithdrawPayment) (nothing, error) {
	return nothing{}, execute(w, payment.Decider{}, &w.Payment, key, payment.Command(payment.Withdraw{}))
}

func (w *world) recordCharge(key string, q reservation.RecordCharge) (nothing, error) {
	c := payment.Command(payment.RecordCharge{})
	if q.Declined {
		c = payment.RecordDecline{}
	}
	return nothing{}, execute(w, payment.Decider{}, &w.Payment, key, c)
}

func (w *world) recordRefund(key string, q reservation.RecordRefund) (nothing, error) {
	return nothing{}, execute(w, payment.Decider{}, &w.Payment, key, payment.Command(payment.RecordRefund{Amount: q.Amount}))
}

func (w *world) issue(key string, q reservation.IssueTicket) (nothing, error) {
	return nothing{}, execute(w, boxoffice.Decider{}, &w.Ticket, key, boxoffice.Command(boxoffice.Issue{Ticket: q.Ticket}))
}

// charge is the gateway's. It knows a payment by the reservation.
func (w *world) charge(_ string, _ reservation.ChargeCard) (nothing, error) {
	switch {
	case w.Charged: // it came before, and is answered alike whatever became of it
	case w.Closed, w.Declines:
		return nothing{}, ticket.RefusedError{Reason: reservation.CardDeclined}
	}
	w.Charged = true
	return nothing{}, nil
}

func (w *world) refund(_ string, _ reservation.RefundCard) (ticket.Money, error) {
	w.Closed = true
	if !w.Charged {
		return 0, nil
	}
	w.Refunded = true
	return price, nil
}

const price ticket.Money = 100_00

// explored is one reservation of two seats, with the inventory, the payment, the
// box office and the gateway.
func explored(t *testing.T, w world, inputs ...[]sagatest.Event) testkit.Model[sagatest.View[reservation.State], sagatest.Event, world] {
	t.Helper()
	section := ticket.Section{Event: "gala", Name: "A"}
	w.Section = inventory.NewSection(section, ticket.Tier{Name: "Premium", Price: price / 2}, 2)
	w.Done = map[string]ticket.Reason{}
	down := testkit.Fails(errors.New("no answer"))
	return sagatest.Model(t, reservation.Saga, sagatest.Setup[world]{
		Start:  reservation.Start{Order: reservation.Order{Reservation: ann, Customer: "Ann", Section: section, Quantity: 2}},
		Inputs: inputs, World: w,
		Handlers: []sagatest.Handler[world]{
			sagatest.On((*world).hold, down), sagatest.On((*world).confirm, down), sagatest.On((*world).release, down),
			sagatest.On((*world).request, down), sagatest.On((*world).withdraw, down), sagatest.On((*world).recordCharge, down),
			sagatest.On((*world).recordRefund, down), sagatest.On((*world).issue, down), sagatest.On((*world).charge, down),
			sagatest.On((*world).refund, down),
		},
	})
}

type view = sagatest.View[reservation.State]

// The audit of the sale, for one reservation.
func promises() []testkit.Option {
	return []testkit.Option{
		testkit.Always("it is never stuck", func(v *view, _ *world) bool { return v.Status != saga.Stuck }),
		testkit.Always("a ticket is for seats that are sold and paid", func(_ *view, w *world) bool {
			return !w.Ticket.Issued || w.Section.Claims[ann].Status == inventory.IsSold && w.Charged && !w.Refunded
		}),
		testkit.Always("nothing is charged once it is refunded", func(_ *view, w *world) bool { return !w.Closed || !w.Charged || w.Refunded }),
		testkit.Finally("it comes to an end", func(v *view, _ *world) bool { return v.Status == "" || v.Status.Ended() }),
		testkit.Finally("a completed one has its ticket", func(v *view, w *world) bool {
			return v.Status != saga.Completed || w.Ticket.Issued && w.Payment.Phase == payment.IsCharged
		}),
		testkit.Finally("one that was undone has nothing", func(v *view, w *world) bool {
			return v.Status != saga.Compensated || w.Section.Free() == 2 && !w.Ticket.Issued && w.Charged == w.Refunded
		}),
		testkit.Finally("the payment is recorded as the gateway has it", func(_ *view, w *world) bool {
			refunded := w.Payment.Phase == payment.IsRefunded
			return refunded == w.Refunded
		}),
		testkit.Sometimes("it is undone", func(v *view, _ *world) bool { return v.Status == saga.Compensated }),
	}
}

func TestExploreReservation(t *testing.T) {
	t.Parallel()
	completed := testkit.Sometimes("it completes", func(v *view, _ *world) bool { return v.Status == saga.Completed })
	for _, row := range []struct {
		name   string
		world  world
		inputs [][]sagatest.Event
		more   []testkit.Option
	}{
		{"a crash", world{}, nil, []testkit.Option{completed, testkit.Crashes(1)}},
		{"a lost answer", world{}, nil, []testkit.Option{completed, testkit.LostReplies(1)}},
		{"a duplicate", world{}, nil, []testkit.Option{completed, testkit.Duplicates(1)}},
		{"a crash, a lost answer and a duplicate", world{}, nil, []testkit.Option{completed, testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1)}},
		{"declined", world{Declines: true}, nil, []testkit.Option{testkit.Crashes(1), testkit.LostReplies(1)}},
		{
			"cancelled", world{},
			[][]sagatest.Event{{sagatest.Signal("cancel", reservation.Cancel{})}},
			[]testkit.Option{completed, testkit.Crashes(1)},
		},
		{
			"called off", world{},
			[][]sagatest.Event{{sagatest.Signal("call-off", reservation.CallOff{})}},
			[]testkit.Option{completed, testkit.LostReplies(1)},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && len(row.more) > 3 {
				t.Skip("100,000 states")
			}
			stats := testkit.Explore(t, explored(t, row.world, row.inputs...), append(append(promises(), testkit.Failures(0)), row.more...)...)
			require.True(t, stats.Complete)
		})
	}
}
