package testkit

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
)

// Reply answers a request in flight, made with effect.Do or effect.Fire. Of
// several that are equal the oldest is answered. The action that the result
// becomes waits for [TestStore.Receive].
func Reply[Q effect.Request[R], R, S, A any](ts *TestStore[S, A], q Q, value R) {
	ts.t.Helper()
	ts.answer(answer{verb: "Reply", kind: tree.Request, request: q, value: value})
}

// Fail answers a request in flight with an error. If its retry policy has
// another attempt, that one is in flight when its delay has passed.
func Fail[Q effect.Request[R], R, S, A any](ts *TestStore[S, A], q Q, err error) {
	ts.t.Helper()
	ts.answer(answer{verb: "Fail", kind: tree.Request, request: q, err: err, failing: true})
}

// Emit has a stream in flight, made with effect.Stream, give a value.
func Emit[Q effect.Request[R], R, S, A any](ts *TestStore[S, A], q Q, value R) {
	ts.t.Helper()
	ts.answer(answer{verb: "Emit", kind: tree.Stream, request: q, value: value, goesOn: true})
}

// End ends a stream in flight with an error; nil and io.EOF are the end of one
// that gave all it had.
func End[Q effect.Request[R], R, S, A any](ts *TestStore[S, A], q Q, err error) {
	ts.t.Helper()
	if err == nil {
		err = io.EOF
	}
	ts.answer(answer{verb: "End", kind: tree.Stream, request: q, err: err})
}

// Return has the function that an Of.Run of that name was given return an
// action. Of several the oldest returns. Inside of a child it is the child's
// action, as for that function.
func (ts *TestStore[S, A]) Return(name string, action any) {
	ts.t.Helper()
	ts.answer(answer{verb: "Return", kind: tree.Opaque, name: name, value: action})
}

// Panic has the function that an Of.Run of that name was given panic: no action
// comes of it, but a fault, for which there is [TestStore.ExpectFault].
func (ts *TestStore[S, A]) Panic(name string, value any) {
	ts.t.Helper()
	ts.answer(answer{verb: "Panic", kind: tree.Opaque, name: name, err: &effect.PanicError{Value: value}})
}

// Yield has the sequence that an Of.Stream of that name was given yield an
// action; see [TestStore.Return].
func (ts *TestStore[S, A]) Yield(name string, action any) {
	ts.t.Helper()
	ts.answer(answer{verb: "Yield", kind: tree.Stream, name: name, value: action, goesOn: true})
}

// Finish ends the sequence that an Of.Stream of that name was given.
func (ts *TestStore[S, A]) Finish(name string) {
	ts.t.Helper()
	ts.answer(answer{verb: "Finish", kind: tree.Stream, name: name, err: io.EOF})
}

// answer is what a test says comes of a call in flight.
type answer struct {
	verb    string
	kind    tree.CallKind
	request any    // nil for a function
	name    string // of a function
	value   any
	err     error
	failing bool // err must not be nil
	goesOn  bool // of a stream
}

func (a *answer) target() string {
	if a.request == nil {
		return show(a.name)
	}
	return show(a.request)
}

func (a *answer) title() string {
	switch {
	case a.err == io.EOF: //nolint:errorlint // the end of a stream itself
		return a.verb + " " + a.target()
	case a.err != nil:
		return fmt.Sprintf("%s %s, %s", a.verb, a.target(), show(a.err))
	}
	return fmt.Sprintf("%s %s, %s", a.verb, a.target(), show(a.value))
}

// asks tells whether a call is what a is for, but for the request's fields.
func (a *answer) asks(call interface {
	RequestType() reflect.Type
	Name() string
}) bool {
	if a.request == nil {
		return call.RequestType() == nil && call.Name() == a.name
	}
	return call.RequestType() == reflect.TypeOf(a.request)
}

func (ts *TestStore[S, A]) answer(a answer) {
	ts.t.Helper()
	title := a.title()
	ts.enter(title)
	if a.failing && a.err == nil {
		ts.fatal(title+": the error is nil", "A request that succeeds is answered with Reply.")
	}
	task, ok := ts.asked(&a)
	if !ok {
		headline, body := ts.notInFlight(&a)
		ts.fatal(title+": "+headline, body)
	}
	outcome, err := task.Call.Outcome(a.value, a.err)
	if err != nil {
		ts.fatal(title+": "+err.Error(), "")
	}
	if headline, body := ts.interference(ts.records[task.Cause.Parent], task.Call, a.value, a.err); headline != "" {
		ts.fatal(headline, body)
	}
	panicked := catch(func() {
		if a.goesOn {
			ts.engine.Emit(task.ID, task.Attempt, outcome)
		} else {
			ts.engine.Settle(task.ID, task.Attempt, outcome)
		}
	})
	if panicked != nil {
		ts.fatal("the function that maps the result of "+a.target()+" to an action panicked", panicked.String())
	}
	ts.observe(task.ID)
	ts.leave()
}

// asked finds the oldest call that a answers.
func (ts *TestStore[S, A]) asked(a *answer) (engine.Task[A], bool) {
	for task := range ts.engine.Tasks() {
		if task.State == engine.Running && task.Call.Kind() == a.kind && a.asks(task.Call) && ts.equalRequest(a, task.Call) {
			return task, true
		}
	}
	return engine.Task[A]{}, false
}

func (ts *TestStore[S, A]) equalRequest(a *answer, call tree.Call[A]) bool {
	return a.request == nil || equal(a.request, call.Request(), ts.loose)
}

// notInFlight says why there is nothing that a answers.
func (ts *TestStore[S, A]) notInFlight(a *answer) (headline, body string) {
	what := "the request is not in flight"
	if a.request == nil {
		what = "no function of that name is in flight"
	}
	var near []engine.Task[A]
	for task := range ts.engine.Tasks() {
		if task.Call == nil || !a.asks(task.Call) {
			continue
		}
		switch same := ts.equalRequest(a, task.Call); {
		case !same:
			near = append(near, task)
		case task.State == engine.Queued:
			return what + ", it waits its turn under its key", ""
		case task.State == engine.Backoff:
			return fmt.Sprintf("%s, its attempt %d is in %v", what, task.Attempt+1, task.Deadline.Sub(ts.now)), "Advance to it."
		case task.Call.Kind() != a.kind:
			return "it is in flight as a " + kindText(task.Call.Kind()), "It is answered with " + verbs(task.Call) + "."
		}
	}
	if len(near) == 0 {
		return what, ""
	}
	nearest := slices.MinFunc(near, func(x, y engine.Task[A]) int {
		return len(differences(a.request, x.Call.Request(), ts.loose)) - len(differences(a.request, y.Call.Request(), ts.loose))
	})
	return what, "nearest request in flight (-answered +in flight):\n" + diff(a.request, nearest.Call.Request(), ts.loose)
}

func kindText(k tree.CallKind) string {
	switch k {
	case tree.Request:
		return "request"
	case tree.Stream:
		return "stream"
	case tree.Opaque:
	}
	return "run"
}

// verbs names what answers a call.
func verbs[A any](call tree.Call[A]) string {
	switch {
	case call.Kind() == tree.Opaque:
		return "Return or Panic"
	case call.Kind() == tree.Request:
		return "Reply or Fail"
	case call.RequestType() == nil:
		return "Yield or Finish"
	}
	return "Emit or End"
}

// callText is a call in a report.
func callText(call caller) string {
	if call.RequestType() == nil {
		return kindText(call.Kind()) + " " + show(call.Name())
	}
	return strings.TrimSpace(kindText(call.Kind()) + " " + show(call.Request()))
}
