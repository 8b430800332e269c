package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	events "github.com/seed57833328/rondo/eventstore/postgres"
	sagas "github.com/seed57833328/rondo/saga/postgres"
)

func (a *app) migrate(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("rondo migrate", flag.ContinueOnError)
	flags.SetOutput(a.errs)
	flags.Usage = func() { fmt.Fprint(a.errs, usage) }
	url := dbFlag(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return misuse
	}
	if wrong := misused(flags, *url); wrong != "" {
		fmt.Fprintf(a.errs, "rondo: %s\n", wrong)
		return misuse
	}
	if err := a.migratePostgres(ctx, *url); err != nil {
		fmt.Fprintf(a.errs, "rondo: %v\n", err)
		return failed
	}
	return 0
}

// misused tells what is wrong with a command line of migrate.
func misused(flags *flag.FlagSet, db string) string {
	switch {
	case flags.NArg() > 0:
		return fmt.Sprintf("migrate has an argument more than it wants, %q: want none", flags.Arg(0))
	case db == "":
		return "--db is missing, and DATABASE_URL is not set: want postgres://…"
	case strings.HasPrefix(db, sqliteScheme):
		return "a file of SQLite is not migrated: opening it does that; want a postgres:// URL"
	case isPostgres(db), !strings.Contains(db, "://") && strings.Contains(db, "="): // keywords with values
		return ""
	}
	return fmt.Sprintf("--db is %q, want postgres://…", redact(db))
}

func (a *app) migratePostgres(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	version, err := events.Migrate(ctx, pool)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "the schema of events is at version %d\n", version)
	if version, err = sagas.Migrate(ctx, pool); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "the schema of sagas is at version %d\n", version)
	return nil
}
