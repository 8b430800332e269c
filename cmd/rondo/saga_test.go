package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/sqlite"
	"github.com/seed57833328/rondo/store"
)

// An order ships what was picked. Picking "poison" panics, and what has "broken"
// in it cannot be put back.
type order struct{ Item string }

type (
	pick struct{ Item string }
	put  struct{ Item string }
	ship struct{ Item string }
)

func (pick) Returns(string)   {}
func (put) Returns(struct{})  {}
func (ship) Returns(struct{}) {}

var orders = saga.Steps("order",
	saga.Step[order]{
		Do: saga.Ask("pick", func(o order) pick { return pick(o) }, func(*order, string) {}),
		Undo: saga.Ask("put", func(o order) put {
			if o.Item == "poison" {
				panic("told to")
			}
			return put(o)
		}, nil),
	},
	saga.Step[order]{Do: saga.Ask("ship", func(o order) ship { return ship(o) }, nil), Retry: saga.RetryPolicy{Attempts: 100, Delay: time.Hour, MaxDelay: time.Hour, Jitter: -1}},
)

// depot runs orders on a home, and the command on it.
type depot struct {
	*testing.T
	home   saga.Store
	runner *saga.Runner
	mu     sync.Mutex
	up     bool
	calls  []string // what was asked of it
}

func (d *depot) note(call, item string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call+" "+item)
}

func (d *depot) made() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

func (d *depot) set(up bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up = up
}

func (d *depot) works(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.up:
		return nil
	case strings.Contains(what, "refused"):
		return saga.Rejected(errors.New("no such address"))
	}
	return errors.New("the depot is closed")
}

func openDepot(t *testing.T, home saga.Store, cfg saga.Config) *depot {
	t.Helper()
	d := &depot{T: t, home: home}
	cfg.Worker, cfg.StuckAfter = "depot-1", 1
	cfg.Handlers = []effect.Handler{
		effect.Handle(func(_ context.Context, q pick) (string, error) {
			d.note("pick", q.Item)
			return "picked", nil
		}),
		effect.Handle(func(_ context.Context, q put) (struct{}, error) {
			d.note("put", q.Item)
			if strings.Contains(q.Item, "broken") {
				return struct{}{}, d.works("put")
			}
			return struct{}{}, nil
		}),
		effect.Handle(func(_ context.Context, q ship) (struct{}, error) {
			d.note("ship", q.Item)
			return struct{}{}, d.works(q.Item)
		}),
	}
	var err error
	d.runner, err = saga.New(home, cfg, orders)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.runner.Run(context.Background()) //nolint:usetesting // it outlives the context of the test, or of its bubble
	}()
	t.Cleanup(func() {
		require.NoError(t, d.runner.Shutdown(context.Background())) //nolint:usetesting // it outlives the context of the test, or of its bubble
		<-ended
	})
	return d
}

// rondo runs a command line on the home.
func (d *depot) rondo(args ...string) (out, errs string, status int) {
	d.Helper()
	var o, e bytes.Buffer
	a := &app{out: &o, errs: &e, now: time.Now, open: func(context.Context, string) (saga.Store, func() error, error) {
		return d.home, func() error { return nil }, nil
	}}
	status = a.run(d.Context(), append([]string{"saga"}, args...))
	return o.String(), e.String(), status
}

// does runs one that succeeds.
func (d *depot) does(args ...string) string {
	d.Helper()
	out, errs, status := d.rondo(args...)
	require.Equal(d, 0, status, "%q: %s", args, errs)
	require.Empty(d, errs)
	return out
}

// must is does with an actor and a reason.
func (d *depot) must(args ...string) string {
	d.Helper()
	return d.does(append(args, "--actor", "ada", "--reason", "a test")...)
}

