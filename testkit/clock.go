package testkit

import (
	"fmt"
	"time"
)

// Advance lets d pass. What is due on the way happens in the order of the
// deadlines, each at its own time: timers fire, attempts time out, retries
// begin. If that leaves actions to be received, time stops there, and goes on
// when they have been: one of them may cancel a timer that is due later, or
// start one.
//
// Advance(0) lets happen what is due now, as a timer without delay. A negative d
// is a failure.
func (ts *TestStore[S, A]) Advance(d time.Duration) {
	ts.t.Helper()
	title := fmt.Sprintf("Advance %v", d)
	ts.enter(title)
	if d < 0 {
		ts.fatal(title+": time does not go back", "")
	}
	ts.target, ts.elapsing = ts.now.Add(d), true
	ts.leave()
}

// elapse goes on to where Advance was going, until actions wait.
func (ts *TestStore[S, A]) elapse() {
	ts.t.Helper()
	for ts.elapsing {
		if _, waits := ts.engine.Peek(0); waits {
			return
		}
		at, ok := ts.engine.Deadline()
		if !ok || at.After(ts.target) {
			at, ts.elapsing = ts.target, false
		}
		if at.After(ts.now) {
			ts.now = at
		}
		if panicked := catch(func() { ts.engine.Tick(ts.now) }); panicked != nil {
			ts.fatal("the function that maps the result of a request that timed out to an action panicked", panicked.String())
		}
		ts.observe(0)
	}
}
