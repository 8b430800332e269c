package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
)

const sagaUsage = `usage: rondo saga COMMAND [ARGUMENTS] --db URL [FLAGS]

Look:
  list                     the sagas, by type, status, age, owner and so on
  show SAGA                one saga: its state, what is pending, what would
                           be undone
  history SAGA             what was decided, and on what
  dead-letters             the inputs at which sagas are stuck
  workers                  who runs sagas, and which types are paused
  pauses                   who has paused types and drained workers, and why

Mend one saga:
  retry SAGA [EFFECT...]   try at once what waits or has failed
  redrive SAGA             take up again the dead letter it is stuck at
  resume SAGA              let it go on that is paused; one that is stuck goes
                           on without its dead letter
  resolve SAGA EFFECT      give a pending effect its result
  compensate SAGA          undo what was done
  mark-undone SAGA EFFECT  take an undo for done that was done by other means
  pause SAGA               stop it until resume
  terminate SAGA           end it as it is: nothing is undone

Types and workers:
  pause-type TYPE          stop all sagas of a type
  resume-type TYPE         let them go on
  drain WORKER             have a worker give up its sagas to others
  undrain WORKER           let it take its share again

SAGA is TYPE/KEY, with a tenant TENANT:TYPE/KEY; EFFECT is the key of an effect
as show tells it. Whatever changes something needs --actor and --reason, which
stand in the history, and takes --dry-run. --json is for programs.

Exit status: 0 success, 1 failure, 2 misuse, 3 no such saga, effect or worker,
4 not possible in the saga's status.
`

// options are the flags of all commands; each has some of them.
type options struct {
	db             string
	json           bool
	query          saga.Query
	statuses       string
	older, overdue time.Duration
	after          string
	worker         string
	before         int64
	limit          int
	by             saga.By
	value, failure string
	rejected       bool
}

// call is a command that is being run.
type call struct {
	*app
	options
	name  string
	args  []string
	store saga.Store
	op    *saga.Operator
}

// sagaCommand is one of the commands of rondo saga.
type sagaCommand struct {
	name    string
	args    string // as help tells them
	min     int    // how many there are
	max     int    // -1 is any number
	about   string
	changes bool // it needs an actor and a reason
	flags   func(*flag.FlagSet, *options)
	run     func(context.Context, *call) error
}

func (a *app) saga(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(a.errs, sagaUsage)
		return misuse
	}
	if isHelp(args[0]) && len(args) == 1 {
		fmt.Fprint(a.out, sagaUsage)
		return 0
	}
	name, args := args[0], args[1:]
	if isHelp(name) {
		name, args = args[0], []string{"-h"}
	}
	commands := sagaCommands()
	i := slices.IndexFunc(commands, func(c sagaCommand) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(a.errs, "rondo: there is no command %q of saga%s: see rondo saga help\n", name, nearest(name, commands))
		return misuse
	}
	c := &call{app: a, name: name}
	err := c.parse(&commands[i], args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil:
		err = c.run(ctx, &commands[i])
	}
	if err == nil {
		return 0
	}
	message := strings.TrimPrefix(err.Error(), errMisuse.Error()+": ")
	fmt.Fprintf(a.errs, "rondo: %s\n", message)
	var adv *advised
	if errors.As(err, &adv) {
		fmt.Fprintf(a.errs, "       %s\n", adv.advice)
	}
	return status(err)
}

// others are names that commands have elsewhere.
var others = map[string]string{"cancel": "compensate", "timeline": "history"}

// nearest names the command that was meant, perhaps.
func nearest(name string, commands []sagaCommand) string {
	if other := others[name]; other != "" {
		return fmt.Sprintf(" (%s?)", other)
	}
	for _, c := range commands {
		if len(name) > 2 && (strings.HasPrefix(c.name, name[:3]) || strings.Contains(c.name, name)) {
			return fmt.Sprintf(" (%s?)", c.name)
		}
	}
	return ""
}

// status is the exit status of an error.
func status(err error) int {
	var input *eventstore.InputError
	switch {
	case errors.Is(err, errMisuse), errors.As(err, &input):
		return misuse
	case errors.Is(err, saga.ErrNotFound), errors.Is(err, saga.ErrNotPending), errors.Is(err, errNoWorker):
		return missing
	case errors.Is(err, saga.ErrRefused), errors.Is(err, saga.ErrPivoted), errors.Is(err, saga.ErrEnded):
		return refused
	}
	return failed
}

