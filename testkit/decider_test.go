package testkit_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// A stage has seats by name.
type (
	Stage struct {
		Size  int
		Taken map[string]string
		When  time.Time
	}

	StageCommand interface{ stageCommand() }
	Build        struct{ Size int }
	Take         struct {
		Who   string
		Seats []string
	}
	Misbehave struct {
		How   string
		Names []string
	}

	StageEvent interface{ stageEvent() }
	Built      struct {
		Size int
		At   time.Time
		ID   uuid.UUID
		By   string
	}
	SeatTaken struct{ Who, Seat string }
	Odd       struct {
		How   string
		Names []string
	}
)

func (Build) stageCommand()     {}
func (Take) stageCommand()      {}
func (Misbehave) stageCommand() {}
func (Built) stageEvent()       {}
func (SeatTaken) stageEvent()   {}
func (Odd) stageEvent()         {}

type fullError struct{ left int }

func (e *fullError) Error() string       { return fmt.Sprintf("%d seats are left", e.left) }
func (*fullError) RejectionCode() string { return "full" }

var errClosed = errors.New("the stage is closed")

type stages struct{ calls *int }

func (d stages) Decide(s *Stage, c StageCommand, env reducer.Env) ([]StageEvent, error) {
	switch c := c.(type) {
	case Build:
		if s.Size == c.Size {
			return nil, nil
		}
		return []StageEvent{Built{c.Size, env.Now(), env.NewID(), env.Meta().Actor}}, nil
	case Take:
		if s.Size == 0 {
			return []StageEvent{Built{Size: 1}}, fmt.Errorf("take: %w", errClosed)
		}
		if left := s.Size - len(s.Taken); len(c.Seats) > left {
			return nil, &fullError{left}
		}
		var events []StageEvent
		for _, seat := range c.Seats {
			events = append(events, SeatTaken{c.Who, seat})
		}
		return events, nil
	case Misbehave:
		switch c.How {
		case "state":
			s.Size++
		case "map":
			s.Taken["9"] = "mallory"
		case "command":
			c.Names[0] = "mallory"
		case "clock":
			return []StageEvent{Built{At: time.Now()}}, nil
		case "chance":
			return nil, fmt.Errorf("chance %d", rand.Int()) //nolint:gosec // that is the mistake
		case "order":
			return []StageEvent{Odd{Names: slices.Collect(maps.Keys(s.Taken))}}, nil
		case "calls":
			*d.calls++
			return []StageEvent{Built{Size: *d.calls}}, nil
		case "panic":
			panic("at the theatre")
		}
		return []StageEvent{Odd(c)}, nil
	}
	return nil, nil
}

func (d stages) Evolve(s *Stage, e StageEvent) {
	switch e := e.(type) {
	case Built:
		s.Size, s.When = e.Size, e.At
	case SeatTaken:
		if s.Taken == nil {
			s.Taken = map[string]string{}
		}
		s.Taken[e.Seat] = e.Who
	case Odd:
		switch e.How {
		case "event":
			e.Names[0] = "mallory"
		case "evolves by calls":
			*d.calls++
			s.Size = *d.calls
		case "evolves with panic":
			panic("at the disco")
		}
	}
}

func TestGivenWhenThen(t *testing.T) {
	t.Parallel()
	passes(t, func(t *fakeT) {
		at := time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
		scenario := testkit.Given(t, stages{}).At(at).Meta(reducer.Meta{Actor: "ada"})
		w := scenario.When(Build{3})
		w.Then(Built{3, at, w.ID(1), "ada"}).
			ThenState(func(s *Stage) { s.Size, s.When = 3, at }).
			When(Build{3}).ThenNothing().ThenState()

		w = testkit.Given(t, stages{}, Built{Size: 3}, SeatTaken{"ada", "1"}).
			When(Take{"bob", []string{"2", "3"}}).
			Then(SeatTaken{"bob", "2"}, SeatTaken{"bob", "3"}).
			ThenState(func(s *Stage) { s.Taken["2"], s.Taken["3"] = "bob", "bob" }).
			When(Take{"eve", []string{"4"}}).
			ThenRejected("full").ThenState()
		w.When(Build{3}).ThenNothing()

		history := []StageEvent{Built{Size: 3}, SeatTaken{"ada", "1"}}
		testkit.Given(t, stages{}, history, SeatTaken{"bob", "2"}).When(Take{"eve", []string{"3", "4"}}).ThenRejected("full")

		testkit.Given(t, stages{}).When(Take{"ada", nil}).ThenError(errClosed).ThenState()
	})
}

func passes(t *testing.T, test func(t *fakeT)) {
	t.Helper()
	require.Empty(t, try(test).failures)
}

