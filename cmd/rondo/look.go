package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed57833328/rondo/saga"
)

// historyPage is how much of a history is read at once.
const historyPage = 500

// queryFlags say which sagas are meant.
func queryFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.query.Type, "type", "", "those of that `type`")
	f.StringVar(&o.query.Tenant, "tenant", "", "those of that `tenant`; without it, those of all")
	durationFlag(f, &o.older, "older", "those that were started longer ago, as `1h30m`")
	durationFlag(f, &o.overdue, "overdue", "those that have been due for longer, as `5m`")
	numberFlag(f, &o.query.Attempts, "attempts", 0, "those with at least `n` attempts that failed")
	f.StringVar(&o.query.Owner, "owner", "", "those that this `worker` owns")
	f.StringVar(&o.after, "after", "", "those after that `saga`, the last of a page before")
	numberFlag(f, &o.limit, "limit", saga.DefaultLimit, "at most `n`")
}

// durationFlag is a flag whose error tells what is wanted.
func durationFlag(f *flag.FlagSet, value *time.Duration, name, about string) {
	f.Func(name, about, func(text string) (err error) {
		if *value, err = time.ParseDuration(text); err != nil {
			return errors.New("want a duration, as 45s or 1h30m")
		}
		return nil
	})
}

// numberFlag is a flag whose error tells what is wanted.
func numberFlag[N int | int64](f *flag.FlagSet, value *N, name string, otherwise N, about string) {
	*value = otherwise
	f.Func(name, about, func(text string) error {
		n, err := strconv.ParseInt(text, 10, strconv.IntSize)
		if err != nil {
			return errors.New("want a whole number")
		}
		*value = N(n)
		return nil
	})
}

func listFlags(f *flag.FlagSet, o *options) {
	queryFlags(f, o)
	f.StringVar(&o.statuses, "status", "", "those in that `status`; several with commas")
}

// ask makes the query of the flags.
func (c *call) ask() (saga.Query, error) {
	q := c.query
	q.AllTenants = q.Tenant == ""
	if c.limit < 1 {
		return q, fmt.Errorf("%w: --limit is %d, want at least 1", errMisuse, c.limit)
	}
	q.Limit = c.limit
	for _, d := range []struct {
		name  string
		value time.Duration
		at    *time.Time
	}{{"--older", c.older, &q.StartedBefore}, {"--overdue", c.overdue, &q.DueBefore}} {
		switch {
		case d.value < 0:
			return q, fmt.Errorf("%w: %s is %v, want more than 0", errMisuse, d.name, d.value)
		case d.value > 0:
			*d.at = c.now().Add(-d.value)
		}
	}
	if c.after != "" {
		var err error
		if q.After, err = saga.ParseID(c.after); err != nil {
			return q, fmt.Errorf("--after: %w", err)
		}
	}
	if c.statuses != "" {
		for _, name := range strings.Split(c.statuses, ",") {
			s := saga.Status(strings.TrimSpace(name))
			if !slices.Contains(saga.Statuses(), s) {
				return q, fmt.Errorf("%w: --status has %q, want some of %s", errMisuse, s, joined(saga.Statuses()))
			}
			q.Statuses = append(q.Statuses, s)
		}
	}
	return q, nil
}

func joined[T ~string](all []T) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

func list(ctx context.Context, c *call) error {
	q, err := c.ask()
	if err != nil {
		return err
	}
	records, err := c.op.List(ctx, q)
	if err != nil {
		return err
	}
	if c.json {
		views := make([]recordView, len(records))
		for i := range records {
			views[i] = viewRecord(&records[i])
		}
		return c.writeJSON(views)
	}
	now := c.now()
	t := table{{"SAGA", "STATUS", "AGE", "DUE", "ATTEMPTS", "REASON"}}
	for i := range records {
		r := &records[i]
		due := ""
		switch {
		case r.Ready:
			due = "now"
		case !r.Due.IsZero():
			due = relative(r.Due, now)
		}
		t = append(t, []string{r.ID.String(), string(r.Status), age(r.Started, now), due, number(r.Attempts), oneLine(r.Reason)})
	}
	c.write(t)
	switch {
	case len(records) == 0:
		fmt.Fprintln(c.out, "no saga is like that")
	case len(records) == q.Limit:
		fmt.Fprintf(c.out, "there may be more: --after '%s'\n", records[len(records)-1].ID)
	}
	return nil
}

