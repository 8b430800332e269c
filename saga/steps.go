package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// Step is one step of a saga made by [Steps].
type Step[S any] struct {
	// Do is the request of the step, and what becomes of its result.
	Do StepRequest[S]
	// Undo undoes it; without one there is nothing to undo. Its request is made, as
	// that of Do, of the state in which the step begins: what Do returns is not in
	// it. Whoever does it finds what to undo by its [EffectID], which is that of Do
	// with /undo behind it. Where several steps name one request here, the function of
	// the first takes the results of all.
	Undo StepRequest[S]
	// Retry and Timeout are those of Do: see [RetryPolicy] and the function
	// [Timeout]. Undo has the defaults.
	Retry   RetryPolicy
	Timeout time.Duration
	// Deadline is how long after the saga's start the step must be done, or the
	// saga compensates; 0 is no deadline. After a step with Pivot there can be none.
	Deadline time.Duration
	// Pivot makes the step, once it is done, the point of no return.
	Pivot bool
}

// StepRequest is a request of a step, made by [Ask] or [AskChild].
type StepRequest[S any] struct {
	name  string
	child bool
	make  func(S) any
	done  func(s *S, value []byte) error
	types func(wants bool, opts []Option) RequestType
}

// Ask is a request of a [Step] under a name: request makes it of the state, done
// takes the result into the state, and may be nil. Both must be pure.
func Ask[S any, Q effect.Request[R], R any](name string, request func(S) Q, done func(*S, R)) StepRequest[S] {
	a := StepRequest[S]{name: name}
	if request == nil {
		return a
	}
	a.make = func(s S) any { return request(s) }
	a.done = func(s *S, value []byte) error {
		if done == nil {
			return nil
		}
		var r R
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("decode the result of request %q: %w", name, err)
		}
		done(s, r)
		return nil
	}
	a.types = func(wants bool, opts []Option) RequestType {
		if !wants && done == nil {
			return Request[Q](name, opts...)
		}
		return On(name, func(_ Q, r Reply[R]) StepsAction { return stepped(name, r) }, opts...)
	}
	return a
}

// AskChild is a child saga that a [Step] runs, under a name: begin makes the
// action it starts with of the state, done takes the state in which it has
// completed into the state, and may be nil. Both must be pure. A step that does
// it needs no Undo, see [Definition.Child], and must have no Retry.
func AskChild[S, C, A any](name string, child *Definition[C, A], begin func(S) A, done func(*S, C)) StepRequest[S] {
	a := StepRequest[S]{name: name, child: true}
	if begin == nil || child == nil {
		return a
	}
	a.make = func(s S) any { return child.Child(begin(s)) }
	a.done = func(s *S, value []byte) error {
		if done == nil {
			return nil
		}
		var c C
		if err := json.Unmarshal(value, &c); err != nil {
			return fmt.Errorf("decode the state of child %q: %w", name, err)
		}
		done(s, c)
		return nil
	}
	a.types = func(_ bool, opts []Option) RequestType {
		return OnChild(name, child, func(_ A, r Reply[C]) StepsAction { return stepped(name, r) }, opts...)
	}
	return a
}

// stepped is what a step has come to.
func stepped[R any](name string, r Reply[R]) StepsAction {
	if r.Err != nil {
		return stepFailed{Request: name, Reason: r.Err.Error()}
	}
	value, err := json.Marshal(r.Value)
	if err != nil {
		panic(fmt.Sprintf("encode the result of request %q: %v", name, err))
	}
	_, undo := undoOf(r.EffectID)
	return stepDone{Request: name, Value: value, Undo: undo}
}

// Stepped is the state of a saga made by [Steps].
type Stepped[S any] struct {
	// Data is the user's state.
	Data S
	// Step is the index of the step that is being done; the number of steps when
	// all are.
	Step int
}

// StepsAction is what a saga made by [Steps] reduces: a [Begin], and what comes of
// its requests.
type StepsAction interface{ stepsAction() }

// Begin is the action that starts a saga made by [Steps].
type Begin[S any] struct{ Data S }

type (
	stepDone struct {
		Request string
		Value   json.RawMessage
		Undo    bool `json:",omitempty"` // a request may do one step and undo another
	}
	stepFailed   struct{ Request, Reason string }
	stepDeadline struct{ Step int }
)

func (Begin[S]) stepsAction()     {}
func (stepDone) stepsAction()     {}
func (stepFailed) stepsAction()   {}
func (stepDeadline) stepsAction() {}

