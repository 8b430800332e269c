package sagatest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/testkit"
)

// Config is what may be said about a [Saga]. Its zero value is what [Begin] takes.
type Config struct {
	// Tenant and Key are those of the saga's id. The default key is "test".
	Tenant, Key string
	// Start is the time at which the test begins. Zero is the first moment of the
	// year 2000, UTC.
	Start time.Time
	// StuckAfter is that of saga.Config. 0 is its default.
	StuckAfter int
	// PurityRuns is how many more times each decision is made, to see whether the
	// same comes of it. 0 is 32, negative is none.
	PurityRuns int
}

func (c Config) withDefaults() Config {
	if c.Key == "" {
		c.Key = "test"
	}
	if c.Start.IsZero() {
		c.Start = epoch
	}
	if c.PurityRuns == 0 {
		c.PurityRuns = 32
	}
	return c
}

// epoch is when a test begins if it does not say.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Saga is one saga in the hands of a test, which says what becomes of its effects
// and when. See the package's documentation for how to use one. It belongs to one
// goroutine.
type Saga[S, A any] struct {
	t       testkit.T
	config  Config
	def     *saga.Definition[S, A]
	machine rehearsal.Machine
	view    saga.Snapshot
	now     time.Time
	due     time.Time // of the machine, zero if nothing is
	flights []*flight
	signals int

	requests map[string]reflect.Type // by their names
	children map[string]any          // a saga.Child, by the effect that it is

	late    bool  // the next answer is of an effect that was given up
	refusal error // that the next message must meet
	problem *rehearsal.Decision
	seen    S // the state as it was asserted last

	// accepted are the effects and timers that the test has asserted to be open,
	// ended the sequence at which it has asserted the end.
	accepted map[string]bool
	ended    int64

	told   []string
	calls  int
	failed bool
}

// flight is an attempt whose answer is the test's to give.
type flight struct {
	rehearsal.Attempt
	request any
	ends    time.Time // when it has taken too long, zero if never
}

// Begin starts a saga with an action, an A of the definition. When the test ends, what is open is a
// failure: effects that were not answered, timers, an end that was not asserted.
func Begin[S, A any](t testkit.T, d *saga.Definition[S, A], action any) *Saga[S, A] {
	t.Helper()
	return BeginWith(t, d, Config{}, action)
}

// BeginWith is [Begin] with a [Config].
func BeginWith[S, A any](t testkit.T, d *saga.Definition[S, A], config Config, action any) *Saga[S, A] {
	t.Helper()
	config = config.withDefaults()
	s := &Saga[S, A]{t: t, config: config, def: d, now: config.Start, accepted: map[string]bool{}, children: map[string]any{}}
	if d == nil {
		s.fatal("the definition is nil", "")
	}
	machine, err := rehearsal.Open(d, rehearsal.Config{Tenant: config.Tenant, Key: config.Key, StuckAfter: config.StuckAfter})
	if err != nil {
		s.fatal(fmt.Sprintf("the definition is not sound: %v", err), "")
	}
	s.machine = machine
	actions, requests := machine.Types()
	s.requests = requests
	if trouble := unkept[S](actions, requests); trouble != "" {
		s.fatal(trouble, "A record keeps values as JSON. What JSON leaves out is gone with the next decision, or with a restart.")
	}
	t.Cleanup(s.end)
	s.enter("Begin " + show(action))
	s.do(rehearsal.Input{Kind: rehearsal.Start, Action: action})
	return s
}

// Signal sends the saga an action. It must be taken, unless [Saga.ExpectRefused]
// says otherwise. Each Signal is a message of its own.
func (s *Saga[S, A]) Signal(a A) {
	s.t.Helper()
	s.signals++
	s.SignalID(fmt.Sprintf("signal-%d", s.signals), a)
}

// SignalID is [Saga.Signal] with the id of the message: one that the saga has seen
// changes nothing.
func (s *Saga[S, A]) SignalID(messageID string, a A) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Signal %s as %q", show(a), messageID))
	s.send(rehearsal.Input{Kind: rehearsal.Signal, Action: a, Message: messageID})
}

