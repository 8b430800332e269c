package ondemand

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// admitted is the change that a command makes which has to wait.
func admitted(t *testing.T, ts *testkit.TestStore[State, Action], c Reserve) func(*State) {
	t.Helper()
	return func(s *State) {
		_, err := s.Load.Admit(c.Section, c, ts.Now(), policy)
		require.NoError(t, err)
	}
}

func TestCommandsWaitForTheLoad(t *testing.T) {
	t.Parallel()
	r1, r2 := Reserve{"r1", "stalls", 2}, Reserve{"r2", "stalls", 2}
	ts := testkit.New(t, State{}, reducer.Func[State, Action](Reduce))
	ts.Send(r1, admitted(t, ts, r1))
	ts.Send(r2, admitted(t, ts, r2))

	testkit.Reply(ts, LoadSection{"stalls"}, Section{"stalls", 3})
	ts.Receive(SectionLoaded{Section{"stalls", 3}}, func(s *State) {
		s.Load.Loaded("stalls", ts.Now(), policy)
		s.Section = Section{"stalls", 3}
	})
	ts.Receive(r1, func(s *State) { admitted(t, ts, r1)(s); s.Section.Free = 1 })
	ts.Receive(r2, admitted(t, ts, r2))
	ts.Receive(Reserved{"r1", 1})
	ts.Receive(Refused{"r2", "too few seats"})
}

func TestAFailedLoadRefusesThoseWhoWait(t *testing.T) {
	t.Parallel()
	r1 := Reserve{"r1", "roof", 2}
	ts := testkit.New(t, State{}, reducer.Func[State, Action](Reduce))
	ts.Send(r1, admitted(t, ts, r1))
	testkit.Fail(ts, LoadSection{"roof"}, effect.Permanent(ErrNoSection)) // no second attempt
	ts.Receive(LoadFailed{"roof", "no such section"}, func(s *State) { s.Load.Failed("roof") })
	ts.Receive(Refused{"r1", "no such section"})
}

func TestWhoeverGivesUpLeavesTheLine(t *testing.T) {
	t.Parallel()
	r1, r2 := Reserve{"r1", "stalls", 2}, Reserve{"r2", "stalls", 2}
	ts := testkit.New(t, State{}, reducer.Func[State, Action](Reduce))
	ts.Send(r1, admitted(t, ts, r1))
	ts.Send(r2, admitted(t, ts, r2))
	ts.Send(GaveUp{"r1"}, func(s *State) {
		s.Load.Remove(func(c Reserve) bool { return c.ID == "r1" })
	})
	testkit.Reply(ts, LoadSection{"stalls"}, Section{"stalls", 3})
	ts.Receive(SectionLoaded{Section{"stalls", 3}}, func(s *State) {
		s.Load.Loaded("stalls", ts.Now(), policy)
		s.Section = Section{"stalls", 3}
	})
	ts.Receive(r2, func(s *State) { admitted(t, ts, r2)(s); s.Section.Free = 1 })
	ts.Receive(Reserved{"r2", 1})
}
