package sale_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/testkit"
	"github.com/seed57833328/rondo/workflow"
)

// The stores of a sale, as sale.New puts them together: a section, and for each
// customer a reservation and a payment. The requests between them are routed as
// the handlers of this package do it.

var small = ticket.Section{Event: "e1", Name: "small"}

// box is the state of all stores.
type box struct {
	Section      inventory.State
	Reservations [2]reservation.State
	Payments     [2]payment.State
}

var customers = [2]ticket.Reservation{"r1", "r2"}

// outside is the world: the gateway's accounts, the tickets issued.
type outside struct {
	Declines bool // every card
	Offered  inventory.Section
	Accounts map[ticket.Reservation]account
	Tickets  map[ticket.Reservation]ticket.Ticket
}

type account struct {
	Standing payment.Standing
	Amount   ticket.Money
	Refunded bool
	Closed   bool
}

func (w *outside) load(inventory.LoadSection) (inventory.Section, error) { return w.Offered, nil }

func (w *outside) change(key ticket.Reservation, f func(*account)) account {
	a := w.Accounts[key]
	f(&a)
	if w.Accounts == nil {
		w.Accounts = map[ticket.Reservation]account{}
	}
	w.Accounts[key] = a
	return a
}

func (w *outside) charge(q payment.SubmitCharge) (struct{}, error) {
	a := w.change(q.Key, func(a *account) {
		switch {
		case a.Standing != payment.StandsUnknown:
		case a.Closed || w.Declines:
			a.Standing = payment.StandsDeclined
		default:
			a.Standing, a.Amount = payment.StandsCharged, q.Amount
		}
	})
	if a.Standing == payment.StandsDeclined {
		return struct{}{}, payment.ErrDeclined
	}
	return struct{}{}, nil
}

func (w *outside) lookUp(q payment.LookUp) (payment.Standing, error) {
	return w.Accounts[q.Key].Standing, nil
}

func (w *outside) refund(q payment.SubmitRefund) (ticket.Money, error) {
	return w.change(q.Key, func(a *account) {
		a.Closed = true
		a.Refunded = a.Standing == payment.StandsCharged
	}).Amount, nil
}

func (w *outside) issue(q reservation.IssueTicket) (struct{}, error) {
	if w.Tickets == nil {
		w.Tickets = map[ticket.Reservation]ticket.Ticket{}
	}
	w.Tickets[q.Ticket.Reservation] = q.Ticket
	return struct{}{}, nil
}