// ordered starts an order, and waits until it is in that status and has failed.
func (d *depot) ordered(id saga.ID, item string, want saga.Status) {
	d.Helper()
	_, err := d.runner.Start(d.Context(), id, saga.Begin[order]{Data: order{item}})
	var stuck *saga.StuckError
	if !errors.As(err, &stuck) {
		require.NoError(d, err)
	}
	d.reaches(id, want, func(s *saga.Snapshot) bool { return s.Status != saga.Running || s.Attempts > 0 })
}

func (d *depot) reaches(id saga.ID, want saga.Status, as func(*saga.Snapshot) bool) {
	d.Helper()
	for range 10_000 {
		s, err := saga.NewOperator(d.home).State(d.Context(), id)
		if err == nil && s.Status == want && (as == nil || as(&s)) {
			return
		}
		require.NoError(d, store.Sleep(d.Context(), 10*time.Millisecond))
	}
	d.Fatalf("%s never was %s", id, want)
}

// filled has an order in each of some statuses.
func filled(t *testing.T) *depot {
	t.Helper()
	d := openDepot(t, memory.New(memory.Config{}), saga.Config{})
	d.ordered(orders.ID("waits"), "book", saga.Running)
	d.ordered(orders.ID("stuck"), "broken refused", saga.Stuck)
	d.ordered(orders.ID("undone"), "refused", saga.Compensated)
	d.ordered(orders.ID("poison"), "poison", saga.Stuck)
	d.ordered(saga.ID{Tenant: "ac:me", Type: "order", Key: "a/b"}, "book", saga.Running)
	return d
}

func TestList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		require.NoError(t, store.Sleep(t.Context(), 90*time.Minute))
		d.ordered(orders.ID("young"), "book", saga.Running)
		for _, row := range []struct {
			args string
			want string
		}{
			{"", "order/poison order/stuck order/undone order/waits order/young ac%3Ame:order/a/b"},
			{"--status stuck", "order/poison order/stuck"},
			{"--status stuck,compensated", "order/poison order/stuck order/undone"},
			{"--tenant ac:me", "ac%3Ame:order/a/b"},
			{"--older 1h", "order/poison order/stuck order/undone order/waits ac%3Ame:order/a/b"},
			{"--older 2h", ""},
			{"--overdue 1m", ""},
			{"--attempts 2", "order/waits ac%3Ame:order/a/b"},
			{"--owner depot-1 --limit 2", "order/poison order/stuck"},
			{"--after order/stuck --limit 2", "order/undone order/waits"},
			{"--owner nobody", ""},
			{"--type other", ""},
		} {
			var all []struct{ Saga string }
			require.NoError(t, json.Unmarshal([]byte(d.does(append([]string{"list", "--json"}, strings.Fields(row.args)...)...)), &all))
			var got []string
			for _, one := range all {
				got = append(got, one.Saga)
			}
			require.Equal(t, row.want, strings.Join(got, " "), row.args)
		}
		lines := strings.Split(d.does("list", "--limit", "5", "--attempts", "1"), "\n")
		require.Regexp(t, `^SAGA +STATUS +AGE +DUE +ATTEMPTS +REASON$`, lines[0])
		require.Regexp(t, `^order/stuck +stuck +1h30m +1 +request "put" \(1/0/undo\) must succeed`, lines[1])
		require.Regexp(t, `^order/waits +running +1h30m +in (29m|30m)\S* +2$`, lines[2])
		require.Contains(t, d.does("list", "--limit", "2"), "there may be more: --after 'order/stuck'")
		require.Equal(t, "no saga is like that\n", d.does("list", "--type", "other"))
	})
}

