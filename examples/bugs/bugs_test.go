package bugs_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/bugs"
	"github.com/seed57833328/rondo/testkit"
)

var errDown = errors.New("database down")

// mistake is a model that is explored with the mistake, whose shortest trace is
// known, and without.
type mistake[S, A, W any] struct {
	model    func(careful bool) testkit.Model[S, A, W]
	promises []testkit.Option
	// faults are those it takes to find the mistake.
	faults []testkit.Option
	// headline and steps are how it is found: no way is shorter.
	headline string
	steps    []string
	// harder are the faults that the correction stands up to besides. They may
	// repeat one of faults with a higher bound.
	harder []testkit.Option
}

func (m mistake[S, A, W]) check(t *testing.T) {
	t.Helper()
	options := slices.Concat(m.promises, m.faults)
	_, failure, err := testkit.Search(m.model(false), options...)
	require.NoError(t, err)
	require.NotNil(t, failure, "the mistake was not found")
	require.Equal(t, m.headline, failure.Headline)
	require.Equal(t, m.steps, failure.Steps)

	explored(t, m.model(true), options...)
	testkit.Retrace(t, m.model(true), failure.Steps, options...)

	options = append(options, m.harder...)
	explored(t, m.model(true), options...)
	testkit.Simulate(t, m.model(true), options...)
}