// records are what the audit looks at.
func records(b *box, w *outside) audit.Records {
	r := audit.Records{
		Offered:      []inventory.Section{w.Offered},
		Sections:     []inventory.Section{b.Section.Section},
		Reservations: map[ticket.Reservation]reservation.State{},
	}
	if b.Section.Section.ID != small {
		r.Sections[0] = w.Offered // nobody has asked for it
	}
	for _, key := range slices.Sorted(maps.Keys(w.Accounts)) {
		if a := w.Accounts[key]; a.Standing == payment.StandsCharged {
			r.Ledger = append(r.Ledger, gateway.Entry{Key: key, Kind: gateway.IsCharge, Amount: a.Amount})
			if a.Refunded {
				r.Ledger = append(r.Ledger, gateway.Entry{Key: key, Kind: gateway.IsRefund, Amount: a.Amount})
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.Tickets)) {
		r.Tickets = append(r.Tickets, w.Tickets[key])
	}
	for i, id := range customers {
		if s := b.Reservations[i]; s.Phase != reservation.New {
			r.Opened = append(r.Opened, id)
			r.Reservations[id] = s
		}
	}
	return r
}

// audited are the promises of the audit. Seats are accounted for at any moment,
// the rest when nothing is left to do.
func audited() []testkit.Option {
	holds := func(i int) func(*box, *outside) bool {
		return func(b *box, w *outside) bool { return len(audit.Run(records(b, w))[i].Problems) == 0 }
	}
	var promises []testkit.Option
	for i, check := range audit.Run(audit.Records{}) {
		if strings.HasPrefix(check.Promise, "each seat") {
			promises = append(promises, testkit.Always(check.Promise, holds(i)))
			continue
		}
		promises = append(promises, testkit.Finally(check.Promise, holds(i)))
	}
	return promises
}

// saleOf is a sale with so many customers. Everything that was decided is saved;
// a new process goes on with that, and those who waited for an answer are gone.
func saleOf(n int, declines bool, inputs ...[]testkit.Sent) testkit.Model[box, testkit.Sent, outside] {
	m := testkit.Model[box, testkit.Sent, outside]{
		World:  outside{Declines: declines, Offered: inventory.NewSection(small, ticket.Tier{Name: "A", Price: 4500}, 1)},
		Inputs: inputs,
		Answers: []testkit.Answer{
			testkit.Route(func(q reservation.HoldSeats) (string, inventory.Action) { return "section", inventory.Hold(q) },
				func(a inventory.Action) (reservation.SeatsWereHeld, bool, error) {
					held, _ := a.(inventory.Held)
					return reservation.SeatsWereHeld{Seats: held.Seats, Price: held.Price}, isAnswer(a), rejected(a)
				}),
			testkit.Route(func(q reservation.ConfirmSeats) (string, inventory.Action) { return "section", inventory.Confirm(q) }, done),
			testkit.Route(func(q reservation.ReleaseSeats) (string, inventory.Action) { return "section", inventory.Release(q) }, done),
			testkit.Route(func(q reservation.Charge) (string, payment.Action) {
				return "payment " + string(q.Reservation), payment.Charge{Payment: q.Reservation, Amount: q.Amount}
			}, charged),
			testkit.Route(func(q reservation.Refund) (string, payment.Action) {
				return "payment " + string(q.Reservation), payment.Refund{Payment: q.Reservation}
			}, func(a payment.Action) (ticket.Money, bool, error) {
				refunded, ok := a.(payment.Refunded)
				return refunded.Amount, ok, nil
			}),
			testkit.On((*outside).issue),
			testkit.On((*outside).load, testkit.ReadOnly()),
			testkit.On((*outside).charge),
			testkit.On((*outside).lookUp, testkit.ReadOnly()),
			testkit.On((*outside).refund),
		},
		Recover: func(b *box) (box, []testkit.Sent) {
			recovered := *b
			var restart []testkit.Sent
			if b.Section.Load.Phase() == workflow.Ready {
				restart = append(restart, testkit.To("section", inventory.Resume{}))
			} else {
				recovered.Section = inventory.State{}
			}
			for i := range n {
				restart = append(restart,
					testkit.To("payment "+string(customers[i]), payment.Resume{}),
					testkit.To(string(customers[i]), reservation.Resume{}))
			}
			return recovered, restart
		},
	}
	m.Stores = append(m.Stores, testkit.StoreOf("section", func(b *box) *inventory.State { return &b.Section }, inventory.Reducer{}))
	for i := range n {
		m.Stores = append(m.Stores,
			testkit.StoreOf(string(customers[i]), func(b *box) *reservation.State { return &b.Reservations[i] }, reservation.Reducer{}),
			testkit.StoreOf("payment "+string(customers[i]), func(b *box) *payment.State { return &b.Payments[i] }, payment.Reducer{}))
	}
	return m
}

func isAnswer(a inventory.Action) bool { _, ok := a.(inventory.Answer); return ok }

func rejected(a inventory.Action) error {
	if r, ok := a.(inventory.Rejected); ok {
		return r.Rejection
	}
	return nil
}

func done(a inventory.Action) (struct{}, bool, error) { return struct{}{}, isAnswer(a), rejected(a) }

func charged(a payment.Action) (struct{}, bool, error) {
	switch a := a.(type) {
	case payment.Charged:
		return struct{}{}, true, nil
	case payment.Refused:
		if a.Reason == payment.Declined {
			return struct{}{}, true, &ticket.RejectionError{Reason: a.Reason}
		}
		return struct{}{}, true, fmt.Errorf("charge: %s", a.Reason)
	case payment.Refunded:
		return struct{}{}, true, errors.New("charge: unexpected answer")
	}
	return struct{}{}, false, nil
}

func starts(i int) testkit.Sent {
	id := customers[i]
	return testkit.To(string(id), reservation.Start{Order: reservation.Order{Reservation: id, Customer: "c", Section: small, Quantity: 1}})
}

func cancels(i int) testkit.Sent {
	return testkit.To(string(customers[i]), reservation.Cancel{Reservation: customers[i]})
}

func ends(i int, phase reservation.Phase) testkit.Option {
	return testkit.Sometimes(fmt.Sprintf("%s is %s", customers[i], phase), func(b *box, _ *outside) bool { return b.Reservations[i].Phase == phase })
}

// One customer, who may change his mind, with all that can go wrong at once: a
// crash, a lost request or answer, a duplicate. In the short form two of them.
func TestExplored(t *testing.T) {
	t.Parallel()
	faults := map[string][]testkit.Option{
		"crash and lost reply":   {testkit.Crashes(1), testkit.LostReplies(1)},
		"crash and duplicate":    {testkit.Crashes(1), testkit.Duplicates(1)},
		"lost reply, duplicate":  {testkit.LostReplies(1), testkit.Duplicates(1)},
		"crash and slow gateway": {testkit.Crashes(1), testkit.Timeouts(1)},
	}
	if !testing.Short() {
		faults = map[string][]testkit.Option{
			"crash, lost reply, duplicate": {testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1)},
			"crash and slow gateway":       {testkit.Crashes(1), testkit.Timeouts(1)},
		}
	}
	for name, faults := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			promises := append(audited(), ends(0, reservation.Completed), ends(0, reservation.Cancelled), testkit.Timeouts(0))
			testkit.Explore(t, saleOf(1, false, []testkit.Sent{starts(0)}, []testkit.Sent{cancels(0)}), append(promises, faults...)...)
		})
	}
	t.Run("card is declined", func(t *testing.T) {
		t.Parallel()
		promises := append(audited(), ends(0, reservation.Failed), testkit.Crashes(1), testkit.LostReplies(1), testkit.Timeouts(0))
		testkit.Explore(t, saleOf(1, true, []testkit.Sent{starts(0)}), promises...)
	})
}

// Two customers want the one seat there is.
func TestExploredRace(t *testing.T) {
	t.Parallel()
	promises := append(audited(), ends(0, reservation.Completed), ends(0, reservation.Failed), testkit.Timeouts(0),
		testkit.Symmetric(customers[0], customers[1]))
	if !testing.Short() {
		promises = append(promises, testkit.Crashes(1))
	}
	testkit.Explore(t, saleOf(2, false, []testkit.Sent{starts(0)}, []testkit.Sent{starts(1)}), promises...)
}

// More goes wrong than can be explored.
func TestSimulated(t *testing.T) {
	t.Parallel()
	promises := append(audited(), ends(0, reservation.Completed), ends(1, reservation.Cancelled),
		testkit.Crashes(5), testkit.LostReplies(10), testkit.Duplicates(10), testkit.Timeouts(30), testkit.FaultRate(0.3), testkit.Walks(300))
	testkit.Simulate(t, saleOf(2, false, []testkit.Sent{starts(0)}, []testkit.Sent{starts(1), cancels(1)}), promises...)
}
