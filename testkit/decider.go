package testkit

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/reducer"
)

// Decider is what [Given] takes: the business logic of an aggregate, as package
// aggregate hosts it.
type Decider[S, C, E any] interface {
	Decide(state *S, command C, env reducer.Env) ([]E, error)
	Evolve(state *S, event E)
}

// Given begins a scenario about a decider: the events that have happened, from
// the first of the aggregate on.
//
//	testkit.Given(t, Sections{}, Opened{Seats: 3}).
//		When(Reserve{Order: "r1", Seats: 2}).
//		Then(Reserved{Order: "r1", Seats: 2}).
//		ThenState(func(s *Section) { s.Free = 1; s.Orders["r1"] = 2 }).
//		When(Reserve{Order: "r2", Seats: 2}).
//		ThenRejected("sold-out")
//
// Each Decide is done again, several times, on clones of the state and the
// command, with the same time, ids and metadata. It must give the same each time,
// and change neither; so must each Evolve, which must not change its event. What
// a When leads to must be asserted.
//
// Each of events is an E or a []E. They are not declared so, since Go would not
// take values of several types for the E that it infers from the decider.
func Given[S, C, E any](t T, d Decider[S, C, E], events ...any) *Scenario[S, C, E] {
	t.Helper()
	s := &Scenario[S, C, E]{t: t, decider: d, now: Config{}.withDefaults().Start}
	if reducer.IsNil(d) {
		s.fatal("the decider is nil", "")
	}
	if trouble := refuse(&s.state, "state"); trouble != "" {
		s.fatal(trouble, "")
	}
	for i, e := range events {
		many, ok := e.([]E)
		if one, is := e.(E); is {
			many, ok = []E{one}, true
		}
		switch {
		case e == nil:
			s.fatal(fmt.Sprintf("event %d given is nil; want a %s", i+1, reflect.TypeFor[E]()), "")
		case !ok:
			s.fatal(fmt.Sprintf("event %d given is %s, a %T; want a %s", i+1, show(e), e, reflect.TypeFor[E]()), "")
		}
		for _, e := range many {
			if t := reflect.TypeOf(e); t != nil && t.Kind() == reflect.Pointer && reflect.TypeFor[E]().Kind() == reflect.Interface && t.Elem().Implements(reflect.TypeFor[E]()) {
				s.fatal(fmt.Sprintf("event %d given is a %s; want the value, a %s: events are registered and read as values", i+1, t, t.Elem()), "")
			}
			s.told = append(s.told, "Given "+show(e))
			s.evolve(e)
		}
	}
	return s
}

// Scenario is where an aggregate stands. It belongs to one goroutine.
type Scenario[S, C, E any] struct {
	t       T
	decider Decider[S, C, E]
	now     time.Time
	meta    reducer.Meta
	state   S
	steps   uint64
	told    []string // what has happened so far, for reports
}

// At sets the time of the commands that follow. Without it, it is the first
// moment of the year 2000, UTC.
func (s *Scenario[S, C, E]) At(now time.Time) *Scenario[S, C, E] {
	s.now = now
	return s
}

// Meta sets the metadata of the commands that follow. Their ActionID, if it is
// zero, is different for each.
func (s *Scenario[S, C, E]) Meta(meta reducer.Meta) *Scenario[S, C, E] {
	s.meta = meta
	return s
}

// State is a clone of the state.
func (s *Scenario[S, C, E]) State() S { return duplicate(s.state) }

// When has a command decided. What comes of it must be asserted: with Then,
// ThenNothing, ThenRejected or ThenError.
func (s *Scenario[S, C, E]) When(command C) *Decision[S, C, E] {
	s.t.Helper()
	s.steps++
	d := &Decision[S, C, E]{scenario: s, title: "When " + show(command), before: duplicate(s.state), meta: s.meta}
	if d.meta.ActionID == uuid.Nil {
		d.meta.ActionID = reducer.DeriveID(uuid.NewSHA1(uuid.NameSpaceURL, []byte("testkit")), s.steps)
	}
	s.told = append(s.told, d.title)
	if trouble := refuse(&command, "command"); trouble != "" {
		s.fatal(trouble, "")
	}
	d.decide(command)
	for _, e := range d.events {
		s.evolve(duplicate(e))
	}
	s.t.Cleanup(func() {
		s.t.Helper()
		if !d.asserted && !over(s.t) {
			s.t.Errorf("testkit: what comes of %s was not asserted: %s", strings.TrimPrefix(d.title, "When "), d.outcome())
		}
	})
	return d
}

