package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/journal"
	"github.com/seed57833328/rondo/reducer"
)

// ReplayOption says more of a [Replay].
type ReplayOption func(*replayOptions)

type replayOptions struct {
	actions map[string]reflect.Type
	errors  []error
	only    string
}

// Actions names the types of the journal's actions, by a value of each. It is
// needed when the type of actions is an interface.
func Actions(values ...any) ReplayOption {
	return func(o *replayOptions) {
		for _, v := range values {
			o.actions[journal.TypeName(v)] = reflect.TypeOf(v)
		}
	}
}

// Errors names the errors that reducers look for with errors.Is: one in the
// journal whose text ends with that of err is then err, wrapped. An error of
// another text is one that is nothing else.
func Errors(errs ...error) ReplayOption {
	return func(o *replayOptions) { o.errors = append(o.errors, errs...) }
}

// ReplayStore replays only the stores of that name, where a journal has several
// with states of other types.
func ReplayStore(name string) ReplayOption {
	return func(o *replayOptions) { o.only = name }
}

// Replay runs a journal that a store has written (store.Journal) through a
// reducer: each action with the time, the metadata and the ids it had. It fails
// at the first step whose effects or state are not those of the journal, with
// what differs. A journal of production is so a regression test:
//
//	testkit.Replay(t, "testdata/orders.jsonl", order.Reducer{}, testkit.Actions(order.Place{}, order.Charged{}))
//
// The state begins as the journal says. Of keyed stores each is replayed for
// itself. A step in which the reducer had panicked may now do anything else. If
// the journal's last line was torn off by the end of the process, that is said
// in the test's log.
//
// To see how the steps were meant to differ, change the reducer, look at the
// report, and write a new journal.
//
// A saga needs no journal: it keeps a history, which Definition.Replay of package saga
// compares.
func Replay[S, A any](t T, path string, r reducer.Reducer[S, A], opts ...ReplayOption) {
	t.Helper()
	file, err := os.Open(path) //nolint:gosec // the test's own
	if err != nil {
		fatalf(t, "testkit: Replay: %v", err)
	}
	defer file.Close() //nolint:errcheck // only read
	ReplayFrom(t, path, file, r, opts...)
}

// ReplayFrom is [Replay] of a journal that is not a file. The name is for
// reports.
func ReplayFrom[S, A any](t T, name string, from io.Reader, r reducer.Reducer[S, A], opts ...ReplayOption) {
	t.Helper()
	p := replay[S, A]{reducer: r, stores: map[[2]string]*replayed[S]{}}
	p.options.actions = map[string]reflect.Type{}
	for _, o := range opts {
		o(&p.options)
	}
	if a := reflect.TypeFor[A](); a.Kind() != reflect.Interface {
		p.options.actions[journal.TypeName(*new(A))] = a
	}
	torn, err := journal.Read(from, p.line)
	switch {
	case err != nil:
		fatalf(t, "testkit: Replay: %s: %v", name, err)
	case p.steps == 0:
		fatalf(t, "testkit: Replay: %s: no steps are in it", name)
	}
	if torn > 0 {
		t.Logf("testkit: Replay: %s: line %d is torn off, as by the end of the process, and was left out", name, torn)
	}
	if p.cut != "" {
		t.Logf("testkit: Replay: %s: %s", name, p.cut)
	}
	t.Logf("testkit: replayed %s of %s", plural(p.steps, "step"), plural(len(p.stores), "store"))
}

// replay runs lines.
type replay[S, A any] struct {
	reducer reducer.Reducer[S, A]
	options replayOptions
	stores  map[[2]string]*replayed[S]
	steps   int
	cut     string
}

// replayed is a store of the journal.
type replayed[S any] struct {
	state S
	seq   uint64
	past  []string
}

// maxPast is how many steps before it a report shows.
const maxPast = 8

func (p *replay[S, A]) line(_ int, l *journal.Line) error {
	switch {
	case l.Cut != "":
		p.cut = l.Cut
		return nil
	case p.options.only != "" && l.Store != p.options.only:
		return nil
	case l.Journal != 0:
		return p.begin(l)
	}
	s := p.stores[[2]string{l.Store, l.Key}]
	if s == nil {
		return fmt.Errorf("%s begins in the middle: its first line, with the state it began with, is missing", storeText(l))
	}
	if l.Seq != s.seq+1 {
		return fmt.Errorf("%s: step %d follows step %d: lines are missing", storeText(l), l.Seq, s.seq)
	}
	s.seq = l.Seq
	if l.Lossy != "" {
		return fmt.Errorf("%s, step %d: the action cannot be replayed: %s", storeText(l), l.Seq, l.Lossy)
	}
	action, err := p.action(l)
	if err != nil {
		return fmt.Errorf("%s, step %d: %w", storeText(l), l.Seq, err)
	}
	p.steps++
	return p.step(l, s, action)
}

func storeText(l *journal.Line) string {
	if l.Key != "" {
		return l.Store + " " + l.Key
	}
	return l.Store
}

