package sagatest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/testkit"
)

// Setup is what surrounds a saga that is explored.
type Setup[W any] struct {
	// Start is the action that the saga begins with, an A of the definition.
	Start any
	// Inputs are what others send, made by [Signal] and [Cancel]: a slice for each
	// sender, as in testkit.Model. They may come before the start.
	Inputs [][]Event
	// World is what the handlers act on.
	World W
	// Handlers do the requests, each made by [On].
	Handlers []Handler[W]
	// StuckAfter is that of saga.Config, 0 is its default. A small one keeps the
	// exploration small where an undo can fail.
	StuckAfter int
}

// View is a saga that is explored, as promises see it: what its record keeps. It
// has survived all crashes.
type View[S any] struct {
	// State is the state, Status and Reason are those of the record; before the
	// start they are zero.
	State  S
	Status saga.Status
	Reason string
	// Pending are the requests that the saga waits for, Undo is the compensation
	// stack, each as the request's name and its JSON. Timers are the keys of those
	// that run.
	Pending, Undo, Timers []string
	// Late counts the late results that the saga has taken.
	Late int
	// Children are the statuses of its child sagas, by their types and keys, and
	// of theirs.
	Children map[string]saga.Status

	core core
}

// Clone is a copy. What is in it is never changed.
func (r View[S]) Clone() View[S] { return r }

// Hash tells runs apart by what their records keep.
func (r View[S]) Hash() uint64 {
	return fingerprint.String(fmt.Sprint(r.Late, r.core.Hash()))
}

// Event is what happens to a saga that is explored. [Signal] and [Cancel] make
// those that [Setup] takes.
type Event struct {
	kind            rehearsal.Kind
	to              string // the id of the saga, "" is the one that is explored
	action          any
	message, reason string
	effect          string
	attempt         int
	value           []byte
	err             error
}

// Signal is an action that is sent to the saga, in a message of that id.
func Signal(messageID string, action any) Event {
	return Event{kind: rehearsal.Signal, message: messageID, action: action}
}

// Cancel is a cancellation.
func Cancel(reason string) Event {
	return Event{kind: rehearsal.Cancel, message: "cancel", reason: reason}
}

func (e Event) input() rehearsal.Input {
	return rehearsal.Input{
		Kind: e.kind, Action: e.action, Message: e.message, Reason: e.reason,
		Attempt: rehearsal.Attempt{Effect: e.effect, N: e.attempt}, Value: e.value, Err: e.err,
	}
}

// String writes the event as reports show it.
func (e Event) String() string {
	if e.to == "" {
		return e.text()
	}
	return e.text() + " at " + e.to
}

func (e Event) text() string {
	switch e.kind {
	case rehearsal.Start:
		return "start " + show(e.action)
	case rehearsal.Signal:
		return fmt.Sprintf("signal %s as %q", show(e.action), e.message)
	case rehearsal.Cancel:
		return fmt.Sprintf("cancel %q", e.reason)
	case rehearsal.Crash:
		return "take over"
	case rehearsal.Due:
		return e.reason
	case rehearsal.Mail:
		return "message"
	case rehearsal.Result, rehearsal.Resolve:
	}
	switch {
	case e.err == nil:
		return fmt.Sprintf("result of %s: %s", e.effect, e.value)
	case saga.IsRejected(e.err):
		return fmt.Sprintf("rejection of %s: %v", e.effect, e.err)
	}
	return fmt.Sprintf("failure of %s: %v", e.effect, e.err)
}

// Handler does the requests of one type in a world W. [On] makes it.
type Handler[W any] struct {
	request reflect.Type
	answer  testkit.Answer
	ask     func(to string, a rehearsal.Attempt) effect.Effect[Event]
}

// On does the requests of type Q by f, which acts on the world under an idempotency
// key, as a handler does that finds it with saga.EffectID: the same in all
// attempts, with /undo behind it for an undo. What can happen to a request is said
// at testkit.On: its answer may come late, be lost or fail, and with crashes or
// duplicates f is called again.
//
// An error of f that is saga.Rejected is definitive. testkit.Fails declares others:
// those after which it is unknown what was done.
func On[W any, Q effect.Request[R], R any](f func(world *W, key string, q Q) (R, error), opts ...testkit.AnswerOption) Handler[W] {
	var g func(*W, call[Q, R]) (R, error)
	if f != nil {
		g = func(world *W, c call[Q, R]) (R, error) { return f(world, c.key, c.request) }
	}
	return Handler[W]{
		request: reflect.TypeFor[Q](),
		answer:  testkit.On(g, opts...),
		ask: func(to string, a rehearsal.Attempt) effect.Effect[Event] {
			c := call[Q, R]{key: a.Key, attempt: a.N}
			if err := json.Unmarshal(a.Data, &c.request); err != nil {
				panic(fmt.Sprintf("request %q cannot be read again: %v", a.Request, err))
			}
			return effect.Do(c, func(r effect.Result[R]) Event {
				e := Event{kind: rehearsal.Result, to: to, effect: a.Effect, attempt: a.N, err: r.Err}
				if r.Err == nil {
					var err error
					if e.value, err = json.Marshal(r.Value); err != nil {
						panic(fmt.Sprintf("the result of request %q cannot be written: %v", a.Request, err))
					}
				}
				return e
			})
		},
	}
}

