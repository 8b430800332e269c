package testkit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

func TestSimulateShrinks(t *testing.T) {
	t.Parallel()
	m := lampModel(lamps, nil, 0, 1, 2, 3)
	promise := testkit.Always("never both", func(s *lamp, _ *wires) bool { return !(s.On[1] && s.On[3]) })
	for seed := range uint64(20) {
		report := fails(t, func(t *fakeT) { testkit.Simulate(t, m, promise, testkit.Seeds(seed)) })
		mentions(t, report, "4 steps that lead to it, of which none can be left out:",
			fmt.Sprintf("found by the walk of seed %d", seed), fmt.Sprintf("RONDO_SEED=%d go test -run '^fake$'", seed))
		again := fails(t, func(t *fakeT) { testkit.Simulate(t, m, promise, testkit.Seeds(seed)) })
		require.Equal(t, report, again)
	}
	golden(t, "simulated", fails(t, func(t *fakeT) { testkit.Simulate(t, m, promise, testkit.Seeds(4)) }))
	mentions(t, fails(t, func(t *fakeT) {
		testkit.Simulate(t, m, testkit.Sometimes("dark", func(s *lamp, _ *wires) bool { return s.Count > 0 }), testkit.Walks(3))
	}), `Sometimes "dark" is never met in 3 walks`)
}

// When a request is answered only after something else has happened, it takes its
// two steps: they are not made one.
func TestSimulateKeepsWhatItNeeds(t *testing.T) {
	t.Parallel()
	m := lampModel(lamps, nil, 0, 1)
	crossed := testkit.Always("in order", func(s *lamp, w *wires) bool { return !(w.Lit[0] > 0 && s.On[1] && !s.On[0]) })
	for seed := range uint64(20) {
		f := try(func(t *fakeT) { testkit.Simulate(t, m, crossed, testkit.Seeds(seed)) })
		if len(f.failures) > 0 {
			mentions(t, f.failures[0], "4 steps that lead to it", "light{} is done, its answer on the way")
			return
		}
	}
	t.Fatal("no walk has crossed them")
}

func TestSimulateCalm(t *testing.T) {
	t.Parallel()
	restless := lampModel(reducer.Func[lamp, any](func(_ *lamp, a any, _ reducer.Env) effect.Effect[any] {
		if a == (press{3}) || a == (tick{}) {
			return lampFx.After("t", time.Second, tick{})
		}
		return lampFx.None()
	}), nil, 0, 1, 2, 3)
	report := fails(t, func(t *fakeT) { testkit.Simulate(t, restless, testkit.Walks(1), testkit.Steps(5)) })
	mentions(t, report, "the model has not come to rest 10000 steps after the last fault")
	require.Less(t, strings.Count(report, "\n"), 50, "the calm is not told")
	f := try(func(t *fakeT) {
		testkit.Simulate(t, restless, testkit.Walks(1), testkit.Steps(5), testkit.Endless())
	})
	require.Empty(t, f.failures)

	// Nothing goes wrong in a calm, unless a timeout is all that is left: then that
	// is what happens, and what is promised finally is looked at.
	type two struct{ Asks, Mute lamp }
	waits := reducer.Func[lamp, any](func(s *lamp, a any, _ reducer.Env) effect.Effect[any] {
		switch a := a.(type) {
		case press:
			return lampOn(0, effect.Timeout(time.Minute))
		case lit:
			s.On[0], s.On[1] = true, errors.Is(a.Err, context.DeadlineExceeded)
		}
		return lampFx.None()
	})
	mute := reducer.Func[lamp, any](func(*lamp, any, reducer.Env) effect.Effect[any] { return lampFx.Hold("for ever") })
	m := testkit.Model[two, testkit.Sent, struct{}]{
		Stores: []testkit.Store[two]{
			testkit.StoreOf("asks", func(s *two) *lamp { return &s.Asks }, waits),
			testkit.StoreOf("mute", func(s *two) *lamp { return &s.Mute }, mute),
		},
		Inputs: [][]testkit.Sent{{testkit.To("asks", press{})}},
		Answers: []testkit.Answer{testkit.Route(func(light) (string, any) { return "mute", tick{} },
			func(any) (struct{}, bool, error) { return struct{}{}, false, nil })},
	}
	quick := testkit.Finally("no timeout", func(s *two, _ *struct{}) bool { return !s.Asks.On[1] })
	calm := []testkit.Option{testkit.Walks(10), testkit.FaultRate(0), testkit.Steps(1), quick}
	mentions(t, fails(t, func(t *fakeT) { testkit.Simulate(t, m, calm...) }), "deadlock", "asks: light{} times out")
	m.Stores[1] = testkit.StoreOf("mute", func(s *two) *lamp { return &s.Mute }, lamps)
	f = try(func(t *fakeT) { testkit.Simulate(t, m, calm...) })
	require.Empty(t, f.failures)
}

func TestRetrace(t *testing.T) {
	t.Parallel()
	m := lampModel(lamps, nil, 0, 1)
	f := try(func(t *fakeT) {
		testkit.Retrace(t, m, []string{"send press{}", "crash", "light{} is answered"}, allOn)
	})
	require.Empty(t, f.failures)
	require.Equal(t, []string{"testkit: Retrace: LEFT OUT, it cannot happen any more: crash"}, f.logs)
	mentions(t, fails(t, func(t *fakeT) { testkit.Retrace(t, m, []string{"nonsense"}, allOn) }), "none of the steps can happen")
	mentions(t, fails(t, func(t *fakeT) { testkit.Retrace(t, m, nil) }), "there are no steps")
	mentions(t, fails(t, func(t *fakeT) {
		testkit.Retrace(t, m, []string{"send press{N: 1}"}, testkit.Finally("dark", func(s *lamp, _ *wires) bool { return !s.On[0] }))
	}), `Finally "dark" is broken`)
}
