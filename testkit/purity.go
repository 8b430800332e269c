package testkit

import (
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// record is a step with all that it takes to take it again.
type record[S, A any] struct {
	seq    uint64
	title  string
	before pair[S, A] // never reduced: its clones are
	env    moment
	effect effect.Effect[A]
	// frozen is a clone of the effect's description, nil if it has none.
	frozen *effect.Description
	panic  *caught
}

// caught is a panic of the user's code.
type caught struct {
	value any
	stack string
}

func (c *caught) String() string { return fmt.Sprintf("panic: %v\n\n%s", c.value, c.stack) }

// catch calls f and returns what it panicked with.
func catch(f func()) (c *caught) {
	defer func() {
		if v := recover(); v != nil {
			c = &caught{v, userStack()}
		}
	}()
	f()
	return nil
}

// userStack are the calls of the user's code that led to the panic being
// recovered, innermost first.
func userStack() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	var b strings.Builder
	for panicked := false; ; {
		f, more := frames.Next()
		path, inside := strings.CutPrefix(f.Function, ownPath+"/")
		ours := inside && slices.Contains([]string{"effect", "internal", "reducer", "testkit"}, strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '.' })[0])
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case strings.HasPrefix(f.Function, "runtime.") || !panicked:
		case ours && b.Len() > 0, strings.HasPrefix(f.Function, "testing."):
			return strings.TrimRight(b.String(), "\n")
		default:
			fmt.Fprintf(&b, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return strings.TrimRight(b.String(), "\n")
		}
	}
}

// ownPath is the path of this module.
var ownPath = strings.TrimSuffix(reflect.TypeFor[T]().PkgPath(), "/testkit")

// recorder is the reducer that the engine is given: it keeps what each step
// started from.
type recorder[S, A any] struct{ ts *TestStore[S, A] }

func (r recorder[S, A]) Reduce(state *S, action A, env reducer.Env) (e effect.Effect[A]) {
	ts := r.ts
	rec := &record[S, A]{
		seq:    ts.engine.Seq(),
		before: duplicatePair(pair[S, A]{*state, action}),
		env:    momentOf(env),
	}
	ts.last = rec
	rec.panic = catch(func() { e = ts.reducer.Reduce(state, action, env) })
	rec.effect = e
	return e
}

// again takes a step once more, on clones of its own.
func (ts *TestStore[S, A]) again(p *pair[S, A], env moment) (e effect.Effect[A], c *caught) {
	c = catch(func() { e = ts.reducer.Reduce(&p.State, p.Action, reducer.NewEnv(&env)) })
	return e, c
}

// moment is what a step's env gives: a reducer.Source.
type moment struct {
	now   time.Time
	meta  reducer.Meta
	space uuid.UUID // of ids
	drawn uint64
}

func momentOf(env reducer.Env) moment {
	meta := env.Meta()
	return moment{now: env.Now(), meta: meta, space: meta.ActionID}
}

func (m *moment) Now() time.Time     { return m.now }
func (m *moment) Meta() reducer.Meta { return m.meta }

func (m *moment) NewID() uuid.UUID {
	m.drawn++
	return reducer.DeriveID(m.space, m.drawn)
}

// purity takes the step that rec is about again and again, and tells what came
// out otherwise. after is the state that the step left, action what it was
// given.
func (ts *TestStore[S, A]) purity(rec *record[S, A], after *S, action A) (headline, body string) {
	what := "the reducer is impure: "
	if changed := rec.before.Action; !equal(changed, action, ts.exact) {
		return what + "it changed the action it was given",
			"action (-given +left):\n" + diff(changed, action, ts.exact) +
				"\n\nAn action is a fact that others hold too: copy what is to be changed, slices.Clone, maps.Clone."
	}
	effects := effect.Describe(rec.effect)
	for run := range ts.config.PurityRuns {
		p := duplicatePair(rec.before)
		seen := map[visit]bool{}
		if deep(&p.State) {
			shake(open(reflect.ValueOf(&p.State).Elem()), run%2 == 0, seen)
		}
		if deep(&p.Action) {
			shake(open(reflect.ValueOf(&p.Action).Elem()), run%2 == 0, seen)
		}
		e, panicked := ts.again(&p, rec.env)
		if panicked != nil {
			return what + "the same state, action and env made it panic another time", panicked.String()
		}
		if !equal(*after, p.State, ts.exact) {
			return what + "the same state, action and env gave another state",
				"state (-first run +run " + fmt.Sprint(run+2) + "):\n" + diff(*after, p.State, ts.exact) + "\n\n" + causes(*after, p.State, ts.exact)
		}
		if d := effect.Describe(e); !equal(effects, d, ts.exact) {
			return what + "the same state, action and env gave other effects",
				"effects (-first run +run " + fmt.Sprint(run+2) + "):\n" + diff(effects, d, ts.exact) + "\n\n" + causes(effects, d, ts.exact)
		}
	}
	return "", ""
}

// causes guesses from what differs where it came from.
func causes(x, y any, options cmp.Options) string {
	var left, right []string
	differ := differences(x, y, options)
	times, ids := len(differ) > 0, len(differ) > 0
	for _, d := range differ {
		left, right = append(left, showValue(d[0])), append(right, showValue(d[1]))
		for _, v := range d {
			times = times && v.IsValid() && v.Type() == timeType
			ids = ids && v.IsValid() && v.Type() == idType
		}
	}
	slices.Sort(left)
	slices.Sort(right)
	switch {
	case times:
		return "Likely cause: the clock. Take the time from env.Now(), not time.Now()."
	case ids:
		return "Likely cause: chance. Take ids from env.NewID(), not uuid.New()."
	case slices.Equal(left, right):
		return "Likely cause: the order of a map. Range over slices.Sorted(maps.Keys(m))."
	}
	return `Likely causes:
  the order of a map: range over slices.Sorted(maps.Keys(m))
  chance: take ids from env.NewID(), draw numbers in a handler
  the clock: take the time from env.Now()
  a field of the reducer, a captured variable or a global that changes from call to call: put it into the state
  two parts of the state that share memory, a pointer into a slice for one: a clone of the state has each for itself`
}

var idType = reflect.TypeFor[uuid.UUID]()

func showValue(v reflect.Value) string {
	if !v.IsValid() || !v.CanInterface() {
		return "absent"
	}
	return show(v.Interface())
}

// unshared looks for effects in flight that the step just taken has changed.
func (ts *TestStore[S, A]) unshared() (headline, body string) {
	for _, seq := range slices.Sorted(maps.Keys(ts.live())) {
		rec := ts.records[seq]
		if rec == nil || rec == ts.last || rec.frozen == nil {
			continue
		}
		if now := effect.Describe(rec.effect); !equal(*rec.frozen, now, ts.exact) {
			return fmt.Sprintf("%s changed effects that %s had returned", ts.last.title, rec.title),
				"effects (-returned +now):\n" + diff(*rec.frozen, now, ts.exact) +
					"\n\nThey share a slice, map or pointer with the state. In a live store a handler reads it while the reducer writes: " +
					"copy it into the request."
		}
	}
	return "", ""
}

// freeze keeps what a step's effects were, if they can be cloned.
func freeze[S, A any](rec *record[S, A]) {
	d := effect.Describe(rec.effect)
	if uncloneable("", reflect.ValueOf(d)) == nil {
		d = duplicate(d)
		rec.frozen = &d
	}
}
