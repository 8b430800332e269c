package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/reducer"
)

var update = flag.Bool("update", false, "write the golden files anew")

// ticketing runs the program.
func ticketing(ctx context.Context, stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(ctx, args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

func TestTourIsAsItWas(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := ticketing(t.Context(), "", "--script", "testdata/tour.jsonl")
	require.Equal(t, exitOK, code)
	require.Empty(t, stderr)
	const golden = "testdata/tour.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(stdout), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err, "go test ./examples/ticketing -update writes it")
	require.Equal(t, string(want), stdout)
}

func TestSeedRepeats(t *testing.T) {
	t.Parallel()
	args := []string{"--seed", "7", "--customers", "150", "--seats", "120", "--decline", "0.3", "--timeout", "0.3", "--late", "0.3"}
	code, first, stderr := ticketing(t.Context(), "", args...)
	require.Equal(t, exitOK, code, "%s", first)
	require.Empty(t, stderr)
	_, second, _ := ticketing(t.Context(), "", args...)
	require.Equal(t, first, second)
	args[1] = "8"
	_, other, _ := ticketing(t.Context(), "", args...)
	require.NotEqual(t, first, other)
	require.Contains(t, first, "ok    each seat sold, held or free once  120 seats: ")
	require.Contains(t, first, "the audit passed\n")
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := ticketing(t.Context(), "", "--seeds", "6", "--customers", "60", "--seats", "40")
	require.Equal(t, exitOK, code)
	require.Empty(t, stderr)
	require.Regexp(t, `^6 sales of 60 customers for 40 seats audited in \S+: 6 passed, 0 failed\n$`, stdout)
}

// On real goroutines, with time running fast.
func TestLiveSale(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := ticketing(t.Context(), "", "--customers", "150", "--seats", "60", "--speed", "2000", "--late", "0.05")
	require.Equal(t, exitOK, code, "%s%s", stdout, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "150 customers, 60 seats, 2000 times real speed, failures of seed ")
	require.Regexp(t, `\d\d:\d\d\.\d{3}  seats \d+ sold `, stdout)
	require.Regexp(t, `\n\d+\.\d\d s: \d+ reservations, \d+ a second; \d+ decisions, \d+ a second; \d+ events, \d+ a second\n`, stdout)
	require.Contains(t, stdout, "the audit passed\n")
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--db", "memory"}, {"--seed", "1"}, {"--seeds", "5"}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		code, stdout, stderr := ticketing(ctx, "", args...)
		require.Equal(t, exitInterrupted, code, "%v", args)
		require.Contains(t, stderr, "interrupted")
		require.NotContains(t, stdout, "the audit")
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	for name, c := range map[string]struct {
		args   string
		stdin  string
		code   int
		stdout string // both contain
		stderr string
	}{
		"script":          {"--script -", `{"do":"audit"}`, exitOK, "the audit passed\n", ""},
		"empty script":    {"--script -", "", exitOK, "the audit passed\n", ""},
		"bad lines":       {"--script -", "x\n{}\n", exitBadLines, "2 bad lines\n", "line 2: do: missing"},
		"help":            {"--help", "", exitOK, "Exit code: 0 the audit passed", ""},
		"no such file":    {"--script " + filepath.Join(directory, "none"), "", exitUsage, "", "want a file, or - for standard input"},
		"a directory":     {"--script " + directory, "", exitFailed, "", "is a directory"},
		"decline":         {"--decline 1.5", "", exitUsage, "", `invalid value "1.5" for flag -decline: want a number from 0 to 1`},
		"timeout":         {"--timeout=-0.1", "", exitUsage, "", `invalid value "-0.1" for flag -timeout: want a number from 0 to 1`},
		"late":            {"--late often", "", exitUsage, "", `invalid value "often" for flag -late: want a number from 0 to 1`},
		"NaN":             {"--late NaN", "", exitUsage, "", `invalid value "NaN" for flag -late: want a number from 0 to 1`},
		"customers":       {"--customers 0", "", exitUsage, "", `invalid value "0" for flag -customers: want a whole number from 1 to 100000`},
		"seats":           {"--seats 1e3", "", exitUsage, "", `invalid value "1e3" for flag -seats: want a whole number from 1 to 50000`},
		"sections":        {"--sections 51", "", exitUsage, "", `invalid value "51" for flag -sections: want a whole number from 1 to 50`},
		"too many":        {"--sections 9 --seats 5", "", exitUsage, "", "--sections 9: want at most one for each of the 5 --seats"},
		"seed":            {"--seed -1", "", exitUsage, "", `invalid value "-1" for flag -seed: want a whole number from 0`},
		"no value":        {"--seed", "", exitUsage, "", "flag needs an argument: -seed"},
		"seeds":           {"--seeds 0", "", exitUsage, "", `invalid value "0" for flag -seeds: want a whole number from 1 to 1000000`},
		"speed":           {"--speed 0.5", "", exitUsage, "", `invalid value "0.5" for flag -speed: want a number from 1 to 10000`},
		"unknown":         {"--frob", "", exitUsage, "", "flag provided but not defined: -frob"},
		"argument":        {"now", "", exitUsage, "", `argument "now": want flags only`},
		"seed and seeds":  {"--seed 1 --seeds 2", "", exitUsage, "", "--seed: has no meaning with --seeds"},
		"script and size": {"--script - --seats 7", "", exitUsage, "", "--seats: has no meaning with --script"},
		"seed and speed":  {"--seed 1 --speed 7", "", exitUsage, "", "--speed: has no meaning with --seed"},
		"seed and db":     {"--seed 1 --db memory", "", exitUsage, "", "--db: has no meaning with --seed"},
		"serve and seats": {"serve --seats 7", "", exitUsage, "", "--seats: has no meaning with serve"},
		"addr":            {"--addr localhost:1", "", exitUsage, "", "--addr: has no meaning without serve"},
		"bad addr":        {"serve --db memory --addr nowhere", "", exitUsage, "", `invalid value "nowhere" for flag -addr: want HOST:PORT`},
		"bad port":        {"serve --db memory --addr localhost:65536", "", exitUsage, "", `invalid value "localhost:65536" for flag -addr: want HOST:PORT`},
		"addr in use":     {"serve --db memory --addr " + taken.Addr().String(), "", exitFailed, "", "--addr " + taken.Addr().String() + ": "},
		"db":              {"--db mysql://localhost/sale", "", exitUsage, "", `invalid value "mysql://localhost/sale" for flag -db: want memory, sqlite:FILE or postgres://`},
		"db without file": {"--db sqlite:", "", exitUsage, "", `invalid value "sqlite:" for flag -db: want memory, sqlite:FILE or`},
		"db, a directory": {"--db sqlite:" + directory, "", exitUsage, "", "want the path of a file, not of a directory"},
		"db, no folder":   {"--db sqlite:" + filepath.Join(directory, "none", "x.db"), "", exitUsage, "", "no such file or directory"},
		"db, no server":   {"--db postgres://nobody@127.0.0.1:1/sale", "", exitUsage, "", "the server is not reachable"},
		"db, bad URL":     {"--db postgres://nobody@127.0.0.1:port/sale", "", exitUsage, "", "open event store: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := ticketing(t.Context(), c.stdin, strings.Fields(c.args)...)
			require.Equal(t, c.code, code)
			require.Contains(t, stdout, c.stdout)
			require.Contains(t, stderr, c.stderr)
			if c.stderr == "" {
				require.Empty(t, stderr)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	require.Equal(t, exitOK, verdict(true, nil, &out, &errs))
	require.Equal(t, exitFailed, verdict(false, nil, &out, &errs))
	require.Equal(t, exitFailed, verdict(true, errors.New("it stands still"), &out, &errs))
	require.Equal(t, "the audit passed\nthe audit FAILED\n", out.String())
	require.Equal(t, "ticketing: it stands still\n", errs.String())
}

func TestFailingSeedTellsHowToRepeatIt(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"--seeds", "3", "--customers", "9", "--late", "0.25"})
	require.NoError(t, err)
	require.Equal(t, " --customers 9 --late 0.25", o.repeat())
	report := audit.Report{{Promise: "fine"}, {Promise: "each seat once", Problems: []string{"A1 is sold twice", "A2 too"}}}
	require.Equal(t, "not kept: each seat once (A1 is sold twice); 2 problems in all", why(report, nil))
	require.Equal(t, "it stands still", why(nil, errors.New("it stands still\nand more")))
}

func TestRatesOfAScriptAreZeroUnlessGiven(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"--script", "-", "--late", "0.5"})
	require.NoError(t, err)
	require.Equal(t, gateway.Rates{Late: 0.5}, o.rates)
	o, err = parseOptions(nil)
	require.NoError(t, err)
	require.Equal(t, gateway.Rates{Decline: 0.15, Timeout: 0.1, Late: 0.1}, o.rates)
}

func TestHallHasTheSeats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ seats, sections int }{{500, 5}, {1, 1}, {7, 3}, {41, 2}, {50_000, 50}} {
		o := options{seats: c.seats, sections: c.sections}
		total := 0
		d := o.hall()
		events, err := event.Decider{}.Decide(&event.State{}, d, reducer.Env{})
		require.NoError(t, err)
		require.Len(t, events, 1)
		for _, section := range d.Sections {
			for _, seats := range section.Rows {
				total += seats
			}
		}
		require.Equal(t, c.seats, total)
		require.Len(t, d.Sections, c.sections)
	}
}

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(help()) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, "%s", line)
	}
	fs := flags(new(options))
	fs.VisitAll(func(f *flag.Flag) { require.Contains(t, help(), "--"+f.Name+" ") })
}

func TestFastRuntime(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 7, 1, 20, 0, 0, 0, time.UTC)
	rt := newFastRuntime(1000, began)
	fired := make(chan time.Time)
	timer := rt.AfterFunc(time.Hour, func() { fired <- rt.Now() })
	require.True(t, timer.Reset(time.Second)) // a millisecond
	require.GreaterOrEqual(t, (<-fired).Sub(began), time.Second)
	require.GreaterOrEqual(t, rt.Now().Sub(began), time.Second)
	require.False(t, timer.Stop())
}

func BenchmarkSimulatedSale(b *testing.B) {
	o, err := parseOptions(nil)
	require.NoError(b, err)
	for seed := uint64(1); b.Loop(); seed++ {
		report, err := simulate(o, seed, nil)
		require.NoError(b, err)
		require.True(b, report.Passed(), fmt.Sprint(report))
	}
}