// shownWaiting is how many messages are shown that wait for a saga.
const shownWaiting = 20

func show(ctx context.Context, c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	s, err := c.op.State(ctx, id)
	if err != nil {
		return err
	}
	waiting, err := c.op.Waiting(ctx, id, 0, shownWaiting+1)
	if err != nil {
		return err
	}
	paused, err := c.pauseOf(ctx, id.Type)
	if err != nil {
		return err
	}
	if c.json {
		v := viewSnapshot(&s)
		v.TypePaused = viewPause(paused)
		for i := range waiting {
			v.Waiting = append(v.Waiting, waitingView(waiting[i]))
		}
		return c.writeJSON(v)
	}
	c.writeSnapshot(&s)
	c.writeWaiting(waiting)
	c.writeWaits(&s, paused)
	return nil
}

// past is what a history keeps of a decision.
type past struct {
	Input struct {
		Kind   string `json:"kind"`
		Action struct {
			Name string          `json:"name"`
			Data json.RawMessage `json:"data"`
		} `json:"action"`
		Message string `json:"message"`
		Effect  string `json:"effect"`
		Key     string `json:"key"`
		Actor   string `json:"actor"`
		Reason  string `json:"reason"`
		Failure struct {
			Message string `json:"message"`
		} `json:"failure"`
	} `json:"input"`
	Status saga.Status `json:"status"`
	Issued []string    `json:"issued"`
	Notes  []string    `json:"notes"`
	Reason string      `json:"reason"`
}

// told tells in a line what a decision was about.
func (p *past) told() string {
	var parts []string
	add := func(format, s string) {
		if s != "" {
			parts = append(parts, fmt.Sprintf(format, oneLine(s)))
		}
	}
	in := &p.Input
	add("%s", in.Action.Name)
	if in.Action.Name != "" && len(in.Action.Data) > 2 {
		add("%s", string(in.Action.Data))
	}
	add("message %s", in.Message)
	add("of %s", in.Effect)
	add("timer %s", in.Key)
	add("failed: %s", in.Failure.Message)
	add("by %s", in.Actor)
	add("because %s", in.Reason)
	if p.Reason != in.Reason {
		add("%s", p.Reason)
	}
	if len(p.Issued) > 0 {
		add("→ %s", strings.Join(p.Issued, ", "))
	}
	add("(%s)", strings.Join(p.Notes, "; "))
	return strings.Join(parts, " ")
}

func history(ctx context.Context, c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if c.limit < 1 {
		return fmt.Errorf("%w: --limit is %d, want at least 1", errMisuse, c.limit)
	}
	var entries []saga.Entry
	for len(entries) < c.limit {
		after := int64(0)
		if n := len(entries); n > 0 {
			after = entries[n-1].Sequence
		}
		page, err := c.op.History(ctx, id, after, min(historyPage, c.limit-len(entries)))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		entries = append(entries, page...)
	}
	if len(entries) == 0 {
		return fmt.Errorf("history of saga %q: %w", id, saga.ErrNotFound)
	}
	if c.json {
		views := make([]entryView, len(entries))
		for i, e := range entries {
			views[i] = entryView{e.Sequence, e.At, e.Kind, e.Data}
		}
		return c.writeJSON(views)
	}
	t := table{{"#", "AT", "DECISION", "THEN", ""}}
	for _, e := range entries {
		var p past
		if err := json.Unmarshal(e.Data, &p); err != nil {
			return fmt.Errorf("history of saga %q: entry %d: %w", id, e.Sequence, err)
		}
		t = append(t, []string{fmt.Sprint(e.Sequence), e.At.Format("2006-01-02 15:04:05.000"), e.Kind, string(p.Status), p.told()})
	}
	c.write(t)
	return nil
}