func TestAttemptsThatFailed(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]string{
		0: "title\n  a/b/1/0  put\n",
		1: "title\n  a/b/1/0  put\n    1 attempt failed: no\n",
		2: "title\n  a/b/1/0  put\n    2 attempts failed: no\n",
	} {
		var out strings.Builder
		(&app{out: &out}).writeEffects("title", []saga.Effect{{ID: "a/b/1/0", Request: "put", Attempts: attempts, Error: "no"}}, "", time.Time{})
		require.Equal(t, want, out.String())
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		out := d.does("show", "order/waits")
		for _, want := range []string{
			"saga       order/waits\n", "status     running\n", `state      {"Data":{"Item":"book"},"Step":1}`,
			"pending\n  order/waits/2/0  ship {\"Item\":\"book\"}\n    1 attempt failed: the depot is closed; next in 59m",
			"to be undone, the last first\n  order/waits/1/0/undo  put",
		} {
			require.Contains(t, out, want)
		}
		out = d.does("show", "order/poison")
		require.Contains(t, out, "stuck at   start begin\n")
		require.Contains(t, out, "trace\n  ")
		require.NotContains(t, out, "messages that wait")
		for i := range shownWaiting + 1 {
			require.NoError(t, d.runner.Signal(t.Context(), orders.ID("poison"), fmt.Sprint("m", i), saga.Begin[order]{Data: order{"pen"}}))
		}
		out = d.does("show", "order/poison")
		require.Contains(t, out, "messages that wait, in their order\n  m0  signal begin {\"Data\":{\"Item\":\"pen\"}}, for 0s\n  m1  ")
		require.Contains(t, out, "\n  m19  signal")
		require.Contains(t, out, "\n  and more\n")
		var v snapshotView
		require.NoError(t, json.Unmarshal([]byte(d.does("show", "--json", "order/stuck")), &v))
		require.Equal(t, "order/stuck/1/0/undo", v.Undo[0].ID)
		require.Equal(t, saga.Compensating, v.Was)
		require.Empty(t, v.Waiting)
		require.NoError(t, json.Unmarshal([]byte(d.does("show", "--json", "order/poison")), &v))
		require.Equal(t, "m0", v.Waiting[0].ID)

		out = d.does("history", "order/stuck")
		require.Regexp(t, `(?m)^1 +\S+ \S+ +start +running +begin \{.*\} → 1/0 pick$`, out)
		require.Regexp(t, `(?m)^3 .* reply +compensating .* of 2/0 failed: no such address`, out)
		var entries []entryView
		require.NoError(t, json.Unmarshal([]byte(d.does("history", "order/stuck", "--json", "--limit", "2")), &entries))
		require.Len(t, entries, 2)
	})
}

