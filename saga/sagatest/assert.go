package sagatest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/saga"
)

// Changed asserts how the state has changed since it was asserted last; at first
// since it was zero. Each func is given the state as it was then and makes of it
// what is expected; without one it must not have changed.
//
//	s.Changed(func(o *Order) { o.Seats = []string{"A1", "A2"} })
func (s *Saga[S, A]) Changed(change ...func(*S)) {
	s.t.Helper()
	s.alive()
	want, got := s.seen, s.State()
	for _, f := range change {
		if f != nil {
			f(&want)
		}
	}
	if !equal(want, got) {
		s.fatal("the state is another than was asserted", "state (-want +got):\n"+diff(want, got))
	}
	s.seen = s.State() // which shares nothing
}

// Pending asserts which requests the saga waits for, in whatever order: all of
// them, those whose next attempt is to come and the undo at work among them. The
// test may end with them.
func (s *Saga[S, A]) Pending(requests ...any) {
	s.t.Helper()
	s.alive()
	var got []any
	effects := s.waitsFor()
	for i := range effects {
		got = append(got, s.request(&effects[i]))
	}
	left, missing := slices.Clone(got), []any{}
	for _, q := range requests {
		if i := slices.IndexFunc(left, func(o any) bool { return equal(q, o) }); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			missing = append(missing, q)
		}
	}
	if len(left)+len(missing) > 0 {
		s.fatal("the saga waits for other requests than were asserted", "requests (-want +got):\n"+diff(requests, got))
	}
	for i := range effects {
		s.accepted[effects[i].ID] = true
	}
}

// Timer asserts that a timer under that key is due in d. The test may end with
// it.
func (s *Saga[S, A]) Timer(key string, d time.Duration) {
	s.t.Helper()
	s.alive()
	i := slices.IndexFunc(s.view.Timers, func(t saga.Timer) bool { return t.Key == key })
	switch {
	case i < 0:
		s.fatal(fmt.Sprintf("there is no timer %q", key), s.open())
	case !s.view.Timers[i].At.Equal(s.now.Add(d)):
		s.fatal(fmt.Sprintf("timer %q is due in %v, not in %v", key, s.view.Timers[i].At.Sub(s.now), d), "")
	}
	s.accepted[timerKey(&s.view.Timers[i])] = true
}

// Ended asserts how the saga has ended, and why.
func (s *Saga[S, A]) Ended(status saga.Status, reason string) {
	s.t.Helper()
	s.alive()
	if s.view.Status != status || s.view.Reason != reason {
		body := s.open()
		if s.problem != nil {
			body = strings.TrimSpace(body + trace(s.problem))
		}
		want := saga.Snapshot{Record: saga.Record{Status: status, Reason: reason}}
		s.fatal(fmt.Sprintf("it was to have ended as %s, and is %s", statusText(&want), statusText(&s.view)), body)
	}
	s.ended = s.view.Sequence
}

// Stuck asserts that the saga is stuck, or that a late result could not be taken
// after its end, for a reason that contains the text.
func (s *Saga[S, A]) Stuck(reason string) {
	s.t.Helper()
	s.alive()
	p := s.problem
	switch {
	case p == nil:
		s.fatal(fmt.Sprintf("it was to be stuck, and is %s", statusText(&s.view)), s.open())
	case !strings.Contains(p.Problem, reason):
		s.fatal(fmt.Sprintf("it is stuck for another reason than %q: %s", reason, p.Problem), strings.TrimSpace(trace(p)))
	}
	s.problem = nil
	s.ended = s.view.Sequence
}

// SkipOpen passes over what is open now when the test ends: requests, timers, an
// end. It says so in the test's log.
func (s *Saga[S, A]) SkipOpen() {
	s.t.Helper()
	s.alive()
	s.t.Logf("sagatest: SKIPPED what is open: %s", strings.ReplaceAll(s.open(), "\n", "; "))
	for _, e := range s.waitsFor() {
		s.accepted[e.ID] = true
	}
	for i := range s.view.Timers {
		s.accepted[timerKey(&s.view.Timers[i])] = true
	}
	s.ended = s.view.Sequence
}

// waitsFor are the effects that are pending, and the undo that is at work.
func (s *Saga[S, A]) waitsFor() []saga.Effect {
	all := slices.Clone(s.view.Pending)
	if n := len(s.view.Undo); n > 0 && s.view.Status == saga.Compensating {
		undo := s.view.Undo[n-1]
		undo.ID += undoSuffix
		all = append(all, undo)
	}
	return all
}

func timerKey(t *saga.Timer) string { return "timer " + t.Key + " " + t.At.String() }

// request is that of an effect.
func (s *Saga[S, A]) request(e *saga.Effect) any {
	for _, f := range s.flights {
		if f.Key == e.ID {
			return f.request
		}
	}
	if t := s.requests[e.Request]; t != nil { // its attempt is to come, or its result comes later
		if q, err := decode(t, e.Data); err == nil {
			return q
		}
	}
	return e.Request + " " + string(e.Data)
}

// end is what happens when the test ends.
func (s *Saga[S, A]) end() {
	s.t.Helper()
	if s.failed || over(s.t) {
		return
	}
	var open []string
	if s.problem != nil {
		open = append(open, fmt.Sprintf("the saga could not decide: %s%s", s.problem.Problem, trace(s.problem)))
	} else if s.view.Status.Ended() && s.ended != s.view.Sequence {
		open = append(open, "it has ended: "+statusText(&s.view))
	}
	if s.view.Status == saga.Running || s.view.Status == saga.Compensating {
		for _, e := range s.waitsFor() {
			if !s.accepted[e.ID] {
				open = append(open, "waits for "+show(s.request(&e)))
			}
		}
		for i := range s.view.Timers {
			if t := &s.view.Timers[i]; !s.accepted[timerKey(t)] {
				open = append(open, fmt.Sprintf("timer %q in %v", t.Key, t.At.Sub(s.now)))
			}
		}
		if len(s.view.Pending)+len(s.view.Timers) == 0 && s.view.Status == saga.Running && s.ended != s.view.Sequence {
			open = append(open, "it is running, and waits for nothing")
		}
	}
	if s.refusal != nil {
		open = append(open, fmt.Sprintf("the refusal %q was expected, and nothing was sent", s.refusal))
	}
	if len(open) > 0 {
		s.failed = true
		s.t.Errorf("%s", s.report("the test has ended, and this was not asserted:", "  "+strings.Join(open, "\n  ")))
	}
}

// over tells that a test has ended for another reason.
func over(t any) bool {
	if f, ok := t.(interface{ Failed() bool }); ok && f.Failed() {
		return true
	}
	k, ok := t.(interface{ Skipped() bool })
	return ok && k.Skipped()
}
