package inventory

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/testkit"
)

var (
	errDown = errors.New("read model is down")

	a1 = ticket.Seat{Row: 1, Number: 1}
	a2 = ticket.Seat{Row: 1, Number: 2}
	a3 = ticket.Seat{Row: 1, Number: 3}
)

func best(r ticket.Reservation, n int) Hold {
	return Hold{Reservation: r, Section: stalls, Quantity: n}
}

func confirmed(r ticket.Reservation) Confirm { return Confirm{r, stalls} }

func released(r ticket.Reservation) Release { return Release{r, stalls} }

// waits is the change of a command that has to wait for the section.
func waits(ts *testkit.TestStore[State, Action], c Command) func(*State) {
	return func(s *State) { _, _ = s.Load.Admit(stalls, c, ts.Now(), policy) }
}

// ready is a store that has loaded a section with three seats in a row.
func ready(t *testing.T) *testkit.TestStore[State, Action] {
	t.Helper()
	ts := testkit.New[State, Action](t, State{}, Reducer{})
	ts.Send(released("nobody"), waits(ts, released("nobody")))
	testkit.Reply(ts, LoadSection{stalls}, NewSection(stalls, premium, 3))
	ts.SkipActions()
	return ts
}

func TestSectionIsLoadedWhenTheFirstCommandComes(t *testing.T) {
	t.Parallel()
	ts := testkit.New[State, Action](t, State{}, Reducer{})

	// The first command loads, the others wait behind it.
	ts.Send(best("ann", 2), waits(ts, best("ann", 2)))
	ts.Send(best("bob", 1), waits(ts, best("bob", 1)))
	ts.Send(best("cat", 1), waits(ts, best("cat", 1)))
	ts.Advance(time.Second)

	// The section is here: they go on, in their order.
	testkit.Reply(ts, LoadSection{stalls}, NewSection(stalls, premium, 3))
	ts.Receive(SectionLoaded{NewSection(stalls, premium, 3)}, func(s *State) {
		waiting, _ := s.Load.Loaded(stalls, ts.Now(), policy)
		for _, c := range waiting {
			waits(ts, c)(s) // no longer
		}
		s.Section = NewSection(stalls, premium, 3)
		s.Section.give("ann", []ticket.Seat{a1, a2})
		s.Section.give("bob", []ticket.Seat{a3})
	})
	ts.Receive(Held{"ann", []ticket.Seat{a1, a2}, 299_80})
	ts.Receive(Held{"bob", []ticket.Seat{a3}, 149_90})
	ts.Receive(Rejected{"cat", &ticket.RejectionError{Reason: SoldOut}})

	// It stays: nobody loads it again.
	ts.Send(released("ann"), func(s *State) { s.Section.take("ann", IsReleased) })
	ts.Receive(Released{"ann", []ticket.Seat{a1, a2}})
	ts.Send(released("bob"), func(s *State) { s.Section.take("bob", IsReleased) })
	ts.Receive(Released{"bob", []ticket.Seat{a3}})
}

func TestSectionThatDoesNotExist(t *testing.T) {
	t.Parallel()
	ts := testkit.New[State, Action](t, State{}, Reducer{})
	nowhere := ticket.Reject(NoSuchSection, "gala/stalls")
	ts.Send(best("ann", 2), waits(ts, best("ann", 2)))
	testkit.Fail(ts, LoadSection{stalls}, nowhere)
	ts.Receive(LoadFailed{stalls, nowhere}, func(s *State) { _, _, _ = s.Load.Failed(stalls) })
	ts.Receive(Rejected{"ann", nowhere})
}

func TestSectionThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	ts := testkit.New[State, Action](t, State{}, Reducer{})
	ts.Send(best("ann", 2), waits(ts, best("ann", 2)))
	for range 4 { // attempts that are followed by another
		testkit.Fail(ts, LoadSection{stalls}, errDown)
		ts.Advance(time.Second)
	}
	testkit.Fail(ts, LoadSection{stalls}, errDown)
	unavailable := ticket.Reject(Unavailable, "%v", errDown)
	ts.Receive(LoadFailed{stalls, unavailable}, func(s *State) { _, _, _ = s.Load.Failed(stalls) })
	ts.Receive(Rejected{"ann", unavailable})

	// The next command tries again.
	ts.Send(best("bob", 1), waits(ts, best("bob", 1)))
	testkit.Reply(ts, LoadSection{stalls}, NewSection(stalls, premium, 3))
	ts.SkipActions()
	ts.Send(confirmed("bob"), func(s *State) { s.Section.Claims["bob"] = Claim{IsSold, []ticket.Seat{a2}} })
	ts.Receive(Confirmed{"bob", []ticket.Seat{a2}})
}

func TestHoldExpires(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(best("ann", 1), func(s *State) { s.Section.give("ann", []ticket.Seat{a2}) })
	ts.Receive(Held{"ann", []ticket.Seat{a2}, 149_90})

	ts.Advance(HoldFor - time.Nanosecond) // it is still hers
	ts.Advance(time.Nanosecond)
	ts.Receive(HoldExpired{"ann"}, func(s *State) { s.Section.take("ann", IsExpired) })

	// Whoever paid for it in vain hears so, and others may have it.
	ts.Send(confirmed("ann"))
	ts.Receive(Rejected{"ann", &ticket.RejectionError{Reason: HoldOver}})
	ts.Send(best("bob", 1), func(s *State) { s.Section.give("bob", []ticket.Seat{a2}) })
	ts.Receive(Held{"bob", []ticket.Seat{a2}, 149_90})
	ts.SkipInFlight() // bob's timer
}