// parse reads flags and arguments, in any order.
func (c *call) parse(cmd *sagaCommand, args []string) error {
	flags := flag.NewFlagSet("rondo saga "+cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	db := dbFlag(flags)
	flags.BoolVar(&c.json, "json", false, "write JSON")
	if cmd.changes {
		flags.StringVar(&c.by.Actor, "actor", "", "`who` you are; it stands in the history")
		flags.StringVar(&c.by.Reason, "reason", "", "`why` you do it; it stands in the history")
		flags.BoolVar(&c.by.DryRun, "dry-run", false, "tell what would be done, and do nothing")
	}
	if cmd.flags != nil {
		cmd.flags(flags, &c.options)
	}
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				c.help(cmd, flags)
				return flag.ErrHelp
			}
			return fmt.Errorf("%w: %w: see rondo saga %s -h", errMisuse, err, cmd.name)
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		c.args, args = append(c.args, args[0]), args[1:]
	}
	c.db = *db
	switch n := len(c.args); {
	case n < cmd.min:
		return fmt.Errorf("%w: saga %s wants %s, and has %d of them", errMisuse, cmd.name, cmd.args, n)
	case cmd.max >= 0 && n > cmd.max:
		return fmt.Errorf("%w: saga %s has an argument more than it wants, %q: want %s", errMisuse, cmd.name, c.args[cmd.max], orNone(cmd.args))
	}
	if cmd.changes {
		for _, f := range [...][2]string{{"--actor", c.by.Actor}, {"--reason", c.by.Reason}} {
			if strings.TrimSpace(f[1]) == "" {
				return fmt.Errorf("%w: %s is missing: saga %s changes something, and who did it and why is recorded", errMisuse, f[0], cmd.name)
			}
		}
	}
	return nil
}

func orNone(args string) string {
	if args == "" {
		return "none"
	}
	return args
}

func (c *call) help(cmd *sagaCommand, flags *flag.FlagSet) {
	fmt.Fprintf(c.out, "usage: rondo saga %s --db URL [FLAGS]\n\n%s\n\nFlags:\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.about)
	flags.VisitAll(func(f *flag.Flag) {
		value, about := flag.UnquoteUsage(f)
		fmt.Fprintf(c.out, "  %-20s %s\n", strings.TrimSpace("--"+f.Name+" "+value), about)
	})
}

func (c *call) run(ctx context.Context, cmd *sagaCommand) (err error) {
	var done func() error
	c.store, done, err = c.open(ctx, c.db)
	if err != nil {
		return err
	}
	defer func() {
		if closed := done(); err == nil {
			err = closed
		}
	}()
	c.op = saga.NewOperator(c.store)
	err = cmd.run(ctx, c)
	if err != nil {
		if advice := c.advise(ctx, err); advice != "" { // while it is open
			err = &advised{err, advice}
		}
	}
	return err
}

// advised is an error with what would be right.
type advised struct {
	error
	advice string
}

func (e *advised) Unwrap() error { return e.error }

// wanted is in which status a command makes sense.
var wanted = map[string]string{
	"retry": "running, compensating or stuck", "redrive": "stuck at a dead letter", "resume": "paused or stuck",
	"resolve":     "not terminated, and not stuck at an input: redrive takes that up again, resume drops it",
	"compensate":  "running, or was so before it was stuck or paused",
	"mark-undone": "not ended", "pause": "running or compensating", "terminate": "not ended",
}

// advise tells what would be right.
func (c *call) advise(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, saga.ErrRefused) && wanted[c.name] != "":
		return fmt.Sprintf("saga %s is for one that is %s", c.name, wanted[c.name])
	case errors.Is(err, saga.ErrNotFound):
		return "rondo saga list tells those there are; is --db the right one, and the tenant?"
	case errors.Is(err, saga.ErrNotPending) && len(c.args) > 0:
		id, err := saga.ParseID(c.args[0])
		if err != nil {
			return ""
		}
		s, err := c.op.State(ctx, id)
		if err != nil {
			return ""
		}
		var ids []string
		if c.name != "mark-undone" {
			for _, e := range s.Pending {
				ids = append(ids, e.ID)
			}
		}
		for _, e := range s.Undo {
			ids = append(ids, e.ID+"/undo")
		}
		switch {
		case len(ids) > 0:
		case c.name == "mark-undone":
			return "it has nothing to undo"
		default:
			return "it has no effect that is pending, and nothing to undo"
		}
		return "want one of " + strings.Join(ids, ", ")
	}
	return ""
}

func (c *call) id() (saga.ID, error) { return saga.ParseID(c.args[0]) }
