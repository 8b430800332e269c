package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed57833328/rondo/saga"
)

// table is written with its columns aligned; the first line is its head.
type table [][]string

func (a *app) write(t table) {
	if len(t) < 2 {
		return
	}
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(a.out, strings.TrimRight(b.String(), " "))
		b.Reset()
	}
}

func (a *app) writeJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (a *app) writeSnapshot(s *saga.Snapshot) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.out, "%-10s %s\n", name, value)
		}
	}
	now := a.now()
	status := string(s.Status)
	if s.Was != "" {
		status += ", was " + string(s.Was)
	}
	if s.Pivoted {
		status += ", past its point of no return"
	}
	line("saga", s.ID.String())
	line("status", status)
	line("reason", oneLine(s.Reason))
	line("stuck at", s.Parked)
	if s.Parent != (saga.ID{}) {
		line("parent", s.Parent.String())
	}
	line("started", moment(s.Started, now))
	line("updated", moment(s.Updated, now))
	if !s.Due.IsZero() {
		line("due", moment(s.Due, now))
	}
	line("decisions", strconv.FormatInt(s.Sequence, 10))
	line("state", compact(s.Record.State))
	a.writeEffects("pending", s.Pending, "", now)
	a.writeEffects("to be undone, the last first", s.Undo, "/undo", now)
	if len(s.Timers) > 0 {
		fmt.Fprintln(a.out, "timers")
		for _, t := range s.Timers {
			fmt.Fprintf(a.out, "  %s  %s %s at %s\n", t.Key, t.Action, compact(t.Data), moment(t.At, now))
		}
	}
	if s.Trace != "" {
		fmt.Fprintf(a.out, "trace\n  %s\n", strings.ReplaceAll(strings.TrimSpace(s.Trace), "\n", "\n  "))
	}
}

// writeWaiting tells which messages wait for a saga.
func (a *app) writeWaiting(waiting []saga.Waiting) {
	if len(waiting) == 0 {
		return
	}
	fmt.Fprintln(a.out, "messages that wait, in their order")
	for i := range waiting {
		if i == shownWaiting {
			fmt.Fprintln(a.out, "  and more")
			return
		}
		w := &waiting[i]
		fmt.Fprintf(a.out, "  %s  %s, for %s\n", w.ID, strings.Join(strings.Fields(w.Kind+" "+w.Name+" "+compact(w.Data)), " "), age(w.Since, a.now()))
	}
}

func (a *app) writeEffects(title string, effects []saga.Effect, suffix string, now time.Time) {
	if len(effects) == 0 {
		return
	}
	fmt.Fprintln(a.out, title)
	for i := range effects {
		e := &effects[i]
		if suffix != "" {
			e = &effects[len(effects)-1-i]
		}
		fmt.Fprintf(a.out, "  %s\n", strings.TrimSpace(e.ID+suffix+"  "+e.Request+" "+compact(e.Data)))
		var more []string
		if e.Child != (saga.ID{}) {
			more = append(more, "child "+e.Child.String())
		}
		if e.Attempts > 0 {
			attempts := "attempts"
			if e.Attempts == 1 {
				attempts = "attempt"
			}
			more = append(more, fmt.Sprintf("%d %s failed: %s", e.Attempts, attempts, oneLine(e.Error)))
		}
		switch {
		case e.Later:
			more = append(more, "its result comes later")
		case !e.Next.IsZero():
			more = append(more, "next "+relative(e.Next, now))
		}
		if len(more) > 0 {
			fmt.Fprintf(a.out, "    %s\n", strings.Join(more, "; "))
		}
	}
}

// writeChange tells what an operator has done.
func (a *app) writeChange(done *saga.Intervention) {
	would := ""
	if !done.Done {
		would = ": a dry run, nothing was done"
	}
	fmt.Fprintf(a.out, "%s: %s → %s%s\n", done.After.ID, done.Before.Status, done.After.Status, would)
	switch parked := done.Before.Parked; {
	case parked == "":
	case done.After.Parked == "":
		fmt.Fprintf(a.out, "the input it was stuck at is dropped: %s\n", parked)
	case done.After.Status != saga.Stuck:
		fmt.Fprintf(a.out, "the input it was stuck at is taken up again: %s\n", parked)
	}
	if done.After.Status == saga.Terminated && len(done.After.Pending)+len(done.After.Undo) > 0 {
		fmt.Fprintln(a.out, "this is left as it is:")
	}
	now := a.now()
	a.writeEffects("pending", done.After.Pending, "", now)
	a.writeEffects("to be undone, the last first", done.After.Undo, "/undo", now)
}

// writeWaits tells that a saga would go on, and why it does not.
func (a *app) writeWaits(s *saga.Snapshot, paused *saga.Pause) {
	if paused != nil && (s.Status == saga.Running || s.Status == saga.Compensating) {
		fmt.Fprintf(a.out, "%s: nothing is done until resume-type %s\n", pauseText(paused), paused.Type)
	}
}

// pauseText is since when a type is paused, by whom and why.
func pauseText(p *saga.Pause) string {
	return fmt.Sprintf("type %s is paused since %s by %s because %s", p.Type, p.At.Format(time.RFC3339), p.Actor, oneLine(p.Reason))
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// oneLine is the first line of a text, shortened, without what a terminal would
// take for commands.
func oneLine(s string) string {
	const most = 200
	line, _, more := strings.Cut(s, "\n")
	if len(line) > most {
		line, more = strings.ToValidUTF8(line[:most], ""), true
	}
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, line)
	if more {
		line += "…"
	}
	return line
}

func compact(data []byte) string {
	var b bytes.Buffer
	if len(data) == 0 || json.Compact(&b, data) != nil {
		return string(data)
	}
	if b.String() == "{}" {
		return ""
	}
	return b.String()
}

// age is how long ago something was, to two digits or so.
func age(at, now time.Time) string { return rough(now.Sub(at)) }

func rough(d time.Duration) string {
	switch d = d.Abs(); {
	case d >= 48*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	case d >= time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	case d >= time.Second:
		return d.Truncate(time.Second).String()
	}
	return d.Truncate(time.Millisecond).String()
}

// relative is when something is.
func relative(at, now time.Time) string {
	if at.After(now) {
		return "in " + rough(at.Sub(now))
	}
	return rough(now.Sub(at)) + " ago"
}

func moment(at, now time.Time) string {
	return at.Format(time.RFC3339) + " (" + relative(at, now) + ")"
}
