package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/show"
	"github.com/seed57833328/rondo/store"
)

// fastRuntime is the real runtime with time running faster.
type fastRuntime struct {
	store.Runtime
	began time.Time
	speed float64
}

func newFastRuntime(speed float64) *fastRuntime {
	return &fastRuntime{Runtime: store.RuntimeOf(context.Background()), began: time.Now(), speed: speed}
}

// Elapsed is the time that has passed on this runtime.
func (r *fastRuntime) Elapsed() time.Duration {
	return time.Duration(float64(time.Since(r.began)) * r.speed)
}

// Now is the time on this runtime.
func (r *fastRuntime) Now() time.Time { return r.began.Add(r.Elapsed()) }

// AfterFunc runs f when d of this runtime's time has passed.
func (r *fastRuntime) AfterFunc(d time.Duration, f func()) store.Timer {
	return fastTimer{r.Runtime.AfterFunc(r.real(d), f), r}
}

func (r *fastRuntime) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / r.speed)
}

type fastTimer struct {
	store.Timer
	runtime *fastRuntime
}

func (t fastTimer) Reset(d time.Duration) bool { return t.Timer.Reset(t.runtime.real(d)) }

// runLive is the sale on real goroutines.
func runLive(ctx context.Context, o options, stdout, stderr io.Writer) int {
	rt := newFastRuntime(o.speed)
	seed := uint64(rand.Uint32()) //nolint:gosec // any will do; a short one is easier to type
	var screen *show.Screen
	if terminal, ok := stdout.(*os.File); ok && !o.plain && isTerminal(terminal) {
		screen = newScreen(terminal)
	}
	watch := func(h sale.Happening) {
		if screen != nil {
			screen.Happened(h, rt.began)
		}
	}
	s, err := sale.New(sale.Config{Seed: seed, Rates: o.rates, Runtime: rt, Watch: watch})
	if err != nil {
		fmt.Fprintf(stderr, "ticketing: %v\n", err)
		return exitFailed
	}
	s.Offer(o.hall()...)
	fmt.Fprintf(stdout, "%d customers, %d seats, %g times real speed, failures of seed %d\n", o.customers, o.seats, o.speed, seed)

	stop := follow(s, rt, screen, stdout)
	err = s.Serve(ctx, o.customers, seed)
	stop()

	took, tally := time.Since(rt.began), s.Tally()
	fmt.Fprintf(stdout, "%s\n%s\n", show.Clock(rt.Elapsed()), strings.Join(show.Summary(tally), "\n"))
	if ctx.Err() != nil {
		_ = s.Close(ctx) // cuts short what goes on, and says what: not of interest here
		fmt.Fprintln(stderr, "ticketing: interrupted before the end, so there is nothing to audit")
		return exitInterrupted
	}
	report := audit.Run(s.Records())
	err = errors.Join(err, s.Close(ctx))
	reservations := tally.Open + tally.Completed + tally.Failed + tally.Cancelled
	fmt.Fprintf(stdout, "\n%.2f s: %d reservations, %.0f a second; %d actions, %.0f a second\n\naudit\n%s",
		took.Seconds(), reservations, float64(reservations)/took.Seconds(), tally.Actions, float64(tally.Actions)/took.Seconds(), report)
	code := verdict(report.Passed(), err, stdout, stderr)
	if code != exitOK {
		fmt.Fprintf(stdout, "to simulate a sale with the same customers and failures: go run ./examples/ticketing --seed %d%s\n", seed, o.repeat())
	}
	return code
}

// follow shows the sale while it goes on, on the screen or in lines.
func follow(s *sale.Sale, rt *fastRuntime, screen *show.Screen, stdout io.Writer) (stop func()) {
	if screen != nil {
		return screen.Start(func() (string, sale.Tally, []inventory.Section) {
			return show.Clock(rt.Elapsed()), s.Tally(), s.Sections()
		})
	}
	return every(rt, progressEvery, func() {
		fmt.Fprintf(stdout, "%s  %s\n", show.Clock(rt.Elapsed()), show.Progress(s.Tally()))
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