// explored is [testkit.Explore] that has seen everything.
func explored[S, A, W any](t *testing.T, m testkit.Model[S, A, W], opts ...testkit.Option) {
	t.Helper()
	stats := testkit.Explore(t, m, opts...)
	require.True(t, stats.Complete)
	require.Empty(t, stats.Warnings)
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

func moneyIsRight(o *bugs.Order, b *bank) bool {
	return b.kept() == map[bool]int{true: 1}[o.Phase == bugs.Paid]
}

func TestLateCharge(t *testing.T) {
	t.Parallel()
	mistake[bugs.Order, any, bank]{
		model: func(careful bool) testkit.Model[bugs.Order, any, bank] {
			return testkit.Model[bugs.Order, any, bank]{
				Reducer: bugs.LateCharge{Careful: careful},
				Inputs:  [][]any{{bugs.Place{}}},
				Answers: []testkit.Answer{testkit.On((*bank).charge, testkit.Fails(bugs.ErrDeclined)), testkit.On((*bank).refund)},
			}
		},
		promises: []testkit.Option{
			testkit.Finally("the money is where it belongs", moneyIsRight),
			testkit.Finally("the order is decided", decided),
			testkit.Sometimes("the order is paid", isPaid),
			testkit.Sometimes("a charge is refunded", func(o *bugs.Order, b *bank) bool {
				return !b.Barred || b.Refunded > 0 && o.Phase == bugs.Failed
			}),
		},
		// It takes no fault but the timeout. The charge is made either before it,
		// as here, or after it; a way with neither has no money in the wrong place.
		headline: `Finally "the money is where it belongs" is broken`,
		steps: []string{
			"send Place{}",
			"Charge{Key: 1} is done, its answer on the way",
			"Charge{Key: 1} times out",
		},
		harder: []testkit.Option{testkit.LostReplies(2)},
	}.check(t)
}

func TestStuckAfterRestart(t *testing.T) {
	t.Parallel()
	m := mistake[bugs.Order, any, bank]{
		model: func(careful bool) testkit.Model[bugs.Order, any, bank] {
			return testkit.Model[bugs.Order, any, bank]{
				Reducer: bugs.StuckAfterRestart{Careful: careful},
				Inputs:  [][]any{{bugs.Place{}}},
				Answers: []testkit.Answer{testkit.On((*bank).charge)},
				Recover: func(o *bugs.Order) (bugs.Order, []any) { return *o, []any{bugs.Resume{}} },
			}
		},
		promises: []testkit.Option{
			testkit.Finally("the order is decided", decided),
			testkit.Finally("the money is where it belongs", moneyIsRight),
			testkit.Always("charged once", chargedOnce),
			testkit.Sometimes("the order is paid", isPaid),
		},
		faults:   []testkit.Option{testkit.Crashes(1)},
		headline: `Finally "the order is decided" is broken`,
		steps: []string{
			"send Place{}",
			"crash",
		},
		harder: []testkit.Option{testkit.Crashes(2), testkit.LostReplies(1), testkit.Duplicates(1)},
	}
	m.check(t)

	// Whether a card is declined is a state of the bank, the same for all
	// attempts. Were it declared with Fails, the charge of the life before could
	// be made and that of this one be declined, which no bank with keys does.
	declining := m.model(true)
	declining.World.Barred = true
	explored(t, declining,
		testkit.Finally("the order is decided", decided),
		testkit.Finally("the money is where it belongs", moneyIsRight),
		testkit.Sometimes("the order has failed", func(o *bugs.Order, _ *bank) bool { return o.Phase == bugs.Failed }),
		testkit.Crashes(2), testkit.LostReplies(1), testkit.Duplicates(1))
}

func TestDoubleCharge(t *testing.T) {
	t.Parallel()
	mistake[bugs.Order, any, bank]{
		model: func(careful bool) testkit.Model[bugs.Order, any, bank] {
			return testkit.Model[bugs.Order, any, bank]{
				Reducer: bugs.DoubleCharge{Careful: careful},
				Inputs:  [][]any{{bugs.Place{}}},
				Answers: []testkit.Answer{testkit.On((*bank).charge)},
			}
		},
		promises: []testkit.Option{
			testkit.Always("charged once", chargedOnce),
			testkit.Finally("the money is where it belongs", moneyIsRight),
			testkit.Sometimes("the order is paid", isPaid),
		},
		faults:   []testkit.Option{testkit.LostReplies(1)},
		headline: `Always "charged once" is broken`,
		steps: []string{
			"send Place{}",
			"Charge{Key: 1} is done, its answer lost",
			"Charge{Key: 2} is answered",
		},
		harder: []testkit.Option{testkit.LostReplies(2), testkit.Duplicates(1)},
	}.check(t)
}

// till gives back once for each key.
type till struct{ Refunds map[string]bool }

func (w *till) payBack(q bugs.PayBack) (struct{}, error) {
	if w.Refunds == nil {
		w.Refunds = map[string]bool{}
	}
	w.Refunds[q.Key] = true
	return struct{}{}, nil
}

func TestDoubleRefund(t *testing.T) {
	t.Parallel()
	mistake[bugs.Ticket, any, till]{
		model: func(careful bool) testkit.Model[bugs.Ticket, any, till] {
			return testkit.Model[bugs.Ticket, any, till]{
				Reducer: bugs.DoubleRefund{Careful: careful},
				Inputs:  [][]any{{bugs.Cancel{By: "customer"}}, {bugs.Cancel{By: "organiser"}}},
				Answers: []testkit.Answer{testkit.On((*till).payBack)},
				Recover: func(s *bugs.Ticket) (bugs.Ticket, []any) { return *s, []any{bugs.Resume{}} },
			}
		},
		promises: []testkit.Option{
			testkit.Always("given back once at most", func(_ *bugs.Ticket, w *till) bool { return len(w.Refunds) <= 1 }),
			testkit.Finally("it is given back", func(s *bugs.Ticket, w *till) bool { return len(w.Refunds) == 1 && s.Done }),
			testkit.Sometimes("the ticket is done with", func(s *bugs.Ticket, _ *till) bool { return s.Done }),
		},
		// Two reasons and two refunds: it takes each of the four.
		headline: `Always "given back once at most" is broken`,
		steps: []string{
			`send Cancel{By: "customer"}`,
			`send Cancel{By: "organiser"}`,
			`PayBack{Key: "cancelled by customer"} is answered`,
			`PayBack{Key: "cancelled by organiser"} is answered`,
		},
		harder: []testkit.Option{testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1)},
	}.check(t)
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
	mistake[theatre, testkit.Sent, struct{}]{
		model: func(careful bool) testkit.Model[theatre, testkit.Sent, struct{}] {
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
		},
		promises: []testkit.Option{
			testkit.Finally("the seat is held for who has booked it", func(s *theatre, _ *struct{}) bool {
				return s.Seat.Held == s.Booking.Booked && s.Booking.Over
			}),
			testkit.Sometimes("the seat is booked", func(s *theatre, _ *struct{}) bool { return s.Booking.Booked }),
			testkit.Sometimes("the seat is released", func(s *theatre, _ *struct{}) bool { return s.Seat.Released }),
		},
		// The release has two steps, as it goes to another store and back. The last
		// one changes no seat, but before it the booking is not done and may yet
		// mend what is wrong: Finally looks only when nothing is left to do.
		headline: `Finally "the seat is held for who has booked it" is broken`,
		steps: []string{
			"booking: send Book{}",
			"booking: HoldSeat{} times out",
			"booking: ReleaseSeat{} is delivered",
			"booking: HoldSeat{} arrives late, nobody waits for it",
			"booking: ReleaseSeat{}: the answer arrives",
		},
		harder: []testkit.Option{testkit.LostReplies(2), testkit.Duplicates(1)},
	}.check(t)
}

