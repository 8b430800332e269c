package testkit

import (
	"fmt"
	"time"

	"github.com/seed57833328/rondo/internal/engine"
)

// move is one thing that can happen next.
type move struct {
	kind moveKind
	a, b uint16
}

type moveKind uint8

const (
	sendInput   moveKind = iota // a: sender
	answerCall                  // a: flight; it acts and its answer arrives
	actCall                     // a: flight; it acts, the answer is on its way
	deliverCall                 // a: flight; it reaches the store it is routed to
	answerLands                 // a: flight
	failCall                    // a: flight, b: which error; it has not acted
	actLate                     // a: flight nobody waits for
	fireTask                    // a: part, b: place among its tasks
	loseCall                    // a: flight; it has not acted
	loseAnswer                  // a: flight; it has acted
	repeatCall                  // a: flight; another is on its way
	repeatInput                 // a: sender, b: which input
	crash
)

// fault tells moves that are bounded in number and need not happen.
func (m move) fault() bool { return m.kind >= loseCall }

// moves appends what can happen next. The order is that in which causes are
// sought: what goes well first.
func (sys *system[S, W]) moves(sit *situation[W], buf []move) []move {
	for i := range sit.sent {
		if int(sit.sent[i]) < len(sys.senders[i].inputs) {
			buf = append(buf, move{kind: sendInput, a: u16(i)})
		}
	}
	for i := range sit.flights {
		buf = sys.flightMoves(sit, i, buf)
	}
	buf = sys.timerMoves(sit, buf)
	for i := range sit.flights {
		f := &sit.flights[i]
		h := sys.answers[f.answer]
		if sit.left.lost > 0 && f.task != 0 {
			if f.phase == asked {
				buf = append(buf, move{kind: loseCall, a: u16(i)})
			}
			if f.phase == done || f.phase == asked && h.route == nil && !h.reads {
				buf = append(buf, move{kind: loseAnswer, a: u16(i)})
			}
		}
		if sit.left.duplicates > 0 && f.phase == asked && f.task != 0 && !h.reads {
			buf = append(buf, move{kind: repeatCall, a: u16(i)})
		}
	}
	if sit.left.duplicates > 0 {
		for i := range sit.sent {
			for j := range sit.sent[i] {
				buf = append(buf, move{kind: repeatInput, a: u16(i), b: j})
			}
		}
	}
	if sit.left.crashes > 0 {
		buf = append(buf, move{kind: crash})
	}
	return buf
}

func (sys *system[S, W]) flightMoves(sit *situation[W], i int, buf []move) []move {
	f := &sit.flights[i]
	h := sys.answers[f.answer]
	at := u16(i)
	switch {
	case f.phase == done:
		return append(buf, move{kind: answerLands, a: at})
	case f.phase == delivered:
		return buf
	case f.task == 0:
		return append(buf, move{kind: actLate, a: at})
	case h.route != nil:
		buf = append(buf, move{kind: deliverCall, a: at})
	default:
		buf = append(buf, move{kind: answerCall, a: at})
		if !h.commutes || sys.settings.noReduction {
			buf = append(buf, move{kind: actCall, a: at})
		}
	}
	if sit.left.failures > 0 {
		for j := range h.fails {
			buf = append(buf, move{kind: failCall, a: at, b: u16(j)})
		}
	}
	return buf
}

