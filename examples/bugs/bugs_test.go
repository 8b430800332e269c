package bugs_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/bugs"
	"github.com/seed57833328/rondo/testkit"
)

var errDown = errors.New("database down")

// Each model is explored twice: with the mistake, whose shortest trace is known,
// and without.
func check[S, A, W any](t *testing.T, model func(careful bool) testkit.Model[S, A, W], headline string, steps []string, promises ...testkit.Option) {
	t.Helper()
	_, failure, err := testkit.Search(model(false), promises...)
	require.NoError(t, err)
	require.NotNil(t, failure, "the mistake was not found")
	require.Equal(t, headline, failure.Headline)
	require.Equal(t, steps, failure.Steps)

	stats := testkit.Explore(t, model(true), promises...)
	require.True(t, stats.Complete)
	testkit.Retrace(t, model(true), failure.Steps, promises...)
	testkit.Simulate(t, model(true), promises...)
}

// bank charges once for each key, and not after it was barred.
type bank struct {
	Charges  map[int]bool
	Refunded int
	Barred   bool
}

func (b bank) Clone() bank {
	keys := map[int]bool{}
	for k := range b.Charges {
		keys[k] = true
	}
	b.Charges = keys
	return b
}

func (b *bank) charge(q bugs.Charge) (struct{}, error) {
	if b.Barred {
		return struct{}{}, bugs.ErrDeclined
	}
	if b.Charges == nil {
		b.Charges = map[int]bool{}
	}
	b.Charges[q.Key] = true
	return struct{}{}, nil
}

func (b *bank) refund(bugs.Refund) (struct{}, error) {
	b.Barred, b.Refunded = true, len(b.Charges)
	return struct{}{}, nil
}

func (b *bank) kept() int { return len(b.Charges) - b.Refunded }

func isPaid(o *bugs.Order, _ *bank) bool { return o.Phase == bugs.Paid }

func decided(o *bugs.Order, _ *bank) bool { return o.Phase == bugs.Paid || o.Phase == bugs.Failed }

func chargedOnce(_ *bugs.Order, b *bank) bool { return len(b.Charges) <= 1 }

func moneyIsRight(o *bugs.Order, b *bank) bool { return (o.Phase == bugs.Paid) == (b.kept() == 1) }

func TestLateCharge(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Order, any, bank] {
		return testkit.Model[bugs.Order, any, bank]{
			Reducer: bugs.LateCharge{Careful: careful},
			Inputs:  [][]any{{bugs.Place{}}},
			Answers: []testkit.Answer{testkit.On((*bank).charge, testkit.Fails(bugs.ErrDeclined)), testkit.On((*bank).refund)},
		}
	}, `Finally "the money is where it belongs" is broken`, []string{
		"send Place{}",
		"Charge{Key: 1} is done, its answer on the way",
		"Charge{Key: 1} times out",
	},
		testkit.Finally("the money is where it belongs", moneyIsRight),
		testkit.Finally("the order is decided", decided),
		testkit.Sometimes("the order is paid", isPaid))
}

func TestStuckAfterRestart(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Order, any, bank] {
		return testkit.Model[bugs.Order, any, bank]{
			Reducer: bugs.StuckAfterRestart{Careful: careful},
			Inputs:  [][]any{{bugs.Place{}}},
			Answers: []testkit.Answer{testkit.On((*bank).charge, testkit.Fails(bugs.ErrDeclined))},
			Recover: func(o *bugs.Order) (bugs.Order, []any) { return *o, []any{bugs.Resume{}} },
		}
	}, `Finally "the order is decided" is broken`, []string{
		"send Place{}",
		"crash",
	},
		testkit.Finally("the order is decided", decided),
		testkit.Always("charged once", chargedOnce),
		testkit.Sometimes("the order is paid", isPaid),
		testkit.Crashes(2))
}

