package testkit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// begun is a TestStore in which a section is being loaded, with a hold.
func begun(t testkit.T) *testkit.TestStore[State, Action] {
	ts := testkit.New(t, State{}, Booking{})
	ts.Send(ReserveSeats{"A", "c1"}, func(s *State) {
		s.Phase, s.Waiting = Loading, []Action{ReserveSeats{"A", "c1"}}
	})
	return ts
}

func reserved(s *State) { s.Free, s.Holds["c1"] = s.Free-1, 1 }

func TestUnassertedAction(t *testing.T) {
	t.Parallel()
	answered := func(t testkit.T) *testkit.TestStore[State, Action] {
		ts := begun(t)
		testkit.Reply(ts, LoadSection{"A"}, Inventory{Free: 4})
		return ts
	}
	t.Run("at the end", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { answered(t) }),
			"the test is over, and actions received were not asserted",
			"waiting to be received:", `1. SectionLoaded{Section: "A", Free: 4}`,
			"in flight:", `hold key="waiting"`)
	})
	for name, call := range map[string]func(*testkit.TestStore[State, Action]){
		"before Send":    func(ts *testkit.TestStore[State, Action]) { ts.Send(Release{"c1"}) },
		"before Reply":   func(ts *testkit.TestStore[State, Action]) { testkit.Reply(ts, LoadSection{"A"}, Inventory{}) },
		"before Advance": func(ts *testkit.TestStore[State, Action]) { ts.Advance(time.Second) },
		"before Skip":    func(ts *testkit.TestStore[State, Action]) { ts.SkipInFlight() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, func(t *fakeT) { call(answered(t)) }),
				`SectionLoaded{Section: "A", Free: 4} was received and waits to be asserted`, "Receive it first")
		})
	}
}

func TestUnassertedChange(t *testing.T) {
	t.Parallel()
	report := fails(t, func(t *fakeT) {
		ts := testkit.New(t, loaded(3), Booking{})
		ts.Send(ReserveSeats{"A", "c1"})
	})
	golden(t, "unasserted_change", report)
}

func TestWrongChange(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) {
		ts := testkit.New(t, loaded(3), Booking{})
		ts.Send(ReserveSeats{"A", "c1"}, func(s *State) { s.Free, s.Holds["c1"] = 1, 1 })
	}), `Send ReserveSeats{Section: "A", Customer: "c1"} left another state than was asserted`,
		"state (-want +got):", "-", "Free:", "1,", "+", "Free:", "2,")
}

func TestChangeThatDidNotHappen(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) {
		ts := testkit.New(t, loaded(3), Booking{})
		ts.Send(Confirm{"c1"}, func(s *State) { s.Free = 2 })
	}), "left another state than was asserted")
}

func TestInFlightAtTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("request", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, loaded(3), Booking{})
			ts.Send(Confirm{"c1"})
		}), "the test is over, and effects are in flight", `request Notify{Customer: "c1"}`)
	})
	t.Run("timer", func(t *testing.T) {
		t.Parallel()
		golden(t, "timer_in_flight", fails(t, func(t *fakeT) {
			ts := testkit.New(t, loaded(3), Booking{})
			ts.Send(ReserveSeats{"A", "c1"}, reserved)
			ts.Advance(90 * time.Second)
		}))
	})
	t.Run("hold", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] { return fx.Hold("slot") }))
			ts.Send(Begin{})
		}), "effects are in flight", `hold key="slot"`)
	})
	t.Run("each state", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
				retry := effect.Retry(effect.RetryPolicy{Attempts: 3, Delay: time.Second})
				return fx.All(
					effect.Do(Query{1}, got, effect.Key("q", effect.Queue)),
					effect.Do(Query{2}, got, effect.Key("q", effect.Queue)),
					effect.Do(Query{3}, got, retry),
					effect.Do(Query{4}, got, retry, effect.Timeout(time.Minute)),
					effect.Stream(Query{5}, got),
					fx.Run("print", nil))
			}))
			ts.Send(Begin{})
			testkit.Fail(ts, Query{4}, errNotFound)
			ts.Advance(time.Second)
			testkit.Fail(ts, Query{3}, errNotFound)
		}), `request Query{N: 1} key="q"`, `request Query{N: 2} key="q", waits its turn`,
			"request Query{N: 3}, attempt 2 in 1s", "request Query{N: 4}, attempt 2, times out in 1m0s",
			"stream Query{N: 5}", `run "print"`)
	})
	t.Run("not when the test has failed", func(t *testing.T) {
		t.Parallel()
		f := try(func(t *fakeT) {
			begun(t)
			t.Fatalf("something else")
		})
		require.Equal(t, []string{"something else"}, f.failures)
	})
	t.Run("not when the test was skipped", func(t *testing.T) {
		t.Parallel()
		f := try(func(t *fakeT) {
			begun(skippedT{t})
		})
		require.Empty(t, f.failures)
	})
}

