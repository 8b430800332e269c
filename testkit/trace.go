package testkit

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/fingerprint"
)

// tracedStep is a step as a report tells it.
type tracedStep struct {
	label   string
	notes   []string
	pending []string
}

// tracer is told what happens within one step.
type tracer struct {
	several bool
	notes   []string
}

func (t *tracer) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *tracer) acted(value any, err error) {
	switch {
	case err != nil:
		t.note("answer  %s", show(err))
	case value != nil && show(value) != "struct{}" && show(value) != "struct{}{}":
		t.note("answer  %s", show(value))
	}
}

func (t *tracer) reduced(store string, action, before, after any) {
	where := ""
	if t.several {
		where = store + ": "
	}
	t.note("reduce  %s%s", where, show(action))
	t.changes(where, before, after)
}

// panicked is told what a store was doing, and with which action if any.
func (t *tracer) panicked(store, doing string, action any) {
	if action != nil {
		doing += " " + show(action)
	}
	if t.several {
		doing = store + ": " + doing
	}
	t.note("panic   %s", doing)
}

func (t *tracer) changes(where string, before, after any) {
	for _, line := range changedFields(before, after) {
		t.note("  state %s%s", where, line)
	}
}

// crashed is given pointers to the states.
func (t *tracer) crashed(before, after any) {
	for _, line := range changedFields(before, after) {
		t.note("recover %s", line)
	}
}

// changedFields tells what differs between two values of one type, a line for
// each field: Phase: new → paying.
func changedFields(before, after any) []string {
	var p pathReporter
	func() {
		defer func() { _ = recover() }() // as in equal: what was found stays
		cmp.Equal(before, after, exact, cmp.Reporter(&p))
	}()
	return p.lines
}

// pathReporter is a cmp.Reporter that writes what differs with its path.
type pathReporter struct {
	path  cmp.Path
	lines []string
}

func (p *pathReporter) PushStep(s cmp.PathStep) { p.path = append(p.path, s) }
func (p *pathReporter) PopStep()                { p.path = p.path[:len(p.path)-1] }

func (p *pathReporter) Report(r cmp.Result) {
	if r.Equal() {
		return
	}
	var b strings.Builder
	for _, step := range p.path {
		switch s := step.(type) {
		case cmp.StructField:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Name())
		case cmp.MapIndex:
			fmt.Fprintf(&b, "[%s]", show(s.Key().Interface()))
		case cmp.SliceIndex:
			at := s.Key()
			if at < 0 {
				x, y := s.SplitKeys()
				at = max(x, y)
			}
			fmt.Fprintf(&b, "[%d]", at)
		}
	}
	x, y := p.path.Last().Values()
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s → %s", showValue(x), showValue(y))
	p.lines = append(p.lines, b.String())
}

// retell makes the moves of a path once more, and tells of them.
func (sys *system[S, W]) retell(path []move) (labels []string, trace []tracedStep) {
	sit := sys.initial()
	for _, m := range path {
		step := sys.tell(sit, m)
		labels = append(labels, step.label)
		trace = append(trace, step)
	}
	return labels, trace
}

// tell makes a move and tells of it.
func (sys *system[S, W]) tell(sit *situation[W], m move) tracedStep {
	moves := sys.moves(sit, nil)
	texts := sys.labels(sit, moves)
	step := tracedStep{}
	for i := range moves {
		if moves[i] == m {
			step.label = texts[i]
		}
	}
	tr := &tracer{several: sys.several}
	x := exchange{tolerate: sys.settings.tolerates, trace: tr}
	before := sys.worlds.clone(&sit.world)
	func() {
		defer func() { _ = recover() }() // the report's headline tells of it
		sys.make(sit, m, &x)
	}()
	for _, line := range changedFields(before, sit.world) {
		tr.note("world   %s", line)
	}
	step.notes, step.pending = tr.notes, sys.pending(sit)
	return step
}

