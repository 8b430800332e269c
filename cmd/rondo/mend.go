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

	"github.com/seed57833328/rondo/saga"
)

// sagaCommands are those of rondo saga, in the order of the help.
func sagaCommands() []sagaCommand {
	one := func(f func(*saga.Operator, context.Context, saga.ID, saga.By) (saga.Intervention, error)) func(context.Context, *call) error {
		return mend(func(ctx context.Context, c *call, id saga.ID) (saga.Intervention, error) {
			return f(c.op, ctx, id, c.by)
		})
	}
	fleet := func(f func(*saga.Operator, context.Context, string, saga.By) error) func(context.Context, *call) error {
		return func(ctx context.Context, c *call) error {
			note, err := c.known(ctx)
			if err != nil {
				return err
			}
			if err := f(c.op, ctx, c.args[0], c.by); err != nil {
				return err
			}
			return c.say(c.args[0], note)
		}
	}
	return []sagaCommand{
		{name: "list", about: "Lists sagas, in the order of their ids.", flags: listFlags, run: list},
		{name: "show", args: "SAGA", min: 1, max: 1, about: "Shows a saga: its state, what is pending and what would be undone.", run: show},
		{name: "history", args: "SAGA", min: 1, max: 1, about: "Shows what was decided, in order, and on what.", flags: func(f *flag.FlagSet, o *options) {
			numberFlag(f, &o.limit, "limit", 10_000, "the first `n` decisions")
		}, run: history},
		{name: "dead-letters", about: "Lists the inputs at which sagas are stuck. What has come for such a saga since\nwaits behind it, as show tells. redrive takes one up again, resume drops it.", flags: queryFlags, run: deadLetters},
		{name: "workers", about: "Lists who runs sagas, with the shards of each type that they own (of 64), and\nwhich types are paused.", run: workers},
		{name: "pauses", about: "Lists who has paused and resumed types, and drained and undrained workers, when\nand why, the newest first.", flags: func(f *flag.FlagSet, o *options) {
			f.StringVar(&o.query.Type, "type", "", "those of that `type`")
			f.StringVar(&o.worker, "worker", "", "those of that `worker`")
			numberFlag(f, &o.before, "before", 0, "those before number `n`, the last of a page before")
			numberFlag(f, &o.limit, "limit", saga.DefaultLimit, "at most `n`")
		}, run: pauses},
		{name: "retry", args: "SAGA [EFFECT...]", min: 1, max: -1, changes: true, about: "Tries at once what waits for its next attempt, and what a saga is stuck at; with\nkeys of effects or undos, these alone. Attempts are counted anew.", run: mend(func(ctx context.Context, c *call, id saga.ID) (saga.Intervention, error) {
			return c.op.Retry(ctx, id, c.by, c.args[1:]...)
		})},
		{name: "redrive", args: "SAGA", min: 1, max: 1, changes: true, about: "Has a saga take up again the dead letter that it is stuck at.", run: one((*saga.Operator).Redrive)},
		{name: "resume", args: "SAGA", min: 1, max: 1, changes: true, about: "Lets a saga go on that is paused. One that is stuck goes on without the input\nthat it is stuck at, which is dropped.", run: one((*saga.Operator).Resume)},
		{name: "resolve", args: "SAGA EFFECT", min: 2, max: 2, changes: true, about: "Gives a pending effect its result in the place of its handler: --value, or\n--failure if it has failed. Whether a value is one that the request can have is\nnot checked, as its type is not known here: a saga that cannot read it is stuck.", flags: func(f *flag.FlagSet, o *options) {
			f.StringVar(&o.value, "value", "", "the result, as `JSON`")
			f.StringVar(&o.failure, "failure", "", "the `error` that it has failed with")
			f.BoolVar(&o.rejected, "rejected", false, "with --failure: nothing was done, and will be")
		}, run: mend(resolve)},
		{name: "compensate", args: "SAGA", min: 1, max: 1, changes: true, about: "Has a saga undo what was done, whatever it is stuck at.", run: one((*saga.Operator).Compensate)},
		{name: "mark-undone", args: "SAGA EFFECT", min: 2, max: 2, changes: true, about: "Takes an undo off the stack that was done by other means.", run: mend(func(ctx context.Context, c *call, id saga.ID) (saga.Intervention, error) {
			return c.op.MarkUndone(ctx, id, c.args[1], c.by)
		})},
		{name: "pause", args: "SAGA", min: 1, max: 1, changes: true, about: "Stops a saga: it decides and begins nothing until resume.", run: one((*saga.Operator).Pause)},
		{name: "terminate", args: "SAGA", min: 1, max: 1, changes: true, about: "Ends a saga as it is. Nothing is undone, now or later; what is left is told.", run: one((*saga.Operator).Terminate)},
		{name: "pause-type", args: "TYPE", min: 1, max: 1, changes: true, about: "Stops all sagas of a type, within a heartbeat of their workers.", run: fleet((*saga.Operator).PauseType)},
		{name: "resume-type", args: "TYPE", min: 1, max: 1, changes: true, about: "Lets the sagas of a type go on that was paused.", run: fleet((*saga.Operator).ResumeType)},
		{name: "drain", args: "WORKER", min: 1, max: 1, changes: true, about: "Has a worker give up its sagas to others, and take none until undrain.", run: fleet((*saga.Operator).Drain)},
		{name: "undrain", args: "WORKER", min: 1, max: 1, changes: true, about: "Lets a worker take its share again.", run: fleet((*saga.Operator).Undrain)},
	}
}