func (p *replay[S, A]) begin(l *journal.Line) error {
	if l.Journal != journal.Format {
		return fmt.Errorf("the journal is of format %d, this is for %d", l.Journal, journal.Format)
	}
	if l.Lossy != "" {
		return fmt.Errorf("%s: the state it began with cannot be replayed: %s", storeText(l), l.Lossy)
	}
	s := &replayed[S]{}
	if want := journal.TypeName(s.state); l.Type != want {
		return fmt.Errorf("%s has states of type %s, the reducer's are %s: see testkit.ReplayStore", storeText(l), l.Type, want)
	}
	if err := json.Unmarshal(l.State, &s.state); err != nil {
		return fmt.Errorf("%s: the state it began with: %w", storeText(l), err)
	}
	p.stores[[2]string{l.Store, l.Key}] = s
	return nil
}

// action reads a line's action.
func (p *replay[S, A]) action(l *journal.Line) (a A, err error) {
	t, ok := p.options.actions[l.Type]
	if !ok {
		return a, fmt.Errorf("actions of type %s are not known: name them with testkit.Actions(%s{})", l.Type, l.Type)
	}
	pointer := t.Kind() == reflect.Pointer
	if pointer {
		t = t.Elem()
	}
	v := reflect.New(t)
	if err := json.Unmarshal(l.Action, v.Interface()); err != nil {
		return a, fmt.Errorf("the action: %w", err)
	}
	for name, text := range l.Errors {
		f := v.Elem().FieldByName(name)
		if !f.IsValid() || f.Type() != errorType {
			return a, fmt.Errorf("the action's error %s: %s has no such field", name, t)
		}
		f.Set(reflect.ValueOf(p.error(text)))
	}
	if !pointer {
		v = v.Elem()
	}
	a, ok = v.Interface().(A)
	if !ok {
		return a, fmt.Errorf("%s is not one of the reducer's actions, %s", t, reflect.TypeFor[A]())
	}
	return a, nil
}

// error is the one that a text stands for.
func (p *replay[S, A]) error(text string) error {
	for _, err := range p.options.errors {
		if text == err.Error() {
			return err
		}
		if strings.HasSuffix(text, ": "+err.Error()) {
			return fmt.Errorf("%s%w", strings.TrimSuffix(text, err.Error()), err)
		}
	}
	return errors.New(text)
}

// step takes a step and holds it against the journal.
func (p *replay[S, A]) step(l *journal.Line, s *replayed[S], action A) error {
	env := &lineEnv{line: l}
	before := duplicate(s.state)
	var made effect.Effect[A]
	panicked := catch(func() { made = p.reducer.Reduce(&s.state, action, reducer.NewEnv(env)) })
	title := fmt.Sprintf("%s, step %d: %s", storeText(l), l.Seq, show(action))
	fail := func(what, body string) error {
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n%s\n\n%s\n", title, what, strings.TrimRight(body, "\n"))
		if len(s.past) > 0 {
			b.WriteString("\nthe steps before:\n")
			for _, line := range s.past {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
		return errors.New(strings.TrimRight(b.String(), "\n"))
	}
	switch {
	case l.Panic != "" && panicked == nil:
		s.state = before // what had been left of it is not known
		return nil
	case l.Panic != "":
		return fail("the reducer panicked, and still does", fmt.Sprintf("panic: %v", panicked.value))
	case panicked != nil:
		return fail("the reducer panics, and did not", panicked.String())
	}
	text, hash := journal.Effects(made)
	if hash != l.EffectsHash {
		body := lineDiff(l.Effects, text)
		if l.Effects == text {
			body = "They read alike, and differ in what is not shown:\n" + text
		}
		return fail("the effects are others (-journal +now)", body)
	}
	if env.drawn != l.IDs {
		return fail("another number of ids is drawn", fmt.Sprintf("journal: %d\nnow:     %d", l.IDs, env.drawn))
	}
	if now := journal.HashOf(s.state); l.StateHash != 0 && now != l.StateHash {
		return fail("the state is another", p.stateDiff(l, before, s.state))
	}
	s.past = append(s.past, fmt.Sprintf("%d. %s", l.Seq, show(action)))
	if len(s.past) > maxPast {
		s.past = s.past[1:]
	}
	return nil
}

func (p *replay[S, A]) stateDiff(l *journal.Line, before, after S) string {
	if l.State != nil {
		var then S
		if err := json.Unmarshal(l.State, &then); err == nil {
			if lines := changedFields(then, after); len(lines) > 0 {
				return "journal → now:\n  " + strings.Join(lines, "\n  ")
			}
		}
	}
	body := "now the step changes nothing"
	if lines := changedFields(before, after); len(lines) > 0 {
		body = "now the step changes:\n  " + strings.Join(lines, "\n  ")
	}
	return body + "\nThe journal has only a hash of the state: JournalConfig.States keeps all of it."
}

// lineDiff compares texts of a few lines: those that only one of them has.
func lineDiff(want, got string) string {
	var b strings.Builder
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, line := range wanted {
		mark := "  "
		if !slices.Contains(gotten, line) {
			mark = "- "
		}
		b.WriteString(mark + line + "\n")
	}
	for _, line := range gotten {
		if !slices.Contains(wanted, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}

// lineEnv is a line as what a reducer's Env reads.
type lineEnv struct {
	line  *journal.Line
	drawn uint64
}

func (e *lineEnv) Now() time.Time     { return e.line.Time }
func (e *lineEnv) Meta() reducer.Meta { return e.line.Meta }

func (e *lineEnv) NewID() uuid.UUID {
	e.drawn++
	return reducer.DeriveID(e.line.Meta.ActionID, e.drawn)
}
