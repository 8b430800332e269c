package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	events "github.com/seed57833328/rondo/eventstore/postgres"
	eventfile "github.com/seed57833328/rondo/eventstore/sqlite"
	sagas "github.com/seed57833328/rondo/saga/postgres"
	sagafile "github.com/seed57833328/rondo/saga/sqlite"
)

func (a *app) migrate(ctx context.Context, args []string) int {
	if len(args) == 1 && isHelp(args[0]) {
		fmt.Fprint(a.out, usage)
		return 0
	}
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
	migrate := a.migratePostgres
	if isFile(*url) {
		migrate = a.migrateFile
	}
	if err := migrate(ctx, *url); err != nil {
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
		return "--db is missing, and DATABASE_URL is not set: want postgres://… or sqlite:FILE"
	case isFile(db), isPostgres(db), !strings.Contains(db, "://") && strings.Contains(db, "="): // keywords with values
		return ""
	}
	return fmt.Sprintf("--db is %q, want postgres://… or sqlite:FILE", redact(db))
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

// migrateFile brings up what a file has, and makes nothing that it has not.
func (a *app) migrateFile(ctx context.Context, db string) error {
	path, known := strings.TrimPrefix(db, sqliteScheme), false
	for _, schema := range []struct {
		of, versions string
		open         func() (io.Closer, error) // which brings it up
	}{
		{"events", "rondo_schema_version", func() (io.Closer, error) { return eventfile.Open(ctx, path, eventfile.Config{}) }},
		{"sagas", "rondo_saga_schema_version", func() (io.Closer, error) { return sagafile.Open(ctx, path, sagafile.Config{}) }},
	} {
		found, err := hasTable(ctx, path, schema.versions)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		known = true
		s, err := schema.open()
		if err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
		var version int64
		if err := ask(ctx, path, &version, `SELECT max(version_id) FROM `+schema.versions+` WHERE is_applied`); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "the schema of %s is at version %d\n", schema.of, version)
	}
	if !known {
		return fmt.Errorf("neither events nor sagas were ever kept in %q", path)
	}
	return nil
}
