package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// lamp is a state with a bit for each of some lamps.
type lamp struct {
	On    [4]bool
	Count int
}

type (
	press struct{ N int }
	lit   struct {
		N   int
		Err error
	}
	tick struct{}
)

type light struct{ N int }

func (light) Returns(struct{}) {}

type wires struct{ Lit [4]int }

var (
	errFuse = errors.New("fuse blown")
	lampFx  effect.Of[any]
)

func lampOn(n int, opts ...effect.Option) effect.Effect[any] {
	return effect.Do(light{n}, func(r effect.Result[struct{}]) any { return lit{n, r.Err} }, opts...)
}

// lamps asks for light when a button is pressed.
var lamps = reducer.Func[lamp, any](func(s *lamp, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case press:
		return lampOn(a.N)
	case lit:
		s.On[a.N] = a.Err == nil
	}
	return lampFx.None()
})

func lampModel(r reducer.Reducer[lamp, any], opts []testkit.AnswerOption, buttons ...int) testkit.Model[lamp, any, wires] {
	m := testkit.Model[lamp, any, wires]{
		Reducer: r,
		Answers: []testkit.Answer{testkit.On(func(w *wires, q light) (struct{}, error) {
			w.Lit[q.N]++
			return struct{}{}, nil
		}, opts...)},
	}
	for _, n := range buttons {
		m.Inputs = append(m.Inputs, []any{press{n}})
	}
	return m
}

var allOn = testkit.Sometimes("all are on", func(s *lamp, _ *wires) bool { return s.On[0] && s.On[1] })

// A request that is pressed, asked, done and answered has four states. Two that
// have nothing to do with each other have all pairs of them.
func TestExploreCounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		buttons             []int
		faults              testkit.Option
		states, transitions int
	}{
		// press, answer, act, answer arrives
		{[]int{0}, testkit.LostReplies(0), 4, 4},
		{[]int{0, 1}, testkit.LostReplies(0), 4 * 4, 2 * 4 * 4},
		{[]int{0, 1, 2}, testkit.LostReplies(0), 4 * 4 * 4, 3 * 4 * 4 * 4},
		// Besides, once: lost before it has acted, lost after, and its answer lost.
		// A lost one is dark, and either is in the wires or not.
		{[]int{0}, testkit.LostReplies(1), 4 + 2, 4 + 3},
	} {
		stats, failure, err := testkit.Search(lampModel(lamps, nil, row.buttons...), row.faults)
		require.NoError(t, err)
		require.Nil(t, failure)
		require.True(t, stats.Complete)
		require.Equal(t, [2]int{row.states, row.transitions}, [2]int{stats.States, stats.Transitions}, "%v", row.buttons)
	}
}