func TestConfirmedSeatsDoNotExpire(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(best("ann", 1), func(s *State) { s.Section.give("ann", []ticket.Seat{a2}) })
	ts.Receive(Held{"ann", []ticket.Seat{a2}, 149_90})
	ts.Send(confirmed("ann"), func(s *State) { s.Section.Claims["ann"] = Claim{IsSold, []ticket.Seat{a2}} })
	ts.Receive(Confirmed{"ann", []ticket.Seat{a2}})
	ts.Advance(24 * time.Hour)
}

func TestReleaseGivesBackWhatIsSold(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(best("ann", 3), func(s *State) { s.Section.give("ann", []ticket.Seat{a1, a2, a3}) })
	ts.Receive(Held{"ann", []ticket.Seat{a1, a2, a3}, 449_70})
	ts.Send(confirmed("ann"), func(s *State) { s.Section.Claims["ann"] = Claim{IsSold, []ticket.Seat{a1, a2, a3}} })
	ts.Receive(Confirmed{"ann", []ticket.Seat{a1, a2, a3}})
	ts.Send(released("ann"), func(s *State) { s.Section.take("ann", IsReleased) })
	ts.Receive(Released{"ann", []ticket.Seat{a1, a2, a3}})
	require.Equal(t, 3, free(ts))
}

func TestEveryCommandMayComeTwice(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(best("ann", 1), func(s *State) { s.Section.give("ann", []ticket.Seat{a2}) })
	ts.Receive(Held{"ann", []ticket.Seat{a2}, 149_90})
	ts.Send(best("ann", 1))
	ts.Receive(Held{"ann", []ticket.Seat{a2}, 149_90})

	ts.Send(confirmed("ann"), func(s *State) { s.Section.Claims["ann"] = Claim{IsSold, []ticket.Seat{a2}} })
	ts.Receive(Confirmed{"ann", []ticket.Seat{a2}})
	ts.Send(confirmed("ann"))
	ts.Receive(Confirmed{"ann", []ticket.Seat{a2}})
	ts.Send(best("ann", 1)) // late
	ts.Receive(Held{"ann", []ticket.Seat{a2}, 149_90})

	ts.Send(released("ann"), func(s *State) { s.Section.take("ann", IsReleased) })
	ts.Receive(Released{"ann", []ticket.Seat{a2}})
	ts.Send(released("ann"))
	ts.Receive(Released{"ann", nil})
}

// The answer to a Hold is lost and its sender gives up: the Release may come
// first.
func TestReleaseBeforeTheHoldItUndoes(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(released("ann"), func(s *State) { s.Section.Claims["ann"] = Claim{Status: IsReleased} })
	ts.Receive(Released{"ann", nil})
	ts.Send(best("ann", 2))
	ts.Receive(Rejected{"ann", &ticket.RejectionError{Reason: HoldOver}})
	ts.Send(confirmed("ann"))
	ts.Receive(Rejected{"ann", &ticket.RejectionError{Reason: HoldOver}})
	require.Equal(t, 3, free(ts))
}

func TestConfirmWithoutAHold(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(confirmed("ann"))
	ts.Receive(Rejected{"ann", &ticket.RejectionError{Reason: NoHold}})
}

func TestTwoWantTheSameSeat(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	chosen := func(r ticket.Reservation) Hold {
		return Hold{Reservation: r, Section: stalls, Chosen: []ticket.Seat{a1, a2}}
	}
	ts.Send(chosen("ann"), func(s *State) { s.Section.give("ann", []ticket.Seat{a1, a2}) })
	ts.Receive(Held{"ann", []ticket.Seat{a1, a2}, 299_80})
	ts.Send(chosen("bob"))
	ts.Receive(Rejected{"bob", ticket.Reject(SeatTaken, "A1")})
	ts.SkipInFlight() // ann's timer
}

// A recorder may have taken it up before it was cancelled.
func TestExpiryThatComesLateChangesNothing(t *testing.T) {
	t.Parallel()
	ts := ready(t)
	ts.Send(HoldExpired{"ann"})
	ts.Send(best("ann", 1), func(s *State) { s.Section.give("ann", []ticket.Seat{a2}) })
	ts.Receive(Held{"ann", []ticket.Seat{a2}, 149_90})
	ts.Send(confirmed("ann"), func(s *State) { s.Section.Claims["ann"] = Claim{IsSold, []ticket.Seat{a2}} })
	ts.Receive(Confirmed{"ann", []ticket.Seat{a2}})
	ts.Send(HoldExpired{"ann"})
}

// Holds run again in a new process, and the section is loaded again for those
// who waited for it. Nobody hears the answers.
func TestResume(t *testing.T) {
	t.Parallel()
	waiting := State{}
	_, err := waiting.Load.Admit(stalls, best("ann", 1), time.Now(), policy)
	require.NoError(t, err)
	_, ok := Resumes(&State{})
	require.False(t, ok)
	resume, ok := Resumes(&waiting)
	require.True(t, ok)

	ts := testkit.New[State, Action](t, waiting, Reducer{})
	ts.Send(resume)
	testkit.Reply(ts, LoadSection{stalls}, NewSection(stalls, premium, 3))
	ts.SkipActions()
	held := ts.State()
	require.Equal(t, IsHeld, held.Section.Claims["ann"].Status)
	ts.SkipInFlight() // the process ends

	resume, ok = Resumes(&held)
	require.True(t, ok)
	ts = testkit.New[State, Action](t, held, Reducer{})
	ts.Send(resume)
	ts.Advance(HoldFor)
	ts.Receive(HoldExpired{"ann"}, func(s *State) { s.Section.take("ann", IsExpired) })
	expired := ts.State()
	_, ok = Resumes(&expired)
	require.False(t, ok)
}

func free(ts *testkit.TestStore[State, Action]) int {
	s := ts.State()
	return s.Section.Free()
}