func TestGivenWhenThenReports(t *testing.T) {
	t.Parallel()
	given := func(t *fakeT) *testkit.Scenario[Stage, StageCommand, StageEvent] {
		return testkit.Given(t, stages{new(int)}, Built{Size: 3}, SeatTaken{"ada", "1"}, SeatTaken{"ada", "2"})
	}
	full := Take{"bob", []string{"7", "8"}}
	for name, row := range map[string]struct {
		test func(t *fakeT)
		want []string
	}{
		"other events": {
			func(t *fakeT) { given(t).When(Take{"bob", []string{"3"}}).Then(SeatTaken{"bob", "4"}) },
			[]string{"other events came of it than were expected", "events (-want +got)", `Seat: "4"`, `Seat: "3"`, "scenario:", `1. Given Built{Size: 3`, `4. When Take{Who: "bob"`},
		},
		"nothing instead of events": {
			func(t *fakeT) { given(t).When(Build{3}).Then(Built{Size: 3}) },
			[]string{"other events came of it", "Size: 3"},
		},
		"events instead of nothing": {
			func(t *fakeT) { given(t).When(Take{"bob", []string{"3"}}).ThenNothing() },
			[]string{"other events came of it", `Seat: "3"`},
		},
		"rejected instead of events": {
			func(t *fakeT) { given(t).When(full).Then(SeatTaken{"bob", "7"}) },
			[]string{`events were expected, and it was rejected as "full": 1 seats are left`, `expected: SeatTaken{Who: "bob", Seat: "7"}`},
		},
		"another code": {
			func(t *fakeT) { given(t).When(full).ThenRejected("closed") },
			[]string{`the rejection "closed" was expected, and it was rejected as "full": 1 seats are left`},
		},
		"no code": {
			func(t *fakeT) { testkit.Given(t, stages{}).When(full).ThenRejected("full") },
			[]string{`Decide returned the error "take: the stage is closed", which has no code`, "ThenError"},
		},
		"events instead of a rejection": {
			func(t *fakeT) { given(t).When(Take{"bob", []string{"3"}}).ThenRejected("full") },
			[]string{`the rejection "full" was expected, and these events came of it: SeatTaken{Who: "bob", Seat: "3"}`},
		},
		"another error": {
			func(t *fakeT) { given(t).When(full).ThenError(errClosed) },
			[]string{`the error "the stage is closed" was expected, and it was rejected as "full"`},
		},
		"no error": {
			func(t *fakeT) { given(t).When(Build{3}).ThenError(errClosed) },
			[]string{`was expected, and nothing came of it`},
		},
		"another state": {
			func(t *fakeT) {
				given(t).When(Take{"bob", []string{"3"}}).Then(SeatTaken{"bob", "3"}).ThenState(func(s *Stage) { s.Size = 4 })
			},
			[]string{"it left another state than was asserted", "state (-want +got)", `"3": "bob"`},
		},
		"a changed state": {
			func(t *fakeT) { given(t).When(Take{"bob", []string{"3"}}).Then(SeatTaken{"bob", "3"}).ThenState() },
			[]string{"it left another state than was asserted"},
		},
		"not asserted before the next": {
			func(t *fakeT) { given(t).When(Build{3}).When(Build{4}) },
			[]string{"what came of it was not asserted before the next command: nothing came of it"},
		},
		"not asserted": {
			func(t *fakeT) { given(t).When(Take{"bob", []string{"3"}}) },
			[]string{`what comes of Take{Who: "bob", Seats: ["3"]} was not asserted: these events came of it`},
		},
		"changes the state":       {misbehaves(given, "state"), []string{"Decide changed the state", "state (-before +after)", "Only Evolve changes it"}},
		"changes a map":           {misbehaves(given, "map"), []string{"Decide changed the state", "mallory"}},
		"changes the command":     {misbehaves(given, "command"), []string{"Decide changed the command", "mallory"}},
		"reads the clock":         {misbehaves(given, "clock"), []string{"Decide is impure", "decision (-first run +run", "Likely cause: the clock"}},
		"draws chance":            {misbehaves(given, "chance"), []string{"Decide is impure", "chance"}},
		"follows a map's order":   {misbehaves(given, "order"), []string{"Decide is impure", "Likely cause: the order of a map"}},
		"keeps something":         {misbehaves(given, "calls"), []string{"Decide is impure"}},
		"panics":                  {misbehaves(given, "panic"), []string{"Decide panicked", "panic: at the theatre", "decider_test.go"}},
		"Evolve changes an event": {misbehaves(given, "event"), []string{`Evolve changed the event Odd{How: "event"`, "mallory"}},
		"Evolve keeps something":  {misbehaves(given, "evolves by calls"), []string{"Evolve is impure"}},
		"Evolve panics":           {misbehaves(given, "evolves with panic"), []string{"Evolve panicked on Odd", "panic: at the disco"}},
		"no decider": {
			func(t *fakeT) { testkit.Given[Stage, StageCommand, StageEvent](t, nil) },
			[]string{"the decider is nil"},
		},
		"something else given": {
			func(t *fakeT) { testkit.Given(t, stages{}, Built{Size: 3}, Build{3}) },
			[]string{"event 2 given is Build{Size: 3}, a testkit_test.Build; want a testkit_test.StageEvent"},
		},
		"a pointer given": {
			func(t *fakeT) { testkit.Given(t, stages{}, Built{Size: 3}, &Built{Size: 4}) },
			[]string{"event 2 given is a *testkit_test.Built; want the value, a testkit_test.Built: events are registered"},
		},
		"a pointer among several": {
			func(t *fakeT) { testkit.Given(t, stages{}, []StageEvent{&Built{Size: 4}}) },
			[]string{"event 1 given is a *testkit_test.Built"},
		},
		"nothing given": {
			func(t *fakeT) { testkit.Given(t, stages{}, nil) },
			[]string{"event 1 given is nil; want a testkit_test.StageEvent"},
		},
		"a state that cannot be copied": {
			func(t *fakeT) { testkit.Given(t, unclonable{}) },
			[]string{"chan int"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, row.test), row.want...)
		})
	}
}

func misbehaves(given func(t *fakeT) *testkit.Scenario[Stage, StageCommand, StageEvent], how string) func(t *fakeT) {
	return func(t *fakeT) { given(t).When(Misbehave{how, []string{"ada"}}).Then() }
}

type unclonable struct{}

func (unclonable) Decide(*struct{ C chan int }, int, reducer.Env) ([]int, error) { return nil, nil }
func (unclonable) Evolve(*struct{ C chan int }, int)                             {}