type skippedT struct{ *fakeT }

func (skippedT) Skipped() bool { return true }

func TestReplyToNothing(t *testing.T) {
	t.Parallel()
	t.Run("nearest", func(t *testing.T) {
		t.Parallel()
		golden(t, "reply_to_nothing", fails(t, func(t *fakeT) {
			ts := begun(t)
			testkit.Reply(ts, LoadSection{"B"}, Inventory{Free: 4})
		}))
	})
	setup := func(t testkit.T, e effect.Effect[Action]) *testkit.TestStore[Log, Action] {
		ts := testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] { return e }))
		ts.Send(Begin{})
		return ts
	}
	for _, row := range []struct {
		name   string
		effect effect.Effect[Action]
		answer func(*testkit.TestStore[Log, Action])
		want   []string
	}{
		{
			"nothing of the type", fx.None(),
			func(ts *testkit.TestStore[Log, Action]) { testkit.Reply(ts, Query{1}, 1) },
			[]string{"Reply Query{N: 1}, 1: the request is not in flight", "in flight:\n  nothing"},
		},
		{
			"queued", fx.All(effect.Do(Query{1}, got, effect.Key("q")), effect.Do(Query{2}, got, effect.Key("q", effect.Queue))),
			func(ts *testkit.TestStore[Log, Action]) { testkit.Reply(ts, Query{2}, 1) },
			[]string{"the request is not in flight, it waits its turn under its key"},
		},
		{
			"between attempts", effect.Do(Query{1}, got, effect.Retry(effect.RetryPolicy{Delay: time.Second})),
			func(ts *testkit.TestStore[Log, Action]) {
				testkit.Fail(ts, Query{1}, errNotFound)
				testkit.Reply(ts, Query{1}, 1)
			},
			[]string{"the request is not in flight, its attempt 2 is in 1s", "Advance to it."},
		},
		{
			"a stream", effect.Stream(Query{1}, got),
			func(ts *testkit.TestStore[Log, Action]) { testkit.Reply(ts, Query{1}, 1) },
			[]string{"it is in flight as a stream", "It is answered with Emit or End."},
		},
		{
			"a request", effect.Do(Query{1}, got),
			func(ts *testkit.TestStore[Log, Action]) { testkit.Emit(ts, Query{1}, 1) },
			[]string{"it is in flight as a request", "It is answered with Reply or Fail."},
		},
		{
			"another name", fx.Run("print", nil),
			func(ts *testkit.TestStore[Log, Action]) { ts.Return("paint", Done{}) },
			[]string{`Return "paint", Done{}: no function of that name is in flight`, `run "print"`},
		},
		{
			"an opaque stream", fx.Stream("feed", nil),
			func(ts *testkit.TestStore[Log, Action]) { ts.Return("feed", Done{}) },
			[]string{"it is in flight as a stream", "It is answered with Yield or Finish."},
		},
		{
			"an opaque function", fx.Run("print", nil),
			func(ts *testkit.TestStore[Log, Action]) { ts.Yield("print", Done{}) },
			[]string{"it is in flight as a run", "It is answered with Return or Panic."},
		},
		{
			"twice", effect.Do(Query{1}, got),
			func(ts *testkit.TestStore[Log, Action]) {
				testkit.Reply(ts, Query{1}, 1)
				ts.Receive(Got{N: 1}, noted("got 1"))
				testkit.Reply(ts, Query{1}, 1)
			},
			[]string{"the request is not in flight"},
		},
		{
			"no error", effect.Do(Query{1}, got),
			func(ts *testkit.TestStore[Log, Action]) { testkit.Fail(ts, Query{1}, nil) },
			[]string{"the error is nil"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, func(t *fakeT) { row.answer(setup(t, row.effect)) }), row.want...)
		})
	}
}

func TestReturnOfAnotherType(t *testing.T) {
	t.Parallel()
	type seatAction interface{ seat() }
	mentions(t, fails(t, func(t *fakeT) {
		var sfx effect.Of[seatAction]
		ts := testkit.New(t, Log{}, reducer.Func[Log, seatAction](func(*Log, seatAction, reducer.Env) effect.Effect[seatAction] {
			return sfx.Run("print", nil)
		}))
		ts.Send(nil)
		ts.Return("print", 5)
	}), `Return "print", 5: result of print: got int, want testkit_test.seatAction`)
}

