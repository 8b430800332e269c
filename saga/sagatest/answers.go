package sagatest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/saga"
)

// Reply has an effect succeed: its handler returns a value. Of several that are
// equal the oldest is answered. It also gives the result of one that came [Saga.Later].
func Reply[Q effect.Request[R], R, S, A any](s *Saga[S, A], q Q, value R) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Reply %s, %s", show(q), show(value)))
	data, err := json.Marshal(value)
	if err != nil {
		s.fatal(fmt.Sprintf("the value cannot be written: %v", err), "")
	}
	s.answer(q, data, nil, anyFlight)
}

// ChildCompleted has a child saga complete with a state. The others of its ends are
// said as of other effects: that it was compensated by [Saga.Reject], whose error is
// then the child's reason, that it was terminated by [Saga.Fail], and when it is
// cancelled that it is undone by [Saga.Undone], or that there is no way back by
// Reject.
//
//	s.ChildCompleted(Stays.Child(BookStay{Nights: 2}), Stay{Nights: 2, Room: 12})
func (s *Saga[S, A]) ChildCompleted(child saga.Child, state any) {
	s.t.Helper()
	s.enter(fmt.Sprintf("ChildCompleted %s, %s", show(child), show(state)))
	f := s.find(child, func(f *flight) bool { return !f.Cancels })
	if got := reflect.TypeOf(state); got != f.Child {
		s.fatal(fmt.Sprintf("the state of child %q is a %v, not a %v", child.Type, f.Child, got), "")
	}
	data, err := json.Marshal(state)
	if err != nil {
		s.fatal(fmt.Sprintf("the state cannot be written: %v", err), "")
	}
	s.do(s.answered(f, data, nil))
}

// Undone has the undo that is at work succeed. It must be q; there is one at a
// time, what was issued last before the others. Of a child saga it is that it was
// cancelled, and is compensated.
func (s *Saga[S, A]) Undone(q any) {
	s.t.Helper()
	s.enter("Undone " + show(q))
	s.answer(q, nil, nil, (*flight).undoes)
}

// Reject has an effect refused for good: its handler returns saga.Rejected(err).
// Nothing was done, so that what undoes it is dropped. Of a child saga it is that it
// was compensated: err is the child's reason.
func (s *Saga[S, A]) Reject(q any, err error) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Reject %s, %v", show(q), err))
	s.failing("Reject", err)
	s.answer(q, nil, saga.Rejected(err), anyFlight)
}

// Fail has one attempt fail: what was done is not known. If its policy has
// another, that one begins when its delay has passed: see [Saga.Advance]. Without
// one the reducer is told.
func (s *Saga[S, A]) Fail(q any, err error) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Fail %s, %v", show(q), err))
	s.failing("Fail", err)
	s.answer(q, nil, err, anyFlight)
}

// Timeout lets the time pass that an attempt has left, which then fails with
// effect.ErrTimeout, as by [Saga.Fail]. Nothing else must be decided on the way.
func (s *Saga[S, A]) Timeout(q any) {
	s.t.Helper()
	s.enter("Timeout " + show(q))
	f := s.find(q, anyFlight)
	ends := f.ends
	if e := s.effect(f); f.Child != nil && e != nil {
		ends = e.Next
	}
	if ends.IsZero() {
		s.fatal(show(q)+" has no timeout", "")
	}
	s.quietly(f.Effect, ends)
}

// Exhaust has all attempts fail that an effect has left, one after the other, with
// the time that passes between them: until the reducer is told, or the saga is
// stuck. Nothing else must be decided on the way.
func (s *Saga[S, A]) Exhaust(q any, err error) {
	s.t.Helper()
	s.enter(fmt.Sprintf("Exhaust %s, %v", show(q), err))
	s.failing("Exhaust", err)
	for f := s.find(q, anyFlight); f != nil; {
		s.do(s.answered(f, nil, err))
		e := s.effect(f)
		if e == nil || s.problem != nil {
			return
		}
		s.quietly(f.Effect, e.Next)
		key := f.Key
		i := slices.IndexFunc(s.flights, func(f *flight) bool { return f.Key == key })
		if i < 0 {
			return
		}
		f = s.flights[i]
	}
}

