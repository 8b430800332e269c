package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/show"
)

// runLive is the sale on real goroutines, with a log that another run can go on
// from.
func runLive(ctx context.Context, o options, stdout, stderr io.Writer) int {
	h, err := openHome(ctx, o.db)
	if err != nil {
		return refuse(ctx, exitUsage, fmt.Errorf("--db %s: %w", redacted(o.db), err), stderr)
	}
	l := &live{options: o, home: h, stdout: stdout, stderr: stderr}
	code := l.run(ctx)
	end := h.Close
	if l.forget {
		end = h.forget
	}
	if err := end(); err != nil && code == exitOK {
		code = refuse(ctx, exitFailed, err, stderr)
	}
	return code
}

// refuse says why the program ends.
func refuse(ctx context.Context, code int, err error, stderr io.Writer) int {
	if cause := context.Cause(ctx); cause != nil {
		if err = cause; errors.Is(err, context.Canceled) {
			fmt.Fprintln(stderr, "ticketing: interrupted")
			return exitInterrupted
		}
	}
	fmt.Fprintf(stderr, "ticketing: %v\n", err)
	return code
}

// patience is how far its home may be behind the sale before the clock waits for
// it, in the sale's time.
const patience = 3 * time.Second

// live is one run of a sale that is in a home.
type live struct {
	options
	home           *home
	lease          *lease // through which it is written
	stdout, stderr io.Writer
	forget         bool // the home has nothing that anybody needs
}

func (l *live) run(ctx context.Context) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var err error
	l.lease, err = takeLease(ctx, l.home, func(held *eventstore.LeaseHeldError) {
		fmt.Fprintf(l.stdout, "the sale is held by %s until %s: waiting whether it is still there\n",
			held.Owner, held.Expires.Format(time.TimeOnly))
	}, stop)
	if err != nil {
		l.forget = true // if it was made for this run
		return refuse(ctx, exitFailed, err, l.stderr)
	}
	code := l.hold(ctx, stop)
	if err := l.lease.giveUp(ctx); err != nil && code == exitOK {
		return refuse(ctx, exitFailed, err, l.stderr)
	}
	return code
}

// hold runs the sale while the process has the right to.
func (l *live) hold(ctx context.Context, stop context.CancelCauseFunc) int {
	books, err := sale.Read(ctx, l.lease)
	if err == nil {
		err = l.adopt(books)
	}
	if err != nil {
		return refuse(ctx, exitUsage, fmt.Errorf("--db %s: %w", redacted(l.db), err), l.stderr)
	}
	last, err := sale.Last(ctx, l.home.sagas)
	if err != nil {
		return refuse(ctx, exitFailed, err, l.stderr)
	}
	if last.Before(l.terms.OpenedAt) {
		last = l.terms.OpenedAt
	}
	rt := newFastRuntime(l.speed, last)
	defer rt.stop()
	lag := &lag{now: rt.Now}
	rt.waitFor(func(now time.Time) bool { return lag.since(now) > patience })
	var screen *show.Screen
	if terminal, ok := l.stdout.(*os.File); ok && !l.plain && isTerminal(terminal) {
		screen = newScreen(terminal)
	}
	s, err := sale.New(&pacedLog{l.lease, lag}, &pacedSagas{l.home.sagas, lag}, sale.Config{
		Seed: l.terms.Seed, Rates: l.terms.Rates, Runtime: rt, Speed: l.speed, Halted: stop,
		Watch: func(h sale.Happening) {
			if screen != nil {
				screen.Happened(h, l.terms.OpenedAt)
			}
		},
	})
	if err != nil {
		return refuse(ctx, exitFailed, err, l.stderr)
	}
	l.greet(books, last)
	return l.judge(ctx, s, rt, l.serve(ctx, s, rt, books, screen))
}

// serve goes on with the sale, or begins it, and follows it to its end.
func (l *live) serve(ctx context.Context, s *sale.Sale, rt *fastRuntime, books *sale.Books, screen *show.Screen) error {
	if !books.Opened {
		if err := s.Begin(ctx, l.terms); err != nil {
			return err
		}
	}
	if err := s.Run(ctx); err != nil || books.Closed() {
		return err
	}
	if err := s.Open(ctx, l.hall()); err != nil {
		return err
	}
	defer follow(ctx, s, rt, l.terms.OpenedAt, screen, l.stdout)()
	if err := s.Serve(ctx, l.customers, l.terms.Seed); err != nil {
		return err
	}
	_, err := s.Event(ctx, l.hall().Name, event.Close{})
	return err
}