// Cancel has the saga compensate, as Runner.Cancel does. It must be taken, unless
// [Saga.ExpectRefused] says otherwise.
func (s *Saga[S, A]) Cancel(reason string) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Cancel %q", reason))
	s.signals++
	s.send(rehearsal.Input{Kind: rehearsal.Cancel, Message: fmt.Sprintf("cancel-%d", s.signals), Reason: reason})
}

// ExpectRefused says that the saga refuses the next Signal or Cancel with an error
// that is target, as errors.Is tells: saga.ErrEnded, saga.ErrPivoted.
func (s *Saga[S, A]) ExpectRefused(target error) {
	s.t.Helper()
	s.alive()
	if target == nil {
		s.fatal("ExpectRefused of a nil error", "")
	}
	s.refusal = target
}

func (s *Saga[S, A]) send(in rehearsal.Input) {
	s.t.Helper()
	err, want := s.do(in).Err, s.refusal
	s.refusal = nil
	var stuck *saga.StuckError
	switch {
	case want == nil && (err == nil || s.problem != nil && errors.As(err, &stuck)): // see Stuck
	case want == nil:
		s.fatal(fmt.Sprintf("it was refused: %v", err), "If that is meant to happen, say ExpectRefused before.")
	case err == nil:
		s.fatal(fmt.Sprintf("it was to be refused with %q, and was taken", want), "")
	case !errors.Is(err, want):
		s.fatal(fmt.Sprintf("it was to be refused with %q, and was with %q", want, err), "")
	default:
		s.tell("refused: %v", err)
	}
}

// Advance lets d pass. What is due on the way happens in the order of its time:
// timers fire, attempts run out of their Timeout, others begin. reduced are all
// actions that the saga has then reduced, in their order: of the timers that have
// fired, and of effects whose attempts have run out.
//
//	s.Advance(5*time.Minute, Expired{})
func (s *Saga[S, A]) Advance(d time.Duration, reduced ...A) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Advance %v", d))
	if d < 0 {
		s.fatal("time does not go back", "")
	}
	got := s.until(s.now.Add(d))
	want := make([]any, len(reduced))
	for i, a := range reduced {
		want[i] = a
	}
	if !equal(want, got) {
		s.fatal("other actions were reduced on the way than Advance was given", "actions (-want +got):\n"+diff(want, got))
	}
}

// maxSteps bounds what may happen in one Advance.
const maxSteps = 100_000

// until lets what is due happen up to a time, and returns the actions reduced.
func (s *Saga[S, A]) until(target time.Time) (reduced []any) {
	s.t.Helper()
	for range maxSteps {
		next, tired := s.due, (*flight)(nil)
		for _, f := range s.flights {
			if !f.ends.IsZero() && (next.IsZero() || f.ends.Before(next)) {
				next, tired = f.ends, f
			}
		}
		if next.IsZero() || next.After(target) {
			s.now = target
			return reduced
		}
		if next.After(s.now) {
			s.now = next
		}
		in := rehearsal.Input{Kind: rehearsal.Due}
		if tired != nil {
			s.tell("%s, attempt %d runs out of its %v", show(tired.request), tired.N, tired.Timeout)
			in = s.answered(tired, nil, effect.ErrTimeout)
		}
		for _, d := range s.do(in).Decisions {
			if d.Action != nil {
				reduced = append(reduced, d.Action)
			}
		}
	}
	s.fatal(fmt.Sprintf("%d things have happened, and there is no end to them", maxSteps), "")
	return nil
}

// Crash ends the process that runs the saga, and has another go on from the
// record: effects whose results are waited for are begun again, under their keys;
// of those that were given up no result will come. Child sagas go on by themselves.
func (s *Saga[S, A]) Crash() {
	s.t.Helper()
	s.enter("Crash")
	s.flights = slices.DeleteFunc(s.flights, func(f *flight) bool { return f.Child == nil })
	s.do(rehearsal.Input{Kind: rehearsal.Crash})
}

// Now is the virtual time.
func (s *Saga[S, A]) Now() time.Time { return s.now }

