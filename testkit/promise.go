package testkit

import (
	"cmp"
	"fmt"
	"reflect"
)

// Option is a promise that a model is held to, or a bound of its exploration.
type Option struct {
	apply func(*settings)
}

// settings are the options of an exploration.
type settings struct {
	promises []promise

	crashes, lost, duplicates int
	failures, timeouts        int // -1 is without bound
	maxStates, maxDepth       int
	statesSet                 bool
	workers                   int
	anyTimer, endless         bool
	noReduction               bool
	tolerated                 []error
	symmetries                []symmetry

	seeds        []uint64
	walks, steps int
	faultRate    float64
}

type promise struct {
	kind  promiseKind
	name  string
	check any // func(*S, *W) bool
}

type promiseKind uint8

const (
	always promiseKind = iota
	sometimes
	finally
)

func (k promiseKind) String() string { return [...]string{"Always", "Sometimes", "Finally"}[k] }

// Always promises that holds is true in every state that can be reached. It must
// only read.
func Always[S, W any](name string, holds func(s *S, w *W) bool) Option {
	return promised(always, name, holds, holds == nil)
}

// Sometimes promises that holds is true in at least one state that can be
// reached: so that a model in which nothing happens does not pass.
func Sometimes[S, W any](name string, holds func(s *S, w *W) bool) Option {
	return promised(sometimes, name, holds, holds == nil)
}

// Finally promises that holds is true whenever nothing is left to do: all inputs
// are sent, no request is waited for and no timer runs. A request whose caller
// has given up may still be on its way then, for it may never arrive.
func Finally[S, W any](name string, holds func(s *S, w *W) bool) Option {
	return promised(finally, name, holds, holds == nil)
}

func promised(kind promiseKind, name string, check any, missing bool) Option {
	return Option{func(s *settings) {
		if missing {
			check = nil
		}
		s.promises = append(s.promises, promise{kind, name, check})
	}}
}

// Crashes lets the process crash up to n times, at any point. Stores, requests
// that wait and timers are gone; requests on their way to the world may still
// arrive. Model.Recover says how it starts again.
func Crashes(n int) Option { return Option{func(s *settings) { s.crashes = n }} }

// LostReplies lets up to n requests or answers be lost: the caller gets
// [ErrLost].
func LostReplies(n int) Option { return Option{func(s *settings) { s.lost = n }} }

// Duplicates lets up to n requests and inputs be delivered twice, the second
// time at any later moment.
func Duplicates(n int) Option { return Option{func(s *settings) { s.duplicates = n }} }

// Failures bounds how many requests end with one of the errors they can
// [Fails] with. Without it there is no bound.
func Failures(n int) Option { return Option{func(s *settings) { s.failures = n }} }

// Timeouts bounds how many attempts run out of their effect.Timeout. Without it
// there is no bound.
func Timeouts(n int) Option { return Option{func(s *settings) { s.timeouts = n }} }

// MaxStates ends the exploration when n states were found. The report then says
// that it was cut short. Without it an exploration that finds [DefaultMaxStates]
// fails.
func MaxStates(n int) Option {
	return Option{func(s *settings) { s.maxStates, s.statesSet = n, true }}
}

// MaxDepth ends the exploration at states that are n steps away from the first.
func MaxDepth(n int) Option { return Option{func(s *settings) { s.maxDepth = n }} }

// Workers is how many goroutines explore; 0 is one for each processor. The
// result does not depend on it.
func Workers(n int) Option { return Option{func(s *settings) { s.workers = n }} }

// AnyTimer lets any timer fire next, not only the one with the earliest
// deadline. Without it time stands still but for timers: one that is set later
// never fires before one that is set earlier with a shorter delay.
func AnyTimer() Option { return Option{func(s *settings) { s.anyTimer = true }} }

// Endless tells that the model is not meant to come to rest, as one with a timer
// that always sets another: that is then no livelock.
func Endless() Option { return Option{func(s *settings) { s.endless = true }} }

// NoReduction explores in full what [Commutes] and [Symmetric] would leave out:
// to hold the one against the other.
func NoReduction() Option { return Option{func(s *settings) { s.noReduction = true }} }

// Tolerate lets faults pass that are one of the targets, as errors.Is tells: an
// action for a child that has gone (reducer.ErrNoChild), an error of a request
// that nobody waits for.
func Tolerate(targets ...error) Option {
	return Option{func(s *settings) { s.tolerated = append(s.tolerated, targets...) }}
}

// maxPromises is how many fit into the bits of a word.
const maxPromises = 64

// DefaultMaxStates is how many states an exploration finds before it gives up,
// unless [MaxStates] says otherwise.
const DefaultMaxStates = 2_000_000

func newSettings(opts []Option) (settings, error) {
	s := settings{failures: -1, timeouts: -1, maxStates: DefaultMaxStates, faultRate: 0.1}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&s)
		}
	}
	for _, bound := range []struct {
		name string
		n    int
	}{{"Crashes", s.crashes}, {"LostReplies", s.lost}, {"Duplicates", s.duplicates}} {
		if bound.n < 0 || bound.n > 255 {
			return s, fmt.Errorf("%s is %d, want 0 to 255", bound.name, bound.n)
		}
	}
	for _, bound := range []struct {
		name string
		n    int
	}{{"Failures", s.failures}, {"Timeouts", s.timeouts}} {
		if bound.n < -1 || bound.n > 254 {
			return s, fmt.Errorf("%s is %d, want 0 to 254", bound.name, bound.n)
		}
	}
	switch {
	case s.maxStates < 1:
		return s, fmt.Errorf("MaxStates is %d, want at least 1", s.maxStates)
	case s.maxDepth < 0:
		return s, fmt.Errorf("MaxDepth is %d, want at least 0", s.maxDepth)
	case s.workers < 0:
		return s, fmt.Errorf("Workers is %d, want at least 0", s.workers)
	}
	switch {
	case s.walks < 0:
		return s, fmt.Errorf("Walks is %d, want at least 0", s.walks)
	case s.steps < 0:
		return s, fmt.Errorf("Steps is %d, want at least 0", s.steps)
	case !(s.faultRate >= 0 && s.faultRate <= 1):
		return s, fmt.Errorf("FaultRate is %v, want 0 to 1", s.faultRate)
	case len(s.promises) > maxPromises:
		return s, fmt.Errorf("there are %d promises, want at most %d", len(s.promises), maxPromises)
	}
	s.walks, s.steps = cmp.Or(s.walks, 100), cmp.Or(s.steps, 1000)
	names := map[string]bool{}
	for _, p := range s.promises {
		if names[p.name] {
			return s, fmt.Errorf("%s %q: there is another promise of that name", p.kind, p.name)
		}
		names[p.name] = true
		if p.check == nil {
			return s, fmt.Errorf("%s %q: nil function", p.kind, p.name)
		}
	}
	return s, nil
}

// typedPromise is a promise whose function is of the model's types.
type typedPromise[S, W any] struct {
	promise
	holds func(*S, *W) bool
}

func typedPromises[S, W any](all []promise) ([]typedPromise[S, W], error) {
	typed := make([]typedPromise[S, W], len(all))
	for i, p := range all {
		f, ok := p.check.(func(*S, *W) bool)
		if !ok {
			return nil, fmt.Errorf("%s %q is a %T, want a %s, of the model's state and world",
				p.kind, p.name, p.check, reflect.TypeFor[func(*S, *W) bool]())
		}
		typed[i] = typedPromise[S, W]{p, f}
	}
	return typed, nil
}