func TestDoubleCharge(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Order, any, bank] {
		return testkit.Model[bugs.Order, any, bank]{
			Reducer: bugs.DoubleCharge{Careful: careful},
			Inputs:  [][]any{{bugs.Place{}}},
			Answers: []testkit.Answer{testkit.On((*bank).charge)},
		}
	}, `Always "charged once" is broken`, []string{
		"send Place{}",
		"Charge{Key: 1} is done, its answer lost",
		"Charge{Key: 2} is answered",
	},
		testkit.Always("charged once", chargedOnce),
		testkit.Sometimes("the order is paid", isPaid),
		testkit.LostReplies(2), testkit.Duplicates(1))
}

// till counts what was given back, as often as it is asked to.
type till struct{ Charged, Refunded int }

func TestDoubleRefund(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Ticket, any, till] {
		return testkit.Model[bugs.Ticket, any, till]{
			World:   till{Charged: 1},
			Reducer: bugs.DoubleRefund{Careful: careful},
			Inputs:  [][]any{{bugs.Cancel{By: "customer"}}, {bugs.Cancel{By: "organiser"}}},
			Answers: []testkit.Answer{testkit.On(func(w *till, _ bugs.PayBack) (struct{}, error) {
				w.Refunded++
				return struct{}{}, nil
			})},
		}
	}, `Always "no more is given back than was charged" is broken`, []string{
		`send Cancel{By: "customer"}`,
		`send Cancel{By: "organiser"}`,
		"PayBack{} is answered",
		"PayBack{} is answered",
	},
		testkit.Always("no more is given back than was charged", func(_ *bugs.Ticket, w *till) bool { return w.Refunded <= w.Charged }),
		testkit.Finally("it is given back", func(_ *bugs.Ticket, w *till) bool { return w.Refunded == 1 }),
		testkit.Sometimes("the ticket is done with", func(s *bugs.Ticket, _ *till) bool { return s.Done }))
}

// theatre is a booking and its seat, a store each.
type theatre struct {
	Booking bugs.Booking
	Seat    bugs.Seat
}

func TestUndoBeforeDo(t *testing.T) {
	t.Parallel()
	answer := func(a any) (struct{}, bool, error) {
		answer, ok := a.(bugs.SeatAnswer)
		return struct{}{}, ok, answer.Err
	}
	check(t, func(careful bool) testkit.Model[theatre, testkit.Sent, struct{}] {
		return testkit.Model[theatre, testkit.Sent, struct{}]{
			Stores: []testkit.Store[theatre]{
				testkit.StoreOf("booking", func(s *theatre) *bugs.Booking { return &s.Booking }, bugs.Booker{}),
				testkit.StoreOf("seat", func(s *theatre) *bugs.Seat { return &s.Seat }, bugs.UndoBeforeDo{Careful: careful}),
			},
			Inputs: [][]testkit.Sent{{testkit.To("booking", bugs.Book{})}},
			Answers: []testkit.Answer{
				testkit.Route(func(bugs.HoldSeat) (string, any) { return "seat", bugs.Hold{} }, answer),
				testkit.Route(func(bugs.ReleaseSeat) (string, any) { return "seat", bugs.Release{} }, answer),
			},
		}
	}, `Finally "the seat is held for who has booked it" is broken`, []string{
		"booking: send Book{}",
		"booking: HoldSeat{} times out",
		"booking: ReleaseSeat{} is delivered",
		"booking: HoldSeat{} arrives late, nobody waits for it",
		"booking: ReleaseSeat{}: the answer arrives",
	},
		testkit.Finally("the seat is held for who has booked it", func(s *theatre, _ *struct{}) bool {
			return s.Seat.Held == s.Booking.Booked && s.Booking.Over
		}),
		testkit.Sometimes("the seat is booked", func(s *theatre, _ *struct{}) bool { return s.Booking.Booked }))
}

func TestExpiredAfterPayment(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Claim, any, struct{}] {
		return testkit.Model[bugs.Claim, any, struct{}]{
			Reducer: bugs.ExpiredAfterPayment{Careful: careful},
			Inputs:  [][]any{{bugs.Hold{}, bugs.Pay{}}},
		}
	}, `Always "who has paid has the seat" is broken`, []string{
		"send Hold{}",
		"send Pay{}",
		"timer Expired{}",
	},
		testkit.Always("who has paid has the seat", func(c *bugs.Claim, _ *struct{}) bool { return !c.Paid || c.Held }),
		testkit.Sometimes("the seat is paid", func(c *bugs.Claim, _ *struct{}) bool { return c.Paid }))
}

