// Command rondo looks after the database of an application. It has one command:
//
//	rondo migrate --db postgres://user@host/database
//
// brings the schema of an event store in PostgreSQL up to what this version of
// rondo needs. It does nothing if that is done already, and any number of them may
// run at once. (A file of SQLite needs no such thing: opening it does it.)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed57833328/rondo/eventstore/postgres"
)

// Exit statuses.
const (
	failed = 1
	misuse = 2
)

const usage = `usage: rondo migrate --db URL

Brings the schema of an event store in PostgreSQL up to what this version of
rondo needs. URL is as in postgres://user:password@host:5432/database; without
--db it is taken from DATABASE_URL.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run runs a command line and returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		fmt.Fprint(out, usage)
		return 0
	}
	if args[0] != "migrate" {
		fmt.Fprintf(errs, "rondo: there is no command %q\n%s", args[0], usage)
		return misuse
	}
	flags := flag.NewFlagSet("rondo migrate", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() { fmt.Fprint(errs, usage) }
	url := flags.String("db", os.Getenv("DATABASE_URL"), "where the database is")
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return misuse
	}
	if flags.NArg() > 0 || *url == "" {
		fmt.Fprint(errs, usage)
		return misuse
	}
	version, err := migrate(ctx, *url)
	if err != nil {
		fmt.Fprintf(errs, "rondo: %v\n", err)
		return failed
	}
	fmt.Fprintf(out, "the schema is at version %d\n", version)
	return 0
}

func migrate(ctx context.Context, url string) (int64, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	return postgres.Migrate(ctx, pool)
}
