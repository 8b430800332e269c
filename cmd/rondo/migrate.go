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
	if flags.NArg() > 0 || *url == "" {
		fmt.Fprint(a.errs, usage)
		return misuse
	}
	if strings.HasPrefix(*url, sqliteScheme) {
		fmt.Fprintln(a.errs, "rondo: a file of SQLite is not migrated: opening it does that; want a postgres:// URL")
		return misuse
	}
	if err := a.migratePostgres(ctx, *url); err != nil {
		fmt.Fprintf(a.errs, "rondo: %v\n", err)
		return failed
	}
	return 0
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
