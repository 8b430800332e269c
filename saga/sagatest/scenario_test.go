package sagatest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
)

var nothing = struct{}{}

// begun is a reservation that waits for its seats.
func begun(t *fakeT) *sagatest.Saga[Order, Action] {
	return sagatest.Begin(t, Reservation, Reserve{"ann", 2})
}

// charging is a reservation that waits for its charge.
func charging(t *fakeT) *sagatest.Saga[Order, Action] {
	s := begun(t)
	sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
	return s
}

func passes(t *testing.T, test func(t *fakeT)) {
	t.Helper()
	require.Empty(t, try(test).failures)
}

func TestScenario(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *fakeT){
		"sold": func(t *fakeT) {
			s := begun(t)
			s.Changed(func(o *Order) { o.Customer = "ann" })
			s.Pending(HoldSeats{2})
			s.Timer("deadline", 5*time.Minute)
			sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
			s.Changed(func(o *Order) { o.Seats = []string{"A1", "A2"} })
			sagatest.Reply(s, Charge{10000}, nothing)
			s.Changed()
			sagatest.Reply(s, ConfirmSeats{[]string{"A1", "A2"}}, nothing)
			s.Ended(saga.Completed, "")
		},
		"declined": func(t *fakeT) {
			s := charging(t)
			s.Reject(Charge{10000}, errDeclined)
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: card declined")
		},
		"the outcome is unknown, and so undone": func(t *fakeT) {
			s := charging(t)
			s.Exhaust(Charge{10000}, errDown)
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: connection refused")
		},
		"one attempt fails, the next does not": func(t *fakeT) {
			s := charging(t)
			s.Fail(Charge{10000}, errDown)
			s.Pending(Charge{10000})
			s.Advance(time.Second)
			sagatest.Reply(s, Charge{10000}, nothing)
			s.Pending(ConfirmSeats{[]string{"A1", "A2"}})
		},
		"attempts run out of their time": func(t *fakeT) {
			s := charging(t)
			s.Timeout(Charge{10000})
			s.Advance(time.Second)
			s.Timeout(Charge{10000})
			require.Equal(t, 21*time.Second, s.Now().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: timed out")
		},
		"an attempt that would not mend is the last": func(t *fakeT) {
			s := charging(t)
			s.Fail(Charge{10000}, effect.Permanent(errDown))
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: connection refused")
		},
		"the deadline": func(t *fakeT) {
			s := begun(t)
			s.Later(HoldSeats{2}) // or its attempts would run out before
			s.Advance(5*time.Minute, Expired{})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "the hold ran out")
		},
		"attempts run out before the deadline": func(t *fakeT) {
			s := begun(t)
			s.Advance(61*time.Second, Refused{"seats: timed out"})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "seats: timed out")
		},
		"cancelled": func(t *fakeT) {
			s := charging(t)
			s.Cancel("changed my mind")
			s.Cancel("really")
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "changed my mind")
			s.Cancel("still")
		},
		"a late success of what was undone": func(t *fakeT) {
			s := charging(t)
			s.Cancel("changed my mind")
			sagatest.Reply(s.Late(), Charge{10000}, nothing)
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "changed my mind")
		},
		"a late rejection leaves nothing to undo": func(t *fakeT) {
			s := charging(t)
			s.Cancel("changed my mind")
			s.Late().Reject(Charge{10000}, errDeclined)
			s.Late().Undone(Refund{10000}) // it was at work, and the next waits for it
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "changed my mind")
		},
		"a late success is paid back": func(t *fakeT) {
			s := sagatest.Begin(t, reservation(mistakes{NoRefund: true, PaysBack: true}), Reserve{"ann", 1})
			sagatest.Reply(s, HoldSeats{1}, []string{"A1"})
			s.Cancel("changed my mind")
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "changed my mind")
			sagatest.Reply(s.Late(), Charge{5000}, nothing)
			sagatest.Reply(s, PayBack{5000}, nothing)
			s.Ended(saga.Compensated, "changed my mind")
			require.Equal(t, 5000, s.State().Back)
		},
		"a result that comes later": func(t *fakeT) {
			s := charging(t)
			s.Later(Charge{10000})
			s.Pending(Charge{10000})
			s.Advance(time.Minute)
			s.Crash()
			s.Pending(Charge{10000})
			sagatest.Reply(s, Charge{10000}, nothing)
			s.Pending(ConfirmSeats{[]string{"A1", "A2"}})
		},
		"a result that comes later is a failure": func(t *fakeT) {
			s := charging(t)
			s.Later(Charge{10000})
			s.Fail(Charge{10000}, errDown) // it is the result, not an attempt
			s.Undone(Refund{10000})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "payment: connection refused")
		},
		"crashes": func(t *fakeT) {
			s := begun(t)
			s.Crash()
			sagatest.Reply(s, HoldSeats{2}, []string{"A1", "A2"})
			s.Fail(Charge{10000}, errDown)
			s.Crash()
			s.Advance(time.Second)
			s.Crash()
			s.Fail(Charge{10000}, errDown)
			s.Crash()
			s.Undone(Refund{10000})
			s.Crash()
			s.Undone(ReleaseSeats{})
			s.Crash()
			s.Ended(saga.Compensated, "payment: connection refused")
		},
		"a timer outlives a crash": func(t *fakeT) {
			s := begun(t)
			s.Later(HoldSeats{2})
			s.Advance(4 * time.Minute)
			s.Crash()
			s.Timer("deadline", time.Minute)
			s.Advance(time.Minute, Expired{})
			s.Undone(ReleaseSeats{})
			s.Ended(saga.Compensated, "the hold ran out")
		},
		"signals": func(t *fakeT) {
			s := begun(t)
			s.Signal(Rename{"bob"})
			s.SignalID("mine", Rename{"eve"})
			s.SignalID("mine", Rename{"mallory"}) // is not taken again
			s.Changed(func(o *Order) { o.Customer = "eve" })
			s.SkipOpen()
		},
		"refused": func(t *fakeT) {
			s := charging(t)
			sagatest.Reply(s, Charge{10000}, nothing)
			s.ExpectRefused(saga.ErrPivoted)
			s.Cancel("too late")
			sagatest.Reply(s, ConfirmSeats{[]string{"A1", "A2"}}, nothing)
			s.Ended(saga.Completed, "")
			s.ExpectRefused(saga.ErrEnded)
			s.Signal(Rename{"bob"})
		},
		"stuck at what must succeed": func(t *fakeT) {
			s := sagatest.BeginWith(t, Reservation, sagatest.Config{StuckAfter: 3}, Reserve{"ann", 2})
			s.Cancel("changed my mind")
			s.Exhaust(ReleaseSeats{}, errDown)
			s.Stuck("failed at attempt 3")
		},
		"stuck at a rejection of an undo": func(t *fakeT) {
			s := begun(t)
			s.Cancel("changed my mind")
			s.Reject(ReleaseSeats{}, errDeclined)
			s.Stuck("release-seats")
		},
		"stuck at a panic": func(t *fakeT) {
			s := begun(t)
			s.Signal(Misdo{"panic"})
			s.Stuck("at the box office")
		},
		"given up by its key": func(t *fakeT) {
			s := charging(t)
			s.Signal(Release{})
			s.Pending()
			s.Timer("deadline", 5*time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passes(t, test)
		})
	}
}