func TestExpiredAfterPayment(t *testing.T) {
	t.Parallel()
	mistake[bugs.Claim, any, struct{}]{
		model: func(careful bool) testkit.Model[bugs.Claim, any, struct{}] {
			return testkit.Model[bugs.Claim, any, struct{}]{
				Reducer: bugs.ExpiredAfterPayment{Careful: careful},
				// Two senders, for a duplicate of Hold to come after Pay as well.
				Inputs: [][]any{{bugs.Hold{}}, {bugs.Pay{}}},
			}
		},
		promises: []testkit.Option{
			testkit.Always("who has paid has the seat", func(c *bugs.Claim, _ *struct{}) bool { return !c.Paid || c.Held }),
			testkit.Finally("the seat is sold or free", func(c *bugs.Claim, _ *struct{}) bool { return c.Paid == c.Held }),
			testkit.Sometimes("the seat is paid", func(c *bugs.Claim, _ *struct{}) bool { return c.Paid }),
			testkit.Sometimes("the seat is held and not paid", func(c *bugs.Claim, _ *struct{}) bool { return c.Held && !c.Paid }),
		},
		headline: `Always "who has paid has the seat" is broken`,
		steps: []string{
			"send Hold{}",
			"send Pay{}",
			"timer Expired{}",
		},
		harder: []testkit.Option{testkit.Duplicates(2)},
	}.check(t)
}

type adders struct{ One, Two bugs.Adder }

func loadRecord(w *bugs.Record, _ bugs.Load) (bugs.Record, error) { return *w, nil }

func saveRecord(w *bugs.Record, q bugs.Save) (struct{}, error) {
	if q.Expected >= 0 && q.Expected != w.Version {
		return struct{}{}, bugs.ErrConflict
	}
	w.Count, w.Version = q.Count, w.Version+1
	return struct{}{}, nil
}

