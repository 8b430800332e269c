package testkit

import (
	"fmt"
	"strings"
	"time"
)

// Stats tells what an exploration has seen.
type Stats struct {
	States      int // that differ
	Transitions int // steps taken
	Depth       int // steps of the longest of the shortest ways to a state
	Frontier    int // most states of one depth
	// Complete tells that every state the model can reach was seen.
	Complete bool
	// Cut is where the exploration was cut short, if it was.
	Cut string
	// BytesPerState is what each state costs while the exploration goes on,
	// without those that wait to be looked into.
	BytesPerState int
	Elapsed       time.Duration
	// Warnings are what may be wrong with the model.
	Warnings []string
}

// Rate is steps a second.
func (s *Stats) Rate() float64 { return float64(s.Transitions) / max(s.Elapsed.Seconds(), 1e-9) }

// String writes the statistics on one line, with nothing in it that differs from
// run to run. Rate and Elapsed are not in it.
func (s *Stats) String() string {
	what := "explored completely"
	if !s.Complete {
		what = "not complete"
		if s.Cut != "" {
			what = "CUT SHORT " + s.Cut
		}
	}
	return fmt.Sprintf("%s: %d states, %d transitions, depth %d", what, s.States, s.Transitions, s.Depth)
}

// Failure is what an exploration or a simulation has found.
type Failure struct {
	// Headline says what is broken: the promise, or what must not happen.
	Headline string
	// Steps are the labels of the steps that lead to it: the least there are.
	// [Retrace] takes them.
	Steps []string

	body  string
	how   string // the steps were found
	trace []tracedStep
}

// Explore visits every state that the model can reach: every order in which its
// requests can be done and answered, its timers fire and its inputs come, and
// every way in which they can go wrong. It fails the test with the shortest way
// to a state that breaks a promise.
//
//	testkit.Explore(t, model(),
//		testkit.Always("charged once at most", func(_ *Order, b *Bank) bool { return b.Charges <= 1 }),
//		testkit.Sometimes("it is paid", func(o *Order, _ *Bank) bool { return o.Phase == Paid }),
//		testkit.Finally("paid or refunded", func(o *Order, b *Bank) bool { … }),
//		testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1))
//
// These fail, too: a command that is held when nothing is left to do (deadlock);
// a state from which the model can never come to rest (livelock, see [Endless]);
// a panic; a fault that is not one of [Tolerate]; a request the model has no
// answer for; a Sometimes that is never met.
//
// It is a breadth-first search over the engine of the live store. States are
// told apart by a hash of 64 bits: of n states, two are taken for one with a
// probability of about n²/2⁶⁵, one in 37 million for a million.
func Explore[S, A, W any](t T, m Model[S, A, W], opts ...Option) Stats {
	t.Helper()
	stats, failure, err := Search(m, opts...)
	if err != nil {
		fatalf(t, "testkit: Explore: %v", err)
	}
	for _, w := range stats.Warnings {
		t.Logf("testkit: Explore: WARNING: %s", w)
	}
	if failure != nil {
		text := failure.report(t.Name(), &stats)
		keep(t, text)
		fatalf(t, "%s", text)
	}
	t.Logf("testkit: %s, %.0f transitions/s, %d bytes/state", &stats, stats.Rate(), stats.BytesPerState)
	if !stats.Complete {
		t.Logf("testkit: Explore: %s\n%s", strings.ToUpper("not everything was explored"),
			"What was not seen may break any promise; a Sometimes or a deadlock behind it is not known either.")
	}
	return stats
}

// Search is [Explore] that returns what it finds: nil if no promise is broken.
// The error is what is wrong with the model or the options.
func Search[S, A, W any](m Model[S, A, W], opts ...Option) (Stats, *Failure, error) {
	st, err := newSettings(opts)
	if err != nil {
		return Stats{}, nil, err
	}
	sys, err := newSystem(&m, st)
	if err != nil {
		return Stats{}, nil, err
	}
	promises, err := typedPromises[S, W](st.promises)
	if err != nil {
		return Stats{}, nil, err
	}
	s := newExploration(sys, promises)
	broken, path := s.run()
	if broken == nil && s.clock.Load() && !sys.clock {
		// Reducers ask for the time, so states differ by it: once more.
		sys.clock = true
		s = newExploration(sys, promises)
		broken, path = s.run()
	}
	s.stats.BytesPerState = s.bytesPerState()
	if broken == nil {
		broken, path = s.missing()
	}
	for i, h := range sys.answers {
		if s.stats.Complete && !s.used[i] {
			s.stats.Warnings = append(s.stats.Warnings, fmt.Sprintf("the model answers %s, which is never asked for", h.request))
		}
	}
	if broken == nil {
		return s.stats, nil, nil
	}
	failure := &Failure{Headline: broken.headline, body: broken.body, how: ", none fewer"}
	failure.Steps, failure.trace = sys.retell(path)
	return s.stats, failure, nil
}

// missing is the first Sometimes that was not met, or a bound that was.
func (s *exploration[S, W]) missing() (*violation, []move) {
	st := &s.sys.settings
	for i, p := range s.promises {
		if p.kind != sometimes || s.reached[i] {
			continue
		}
		body := "The model never gets there. Does it have the inputs and answers for it?"
		if !s.stats.Complete {
			body = "The exploration was cut short " + s.stats.Cut + ", and has not met it."
		}
		return &violation{headline: fmt.Sprintf("Sometimes %q is never met", p.name), body: body}, nil
	}
	if s.stats.Cut != "" && !st.statesSet && st.maxDepth == 0 {
		return &violation{
			headline: fmt.Sprintf("the exploration was given up at %d states", st.maxStates),
			body: "The model may have no end: a counter of attempts, a time or an id in its state makes each state a new one. " +
				"Bound what can happen (Failures, Timeouts, fewer Inputs), leave such fields out by a method Hash, " +
				"or say MaxStates to accept an exploration that is cut short.",
		}, nil
	}
	return nil, nil
}

func (s *settings) tolerates(err error) bool {
	for _, target := range s.tolerated {
		if isError(err, target) {
			return true
		}
	}
	return false
}
