package sagatest_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
)

// What a test does not say, or says wrongly, fails it, with a report to go by.
func TestScenarioReports(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		test func(t *fakeT)
		want []string
	}{
		"an effect and a timer that are open": {
			func(t *fakeT) { begun(t) },
			[]string{
				"the test has ended, and this was not asserted", "waits for HoldSeats{Quantity: 2}", `timer "deadline" in 5m0s`,
				"so far:", `1. Begin Reserve{Customer: "ann", Quantity: 2}`, "begun: HoldSeats{Quantity: 2}",
			},
		},
		"only the timer is open": {
			func(t *fakeT) { begun(t).Pending(HoldSeats{2}) },
			[]string{"not asserted:\n\n  timer \"deadline\" in 5m0s\n\nso far"},
		},
		"what was asserted before the last decision is open": {
			func(t *fakeT) {
				s := begun(t)
				s.Pending(HoldSeats{2})
				s.Timer("deadline", 5*time.Minute)
				s.Signal(Rename{"bob"})
			},
			[]string{"waits for HoldSeats", "timer"},
		},
		"an undo that is open": {
			func(t *fakeT) { begun(t).Cancel("no") },
			[]string{"waits for ReleaseSeats{}", `compensating for "no"`, "begun: undo ReleaseSeats{}", "open:", "waits for undo ReleaseSeats{}"},
		},
		"an end that was not asserted": {
			func(t *fakeT) {
				s := begun(t)
				s.Reject(HoldSeats{2}, errDeclined)
			},
			[]string{`it has ended: compensated for "seats: card declined"`},
		},
		"another end": {
			func(t *fakeT) {
				s := begun(t)
				s.Reject(HoldSeats{2}, errDeclined)
				s.Ended(saga.Completed, "")
			},
			[]string{`it was to have ended as completed, and is compensated for "seats: card declined"`},
		},
		"another reason": {
			func(t *fakeT) {
				s := begun(t)
				s.Reject(HoldSeats{2}, errDeclined)
				s.Ended(saga.Compensated, "seats")
			},
			[]string{`as compensated for "seats", and is compensated for "seats: card declined"`},
		},
		"not ended": {
			func(t *fakeT) { begun(t).Ended(saga.Completed, "") },
			[]string{`it was to have ended as completed, and is running`, "waits for HoldSeats{Quantity: 2}"},
		},
		"another state": {
			func(t *fakeT) { begun(t).Changed(func(o *Order) { o.Customer = "bob" }) },
			[]string{"the state is another than was asserted", "state (-want +got)", `"bob"`, `"ann"`},
		},
		"a state that was to stay": {
			func(t *fakeT) { begun(t).Changed() },
			[]string{"the state is another than was asserted", `"ann"`},
		},
		"other requests": {
			func(t *fakeT) { begun(t).Pending(HoldSeats{3}) },
			[]string{"the saga waits for other requests", "requests (-want +got)", "Quantity: 3", "Quantity: 2"},
		},
		"more requests than were said": {
			func(t *fakeT) { begun(t).Pending() },
			[]string{"the saga waits for other requests", "Quantity: 2"},
		},
		"a request that is not there": {
			func(t *fakeT) { sagatest.Reply(begun(t), Charge{1}, nothing) },
			[]string{"Charge{Cents: 1} is not being done"},
		},
		"a request with other fields": {
			func(t *fakeT) { sagatest.Reply(begun(t), HoldSeats{3}, nil) },
			[]string{"HoldSeats{Quantity: 3} is not being done", "nearest request (-said +being done)", "Quantity: 3"},
		},
		"a request that waits for its next attempt": {
			func(t *fakeT) {
				s := begun(t)
				s.Fail(HoldSeats{2}, errDown)
				s.Fail(HoldSeats{2}, errDown)
			},
			[]string{"HoldSeats{Quantity: 2} is not being done: its attempt 2 is in ", "Advance to it"},
		},
		"an undo that is none": {
			func(t *fakeT) { begun(t).Undone(HoldSeats{2}) },
			[]string{"HoldSeats{Quantity: 2} is no undo"},
		},
		"a late answer that was not said to be": {
			func(t *fakeT) {
				s := begun(t)
				s.Cancel("no")
				sagatest.Reply(s, HoldSeats{2}, nil)
			},
			[]string{"HoldSeats{Quantity: 2} was given up", "Late"},
		},
		"a late answer that is none": {
			func(t *fakeT) { sagatest.Reply(begun(t).Late(), HoldSeats{2}, nil) },
			[]string{"HoldSeats{Quantity: 2} was not given up"},
		},
		"no answer comes after a crash": {
			func(t *fakeT) {
				s := begun(t)
				s.Cancel("no")
				s.Crash()
				sagatest.Reply(s.Late(), HoldSeats{2}, nil)
			},
			[]string{"HoldSeats{Quantity: 2} is not being done", "Crash"},
		},
		"a failure that is a rejection": {
			func(t *fakeT) { begun(t).Fail(HoldSeats{2}, saga.Rejected(errDeclined)) },
			[]string{"is a rejection", "Reject"},
		},
		"no error": {
			func(t *fakeT) { begun(t).Reject(HoldSeats{2}, nil) },
			[]string{"Reject: the error is nil"},
		},
		"no timer": {
			func(t *fakeT) { begun(t).Timer("reminder", time.Minute) },
			[]string{`there is no timer "reminder"`, `timer "deadline" in 5m0s`},
		},
		"a timer of another time": {
			func(t *fakeT) { begun(t).Timer("deadline", time.Minute) },
			[]string{`timer "deadline" is due in 5m0s, not in 1m0s`},
		},
		"a timer that was not said": {
			func(t *fakeT) {
				s := begun(t)
				s.Later(HoldSeats{2})
				s.Advance(time.Hour)
			},
			[]string{"other actions were reduced on the way than Advance was given", "Expired", "timer, reduced Expired{}"},
		},
		"a timer that does not fire": {
			func(t *fakeT) { begun(t).Advance(time.Second, Expired{}) },
			[]string{"other actions were reduced on the way", "Expired"},
		},
		"something else happens while attempts run out": {
			func(t *fakeT) {
				s := begun(t)
				s.Signal(Misdo{"remind"}) // in a minute
				s.Timeout(HoldSeats{2})
				s.Advance(time.Second)
				s.Timeout(HoldSeats{2}) // in 61 s
			},
			[]string{"something else has happened on the way: Remind{}"},
		},
		"time goes back": {
			func(t *fakeT) { begun(t).Advance(-1) },
			[]string{"time does not go back"},
		},
		"time without end": {
			func(t *fakeT) {
				s := sagatest.BeginWith(t, Reservation, sagatest.Config{PurityRuns: -1}, Reserve{"ann", 2})
				s.Later(HoldSeats{2})
				s.Signal(Misdo{"remind without end"})
				s.Advance(time.Second)
			},
			[]string{"there is no end"},
		},
		"a refusal that was not said": {
			func(t *fakeT) {
				s := begun(t)
				s.Reject(HoldSeats{2}, errDeclined)
				s.Signal(Rename{"bob"})
			},
			[]string{"it was refused: saga has ended", "ExpectRefused"},
		},
		"a refusal that does not come": {
			func(t *fakeT) {
				s := begun(t)
				s.ExpectRefused(saga.ErrEnded)
				s.Signal(Rename{"bob"})
			},
			[]string{`it was to be refused with "saga has ended", and was taken`},
		},
		"another refusal": {
			func(t *fakeT) {
				s := begun(t)
				s.Reject(HoldSeats{2}, errDeclined)
				s.ExpectRefused(saga.ErrPivoted)
				s.Signal(Rename{"bob"})
			},
			[]string{"it was to be refused with", "point of no return", "has ended"},
		},
		"a panic": {
			func(t *fakeT) { begun(t).Signal(Misdo{"panic"}) },
			[]string{"could not decide: panic: at the box office", "reservation_test.go", "so far", `Signal Misdo{How: "panic"}`},
		},
		"a panic before the next call": {
			func(t *fakeT) {
				s := begun(t)
				s.Signal(Misdo{"panic"})
				s.Crash()
			},
			[]string{"before Crash: the saga could not decide", "at the box office", "say Stuck"},
		},
		"stuck for another reason": {
			func(t *fakeT) {
				s := begun(t)
				s.Signal(Misdo{"panic"})
				s.Stuck("nil pointer")
			},
			[]string{`it is stuck for another reason than "nil pointer": panic: at the box office`},
		},
		"not stuck": {
			func(t *fakeT) { begun(t).Stuck("x") },
			[]string{"it was to be stuck, and is running"},
		},
		"a foreign effect":     {misdoes("foreign"), []string{"a saga cannot keep an effect that saga.Of does not make"}},
		"chance":               {misdoes("chance"), []string{"the reducer is impure", "decision (-first run +run", "Back", "Likely causes"}},
		"something kept":       {misdoes("calls"), []string{"the reducer is impure", "Back"}},
		"the order of a map":   {misdoes("fill", "order"), []string{"the reducer is impure", "Order"}},
		"the order of effects": {misdoes("fill", "effects"), []string{"the reducer is impure", "pay-back"}},
		"an action that is not registered": {
			func(t *fakeT) { begun(t).Signal(Foreign{}) },
			[]string{"Foreign is not one of Types.Actions"},
		},
		"a start that is no action": {
			func(t *fakeT) { sagatest.Begin(t, Reservation, 7) },
			[]string{"action int is not one of Types.Actions"},
		},
		"no definition": {
			func(t *fakeT) { sagatest.Begin[Order, Action](t, nil, Reserve{}) },
			[]string{"the definition is nil"},
		},
		"a definition that is not sound": {
			func(t *fakeT) { sagatest.Begin(t, saga.Define("x y", reserver{}, saga.Types{}), Reserve{}) },
			[]string{"the definition is not sound", `"x y"`},
		},
		"a key that no saga can have": {
			func(t *fakeT) { sagatest.BeginWith(t, Reservation, sagatest.Config{Key: "\x00"}, Reserve{}) },
			[]string{"not sound", "Key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, row.test), row.want...)
		})
	}
}

