package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/script"
	"github.com/seed57833328/rondo/examples/ticketing/show"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// progressEvery is how much time of the sale is between two lines about it.
const progressEvery = 30 * time.Second

// simulate runs the sale of one seed from the opening to the audit. What it
// writes depends on the seed and the options alone. Without an out it writes
// nothing, and is the same sale.
func simulate(o options, seed uint64, out io.Writer) (report audit.Report, err error) {
	if out == nil {
		out = io.Discard
	}
	crash := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		report, err = simulated(ctx, rt, o, seed, out)
	})
	return report, errors.Join(err, crash)
}

func simulated(ctx context.Context, rt *sim.Runtime, o options, seed uint64, out io.Writer) (audit.Report, error) {
	s, err := sale.InMemory(sale.Config{Seed: seed, Rates: o.rates, Runtime: rt})
	if err != nil {
		return nil, err
	}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	if err := s.Open(ctx, o.hall()); err != nil {
		return nil, err
	}
	tally := func() sale.Tally {
		t, unread := s.Tally(ctx)
		err = errors.Join(err, unread)
		return t
	}
	stop := every(rt, progressEvery, func() {
		fmt.Fprintf(out, "%s  %s\n", show.Clock(rt.Elapsed()), show.Progress(tally()))
	})
	served := s.Serve(ctx, o.customers, seed)
	stop()
	records, unread := s.Records(ctx)
	report, t := audit.Run(records), tally()
	fmt.Fprintf(out, "%s\n%s\n", show.Clock(rt.Elapsed()), strings.Join(show.Summary(t), "\n"))
	fmt.Fprintf(out, "\n%d decisions, %d events in %s of simulated time\n\naudit\n%s", t.Decisions, t.Events, rt.Elapsed().Round(time.Second), report)
	return report, errors.Join(err, served, unread, s.Close(ctx))
}

// every calls f again and again, until stop is called. No call of f goes on when
// stop has returned.
func every(rt store.Runtime, d time.Duration, f func()) (stop func()) {
	var mu sync.Mutex
	stopped := false
	var again func()
	again = func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			f()
			rt.AfterFunc(d, again)
		}
	}
	rt.AfterFunc(d, again)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
	}
}

// runSeed is --seed.
func runSeed(ctx context.Context, o options, stdout, stderr io.Writer) int {
	return interruptible(ctx, stdout, stderr, func(stdout, stderr io.Writer) int {
		fmt.Fprintf(stdout, "%d customers, %d seats, simulated from seed %d\n", o.customers, o.seats, o.seed)
		report, err := simulate(o, o.seed, stdout)
		return verdict(report.Passed(), err, stdout, stderr)
	})
}

// runScript is --script.
func runScript(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) int {
	if o.script != "-" {
		file, err := os.Open(o.script)
		if err != nil {
			fmt.Fprintf(stderr, "ticketing: --script: %v; want a file, or - for standard input\n", err)
			return exitUsage
		}
		defer func() { _ = file.Close() }() // it was only read
		stdin = file
	}
	return interruptible(ctx, stdout, stderr, func(stdout, stderr io.Writer) int {
		result, err := script.Run(o.seed, o.rates, stdin, stdout, stderr)
		code := verdict(result.Passed(), err, stdout, stderr)
		if result.BadLines > 0 {
			fmt.Fprintf(stdout, "%d bad lines\n", result.BadLines)
			if code == exitOK {
				code = exitBadLines
			}
		}
		return code
	})
}

// verdict says how an audit ended.
func verdict(passed bool, err error, stdout, stderr io.Writer) int {
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "ticketing: %v\n", err)
		return exitFailed
	case !passed:
		fmt.Fprintln(stdout, "the audit FAILED")
		return exitFailed
	}
	fmt.Fprintln(stdout, "the audit passed")
	return exitOK
}

// interruptible runs f, which knows no interrupts, until it ends or ctx does. In
// the latter case f is left to itself, and nothing more of what it writes comes
// out.
func interruptible(ctx context.Context, stdout, stderr io.Writer, f func(stdout, stderr io.Writer) int) int {
	out, errs := &gate{w: stdout}, &gate{w: stderr}
	code := make(chan int, 1)
	go func() { code <- f(out, errs) }()
	select {
	case c := <-code:
		return c
	case <-ctx.Done():
		out.close()
		errs.close()
		fmt.Fprintln(stderr, "ticketing: interrupted")
		return exitInterrupted
	}
}

// gate lets through what is written until it is closed.
type gate struct {
	mu     sync.Mutex
	w      io.Writer
	closed bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return len(p), nil
	}
	return g.w.Write(p)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// runSeeds is --seeds: as many simulations at once as there are processors, each
// of them one goroutine at a time.
func runSeeds(ctx context.Context, o options, stdout, stderr io.Writer) int {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // there is room, and the sales are short
	began := time.Now()
	var next, done, failed atomic.Int64
	var mu sync.Mutex // of stdout
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for ctx.Err() == nil {
				seed := next.Add(1)
				if seed > int64(o.seeds) {
					return
				}
				report, err := simulate(o, uint64(seed), nil) //nolint:gosec // positive
				done.Add(1)
				if err == nil && report.Passed() {
					continue
				}
				failed.Add(1)
				mu.Lock()
				fmt.Fprintf(stdout, "seed %d FAILED: %s; to repeat: go run ./examples/ticketing --seed %d%s\n", seed, why(report, err), seed, o.repeat())
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	fmt.Fprintf(stdout, "%d sales of %d customers for %d seats audited in %s: %d passed, %d failed\n",
		done.Load(), o.customers, o.seats, took.Round(time.Millisecond), done.Load()-failed.Load(), failed.Load())
	switch {
	case failed.Load() > 0:
		return exitFailed
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "ticketing: interrupted")
		return exitInterrupted
	}
	return exitOK
}

// why tells in a line what is wrong with a sale.
func why(report audit.Report, err error) string {
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return line
	}
	for _, check := range report {
		if len(check.Problems) > 0 {
			return fmt.Sprintf("not kept: %s (%s); %d problems in all", check.Promise, check.Problems[0], report.Problems())
		}
	}
	return "the audit passed"
}

// repeat is the flags that were given besides those of seeds.
func (o *options) repeat() string {
	var b strings.Builder
	for _, f := range []struct {
		name  string
		value any
	}{
		{"customers", o.customers}, {"seats", o.seats}, {"sections", o.sections},
		{"decline", o.rates.Decline}, {"timeout", o.rates.Timeout}, {"late", o.rates.Late},
	} {
		if o.given[f.name] {
			fmt.Fprintf(&b, " --%s %v", f.name, f.value)
		}
	}
	return b.String()
}
