package testkit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// Config is what may be said about a [TestStore]. Its zero value is what [New]
// takes.
type Config struct {
	// Start is the time at which the test begins. Zero is the first moment of
	// the year 2000, UTC.
	Start time.Time
	// Meta goes with every action sent, as if its sender had given it: a
	// tenant, an actor. Leave ActionID zero, or all actions have the same.
	Meta reducer.Meta
	// PurityRuns is how many more times each step is taken, on clones, to see
	// whether the same comes of it. 0 is 8, negative is none. It is not 1
	// because of maps: Go ranges over a small one in the order in which it was
	// filled, seven times out of eight. Half of the runs have their maps filled
	// in the order of the keys, half against it; eight runs so overlook a use
	// of the order in about one step of seven thousand.
	PurityRuns int
	// CaptureLeaves bounds how many values of the action and of the state are
	// changed, one at a time, to see whether a result's action depends on them.
	// 0 is 256, negative turns the check of captured values off.
	CaptureLeaves int
	// Compare are more options for all comparisons. Unexported fields, times,
	// numbers of math/big and errors that wrap each other are seen to.
	Compare []cmp.Option
}

func (c Config) withDefaults() Config {
	if c.Start.IsZero() {
		c.Start = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	c.PurityRuns = orDefault(c.PurityRuns, 8)
	c.CaptureLeaves = orDefault(c.CaptureLeaves, 256)
	return c
}

func orDefault(n, otherwise int) int {
	switch {
	case n == 0:
		return otherwise
	case n < 0:
		return 0
	}
	return n
}

// TestStore runs a reducer as a store does, on virtual time, and has its test
// say everything that happens. See the package's documentation for how to use
// one. It belongs to one goroutine.
type TestStore[S, A any] struct {
	t       T
	config  Config
	exact   cmp.Options // between runs of one step
	loose   cmp.Options // between what a test expects and what came
	reducer reducer.Reducer[S, A]
	engine  engine.Engine[S, A]
	now     time.Time
	target  time.Time // where Advance is going, while elapsing

	elapsing bool

	last     *record[S, A]            // the step last taken
	records  map[uint64]*record[S, A] // steps whose effects are in flight
	expected []error                  // faults that the next call must bring
	running  map[engine.TaskID]string // what was in flight after the last call
	trace    []entry
	failed   bool
}

// New makes a TestStore that begins with the state given. The state is cloned.
// When the test ends, actions not received and effects in flight are failures.
func New[S, A any](t T, initial S, r reducer.Reducer[S, A]) *TestStore[S, A] {
	t.Helper()
	return NewWith(t, initial, r, Config{})
}

// NewWith is [New] with a [Config].
func NewWith[S, A any](t T, initial S, r reducer.Reducer[S, A], config Config) *TestStore[S, A] {
	t.Helper()
	config = config.withDefaults()
	ts := &TestStore[S, A]{
		t: t, config: config, reducer: r, now: config.Start, target: config.Start,
		exact:   append(slices.Clone(exact), config.Compare...),
		records: map[uint64]*record[S, A]{},
		running: map[engine.TaskID]string{},
	}
	ts.loose = append(slices.Clone(ts.exact), sameError)
	if reducer.IsNil(r) {
		ts.fatal("the reducer is nil", "")
	}
	if trouble := refuse(&initial, "state"); trouble != "" {
		ts.fatal(trouble, "")
	}
	ts.engine.Init(&engine.Config[S, A]{
		Reducer: recorder[S, A]{ts},
		ID:      uuid.NewSHA1(uuid.NameSpaceURL, []byte("testkit")),
		Now:     func() time.Time { return ts.now },
	}, 0, duplicate(initial))
	t.Cleanup(ts.end)
	return ts
}

// Send reduces an action from outside. Each func says how the state changes: it
// is given the state before and makes of it what is expected after. Without one
// the state must not change.
//
// All that was received must have been asserted: a store reduces what effects
// send back before the next action from outside.
func (ts *TestStore[S, A]) Send(a A, change ...func(*S)) {
	ts.t.Helper()
	ts.send(ts.config.Meta, a, change)
}

// SendMeta is [TestStore.Send] with metadata of the sender, in the place of
// Config.Meta.
func (ts *TestStore[S, A]) SendMeta(meta reducer.Meta, a A, change ...func(*S)) {
	ts.t.Helper()
	ts.send(meta, a, change)
}

func (ts *TestStore[S, A]) send(meta reducer.Meta, a A, change []func(*S)) {
	ts.t.Helper()
	title := "Send " + show(a)
	ts.enter(title)
	var given *reducer.Meta
	if meta != (reducer.Meta{}) {
		given = &meta
	}
	ts.engine.Receive(a, engine.Cause{Meta: given})
	ts.step(title, change)
	ts.leave()
}

// State is a clone of the state.
func (ts *TestStore[S, A]) State() S { return duplicate(ts.engine.State) }

// Now is the virtual time.
func (ts *TestStore[S, A]) Now() time.Time { return ts.now }

// Meta is the metadata of the action last reduced.
func (ts *TestStore[S, A]) Meta() reducer.Meta {
	if ts.last == nil {
		return reducer.Meta{}
	}
	return ts.last.env.meta
}

// ID is the nth id, counted from 1, that env.NewID gave in the step last taken:
//
//	ts.Send(Reserve{…}, func(s *State) { s.Reservation = ts.ID(1) })
func (ts *TestStore[S, A]) ID(n int) uuid.UUID {
	return reducer.DeriveID(ts.Meta().ActionID, uint64(max(n, 0))) //nolint:gosec // not negative
}

// enter begins a call. Input from outside must not come while actions wait.
func (ts *TestStore[S, A]) enter(title string) {
	ts.t.Helper()
	ts.alive()
	if first, waits := ts.engine.Peek(0); waits {
		ts.fatal(fmt.Sprintf("%s: %s was received and waits to be asserted", title, show(first)),
			"A store reduces what effects send back before anything else happens: Receive it first, or SkipActions.")
	}
	ts.began(title)
}

// alive refuses to go on after a failure: what follows from one is noise.
func (ts *TestStore[S, A]) alive() {
	ts.t.Helper()
	if ts.failed {
		ts.t.Fatalf("testkit: this TestStore has failed before")
		panic("testkit: T.Fatalf has returned")
	}
}

// leave ends a call: time goes on to where it was going, and faults that were
// expected must have come.
func (ts *TestStore[S, A]) leave() {
	ts.t.Helper()
	ts.elapse()
	if len(ts.expected) > 0 {
		ts.fatal(fmt.Sprintf("the fault %q was expected and did not come", ts.expected[0]), "")
	}
	ts.forget()
}

// step reduces the next action and holds it to what is expected of the state.
func (ts *TestStore[S, A]) step(title string, change []func(*S)) {
	ts.t.Helper()
	action, waits := ts.engine.Peek(0)
	if !waits {
		ts.fatal(title+": there is no action to reduce", "")
	}
	if trouble := refuse(&action, "action"); trouble != "" {
		ts.fatal(trouble, "")
	}
	step, _ := ts.engine.Next()
	rec := ts.last
	rec.title = title
	if rec.panic != nil {
		ts.fatal("the reducer panicked on "+show(rec.before.Action), rec.panic.String())
	}
	if trouble := refuse(&ts.engine.State, "state"); trouble != "" {
		ts.fatal(trouble, "")
	}
	if headline, body := ts.purity(rec, &ts.engine.State, step.Action); headline != "" {
		ts.fatal(fmt.Sprintf("%s: %s", title, headline), body)
	}
	if headline, body := ts.unshared(); headline != "" {
		ts.fatal(headline, body)
	}
	if effect.TreeOf(&rec.effect).Kind != tree.None {
		freeze(rec)
		ts.records[rec.seq] = rec
	}
	ts.observe(step.Task)
	ts.changed(title, rec, change)
}

// changed holds the state to what the test says of it.
func (ts *TestStore[S, A]) changed(title string, rec *record[S, A], change []func(*S)) {
	ts.t.Helper()
	want := duplicate(rec.before.State)
	for _, f := range change {
		if f != nil {
			f(&want)
		}
	}
	switch got := ts.engine.State; {
	case equal(want, got, ts.loose):
	case len(change) == 0:
		ts.fatal(title+" changed the state, and no change was asserted", "state (-before +after):\n"+diff(want, got, ts.loose))
	default:
		ts.fatal(title+" left another state than was asserted", "state (-want +got):\n"+diff(want, got, ts.loose))
	}
}

// forget lets go of steps of which nothing is in flight. A sequence may go on
// when an action of it has been reduced.
func (ts *TestStore[S, A]) forget() {
	_, waits := ts.engine.Peek(0)
	live := ts.live()
	maps.DeleteFunc(ts.records, func(seq uint64, rec *record[S, A]) bool {
		return !live[seq] && !(waits && has(effect.TreeOf(&rec.effect), tree.Sequence))
	})
}

// live are the steps whose effects are in flight.
func (ts *TestStore[S, A]) live() map[uint64]bool {
	live := map[uint64]bool{}
	for task := range ts.engine.Tasks() {
		live[task.Cause.Parent] = true
	}
	return live
}

func has[A any](n *tree.Node[A], kind tree.Kind) bool {
	return n.Kind == kind || slices.ContainsFunc(n.Kids(), func(kid tree.Node[A]) bool { return has(&kid, kind) })
}

// end is the check when the test is over.
func (ts *TestStore[S, A]) end() {
	ts.t.Helper()
	if ts.failed || over(ts.t) {
		return
	}
	_, waits := ts.engine.Peek(0)
	switch {
	case waits:
		ts.error("the test is over, and actions received were not asserted", "Receive them, or say SkipActions.")
	case ts.engine.Open() > 0:
		ts.error("the test is over, and effects are in flight",
			"Answer requests with Reply or Fail, let timers fire with Advance, cancel what is to be cancelled, or say SkipInFlight.")
	case len(ts.expected) > 0:
		ts.error(fmt.Sprintf("the test is over, and the fault %q was expected and did not come", ts.expected[0]), "")
	}
}

// refuse says why a state or an action cannot be cloned, or nothing.
func refuse[V any](v *V, what string) string {
	value := reflect.ValueOf(v).Elem()
	if _, own := ownCloneMethod(value); own {
		return ""
	}
	name := rootName(value, what)
	if t := uncloneable(name, value); t != nil {
		return t.report(what, name)
	}
	return ""
}
