// Command ticketing is the reference application of rondo: a ticket sale with
// seat inventory on demand, payments by a gateway that fails, and reservations
// that hold, pay, confirm or undo what they did. See README.md.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program. It returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help())
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "ticketing: %v (--help tells more)\n", err)
		return exitUsage
	case o.serve:
		return runServe(ctx, o, stdout, stderr)
	case o.given["script"]:
		return runScript(ctx, o, stdin, stdout, stderr)
	case o.given["seeds"]:
		return runSeeds(ctx, o, stdout, stderr)
	case o.given["seed"]:
		return runSeed(ctx, o, stdout, stderr)
	}
	return runLive(ctx, o, stdout, stderr)
}
