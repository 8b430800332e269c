package testkit_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

func TestLoadOnDemand(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{}, Booking{})
	ts.Send(ReserveSeats{"A", "c1"}, func(s *State) {
		s.Phase = Loading
		s.Waiting = []Action{ReserveSeats{"A", "c1"}}
	})
	ts.Send(ReserveSeats{"A", "c2"}, func(s *State) {
		s.Waiting = append(s.Waiting, ReserveSeats{"A", "c2"})
	})
	testkit.Reply(ts, LoadSection{"A"}, Inventory{Free: 10})
	ts.Receive(SectionLoaded{"A", 10}, func(s *State) {
		*s = State{Phase: Ready, Section: "A", Free: 10}
	})
	ts.Receive(ReserveSeats{"A", "c1"}, func(s *State) { s.Free, s.Holds = 9, map[string]int{"c1": 1} })
	ts.Receive(ReserveSeats{"A", "c2"}, func(s *State) { s.Free, s.Holds["c2"] = 8, 1 })
	ts.Advance(5 * time.Minute)
	ts.Receive(HoldExpired{"c1"}, func(s *State) { s.Free = 9; delete(s.Holds, "c1") })
	ts.Receive(HoldExpired{"c2"}, func(s *State) { s.Free = 10; delete(s.Holds, "c2") })
}

func TestLoadFails(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{}, Booking{})
	ts.Send(ReserveSeats{"Z", "c1"}, func(s *State) {
		s.Phase = Loading
		s.Waiting = []Action{ReserveSeats{"Z", "c1"}}
	})
	testkit.Fail(ts, LoadSection{"Z"}, errNotFound)
	ts.Receive(LoadFailed{errNotFound}, func(s *State) { s.Phase, s.Waiting, s.Failed = Idle, nil, errNotFound })
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, loaded(3), Booking{})
	ts.Send(ReserveSeats{"A", "c1"}, func(s *State) { s.Free, s.Holds["c1"] = 2, 1 })
	ts.Send(Release{"c1"}, func(s *State) { s.Free = 3; delete(s.Holds, "c1") })
	ts.Advance(time.Hour)
}

func TestFireIsAnsweredWithoutAnAction(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, loaded(3), Booking{})
	ts.Send(Confirm{"c1"})
	testkit.Reply(ts, Notify{"c1"}, struct{}{})
	ts.Send(Confirm{"c2"})
	ts.ExpectFault(errNotFound)
	testkit.Fail(ts, Notify{"c2"}, errNotFound)
}

// A few small reducers, one for each thing an effect can do.

type (
	Begin struct{ N int }
	Got   struct {
		N   int
		Err error
	}
	Done  struct{ Name string }
	Query struct{ N int }
)

func (Query) Returns(int) {}

type Log struct{ Got []string }

func note(s *Log, what string) { s.Got = append(s.Got, what) }

func noted(what ...string) func(*Log) {
	return func(s *Log) { s.Got = append(s.Got, what...) }
}

func got(r effect.Result[int]) Action { return Got{r.Value, r.Err} }

// begins is a reducer that answers Begin with the effects that f gives, and
// writes down whatever else it is given.
func begins(f func(Begin) effect.Effect[Action]) reducer.Reducer[Log, Action] {
	return reducer.Func[Log, Action](func(s *Log, a Action, _ reducer.Env) effect.Effect[Action] {
		switch a := a.(type) {
		case Begin:
			return f(a)
		case Got:
			if a.Err != nil {
				note(s, "failed")
			} else {
				note(s, "got "+string(rune('0'+a.N)))
			}
		case Done:
			note(s, a.Name)
		}
		return fx.None()
	})
}

func TestSequence(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] {
		return fx.Sequence(effect.Do(Query{1}, got), fx.Send(Done{"between"}), effect.Do(Query{2}, got))
	}))
	ts.Send(Begin{})
	testkit.Reply(ts, Query{1}, 1)
	ts.Receive(Got{N: 1}, noted("got 1"))
	ts.Receive(Done{"between"}, noted("between"))
	testkit.Reply(ts, Query{2}, 2)
	ts.Receive(Got{N: 2}, noted("got 2"))
}

