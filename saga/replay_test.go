package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{5})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "fetch", foreign{"fetch"}))
		o.untilCount("a", 12)
		require.Error(t, o.runner.Signal(t.Context(), id, "bad", boom{}))
		_, err = o.runner.Resume(t.Context(), id, by)
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "m", add{1}))
		o.untilCount("a", 13)
		history, err := o.runner.History(t.Context(), id, 0, 100)
		require.NoError(t, err)

		drift, err := counter.Replay(id, history)
		require.NoError(t, err)
		require.Nil(t, drift, "%+v", drift)

		other := saga.Define("counter", reducer.Func[count, countAction](func(s *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
			switch a := a.(type) {
			case add:
				s.N += a.N
			case fetched:
				s.N += 2 * a.N
			case foreign:
				return odd(a.What)
			}
			return cfx.None()
		}), counterTypes())
		drift, err = other.Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, &saga.Drift{Sequence: 3, Kind: "reply", Action: "fetched", InState: true, State: []byte(`{"N":19,"Text":""}`)}, drift)

		types := counterTypes()
		types.Actions = types.Actions[1:]
		drift, err = saga.Define("counter", countReducer(nil), types).Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, int64(1), drift.Sequence)
		require.ErrorContains(t, drift.Err, `action "add" is not one of`)

		_, err = counter.Replay(id, history[1:])
		require.ErrorContains(t, err, "want the whole history")
		broken := append([]saga.Entry{}, history...)
		broken[0].Data = []byte("{")
		_, err = counter.Replay(id, broken)
		require.Error(t, err)
		require.NotErrorIs(t, err, saga.ErrNotFound)
	})
}

// reservationHistory is that of a reservation that has ended well.
func reservationHistory(t *testing.T) (id saga.ID, history []saga.Entry) {
	t.Helper()
	id = Reservation.ID("ann")
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{})
		o.start("ann")
		o.wait("ann")
		var err error
		history, err = o.runner.History(t.Context(), id, 0, 100)
		require.NoError(t, err)
	})
	return id, history
}

// redefined are reservations with another reducer: with change, which is given an
// action and what the reducer returned for it.
func redefined(change func(Action, effect.Effect[Action]) effect.Effect[Action]) *saga.Definition[Order, Action] {
	return saga.Define("reservation", reducer.Func[Order, Action](func(o *Order, a Action, env reducer.Env) effect.Effect[Action] {
		return change(a, Reserver{}.Reduce(o, a, env))
	}), saga.Types{
		Actions: []saga.ActionType{
			saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
			saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
		},
		Requests: []saga.RequestType{
			saga.On("hold-seats", onHeld), saga.On("charge", onCharged), saga.Request[ConfirmSeats]("confirm-seats"),
			saga.Request[ReleaseSeats]("release-seats"), saga.Request[Refund]("refund"),
		},
	})
}

// on changes what is returned for one type of action.
func on[T Action](change func(was effect.Effect[Action]) effect.Effect[Action]) func(Action, effect.Effect[Action]) effect.Effect[Action] {
	return func(a Action, was effect.Effect[Action]) effect.Effect[Action] {
		if _, is := a.(T); is {
			return change(was)
		}
		return was
	}
}

// instead is returned for one type of action.
func instead[T Action](e effect.Effect[Action]) func(Action, effect.Effect[Action]) effect.Effect[Action] {
	return on[T](func(effect.Effect[Action]) effect.Effect[Action] { return e })
}

// and is returned too for one type of action.
func and[T Action](e effect.Effect[Action]) func(Action, effect.Effect[Action]) effect.Effect[Action] {
	return on[T](func(was effect.Effect[Action]) effect.Effect[Action] { return fx.All(was, e) })
}