// call is a request on its way to the world.
type call[Q effect.Request[R], R any] struct {
	key     string
	attempt int
	request Q
}

// Returns names the result's type.
func (call[Q, R]) Returns(R) {}

// String writes the call as reports show it.
func (c call[Q, R]) String() string {
	text := show(c.request)
	if strings.HasSuffix(c.key, undoSuffix) {
		text = "undo " + text
	}
	if c.attempt > 1 {
		text += fmt.Sprintf(", attempt %d", c.attempt)
	}
	return text
}

// Model is a saga and its world as a model for testkit.Explore, Simulate and
// Retrace:
//
//	func model(t testkit.T) testkit.Model[sagatest.View[Order], sagatest.Event, Bank] {
//		return sagatest.Model(t, Reservation, sagatest.Setup[Bank]{
//			Start:    Reserve{Customer: "ann", Quantity: 2},
//			Inputs:   [][]sagatest.Event{{sagatest.Cancel("changed my mind")}},
//			Handlers: []sagatest.Handler[Bank]{sagatest.On((*Bank).charge), sagatest.On((*Bank).refund)},
//		})
//	}
//
//	testkit.Explore(t, model(t),
//		testkit.Always("never stuck", func(r *sagatest.View[Order], _ *Bank) bool { return r.Status != saga.Stuck }),
//		testkit.Finally("paid if and only if completed", func(r *sagatest.View[Order], b *Bank) bool { … }),
//		testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1))
//
// It decides as a runner does. A decision and its commit are one step: nothing is
// lost by that, as a crash between the two is one before the input has come. After
// a crash another process goes on from the record. Timeouts of attempts are left
// out: a lost answer is the same to the saga.
//
// A decision that cannot be made, because the reducer panics or asks for what makes
// no sense, is a failure. That an undo fails until the saga is stuck is not: it is
// for promises to say.
func Model[S, A, W any](t testkit.T, d *saga.Definition[S, A], setup Setup[W]) testkit.Model[View[S], Event, W] {
	t.Helper()
	test := t
	fail := func(format string, args ...any) {
		test.Helper()
		test.Fatalf("sagatest: Model: "+format, args...)
		panic("sagatest: T.Fatalf has returned")
	}
	if d == nil {
		fail("the definition is nil")
	}
	machine, err := rehearsal.Open(d, rehearsal.Config{Key: Config{}.withDefaults().Key, StuckAfter: setup.StuckAfter})
	if err != nil {
		fail("%v", err)
	}
	inputs := append([][]Event{{{kind: rehearsal.Start, action: setup.Start}}}, setup.Inputs...)
	for i, sender := range inputs {
		for j, e := range sender {
			if e.kind == 0 {
				fail("Inputs[%d][%d] is empty, want one made by Signal or Cancel", i-1, j)
			}
			if _, _, err := machine.Do(epoch, e.input()); err != nil {
				fail("%s: %v", e, err)
			}
		}
	}
	p := &player[S]{handlers: map[reflect.Type]func(string, rehearsal.Attempt) effect.Effect[Event]{}, state: d.State}
	answers := make([]testkit.Answer, len(setup.Handlers), len(setup.Handlers)+1)
	for i, h := range setup.Handlers {
		if h.request == nil {
			fail("Handlers[%d] is empty, want one made by On", i)
		}
		if p.handlers[h.request] != nil {
			fail("Handlers[%d]: there is another for %s", i, h.request)
		}
		p.handlers[h.request], answers[i] = h.ask, h.answer
	}
	requests := map[string]reflect.Type{}
	children := requestsOf(machine, "", requests, map[string]bool{})
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		if p.handlers[requests[name]] == nil {
			fail("there is no handler for request %s, a %s", name, requests[name])
		}
	}
	if children {
		answers = append(answers, carrier[W]())
	}
	return testkit.Model[View[S], Event, W]{
		State:   View[S]{core: core{[]member{{id: d.ID(Config{}.withDefaults().Key).String(), machine: machine, view: snapshotOf(machine)}}}},
		World:   setup.World,
		Reducer: p,
		Inputs:  inputs,
		Answers: answers,
		Start:   epoch,
		Recover: func(crashed *View[S]) (View[S], []Event) {
			r := *crashed
			r.core.family = slices.Clone(r.core.family)
			var all []Event
			for i := range r.core.family {
				m := &r.core.family[i]
				m.due, m.carried = time.Time{}, false // timers and requests are gone
				e := Event{kind: rehearsal.Crash, to: m.id}
				if i == 0 {
					e.to = ""
				}
				all = append(all, e)
			}
			return r, all
		},
	}
}

