// Command rondo looks after the database of an application: it brings its schema
// up to date, and shows and mends its sagas.
//
//	rondo migrate --db postgres://user@host/database
//	rondo saga list --db sqlite:shop.db --status stuck
//	rondo saga retry reservation/4711 --actor ada --reason "gateway is back"
//
// rondo help tells the commands, rondo saga help those for sagas, and -h after a
// command its flags.
//
// # Exit statuses
//
// 0 is success; 1 that something has failed, as a database that cannot be reached;
// 2 that the command line makes no sense; 3 that there is no such saga, effect or
// worker; 4 that a saga is in a status in which that cannot be done.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit statuses.
const (
	failed  = 1
	misuse  = 2
	missing = 3
	refused = 4
)

const usage = `usage: rondo migrate --db URL
       rondo saga COMMAND --db URL

migrate brings the schemas of an event store and of sagas up to what this
version of rondo needs, which older ones then refuse. In PostgreSQL it makes
both; in a file of SQLite it brings up those that are there, as a program does
that opens the file.

saga shows the sagas of a database, and mends them: see rondo saga help. It
never changes a schema.

URL is postgres://user:password@host:5432/database or sqlite:FILE; without --db
it is taken from DATABASE_URL.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := (&app{out: os.Stdout, errs: os.Stderr, open: openHome, now: time.Now}).run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// app is the command with what it needs of the world.
type app struct {
	out, errs io.Writer
	open      opener
	now       func() time.Time
}

// run runs a command line and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(a.errs, usage)
		return misuse
	}
	name, args := args[0], args[1:]
	if isHelp(name) {
		if len(args) == 0 {
			fmt.Fprint(a.out, usage)
			return 0
		}
		name, args = args[0], append([]string{"help"}, args[1:]...)
	}
	switch name {
	case "migrate":
		return a.migrate(ctx, args)
	case "saga":
		return a.saga(ctx, args)
	}
	fmt.Fprintf(a.errs, "rondo: there is no command %q, want migrate or saga\n%s", name, usage)
	return misuse
}

func isHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "-help" || arg == "--help"
}

// dbFlag is where the database is.
func dbFlag(flags *flag.FlagSet) *string {
	return flags.String("db", os.Getenv("DATABASE_URL"), "the database: `URL` is postgres://… or sqlite:FILE")
}