// A reducer that comes to the same state and asks for something else drifts.
func TestReplayComparesWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	id, history := reservationHistory(t)
	const (
		hold     = `do hold-seats {"Quantity":2}, undo release-seats {}`
		deadline = `after 5m0s "deadline": expired {}`
		charge   = `do charge {"Cents":10000}, undo refund {"Cents":10000}`
		confirm  = `do confirm-seats {"Seats":["A1","A2"]}`
	)
	held, undone := fx.Do(HoldSeats{2}, saga.Undo(ReleaseSeats{})), saga.Undo(Refund{10000})
	for _, row := range []struct {
		name     string
		sequence int64 // 0 is that it does not drift
		change   func(Action, effect.Effect[Action]) effect.Effect[Action]
		asks     []string
	}{
		{"as it was", 0, func(_ Action, was effect.Effect[Action]) effect.Effect[Action] { return was }, nil},
		{"as it was, in other words", 0, on[Reserve](func(was effect.Effect[Action]) effect.Effect[Action] { return fx.All(fx.None(), fx.All(was)) }), nil},
		{"the default said", 0, instead[Held](fx.Do(Charge{10000}, undone, saga.Key(""), saga.Timeout(0))), nil},

		{"nothing", 2, instead[Held](fx.None()), nil},
		{"another request", 2, instead[Held](fx.Do(Refund{10000}, undone)), []string{`do refund {"Cents":10000}, undo refund {"Cents":10000}`}},
		{"one more request", 2, and[Held](fx.Do(Charge{1})), []string{charge, `do charge {"Cents":1}`}},
		{"the same twice", 2, and[Held](fx.Do(Charge{10000}, undone)), []string{charge, charge}},
		{"other data", 2, instead[Held](fx.Do(Charge{1}, undone)), []string{`do charge {"Cents":1}, undo refund {"Cents":10000}`}},
		{"no undo", 2, instead[Held](fx.Do(Charge{10000})), []string{`do charge {"Cents":10000}`}},
		{"another undo", 2, instead[Held](fx.Do(Charge{10000}, saga.Undo(ReleaseSeats{}))), []string{`do charge {"Cents":10000}, undo release-seats {}`}},
		{"another undo's data", 2, instead[Held](fx.Do(Charge{10000}, saga.Undo(Refund{1}))), []string{`do charge {"Cents":10000}, undo refund {"Cents":1}`}},
		{"a key", 2, instead[Held](fx.Do(Charge{10000}, undone, saga.Key("k"))), []string{charge + `, key "k"`}},
		{"a timeout", 2, instead[Held](fx.Do(Charge{10000}, undone, saga.Timeout(time.Second))), []string{charge + `, timeout 1s`}},
		{"attempts", 2, instead[Held](fx.Do(Charge{10000}, undone, saga.Retry(saga.RetryPolicy{Attempts: 2}))), []string{
			charge + `, retry {Attempts:2 Delay:0s MaxDelay:0s Factor:0 Jitter:0}`,
		}},
		{"another order", 1, instead[Reserve](fx.All(fx.After("deadline", 5*time.Minute, Expired{}), held)), []string{deadline, hold}},

		{"no timer", 1, instead[Reserve](held), []string{hold}},
		{"another timer", 1, instead[Reserve](fx.All(held, fx.After("deadline", time.Minute, Expired{}))), []string{hold, `after 1m0s "deadline": expired {}`}},
		{"another key of a timer", 1, instead[Reserve](fx.All(held, fx.After("", 5*time.Minute, Expired{}))), []string{hold, `after 5m0s "": expired {}`}},
		{"another action of a timer", 1, instead[Reserve](fx.All(held, fx.After("deadline", 5*time.Minute, Sold{}))), []string{hold, `after 5m0s "deadline": sold {}`}},
		{"one more timer", 2, and[Held](fx.After("t", time.Minute, Expired{})), []string{charge, `after 1m0s "t": expired {}`}},
		{"another cancel", 3, instead[Charged](fx.All(fx.Pivot(), fx.Cancel("x"), fx.Do(ConfirmSeats{[]string{"A1", "A2"}}))), []string{"pivot", `cancel "x"`, confirm}},
		{"no cancel", 3, instead[Charged](fx.All(fx.Pivot(), fx.Do(ConfirmSeats{[]string{"A1", "A2"}}))), []string{"pivot", confirm}},

		{"compensates", 2, and[Held](fx.Compensate("no")), []string{charge, `compensate "no"`}},
		{"compensates after the pivot", 3, and[Charged](fx.Compensate("no")), []string{"pivot", `cancel "deadline"`, confirm, `compensate "no"`}},
		{"pivots", 2, and[Held](fx.Pivot()), []string{charge, "pivot"}},
		{"no pivot", 3, instead[Charged](fx.All(fx.Cancel("deadline"), fx.Do(ConfirmSeats{[]string{"A1", "A2"}}))), []string{`cancel "deadline"`, confirm}},
		{"ends", 2, and[Held](fx.Complete()), []string{charge, "complete"}},
		{"no end", 4, instead[Sold](fx.None()), nil},
		{"a pivot for an end", 4, instead[Sold](fx.Pivot()), []string{"pivot"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			drift, err := redefined(row.change).Replay(id, history)
			require.NoError(t, err)
			if row.sequence == 0 {
				require.Nil(t, drift, "%+v", drift)
				return
			}
			require.NotNil(t, drift)
			require.NoError(t, drift.Err)
			require.Equal(t, row.sequence, drift.Sequence)
			require.True(t, drift.InAsks)
			require.False(t, drift.InState)
			require.Equal(t, row.asks, drift.Asks)
		})
	}

	drift, err := redefined(instead[Held](fx.Do(fetch{}))).Replay(id, history)
	require.NoError(t, err)
	require.Equal(t, int64(2), drift.Sequence)
	require.ErrorContains(t, drift.Err, "request saga_test.fetch is not one of")
	require.False(t, drift.InAsks || drift.InState)
}