// State is the state, as the record keeps it.
func (s *Saga[S, A]) State() S {
	s.t.Helper()
	state, err := s.def.State(s.view)
	if err != nil {
		s.fatal(fmt.Sprintf("the state cannot be read again: %v", err), "")
	}
	return state
}

// Snapshot is the saga as an operator would see it.
func (s *Saga[S, A]) Snapshot() saga.Snapshot { return s.view }

// enter begins a call.
func (s *Saga[S, A]) enter(title string) {
	s.t.Helper()
	s.alive()
	if p := s.problem; p != nil {
		s.fatal(fmt.Sprintf("before %s: the saga could not decide, and that was not asserted: %s", title, p.Problem), stuckHint+trace(p))
	}
	s.calls++
	s.told = append(s.told, fmt.Sprintf("%3d. %s", s.calls, title))
}

const stuckHint = "If it is meant to be stuck, say Stuck."

func trace(d *rehearsal.Decision) string {
	if d.Trace == "" {
		return ""
	}
	return "\n\n" + d.Trace
}

// alive refuses to go on after a failure: what follows from one is noise.
func (s *Saga[S, A]) alive() {
	s.t.Helper()
	if s.failed {
		s.t.Fatalf("sagatest: this saga has failed before")
		panic("sagatest: T.Fatalf has returned")
	}
}

// do has the machine take an input, several times over, and keeps what came of it.
func (s *Saga[S, A]) do(in rehearsal.Input) rehearsal.Outcome {
	s.t.Helper()
	next, outcome, err := s.machine.Do(s.now, in)
	if err != nil {
		s.fatal(err.Error(), "")
	}
	s.pure(in, next, &outcome)
	before := s.view
	s.machine, s.due, s.view = next, outcome.Due, snapshotOf(next)
	for i := range outcome.Decisions {
		d := &outcome.Decisions[i]
		if d.Problem != "" {
			s.problem = d
		}
		s.tellDecision(d)
	}
	if s.view.Status != before.Status || s.view.Reason != before.Reason {
		s.tell("%s", statusText(&s.view))
	}
	for _, a := range outcome.Begun {
		f := &flight{Attempt: a, request: a.Value}
		switch {
		case a.Child == nil:
			if f.request, err = decode(a.Type, a.Data); err != nil {
				s.fatal(fmt.Sprintf("request %q cannot be read again: %v", a.Request, err), "It was written as "+string(a.Data))
			}
		case a.Cancels:
			f.request = s.children[strings.TrimSuffix(a.Effect, undoSuffix)]
		default:
			s.children[a.Effect] = a.Value
		}
		if a.Timeout > 0 {
			f.ends = s.now.Add(a.Timeout)
		}
		s.flights = append(s.flights, f)
		s.tell("begun: %s", f)
	}
	if len(outcome.Decisions) > 0 {
		clear(s.accepted)
	}
	s.sound()
	return outcome
}

func (f *flight) String() string {
	var b strings.Builder
	if f.undoes() {
		b.WriteString("undo ")
	}
	b.WriteString(show(f.request))
	if f.N > 1 {
		fmt.Fprintf(&b, ", attempt %d", f.N)
	}
	return b.String()
}

func (f *flight) undoes() bool { return strings.HasSuffix(f.Effect, undoSuffix) }

// undoSuffix is behind the key of an effect in that of its undo.
const undoSuffix = "/undo"

func snapshotOf(m rehearsal.Machine) saga.Snapshot {
	return m.Snapshot().(saga.Snapshot) //nolint:forcetypeassert // as Machine says
}

// waited tells whether the saga waits for the answer of an attempt.
func (s *Saga[S, A]) waited(f *flight) bool { return s.effect(f) != nil }

// effect is what the saga knows of the effect of an attempt, nil if it waits for
// it no longer.
func (s *Saga[S, A]) effect(f *flight) *saga.Effect {
	waiting := s.waitsFor()
	if i := slices.IndexFunc(waiting, func(e saga.Effect) bool { return e.ID == f.Key }); i >= 0 {
		return &waiting[i]
	}
	return nil
}
