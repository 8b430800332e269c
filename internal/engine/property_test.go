package engine

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

var errEnd = io.EOF

// world runs an engine and the model side by side on random effects, outcomes,
// times and outside actions.
type world struct {
	*rapid.T
	engine  Engine[int, string]
	model   model
	now     time.Time
	plans   []*plan        // by step
	byName  map[string]int // leaf to the step that returned it
	leaves  int
	calm    bool // no new effects
	names   map[TaskID]string
	log     []string // of the engine, all of it
	fresh   int      // of log, since the last comparison
	inputs  []string // for the report of a failure
	settled map[int]int
	tracks  int
	sent    int
	past    []Task[string] // attempts that were answered once
	replay  []func(*world) // what was done, to do it again
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, now: epoch, byName: map[string]int{}, names: map[TaskID]string{}, settled: map[int]int{}}
	w.model.now = epoch
	w.engine.Init(&Config[int, string]{
		Now: func() time.Time { return w.now },
		Reducer: reducer.Func[int, string](func(_ *int, a string, _ reducer.Env) fxOf {
			w.log = append(w.log, "reduce "+a)
			step := int(w.engine.seq) //nolint:gosec // small
			if step > len(w.plans) {
				w.plans = append(w.plans, w.draw(a))
				w.inputs = append(w.inputs, fmt.Sprintf("  %s causes %v", a, w.plans[step-1]))
			}
			return w.plans[step-1].effect()
		}),
	}, 1, 0)
	return w
}

// draw makes the plan of a step.
func (w *world) draw(action string) *plan {
	if strings.HasPrefix(action, "clean") {
		return &plan{kind: "all", kids: []*plan{{kind: "cancel", key: "k"}, {kind: "cancel", key: "j"}, {kind: "prune"}}}
	}
	if w.calm || w.leaves > 100 {
		return &plan{kind: "none"}
	}
	step := len(w.plans) + 1
	var tree func(depth int) *plan
	tree = func(depth int) *plan {
		kinds := []string{"call", "call", "after", "send", "fire", "stream", "cancel", "hold", "resume", "none", "mute"}
		if depth < 4 {
			kinds = append(kinds, "seq", "seq", "seq", "seq", "all", "all", "scope", "scope", "prune")
		}
		p := &plan{kind: rapid.SampledFrom(kinds).Draw(w.T, "kind")}
		w.leaves++
		if p.kind != "none" && p.kind != "cancel" && p.kind != "prune" && p.kind != "hold" {
			p.name = fmt.Sprintf("%s%d", p.kind, w.leaves)
			w.byName[p.name] = step
		}
		switch p.kind {
		case "all", "seq":
			p.name = ""
			for range rapid.IntRange(2, 4).Draw(w.T, "kids") {
				p.kids = append(p.kids, tree(depth+1))
			}
		case "scope":
			p.name = ""
			p.child = rapid.IntRange(1, 2).Draw(w.T, "child")
			p.kids = []*plan{tree(depth + 1)}
		case "prune":
			p.present = rapid.SampledFrom([][]int{nil, {1}, {2}, {1, 2}}).Draw(w.T, "present")
		case "cancel", "hold", "resume":
			p.key = rapid.SampledFrom([]string{"k", "j"}).Draw(w.T, "key")
		case "after":
			p.key = rapid.SampledFrom([]string{"", "k", "j"}).Draw(w.T, "key")
			p.wait = time.Duration(rapid.IntRange(0, 3).Draw(w.T, "delay"))
		case "call", "fire", "stream", "mute":
			if p.key = rapid.SampledFrom([]string{"k", "", "j", "k"}).Draw(w.T, "key"); p.key != "" {
				p.policy = effect.Policy(rapid.IntRange(0, 3).Draw(w.T, "policy")) //nolint:gosec // small
			}
			if rapid.IntRange(0, 3).Draw(w.T, "retry") == 0 {
				p.attempts, p.wait = rapid.IntRange(1, 3).Draw(w.T, "attempts"), time.Duration(rapid.IntRange(1, 2).Draw(w.T, "wait"))
			}
			p.timeout = time.Duration(max(0, rapid.IntRange(-4, 3).Draw(w.T, "timeout")))
		}
		return p
	}
	return tree(0)
}

// do does one thing to the engine, and remembers it.
func (w *world) do(what string, f func(*world)) {
	w.inputs = append(w.inputs, what)
	w.replay = append(w.replay, f)
	f(w)
	w.commands()
}