// A saga that compensates lets its reducer pivot, end and compensate, which does
// nothing.
func TestReplayOfWhatDoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		def := saga.Define("counter", reducer.Func[count, countAction](func(_ *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
			switch a.(type) {
			case add:
				return cfx.Do(fetch{1}, saga.Undo(unfetch{1}))
			case note:
				return cfx.All(cfx.Pivot(), cfx.Complete(), cfx.Compensate("once more"))
			}
			return cfx.None()
		}), counterTypes())
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: []effect.Handler{
			counterHandlers(nil)[0], counterHandlers(nil)[2],
			effect.Handle(func(context.Context, unfetch) (struct{}, error) { return struct{}{}, errors.New("down") }),
		}}, def)
		id := def.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		require.NoError(t, o.runner.Cancel(t.Context(), id, "enough"))
		require.NoError(t, o.runner.Signal(t.Context(), id, "m", note{}))
		s, err := o.runner.State(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, saga.Compensating, s.Status)
		require.Equal(t, "enough", s.Reason)
	}) // the rig replays it
}

// what an older version has kept of a decision.
func older(t *testing.T, history []saga.Entry) []saga.Entry {
	t.Helper()
	history = slices.Clone(history)
	for i := range history {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(history[i].Data, &fields))
		require.Contains(t, fields, "asked", "of what is reduced")
		delete(fields, "asked")
		data, err := json.Marshal(fields)
		require.NoError(t, err)
		history[i].Data = data
	}
	return history
}

// Histories that do not tell what was asked for are compared by what they name.
func TestReplayOfAnOlderHistory(t *testing.T) {
	t.Parallel()
	id, history := reservationHistory(t)
	history = older(t, history)
	for _, row := range []struct {
		name     string
		sequence int64
		change   func(Action, effect.Effect[Action]) effect.Effect[Action]
	}{
		{"as it was", 0, func(_ Action, was effect.Effect[Action]) effect.Effect[Action] { return was }},
		{"other data", 0, instead[Held](fx.Do(Charge{1}))},
		{"compensates", 0, and[Held](fx.Compensate("no"))},
		{"ends", 0, and[Held](fx.Complete())},
		{"no timer", 0, instead[Reserve](fx.Do(HoldSeats{2}, saga.Undo(ReleaseSeats{})))},
		{"another request", 2, instead[Held](fx.Do(ConfirmSeats{}))},
		{"nothing", 2, instead[Held](fx.None())},
		{"another index", 1, instead[Reserve](fx.All(fx.After("", time.Minute, Expired{}), fx.Do(HoldSeats{2})))},
	} {
		drift, err := redefined(row.change).Replay(id, history)
		require.NoError(t, err, row.name)
		if row.sequence == 0 {
			require.Nil(t, drift, "%s: %+v", row.name, drift)
			continue
		}
		require.NotNil(t, drift, row.name)
		require.Equal(t, row.sequence, drift.Sequence, row.name)
		require.True(t, drift.InAsks, row.name)
		require.False(t, drift.InState, row.name)
	}
}

// Errors and panics of handlers say what they like.
func TestReplayOfFailures(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"a text that is no UTF-8": func() error { return saga.Rejected(errors.New("no \xff\xfe<ü>\x00")) },
		"one that was kept":       func() error { return &saga.EffectError{Message: "no \xff", Rejected: true} },
		"a panic":                 func() error { panic("no \xff") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				def := saga.Define("counter", reducer.Func[count, countAction](func(s *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
					switch a := a.(type) {
					case add:
						return cfx.Do(fetch{1})
					case fetched:
						s.Text = a.Reason
						return cfx.All(cfx.After(a.Reason, time.Hour, note{a.Reason}), cfx.Cancel(a.Reason), cfx.Do(fetch{1}, saga.Key(a.Reason)), cfx.Compensate(a.Reason))
					}
					return cfx.None()
				}), counterTypes())
				o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(func(context.Context, int) (int, error) { return 0, fail() })}, def)
				h, err := o.runner.Start(t.Context(), def.ID("a"), add{1})
				require.NoError(t, err)
				end, err := h.Wait(t.Context())
				require.NoError(t, err)
				state, err := def.State(end)
				require.NoError(t, err)
				require.Contains(t, state.Text, "no \ufffd")
			}) // the rig replays it
		})
	}
}