func TestMend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		stuck, waits := orders.ID("stuck"), orders.ID("waits")

		out := d.must("mark-undone", "order/stuck", "order/stuck/1/0/undo", "--dry-run")
		require.Equal(t, "order/stuck: stuck → compensated: a dry run, nothing was done\n", out)
		d.reaches(stuck, saga.Stuck, nil)
		require.Equal(t, "order/stuck: stuck → compensated\n", d.must("mark-undone", "order/stuck", "order/stuck/1/0/undo"))
		require.Contains(t, d.does("history", "order/stuck"), "mark-undone  compensated   by ada because a test")

		require.Contains(t, d.must("pause", "order/waits"), "order/waits: running → paused\n")
		require.Contains(t, d.must("resume", "order/waits"), "order/waits: paused → running\n")
		d.set(true)
		d.must("retry", "order/waits", "order/waits/2/0")
		d.reaches(waits, saga.Completed, nil)
		d.must("compensate", "ac%3Ame:order/a/b")
		d.reaches(saga.ID{Tenant: "ac:me", Type: "order", Key: "a/b"}, saga.Compensated, nil)

		d.set(false)
		d.ordered(orders.ID("given"), "book", saga.Running)
		require.Contains(t, d.must("resolve", "order/given", "order/given/2/0", "--value", "{}"), "order/given/2/0: its result is {}\nwhether that is")
		d.reaches(orders.ID("given"), saga.Completed, nil)
		d.ordered(orders.ID("taken"), "book", saga.Running)
		require.Equal(t, "order/taken/2/0: its result is the error \"lost\", with nothing done\n",
			d.must("resolve", "order/taken", "order/taken/2/0", "--failure", "lost", "--rejected"))
		d.reaches(orders.ID("taken"), saga.Compensated, nil)

		d.ordered(orders.ID("left"), "book", saga.Running)
		d.ordered(orders.ID("bad"), "book", saga.Running)
		d.must("resolve", "order/bad", "order/bad/2/0", "--value", "7")
		d.reaches(orders.ID("bad"), saga.Stuck, nil)
		require.Contains(t, d.must("redrive", "order/bad"), "order/bad: stuck → running\nthe input it was stuck at is taken up again: reply order/bad/2/0\n")
		d.reaches(orders.ID("bad"), saga.Stuck, nil)
		_, errs, status := d.rondo("resolve", "order/bad", "order/bad/2/0", "--value", "7", "--actor", "ada", "--reason", "a test")
		require.Equal(t, refused, status)
		require.Contains(t, errs, "saga resolve is for one that is not terminated, and not stuck at an input: redrive takes that up again, resume drops it\n")
		require.Contains(t, d.must("resume", "order/bad"), "order/bad: stuck → running\nthe input it was stuck at is dropped: reply order/bad/2/0\n")

		out = d.must("terminate", "order/left")
		require.Contains(t, out, "order/left: running → terminated\nthis is left as it is:\npending\n  order/left/2/0  ship")

		var change changeView
		d.ordered(orders.ID("json"), "book", saga.Running)
		require.NoError(t, json.Unmarshal([]byte(d.must("pause", "order/json", "--json")), &change))
		require.True(t, change.Done)
		require.Equal(t, saga.Paused, change.After.Status)
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		require.Regexp(t, `(?m)^order/poison +start begin +\S+ +panic: told to$`, d.does("dead-letters"))
		var letters []letterView
		require.NoError(t, json.Unmarshal([]byte(d.does("dead-letters", "--json")), &letters))
		require.Len(t, letters, 1)
		require.JSONEq(t, `{"Data":{"Item":"poison"}}`, string(letters[0].Data))
		require.Equal(t, "no saga is stuck at an input\n", d.does("dead-letters", "--type", "other"))
		d.must("redrive", "order/poison")
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		d.reaches(orders.ID("poison"), saga.Stuck, nil)
		require.Contains(t, d.does("history", "order/poison"), "redrive")
	})
}

