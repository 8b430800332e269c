package testkit_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// A report has all that can be in one: several stores, a timer, requests in each
// phase, faults, a crash, what is recovered, answers and the world.

type (
	house struct {
		Hall lamp
		Desk deskState
	}
	deskState struct {
		Asked, Known int
		Notes        map[string]bool
	}
	ask   struct{ N int }
	known struct {
		N   int
		Err error
	}
	lookUp  struct{ N int }
	resumed struct{ Notes int }
)

func (lookUp) Returns(int) {}

var deskReducer = reducer.Func[deskState, any](func(s *deskState, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case ask:
		s.Asked++
		s.Notes = map[string]bool{"asked": true}
		return lampFx.All(
			effect.Do(lookUp(a), func(r effect.Result[int]) any { return known{r.Value, r.Err} },
				effect.Timeout(time.Minute), effect.Retry(effect.RetryPolicy{Attempts: 2, Delay: time.Second})),
			effect.Do(light(a), func(r effect.Result[struct{}]) any { return lit{a.N, r.Err} }, effect.Key("light")),
			lampFx.After("nag", time.Hour, tick{}))
	case lit:
		s.Notes["lit"] = a.Err == nil
	case known:
		s.Known = a.N
	case resumed:
		if s.Notes == nil {
			s.Notes = map[string]bool{}
		}
		s.Notes["resumed"] = true
		return effect.Do(lookUp{7}, func(r effect.Result[int]) any { return known{r.Value, r.Err} })
	}
	return lampFx.None()
})

var hallReducer = reducer.Func[lamp, any](func(s *lamp, action any, _ reducer.Env) effect.Effect[any] {
	if a, ok := action.(press); ok {
		s.On[a.N] = true
		return lampFx.Send(lit{N: a.N})
	}
	return lampFx.None()
})

func houseModel() testkit.Model[house, testkit.Sent, wires] {
	return testkit.Model[house, testkit.Sent, wires]{
		Stores: []testkit.Store[house]{
			testkit.StoreOf("hall", func(h *house) *lamp { return &h.Hall }, hallReducer),
			testkit.StoreOf("desk", func(h *house) *deskState { return &h.Desk }, deskReducer),
		},
		Inputs: [][]testkit.Sent{{testkit.To("desk", ask{1})}},
		Answers: []testkit.Answer{
			testkit.Route(func(q light) (string, any) { return "hall", press(q) },
				func(a any) (struct{}, bool, error) { l, ok := a.(lit); return struct{}{}, ok, l.Err }),
			testkit.On(func(w *wires, q lookUp) (int, error) { w.Lit[q.N%4]++; return q.N * 10, nil }, testkit.Fails(errFuse)),
		},
		Recover: func(h *house) (house, []testkit.Sent) {
			return house{Desk: h.Desk}, []testkit.Sent{testkit.To("desk", resumed{len(h.Desk.Notes)})}
		},
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	_, failure, err := testkit.Search(houseModel(), testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1),
		testkit.Always("who was told of the light sees it", func(h *house, _ *wires) bool {
			return !h.Desk.Notes["lit"] || h.Hall.On[1] || h.Desk.Known != 70
		}))
	require.NoError(t, err)
	require.NotNil(t, failure)
	golden(t, "report", failure.String())
}

// What a panic interrupted is told, and the calls of the user's code that led to
// it, without ours.
func TestReportOfAPanic(t *testing.T) {
	t.Parallel()
	r := reducer.Func[lamp, any](func(s *lamp, a any, env reducer.Env) effect.Effect[any] {
		if a, ok := a.(lit); ok {
			s.On[a.N+4-len(s.On)+a.N*9] = true
		}
		return lamps(s, a, env)
	})
	_, failure, err := testkit.Search(lampModel(r, nil, 1))
	require.NoError(t, err)
	text := regexp.MustCompile(`(?m)^\t.*/(\w+\.go):\d+$`).ReplaceAllString(failure.String(), "\t$1")
	golden(t, "panic", text)

	then := reducer.Func[lamp, any](func(_ *lamp, a any, _ reducer.Env) effect.Effect[any] {
		if a, ok := a.(press); ok {
			return effect.Do(light(a), func(effect.Result[struct{}]) any { panic(errors.New("not mine")) })
		}
		return lampFx.None()
	})
	_, failure, err = testkit.Search(lampModel(then, nil, 1))
	require.NoError(t, err)
	mentions(t, failure.String(), "panic: not mine", "TestReportOfAPanic", "2. light{N: 1} is answered", "panic   map the result of")
}

// archiveT is a fakeT with a place for artifacts, as *testing.T has.
type archiveT struct {
	*fakeT
	dir string
}

func (t archiveT) ArtifactDir() string { return t.dir }

// The flag is global, so this test is alone.
func TestReportIsKept(t *testing.T) { //nolint:paralleltest // see above
	broken := func(dir string) *fakeT {
		return try(func(f *fakeT) {
			testkit.Explore(archiveT{f, dir}, lampModel(lamps, nil, 0), testkit.Always("dark", func(s *lamp, _ *wires) bool { return !s.On[0] }))
		})
	}
	dir := t.TempDir()
	f := broken(dir)
	require.Len(t, f.failures, 1)
	require.NoFileExists(t, filepath.Join(dir, "trace.txt"), "artifacts are not kept")

	was := flag.Lookup("test.artifacts").Value.String()
	require.NoError(t, flag.Set("test.artifacts", "true"))
	f = broken(dir)
	require.NoError(t, flag.Set("test.artifacts", was))
	require.Len(t, f.failures, 1)
	text, err := os.ReadFile(filepath.Join(dir, "trace.txt"))
	require.NoError(t, err)
	require.Equal(t, f.failures[0]+"\n", string(text))
	require.Equal(t, []string{"testkit: the report is in " + filepath.Join(dir, "trace.txt")}, f.logs)
}
