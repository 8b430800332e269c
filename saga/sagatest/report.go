package sagatest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed57833328/rondo/internal/display"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/saga"
)

// exact compares all fields, exported or not; nothing and nil are the same, as
// JSON may make the one of the other.
var exact = cmp.Options{cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()}

func equal(x, y any) bool { return reflect.DeepEqual(x, y) || cmp.Equal(x, y, exact) }

// diff is cmp.Diff, with plain spaces.
func diff(x, y any) string {
	return strings.TrimRight(strings.ReplaceAll(cmp.Diff(x, y, exact), "\u00a0", " "), "\n")
}

// show writes a value on one line.
func show(v any) string {
	if v == nil {
		return "nothing"
	}
	return display.Value(v)
}

// decode is a request as it was.
func decode(t reflect.Type, data []byte) (any, error) {
	if t == nil {
		return nil, fmt.Errorf("it is not one of Types.Requests")
	}
	v := reflect.New(t)
	if err := json.Unmarshal(data, v.Interface()); err != nil {
		return nil, err
	}
	return v.Elem().Interface(), nil
}

func statusText(v *saga.Snapshot) string {
	switch {
	case v.Status == "":
		return "not there"
	case v.Reason == "":
		return string(v.Status)
	}
	return fmt.Sprintf("%s for %q", v.Status, v.Reason)
}

// tell adds a line to what reports tell.
func (s *Saga[S, A]) tell(format string, args ...any) {
	s.told = append(s.told, "       "+fmt.Sprintf(format, args...))
}

func (s *Saga[S, A]) tellDecision(d *rehearsal.Decision) {
	switch {
	case d.Problem != "":
		s.tell("%s: %s", d.Kind, d.Problem)
	case d.Late:
		s.tell("late result%s", reducedText(d))
	case d.Action != nil && d.Kind != "start" && d.Kind != "signal":
		s.tell("%s%s", d.Kind, reducedText(d))
	}
	for _, note := range d.Notes {
		s.tell("%s", note)
	}
}

func reducedText(d *rehearsal.Decision) string {
	if d.Action == nil {
		return ""
	}
	return ", reduced " + show(d.Action)
}

// open tells what is open.
func (s *Saga[S, A]) open() string {
	var lines []string
	for _, e := range s.waitsFor() {
		line := show(s.request(&e))
		if strings.HasSuffix(e.ID, undoSuffix) {
			line = "undo " + line
		}
		switch {
		case e.Later && e.Child.Key == "":
			line += ", its result comes later"
		case e.Next.After(s.now):
			line += fmt.Sprintf(", attempt %d in %v", e.Attempts+1, e.Next.Sub(s.now))
		}
		lines = append(lines, "waits for "+line)
	}
	for _, f := range s.flights {
		if !s.waited(f) {
			lines = append(lines, fmt.Sprintf("%s was given up, and may still be answered", f))
		}
	}
	for _, t := range s.view.Timers {
		lines = append(lines, fmt.Sprintf("timer %q in %v", t.Key, t.At.Sub(s.now)))
	}
	return strings.Join(lines, "\n")
}

func (s *Saga[S, A]) report(headline, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "sagatest: %s\n", headline)
	if body != "" {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	if len(s.told) > 0 {
		fmt.Fprintf(&b, "\nso far:\n%s\n", strings.Join(s.told, "\n"))
	}
	if open := s.open(); open != "" {
		fmt.Fprintf(&b, "\nopen:\n       %s\n", strings.ReplaceAll(open, "\n", "\n       "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// fatal ends the test with a report. It does not return.
func (s *Saga[S, A]) fatal(headline, body string) {
	s.t.Helper()
	s.failed = true
	s.t.Fatalf("%s", s.report(headline, body))
	panic("sagatest: T.Fatalf has returned")
}