func TestDebounce(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		return fx.After("search", 300*time.Millisecond, Done{string(rune('a' + b.N))})
	}))
	start := ts.Now()
	ts.Send(Begin{0})
	ts.Advance(200 * time.Millisecond)
	ts.Send(Begin{1})
	ts.Advance(200 * time.Millisecond)
	ts.Send(Begin{2})
	ts.Advance(time.Second)
	require.Equal(t, 700*time.Millisecond, ts.Now().Sub(start), "time stops at the timer")
	ts.Receive(Done{"c"}, noted("c"))
	require.Equal(t, 1400*time.Millisecond, ts.Now().Sub(start), "and goes on")
}

func TestTimerWithoutDelay(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		return fx.After(nil, 0, Done{"now"})
	}))
	ts.Send(Begin{})
	ts.Advance(0)
	ts.Receive(Done{"now"}, noted("now"))
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	with := func(p effect.Policy) reducer.Reducer[Log, Action] {
		return begins(func(b Begin) effect.Effect[Action] { return effect.Do(Query(b), got, effect.Key("q", p)) })
	}
	t.Run("latest", func(t *testing.T) {
		t.Parallel()
		ts := testkit.New(t, Log{}, with(effect.Latest))
		ts.Send(Begin{1})
		ts.Send(Begin{2})
		testkit.Reply(ts, Query{2}, 2)
		ts.Receive(Got{N: 2}, noted("got 2"))
	})
	t.Run("leading", func(t *testing.T) {
		t.Parallel()
		ts := testkit.New(t, Log{}, with(effect.Leading))
		ts.Send(Begin{1})
		ts.Send(Begin{2})
		testkit.Reply(ts, Query{1}, 1)
		ts.Receive(Got{N: 1}, noted("got 1"))
	})
	t.Run("queue", func(t *testing.T) {
		t.Parallel()
		ts := testkit.New(t, Log{}, with(effect.Queue))
		ts.Send(Begin{1})
		ts.Send(Begin{2})
		testkit.Reply(ts, Query{1}, 1)
		ts.Receive(Got{N: 1}, noted("got 1"))
		testkit.Reply(ts, Query{2}, 2)
		ts.Receive(Got{N: 2}, noted("got 2"))
	})
	t.Run("every", func(t *testing.T) {
		t.Parallel()
		ts := testkit.New(t, Log{}, with(effect.Every))
		ts.Send(Begin{1})
		ts.Send(Begin{1})
		testkit.Reply(ts, Query{1}, 4)
		ts.Receive(Got{N: 4}, noted("got 4"))
		testkit.Reply(ts, Query{1}, 5)
		ts.Receive(Got{N: 5}, noted("got 5"))
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		return effect.Do(Query(b), got, effect.Retry(effect.RetryPolicy{Attempts: 3, Delay: time.Second, Factor: 2}))
	}))
	ts.Send(Begin{1})
	testkit.Fail(ts, Query{1}, errNotFound)
	ts.Advance(time.Second)
	testkit.Fail(ts, Query{1}, errNotFound)
	ts.Advance(2 * time.Second)
	testkit.Reply(ts, Query{1}, 7)
	ts.Receive(Got{N: 7}, noted("got 7"))

	ts.Send(Begin{1})
	testkit.Fail(ts, Query{1}, effect.Permanent(errNotFound))
	ts.Receive(Got{Err: errNotFound}, noted("failed"))
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		return effect.Do(Query(b), got, effect.Timeout(2*time.Second), effect.Retry(effect.RetryPolicy{Attempts: 2, Delay: time.Second}))
	}))
	ts.Send(Begin{1})
	ts.Advance(3 * time.Second) // the attempt times out, the second begins
	ts.Advance(2 * time.Second)
	ts.Receive(Got{Err: effect.ErrTimeout}, noted("failed"))
}