// Whatever the reducer is, the verdict, the trace and the counts do not depend on
// how many workers there are, nor on what claims leave out.
func TestExploreIsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		table := rapid.SliceOfN(rapid.IntRange(0, 6), 6, 6).Draw(rt, "what the reducer does")
		r := reducer.Func[lamp, any](func(s *lamp, action any, _ reducer.Env) effect.Effect[any] {
			at := 0
			switch a := action.(type) {
			case press:
				at = 1 + a.N
			case lit:
				at = 3
				s.On[a.N] = a.Err == nil
			}
			s.Count++
			switch table[at] {
			case 1:
				return lampOn(0, effect.Key("k", effect.Latest), effect.Timeout(time.Second))
			case 2:
				return lampOn(1, effect.Key("k", effect.Queue))
			case 3:
				return lampFx.After("t", time.Second, tick{})
			case 4:
				return lampFx.Cancel("k")
			case 5:
				return lampFx.Sequence(lampOn(0), lampOn(1))
			case 6:
				return lampFx.All(lampOn(0, effect.Retry(effect.RetryPolicy{Attempts: 2})), lampFx.After("t", time.Minute, tick{}))
			}
			return lampFx.None()
		})
		limit := rapid.IntRange(2, 9).Draw(rt, "limit")
		search := func(opts ...testkit.Option) (testkit.Stats, *testkit.Failure) {
			stats, failure, err := testkit.Search(lampModel(r, []testkit.AnswerOption{testkit.Commutes(), testkit.Fails(errFuse)}, 0, 1),
				append(opts, testkit.Always("few actions", func(s *lamp, _ *wires) bool { return s.Count < limit }),
					testkit.Failures(1), testkit.LostReplies(1), testkit.Duplicates(1), testkit.MaxStates(700), testkit.MaxDepth(9))...)
			require.NoError(rt, err)
			return stats, failure
		}
		stats, failure := search(testkit.Workers(1))
		for _, n := range []int{2, 7} {
			others, other := search(testkit.Workers(n))
			require.Equal(rt, stats.String(), others.String())
			require.Equal(rt, failure, other)
		}
		full, inFull := search(testkit.NoReduction())
		if stats.Complete && full.Complete {
			require.Equal(rt, failure == nil, inFull == nil)
			require.LessOrEqual(rt, stats.States, full.States)
		}
		if failure != nil && inFull != nil {
			require.Equal(rt, inFull.Headline, failure.Headline)
			require.Len(rt, failure.Steps, len(inFull.Steps), "the shortest")
		}
	})
}

// What is found without being asked for.
func TestExploreFinds(t *testing.T) {
	t.Parallel()
	var global atomic.Int64
	for name, row := range map[string]struct {
		reducer reducer.Func[lamp, any]
		options []testkit.Option
		want    string
		steps   int
	}{
		"a panic": {reducer: func(*lamp, any, reducer.Env) effect.Effect[any] { panic("dark") }, want: "panic: dark", steps: 1},
		"an endless send": {
			reducer: func(_ *lamp, a any, _ reducer.Env) effect.Effect[any] { return lampFx.Send(a) },
			want:    "10000 actions were reduced in one step, and there are more: the reducer of the store sends without end", steps: 1,
		},
		"a deadlock": {
			reducer: func(*lamp, any, reducer.Env) effect.Effect[any] { return lampFx.Hold("door") },
			want:    "deadlock: nothing is left to happen, and something waits", steps: 2, // both inputs are sent before
		},
		"a livelock": {
			reducer: func(*lamp, any, reducer.Env) effect.Effect[any] { return lampFx.After("t", time.Second, tick{}) },
			want:    "livelock: from here on there is always something left to do, whatever happens", steps: 2, // the second is once around
		},
		"a fault": {
			reducer: func(*lamp, any, reducer.Env) effect.Effect[any] { return lampFx.Cancel(nil) },
			want:    "a fault was reported: invalid effect: Cancel of a nil key", steps: 1,
		},
		"a global": {
			reducer: func(s *lamp, _ any, _ reducer.Env) effect.Effect[any] {
				s.Count = int(global.Add(1))
				return lampFx.None()
			},
			want: "the same step led to something else the second time", steps: 1,
		},
		"an opaque function": {
			reducer: func(*lamp, any, reducer.Env) effect.Effect[any] {
				return lampFx.Run("magic", func(context.Context) any { return nil })
			},
			want: `run "magic" is a function that cannot be looked into: ask for it with a request`, steps: 1,
		},
		"no end": {
			reducer: func(s *lamp, _ any, _ reducer.Env) effect.Effect[any] {
				s.Count++
				return lampFx.After("t", time.Second, tick{})
			},
			options: []testkit.Option{testkit.Always("few", func(s *lamp, _ *wires) bool { return s.Count < 50 })},
			want:    `Always "few" is broken`, steps: 50,
		},
		"never": {
			reducer: lamps, options: []testkit.Option{testkit.Sometimes("the third is on", func(s *lamp, _ *wires) bool { return s.On[2] })},
			want: `Sometimes "the third is on" is never met`,
		},
		"at once": {
			reducer: lamps, options: []testkit.Option{testkit.Always("on", func(s *lamp, _ *wires) bool { return s.On[0] })},
			want: `Always "on" is broken`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, failure, err := testkit.Search(lampModel(row.reducer, nil, 0, 1), row.options...)
			require.NoError(t, err)
			require.NotNil(t, failure)
			require.Equal(t, row.want, failure.Headline)
			require.Len(t, failure.Steps, row.steps)
		})
	}
}

