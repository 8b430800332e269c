package recorder_test

import (
	"slices"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/reducer"
)

// errand is a small thing that is recorded: it is run, which asks for its work,
// and may be called off meanwhile.
type errand struct {
	Phase   phase
	Waiting int // who asked, until it is over
}

type phase uint8

const (
	fresh phase = iota
	running
	done
	calledOff
)

// do is an action of an errand.
type do string

const (
	run     do = "run"
	callOff do = "call off"
	resume  do = "resume"
	worked  do = "worked"
	over    do = "over" // the answer
)

// Work asks for the work of an errand.
type Work struct{}

// Returns names the result's type.
func (Work) Returns(struct{}) {}

var fx effect.Of[do]

func work() effect.Effect[do] {
	return effect.Do(Work{}, func(effect.Result[struct{}]) do { return worked }, effect.Key("work"))
}

// errandReducer can tell what comes late, unless it is careless.
func errandReducer(careless bool) reducer.Reducer[errand, do] {
	return reducer.Func[errand, do](func(s *errand, a do, _ reducer.Env) effect.Effect[do] {
		switch a {
		case run:
			switch s.Phase {
			case fresh:
				s.Phase, s.Waiting = running, 1
				return fx.All(fx.Hold("asked"), work())
			case running:
				s.Waiting++
				return fx.Hold("asked")
			case done, calledOff:
				return fx.Send(over)
			}
		case worked:
			if s.Phase == running || careless {
				return end(s, done)
			}
		case callOff:
			if s.Phase != done {
				return fx.All(fx.Cancel("work"), end(s, calledOff), fx.Send(over))
			}
			return fx.Send(over)
		case resume:
			if s.Waiting = 0; s.Phase == running {
				return work()
			}
		case over:
		}
		return fx.None()
	})
}

func end(s *errand, p phase) effect.Effect[do] {
	all := make([]effect.Effect[do], s.Waiting)
	for i := range all {
		all[i] = fx.Resume("asked", over)
	}
	s.Phase, s.Waiting = p, 0
	return fx.All(all...)
}

func recordedErrand(careless bool) recorder.Reducer[errand, do] {
	return recorder.New(errandReducer(careless), recorder.Config[errand, do]{
		Tells:  func(a do) bool { return a == over },
		Resume: func(s *errand) (do, bool) { return resume, s.Phase == running },
	})
}

// log is a stream as the world of an exploration has it.
type log[A any] struct{ Entries []recorder.Entry[A] }

func (l *log[A]) append(q recorder.Append[A]) (struct{}, error) {
	there := func(id uuid.UUID) bool {
		return slices.ContainsFunc(l.Entries, func(e recorder.Entry[A]) bool { return e.Meta.ActionID == id })
	}
	switch {
	case there(q.Entries[0].Meta.ActionID):
		return struct{}{}, nil // as a Log has it
	case q.After != l.version():
		return struct{}{}, effect.Permanent(&eventstore.ConflictError{
			Stream: q.Stream, Expected: eventstore.Exactly(q.After), Actual: l.version(),
		})
	}
	l.Entries = append(l.Entries, q.Entries...)
	return struct{}{}, nil
}

func (l *log[A]) load(q recorder.Load[A]) ([]recorder.Entry[A], error) {
	return slices.Clone(l.Entries[q.After:]), nil
}

func (l *log[A]) version() eventstore.Version { return eventstore.Version(len(l.Entries)) }

// replayed is the state that the first n entries make.
func replayed[S, A any](r recorder.Reducer[S, A], entries []recorder.Entry[A]) S {
	var s recorder.State[S, A]
	for _, e := range entries {
		r.Replay(&s, e)
	}
	return s.Inner
}
