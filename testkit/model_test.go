package testkit_test

import (
	"sync"
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
	search := func(change func(*testkit.Model[lamp, any, wires]), opts ...testkit.Option) error {
		m := lampModel(lamps, nil, 0)
		if change != nil {
			change(&m)
		}
		_, _, err := testkit.Search(m, opts...)
		return err
	}
	type model = testkit.Model[lamp, any, wires]
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
		"Commutes of testkit_test.light: it is routed to another store, and acts on no world": search(func(m *model) {
			m.Answers = []testkit.Answer{testkit.Route(func(light) (string, any) { return "a", 1 },
				func(any) (struct{}, bool, error) { return struct{}{}, true, nil }, testkit.Commutes())}
		}),
		"testkit_test.light is routed to another store, and the model has one": search(func(m *model) {
			m.Answers = []testkit.Answer{testkit.Route(func(light) (string, any) { return "a", 1 },
				func(any) (struct{}, bool, error) { return struct{}{}, true, nil })}
		}),
		"Fails of testkit_test.light: nil error":               search(func(m *model) { *m = lampModel(lamps, []testkit.AnswerOption{testkit.Fails(nil)}, 0) }),
		"answer 0 is the zero value, make it with On or Route": search(func(m *model) { m.Answers = make([]testkit.Answer, 1) }),
		"an input is nil": search(func(m *model) { m.Inputs = [][]any{{nil}} }),
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

// What cannot be copied or compared is refused, by the name of its field.
func TestModelOfWhatCannotBeCopied(t *testing.T) {
	t.Parallel()
	type (
		callback struct{ F func() }
		guarded  struct {
			N    int
			Deep struct{ Mu sync.Mutex }
		}
		wide struct{ V any }
	)
	_, _, err := testkit.Search(testkit.Model[guarded, int, int]{Reducer: idle[guarded, int](), Inputs: [][]int{{1}}})
	require.EqualError(t, err, "guarded.Deep.Mu: sync.Mutex cannot be cloned: keep locks, funcs and channels out of a state, or give guarded a Clone() method")
	_, _, err = testkit.Search(testkit.Model[int, int, callback]{Reducer: idle[int, int](), Inputs: [][]int{{1}}})
	require.EqualError(t, err, "callback.F: func() cannot be cloned: keep locks, funcs and channels out of a world, or give callback a Clone() method")
	_, _, err = testkit.Search(testkit.Model[int, callback, int]{Reducer: idle[int, callback](), Inputs: [][]callback{{{func() {}}}}})
	require.EqualError(t, err, "action.F: func() cannot be cloned: keep locks, funcs and channels out of an action, or give callback a Clone() method")
	_, _, err = testkit.Search(testkit.Model[copiedFunc, int, int]{Reducer: idle[copiedFunc, int](), Inputs: [][]int{{1}}})
	require.EqualError(t, err, "copiedFunc.F: func() cannot be hashed: functions cannot be compared")
	// What an interface holds shows only when it is there.
	_, failure, err := testkit.Search(testkit.Model[wide, int, int]{
		Reducer: reducer.Func[wide, int](func(s *wide, _ int, _ reducer.Env) effect.Effect[int] {
			s.V = make(chan int)
			return effect.Effect[int]{}
		}),
		Inputs: [][]int{{1}},
	})
	require.NoError(t, err)
	require.Equal(t, "wide.V.(chan int): chan int cannot be hashed: a channel is equal to itself only", failure.Headline)
	require.Len(t, failure.Steps, 1)
}

// copiedFunc can be copied, and not compared.
type copiedFunc struct{ F func() }

func (c copiedFunc) Clone() copiedFunc { return c }

func idle[S, A any]() reducer.Func[S, A] {
	return func(*S, A, reducer.Env) effect.Effect[A] { return effect.Effect[A]{} }
}

func TestUnusedAnswer(t *testing.T) {
	t.Parallel()
	m := lampModel(reducer.Func[lamp, any](func(*lamp, any, reducer.Env) effect.Effect[any] { return lampFx.None() }), nil, 0)
	stats, _, err := testkit.Search(m)
	require.NoError(t, err)
	require.Equal(t, []string{"the model answers testkit_test.light, which is never asked for"}, stats.Warnings)
}