// mend is a command that changes one saga.
func mend(do func(context.Context, *call, saga.ID) (saga.Intervention, error)) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		id, err := c.id()
		if err != nil {
			return err
		}
		paused, err := c.pauseOf(ctx, id.Type) // before anything is done
		if err != nil {
			return err
		}
		done, err := do(ctx, c, id)
		if err != nil {
			return err
		}
		if c.json {
			return c.writeJSON(changeView{done.Done, done.Unchecked, viewSnapshot(&done.Before), viewSnapshot(&done.After), viewPause(paused)})
		}
		if c.name == "resolve" {
			c.writeResolved(&done)
		} else {
			c.writeChange(&done)
		}
		c.writeWaits(&done.After, paused)
		return nil
	}
}

func resolve(ctx context.Context, c *call, id saga.ID) (saga.Intervention, error) {
	var failure error
	switch {
	case (c.value == "") == (c.failure == ""):
		return saga.Intervention{}, fmt.Errorf("%w: saga resolve wants --value or --failure, and not both", errMisuse)
	case c.value != "" && c.rejected:
		return saga.Intervention{}, fmt.Errorf("%w: --rejected goes with --failure", errMisuse)
	case c.value != "" && !json.Valid([]byte(c.value)):
		return saga.Intervention{}, fmt.Errorf("%w: --value is no JSON: %q, want as in '{\"seats\":[\"A1\"]}' or '\"A1\"'", errMisuse, c.value)
	case c.failure != "":
		failure = errors.New(c.failure)
		if c.rejected {
			failure = saga.Rejected(failure)
		}
	}
	return c.op.Resolve(ctx, id, c.args[1], json.RawMessage(c.value), failure, c.by)
}

// pauseOf is the pause of a type, nil if it goes on.
func (c *call) pauseOf(ctx context.Context, name string) (*saga.Pause, error) {
	r, err := c.op.Workers(ctx)
	if err != nil {
		return nil, err
	}
	for i := range r.Pauses {
		if r.Pauses[i].Type == name {
			return &r.Pauses[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it is not paused
}

// writeResolved tells what result an effect was given.
func (c *call) writeResolved(done *saga.Intervention) {
	result := oneLine(c.value)
	if c.failure != "" {
		result = "the error " + strconv.Quote(oneLine(c.failure))
	}
	if c.rejected {
		result += ", with nothing done"
	}
	if done.Done {
		fmt.Fprintf(c.out, "%s: its result is %s\n", c.args[1], result)
	} else {
		fmt.Fprintf(c.out, "%s: its result would be %s, nothing was done\n", c.args[1], result)
	}
	if done.Before.Status != done.After.Status {
		c.writeChange(done)
	}
	if done.Unchecked {
		fmt.Fprintln(c.out, "whether that is a result of the request was not checked: its type is not known here")
	}
}

// known looks whether a worker or a type is known. There must be a worker to drain;
// of a type, which may be deployed later, there is a note, as when nothing is to be
// taken back.
func (c *call) known(ctx context.Context) (note string, err error) {
	name, ofType := c.args[0], strings.HasSuffix(c.name, "-type")
	seen := false // there are sagas of the type
	switch {
	case c.name == "undrain":
		log, err := c.op.PauseLog(ctx, "", name, 0, 1)
		if err != nil || len(log) > 0 && log[0].Paused {
			return "", err
		}
		return fmt.Sprintf("worker %q was not drained", name), nil
	case ofType:
		records, err := c.op.List(ctx, saga.Query{Type: name, AllTenants: true, Limit: 1})
		if err != nil {
			return "", err
		}
		seen = len(records) > 0
	}
	r, err := c.op.Workers(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for i := range r.Workers {
		if ofType {
			names = append(names, r.Workers[i].Types...)
		} else {
			names = append(names, r.Workers[i].ID)
		}
	}
	slices.Sort(names)
	switch names = slices.Compact(names); {
	case seen || slices.Contains(names, name):
		if c.name == "resume-type" && !slices.ContainsFunc(r.Pauses, func(p saga.Pause) bool { return p.Type == name }) {
			return fmt.Sprintf("type %q was not paused", name), nil
		}
		return "", nil
	case ofType && len(names) == 0:
		return fmt.Sprintf("no saga is of type %q and no worker runs it: it holds for those to come", name), nil
	case ofType:
		return fmt.Sprintf("no saga is of type %q and no worker runs it, but %s: it holds for those to come", name, joined(names)), nil
	case len(names) == 0:
		return "", fmt.Errorf("drain %q: %w: nobody runs sagas", name, errNoWorker)
	}
	return "", fmt.Errorf("drain %q: %w: want one of %s", name, errNoWorker, joined(names))
}

// say tells that something was recorded, or would be.
func (c *call) say(what, note string) error {
	if c.json {
		told := map[string]any{"command": c.name, "target": what, "done": !c.by.DryRun}
		if note != "" {
			told["note"] = note
		}
		return c.writeJSON(told)
	}
	done := "done"
	if c.by.DryRun {
		done = "it would be done"
	}
	fmt.Fprintf(c.out, "%s %s: %s\n", c.name, what, done)
	if note != "" {
		fmt.Fprintln(c.out, note)
	}
	return nil
}
