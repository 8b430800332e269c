package store_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type pointerReducer struct{}

func (*pointerReducer) Reduce(*state, action, reducer.Env) effect.Effect[action] { return fx.None() }

func TestBadConfig(t *testing.T) {
	t.Parallel()
	good := reducer.Func[state, action](reduce)
	echo := handle(func(_ context.Context, id string) (string, error) { return id, nil })
	for want, c := range map[string]struct {
		r   reducer.Reducer[state, action]
		cfg store.Config
	}{
		`store "store": reducer is nil`:                                           {r: nil},
		`store "f": reducer is nil`:                                               {r: reducer.Func[state, action](nil), cfg: store.Config{Name: "f"}},
		`store "p": reducer is nil`:                                               {r: (*pointerReducer)(nil), cfg: store.Config{Name: "p"}},
		`store "store": Config.Workers is -1, must not be negative`:               {r: good, cfg: store.Config{Workers: -1}},
		`store "store": Config.Mailbox is -2, must not be negative`:               {r: good, cfg: store.Config{Mailbox: -2}},
		`store "store": Config.DeadLetters is -3, must not be negative`:           {r: good, cfg: store.Config{DeadLetters: -3}},
		`store "store": Config.WhenFull is 2, must be Block or Reject`:            {r: good, cfg: store.Config{WhenFull: 2}},
		`store "store": Config.Handlers[1]: a second handler for store_test.call`: {r: good, cfg: store.Config{Handlers: []effect.Handler{echo, echo}}},
		`store "store": Config.Handlers[0] is empty: make it with effect.Handle`:  {r: good, cfg: store.Config{Handlers: []effect.Handler{{}}}},
		`store "store": Config.Handlers[1]: handler of store_test.call: nil function`: {r: good, cfg: store.Config{Handlers: []effect.Handler{
			counts(nil), effect.Handle[call, string](nil),
		}}},
		`store "store": Config.Handlers[0]: handler of store_test.call: option 0 is nil`: {r: good, cfg: store.Config{Handlers: []effect.Handler{
			effect.Handle(func(context.Context, call) (string, error) { return "", nil }, nil),
		}}},
	} {
		s, err := store.New(state{}, c.r, c.cfg)
		require.EqualError(t, err, want)
		require.Nil(t, s)
		k, err := store.NewKeyed(func(string) state { return state{} }, c.r, store.KeyedConfig[string, state]{Config: c.cfg})
		require.EqualError(t, err, want)
		require.Nil(t, k)
	}
	for want, cfg := range map[string]store.KeyedConfig[string, state]{
		`keyed store "store": KeyedConfig.MaxLive is -1, must not be negative`:     {MaxLive: -1},
		`keyed store "store": KeyedConfig.IdleAfter is -1ns, must not be negative`: {IdleAfter: -1},
	} {
		_, err := store.NewKeyed(func(string) state { return state{} }, good, cfg)
		require.EqualError(t, err, want)
	}
	_, err := store.NewKeyed[string](nil, good, store.KeyedConfig[string, state]{})
	require.EqualError(t, err, `keyed store "store": initial is nil`)
}

// An effect that makes no sense is told by its result, or is a dead letter if
// it has none. Nothing else is harmed.
func TestBadEffects(t *testing.T) {
	t.Parallel()
	slice := []int{1}
	for name, c := range map[string]struct {
		e      effect.Effect[action]
		result string // what the result's error is
		letter string // or the dead letter's
		action bool   // which has the action
	}{
		"unhandled request":      {e: effect.Do(receipt{}, func(r effect.Result[struct{}]) action { return act("x!" + r.Err.Error()) }), result: "x!no handler: store_test.receipt"},
		"unhandled and fired":    {e: effect.Fire[action](receipt{}), letter: "no handler: store_test.receipt"},
		"stream asked once":      {e: effect.Do(counting{}, func(r effect.Result[int]) action { return act(r.Err.Error()) }), result: "no handler: store_test.counting is handled as a stream, ask for it with effect.Stream"},
		"request asked as many":  {e: effect.Stream(call{}, answered("x")), result: "x!no handler: store_test.call is handled as a single request, ask for it with effect.Do"},
		"key of a request":       {e: do("x", effect.Key(slice)), result: "x!invalid effect: key [1] of type []int cannot be compared, want one that equals itself"},
		"key inside a key":       {e: do("x", effect.Key([1]any{slice})), result: "x!invalid effect: key [[1]] of type [1]interface {} cannot be compared, want one that equals itself"},
		"key that is not itself": {e: do("x", effect.Key(math.NaN())), result: "x!invalid effect: key NaN of type float64 cannot be compared, want one that equals itself"},
		"key of a timer":         {e: fx.After(slice, time.Second, act("never")), letter: "invalid effect: key [1] of type []int cannot be compared, want one that equals itself", action: true},
		"key of a hold":          {e: fx.Hold(slice), letter: "invalid effect: key [1] of type []int cannot be compared, want one that equals itself"},
		"key of a resume":        {e: fx.Resume(slice, act("never")), letter: "invalid effect: key [1] of type []int cannot be compared, want one that equals itself", action: true},
		"key of a cancel":        {e: fx.Cancel(slice), letter: "invalid effect: key [1] of type []int cannot be compared, want one that equals itself"},
		"nil key of a hold":      {e: fx.Hold(nil), letter: "invalid effect: Hold of a nil key"},
		"nil key of a cancel":    {e: fx.Cancel(nil), letter: "invalid effect: Cancel of a nil key"},
		"nil key with a policy":  {e: do("x", effect.Key(nil, effect.Latest)), result: "x!invalid effect: Policy is latest of a nil Key, must be of a key"},
		"negative delay":         {e: fx.After("t", -time.Second, act("never")), letter: "invalid effect: After with a negative delay, -1s", action: true},
		"negative timeout":       {e: do("x", effect.Timeout(-1)), result: "x!invalid effect: Timeout is zero or negative, must be positive"},
		"zero timeout":           {e: do("x", effect.Timeout(0)), result: "x!invalid effect: Timeout is zero or negative, must be positive"},
		"negative retry":         {e: do("x", effect.Retry(effect.RetryPolicy{Delay: -1})), result: "x!invalid effect: RetryPolicy.Delay is -1ns, must not be negative"},
		"nil function of a run":  {e: fx.Run("r", nil), letter: `effect "r": invalid effect: its function is nil`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []store.DeadLetterInfo
			s := open(t, store.Config{Hooks: store.Hooks{DeadLettered: func(d store.DeadLetterInfo) { told = append(told, d) }}},
				handle(func(_ context.Context, id string) (string, error) { return id, nil }), counts(nil))
			require.NoError(t, s.SendAndSettle(t.Context(), act("a", c.e)))
			if c.result != "" {
				require.Equal(t, "a "+c.result, logOf(s))
				require.Empty(t, s.DeadLetters())
			} else {
				require.Equal(t, "a", logOf(s))
				require.Len(t, s.DeadLetters(), 1)
				require.EqualError(t, s.DeadLetters()[0].Err, c.letter)
				require.Equal(t, c.action, s.DeadLetters()[0].HasAction)
				require.Len(t, told, 1)
			}
			require.NoError(t, s.SendAndSettle(t.Context(), act("b", do("fine", effect.Key("k")))), "the store goes on")
			require.NoError(t, s.Shutdown(t.Context()))
		})
	}
}

