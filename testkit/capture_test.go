package testkit_test

import (
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// Order is an action with a leaf of every kind.
type Order struct {
	Section  string
	Customer string
	Seats    int
	Row      uint8
	Price    float64
	VIP      bool
	At       time.Time
	ID       uuid.UUID
	Token    []byte
	Amount   *big.Int
	Names    []string
	Extra    any
	Tags     map[string]string
	hidden   struct{ code string }
}

type Quoted struct {
	Section string
	By      any
	Err     error
}

type Quote struct{ Section string }

func (Quote) Returns(int) {}

type Desk struct {
	Operator string
	Open     map[string]Order
	private  []Order
}

func order() Order {
	o := Order{
		Section: "A", Customer: "c1", Seats: 2, Row: 7, Price: 9.5, VIP: true, At: time.Unix(0, 0).UTC(), ID: uuid.Max,
		Token: []byte("secret"), Amount: big.NewInt(50), Names: []string{"n1", "n2"}, Extra: &Order{Customer: "deep"},
		Tags: map[string]string{"k": "v"},
	}
	o.hidden.code = "h1"
	return o
}

func desk() Desk {
	return Desk{Operator: "op", Open: map[string]Order{"c1": order()}, private: []Order{order()}}
}

// quote asks for a quote of section A and maps the result with what by gives.
func quote(by func(s *Desk, a Order, env reducer.Env) any) reducer.Reducer[Desk, Action] {
	return reducer.Func[Desk, Action](func(s *Desk, a Action, env reducer.Env) effect.Effect[Action] {
		o, ok := a.(Order)
		if !ok {
			return fx.None()
		}
		v := by(s, o, env)
		return effect.Do(Quote{o.Section}, func(r effect.Result[int]) Action { return Quoted{o.Section, v, r.Err} })
	})
}

func TestCapturedValues(t *testing.T) {
	t.Parallel()
	type by = func(s *Desk, a Order, env reducer.Env) any
	for name, by := range map[string]by{
		"Order.Customer":        func(_ *Desk, a Order, _ reducer.Env) any { return a.Customer },
		"Order.Seats":           func(_ *Desk, a Order, _ reducer.Env) any { return a.Seats },
		"Order.Row":             func(_ *Desk, a Order, _ reducer.Env) any { return a.Row },
		"Order.Price":           func(_ *Desk, a Order, _ reducer.Env) any { return a.Price },
		"Order.VIP":             func(_ *Desk, a Order, _ reducer.Env) any { return a.VIP },
		"Order.At":              func(_ *Desk, a Order, _ reducer.Env) any { return a.At },
		"Order.ID":              func(_ *Desk, a Order, _ reducer.Env) any { return a.ID },
		"Order.Token":           func(_ *Desk, a Order, _ reducer.Env) any { return string(a.Token) },
		"Order.Amount":          func(_ *Desk, a Order, _ reducer.Env) any { return a.Amount },
		"Order.Names[1]":        func(_ *Desk, a Order, _ reducer.Env) any { return a.Names[1] },
		"len(Order.Names)":      func(_ *Desk, a Order, _ reducer.Env) any { return len(a.Names) },
		"Order.Extra.Customer":  func(_ *Desk, a Order, _ reducer.Env) any { return a.Extra.(*Order).Customer },
		`Order.Tags["k"]`:       func(_ *Desk, a Order, _ reducer.Env) any { return a.Tags["k"] },
		"Order.hidden.code":     func(_ *Desk, a Order, _ reducer.Env) any { return a.hidden.code },
		"Desk.Operator":         func(s *Desk, _ Order, _ reducer.Env) any { return s.Operator },
		`Desk.Open["c1"].Seats`: func(s *Desk, _ Order, _ reducer.Env) any { return s.Open["c1"].Seats },
		"Desk.private[0].Price": func(s *Desk, _ Order, _ reducer.Env) any { return s.private[0].Price },
		// Decided by a value, not a copy of it; that one too.
		"Order.Seats ": func(_ *Desk, a Order, _ reducer.Env) any { return a.Seats > 2 },
		// Held against the state, so that changed alone it leads elsewhere.
		"Order.Customer ": func(s *Desk, a Order, _ reducer.Env) any {
			if a.Customer != s.private[0].Customer {
				panic("another customer")
			}
			return a.Customer
		},
		"env.Now()":                func(_ *Desk, _ Order, env reducer.Env) any { return env.Now() },
		"env.NewID()":              func(_ *Desk, _ Order, env reducer.Env) any { return env.NewID() },
		"env.Meta().ActionID":      func(_ *Desk, _ Order, env reducer.Env) any { return env.Meta().ActionID },
		"env.Meta().CorrelationID": func(_ *Desk, _ Order, env reducer.Env) any { return env.Meta().CorrelationID },
		"env.Meta().CausationID":   func(_ *Desk, _ Order, env reducer.Env) any { return env.Meta().CausationID },
		"env.Meta().Tenant":        func(_ *Desk, _ Order, env reducer.Env) any { return env.Meta().Tenant },
		"env.Meta().Actor":         func(_ *Desk, _ Order, env reducer.Env) any { return env.Meta().Actor },
		"env.Meta().TraceParent":   func(_ *Desk, _ Order, env reducer.Env) any { return env.Meta().TraceParent },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, func(t *fakeT) {
				ts := testkit.New(t, desk(), quote(by))
				ts.Send(order())
				testkit.Reply(ts, Quote{"A"}, 1)
			}), `the function that maps the result of Quote{Section: "A"} to an action uses `+trimmed(name)+", which is not in the request",
				"was taken again with "+trimmed(name)+" = ", " instead of ", "-", "+", "into Quote")
		})
	}
}