func TestStream(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		return effect.Stream(Query(b), got)
	}))
	ts.Send(Begin{1})
	testkit.Emit(ts, Query{1}, 1)
	ts.Receive(Got{N: 1}, noted("got 1"))
	testkit.Emit(ts, Query{1}, 2)
	ts.Receive(Got{N: 2}, noted("got 2"))
	testkit.End(ts, Query{1}, nil)
	ts.Receive(Got{Err: io.EOF}, noted("failed"))

	ts.Send(Begin{2})
	testkit.End(ts, Query{2}, errNotFound)
	ts.Receive(Got{Err: errNotFound}, noted("failed"))
}

func TestOpaqueFunctions(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		switch b.N {
		case 0:
			return fx.Run("clean", func(context.Context) Action { panic("a test does not call it") })
		default:
			return fx.Stream("feed", nil)
		}
	}))
	ts.Send(Begin{0})
	ts.Return("clean", Done{"cleaned"})
	ts.Receive(Done{"cleaned"}, noted("cleaned"))

	ts.Send(Begin{0})
	cause := errors.New("out of paper")
	ts.ExpectFault(cause)
	ts.Panic("clean", cause)

	ts.Send(Begin{1})
	ts.Yield("feed", Done{"first"})
	ts.Receive(Done{"first"}, noted("first"))
	ts.Finish("feed")
}

type (
	Houses struct{ ByName map[string]Log }
	House  struct {
		Name string
		Do   Action
	}
	Demolish struct{ Name string }
)

func houses(child reducer.Reducer[Log, Action]) reducer.Reducer[Houses, Action] {
	return reducer.Combine[Houses, Action](
		reducer.Func[Houses, Action](func(s *Houses, a Action, _ reducer.Env) effect.Effect[Action] {
			if a, ok := a.(Demolish); ok {
				delete(s.ByName, a.Name)
			}
			return fx.None()
		}),
		reducer.ForEach("house", func(s *Houses) map[string]Log { return s.ByName },
			func(a Action) (string, Action, bool) {
				h, ok := a.(House)
				return h.Name, h.Do, ok
			},
			func(name string, a Action) Action { return House{name, a} }, child))
}

func TestForEach(t *testing.T) {
	t.Parallel()
	child := begins(func(b Begin) effect.Effect[Action] {
		return fx.All(effect.Do(Query(b), got, effect.Key("q")), fx.After("t", time.Minute, Done{"late"}), fx.Run("paint", nil))
	})
	ts := testkit.New(t, Houses{map[string]Log{"red": {}, "blue": {}}}, houses(child))
	ts.Send(House{"red", Begin{1}})
	ts.Send(House{"blue", Begin{1}})
	ts.Send(Demolish{"red"}, func(s *Houses) { delete(s.ByName, "red") })
	testkit.Reply(ts, Query{1}, 3)
	ts.Receive(House{"blue", Got{N: 3}}, func(s *Houses) { s.ByName["blue"] = Log{[]string{"got 3"}} })
	ts.Return("paint", Done{"painted"})
	ts.Receive(House{"blue", Done{"painted"}}, func(s *Houses) { s.ByName["blue"] = Log{[]string{"got 3", "painted"}} })
	ts.Advance(time.Minute)
	ts.Receive(House{"blue", Done{"late"}}, func(s *Houses) { s.ByName["blue"] = Log{[]string{"got 3", "painted", "late"}} })

	ts.ExpectFault(reducer.ErrNoChild)
	ts.Send(House{"red", Begin{1}})
}

func TestReceiveUnordered(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, Log{}, begins(func(b Begin) effect.Effect[Action] {
		return fx.All(fx.Send(Done{"x"}), fx.Send(Done{"y"}), fx.Send(Done{"z"}))
	}))
	ts.Send(Begin{})
	ts.ReceiveUnordered(
		ts.Expect(Done{"z"}, noted("z")),
		ts.Expect(Done{"x"}, noted("x")),
		ts.Expect(Done{"y"}, noted("y")),
	)
	require.Equal(t, []string{"x", "y", "z"}, ts.State().Got)
}