// diary is a state with memory that timers share with it.
type diary struct{ Days [2]struct{ Visits []int } }

type (
	visit struct{ Day int }
	look  struct {
		Day    int
		Visits []int
	}
)

// A timer or a request that shares memory with the state it came from is explored
// as one that does not: what happens on one way never shows on another.
func TestSharedMemory(t *testing.T) {
	t.Parallel()
	explore := func(copied bool) testkit.Stats {
		var dfx effect.Of[any]
		r := reducer.Func[diary, any](func(s *diary, a any, _ reducer.Env) effect.Effect[any] {
			switch a := a.(type) {
			case visit:
				visits := &s.Days[a.Day].Visits
				if *visits == nil {
					*visits = make([]int, 3)
				}
				kept := *visits
				if copied {
					kept = slices.Clone(kept)
				}
				(*visits)[0]++
				if copied {
					kept[0]++
				}
				return dfx.After(nil, time.Second, look{a.Day, kept})
			case look:
				s.Days[a.Day].Visits[1], s.Days[a.Day].Visits[2] = a.Visits[0], a.Visits[1]
			}
			return dfx.None()
		})
		stats, failure, err := testkit.Search(testkit.Model[diary, any, struct{}]{
			Reducer: r,
			Inputs:  [][]any{{visit{0}, visit{0}, visit{0}}, {visit{1}, visit{1}, visit{1}}},
		}, testkit.AnyTimer(), testkit.Workers(1))
		require.NoError(t, err)
		require.Nil(t, failure)
		return stats
	}
	want, got := explore(true), explore(false)
	require.Greater(t, want.States, 1000)
	require.Equal(t, want.String(), got.String())
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	m := lampModel(lamps, nil, 0, 1, 2)
	stats, failure, err := testkit.Search(m, testkit.MaxStates(20))
	require.NoError(t, err)
	require.Nil(t, failure)
	require.False(t, stats.Complete)
	require.Contains(t, stats.String(), "CUT SHORT at 20 states")
	f := try(func(t *fakeT) { testkit.Explore(t, m, testkit.MaxDepth(2)) })
	require.Empty(t, f.failures)
	mentions(t, fmt.Sprint(f.logs), "CUT SHORT at a depth of 2 steps", "NOT EVERYTHING WAS EXPLORED")
	report := fails(t, func(t *fakeT) { testkit.Explore(t, m, testkit.MaxStates(20), allOn) })
	mentions(t, report, `Sometimes "all are on" is never met`, "The exploration was cut short at 20 states")
}

// A reducer that asks for the time is explored with the time as a part of the
// state: here two timers make 1 s and 2 s of it.
func TestExploreWithTheClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	r := reducer.Func[lamp, any](func(s *lamp, a any, env reducer.Env) effect.Effect[any] {
		switch a.(type) {
		case press:
			return lampFx.After(nil, time.Second, tick{})
		case tick:
			if env.Now().Sub(start) >= 2*time.Second {
				s.On[3] = true
			}
		}
		return lampFx.None()
	})
	late := testkit.Sometimes("late", func(s *lamp, _ *wires) bool { return s.On[3] })
	_, failure, err := testkit.Search(lampModel(r, nil, 0, 1), late)
	require.NoError(t, err)
	require.Nil(t, failure)
}

