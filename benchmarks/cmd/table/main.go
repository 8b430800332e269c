// Command table runs the benchmarks of this module and those of package store, and
// prints what they say side by side: rondo's numbers, how many times longer each
// peer takes, how rondo stands to the limit, and whether its budget is met.
//
// Usage, in the folder benchmarks:
//
//	go run ./cmd/table [flags] [file ...]
//
// With files, saved with -o or otherwise printed by go test -bench, nothing is
// run and the table is made of them.
//
// A budget that is missed is said in the table and is no failure, unless -strict
// is given: a laptop that is busy with something else misses some.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/perf/benchfmt"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var m measurement
	flags := flag.NewFlagSet("table", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&m.count, "count", 5, "run everything `n` times and take the medians")
	flags.StringVar(&m.benchtime, "benchtime", "1s", "run each benchmark for `t`, as go test -benchtime")
	flags.StringVar(&m.bench, "bench", ".", "run the benchmarks that match `regexp`, as go test -bench")
	markdown := flags.Bool("markdown", false, "print the table as Markdown")
	strict := flags.Bool("strict", false, "exit with 1 if a budget is missed or was not measured")
	save := flags.String("o", "", "save what the benchmarks print to `file`, for benchstat or another table")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if m.count < 1 {
		return fmt.Errorf("-count is %d, must be at least 1", m.count)
	}

	files := benchfmt.Files{Paths: flags.Args()}
	if flags.NArg() == 0 {
		raw := *save
		if raw == "" {
			f, err := os.CreateTemp("", "rondo-bench-*.txt")
			if err != nil {
				return err
			}
			raw = f.Name()
			defer os.Remove(raw) //nolint:errcheck // it is in the folder for what may be lost
			if err := f.Close(); err != nil {
				return err
			}
		}
		// What was measured before it failed is still worth a table.
		failed := m.run(ctx, raw, stderr)
		defer func() { err = errors.Join(failed, err) }()
		files.Paths = []string{raw}
	}

	results, err := read(&files)
	if err != nil {
		return err
	}
	for _, warning := range results.warnings {
		fmt.Fprintln(stderr, "table:", warning)
	}
	if len(results.rows) == 0 {
		return errors.New("there are no results")
	}
	t := newTable(results)
	if *markdown {
		fmt.Fprintln(stdout, t.markdown())
	} else {
		fmt.Fprintln(stdout, t.text())
	}
	if *strict {
		return t.verdict()
	}
	return nil
}