type adders struct{ One, Two bugs.Adder }

func TestLostUpdate(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[adders, testkit.Sent, bugs.Record] {
		r := bugs.LostUpdate{Careful: careful}
		return testkit.Model[adders, testkit.Sent, bugs.Record]{
			Stores: []testkit.Store[adders]{
				testkit.StoreOf("one", func(s *adders) *bugs.Adder { return &s.One }, r),
				testkit.StoreOf("two", func(s *adders) *bugs.Adder { return &s.Two }, r),
			},
			Inputs: [][]testkit.Sent{{testkit.To("one", bugs.Add{})}, {testkit.To("two", bugs.Add{})}},
			Answers: []testkit.Answer{
				testkit.On(func(w *bugs.Record, _ bugs.Load) (bugs.Record, error) { return *w, nil }, testkit.ReadOnly()),
				testkit.On(func(w *bugs.Record, q bugs.Save) (struct{}, error) {
					if q.Expected >= 0 && q.Expected != w.Version {
						return struct{}{}, bugs.ErrConflict
					}
					w.Count, w.Version = q.Count, w.Version+1
					return struct{}{}, nil
				}),
			},
		}
	}, `Finally "both are counted" is broken`, []string{
		"one: send Add{}",
		"two: send Add{}",
		"one: Load{} is answered",
		"two: Load{} is answered",
		"one: Save{Count: 1, Expected: -1} is answered",
		"two: Save{Count: 1, Expected: -1} is answered",
	},
		testkit.Finally("both are counted", func(_ *adders, w *bugs.Record) bool { return w.Count == 2 }),
		testkit.Sometimes("both are done", func(s *adders, _ *bugs.Record) bool { return s.One.Done && s.Two.Done }))
}

func TestStaleSearch(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Box, any, struct{}] {
		return testkit.Model[bugs.Box, any, struct{}]{
			Reducer: bugs.StaleSearch{Careful: careful},
			Inputs:  [][]any{{bugs.Type{Text: "r"}, bugs.Type{Text: "ro"}}},
			Answers: []testkit.Answer{testkit.On(func(_ *struct{}, q bugs.Search) (string, error) {
				return "found " + q.Text, nil
			}, testkit.ReadOnly())},
		}
	}, `Finally "what is shown is for what was typed" is broken`, []string{
		`send Type{Text: "r"}`,
		`send Type{Text: "ro"}`,
		`Search{Text: "ro"} is answered`,
		`Search{Text: "r"} is answered`,
	},
		testkit.Finally("what is shown is for what was typed", func(b *bugs.Box, _ *struct{}) bool { return b.Shown == "found "+b.Text }),
		testkit.Sometimes("something is shown", func(b *bugs.Box, _ *struct{}) bool { return b.Shown != "" }))
}

func TestForgottenWaiter(t *testing.T) {
	t.Parallel()
	check(t, func(careful bool) testkit.Model[bugs.Account, any, bugs.Record] {
		return testkit.Model[bugs.Account, any, bugs.Record]{
			Reducer: bugs.ForgottenWaiter{Careful: careful},
			Inputs:  [][]any{{bugs.Open{}}, {bugs.Open{}}},
			Answers: []testkit.Answer{
				testkit.On(func(w *bugs.Record, _ bugs.Load) (bugs.Record, error) { return *w, nil }, testkit.ReadOnly(), testkit.Fails(errDown)),
			},
		}
	}, "deadlock: nothing is left to happen, and something waits", []string{
		"send Open{}",
		"send Open{}",
		"Load{} is answered",
		"Load{} fails: database down",
	},
		testkit.Finally("everybody is answered", func(s *bugs.Account, _ *bugs.Record) bool { return s.Answered == 2 }),
		testkit.Sometimes("somebody is refused", func(s *bugs.Account, _ *bugs.Record) bool { return s.Refused > 0 }))
}