func trimmed(s string) string { return string([]byte(s[:len(s)-countTrailing(s)])) }

func countTrailing(s string) (n int) {
	for n < len(s) && s[len(s)-1-n] == ' ' {
		n++
	}
	return n
}

func TestCapturedValueReport(t *testing.T) {
	t.Parallel()
	golden(t, "captured_value", fails(t, func(t *fakeT) {
		ts := testkit.New(t, Desk{}, quote(func(_ *Desk, a Order, _ reducer.Env) any { return a.Customer }))
		ts.Send(Order{Section: "A", Customer: "c1"})
		testkit.Reply(ts, Quote{"A"}, 1)
	}))
}

func TestCapturedValueOfOtherAnswers(t *testing.T) {
	t.Parallel()
	uses := "uses Order.Customer, which is not in the request"
	setup := func(t testkit.T, opts ...effect.Option) *testkit.TestStore[Desk, Action] {
		ts := testkit.New(t, Desk{}, reducer.Func[Desk, Action](func(_ *Desk, a Action, _ reducer.Env) effect.Effect[Action] {
			o, ok := a.(Order)
			if !ok {
				return fx.None()
			}
			then := func(r effect.Result[int]) Action {
				if r.Err == nil {
					return Quoted{}
				}
				return Quoted{By: o.Customer, Err: r.Err}
			}
			return fx.Sequence(fx.Send(Done{}), effect.Do(Quote{o.Section}, then, opts...), effect.Stream(Quote{"S"}, then))
		}))
		ts.Send(Order{Section: "A", Customer: "c1"})
		ts.Receive(Done{})
		return ts
	}
	t.Run("failure", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) { testkit.Fail(setup(t), Quote{"A"}, errSold) }), uses)
	})
	t.Run("not of a success", func(t *testing.T) {
		t.Parallel()
		ts := setup(t)
		testkit.Reply(ts, Quote{"A"}, 1)
		ts.Receive(Quoted{})
		ts.SkipInFlight()
	})
	t.Run("second attempt", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, desk(), quoteRetried())
			ts.Send(Order{Section: "A", Customer: "c1"})
			ts.Advance(2 * time.Second) // the first attempt times out
			testkit.Reply(ts, Quote{"A"}, 1)
		}), uses)
	})
	t.Run("stream, later in a sequence", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := setup(t)
			testkit.Reply(ts, Quote{"A"}, 1)
			ts.Receive(Quoted{})
			testkit.End(ts, Quote{"S"}, nil)
		}), uses)
	})
	t.Run("stream value", func(t *testing.T) {
		t.Parallel()
		mentions(t, fails(t, func(t *fakeT) {
			ts := testkit.New(t, Desk{}, reducer.Func[Desk, Action](func(_ *Desk, a Action, _ reducer.Env) effect.Effect[Action] {
				o := a.(Order)
				return effect.Stream(Quote{"S"}, func(effect.Result[int]) Action { return Quoted{By: o.Customer} })
			}))
			ts.Send(Order{Customer: "c1"})
			testkit.Emit(ts, Quote{"S"}, 1)
		}), uses)
	})
}