// What Commutes leaves out is the moment in which the world knows what the state
// does not. Only a promise that holds one against the other would see it.
func TestCommutesLeavesOut(t *testing.T) {
	t.Parallel()
	m := lampModel(lamps, []testkit.AnswerOption{testkit.Commutes()}, 0, 1)
	for name, row := range map[string]struct {
		promise testkit.Option
		sees    bool
	}{
		"state": {testkit.Always("state", func(s *lamp, _ *wires) bool { return !(s.On[0] && s.On[1]) }), true},
		"world": {testkit.Always("world", func(_ *lamp, w *wires) bool { return w.Lit[0]+w.Lit[1] < 2 }), true},
		"both":  {testkit.Always("both", func(s *lamp, w *wires) bool { return s.On[0] == (w.Lit[0] > 0) }), false},
	} {
		_, failure, err := testkit.Search(m, row.promise)
		require.NoError(t, err)
		require.Equal(t, row.sees, failure != nil, name)
		_, failure, err = testkit.Search(m, row.promise, testkit.NoReduction())
		require.NoError(t, err)
		require.NotNil(t, failure, name)
	}
}

// Timers fire in the order of their deadlines, unless told otherwise.
func TestTimers(t *testing.T) {
	t.Parallel()
	r := reducer.Func[lamp, any](func(s *lamp, a any, _ reducer.Env) effect.Effect[any] {
		switch a := a.(type) {
		case press:
			return lampFx.All(lampFx.After("slow", 2*time.Second, lit{N: 1}), lampFx.After("fast", time.Second, lit{N: 0}))
		case lit:
			s.On[a.N] = true
		}
		return lampFx.None()
	})
	inOrder := testkit.Always("fast before slow", func(s *lamp, _ *wires) bool { return s.On[0] || !s.On[1] })
	_, failure, err := testkit.Search(lampModel(r, nil, 0), inOrder, allOn)
	require.NoError(t, err)
	require.Nil(t, failure)
	_, failure, err = testkit.Search(lampModel(r, nil, 0), inOrder, allOn, testkit.AnyTimer())
	require.NoError(t, err)
	require.Equal(t, []string{"send press{}", "timer lit{N: 1}"}, failure.Steps)
}

// The way into a livelock ends where it has been before.
func TestLivelock(t *testing.T) {
	t.Parallel()
	m := lampModel(reducer.Func[lamp, any](func(s *lamp, a any, _ reducer.Env) effect.Effect[any] {
		switch a := a.(type) {
		case press:
			if s.On[0] && a.N == 1 {
				return lampOn(1)
			}
			s.On[0] = true
		case lit:
			if a.Err != nil {
				s.On[2] = !s.On[2]
				return lampOn(a.N) // for ever, one time this way and one time that
			}
		}
		return lampFx.None()
	}), nil, 0, 1)
	m.Answers = []testkit.Answer{testkit.On(func(*wires, light) (struct{}, error) { return struct{}{}, errFuse })}
	_, failure, err := testkit.Search(m)
	require.NoError(t, err)
	require.Equal(t, []string{
		"send press{}", "send press{N: 1}", // the other way round it ends
		"light{N: 1} is answered", "light{N: 1} is answered",
	}, failure.Steps)
	golden(t, "livelock", failure.String())

	// Who can always try again can go in circles, and out of them.
	again := reducer.Func[lamp, any](func(s *lamp, a any, _ reducer.Env) effect.Effect[any] {
		switch a := a.(type) {
		case press:
			return lampOn(a.N)
		case lit:
			if s.On[a.N] = a.Err == nil; !s.On[a.N] {
				return lampOn(a.N)
			}
		}
		return lampFx.None()
	})
	stats, failure, err := testkit.Search(lampModel(again, []testkit.AnswerOption{testkit.Fails(errFuse)}, 0, 1), allOn)
	require.NoError(t, err)
	require.Nil(t, failure)
	require.True(t, stats.Complete)
}
