package testkit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

func TestFalseCommutes(t *testing.T) {
	t.Parallel()
	m := lampModel(lamps, nil, 0, 1)
	m.Answers = []testkit.Answer{testkit.On(func(w *wires, q light) (struct{}, error) {
		w.Lit[0] = q.N // the last one stays
		return struct{}{}, nil
	}, testkit.Commutes())}
	_, failure, err := testkit.Search(m)
	require.NoError(t, err)
	require.NotNil(t, failure)
	require.Equal(t, "light{} is said to commute, and does not with light{N: 1}", failure.Headline)
	require.Equal(t, []string{"send press{}", "send press{N: 1}"}, failure.Steps, "as far as both wait")
}

// sloppy has a Clone that shares what the reducer changes.
type sloppy struct{ Marks []int }

func (s sloppy) Clone() sloppy { return s }

func TestShallowClone(t *testing.T) {
	t.Parallel()
	r := reducer.Func[sloppy, int](func(s *sloppy, n int, _ reducer.Env) effect.Effect[int] { s.Marks[n]++; return effect.Effect[int]{} })
	_, alone, err := testkit.Search(testkit.Model[sloppy, int, struct{}]{
		State: sloppy{make([]int, 3)}, Reducer: r, Inputs: [][]int{{0}, {1}, {2}},
	})
	require.NoError(t, err)
	type two struct{ A, B sloppy }
	_, oneOfTwo, err := testkit.Search(testkit.Model[two, testkit.Sent, struct{}]{
		State: two{sloppy{make([]int, 3)}, sloppy{make([]int, 3)}},
		Stores: []testkit.Store[two]{
			testkit.StoreOf("a", func(s *two) *sloppy { return &s.A }, r),
			testkit.StoreOf("b", func(s *two) *sloppy { return &s.B }, r),
		},
		Inputs: [][]testkit.Sent{{testkit.To("a", 0)}, {testkit.To("a", 1)}, {testkit.To("b", 2)}},
	})
	require.NoError(t, err)
	for _, failure := range []*testkit.Failure{alone, oneOfTwo} {
		require.NotNil(t, failure)
		require.Equal(t, "a step changed a state that it was given a copy of", failure.Headline)
	}
}

func TestExploreBadInput(t *testing.T) {
	t.Parallel()
	type locked struct{ Mu chan int }
	search := func(change func(*testkit.Model[lamp, any, wires]), opts ...testkit.Option) error {
		m := lampModel(lamps, nil, 0)
		if change != nil {
			change(&m)
		}
		_, _, err := testkit.Search(m, opts...)
		return err
	}
	type model = testkit.Model[lamp, any, wires]
	_, _, unclonable := testkit.Search(testkit.Model[locked, int, struct{}]{
		Reducer: reducer.Func[locked, int](func(*locked, int, reducer.Env) effect.Effect[int] { return effect.Effect[int]{} }),
		Inputs:  [][]int{{1}},
	})
	require.ErrorContains(t, unclonable, "locked.Mu: chan int cannot be cloned")
	for want, err := range map[string]error{
		"the model has no Inputs: nothing can happen": search(func(m *model) { m.Inputs = nil }),
		"sender 0 of Inputs has no actions":           search(func(m *model) { m.Inputs = [][]any{{}} }),
		"the reducer of the store is nil":             search(func(m *model) { m.Reducer = nil }),
		"there are two answers for testkit_test.light": search(func(m *model) {
			m.Answers = append(m.Answers, m.Answers...)
		}),
		"testkit_test.light acts on a world of type int, the model's is testkit_test.wires": search(func(m *model) {
			m.Answers = []testkit.Answer{testkit.On(func(*int, light) (struct{}, error) { return struct{}{}, nil })}
		}),
		"Crashes needs Model.Recover, which says with what a process starts again": search(nil, testkit.Crashes(1)),
		"Crashes is -1, want 0 to 255":                                             search(nil, testkit.Crashes(-1)),
		"MaxStates is 0, want at least 1":                                          search(nil, testkit.MaxStates(0)),
		`Always "a": nil function`:                                                 search(nil, testkit.Always[lamp, wires]("a", nil)),
		`Always "a": there is another promise of that name`: search(nil,
			testkit.Always("a", func(*lamp, *wires) bool { return true }), testkit.Always("a", func(*lamp, *wires) bool { return true })),
		`Always "a" is a func(*int, *int) bool, want a func(*testkit_test.lamp, *testkit_test.wires) bool, of the model's state and world`: search(nil,
			testkit.Always("a", func(*int, *int) bool { return true })),
	} {
		require.EqualError(t, err, want)
	}
}

func TestUnusedAnswer(t *testing.T) {
	t.Parallel()
	m := lampModel(reducer.Func[lamp, any](func(*lamp, any, reducer.Env) effect.Effect[any] { return lampFx.None() }), nil, 0)
	stats, _, err := testkit.Search(m)
	require.NoError(t, err)
	require.Equal(t, []string{"the model answers testkit_test.light, which is never asked for"}, stats.Warnings)
}
