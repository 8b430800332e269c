package testkit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed57833328/rondo/internal/engine"
)

// Seeds are the walks that [Simulate] takes: one for each seed.
func Seeds(seeds ...uint64) Option {
	return Option{func(s *settings) { s.seeds = append(s.seeds, seeds...) }}
}

// Walks is how many walks [Simulate] takes when it is given no [Seeds]; 0 is 100.
// Their seeds are 1, 2, 3 and so on.
func Walks(n int) Option { return Option{func(s *settings) { s.walks = n }} }

// Steps is how many steps a walk of [Simulate] has before it calms down; 0 is
// 1000.
func Steps(n int) Option { return Option{func(s *settings) { s.steps = n }} }

// FaultRate is how often a step of [Simulate] is a fault when one can happen,
// from 0 to 1: a crash, a lost answer, a duplicate, an error, a timeout. The
// default is 0.1. How many there are in all is bounded as for [Explore].
func FaultRate(rate float64) Option { return Option{func(s *settings) { s.faultRate = rate }} }

// SimulateSeedVar is an environment variable that makes [Simulate] take the walk
// of one seed: what its reports say to run a failure again. A Sometimes need not be
// met then.
const SimulateSeedVar = "RONDO_SEED"

// Simulate takes random walks through a model that is too large to [Explore]:
// the same steps, drawn from a seed. After its steps a walk calms down: nothing
// fails any more, and the model must come to rest. The promises are the same;
// Sometimes must be met by one of the walks.
//
// A walk that fails is made as short as it can be (delta debugging: Zeller and
// Hildebrandt, 2002) before it is reported.
//
//	testkit.Simulate(t, model(), append(promises, testkit.Crashes(3), testkit.Walks(1000))...)
func Simulate[S, A, W any](t T, m Model[S, A, W], opts ...Option) {
	t.Helper()
	st, err := newSettings(opts)
	var sys *system[S, W]
	if err == nil {
		sys, err = newSystem(&m, st)
	}
	var promises []typedPromise[S, W]
	if err == nil {
		promises, err = typedPromises[S, W](st.promises)
	}
	seeds, wrong := st.seedsToWalk()
	if err == nil {
		err = wrong
	}
	if err != nil {
		fatalf(t, "testkit: Simulate: %v", err)
	}
	w := &wanderer[S, W]{sys: sys, promises: promises, scratch: sys.scratch()}
	var steps int
	var met uint64
	for _, seed := range seeds {
		labels, broken, meets := w.walk(seed)
		steps, met = steps+len(labels), met|meets
		if broken == nil {
			continue
		}
		failure := w.shrunk(labels, broken)
		text := failure.walkReport(t.Name(), seed, len(labels))
		keep(t, text)
		fatalf(t, "%s", text)
	}
	for i, p := range promises {
		if p.kind == sometimes && met&(1<<i) == 0 && os.Getenv(SimulateSeedVar) == "" {
			fatalf(t, "testkit: Sometimes %q is never met in %s of %d steps together", p.name, plural(len(seeds), "walk"), steps)
		}
	}
	t.Logf("testkit: simulated %s, %d steps", plural(len(seeds), "walk"), steps)
}

func (s *settings) seedsToWalk() ([]uint64, error) {
	if text := os.Getenv(SimulateSeedVar); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is %q, want a number of 64 bits", SimulateSeedVar, text)
		}
		return []uint64{seed}, nil
	}
	if len(s.seeds) > 0 {
		return s.seeds, nil
	}
	seeds := make([]uint64, s.walks)
	for i := range seeds {
		seeds[i] = uint64(i) + 1
	}
	return seeds, nil
}

// wanderer takes walks through a system.
type wanderer[S, W any] struct {
	sys      *system[S, W]
	promises []typedPromise[S, W]
	scratch  *S
}

// calmSteps is how many steps a model may take to come to rest when nothing
// fails any more.
const calmSteps = 10_000

// walk takes a walk and returns the labels of its steps.
func (w *wanderer[S, W]) walk(seed uint64) (labels []string, broken *violation, met uint64) {
	rng := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // repeatable on purpose
	sit := w.sys.initial()
	if broken, met = w.judge(sit); broken != nil {
		return nil, broken, met
	}
	for n := 0; ; n++ {
		calm := n >= w.sys.settings.steps
		if n == w.sys.settings.steps {
			rng = calmly()
		}
		moves := w.sys.moves(sit, nil)
		m, ok := w.draw(rng, sit, moves, calm)
		if !ok {
			return labels, nil, met
		}
		if n == w.sys.settings.steps+calmSteps {
			return labels, restless(), met
		}
		texts := w.sys.labels(sit, moves)
		labels = append(labels, texts[slices.Index(moves, m)])
		var meets uint64
		if broken, meets = w.step(sit, m); broken != nil {
			return labels, broken, met
		}
		met |= meets
	}
}

// calmly draws what happens in a calm: the same after a walk and after those of
// its steps that are followed again.
func calmly() *rand.Rand {
	return rand.New(rand.NewPCG(0, 0)) //nolint:gosec // repeatable on purpose
}

func restless() *violation {
	return &violation{
		restless: true,
		headline: fmt.Sprintf("the model has not come to rest %d steps after the last fault", calmSteps),
		body:     "If that is meant, as with a timer that always sets another, say testkit.Endless.",
	}
}