func TestLostUpdate(t *testing.T) {
	t.Parallel()
	mistake[adders, testkit.Sent, bugs.Record]{
		model: func(careful bool) testkit.Model[adders, testkit.Sent, bugs.Record] {
			r := bugs.LostUpdate{Careful: careful}
			return testkit.Model[adders, testkit.Sent, bugs.Record]{
				Stores: []testkit.Store[adders]{
					testkit.StoreOf("one", func(s *adders) *bugs.Adder { return &s.One }, r),
					testkit.StoreOf("two", func(s *adders) *bugs.Adder { return &s.Two }, r),
				},
				Inputs: [][]testkit.Sent{{testkit.To("one", bugs.Add{})}, {testkit.To("two", bugs.Add{})}},
				Answers: []testkit.Answer{
					testkit.On(loadRecord, testkit.ReadOnly(), testkit.Fails(errDown)),
					testkit.On(saveRecord, testkit.Fails(errDown)),
				},
			}
		},
		promises: []testkit.Option{
			testkit.Finally("what is done is counted", func(s *adders, w *bugs.Record) bool {
				done := 0
				for _, a := range []bugs.Adder{s.One, s.Two} {
					if a.Done {
						done++
					}
				}
				return w.Count == done
			}),
			testkit.Sometimes("both are done", func(s *adders, _ *bugs.Record) bool { return s.One.Done && s.Two.Done }),
			testkit.Failures(0),
		},
		// Each of the two has three steps, and to be done both take them all. Only
		// the order makes the mistake: both load before either has saved.
		headline: `Finally "what is done is counted" is broken`,
		steps: []string{
			"one: send Add{}",
			"two: send Add{}",
			"one: Load{} is answered",
			"two: Load{} is answered",
			"one: Save{Count: 1, Expected: -1} is answered",
			"two: Save{Count: 1, Expected: -1} is answered",
		},
		harder: []testkit.Option{testkit.Failures(2)},
	}.check(t)
}

func TestStaleSearch(t *testing.T) {
	t.Parallel()
	mistake[bugs.Box, any, struct{}]{
		model: func(careful bool) testkit.Model[bugs.Box, any, struct{}] {
			return testkit.Model[bugs.Box, any, struct{}]{
				Reducer: bugs.StaleSearch{Careful: careful},
				Inputs:  [][]any{{bugs.Type{Text: "r"}, bugs.Type{Text: "ro"}}},
				Answers: []testkit.Answer{testkit.On(func(_ *struct{}, q bugs.Search) (string, error) {
					return "found " + q.Text, nil
				}, testkit.ReadOnly())},
			}
		},
		promises: []testkit.Option{
			testkit.Finally("what is shown is for what was typed", func(b *bugs.Box, _ *struct{}) bool { return b.Shown == "found "+b.Text }),
			testkit.Sometimes("something is shown", func(b *bugs.Box, _ *struct{}) bool { return b.Shown != "" }),
		},
		// Two texts, two answers; that they cross is no step more.
		headline: `Finally "what is shown is for what was typed" is broken`,
		steps: []string{
			`send Type{Text: "r"}`,
			`send Type{Text: "ro"}`,
			`Search{Text: "ro"} is answered`,
			`Search{Text: "r"} is answered`,
		},
		harder: []testkit.Option{testkit.Duplicates(2)},
	}.check(t)
}

func TestForgottenWaiter(t *testing.T) {
	t.Parallel()
	mistake[bugs.Account, any, bugs.Record]{
		model: func(careful bool) testkit.Model[bugs.Account, any, bugs.Record] {
			return testkit.Model[bugs.Account, any, bugs.Record]{
				Reducer: bugs.ForgottenWaiter{Careful: careful},
				Inputs:  [][]any{{bugs.Open{}}, {bugs.Open{}}},
				Answers: []testkit.Answer{testkit.On(loadRecord, testkit.ReadOnly(), testkit.Fails(errDown))},
			}
		},
		promises: []testkit.Option{
			testkit.Finally("everybody is answered", func(s *bugs.Account, _ *bugs.Record) bool { return s.Answered == 2 }),
			testkit.Sometimes("somebody is refused", func(s *bugs.Account, _ *bugs.Record) bool { return s.Refused > 0 }),
			testkit.Sometimes("somebody is not refused", func(s *bugs.Account, _ *bugs.Record) bool { return s.Answered > s.Refused }),
		},
		// One command is stuck after its load has failed, but it is a deadlock only
		// when nothing else can happen: the other one has to come and go.
		headline: "deadlock: nothing is left to happen, and something waits",
		steps: []string{
			"send Open{}",
			"send Open{}",
			"Load{} is answered",
			"Load{} fails: database down",
		},
		harder: []testkit.Option{testkit.LostReplies(2)},
	}.check(t)
}