func TestWrongOrder(t *testing.T) {
	t.Parallel()
	setup := func(t testkit.T) *testkit.TestStore[Log, Action] {
		ts := testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] {
			return fx.All(fx.Send(Done{"x"}), fx.Send(Done{"y"}))
		}))
		ts.Send(Begin{})
		return ts
	}
	t.Run("behind another", func(t *testing.T) {
		t.Parallel()
		golden(t, "wrong_order", fails(t, func(t *fakeT) { setup(t).Receive(Done{"y"}) }))
	})
	t.Run("another action", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { setup(t).Receive(Got{N: 1}) }), "the next action is another, Done{Name: \"x\"}", "-", "Got", "+", "Done")
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { begun(t).Receive(Done{"x"}) }),
			`Receive Done{Name: "x"}: no action was received`, `request LoadSection{Section: "A"} key="load"`)
	})
	t.Run("unordered", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := setup(t)
			ts.ReceiveUnordered(ts.Expect(Done{"z"}), ts.Expect(Got{N: 4}), ts.Expect(Done{"y"}, noted("y")))
		}), "no action that waits is one of those expected", `Done{Name: "z"}`, "Got{N: 4}", "nearest to the next action", `"z"`, `"x"`,
			"waiting to be received:", `1. Done{Name: "x"}`)
	})
}

func TestFault(t *testing.T) {
	t.Parallel()
	t.Run("negative delay", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { testkit.New(t, loaded(1), Booking{}).Send(Nonsense{}) }),
			"a fault was reported: invalid effect: After with a negative delay", "action: Nonsense{}", `key: "nonsense"`)
	})
	t.Run("missing child", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			testkit.New(t, Houses{}, houses(begins(nil))).Send(House{"red", Begin{1}})
		}), "a fault was reported: no such child: house[red]", `action: House{Name: "red", Do: Begin{N: 1}}`)
	})
	t.Run("bad key", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] { return fx.Hold([]int{1}) })).Send(Begin{})
		}), "a fault was reported: invalid effect", "cannot be compared")
	})
	t.Run("failing fire", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, loaded(1), Booking{})
			ts.Send(Confirm{"c1"})
			testkit.Fail(ts, Notify{"c1"}, errNotFound)
		}), "a fault was reported: no such section", `effect: request Notify{Customer: "c1"}`)
	})
	t.Run("expected and absent", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, loaded(1), Booking{})
			ts.ExpectFault(reducer.ErrNoChild)
			ts.Advance(0)
		}), `the fault "no such child" was expected and did not come`)
	})
	t.Run("expected at the end", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { testkit.New(t, loaded(1), Booking{}).ExpectFault(reducer.ErrNoChild) }),
			"the test is over", "was expected and did not come")
	})
	t.Run("another than expected", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, loaded(1), Booking{})
			ts.ExpectFault(reducer.ErrNoChild)
			ts.Send(Nonsense{})
		}), "a fault was reported: invalid effect")
	})
	t.Run("expected nil", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { testkit.New(t, loaded(1), Booking{}).ExpectFault(nil) }), "ExpectFault of a nil error")
	})
}

func TestAdvanceBack(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) { testkit.New(t, loaded(1), Booking{}).Advance(-time.Second) }),
		"Advance -1s: time does not go back")
}

func TestPanics(t *testing.T) {
	t.Parallel()
	t.Run("reducer", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] { panic("boom") })).Send(Begin{7})
		}), "the reducer panicked on Begin{N: 7}", "panic: boom", "failure_test.go")
	})
	t.Run("then", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
				return effect.Do(Query(b), func(effect.Result[int]) Action { panic("boom") })
			}))
			ts.Send(Begin{7})
			testkit.Reply(ts, Query{7}, 1)
		}), "the function that maps the result of Query{N: 7} to an action panicked", "panic: boom", "failure_test.go")
	})
	t.Run("then of a timeout", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
				return effect.Do(Query(b), func(effect.Result[int]) Action { panic("boom") }, effect.Timeout(time.Second))
			}))
			ts.Send(Begin{7})
			ts.Advance(time.Second)
		}), "to an action panicked", "panic: boom")
	})
}

func TestNilReducer(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) { testkit.New[State, Action](t, State{}, nil) }), "the reducer is nil")
}

func TestEndlessActions(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) {
		ts := testkit.NewWith(t, Log{}, begins(func(b Begin) effect.Effect[Action] { return fx.Send(b) }), testkit.Config{PurityRuns: -1})
		ts.Send(Begin{})
		ts.SkipActions()
	}), "10000 actions were skipped, and there are more")
}

func TestCallAfterAFailure(t *testing.T) {
	t.Parallel()
	var ts *testkit.TestStore[State, Action]
	f := try(func(t *fakeT) {
		ts = testkit.New(t, loaded(1), Booking{})
		ts.Receive(Done{})
	})
	g := try(func(*fakeT) { ts.Send(Done{}) })
	require.Empty(t, g.failures, "they are of the first T")
	require.Len(t, f.failures, 2)
	require.Contains(t, f.failures[1], "this TestStore has failed before")
}

func TestLongTrace(t *testing.T) {
	t.Parallel()
	report := fails(t, func(t *fakeT) {
		ts := testkit.New(t, loaded(1), Booking{})
		for range 20 {
			ts.Advance(time.Second)
		}
		ts.Receive(Done{})
	})
	mentions(t, report, "trace:\n  … 8 before\n  9. +8s Advance 1s\n")
	require.NotContains(t, report, "  8. ")
}
