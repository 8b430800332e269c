package testkit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/internal/engine"
)

// entry is one call of the test, for the trace.
type entry struct {
	at    time.Duration // since the start
	title string
	notes []string
}

// maxTrace is how many calls a trace shows.
const maxTrace = 12

func (ts *TestStore[S, A]) began(title string) {
	ts.trace = append(ts.trace, entry{at: ts.now.Sub(ts.config.Start), title: title})
}

func (ts *TestStore[S, A]) note(format string, args ...any) {
	if n := len(ts.trace); n > 0 {
		ts.trace[n-1].notes = append(ts.trace[n-1].notes, fmt.Sprintf(format, args...))
	}
}

// observe carries out what the engine asks for, which is nothing but to hear of
// faults, and notes what started and ended. done is the task that the call was
// about.
func (ts *TestStore[S, A]) observe(done engine.TaskID) {
	ts.t.Helper()
	if _, waits := ts.engine.Peek(0); !waits {
		ts.engine.Next() // passes over what was cancelled
	}
	commands := append([]engine.Command[A](nil), ts.engine.Commands()...)
	now := map[engine.TaskID]string{}
	for task := range ts.engine.Tasks() {
		now[task.ID] = ts.taskText(task)
		if _, known := ts.running[task.ID]; !known {
			ts.note("starts %s", ts.taskText(task))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ts.running)) {
		if _, still := now[id]; !still && id != done {
			ts.note("ends   %s", ts.running[id])
		}
	}
	ts.running = now
	for _, c := range commands {
		if c.Op == engine.Report {
			ts.fault(c.Fault)
		}
	}
}

// taskText is a task in a report.
func (ts *TestStore[S, A]) taskText(task engine.Task[A]) string {
	var b strings.Builder
	switch {
	case task.Call != nil:
		b.WriteString(callText(task.Call))
	case task.State == engine.Held:
		b.WriteString("hold")
	default:
		b.WriteString("timer " + show(task.Action))
	}
	if task.Key != nil {
		b.WriteString(" key=" + show(task.Key))
	}
	in := task.Deadline.Sub(ts.now)
	switch task.State {
	case engine.Queued:
		b.WriteString(", waits its turn")
	case engine.Backoff:
		fmt.Fprintf(&b, ", attempt %d in %v", task.Attempt+1, in)
	case engine.Timing:
		fmt.Fprintf(&b, ", fires in %v", in)
	case engine.Running:
		if task.Attempt > 1 {
			fmt.Fprintf(&b, ", attempt %d", task.Attempt)
		}
		if !task.Deadline.IsZero() {
			fmt.Fprintf(&b, ", times out in %v", in)
		}
	case engine.Held, engine.Delivering:
	}
	return b.String()
}

// fatal ends the test with a report.
func (ts *TestStore[S, A]) fatal(headline, body string) {
	ts.t.Helper()
	ts.failed = true
	ts.t.Fatalf("%s", ts.report(headline, body))
	panic("testkit: T.Fatalf has returned")
}

func (ts *TestStore[S, A]) error(headline, body string) {
	ts.t.Helper()
	ts.failed = true
	ts.t.Errorf("%s", ts.report(headline, body))
}

// report is a failure: what is wrong, what waits, what is in flight, and how it
// came to that.
func (ts *TestStore[S, A]) report(headline, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "testkit: %s\n", headline)
	if body != "" {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	for i := 0; ; i++ {
		a, ok := ts.engine.Peek(i)
		if !ok {
			break
		}
		if i == 0 {
			b.WriteString("\nwaiting to be received:\n")
		}
		fmt.Fprintf(&b, "  %d. %s\n", i+1, show(a))
	}
	b.WriteString("\nin flight:\n")
	none := true
	for task := range ts.engine.Tasks() {
		if task.State != engine.Delivering {
			fmt.Fprintf(&b, "  %s\n", ts.taskText(task))
			none = false
		}
	}
	if none {
		b.WriteString("  nothing\n")
	}
	ts.writeTrace(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

func (ts *TestStore[S, A]) writeTrace(b *strings.Builder) {
	if len(ts.trace) == 0 {
		return
	}
	b.WriteString("\ntrace:\n")
	first := max(0, len(ts.trace)-maxTrace)
	if first > 0 {
		fmt.Fprintf(b, "  … %d before\n", first)
	}
	for i, e := range ts.trace[first:] {
		fmt.Fprintf(b, "%3d. +%v %s\n", first+i+1, e.at, e.title)
		for _, note := range e.notes {
			fmt.Fprintf(b, "       %s\n", note)
		}
	}
}