// An action received within Advance may cancel a timer that is due later, or
// start one.
func TestTimersWithinAdvance(t *testing.T) {
	t.Parallel()
	r := reducer.Func[Log, Action](func(s *Log, a Action, env reducer.Env) effect.Effect[Action] {
		switch a := a.(type) {
		case Begin:
			return fx.All(fx.After("one", time.Minute, Done{"one"}), fx.After("two", 2*time.Minute, Done{"two"}))
		case Done:
			note(s, a.Name+" "+env.Now().Format("15:04"))
			if a.Name == "one" {
				return fx.All(fx.Cancel("two"), fx.After("three", 90*time.Second, Done{"three"}))
			}
			if a.Name == "three" {
				return fx.After("four", 0, Done{"four"})
			}
		}
		return fx.None()
	})
	ts := testkit.NewWith(t, Log{}, r, testkit.Config{Start: time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)})
	ts.Send(Begin{})
	ts.Advance(150 * time.Second)
	ts.Receive(Done{"one"}, noted("one 20:01"))
	ts.Receive(Done{"three"}, noted("three 20:02"))
	ts.Receive(Done{"four"}, noted("four 20:02"))
	require.Equal(t, "20:02:30", ts.Now().Format("15:04:05"))
}

func TestMetaAndIDs(t *testing.T) {
	t.Parallel()
	type state struct {
		IDs    []uuid.UUID
		Tenant string
		Actor  string
	}
	r := reducer.Func[state, Action](func(s *state, a Action, env reducer.Env) effect.Effect[Action] {
		s.IDs = append(s.IDs, env.NewID(), env.NewID())
		s.Tenant, s.Actor = env.Meta().Tenant, env.Meta().Actor
		if _, ok := a.(Begin); ok {
			return fx.Send(Done{})
		}
		return fx.None()
	})
	ts := testkit.NewWith(t, state{}, r, testkit.Config{Meta: reducer.Meta{Tenant: "t1"}})
	ts.Send(Done{}, func(s *state) { *s = state{[]uuid.UUID{ts.ID(1), ts.ID(2)}, "t1", ""} })

	correlation := uuid.NewSHA1(uuid.NameSpaceURL, []byte("order"))
	ts.SendMeta(reducer.Meta{Actor: "ada", CorrelationID: correlation}, Begin{}, func(s *state) {
		*s = state{append(s.IDs, ts.ID(1), ts.ID(2)), "", "ada"}
	})
	first := ts.Meta()
	ts.Receive(Done{}, func(s *state) { s.IDs = append(s.IDs, ts.ID(1), ts.ID(2)) })
	require.Equal(t, first.ActionID, ts.Meta().CausationID)
	require.Equal(t, correlation, ts.Meta().CorrelationID)
	require.Equal(t, "ada", ts.Meta().Actor)
}

func TestSkip(t *testing.T) {
	t.Parallel()
	f := try(func(t *fakeT) {
		ts := testkit.New(t, Log{}, begins(func(Begin) effect.Effect[Action] {
			return fx.All(fx.Send(Done{"x"}), fx.After("k", time.Minute, Done{"y"}), effect.Do(Query{1}, got), fx.Hold("h"))
		}))
		ts.Send(Begin{})
		ts.SkipActions()
		ts.SkipInFlight()
	})
	require.Empty(t, f.failures)
	require.Equal(t, []string{
		`testkit: SKIPPED action Done{Name: "x"}`,
		`testkit: SKIPPED in flight timer Done{Name: "y"} key="k", fires in 1m0s`,
		`testkit: SKIPPED in flight request Query{N: 1}`,
		`testkit: SKIPPED in flight hold key="h"`,
	}, f.logs)
}

func TestStateIsAClone(t *testing.T) {
	t.Parallel()
	initial := loaded(3)
	ts := testkit.New(t, initial, Booking{})
	initial.Holds["c9"] = 9
	ts.State().Holds["c8"] = 8
	require.Empty(t, ts.State().Holds)
}
