package engine

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// Most tests are a table of what each action causes, a script of what happens
// outside, and the log it must give. Actions are their names.

type fxOf = effect.Effect[string]

type causes map[string]fxOf

var fx effect.Of[string]

// ask is the request of most tests; its result is the action "got NAME", or
// "got NAME: error".
type ask struct{ Name string }

func (ask) Returns(int) {}

func do(name string, opts ...effect.Option) fxOf { return effect.Do(ask{name}, got(name), opts...) }

func stream(name string, opts ...effect.Option) fxOf {
	return effect.Stream(ask{name}, got(name), opts...)
}

func got(name string) func(effect.Result[int]) string {
	return func(r effect.Result[int]) string {
		switch {
		case r.Err != nil:
			return fmt.Sprintf("got %s: %v", name, r.Err)
		case r.Value != 0:
			return fmt.Sprintf("got %s %d", name, r.Value)
		}
		return "got " + name
	}
}

var errDown = errors.New("down")

// rig is a driver that does what the test says and logs what happens.
type rig struct {
	*testing.T
	engine Engine[int, string]
	causes causes
	reduce func(state *int, a string, env reducer.Env) fxOf // instead of causes
	now    time.Time
	log    []string
	names  map[TaskID]string
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newRig(t *testing.T, c causes) *rig {
	t.Helper()
	r := &rig{T: t, causes: c, now: epoch, names: map[TaskID]string{}}
	r.engine.Init(&Config[int, string]{
		ID:  uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
		Now: func() time.Time { return r.now },
		Reducer: reducer.Func[int, string](func(state *int, a string, env reducer.Env) fxOf {
			r.log = append(r.log, a)
			if r.reduce != nil {
				return r.reduce(state, a, env)
			}
			return r.causes[a]
		}),
	}, 7, 0)
	return r
}

// send is an action from outside.
func (r *rig) send(actions ...string) {
	for _, a := range actions {
		r.receive(a, Cause{})
		r.drain()
	}
}

func (r *rig) receive(a string, c Cause) { r.engine.Receive(a, c) }

func (r *rig) drain() {
	r.commands()
	for {
		_, ok := r.engine.Next()
		r.commands()
		if !ok {
			return
		}
	}
}

func (r *rig) commands() {
	for _, c := range r.engine.Commands() {
		line := ""
		switch c.Op {
		case Start:
			name := callName(c.Call)
			r.names[c.Task] = name
			line = "start " + name
			if c.Attempt > 1 {
				line += fmt.Sprintf(" #%d", c.Attempt)
			}
		case Stop:
			line = "stop " + r.names[c.Task]
		case Ack:
			line = fmt.Sprintf("ack %s #%d", r.names[c.Task], c.Attempt)
		case Report:
			line = "fault: " + c.Fault.Err.Error()
			if c.Fault.HasAction {
				line += ", action " + c.Fault.Action
			}
			if c.Fault.Call != nil {
				line += ", call " + callName(c.Fault.Call)
			}
		case recalled:
			r.Fatal("a driver was shown a start that was taken back")
		}
		r.log = append(r.log, line)
	}
}

func callName(c tree.Call[string]) string {
	if q, ok := c.Request().(ask); ok {
		return q.Name
	}
	return c.Name()
}

// task is the oldest task of a name.
func (r *rig) task(name string) Task[string] {
	r.Helper()
	for t := range r.engine.Tasks() {
		if t.Call != nil && callName(t.Call) == name && t.State == Running {
			return t
		}
	}
	require.FailNow(r, "no such task is running: "+name)
	return Task[string]{}
}

// settle answers a running call, without reducing what comes of it.
func (r *rig) settle(name string, err error) {
	r.Helper()
	t := r.task(name)
	var value any
	if err == nil {
		value = 0
	}
	o, bad := t.Call.Outcome(value, err)
	require.NoError(r, bad)
	require.True(r, r.engine.Settle(t.ID, t.Attempt, o))
}

func (r *rig) reply(names ...string) {
	r.Helper()
	for _, name := range names {
		r.settle(name, nil)
		r.drain()
	}
}

func (r *rig) fail(name string, err error) {
	r.Helper()
	r.settle(name, err)
	r.drain()
}

func (r *rig) emit(name string, value int) {
	r.Helper()
	t := r.task(name)
	o, err := t.Call.Outcome(value, nil)
	require.NoError(r, err)
	require.True(r, r.engine.Emit(t.ID, t.Attempt, o))
}

func (r *rig) finish(name string) {
	r.Helper()
	r.fail(name, io.EOF)
}

// pass lets time pass, stopping at each deadline.
func (r *rig) pass(d time.Duration) {
	until := r.now.Add(d)
	for {
		at, ok := r.engine.Deadline()
		if !ok || at.After(until) {
			break
		}
		r.now = at
		r.engine.Tick(at)
		r.drain()
	}
	r.now = until
	r.engine.Refresh()
}

// want compares the log since the last want.
func (r *rig) want(lines ...string) {
	r.Helper()
	if lines == nil {
		lines = []string{}
	}
	if r.log == nil {
		r.log = []string{}
	}
	require.Equal(r, lines, r.log)
	r.log = nil
}

// idle demands that nothing is left, inside either.
func (r *rig) idle() {
	r.Helper()
	require.NoError(r, leftovers(&r.engine))
}

// leftovers tells what an engine that should be idle still has.
func leftovers[S, A any](e *Engine[S, A]) error {
	switch ts := e.tasks; {
	case !e.Idle():
		return fmt.Errorf("not idle: %d actions wait, %d tasks are open", e.Waiting(), e.Open())
	case len(e.ended) > 0:
		return fmt.Errorf("%d endings are not accounted for", len(e.ended))
	case ts == nil:
		return nil
	case ts.first != nil || ts.last != nil:
		return errors.New("tasks are linked")
	case len(ts.keys) > 0:
		return fmt.Errorf("keys in use: %v", ts.keys)
	case len(ts.timers) > 0:
		return fmt.Errorf("%d timers", len(ts.timers))
	case len(ts.scopes) > 0:
		return fmt.Errorf("scopes open: %v", ts.scopes)
	case ts.sequences != 0:
		return fmt.Errorf("%d sequences open", ts.sequences)
	}
	return nil
}