func TestFleet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		require.Contains(t, d.does("workers"), "depot-1  live   order 64\n")
		d.must("pause-type", "order", "--dry-run")
		require.NotContains(t, d.does("workers"), "paused")
		require.Equal(t, "pause-type order: done\n", d.must("pause-type", "order"))
		require.Regexp(t, `type order is paused since \S+ by ada because a test\n`, d.does("workers"))
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		_, err := d.runner.Start(t.Context(), orders.ID("no"), saga.Begin[order]{})
		require.ErrorIs(t, err, saga.ErrPaused)
		note := `type order is paused since \S+ by ada because a test: nothing is done until resume-type order\n$`
		for _, args := range [][]string{{"compensate", "order/waits", "--dry-run"}, {"resume", "order/poison"}, {"retry", "order/waits"}, {"resolve", "order/waits", "order/waits/2/0", "--value", "{}"}, {"compensate", "order/waits"}} {
			require.Regexp(t, note, d.must(args...), "%s", args)
		}
		require.NotRegexp(t, note, d.must("terminate", "order/stuck"))
		require.Regexp(t, note, d.does("show", "order/waits"))
		var seen snapshotView
		require.NoError(t, json.Unmarshal([]byte(d.does("show", "order/waits", "--json")), &seen))
		require.Equal(t, "a test", seen.TypePaused.Reason)
		var change changeView
		require.NoError(t, json.Unmarshal([]byte(d.must("retry", "order/waits", "--json")), &change))
		require.Equal(t, "order", change.TypePaused.Type)
		d.must("resume-type", "order")
		require.NotContains(t, d.does("workers"), "paused")
		require.NotRegexp(t, note, d.does("show", "ac%3Ame:order/a/b"))

		d.must("drain", "depot-1")
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		require.Contains(t, d.does("workers"), "depot-1  draining  order 0  drain by ada because a test\n")
		d.must("undrain", "depot-1")
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		var r rosterView
		require.NoError(t, json.Unmarshal([]byte(d.does("workers", "--json")), &r))
		require.Equal(t, map[string]int{"order": 64}, r.Workers[0].Shards)

		log := d.does("pauses")
		require.Regexp(t, `^# +AT +DONE +TO\n4 +2000-\S+ \S+ +undrain +worker depot-1 +by ada because a test\n3 +\S+ \S+ +drain +worker depot-1 .*\n2 +\S+ \S+ +resume-type +type order .*\n1 .* pause-type .*\n$`, log)
		require.Equal(t, 1+1, strings.Count(d.does("pauses", "--type", "order", "--before", "2"), "\n"))
		require.Contains(t, d.does("pauses", "--limit", "3"), "there may be more: --before 2\n")
		require.Equal(t, "nothing was paused\n", d.does("pauses", "--type", "other"))
		var entries []pauseEntryView
		require.NoError(t, json.Unmarshal([]byte(d.does("pauses", "--worker", "depot-1", "--json")), &entries))
		require.Len(t, entries, 2)
		require.Equal(t, []string{"undrain", "", "depot-1", "ada", "a test"}, []string{entries[0].Command, entries[0].Type, entries[0].Worker, entries[0].Actor, entries[0].Reason})

		for _, command := range []string{"pause-type", "resume-type"} {
			require.Equal(t, command+" odrer: done\nno saga is of type \"odrer\" and no worker runs it, but order: it holds for those to come\n", d.must(command, "odrer"))
			require.Contains(t, d.does(command, "odrer", "--actor", "ada", "--reason", "a test", "--json"), `"note"`)
		}
		_, errs, status := d.rondo("drain", "depot-2", "--actor", "a", "--reason", "b")
		require.Equal(t, missing, status)
		require.Equal(t, "rondo: drain \"depot-2\": no such worker: want one of depot-1\n", errs)
		require.Equal(t, "undrain depot-2: done\nworker \"depot-2\" was not drained\n", d.must("undrain", "depot-2"))
		require.Equal(t, "undrain depot-1: done\nworker \"depot-1\" was not drained\n", d.must("undrain", "depot-1"))
		require.Equal(t, "resume-type order: done\ntype \"order\" was not paused\n", d.must("resume-type", "order"))
	})
}

func TestSagaErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		by := " --actor ada --reason why"
		for _, row := range []struct {
			args   string
			status int
			want   string
		}{
			{"destroy", misuse, `there is no command "destroy" of saga: see rondo saga help`},
			{"rety order/x", misuse, `there is no command "rety" of saga (retry?)`},
			{"cancel order/x", misuse, `there is no command "cancel" of saga (compensate?)`},
			{"timeline order/x", misuse, `there is no command "timeline" of saga (history?)`},
			{"list --colour", misuse, "flag provided but not defined: -colour: see rondo saga list -h"},
			{"list more", misuse, `saga list has an argument more than it wants, "more": want none`},
			{"list --status odd", misuse, `--status has "odd", want some of running, compensating, stuck`},
			{"list --limit 0", misuse, "--limit is 0, want at least 1"},
			{"list --older -1h", misuse, "--older is -1h0m0s, want more than 0"},
			{"list --older soon", misuse, `invalid value "soon" for flag -older: want a duration, as 45s or 1h30m: see rondo saga list -h`},
			{"list --limit many", misuse, `invalid value "many" for flag -limit: want a whole number: see rondo saga list -h`},
			{"list --after order", misuse, "want type/key"},
			{"list --type a/b", misuse, "query.Type"},
			{"list --attempts -1", misuse, "query.Attempts"},
			{"show", misuse, "saga show wants SAGA, and has 0 of them"},
			{"show order", misuse, "want type/key, or tenant:type/key"},
			{"show order/nobody", missing, "no such saga\n       rondo saga list tells those there are"},
			{"history order/nobody", missing, "no such saga"},
			{"retry order/waits", misuse, "--actor is missing: saga retry changes something"},
			{"retry order/waits --actor ada", misuse, "--reason is missing"},
			{"mark-undone order/waits odd" + by, missing, "nothing of that id is pending: \"odd/undo\"\n       want one of order/waits/1/0/undo\n"},
			{"retry order/waits odd" + by, missing, "nothing of that id is pending: \"odd\"\n       want one of order/waits/2/0, order/waits/1/0/undo"},
			{"retry order/undone" + by, refused, "not possible in this status: compensated\n       saga retry is for one that is running, compensating or stuck"},
			{"resume order/waits" + by, refused, "saga resume is for one that is paused or stuck"},
			{"redrive order/stuck" + by, refused, "which is for Retry"},
			{"compensate order/undone" + by, refused, "not possible in this status: compensated"},
			{"mark-undone order/waits order/waits/9/0" + by, missing, "nothing of that id is pending"},
			{"resolve order/waits order/waits/2/0" + by, misuse, "wants --value or --failure, and not both"},
			{"resolve order/waits order/waits/2/0 --value 1 --failure x" + by, misuse, "and not both"},
			{"resolve order/waits order/waits/2/0 --value {" + by, misuse, "--value is no JSON"},
			{"resolve order/waits order/waits/2/0 --value 1 --rejected" + by, misuse, "--rejected goes with --failure"},
			{"pause-type a/b" + by, misuse, "letters, digits"},
			{"pauses --type order --worker w", misuse, "--type or --worker, and not both"},
			{"pauses --limit 0", misuse, "--limit is 0, want at least 1"},
			{"pauses --before -1", misuse, "--before is -1, want at least 0"},
		} {
			out, errs, status := d.rondo(strings.Fields(row.args)...)
			require.Equal(t, row.status, status, "%s: %s", row.args, errs)
			require.Contains(t, errs, row.want, row.args)
			require.True(t, strings.HasPrefix(errs, "rondo: "), errs)
			require.Empty(t, out)
		}
	})
}

// Help fits a terminal, and tells every command.
func TestSagaHelp(t *testing.T) {
	t.Parallel()
	d := &depot{T: t}
	all := d.does("help")
	out, errs, status := d.rondo()
	require.Equal(t, misuse, status)
	require.Equal(t, all, errs)
	require.Empty(t, out)
	texts := []string{all, usage}
	for _, c := range sagaCommands() {
		require.Contains(t, all, "  "+c.name)
		help := d.does(c.name, "-h")
		require.Equal(t, help, d.does("help", c.name))
		require.Contains(t, help, "usage: rondo saga "+strings.TrimSpace(c.name+" "+c.args)+" --db URL [FLAGS]\n")
		require.Equal(t, c.changes, strings.Contains(help, "--reason why"), c.name)
		require.Equal(t, c.changes, strings.Contains(help, "--dry-run"), c.name)
		texts = append(texts, help)
	}
	for _, text := range texts {
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, len(strings.TrimSpace(line)), 80, line)
			require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 80, line)
		}
	}
}

// Of two operators at once one does it, and the other is told that it is done.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := filled(t)
		var group sync.WaitGroup
		statuses := make(chan int, 8)
		for i := range 8 {
			group.Go(func() {
				_, _, status := d.rondo("terminate", "order/waits", "--actor", fmt.Sprint("operator-", i), "--reason", "it is lost")
				statuses <- status
			})
		}
		group.Wait()
		close(statuses)
		got := map[int]int{}
		for s := range statuses {
			got[s]++
		}
		require.Equal(t, map[int]int{0: 1, refused: 7}, got)
		require.Equal(t, 1, strings.Count(d.does("history", "order/waits"), "it is lost"))
	})
}