// draw picks the next move. When it is calm nothing goes wrong, and a calm world
// is quick: answers come before what is due, and an attempt runs out of its time
// only if nothing else is left.
func (w *wanderer[S, W]) draw(rng *rand.Rand, sit *situation[W], moves []move, calm bool) (move, bool) {
	var prompt, timers, timeouts, wrong []move
	for _, m := range moves {
		switch {
		case m.fault() || m.kind == failCall:
			wrong = append(wrong, m)
		case w.timesOut(sit, m):
			timeouts = append(timeouts, m)
		case m.kind == fireTask:
			timers = append(timers, m)
		default:
			prompt = append(prompt, m)
		}
	}
	if calm {
		for _, from := range [][]move{prompt, timers, timeouts} {
			if len(from) > 0 && !w.sys.settings.endless {
				return from[rng.IntN(len(from))], true
			}
		}
		return move{}, false
	}
	plain, wrong := slices.Concat(prompt, timers), slices.Concat(wrong, timeouts)
	switch {
	case len(wrong) > 0 && (len(plain) == 0 || rng.Float64() < w.sys.settings.faultRate):
		return wrong[rng.IntN(len(wrong))], true
	case len(plain) > 0:
		return plain[rng.IntN(len(plain))], true
	}
	return move{}, false
}

func (w *wanderer[S, W]) timesOut(sit *situation[W], m move) bool {
	return m.kind == fireTask && sit.parts[m.a].tasks()[m.b].call != nil && sit.parts[m.a].tasks()[m.b].state != engine.Backoff
}

// step makes a move and holds what comes of it to the promises.
func (w *wanderer[S, W]) step(sit *situation[W], m move) (broken *violation, meets uint64) {
	defer func() {
		if v := recover(); v != nil {
			broken = broke(v)
		}
	}()
	x := exchange{tolerate: w.sys.settings.tolerates}
	w.sys.make(sit, m, &x)
	if x.fault != nil {
		return &violation{headline: "a fault was reported: " + x.fault.Error(), body: faultBody(x.faultOf)}, 0
	}
	return w.judge(sit)
}

func (w *wanderer[S, W]) judge(sit *situation[W]) (*violation, uint64) {
	return w.sys.judge(sit, w.promises, w.scratch, w.sys.atRest(sit))
}

// follow takes the steps that are still possible of those named, and then, if
// told to, calms down. It returns those it took, and what broke.
func (w *wanderer[S, W]) follow(labels []string, calm bool) (taken []move, broken *violation, skipped []string) {
	sit := w.sys.initial()
	if broken, _ = w.judge(sit); broken != nil {
		return nil, broken, nil
	}
	for _, label := range labels {
		moves := w.sys.moves(sit, nil)
		i := slices.Index(w.sys.labels(sit, moves), label)
		if i < 0 {
			skipped = append(skipped, label)
			continue
		}
		taken = append(taken, moves[i])
		if broken, _ = w.step(sit, moves[i]); broken != nil {
			return taken, broken, skipped
		}
	}
	if !calm {
		return taken, nil, skipped
	}
	rng := calmly()
	for range calmSteps {
		m, ok := w.draw(rng, sit, w.sys.moves(sit, nil), true)
		if !ok {
			return taken, nil, skipped
		}
		taken = append(taken, m)
		if broken, _ = w.step(sit, m); broken != nil {
			return taken, broken, skipped
		}
	}
	return taken, restless(), skipped
}

// walkReport is the report of a walk.
func (f *Failure) walkReport(test string, seed uint64, steps int) string {
	text := f.report(test, nil)
	again := fmt.Sprintf("found by the walk of seed %d after %s, and made short\nrun it again: %s=%d go test -run '^%s$'",
		seed, plural(steps, "step"), SimulateSeedVar, seed, strings.ReplaceAll(test, "/", "$/^"))
	return strings.Replace(text, "\n\nAs a test", "\n\n"+again+"\n\nAs a test", 1)
}

// Retrace takes the steps of a failure that [Explore] or [Simulate] has found,
// by their labels, and holds each to the promises; steps that cannot be taken
// any more are left out, and said so in the test's log. After the last nothing
// fails any more, and the model must come to rest. It is the test to keep when
// the failure is mended.
func Retrace[S, A, W any](t T, m Model[S, A, W], steps []string, opts ...Option) {
	t.Helper()
	st, err := newSettings(opts)
	var sys *system[S, W]
	if err == nil {
		sys, err = newSystem(&m, st)
	}
	var promises []typedPromise[S, W]
	if err == nil {
		promises, err = typedPromises[S, W](slices.DeleteFunc(st.promises, func(p promise) bool { return p.kind == sometimes }))
	}
	if err == nil && len(steps) == 0 {
		err = modelError("there are no steps")
	}
	if err != nil {
		fatalf(t, "testkit: Retrace: %v", err)
	}
	w := &wanderer[S, W]{sys: sys, promises: promises, scratch: sys.scratch()}
	taken, broken, skipped := w.follow(steps, !st.endless)
	for _, label := range skipped {
		t.Logf("testkit: Retrace: LEFT OUT, it cannot happen any more: %s", label)
	}
	if len(skipped) == len(steps) {
		fatalf(t, "testkit: Retrace: none of the steps can happen: are these the steps of this model?")
	}
	if broken == nil {
		return
	}
	if broken.restless {
		taken = taken[:len(taken)-calmSteps]
	}
	f := &Failure{Headline: broken.headline, body: broken.body}
	_, f.trace = sys.retell(taken)
	text := f.report(t.Name(), nil)
	keep(t, text)
	fatalf(t, "%s", text)
}