func quoteRetried() reducer.Reducer[Desk, Action] {
	return reducer.Func[Desk, Action](func(_ *Desk, a Action, _ reducer.Env) effect.Effect[Action] {
		o := a.(Order)
		return effect.Do(Quote{o.Section}, func(effect.Result[int]) Action { return Quoted{By: o.Customer} },
			effect.Timeout(time.Second), effect.Retry(effect.RetryPolicy{Delay: time.Second}))
	})
}

func TestCapturedPointerIntoTheState(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) {
		ts := testkit.New(t, Desk{Operator: "op"}, reducer.Func[Desk, Action](func(s *Desk, a Action, _ reducer.Env) effect.Effect[Action] {
			if _, ok := a.(Order); ok {
				return effect.Do(Quote{"A"}, func(effect.Result[int]) Action { return Quoted{By: s.Operator} })
			}
			s.Operator = "other"
			return fx.None()
		}))
		ts.Send(Order{})
		ts.Send(Done{}, func(s *Desk) { s.Operator = "other" })
		testkit.Reply(ts, Quote{"A"}, 1)
	}), "reads what has changed since Send Order{}", `"op"`, `"other"`, "It has captured a pointer")
}

func TestImpureThen(t *testing.T) {
	t.Parallel()
	mentions(t, fails(t, func(t *fakeT) {
		ts := testkit.New(t, Desk{}, reducer.Func[Desk, Action](func(*Desk, Action, reducer.Env) effect.Effect[Action] {
			return effect.Do(Quote{"A"}, func(effect.Result[int]) Action { return Quoted{By: time.Now()} })
		}))
		ts.Send(Order{})
		testkit.Reply(ts, Quote{"A"}, 1)
	}), "to an action is impure", "Likely cause: the clock")
}

// What is in the request, or decides which request is made, is no capture.
func TestNoFalseCaptures(t *testing.T) {
	t.Parallel()
	pure := func(f func(s *Desk, o Order, env reducer.Env) effect.Effect[Action]) reducer.Reducer[Desk, Action] {
		return reducer.Func[Desk, Action](func(s *Desk, a Action, env reducer.Env) effect.Effect[Action] {
			if o, ok := a.(Order); ok {
				return f(s, o, env)
			}
			return fx.None()
		})
	}
	for name, r := range map[string]reducer.Reducer[Desk, Action]{
		"field of the request": quote(func(_ *Desk, a Order, _ reducer.Env) any { return a.Section }),
		"made from the request": pure(func(_ *Desk, o Order, _ reducer.Env) effect.Effect[Action] {
			return effect.Do(Quote{o.Section}, func(effect.Result[int]) Action { return Quoted{By: fmt.Sprint("for ", o.Section)} })
		}),
		"which effect": pure(func(s *Desk, o Order, _ reducer.Env) effect.Effect[Action] {
			if o.VIP && s.Operator == "op" {
				return effect.Do(Quote{o.Section}, func(effect.Result[int]) Action { return Quoted{By: "vip"} })
			}
			return effect.Do(Quote{o.Section}, func(effect.Result[int]) Action { return Quoted{By: "all"} })
		}),
		"key": pure(func(_ *Desk, o Order, _ reducer.Env) effect.Effect[Action] {
			return effect.Do(Quote{o.Section}, func(effect.Result[int]) Action { return Quoted{By: o.Customer} }, effect.Key(o.Customer))
		}),
		"result and errors": pure(func(_ *Desk, o Order, _ reducer.Env) effect.Effect[Action] {
			return effect.Do(Quote{o.Section}, func(r effect.Result[int]) Action {
				return Quoted{By: errors.Is(r.Err, errSold), Err: r.Err}
			})
		}),
		"func in the action that results": pure(func(_ *Desk, o Order, _ reducer.Env) effect.Effect[Action] {
			return effect.Do(Quote{o.Section}, func(effect.Result[int]) Action { return Quoted{By: func() any { return o.Customer }} })
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := try(func(t *fakeT) {
				ts := testkit.New(t, desk(), r)
				ts.Send(order())
				testkit.Reply(ts, Quote{"A"}, 1)
			})
			require.Len(t, f.failures, 1)
			require.Contains(t, f.failures[0], "actions received were not asserted")
		})
	}
}