// player is the reducer of a model.
type player[S any] struct {
	handlers map[reflect.Type]func(string, rehearsal.Attempt) effect.Effect[Event]
	state    func(saga.Snapshot) (S, error)
}

const dueKey = "due"

// Reduce implements reducer.Reducer.
func (p *player[S]) Reduce(r *View[S], e Event, env reducer.Env) effect.Effect[Event] {
	var ex effect.Of[Event]
	now := env.Now()
	r.core.family = slices.Clone(r.core.family)
	m := &r.core.family[0]
	if e.to != "" {
		m = r.core.find(e.to)
	}
	in := e.input()
	if e.kind == rehearsal.Mail {
		m.carried = false
		if e.err != nil || !m.takes() { // it got lost on the way, or nobody takes it
			return ex.All(r.core.carry(nil)...)
		}
		in.Post, m.mail = m.mail[0], m.mail[1:]
	}
	next, outcome, err := m.machine.Do(now, in)
	if err != nil {
		panic(err.Error())
	}
	view := snapshotOf(next)
	for i := range outcome.Decisions {
		d := &outcome.Decisions[i]
		if d.Problem != "" && (view.Parked != "" || view.Status.Ended()) {
			panic("the saga could not decide: " + d.Problem + trace(d))
		}
		if d.Late && e.to == "" {
			r.Late++
		}
	}
	var all []effect.Effect[Event]
	for _, a := range outcome.Begun {
		if a.Child != nil { // by mail
			continue
		}
		ask := p.handlers[a.Type]
		if ask == nil {
			panic(fmt.Sprintf("request %q is not one of Types.Requests", a.Request))
		}
		all = append(all, ask(e.to, a))
	}
	switch due, key := outcome.Due, dueKey+e.to; {
	case e.kind != rehearsal.Due && due.Equal(m.due):
	case due.IsZero():
		all = append(all, ex.Cancel(key))
	default:
		all = append(all, ex.After(key, due.Sub(now), Event{kind: rehearsal.Due, to: e.to, reason: dueText(&view, due)}))
	}
	m.machine, m.view, m.due = next, view, outcome.Due
	for _, post := range outcome.Posts {
		r.core.post(post)
	}
	all = r.core.carry(all)
	p.show(r)
	return ex.All(all...)
}

// dueText tells what is due at a time.
func dueText(v *saga.Snapshot, at time.Time) string {
	var all []string
	for _, t := range v.Timers {
		if t.At.Equal(at) {
			all = append(all, strconv.Quote(t.Key))
		}
	}
	for _, e := range slices.Concat(v.Pending, v.Undo) {
		if e.Next.Equal(at) {
			all = append(all, "the next attempt of "+e.Request)
		}
	}
	return strings.Join(all, ", ")
}

// show makes what promises see.
func (p *player[S]) show(r *View[S]) {
	r.Children = nil
	for i := range r.core.family[1:] {
		m := &r.core.family[i+1]
		if r.Children == nil {
			r.Children = map[string]saga.Status{}
		}
		r.Children[m.id] = m.view.Status
	}
	v := &r.core.family[0].view
	if v.Sequence == 0 {
		return
	}
	state, err := p.state(*v)
	if err != nil {
		panic(fmt.Sprintf("the state does not survive its JSON: %v", err))
	}
	r.State, r.Status, r.Reason = state, v.Status, v.Reason
	r.Pending, r.Undo, r.Timers = nil, nil, nil
	for _, e := range v.Pending {
		r.Pending = append(r.Pending, e.Request+" "+string(e.Data))
	}
	for _, e := range v.Undo {
		r.Undo = append(r.Undo, e.Request+" "+string(e.Data))
	}
	for _, t := range v.Timers {
		r.Timers = append(r.Timers, t.Key)
	}
}