// pending tells what is open in a situation.
func (sys *system[S, W]) pending(sit *situation[W]) []string {
	var lines []string
	for i, p := range sit.parts {
		for _, t := range p.tasks() {
			in := t.deadline.Sub(sit.now)
			text := sys.prefix(i)
			switch {
			case t.call != nil:
				text += show(t.call.Request())
			case t.state == engine.Held:
				text += "hold " + show(t.key)
			default:
				text += "timer " + show(t.action)
			}
			switch t.state {
			case engine.Queued:
				text += ", waits its turn"
			case engine.Backoff:
				text += fmt.Sprintf(", tried again in %v", in)
			case engine.Timing:
				text += fmt.Sprintf(" in %v", in)
			case engine.Running:
				text += sys.flightText(sit, i, t.id)
				if !t.deadline.IsZero() {
					text += fmt.Sprintf(", times out in %v", in)
				}
			case engine.Held, engine.Delivering:
			}
			lines = append(lines, text)
		}
	}
	for i := range sit.flights {
		if f := &sit.flights[i]; f.task == 0 {
			lines = append(lines, sys.prefix(f.part)+show(f.request)+", on its way, nobody waits for it")
		}
	}
	return lines
}

func (sys *system[S, W]) flightText(sit *situation[W], part int, id engine.TaskID) string {
	for i := range sit.flights {
		f := &sit.flights[i]
		if f.part != part || f.task != id {
			continue
		}
		switch f.phase {
		case delivered:
			return ", at " + sys.hosts[f.to].storeName()
		case done:
			return ", done, its answer on the way"
		case asked:
		}
	}
	return ""
}

// String is the whole report.
func (f *Failure) String() string { return f.report("Test", nil) }

// report writes a failure: the way there, what is broken, and a test.
func (f *Failure) report(test string, stats *Stats) string {
	var b strings.Builder
	fmt.Fprintf(&b, "testkit: %s\n", f.Headline)
	if f.body != "" {
		fmt.Fprintf(&b, "\n%s\n", f.body)
	}
	if len(f.trace) > 0 {
		f.writeTrace(&b)
		fmt.Fprintf(&b, "\n%s\n", f.Headline)
	} else if f.Steps == nil && f.body == "" {
		b.WriteString("\nThe model begins that way.\n")
	}
	if stats != nil {
		fmt.Fprintf(&b, "\n%s\n", stats)
	}
	if len(f.Steps) > 0 {
		b.WriteString("\nAs a test, with the model and the options of this one:\n\n")
		b.WriteString(f.test(test))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (f *Failure) writeTrace(b *strings.Builder) {
	lead := "lead"
	if len(f.trace) == 1 {
		lead = "leads"
	}
	fmt.Fprintf(b, "\n%s that %s to it%s:\n", plural(len(f.trace), "step"), lead, f.how)
	for i, step := range f.trace {
		fmt.Fprintf(b, "\n%3d. %s\n", i+1, step.label)
		for _, note := range step.notes {
			fmt.Fprintf(b, "       %s\n", note)
		}
		for _, p := range step.pending {
			fmt.Fprintf(b, "       pending %s\n", p)
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// test is the Go code of a test that takes the steps again.
func (f *Failure) test(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "func %s_again(t *testing.T) {\n\t// model and options are those of the exploration: put them in.\n\ttestkit.Retrace(t, model, []string{\n", identifier(name))
	for _, step := range f.Steps {
		quoted := "`" + step + "`"
		if strings.Contains(step, "`") {
			quoted = strconv.Quote(step)
		}
		fmt.Fprintf(&b, "\t\t%s,\n", quoted)
	}
	b.WriteString("\t}, options...)\n}\n")
	return b.String()
}

func identifier(name string) string {
	if name == "" {
		name = "Test"
	}
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

// keep writes a report to the test's artifacts, if they are kept.
func keep(t T, text string) {
	d, ok := t.(interface{ ArtifactDir() string })
	f := flag.Lookup("test.artifacts")
	if !ok || f == nil || f.Value.String() != "true" {
		return
	}
	file := filepath.Join(d.ArtifactDir(), "trace.txt")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Logf("testkit: write %s: %v", file, err)
		return
	}
	t.Logf("testkit: the report is in %s", file)
}

func isError(err, target error) bool { return errors.Is(err, target) }

func unhashable(err error) (string, bool) {
	var u *fingerprint.UnhashableError
	if errors.As(err, &u) {
		return u.Error(), true
	}
	return "", false
}

func flightResult(value any, err error) uint64 {
	if err != nil {
		return fingerprint.String(err.Error())
	}
	return hashWith(value, nil)
}