// A reducer whose state has another form is as it was: what the upcaster made of the
// states is not its doing.
func TestReplayOfStatesThatWereUpcast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		second := func(factor int, asks string) *saga.Definition[newCount, countAction] {
			return saga.Define("counter", reducer.Func[newCount, countAction](func(s *newCount, a countAction, _ reducer.Env) effect.Effect[countAction] {
				switch a := a.(type) {
				case add:
					s.Total += factor * a.N
				case fetched:
					s.Total += a.N
				case foreign:
					if len(s.Log) > 0 {
						return cfx.All(odd(asks), cfx.Cancel(s.Log[0]))
					}
					return odd(asks)
				}
				return cfx.None()
			}), newCountTypes())
		}
		home := newHome()
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		o.redefined = true
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{5})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "m1", foreign{"fetch"}))
		o.untilCount("a", 12)
		first, err := o.runner.History(t.Context(), id, 0, 100)
		require.NoError(t, err)
		o.close()
		now := second(1, "fetch")
		o = open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, now) // replays it all
		require.NoError(t, o.runner.Signal(t.Context(), id, "m2", foreign{"fetch"}))
		o.untilID(id, func(s saga.Snapshot) bool { return s.Sequence == 5 })
		require.NoError(t, o.runner.Signal(t.Context(), id, "m3", add{1}))
		history, err := o.runner.History(t.Context(), id, 0, 100)
		require.NoError(t, err)

		drift, err := now.Replay(id, first)
		require.NoError(t, err)
		require.Nil(t, drift, "before it was upcast: %+v", drift)
		drift, err = second(2, "fetch").Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, &saga.Drift{Sequence: 6, Kind: "signal", Action: "add", InState: true, State: []byte(`{"Total":21,"Log":["upcast"]}`)}, drift)
		drift, err = second(1, "").Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, int64(2), drift.Sequence)
		require.True(t, drift.InAsks)
		require.False(t, drift.InState)

		drift, err = counter.Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, int64(4), drift.Sequence)
		var newer *saga.SchemaError
		require.ErrorAs(t, drift.Err, &newer)
		_, err = o.runner.Start(t.Context(), counter.ID("b"), add{5})
		require.NoError(t, err)
		history2, err := o.runner.History(t.Context(), counter.ID("b"), 0, 100)
		require.NoError(t, err)
		drift, err = counter.Replay(counter.ID("b"), history2)
		require.NoError(t, err)
		require.NotNil(t, drift)
		require.Equal(t, int64(1), drift.Sequence)
		require.ErrorAs(t, drift.Err, &newer, "where nothing was upcast")

		types := newCountTypes()
		types.Schema = 3
		types.Upcasters[2] = func(old []byte) ([]byte, error) {
			var c newCount
			if err := json.Unmarshal(old, &c); err != nil {
				return nil, err
			}
			return json.Marshal(map[string]any{"Sum": c.Total, "Lines": c.Log})
		}
		type third struct {
			Sum   int
			Lines []string
		}
		for names, logged := range map[string]bool{"[upcast]": true, "[]": false} {
			seen := "[]"
			drift, err = saga.Define("counter", reducer.Func[third, countAction](func(s *third, a countAction, _ reducer.Env) effect.Effect[countAction] {
				f, is := a.(foreign)
				if !is {
					return cfx.None()
				}
				seen = fmt.Sprint(s.Lines)
				if len(s.Lines) > 0 && logged {
					return cfx.All(odd(f.What), cfx.Cancel(s.Lines[0]))
				}
				return odd(f.What)
			}), types).Replay(id, history)
			require.NoError(t, err)
			require.Equal(t, "[upcast]", seen)
			require.Equal(t, logged, drift == nil, "%s: %+v", names, drift)
		}
		boom := newCountTypes()
		boom.Schema = 3
		boom.Upcasters[2] = func([]byte) ([]byte, error) { return nil, errors.New("no") }
		drift, err = saga.Define("counter", countReducer(nil), boom).Replay(id, history)
		require.NoError(t, err)
		require.Equal(t, int64(4), drift.Sequence)
		require.ErrorContains(t, drift.Err, "upcast the state from schema 2: no")
	})
}

// odds is an action of which JSON does not keep all.
type odds struct {
	Of     string
	Text   string
	Empty  []int `json:",omitempty"`
	Hidden int   `json:"-"`
}