func deadLetters(ctx context.Context, c *call) error {
	q, err := c.ask()
	if err != nil {
		return err
	}
	letters, err := c.op.DeadLetters(ctx, q)
	if err != nil {
		return err
	}
	if c.json {
		views := make([]letterView, len(letters))
		for i, l := range letters {
			views[i] = letterView{l.Saga.String(), l.Kind, l.Name, l.Message, l.Data, l.Reason, l.Trace, l.Since}
		}
		return c.writeJSON(views)
	}
	now := c.now()
	t := table{{"SAGA", "INPUT", "SINCE", "REASON"}}
	for _, l := range letters {
		t = append(t, []string{l.Saga.String(), strings.TrimSpace(l.Kind + " " + l.Name + " " + l.Message), age(l.Since, now), oneLine(l.Reason)})
	}
	c.write(t)
	if len(letters) == 0 {
		fmt.Fprintln(c.out, "no saga is stuck at an input")
	}
	return nil
}

func workers(ctx context.Context, c *call) error {
	r, err := c.op.Workers(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.writeJSON(viewRoster(&r))
	}
	t := table{{"WORKER", "STATE", "SHARDS", ""}}
	for i := range r.Workers {
		w := &r.Workers[i]
		shards := make([]string, 0, len(w.Types))
		for _, name := range w.Types {
			shards = append(shards, fmt.Sprintf("%s %d", name, w.Shards[name]))
		}
		why := ""
		if w.Drain != nil {
			why = "drain by " + w.Drain.Actor + " because " + oneLine(w.Drain.Reason)
		}
		t = append(t, []string{w.ID, workerState(w), strings.Join(shards, ", "), why})
	}
	c.write(t)
	if len(r.Workers) == 0 {
		fmt.Fprintln(c.out, "nobody runs sagas")
	}
	for i := range r.Pauses {
		fmt.Fprintln(c.out, pauseText(&r.Pauses[i]))
	}
	return nil
}

func pauses(ctx context.Context, c *call) error {
	switch {
	case c.query.Type != "" && c.worker != "":
		return fmt.Errorf("%w: saga pauses takes --type or --worker, and not both", errMisuse)
	case c.before < 0:
		return fmt.Errorf("%w: --before is %d, want at least 0", errMisuse, c.before)
	case c.limit < 1:
		return fmt.Errorf("%w: --limit is %d, want at least 1", errMisuse, c.limit)
	}
	entries, err := c.op.PauseLog(ctx, c.query.Type, c.worker, c.before, c.limit)
	if err != nil {
		return err
	}
	if c.json {
		views := make([]pauseEntryView, len(entries))
		for i, e := range entries {
			views[i] = pauseEntryView{e.Number, pauseDone(&e), e.Type, e.Worker, e.Actor, e.Reason, e.At}
			if e.Worker != "" {
				views[i].Type = ""
			}
		}
		return c.writeJSON(views)
	}
	t := table{{"#", "AT", "DONE", "TO", ""}}
	for _, e := range entries {
		to := "type " + e.Type
		if e.Worker != "" {
			to = "worker " + oneLine(e.Worker)
		}
		t = append(t, []string{
			fmt.Sprint(e.Number), e.At.Format("2006-01-02 15:04:05"), pauseDone(&e), to, "by " + e.Actor + " because " + oneLine(e.Reason),
		})
	}
	c.write(t)
	switch len(entries) {
	case 0:
		fmt.Fprintln(c.out, "nothing was paused")
	case c.limit:
		fmt.Fprintf(c.out, "there may be more: --before %d\n", entries[len(entries)-1].Number)
	}
	return nil
}

// pauseDone is the command that was given.
func pauseDone(e *saga.PauseEntry) string {
	switch {
	case e.Worker != "" && e.Paused:
		return "drain"
	case e.Worker != "":
		return "undrain"
	case e.Paused:
		return "pause-type"
	}
	return "resume-type"
}

func workerState(w *saga.RosterWorker) string {
	switch {
	case !w.Live:
		return "gone"
	case w.Draining:
		return "draining"
	}
	return "live"
}

// errNoWorker is that there is no worker of that name.
var errNoWorker = errors.New("no such worker")