// timerMoves are the timers that may fire next: those with the earliest
// deadline, or all.
func (sys *system[S, W]) timerMoves(sit *situation[W], buf []move) []move {
	var first time.Time
	for _, p := range sit.parts {
		if at, ok := p.deadline(); ok && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if first.IsZero() {
		return buf
	}
	for i, p := range sit.parts {
		if at, ok := p.deadline(); !ok || at.After(first) && !sys.settings.anyTimer {
			continue
		}
		for j, t := range p.tasks() {
			if t.deadline.IsZero() || t.deadline.After(first) && !sys.settings.anyTimer {
				continue
			}
			if t.state == engine.Running && sit.left.timeouts == 0 {
				continue
			}
			buf = append(buf, move{kind: fireTask, a: u16(i), b: u16(j)})
		}
	}
	return buf
}

func u16(n int) uint16 {
	if n > 0xffff {
		panic(unsupported{fmt.Sprintf("%d things can happen at once, more than 65535", n)})
	}
	return uint16(n) //nolint:gosec // just checked
}

// make takes one step. x is filled with what it did.
func (sys *system[S, W]) make(sit *situation[W], m move, x *exchange) {
	x.reset()
	if sys.several {
		x.watching = true
		x.reduced = func(index int, _, root uint64, action any) { sys.answered(sit, index, root, action) }
	}
	switch m.kind {
	case sendInput:
		in := &sys.senders[m.a].inputs[sit.sent[m.a]]
		sit.sent[m.a]++
		sys.receive(sit, in.part, in.action, x)
	case repeatInput:
		take(&sit.left.duplicates)
		in := &sys.senders[m.a].inputs[m.b]
		sys.receive(sit, in.part, in.action, x)
	case answerCall:
		f := sit.flights[m.a]
		value, err := sys.act(sit, &f)
		sys.land(sit, int(m.a), value, err, x)
	case actCall:
		f := &sit.flights[m.a]
		value, err := sys.act(sit, f)
		f.done(value, err)
	case answerLands:
		f := &sit.flights[m.a]
		sys.land(sit, int(m.a), f.value, f.err, x)
	case deliverCall:
		sys.deliver(sit, int(m.a), x)
	case failCall:
		take(&sit.left.failures)
		sys.land(sit, int(m.a), nil, sys.answers[sit.flights[m.a].answer].fails[m.b], x)
	case actLate:
		f := sit.flights[m.a]
		if sys.answers[f.answer].route != nil {
			sys.deliver(sit, int(m.a), x)
			break
		}
		sys.drop(sit, int(m.a))
		if value, err := sys.act(sit, &f); x.trace != nil {
			x.trace.acted(value, err)
		}
	case loseCall:
		take(&sit.left.lost)
		sys.land(sit, int(m.a), nil, ErrLost, x)
	case loseAnswer:
		take(&sit.left.lost)
		if f := sit.flights[m.a]; f.phase == asked {
			value, err := sys.act(sit, &f)
			if x.trace != nil {
				x.trace.acted(value, err)
			}
		}
		sys.land(sit, int(m.a), nil, ErrLost, x)
	case repeatCall:
		take(&sit.left.duplicates)
		f := sit.flights[m.a]
		f.task, f.attempt, f.repeated = 0, 0, true
		sit.flights = append(sit.flights, f)
	case fireTask:
		sys.fire(sit, int(m.a), int(m.b), x)
	case crash:
		take(&sit.left.crashes)
		sys.crash(sit, x)
	}
}

// done leaves a flight with what it came to.
func (f *flight) done(value any, err error) {
	f.outcome = &outcome{value, err}
	f.phase, f.to, f.root = done, 0, 0
}

// act has a request act on the world.
func (sys *system[S, W]) act(sit *situation[W], f *flight) (any, error) {
	value, err := sys.answers[f.answer].apply(&sit.world, unshared(f.request))
	return unshared(value), err
}

func (sys *system[S, W]) receive(sit *situation[W], to int, action any, x *exchange) {
	p := sys.own(sit, to)
	p.setNow(sit.now)
	p.receive(x, action)
	sys.update(sit, x)
	sys.unanswered(sit, to)
}

// land brings the answer of a flight to its caller.
func (sys *system[S, W]) land(sit *situation[W], i int, value any, err error, x *exchange) {
	f := sit.flights[i]
	sys.drop(sit, i)
	if x.trace != nil {
		x.trace.acted(value, err)
	}
	p := sys.own(sit, f.part)
	p.setNow(sit.now)
	p.settle(x, f.task, int(f.attempt), value, err)
	sys.update(sit, x)
	sys.unanswered(sit, f.part)
}

// deliver brings a request to the store it is routed to.
func (sys *system[S, W]) deliver(sit *situation[W], i int, x *exchange) {
	f := &sit.flights[i]
	name, action := sys.answers[f.answer].route(unshared(f.request))
	in, err := sys.address(Sent{name, action})
	if err != nil {
		panic(unsupported{show(f.request) + " is routed: " + err.Error()})
	}
	if f.task != 0 {
		f.phase, f.to, f.root = delivered, int16(in.part), sit.parts[in.part].seq()+1 //nolint:gosec // parts are few
	} else {
		sys.drop(sit, i)
	}
	sys.receive(sit, in.part, in.action, x)
}

// answered looks whether an action that was reduced is what a request waits for.
func (sys *system[S, W]) answered(sit *situation[W], part int, root uint64, action any) {
	for i := range sit.flights {
		f := &sit.flights[i]
		if f.phase != delivered || int(f.to) != part || f.root != root {
			continue
		}
		if value, ok, err := sys.answers[f.answer].match(action); ok {
			f.done(unshared(value), err)
		}
	}
}

// unanswered ends the asks whose store has finished all that they caused.
func (sys *system[S, W]) unanswered(sit *situation[W], to int) {
	for i := range sit.flights {
		f := &sit.flights[i]
		if f.phase != delivered || int(f.to) != to {
			continue
		}
		open := false
		for _, t := range sit.parts[to].tasks() {
			open = open || t.root == f.root
		}
		if !open {
			f.done(nil, ErrNoReply)
		}
	}
}

func (sys *system[S, W]) fire(sit *situation[W], part, place int, x *exchange) {
	p := sys.own(sit, part)
	t := p.tasks()[place]
	if t.deadline.After(sit.now) {
		sit.now = t.deadline
	}
	if t.state == engine.Running {
		take(&sit.left.timeouts)
	}
	p.setNow(sit.now)
	p.fire(x, t.id)
	sys.update(sit, x)
	sys.unanswered(sit, part)
}

// crash ends the process, and starts another.
func (sys *system[S, W]) crash(sit *situation[W], x *exchange) {
	crashed := sys.view(sit, sys.scratch())
	if sys.several {
		own := sys.states.clone(crashed) // the parts are shared
		crashed = &own
	}
	recovered, restart := sys.recover(crashed)
	for i := len(sit.flights) - 1; i >= 0; i-- {
		switch f := &sit.flights[i]; {
		case sys.answers[f.answer].route != nil:
			sys.drop(sit, i)
		case f.task != 0:
			sys.giveUp(sit, i)
		}
	}
	if x.trace != nil {
		x.trace.crashed(crashed, &recovered)
	}
	life := uint64(sys.settings.crashes) - uint64(sit.left.crashes) //nolint:gosec // at most 255
	for i, h := range sys.hosts {
		sit.parts[i] = h.open(&recovered, sit.now, life)
	}
	for _, s := range restart {
		in, err := sys.input(s)
		if err != nil {
			panic(unsupported{"Recover returned an action: " + err.Error()})
		}
		x.reset()
		sys.receive(sit, in.part, in.action, x)
		if x.fault != nil {
			return
		}
	}
}

// label names a move in a way that is the same whatever else can happen.
func (sys *system[S, W]) label(sit *situation[W], m move) string {
	switch m.kind {
	case sendInput, repeatInput:
		n, verb := sit.sent[m.a], "send "
		if m.kind == repeatInput {
			n, verb = m.b, "send again "
		}
		in := &sys.senders[m.a].inputs[n]
		return sys.prefix(in.part) + verb + show(in.action)
	case fireTask:
		t := sit.parts[m.a].tasks()[m.b]
		switch t.state { //nolint:exhaustive // the others have no deadline
		case engine.Running:
			return sys.prefix(int(m.a)) + show(t.call.Request()) + " times out"
		case engine.Backoff:
			return sys.prefix(int(m.a)) + show(t.call.Request()) + " is tried again"
		}
		return sys.prefix(int(m.a)) + "timer " + show(t.action)
	case crash:
		return "crash"
	case answerCall, actCall, deliverCall, answerLands, failCall, actLate, loseCall, loseAnswer, repeatCall:
	}
	f := &sit.flights[m.a]
	q := sys.prefix(f.part) + show(f.request)
	switch m.kind { //nolint:exhaustive // the rest is above
	case actCall:
		return q + isDone
	case deliverCall:
		return q + " is delivered"
	case answerLands:
		return q + arrives
	case failCall:
		return q + " fails: " + sys.answers[f.answer].fails[m.b].Error()
	case actLate:
		return q + " arrives late, nobody waits for it"
	case loseCall:
		return q + " is lost"
	case loseAnswer:
		return q + " is done, its answer lost"
	case repeatCall:
		return q + " is sent twice"
	}
	return q + isAnswered
}

// isDone and arrives say in two steps what isAnswered says in one.
const (
	isAnswered = " is answered"
	isDone     = " is done, its answer on the way"
	arrives    = ": the answer arrives"
)

// labels are those of all moves; the same ones are numbered.
func (sys *system[S, W]) labels(sit *situation[W], moves []move) []string {
	texts := make([]string, len(moves))
	seen := map[string]int{}
	for i, m := range moves {
		text := sys.label(sit, m)
		if seen[text]++; seen[text] > 1 {
			text = fmt.Sprintf("%s (%d)", text, seen[text])
		}
		texts[i] = text
	}
	return texts
}
