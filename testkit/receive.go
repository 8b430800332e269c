package testkit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed57833328/rondo/internal/engine"
)

// Receive takes the next action that effects have sent back. It must equal
// want, and the state must change as the funcs say, as for [TestStore.Send].
// An error equals one that wraps it.
func (ts *TestStore[S, A]) Receive(want A, change ...func(*S)) {
	ts.t.Helper()
	ts.alive()
	title := "Receive " + show(want)
	got, waits := ts.engine.Peek(0)
	switch {
	case !waits:
		ts.fatal(title+": no action was received", "")
	case equal(want, got, ts.loose):
	default:
		hint := ""
		if ts.waiting(func(a A) bool { return equal(want, a, ts.loose) }) > 0 {
			hint = "\n\nIt waits behind others: assert those first, or with ReceiveUnordered if their order does not matter."
		}
		ts.fatal(fmt.Sprintf("%s: the next action is another, %s", title, show(got)),
			"action (-want +got):\n"+diff(want, got, ts.loose)+hint)
	}
	ts.began(title)
	ts.step(title, change)
	ts.leave()
}

// Expectation is an action to be received and what it does to the state.
// [TestStore.Expect] makes them.
type Expectation[S, A any] struct {
	action A
	change []func(*S)
}

// Expect is what [TestStore.ReceiveUnordered] takes: the arguments of a
// Receive.
func (ts *TestStore[S, A]) Expect(want A, change ...func(*S)) Expectation[S, A] {
	return Expectation[S, A]{want, change}
}

// ReceiveUnordered takes as many actions as are given, in whatever order they
// come. They are reduced in the order in which they wait, so each change is
// held to the state that the one before has left.
func (ts *TestStore[S, A]) ReceiveUnordered(expected ...Expectation[S, A]) {
	ts.t.Helper()
	ts.alive()
	left := slices.Clone(expected)
	for len(left) > 0 {
		found := -1
		at := ts.waiting(func(a A) bool {
			found = slices.IndexFunc(left, func(e Expectation[S, A]) bool { return equal(e.action, a, ts.loose) })
			return found >= 0
		})
		if at < 0 {
			ts.fatal("ReceiveUnordered: no action that waits is one of those expected", ts.unmatched(left))
		}
		e := left[found]
		left = slices.Delete(left, found, found+1)
		title := "Receive " + show(e.action)
		ts.engine.Promote(at)
		ts.began(title)
		ts.step(title, e.change)
		ts.elapse()
	}
	ts.leave()
}

func (ts *TestStore[S, A]) unmatched(left []Expectation[S, A]) string {
	var b strings.Builder
	b.WriteString("still expected:\n")
	for _, e := range left {
		fmt.Fprintf(&b, "  %s\n", show(e.action))
	}
	if got, waits := ts.engine.Peek(0); waits {
		nearest := slices.MinFunc(left, func(x, y Expectation[S, A]) int {
			return len(differences(x.action, got, ts.loose)) - len(differences(y.action, got, ts.loose))
		})
		fmt.Fprintf(&b, "\nnearest to the next action (-want +got):\n%s\n", diff(nearest.action, got, ts.loose))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// waiting gives the place of the first action that waits for which f is true,
// or -1.
func (ts *TestStore[S, A]) waiting(f func(A) bool) int {
	for i := 0; ; i++ {
		a, ok := ts.engine.Peek(i)
		if !ok {
			return -1
		}
		if f(a) {
			return i
		}
	}
}

// ExpectFault says that the next call reports a fault which is target, as
// errors.Is tells: an action for a child that is not there
// (reducer.ErrNoChild), a timer that makes no sense (effect.ErrInvalid), the
// error of a request that nobody waits for. Several in one call are expected
// one by one, in any order. A fault that is not expected is a failure.
func (ts *TestStore[S, A]) ExpectFault(target error) {
	ts.t.Helper()
	ts.alive()
	if target == nil {
		ts.fatal("ExpectFault of a nil error", "")
	}
	ts.expected = append(ts.expected, target)
}

// fault holds a fault against those expected.
func (ts *TestStore[S, A]) fault(f *engine.Fault[A]) {
	ts.t.Helper()
	at := slices.IndexFunc(ts.expected, func(target error) bool { return errors.Is(f.Err, target) })
	if at >= 0 {
		ts.expected = slices.Delete(ts.expected, at, at+1)
		ts.note("fault %v", f.Err)
		return
	}
	var b strings.Builder
	if f.HasAction {
		fmt.Fprintf(&b, "action: %s\n", show(f.Action))
	}
	if f.Call != nil {
		fmt.Fprintf(&b, "effect: %s\n", callText(f.Call))
	}
	if f.Key != nil {
		fmt.Fprintf(&b, "key: %s\n", show(f.Key))
	}
	b.WriteString("In a store this is a dead letter. If it is meant to happen, say ExpectFault before.")
	ts.fatal(fmt.Sprintf("a fault was reported: %v", f.Err), b.String())
}

// maxSkipped is how many actions SkipActions takes before it calls them
// endless.
const maxSkipped = 10_000

// SkipActions reduces every action that waits, and those they cause, without
// asserting any. It says so in the test's log.
func (ts *TestStore[S, A]) SkipActions() {
	ts.t.Helper()
	ts.alive()
	for n := 0; ; n++ {
		a, waits := ts.engine.Peek(0)
		if !waits {
			break
		}
		if n == maxSkipped {
			ts.fatal(fmt.Sprintf("SkipActions: %d actions were skipped, and there are more: the reducer sends without end", n), "")
		}
		title := "Skip " + show(a)
		ts.t.Logf("testkit: SKIPPED action %s", show(a))
		ts.began(title)
		ts.step(title, []func(*S){func(s *S) { *s = duplicate(ts.engine.State) }})
		ts.elapse()
		ts.forget()
	}
	ts.leave()
}

// SkipInFlight ends everything that is in flight without a result: requests,
// streams, timers, holds and what sequences have left. It says so in the test's
// log.
func (ts *TestStore[S, A]) SkipInFlight() {
	ts.t.Helper()
	ts.enter("SkipInFlight")
	for task := range ts.engine.Tasks() {
		ts.t.Logf("testkit: SKIPPED in flight %s", ts.taskText(task))
	}
	ts.engine.Abandon(errSkipped)
	ts.observe(0)
	ts.leave()
}

var errSkipped = errors.New("skipped by the test")