// greet says what begins.
func (l *live) greet(books *sale.Books, last time.Time) {
	fmt.Fprintf(l.stdout, "%d customers, %d seats, %g times real speed, failures of seed %d\n", l.customers, l.seats, l.speed, l.terms.Seed)
	switch again := l.home.again(); {
	case books.Closed():
		fmt.Fprintf(l.stdout, "the sale is over: %d events are read\n", books.Count)
	case books.Opened:
		fmt.Fprintf(l.stdout, "the sale goes on at %s, after %d events\n", show.Clock(last.Sub(l.terms.OpenedAt)), books.Count)
	case again != "":
		fmt.Fprintf(l.stdout, "it is in %s; whenever it is stopped, it goes on with\n  %s\n", l.home.name, again)
	}
}

// judge tells how the sale went and audits it.
func (l *live) judge(ctx context.Context, s *sale.Sale, rt *fastRuntime, err error) int {
	took := time.Since(rt.began)
	if ctx.Err() != nil {
		_ = s.Close(ctx) // cuts short what goes on, and says what: not of interest here
		code := refuse(ctx, exitFailed, err, l.stderr)
		if again := l.home.again(); again != "" {
			fmt.Fprintf(l.stderr, "to go on with the sale: %s\n", again)
		} else {
			fmt.Fprintln(l.stderr, "it was before the end, so there is nothing to audit")
		}
		return code
	}
	tally, uncounted := s.Tally(ctx)
	records, unread := s.Records(ctx)
	report := audit.Run(records)
	err = errors.Join(err, uncounted, unread, s.Close(ctx))
	reservations := tally.Open + tally.Completed + tally.Failed + tally.Cancelled
	rate := func(n int64) float64 { return float64(n) / took.Seconds() }
	fmt.Fprintf(l.stdout, "%s\n%s\n", show.Clock(rt.Now().Sub(l.terms.OpenedAt)), strings.Join(show.Summary(tally), "\n"))
	fmt.Fprintf(l.stdout, "\n%.2f s: %d reservations, %.0f a second; %d decisions, %.0f a second; %d events, %.0f a second\n\naudit\n%s",
		took.Seconds(), reservations, rate(int64(reservations)), tally.Decisions, rate(tally.Decisions), tally.Events, rate(tally.Events), report)
	code := verdict(report.Passed(), err, l.stdout, l.stderr)
	l.forget = code == exitOK
	if code != exitOK {
		if again := l.home.again(); tally.Stuck > 0 && again != "" {
			db := strings.ReplaceAll(l.home.name, "'", `'\''`)
			fmt.Fprintf(l.stdout, "to see what is stuck: go run ./cmd/rondo saga list --status stuck --db '%s'; what was mended goes on with: %s\n", db, again)
		}
		fmt.Fprintf(l.stdout, "to simulate a sale with the same customers and failures: go run ./examples/ticketing --seed %d%s\n", l.terms.Seed, l.repeat())
	}
	return code
}

// follow shows the sale while it goes on, on the screen or in lines.
func follow(ctx context.Context, s *sale.Sale, rt *fastRuntime, opened time.Time, screen *show.Screen, stdout io.Writer) (stop func()) {
	clock := func() string { return show.Clock(rt.Now().Sub(opened)) }
	// What cannot be read now is shown the next time.
	if screen != nil {
		return screen.Start(func() (string, sale.Tally, []inventory.Section) {
			tally, _ := s.Tally(ctx)
			sections, _ := s.Sections(ctx)
			return clock(), tally, sections
		})
	}
	return every(rt, progressEvery, func() {
		if tally, err := s.Tally(ctx); err == nil {
			fmt.Fprintf(stdout, "%s  %s\n", clock(), show.Progress(tally))
		}
	})
}

func isTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" //nolint:gosec // a file descriptor is small
}

func newScreen(terminal *os.File) *show.Screen {
	return &show.Screen{
		Out:    terminal,
		Colour: os.Getenv("NO_COLOR") == "",
		Size: func() (width, height int) {
			width, height, err := term.GetSize(int(terminal.Fd())) //nolint:gosec // a file descriptor is small
			if err != nil || width <= 0 || height <= 0 {
				return 80, 24
			}
			return width, height
		},
	}
}
