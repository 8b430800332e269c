package recorder_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/testkit"
)

type (
	state  = recorder.State[errand, do]
	action = recorder.Action[do]
)

// world is the log, and the work that was done.
type world struct {
	Log    log[do]
	Worked int
	Halted bool
}

func (w *world) append(q recorder.Append[do]) (struct{}, error)         { return w.Log.append(q) }
func (w *world) load(q recorder.Load[do]) ([]recorder.Entry[do], error) { return w.Log.load(q) }
func (w *world) halt(recorder.Halt) (struct{}, error)                   { w.Halted = true; return struct{}{}, nil }
func (w *world) work(Work) (struct{}, error)                            { w.Worked++; return struct{}{}, nil }
func (w *world) replayed(r recorder.Reducer[errand, do], n eventstore.Version) errand {
	return replayed(r, w.Log.Entries[:n])
}

// model is a recorded errand. Of a process that has crashed nothing but the log
// is left, and who had asked asks again.
func model(careless bool, inputs ...[]action) testkit.Model[state, action, world] {
	return testkit.Model[state, action, world]{
		State:   state{Stream: "errand-1"},
		Reducer: recordedErrand(careless),
		Inputs:  inputs,
		Answers: []testkit.Answer{
			testkit.On((*world).append),
			testkit.On((*world).load, testkit.ReadOnly()),
			testkit.On((*world).halt),
			testkit.On((*world).work),
		},
		Recover: func(*state) (state, []action) {
			return state{Stream: "errand-1"}, []action{recorder.Wake[do]{}, recorder.Give(run)}
		},
	}
}

func promises(r recorder.Reducer[errand, do]) []testkit.Option {
	return []testkit.Option{
		testkit.Always("the state is what the log says", func(s *state, w *world) bool {
			return s.Version <= w.Log.version() && s.Inner == w.replayed(r, s.Version)
		}),
		testkit.Always("nothing is done that is not in the log", func(_ *state, w *world) bool {
			return w.Worked == 0 || slices.ContainsFunc(w.Log.Entries, func(e recorder.Entry[do]) bool { return e.Action == run })
		}),
		testkit.Always("what was called off stays so", func(_ *state, w *world) bool {
			for n := range w.Log.version() {
				if w.replayed(r, n).Phase == calledOff && w.replayed(r, n+1).Phase != calledOff {
					return false
				}
			}
			return true
		}),
		testkit.Always("it resumes once", func(s *state, w *world) bool {
			resumes := func(e recorder.Entry[do]) bool { return e.Action == resume }
			i := slices.IndexFunc(s.Line, resumes)
			return i < 0 || !slices.ContainsFunc(s.Line[i+1:], resumes)
		}),
		testkit.Always("it does not halt", func(s *state, w *world) bool { return s.Halted == "" && !w.Halted }),
		testkit.Finally("all of the log is reduced", func(s *state, w *world) bool {
			return s.Version == w.Log.version() && s.Version == s.Committed && len(s.Line) == 0
		}),
		testkit.Finally("it is over", func(s *state, w *world) bool { return s.Inner.Phase != running }),
		testkit.Sometimes("it is done", func(s *state, w *world) bool { return s.Inner.Phase == done }),
	}
}

func given(actions ...do) []action {
	all := make([]action, len(actions))
	for i, a := range actions {
		all[i] = recorder.Give(a)
	}
	return all
}

// Every way in which two can use a recorded store, with crashes, lost answers
// and duplicates.
func TestExplored(t *testing.T) {
	t.Parallel()
	crashes := 2
	if testing.Short() {
		crashes = 1
	}
	one := []testkit.Option{testkit.Crashes(1), testkit.LostReplies(1)}
	for name, row := range map[string]struct {
		inputs [][]action
		faults []testkit.Option
	}{
		"run":           {[][]action{given(run)}, []testkit.Option{testkit.Crashes(crashes), testkit.LostReplies(1)}},
		"duplicates":    {[][]action{given(run)}, append(one, testkit.Duplicates(1))},
		"run, call off": {[][]action{given(run), given(callOff)}, one},
		"asked by two":  {[][]action{given(run), given(run)}, one},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.Explore(t, model(false, row.inputs...), append(promises(recordedErrand(false)), row.faults...)...)
		})
	}
}

// A reducer that leans on Cancel alone is caught: its work was taken up before
// it was called off, and is reduced afterwards.
func TestLateActionsAreReduced(t *testing.T) {
	t.Parallel()
	_, failure, err := testkit.Search(model(true, given(run), given(callOff)), promises(recordedErrand(true))...)
	require.NoError(t, err)
	require.NotNil(t, failure)
	require.Contains(t, failure.Headline, "what was called off stays so")
}

// rivals are stores of two processes that work on the same stream.
type rivals struct{ One, Two state }

// Two processes on one stream do no harm: no state is other than the log, and
// whoever had written there before the other halts.
func TestExploredRivals(t *testing.T) {
	t.Parallel()
	r := recordedErrand(false)
	begin := state{Stream: "errand-1"}
	m := testkit.Model[rivals, testkit.Sent, world]{
		State: rivals{begin, begin},
		Stores: []testkit.Store[rivals]{
			testkit.StoreOf("one", func(s *rivals) *state { return &s.One }, r),
			testkit.StoreOf("two", func(s *rivals) *state { return &s.Two }, r),
		},
		Inputs:  [][]testkit.Sent{{testkit.To("one", recorder.Give(run))}, {testkit.To("two", recorder.Give(callOff))}},
		Answers: model(false).Answers,
	}
	inLog := func(s *state, w *world) bool {
		return s.Version <= w.Log.version() && s.Inner == w.replayed(r, s.Version)
	}
	testkit.Explore(t, m,
		testkit.Always("the states are what the log says", func(s *rivals, w *world) bool {
			return inLog(&s.One, w) && inLog(&s.Two, w)
		}),
		testkit.Always("one of them goes on", func(s *rivals, _ *world) bool { return s.One.Halted == "" || s.Two.Halted == "" }),
		testkit.Finally("who halts says so", func(s *rivals, w *world) bool {
			return w.Halted == (s.One.Halted != "" || s.Two.Halted != "")
		}),
		testkit.Sometimes("one halts", func(s *rivals, _ *world) bool { return s.One.Halted != "" }),
		testkit.Sometimes("the other has found its past", func(s *rivals, _ *world) bool {
			return s.Two.Settled && s.Two.Version == 3 // run, resume, call off
		}),
		testkit.LostReplies(1))
}