func (odds) count() {}

// A result becomes an action of which the history does not have all.
func TestReplayOfWhatJSONDoesNotKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		types := counterTypes()
		types.Actions = append(types.Actions, saga.Action[odds]("odds"))
		made := func(of string) countAction { return odds{of, "ü"[:1], []int{}, 7} }
		child := saga.Define("child", reducer.Func[count, countAction](func(_ *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
			if n, is := a.(add); is && n.N < 0 {
				return cfx.Compensate("less than nothing")
			}
			return cfx.Complete()
		}), counterTypes())
		types.Requests = []saga.RequestType{
			saga.On("fetch", func(q fetch, _ saga.Reply[int]) countAction { return made(fmt.Sprint("fetch ", q.N)) }),
			saga.On("unfetch", func(q unfetch, _ saga.Reply[struct{}]) countAction { return made(fmt.Sprint("unfetch ", q.N)) }),
			saga.OnChild("child", child, func(begin countAction, r saga.Reply[count]) countAction {
				return made(fmt.Sprint(begin, " ", errors.Is(r.Err, saga.ErrCompensated)))
			}),
		}
		type state struct {
			Seen []string
			All  []odds
		}
		def := saga.Define("odd", reducer.Func[state, countAction](func(s *state, a countAction, _ reducer.Env) effect.Effect[countAction] {
			o, is := a.(odds)
			if !is {
				return cfx.All(cfx.Do(fetch{1}, saga.Undo(unfetch{2})), cfx.Do(child.Child(add{1})), cfx.Do(child.Child(add{-1})))
			}
			s.Seen = append(s.Seen, fmt.Sprintf("%s %q %v %d", o.Of, o.Text, o.Empty == nil, o.Hidden))
			if len(s.Seen) == 3 {
				return cfx.Compensate(o.Text)
			}
			return cfx.After(strconv.Quote(o.Text), time.Duration(o.Hidden)*time.Hour, note{o.Text})
		}), types)
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, def, child)
		h, err := o.runner.Start(t.Context(), def.ID("a"), add{1})
		require.NoError(t, err)
		end, err := h.Wait(t.Context())
		require.NoError(t, err)
		s, err := def.State(end)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{
			`fetch 1 "\xc3" false 7`, `unfetch 2 "\xc3" false 7`, `{1} false "\xc3" false 7`, `{-1} true "\xc3" false 7`,
		}, s.Seen)

		history, err := o.runner.History(t.Context(), def.ID("a"), 0, 100)
		require.NoError(t, err)
		made = func(string) countAction { panic("it is not what it was") }
		drift, err := def.Replay(def.ID("a"), history)
		require.NoError(t, err)
		require.NotNil(t, drift, "of the history's action, all is not known")
		require.NoError(t, drift.Err)
		made = func(string) countAction { return odds{"another", "ü"[:1], []int{}, 7} }
		drift, err = def.Replay(def.ID("a"), history)
		require.NoError(t, err)
		require.NotNil(t, drift)
		require.NotContains(t, string(drift.State), "another", "the actions are those of the history")
		made = func(of string) countAction { return odds{of, "ü"[:1], []int{}, 7} }
	}) // the rig replays it
}

// So does a late result.
func TestReplayOfALateResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		types := counterTypes()
		types.Actions = append(types.Actions, saga.Action[odds]("odds"))
		types.Requests = []saga.RequestType{saga.On("fetch", func(_ fetch, r saga.Reply[int]) countAction {
			return odds{Of: fmt.Sprint(r.Value, r.Late), Hidden: 7}
		}, saga.Late())}
		def := saga.Define("odd", reducer.Func[count, countAction](func(s *count, a countAction, _ reducer.Env) effect.Effect[countAction] {
			switch a := a.(type) {
			case add:
				return cfx.Do(fetch{1}, saga.Key("k"))
			case odds:
				s.N, s.Text = a.Hidden, a.Of
				return cfx.Complete()
			}
			return cfx.Cancel("k")
		}), types)
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(func(context.Context, int) (int, error) { return 0, saga.Later })[:1]}, def)
		id := def.ID("a")
		h, err := o.runner.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "m", note{}))
		_, err = o.runner.Resolve(t.Context(), id, id.String()+"/1/0", 5, nil, by)
		require.NoError(t, err)
		end, err := h.Wait(t.Context())
		require.NoError(t, err)
		state, err := def.State(end)
		require.NoError(t, err)
		require.Equal(t, count{7, "5 true"}, state)
	}) // the rig replays it
}