func (w *world) commands() {
	for _, c := range w.engine.Commands() {
		switch c.Op {
		case Start:
			w.names[c.Task] = callName(c.Call)
			w.log = append(w.log, fmt.Sprintf("start %s #%d", w.names[c.Task], c.Attempt))
		case Stop:
			w.log = append(w.log, fmt.Sprintf("stop %s #%d", w.names[c.Task], c.Attempt))
		case Ack:
			w.log = append(w.log, fmt.Sprintf("ack %s #%d", w.names[c.Task], c.Attempt))
		case Report:
			w.log = append(w.log, "fault "+callName(c.Fault.Call))
		case recalled:
			w.Fatal("recalled")
		}
	}
}

// compare demands that engine and model have done the same, and are in the same
// state.
func (w *world) compare() {
	got, want := w.log[w.fresh:], w.model.take()
	w.fresh = len(w.log)
	if !slices.Equal(got, want) {
		w.fail("engine did\n  %s\nmodel did\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	// What is open, in the order of start.
	engine, model := []string{}, []string{}
	states := map[State]string{Queued: "queued", Running: "running", Backoff: "backoff", Timing: "timing", Held: "held", Delivering: "delivering"}
	for t := range w.engine.Tasks() {
		engine = append(engine, fmt.Sprint(states[t.State], " ", t.Attempt, " ", t.Cause.Parent, " ", t.Deadline))
	}
	for _, n := range w.model.active {
		switch n.state {
		case "queued", "running", "backoff", "timing", "held", "delivering":
			model = append(model, fmt.Sprint(n.state, " ", n.attempt, " ", n.step, " ", n.due))
		}
	}
	if !slices.Equal(engine, model) {
		w.fail("engine has\n  %s\nmodel has\n  %s", strings.Join(engine, "\n  "), strings.Join(model, "\n  "))
	}
	var waiting []string
	for i := 0; ; i++ {
		a, ok := w.engine.Peek(i)
		if !ok {
			break
		}
		waiting = append(waiting, a)
	}
	var queue []string
	for _, place := range w.model.candidates() {
		queue = append(queue, w.model.queue[place].action)
	}
	if !slices.Equal(waiting, queue) {
		w.fail("engine's queue\n  %q\nmodel's\n  %q", waiting, queue)
	}
	// Tracks: told once, and not before all they count has ended.
	for track, times := range w.settled {
		if times > 1 || w.model.unfinished(track) {
			w.fail("track %d told %d times, unfinished: %v", track, times, w.model.unfinished(track))
		}
	}
	w.queueKeys()
}

// queueKeys demands that of the calls queued under one key one runs, and that
// none waits without reason.
func (w *world) queueKeys() {
	at, first := map[any]int{}, map[any]bool{}
	for t := range w.engine.Tasks() {
		if t.Key == nil {
			continue
		}
		if t.State == Queued && !first[t.Key] {
			w.fail("%v is first under its key and waits", w.names[t.ID])
		}
		first[t.Key] = true
		if t.Call != nil && t.Call.Options().Policy == 3 && t.State != Queued {
			if at[t.Key]++; at[t.Key] > 1 {
				w.fail("two queued calls run under %v", t.Key)
			}
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(w.inputs, "\n"))
}

func (w *world) next() bool {
	more := false
	w.do("next", func(w *world) { _, more = w.engine.Next() })
	if also := w.model.next(func() *plan { return w.plans[w.model.steps-1] }); also != more {
		w.fail("engine reduced: %v, model: %v", more, also)
	}
	w.compare()
	if !more {
		for track := 1; track <= w.tracks; track++ { // all that is over has been told
			if !w.model.unfinished(track) && w.settled[track] != 1 {
				w.fail("track %d is finished, and was told %d times", track, w.settled[track])
			}
		}
	}
	return more
}

func (w *world) drain() {
	for w.next() {
	}
}

func (w *world) receive(action string, tracked bool) {
	w.sent++
	action = fmt.Sprint(action, w.sent)
	track := 0
	if tracked {
		w.tracks++
		track = w.tracks
	}
	w.do("receive "+action, func(w *world) {
		c := Cause{}
		if track > 0 {
			c.Track = NewTrack(nil, func() { w.settled[track]++ }, nil)
		}
		w.engine.Receive(action, c)
	})
	w.model.queue = append(w.model.queue, waiting{action: action, track: track})
	w.compare()
}

// running are the tasks that wait for a driver, oldest first.
func (w *world) running() (tasks []Task[string]) {
	for t := range w.engine.Tasks() {
		if t.State == Running {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

func (w *world) node(name string) *node {
	for _, n := range w.model.active {
		if n.name == name {
			return n
		}
	}
	w.fail("model has no %s", name)
	return nil
}

var errPermanent = effect.Permanent(errors.New("no"))

func (w *world) settle(task Task[string], err error) {
	n := w.node(callName(task.Call))
	w.do(fmt.Sprintf("settle %s: %v", n.name, err), func(w *world) {
		var value any
		if err == nil {
			value = 0
		}
		o, _ := task.Call.Outcome(value, err)
		if !w.engine.Settle(task.ID, task.Attempt, o) {
			w.fail("not settled")
		}
		if w.engine.Settle(task.ID, task.Attempt, o) {
			w.fail("settled twice")
		}
	})
	w.past = append(w.past, task)
	w.model.settle(n, err)
	w.compare()
}

// late answers an attempt again, which must do nothing.
func (w *world) late(task Task[string]) {
	w.do("late "+callName(task.Call), func(w *world) {
		o, _ := task.Call.Outcome(1, nil)
		if w.engine.Settle(task.ID, task.Attempt, o) || w.engine.Emit(task.ID, task.Attempt, o) {
			w.fail("%s: attempt %d was answered twice", callName(task.Call), task.Attempt)
		}
	})
	w.compare()
}

func (w *world) emit(task Task[string], value int) {
	n := w.node(callName(task.Call))
	w.do(fmt.Sprint("emit ", n.name, " ", value), func(w *world) {
		o, _ := task.Call.Outcome(value, nil)
		if !w.engine.Emit(task.ID, task.Attempt, o) {
			w.fail("not emitted")
		}
	})
	w.model.emit(n, value)
	w.compare()
}

func (w *world) tick(d time.Duration) {
	w.do(fmt.Sprint("tick ", d), func(w *world) {
		w.now = w.now.Add(d)
		w.engine.Tick(w.now)
	})
	w.model.tick(w.now)
	w.compare()
}

func (w *world) promote(i int) {
	w.do(fmt.Sprint("promote ", i), func(w *world) { w.engine.Promote(i) })
	if places := w.model.candidates(); i < len(places) {
		w.model.promoteAction(places[i])
	}
	w.compare()
}

// act does something at random.
func (w *world) act() {
	running := w.running()
	errs := []error{nil, errDown, errPermanent, effect.ErrTimeout}
	switch rapid.IntRange(0, 12).Draw(w.T, "act") {
	case 0, 1:
		w.receive("go", rapid.Bool().Draw(w.T, "tracked"))
	case 2, 3:
		w.next()
	case 4:
		w.drain()
	case 5, 6, 7:
		if len(running) > 0 {
			task := running[rapid.IntRange(0, len(running)-1).Draw(w.T, "task")]
			err := rapid.SampledFrom(errs).Draw(w.T, "err")
			if task.Call.Kind() != 0 && err == nil {
				err = errEnd
			}
			w.settle(task, err)
		}
	case 8:
		running = slices.DeleteFunc(running, func(t Task[string]) bool { return t.Call.Kind() == 0 })
		if len(running) > 0 {
			w.emit(running[rapid.IntRange(0, len(running)-1).Draw(w.T, "task")], rapid.IntRange(1, 9).Draw(w.T, "value"))
		}
	case 9, 10:
		w.tick(time.Duration(rapid.IntRange(0, 3).Draw(w.T, "time")))
	case 11:
		if len(w.past) > 0 {
			w.late(w.past[rapid.IntRange(0, len(w.past)-1).Draw(w.T, "past")])
		}
	case 12:
		w.promote(rapid.IntRange(0, 3).Draw(w.T, "place"))
	}
}

// finish answers everything, and demands that nothing is left.
func (w *world) finish() {
	w.calm = true
	w.drain()
	for range 200 {
		if w.engine.Idle() {
			break
		}
		for _, task := range w.running() {
			if w.engine.find(task.ID) != nil {
				w.settle(task, map[bool]error{true: errEnd}[task.Call.Kind() != 0])
			}
		}
		w.drain()
		w.tick(10)
		w.drain()
		if len(w.running()) == 0 && !w.engine.Idle() {
			w.receive("clean", true)
			w.drain()
		}
	}
	if err := leftovers(&w.engine); err != nil {
		w.fail("%v", err)
	}
	w.trace()
}

// trace holds what must be true of a whole run, whatever the model says.
func (w *world) trace() {
	at := map[string][]int{} // places in the log where a leaf's name is
	reduced := map[string]int{}
	step := map[int]int{} // to its place in the log
	for i, line := range w.log {
		fields := strings.Fields(line)
		at[fields[1]] = append(at[fields[1]], i)
		if fields[0] == "reduce" {
			step[len(step)+1] = i
			if len(fields) == 2 {
				reduced[fields[1]]++
			}
		}
	}
	for name, times := range reduced {
		if times > 1 {
			w.fail("%s gave %d results", name, times)
		}
	}
	for i, p := range w.plans {
		w.sequences(p, at)
		// A Cancel that a step returns outside of sequences is done in that step.
		var cancels func(p *plan, scope string)
		cancels = func(p *plan, scope string) {
			switch p.kind {
			case "cancel":
				w.nothingAfter(step[i+1], i, scope, p.key, at)
			case "all":
				for _, kid := range p.kids {
					cancels(kid, scope)
				}
			case "scope":
				cancels(p.kids[0], fmt.Sprint(scope, p.child, "/"))
			}
		}
		cancels(p, "")
	}
}

// nothingAfter demands that nothing under a key that steps before the one at
// place returned starts or is reduced after it.
func (w *world) nothingAfter(place, before int, scope, key string, at map[string][]int) {
	var leaves func(p *plan, in string)
	leaves = func(p *plan, in string) {
		if (p.isCall() || p.kind == "after") && p.key == key && in == scope {
			for _, i := range at[p.name] {
				if i > place && !strings.HasPrefix(w.log[i], "stop") {
					w.fail("%q comes after a cancel of %s%s in %q", w.log[i], scope, key, w.log[place])
				}
			}
		}
		if p.kind == "scope" {
			in = fmt.Sprint(in, p.child, "/")
		}
		for _, kid := range p.kids {
			leaves(kid, in)
		}
	}
	for _, p := range w.plans[:before] {
		leaves(p, "")
	}
}

// sequences demands that the elements of a sequence come one after another.
func (w *world) sequences(p *plan, at map[string][]int) {
	places := func(p *plan) (all []int) {
		var walk func(*plan)
		walk = func(p *plan) {
			all = append(all, at[p.name]...)
			for _, kid := range p.kids {
				walk(kid)
			}
		}
		walk(p)
		return all
	}
	for i, kid := range p.kids {
		w.sequences(kid, at)
		if p.kind != "seq" || i == 0 {
			continue
		}
		for _, earlier := range p.kids[:i] {
			a, b := places(earlier), places(kid)
			if len(a) > 0 && len(b) > 0 && slices.Max(a) > slices.Min(b) {
				w.fail("in %v\n%q is not before\n%q", p, w.log[slices.Max(a)], w.log[slices.Min(b)])
			}
		}
	}
}

// again demands that the same inputs give the same trace.
func (w *world) again() {
	other := newWorld(w.T)
	other.plans, other.calm = w.plans, true
	for _, f := range w.replay {
		f(other)
		other.commands()
	}
	if !slices.Equal(w.log, other.log) {
		w.fail("the same inputs gave\n  %s\nand\n  %s", strings.Join(w.log, "\n  "), strings.Join(other.log, "\n  "))
	}
}

func TestEngineDoesWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.receive("go", true)
		for range rapid.IntRange(30, 150).Draw(t, "length") {
			w.act()
		}
		w.finish()
		w.again()
	})
}

// Whatever goes on, Abandon ends all of it, and every track is told once.
func TestAbandonAtAnyPoint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.receive("go", true)
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			w.act()
		}
		running := len(w.running())
		w.engine.Abandon(errDown)
		stops := 0
		for _, c := range w.engine.Commands() {
			if c.Op != Stop {
				w.fail("abandon commands %v", c.Op)
			}
			stops++
		}
		if stops != running {
			w.fail("%d calls ran, %d were stopped", running, stops)
		}
		if err := leftovers(&w.engine); err != nil {
			w.fail("%v", err)
		}
		for track := 1; track <= w.tracks; track++ {
			if w.settled[track] != 1 {
				w.fail("track %d was told %d times", track, w.settled[track])
			}
		}
	})
}