// A child's key is captured by the lift of its actions; it is part of where the
// request was made.
func TestNoFalseCaptureOfAChildsKey(t *testing.T) {
	t.Parallel()
	child := begins(func(b Begin) effect.Effect[Action] { return effect.Do(Query(b), got) })
	outer := reducer.ForEach("town", func(s *map[string]Houses) map[string]Houses { return *s },
		func(a Action) (string, Action, bool) {
			h, ok := a.(House)
			return h.Name, h.Do, ok
		},
		func(name string, a Action) Action { return House{name, a} }, houses(child))
	ts := testkit.New(t, map[string]Houses{
		"a": {map[string]Log{"red": {}, "blue": {}}},
		"b": {map[string]Log{"red": {}}},
	}, outer)
	ts.Send(House{"a", House{"red", Begin{1}}})
	testkit.Reply(ts, Query{1}, 3)
	ts.Receive(House{"a", House{"red", Got{N: 3}}}, func(s *map[string]Houses) {
		(*s)["a"].ByName["red"] = Log{[]string{"got 3"}}
	})
}

func TestCaptureCheckCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	ts := testkit.NewWith(t, desk(), quote(func(_ *Desk, a Order, _ reducer.Env) any { return a.Customer }), testkit.Config{CaptureLeaves: -1})
	ts.Send(order())
	testkit.Reply(ts, Quote{"A"}, 1)
	ts.Receive(Quoted{"A", "c1", nil})
}

// Sharing clones itself so that clones share what its reducer does not change.
type Sharing struct {
	Seats []int
	By    map[string]int
}

func (s Sharing) Clone() Sharing { return s }

// The kit changes its clones, and must not change what is not its own.
func TestChecksLeaveTheTestsMemoryAlone(t *testing.T) {
	t.Parallel()
	seats, by := []int{1, 2}, map[string]int{"a": 1, "b": 2}
	ts := testkit.New(t, Sharing{seats, by}, reducer.Func[Sharing, Action](func(s *Sharing, a Action, _ reducer.Env) effect.Effect[Action] {
		if _, ok := a.(Sharing); ok {
			s.Seats, s.By = a.(Sharing).Seats, a.(Sharing).By
			return effect.Do(Query{1}, func(effect.Result[int]) Action { return Sharing{Seats: seats[:1]} })
		}
		return fx.None()
	}))
	ts.Send(Sharing{seats, by})
	testkit.Reply(ts, Query{1}, 1)
	ts.SkipActions()
	testkit.Reply(ts, Query{1}, 1)
	ts.SkipActions()
	ts.SkipInFlight()
	require.Equal(t, []int{1, 2}, seats)
	require.Equal(t, map[string]int{"a": 1, "b": 2}, by)
}

// A large state is sampled.
func TestCaptureOfALargeState(t *testing.T) {
	t.Parallel()
	type large struct{ N [100_000]int }
	reductions := 0
	ts := testkit.NewWith(t, large{}, reducer.Func[large, Action](func(s *large, a Action, _ reducer.Env) effect.Effect[Action] {
		reductions++
		if _, ok := a.(Begin); ok {
			return effect.Do(Query{1}, got)
		}
		return fx.None()
	}), testkit.Config{CaptureLeaves: 40})
	ts.Send(Begin{})
	testkit.Reply(ts, Query{1}, 1)
	ts.Receive(Got{N: 1})
	require.Less(t, reductions, 100)
}