func misdoes(how ...string) func(t *fakeT) {
	return func(t *fakeT) {
		s := begun(t)
		for _, h := range how {
			s.Signal(Misdo{h})
			if h == "foreign" {
				return
			}
		}
		s.SkipOpen()
	}
}

// keeps is a saga whose state is an S.
func keeps[S any](change func(*S)) func(t *fakeT) {
	return func(t *fakeT) {
		d := saga.Define("keeps", reducer.Func[S, int](func(s *S, _ int, _ reducer.Env) effect.Effect[int] {
			if change != nil {
				change(s)
			}
			return saga.Of[int]{}.None()
		}), saga.Types{Actions: []saga.ActionType{saga.Action[int]("n")}})
		sagatest.Begin(t, d, 1).SkipOpen()
	}
}

// shrinks is written otherwise than it was read.
type shrinks struct{ N int }

func (s shrinks) MarshalText() ([]byte, error) { return []byte("n")[:min(1, s.N)], nil }
func (s *shrinks) UnmarshalText(b []byte) error {
	s.N = len(b) - 1
	return nil
}

func TestStateSurvivesItsJSON(t *testing.T) {
	t.Parallel()
	type inner struct{ hidden int }
	type recursive struct{ Next *recursive }
	passes(t, keeps[Order](nil))
	passes(t, keeps[recursive](nil))
	passes(t, keeps[struct{ At time.Time }](nil))
	for _, row := range []struct {
		test func(t *fakeT)
		want []string
	}{
		{keeps[inner](nil), []string{"the definition is not sound", "state: sagatest_test.inner.hidden is not exported"}},
		{keeps[struct{ Lines map[string][]inner }](nil), []string{".Lines[][].hidden is not exported"}},
		{keeps(func(s *struct {
			N int `json:"-"`
		}) {
			s.N = 1
		}), []string{`.N is tagged json:"-"`}},
		{keeps[struct{ Err error }](nil), []string{".Err is a error, which cannot be read again"}},
		{keeps[struct{ F func() }](nil), []string{".F is a func(), which JSON cannot keep"}},
		{keeps(func(s *struct{ S shrinks }) { s.S.N = 1 }), []string{"the state does not survive its JSON: read and written again it is another"}},
	} {
		mentions(t, fails(t, row.test), row.want...)
	}
	_ = inner{hidden: 1}
}