// Steps makes the type of sagas that do one step after the other, and undo those
// that were done, in reverse, when one fails:
//
//	var Trip = saga.Steps("trip",
//		saga.Step[Plan]{Do: saga.Ask("book-hotel", bookHotel, (*Plan).booked), Undo: saga.Ask("cancel-hotel", cancelHotel, nil)},
//		saga.Step[Plan]{Do: saga.Ask("pay", pay, nil), Pivot: true},
//		saga.Step[Plan]{Do: saga.Ask("send-tickets", sendTickets, nil)})
//
// It is an ordinary definition, whose reducer this function writes: it starts
// with a [Begin], and is as durable as any other. The order of the steps, and
// their number, must not change while sagas are in flight.
func Steps[S any](name string, steps ...Step[S]) *Definition[Stepped[S], StepsAction] {
	types := Types{Actions: []ActionType{
		Action[Begin[S]]("begin"), Action[stepDone]("done"), Action[stepFailed]("failed"), Action[stepDeadline]("deadline"),
	}}
	var problem error
	known := map[string]bool{}
	register := func(i int, a *StepRequest[S], wants bool, opts ...Option) {
		switch {
		case a.types == nil && (wants || a.name != ""):
			problem = fmt.Errorf("step %d has no request, want one made by saga.Ask or saga.AskChild", i)
		case a.types != nil && !known[a.name]:
			known[a.name] = true
			types.Requests = append(types.Requests, a.types(wants, opts))
		}
	}
	for i := range steps {
		register(i, &steps[i].Do, true)
		field := fmt.Sprintf("steps[%d].", i)
		if err := steps[i].Retry.validate(field + "RetryPolicy"); err != nil {
			problem = err
		}
		if steps[i].Do.child && steps[i].Retry != (RetryPolicy{}) {
			problem = fmt.Errorf("%sRetry: what a child saga has come to is final", field)
		}
		switch d := steps[i].Deadline; {
		case d < 0:
			problem = inputError(field+"Deadline", show(d), "at least 0")
		case d > 0 && slices.ContainsFunc(steps[:i], func(s Step[S]) bool { return s.Pivot }):
			problem = inputError(field+"Deadline", show(d), "none after a step with Pivot: nothing is undone any more")
		}
	}
	for i := range steps {
		register(i, &steps[i].Undo, false)
	}
	if len(steps) == 0 {
		problem = errors.New("there are no steps")
	}
	d := Define(name, reducer.Reducer[Stepped[S], StepsAction](stepper[S](steps)), types)
	if problem != nil {
		d.kind.fault(problem)
	}
	return d
}

// stepper reduces a saga of steps.
type stepper[S any] []Step[S]

// Reduce implements reducer.Reducer.
func (steps stepper[S]) Reduce(s *Stepped[S], a StepsAction, _ reducer.Env) effect.Effect[StepsAction] {
	var fx Of[StepsAction]
	switch a := a.(type) {
	case Begin[S]:
		s.Data = a.Data
		var all []effect.Effect[StepsAction]
		for i := range steps {
			if d := steps[i].Deadline; d > 0 {
				all = append(all, fx.After(deadlineKey(i), d, stepDeadline{i}))
			}
		}
		return fx.All(append(all, steps.next(s))...)
	case stepDone:
		return steps.done(s, a)
	case stepFailed:
		return fx.Compensate(a.Request + ": " + a.Reason)
	case stepDeadline:
		return fx.Compensate(steps[a.Step].Do.name + ": not done in time")
	}
	return fx.None()
}

func deadlineKey(step int) string { return "deadline/" + strconv.Itoa(step) }

// done takes a result: that of the step that is being done, or of an undo.
func (steps stepper[S]) done(s *Stepped[S], a stepDone) effect.Effect[StepsAction] {
	var fx Of[StepsAction]
	if a.Undo || s.Step >= len(steps) || steps[s.Step].Do.name != a.Request {
		for i := range steps {
			if steps[i].Undo.name == a.Request {
				must(steps[i].Undo.done(&s.Data, a.Value))
				break
			}
		}
		return fx.None()
	}
	step := &steps[s.Step]
	must(step.Do.done(&s.Data, a.Value))
	settled := fx.None()
	if step.Deadline > 0 {
		settled = fx.Cancel(deadlineKey(s.Step))
	}
	if step.Pivot {
		settled = fx.All(settled, fx.Pivot())
	}
	s.Step++
	return fx.All(settled, steps.next(s))
}

// must leaves the saga Stuck with the error.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// next begins the step whose turn it is.
func (steps stepper[S]) next(s *Stepped[S]) effect.Effect[StepsAction] {
	var fx Of[StepsAction]
	if s.Step == len(steps) {
		return fx.Complete()
	}
	step := &steps[s.Step]
	opts := []Option{Timeout(step.Timeout)}
	if step.Retry != (RetryPolicy{}) {
		opts = append(opts, Retry(step.Retry))
	}
	if step.Undo.make != nil {
		opts = append(opts, Undo(step.Undo.make(s.Data)))
	}
	return fx.Do(step.Do.make(s.Data), opts...)
}