// Later has a handler return saga.Later: the effect stays pending, until Reply,
// Reject or Fail gives it its result.
func (s *Saga[S, A]) Later(q any) {
	s.t.Helper()
	s.enter("Later " + show(q))
	if child, is := q.(saga.Child); is {
		s.fatal(show(child)+" is a child saga, which is not done by a handler that may say Later", "")
	}
	s.answer(q, nil, saga.Later, anyFlight)
}

// Late says that the next answer is to an effect that was given up: by Cancel, by
// Compensate, or because its attempts had run out.
//
//	sagatest.Reply(s.Late(), Charge{10000}, struct{}{})
func (s *Saga[S, A]) Late() *Saga[S, A] {
	s.late = true
	return s
}

func anyFlight(*flight) bool { return true }

func (s *Saga[S, A]) failing(verb string, err error) {
	s.t.Helper()
	switch {
	case err == nil:
		s.fatal(verb+": the error is nil", "")
	case verb != "Reject" && saga.IsRejected(err):
		s.fatal(fmt.Sprintf("%s: the error %q is a rejection", verb, err), "It says that nothing was done: Reject.")
	}
}

func (s *Saga[S, A]) answer(q any, value []byte, err error, which func(*flight) bool) {
	s.t.Helper()
	if f := s.resolvable(q); f != nil && !s.late {
		s.do(rehearsal.Input{Kind: rehearsal.Resolve, Attempt: f.Attempt, Value: value, Err: err})
		return
	}
	s.do(s.answered(s.find(q, which), value, err))
}

// answered takes an attempt out of those at work, and is its result.
func (s *Saga[S, A]) answered(f *flight, value []byte, err error) rehearsal.Input {
	s.flights = slices.DeleteFunc(s.flights, func(other *flight) bool { return other == f })
	return rehearsal.Input{Kind: rehearsal.Result, Attempt: f.Attempt, Value: value, Err: err}
}

// quietly lets time pass in which nothing is decided but about one effect.
func (s *Saga[S, A]) quietly(effect string, until time.Time) {
	s.t.Helper()
	before := s.view.Sequence
	reduced := s.until(until)
	pending := slices.ContainsFunc(s.flights, func(f *flight) bool { return f.Effect == effect && s.waited(f) })
	if len(reduced) > 1 || len(reduced) == 1 && pending {
		s.fatal(fmt.Sprintf("something else has happened on the way: %s", show(reduced[0])), fmt.Sprintf(
			"That was %d decisions. Advance to it, and say what was reduced.", s.view.Sequence-before))
	}
}

// resolvable finds an effect whose handler has said Later.
func (s *Saga[S, A]) resolvable(q any) *flight {
	for i := range s.view.Pending {
		e := &s.view.Pending[i]
		if !e.Later || e.Child.Key != "" {
			continue
		}
		request, err := decode(reflect.TypeOf(q), e.Data)
		if err == nil && equal(q, request) {
			return &flight{Attempt: rehearsal.Attempt{Effect: e.ID[len(s.view.ID.String())+1:], Key: e.ID}}
		}
	}
	return nil
}

// find is the oldest attempt at q of those.
func (s *Saga[S, A]) find(q any, which func(*flight) bool) *flight {
	s.t.Helper()
	late := s.late
	s.late = false
	var other, near *flight
	for _, f := range s.flights {
		if f.Type != reflect.TypeOf(q) {
			continue
		}
		near = f
		if !equal(q, f.request) {
			continue
		}
		if s.waited(f) != late && which(f) {
			return f
		}
		if other == nil || which(f) {
			other = f
		}
	}
	switch {
	case other != nil && late:
		s.fatal(show(q)+" was not given up, the saga waits for it", "Its answer is not a late one.")
	case other != nil && !s.waited(other):
		s.fatal(show(q)+" was given up", "A result that comes all the same is a late one: say so with Late.")
	case other != nil:
		s.fatal(show(q)+" is no undo", "It is answered with Reply, Reject, Fail or Timeout.")
	}
	headline := show(q) + " is not being done"
	for _, e := range s.waitsFor() {
		request, err := decode(reflect.TypeOf(q), e.Data)
		if e.Child.Key != "" || err != nil || !equal(q, request) || !e.Next.After(s.now) {
			continue
		}
		s.fatal(fmt.Sprintf("%s: its attempt %d is in %v", headline, e.Attempts+1, e.Next.Sub(s.now)), "Advance to it.")
	}
	if near != nil {
		s.fatal(headline, "nearest request (-said +being done):\n"+diff(q, near.request))
	}
	s.fatal(headline, "")
	return nil
}