// Decision is what came of a command.
type Decision[S, C, E any] struct {
	scenario *Scenario[S, C, E]
	title    string
	meta     reducer.Meta
	before   S
	events   []E
	err      error
	asserted bool
}

// ID is the nth id, counted from 1, that env.NewID gave the decision:
//
//	w := testkit.Given(t, Sections{}).When(Hold{Seats: 2})
//	w.Then(Held{ID: w.ID(1), Seats: 2})
func (d *Decision[S, C, E]) ID(n int) uuid.UUID {
	return reducer.DeriveID(d.meta.ActionID, uint64(max(n, 0))) //nolint:gosec // not negative
}

// Then asserts that the command made these events happen, in this order, and no
// others.
func (d *Decision[S, C, E]) Then(events ...E) *Decision[S, C, E] {
	d.scenario.t.Helper()
	d.asserted = true
	switch {
	case d.err != nil:
		d.fatal("events were expected, and "+d.outcome(), "expected: "+list(events))
	case !equal(events, d.events, exact) && len(events)+len(d.events) > 0:
		d.fatal("other events came of it than were expected", "events (-want +got):\n"+diff(events, d.events, exact))
	}
	return d
}

// ThenNothing asserts that there was nothing to do.
func (d *Decision[S, C, E]) ThenNothing() *Decision[S, C, E] {
	d.scenario.t.Helper()
	return d.Then()
}

// ThenRejected asserts that the command was rejected with a code: that of
// aggregate.Reject, or of any error that has a method RejectionCode() string.
func (d *Decision[S, C, E]) ThenRejected(code string) *Decision[S, C, E] {
	d.scenario.t.Helper()
	d.asserted = true
	var coded interface{ RejectionCode() string }
	switch {
	case d.err == nil:
		d.fatal(fmt.Sprintf("the rejection %q was expected, and %s", code, d.outcome()), "")
	case !errors.As(d.err, &coded):
		d.fatal(fmt.Sprintf("the rejection %q was expected, and %s, which has no code", code, d.outcome()),
			"An error without a code is asserted with ThenError.")
	case coded.RejectionCode() != code:
		d.fatal(fmt.Sprintf("the rejection %q was expected, and it was rejected as %q: %v", code, coded.RejectionCode(), d.err), "")
	}
	return d
}

// ThenError asserts that Decide returned an error that is target, as errors.Is
// tells.
func (d *Decision[S, C, E]) ThenError(target error) *Decision[S, C, E] {
	d.scenario.t.Helper()
	d.asserted = true
	if d.err == nil || !errors.Is(d.err, target) {
		d.fatal(fmt.Sprintf("the error %q was expected, and %s", fmt.Sprint(target), d.outcome()), "")
	}
	return d
}

// ThenState asserts the state after the command. Each func is given the state
// before and makes of it what is expected; without one the state must not have
// changed.
func (d *Decision[S, C, E]) ThenState(change ...func(*S)) *Decision[S, C, E] {
	d.scenario.t.Helper()
	want := duplicate(d.before)
	for _, f := range change {
		if f != nil {
			f(&want)
		}
	}
	if got := d.scenario.state; !equal(want, got, exact) {
		d.fatal("it left another state than was asserted", "state (-want +got):\n"+diff(want, got, exact))
	}
	return d
}

// When goes on with another command, on the state that this one has left.
func (d *Decision[S, C, E]) When(command C) *Decision[S, C, E] {
	d.scenario.t.Helper()
	if !d.asserted {
		d.fatal("what came of it was not asserted before the next command: "+d.outcome(), "Then, ThenNothing, ThenRejected or ThenError do that.")
	}
	return d.scenario.When(command)
}

// outcome tells what came of the command.
func (d *Decision[S, C, E]) outcome() string {
	var coded interface{ RejectionCode() string }
	switch {
	case errors.As(d.err, &coded):
		return fmt.Sprintf("it was rejected as %q: %v", coded.RejectionCode(), d.err)
	case d.err != nil:
		return fmt.Sprintf("Decide returned the error %q", d.err)
	case len(d.events) == 0:
		return "nothing came of it"
	}
	return "these events came of it: " + list(d.events)
}