func TestBadCalls(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Name: "s"})
	s.Observe(nil)()
	_, err := store.Ask[state, action, int](t.Context(), s, act("a"), nil)
	require.EqualError(t, err, `store "s": Ask: match is nil`)
	require.EqualError(t, s.Until(t.Context(), nil), `store "s": Until: predicate is nil`)
	require.Panics(t, func() { store.View[state, action, int](s, nil) })
	for what, err := range map[string]error{
		"Send":          s.Send(ended(), act("a")),
		"SendAndSettle": s.SendAndSettle(ended(), act("a")),
		"Until":         s.Until(ended(), func(*state) bool { return true }),
	} {
		require.ErrorIs(t, err, context.Canceled, what)
	}
	require.Empty(t, logOf(s), "nothing was changed")
	require.Equal(t, store.Health{}, s.Health())
	send(t, s, act("a"))

	k := openKeyed(t, store.KeyedConfig[string, state]{Config: store.Config{Name: "k"}})
	stop, err := k.Observe("a", nil)
	require.NoError(t, err)
	stop()
	_, err = store.AskKey[string, state, action, int](t.Context(), k, "a", act("a"), nil)
	require.EqualError(t, err, `store "k": Ask: match is nil`)
	require.EqualError(t, k.Until(t.Context(), "a", nil), `store "k": Until: predicate is nil`)
	require.ErrorIs(t, k.Send(ended(), "a", act("a")), context.Canceled)
	require.ErrorIs(t, k.Redeliver(t.Context(), 1), store.ErrNoDeadLetter)
	k.Adopt(store.DeadLetter[action]{Store: "other", StoreKey: 7, HasAction: true})
	require.EqualError(t, k.Redeliver(t.Context(), 1), `dead letter 1 of store "other" has StoreKey 7, want one of type string`)
}

func TestKeysThatAreNotThemselves(t *testing.T) {
	t.Parallel()
	k, err := store.NewKeyed(func(any) state { return state{} }, reducer.Func[state, action](reduce), store.KeyedConfig[any, state]{})
	require.NoError(t, err)
	require.EqualError(t, k.Send(t.Context(), math.NaN(), act("a")), `keyed store "store": key NaN does not equal itself and would never be found again`)
	require.Zero(t, k.Len())
	require.PanicsWithError(t, "runtime error: hash of unhashable type []int", func() { _ = k.Send(t.Context(), []int{1}, act("a")) }, "as a map does")
	require.NoError(t, k.Send(t.Context(), 1, act("a")))
	require.NoError(t, k.Send(t.Context(), "1", act("b")))
	require.Equal(t, 2, k.Len())
	log, ok := store.ViewKey(k, "1", (*state).log)
	require.True(t, ok)
	require.Equal(t, "b", log)
	require.NoError(t, k.Shutdown(t.Context()))
}

// Every type that is described in a log can be printed.
func TestErrorsAndDescriptionsPrint(t *testing.T) {
	t.Parallel()
	abandoned := store.AbandonedError{Cause: errEnded, Running: 2, Abandoned: []store.Abandoned{
		{Kind: "timer", StoreKey: "ada", Key: "k", Action: act("x").String()},
		{Kind: "run", Name: "tidy"},
		{Kind: "request", Key: 7, Name: "Load", Request: call{"x"}},
	}}
	require.EqualError(t, &abandoned, "shutdown abandoned 3 effects (the test has ended), 2 handlers still running: "+
		"timer of ada key=k action=string(x); run tidy; request key=7 Load{ID:x}")
	stopped := store.StoppedError{Store: "orders", Key: "ada", During: "reduce", Action: 7, Value: errEnded}
	require.EqualError(t, &stopped, `store "orders"[ada] stopped: reduce int(7): panic: the test has ended`)
	require.ErrorIs(t, &stopped, errEnded)
	require.NotEmpty(t, fmt.Sprint(store.Health{}))
}