type (
	say   struct{ Text string }
	speak struct{ Text string }
)

func (speak) Returns(struct{}) {}

// An action that a result becomes is held to be the same in all of it, though reports
// show but the beginning of what is long.
func TestImpureInALongAction(t *testing.T) {
	t.Parallel()
	n := 0
	def := saga.Define("speaking", reducer.Func[struct{}, say](func(_ *struct{}, a say, _ reducer.Env) effect.Effect[say] {
		if a.Text == "" {
			return saga.Of[say]{}.Do(speak{})
		}
		return saga.Of[say]{}.None()
	}), saga.Types{
		Actions: []saga.ActionType{saga.Action[say]("say")},
		Requests: []saga.RequestType{saga.On("speak", func(speak, saga.Reply[struct{}]) say {
			n++
			return say{strings.Repeat("x", 1000) + strconv.Itoa(n)}
		})},
	})
	mentions(t, fails(t, func(t *fakeT) {
		sagatest.Reply(sagatest.Begin(t, def, say{}), speak{}, struct{}{})
	}), "the reducer is impure")
}

// A test that has failed, or is over for another reason, is not blamed twice.
func TestOneFailureIsEnough(t *testing.T) {
	t.Parallel()
	f := try(func(t *fakeT) {
		s := begun(t)
		func() {
			defer func() { _ = recover() }()
			s.Ended(saga.Completed, "")
		}()
		s.Cancel("go on")
	})
	require.Len(t, f.failures, 2)
	require.Contains(t, f.failures[1], "has failed before")
	f = try(func(t *fakeT) {
		begun(t)
		t.Errorf("something else")
	})
	require.Equal(t, []string{"something else"}, f.failures)
	f = try(func(t *fakeT) {
		s := begun(t)
		s.SkipOpen()
	})
	require.Empty(t, f.failures)
	require.Contains(t, f.logs[0], "SKIPPED what is open: waits for HoldSeats{Quantity: 2}; timer")
}