func list[E any](events []E) string {
	if len(events) == 0 {
		return "none"
	}
	texts := make([]string, len(events))
	for i, e := range events {
		texts[i] = show(e)
	}
	return strings.Join(texts, ", ")
}

// decide asks for the decision, and again on clones.
func (d *Decision[S, C, E]) decide(command C) {
	s := d.scenario
	s.t.Helper()
	for run := range 1 + (Config{}).withDefaults().PurityRuns {
		p := duplicatePair(pair[S, C]{d.before, command})
		if run > 0 {
			seen := map[visit]bool{}
			if deep(&p.State) {
				shake(open(reflect.ValueOf(&p.State).Elem()), run%2 == 0, seen)
			}
			if deep(&p.Action) {
				shake(open(reflect.ValueOf(&p.Action).Elem()), run%2 == 0, seen)
			}
		}
		env := moment{now: s.now.UTC(), meta: d.meta, space: d.meta.ActionID}
		var events []E
		var err error
		if c := catch(func() { events, err = s.decider.Decide(&p.State, p.Action, reducer.NewEnv(&env)) }); c != nil {
			d.fatal("Decide panicked", c.String())
		}
		if !equal(d.before, p.State, exact) {
			d.fatal("Decide changed the state", "state (-before +after):\n"+diff(d.before, p.State, exact)+
				"\n\nOnly Evolve changes it, by the events that Decide returns: what they do not say is not there when they are read.")
		}
		if !equal(command, p.Action, exact) {
			d.fatal("Decide changed the command", "command (-given +left):\n"+diff(command, p.Action, exact))
		}
		if err != nil {
			events = nil
		}
		if run == 0 {
			d.events, d.err = duplicate(events), err
			continue
		}
		was, is := verdict[E]{d.events, errorText(d.err)}, verdict[E]{events, errorText(err)}
		if !equal(was, is, exact) {
			d.fatal("Decide is impure: the same state, command and env gave another decision",
				fmt.Sprintf("decision (-first run +run %d):\n", run+1)+diff(was, is, exact)+"\n\n"+causes(was, is, exact))
		}
	}
}

// verdict is a decision as it is compared with another of the same.
type verdict[E any] struct {
	Events []E
	Err    string
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// evolve applies an event, and again on clones.
func (s *Scenario[S, C, E]) evolve(event E) {
	s.t.Helper()
	if trouble := refuse(&event, "event"); trouble != "" {
		s.fatal(trouble, "")
	}
	before := duplicate(s.state)
	for run := range 1 + (Config{}).withDefaults().PurityRuns {
		p := duplicatePair(pair[S, E]{before, event})
		if run > 0 && deep(&p.State) {
			shake(open(reflect.ValueOf(&p.State).Elem()), run%2 == 0, map[visit]bool{})
		}
		if c := catch(func() { s.decider.Evolve(&p.State, p.Action) }); c != nil {
			s.fatal("Evolve panicked on "+show(event), c.String())
		}
		if !equal(event, p.Action, exact) {
			s.fatal("Evolve changed the event "+show(event), "event (-given +left):\n"+diff(event, p.Action, exact))
		}
		if run == 0 {
			s.state = p.State
			continue
		}
		if !equal(s.state, p.State, exact) {
			s.fatal("Evolve is impure: the same state and event gave another state, on "+show(event),
				fmt.Sprintf("state (-first run +run %d):\n", run+1)+diff(s.state, p.State, exact)+"\n\n"+causes(s.state, p.State, exact))
		}
	}
}

func (d *Decision[S, C, E]) fatal(headline, body string) {
	d.scenario.t.Helper()
	d.asserted = true
	d.scenario.fatal(headline, body)
}

// fatal ends the test with a report. It does not return.
func (s *Scenario[S, C, E]) fatal(headline, body string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "testkit: %s\n", headline)
	if body != "" {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	if len(s.told) > 0 {
		b.WriteString("\nscenario:\n")
		for i, line := range slices.All(s.told) {
			fmt.Fprintf(&b, "%3d. %s\n", i+1, line)
		}
	}
	fatalf(s.t, "%s", strings.TrimSuffix(b.String(), "\n"))
}