// The command looks after what a process keeps in a file, or in PostgreSQL, while
// that runs.
func TestHomes(t *testing.T) {
	t.Parallel()
	mends := func(t *testing.T, url string) {
		t.Helper()
		home, done, err := openHome(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, done()) })
		d := openDepot(t, home, saga.Config{Heartbeat: 100 * time.Millisecond, Lease: time.Minute, Poll: 20 * time.Millisecond})
		d.ordered(orders.ID("stuck"), "broken refused", saga.Stuck)
		out, errs, status := rondo(t, "saga", "list", "--db", url, "--status", "stuck")
		require.Equal(t, 0, status, errs)
		require.Contains(t, out, "order/stuck")
		out, errs, status = rondo(t, "saga", "workers", "--db", url)
		require.Equal(t, 0, status, errs)
		require.Contains(t, out, "depot-1  live")
		d.set(true)
		_, errs, status = rondo(t, "saga", "retry", "order/stuck", "--db", url, "--actor", "ada", "--reason", "mended")
		require.Equal(t, 0, status, errs)
		d.reaches(orders.ID("stuck"), saga.Compensated, nil)
		out, errs, status = rondo(t, "saga", "history", "order/stuck", "--db", url)
		require.Equal(t, 0, status, errs)
		require.Contains(t, out, "by ada because mended")
		_, errs, status = rondo(t, "saga", "pause-type", "order", "--db", url, "--actor", "ada", "--reason", "night")
		require.Equal(t, 0, status, errs)
		out, _, _ = rondo(t, "saga", "workers", "--db", url)
		require.Contains(t, out, "type order is paused")
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "shop.db")
		_, errs, status := rondo(t, "saga", "list", "--db", "sqlite:"+path)
		require.Equal(t, failed, status)
		require.Contains(t, errs, "there is no file")
		require.NoFileExists(t, path)
		// A file of somebody else's stays as it is.
		foreign := filepath.Join(t.TempDir(), "foreign.db")
		db, err := sql.Open("sqlite", foreign)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), `CREATE TABLE t (a)`)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		before, err := os.ReadFile(foreign)
		require.NoError(t, err)
		_, errs, status = rondo(t, "saga", "list", "--db", "sqlite:"+foreign)
		require.Equal(t, failed, status)
		require.Contains(t, errs, "no sagas were ever run in")
		after, err := os.ReadFile(foreign)
		require.NoError(t, err)
		require.Equal(t, before, after)
		require.NoError(t, os.WriteFile(foreign, []byte("this is a letter, and no database at all"), 0o600))
		_, errs, status = rondo(t, "saga", "list", "--db", "sqlite:"+foreign)
		require.Equal(t, failed, status)
		require.Contains(t, errs, `"`+foreign+`": file is not an SQLite database`)
		_, errs, status = rondo(t, "saga", "list", "--db", "sqlite:"+filepath.Dir(foreign))
		require.Equal(t, misuse, status)
		require.Contains(t, errs, "want the path of a file, not of a directory")
		_, errs, status = rondo(t, "saga", "list", "--db", "sqlite:")
		require.Equal(t, misuse, status)
		require.Equal(t, "rondo: --db is \"sqlite:\", want postgres://… or sqlite:FILE\n", errs)
		s, err := sqlite.Open(t.Context(), path, sqlite.Config{})
		require.NoError(t, err)
		require.NoError(t, s.Close())
		mends(t, "sqlite:"+path)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		db := postgrestest.New(t)
		_, errs, status := rondo(t, "saga", "list", "--db", db.URL)
		require.Equal(t, failed, status)
		require.Contains(t, errs, "rondo migrate --db URL`")
		_, errs, status = rondo(t, "migrate", "--db", db.URL)
		require.Equal(t, 0, status, errs)
		mends(t, db.URL)
	})
	t.Run("neither", func(t *testing.T) {
		t.Parallel()
		_, errs, status := rondo(t, "saga", "list", "--db", "mysql://ada:secret@host/db")
		require.Equal(t, misuse, status)
		require.Equal(t, "rondo: --db is \"mysql://…@host/db\", want postgres://… or sqlite:FILE\n", errs)
	})
}
