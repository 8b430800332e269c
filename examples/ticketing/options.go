package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/script"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// What the program returns.
const (
	exitOK          = 0
	exitFailed      = 1 // an audit failed, or the program could not go on
	exitUsage       = 2 // bad flags
	exitBadLines    = 3 // a script had bad lines, and every audit passed
	exitInterrupted = 130
)

// options are what the command line says.
type options struct {
	customers, seats, sections int
	rates                      gateway.Rates
	speed                      float64
	seed                       uint64
	seeds                      int
	script                     string
	db                         string
	plain                      bool
	serve                      bool
	addr                       string

	terms sale.Terms      // of a live sale
	given map[string]bool // the flags that were
}

const usage = `Ticketing opens a sale and lets customers race for the seats, with failures on,
then audits it. It is the reference application of rondo.

  ticketing                 a live sale, on goroutines, with time running faster
  ticketing --seed 7        a simulated one, which repeats exactly
  ticketing --seeds 1000    simulated ones of the seeds 1 to 1000, audited
  ticketing --script FILE   a simulated one of the commands in FILE (- is stdin)
  ticketing serve           an HTTP API, in real time

Flags:
  --customers N    how many customers come (2000)
  --seats N        how many seats there are (500)
  --sections N     how many sections they are in (5)
  --decline RATE   how many charges are declined, from 0 to 1 (0.15)
  --timeout RATE   how many requests the gateway leaves without an answer (0.1)
  --late RATE      how many charges it decides after 20 s to 7 minutes (0.1)
                   In a script, and served, these rates are 0 unless given.
  --speed N        how many times faster than real a live sale runs (300: five
                   minutes pass in a second). Timeouts and deadlines run by the
                   sale's clock, and the database does not: from about 2000 on
                   most reservations run out of time, and the audit has to hold
  --db HOME        where a live sale has its log; another run goes on with it,
                   also after kill -9: sqlite:FILE,
                   postgres://… (migrated by go run ./cmd/rondo migrate), or
                   memory, which lives as long as the program. The default is a
                   temporary file, removed when the audit has passed.
                   A sale keeps its customers, seats and rates.
  --plain          print lines in a terminal too
  --addr HOST:PORT where serve listens (localhost:8080)
  --seed N, --seeds N, --script FILE   as above; --seed goes with --script too

Commands of a script, one JSON object a line (# begins a comment):
%s
Exit code: 0 the audit passed; 1 it failed; 2 bad flags; 3 it passed, but the
script had bad lines; 130 interrupted. A HOME that cannot be used is 2; one
whose sale another process runs is 1.
`

// parseOptions reads the command line.
func parseOptions(args []string) (options, error) {
	o := options{customers: 2000, seats: 500, sections: 5, speed: 300, given: map[string]bool{}}
	o.rates = gateway.Rates{Decline: 0.15, Timeout: 0.10, Late: 0.10}
	if o.serve = len(args) > 0 && args[0] == "serve"; o.serve {
		args = args[1:]
	}
	fs := flags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	fs.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	if o.given["script"] || o.serve {
		o.quietUnlessGiven()
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("argument %q: want flags only", fs.Arg(0))
	}
	for _, name := range []string{"customers", "seats", "sections", "speed", "seeds", "script", "plain"} {
		if o.serve && o.given[name] {
			return o, fmt.Errorf("--%s: has no meaning with serve", name)
		}
	}
	if !o.serve && o.given["addr"] {
		return o, errors.New("--addr: has no meaning without serve")
	}
	for _, p := range meaningless {
		if !o.serve && o.given[p.flag] && o.given[p.beside] {
			return o, fmt.Errorf("--%s: has no meaning with --%s", p.flag, p.beside)
		}
	}
	if o.sections > o.seats {
		return o, fmt.Errorf("--sections %d: want at most one for each of the %d --seats", o.sections, o.seats)
	}
	return o, nil
}

// meaningless are the flags that say nothing beside another.
var meaningless = []struct{ flag, beside string }{
	{"seed", "seeds"}, {"script", "seeds"},
	{"speed", "seed"}, {"speed", "seeds"}, {"speed", "script"},
	{"db", "seed"}, {"db", "seeds"}, {"db", "script"},
	{"customers", "script"}, {"seats", "script"}, {"sections", "script"},
}

// quietUnlessGiven leaves failures to the script, or has none.
func (o *options) quietUnlessGiven() {
	for name, rate := range map[string]*float64{"decline": &o.rates.Decline, "timeout": &o.rates.Timeout, "late": &o.rates.Late} {
		if !o.given[name] {
			*rate = 0
		}
	}
}

func flags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet("ticketing", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints errors and help
	fs.Var(count{&o.customers, 100_000}, "customers", "")
	fs.Var(count{&o.seats, 50_000}, "seats", "")
	fs.Var(count{&o.sections, 50}, "sections", "")
	fs.Var((*rate)(&o.rates.Decline), "decline", "")
	fs.Var((*rate)(&o.rates.Timeout), "timeout", "")
	fs.Var((*rate)(&o.rates.Late), "late", "")
	fs.Var((*speed)(&o.speed), "speed", "")
	fs.Var((*seed)(&o.seed), "seed", "")
	fs.Var(count{&o.seeds, 1_000_000}, "seeds", "")
	fs.StringVar(&o.script, "script", "", "")
	fs.Var((*db)(&o.db), "db", "")
	fs.BoolVar(&o.plain, "plain", false, "")
	o.addr = "localhost:8080"
	fs.Func("addr", "", func(text string) error {
		_, port, err := net.SplitHostPort(text)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
			return errors.New("want HOST:PORT")
		}
		o.addr = text
		return nil
	})
	return fs
}

// help is what --help prints.
func help() string { return fmt.Sprintf(usage, script.Help) }

// count is a flag for how many there are of something.
type count struct {
	n    *int
	most int
}

func (c count) String() string {
	if c.n == nil {
		return ""
	}
	return strconv.Itoa(*c.n)
}

func (c count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > c.most {
		return fmt.Errorf("want a whole number from 1 to %d", c.most)
	}
	*c.n = n
	return nil
}

// rate is a flag for how often something happens.
type rate float64

func (r *rate) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }

func (r *rate) Set(text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return errors.New("want a number from 0 to 1")
	}
	*r = rate(f)
	return nil
}

// speed is a flag for how fast time runs.
type speed float64

func (s *speed) String() string { return strconv.FormatFloat(float64(*s), 'g', -1, 64) }

func (s *speed) Set(text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 1 && f <= 10_000) {
		return errors.New("want a number from 1 to 10000")
	}
	*s = speed(f)
	return nil
}

// seed is a flag for the number of a simulation.
type seed uint64

func (s *seed) String() string { return strconv.FormatUint(uint64(*s), 10) }

func (s *seed) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errors.New("want a whole number from 0 to 18446744073709551615")
	}
	*s = seed(n)
	return nil
}

// db is a flag for where a sale has its log.
type db string

func (d *db) String() string { return string(*d) }

func (d *db) Set(text string) error {
	*d = db(text)
	return checkHome(text)
}

// adopt makes the options those of a live sale: of the one that a log has, or
// else of one that begins.
func (o *options) adopt(books *sale.Books) error {
	if !books.Opened {
		o.terms = sale.Terms{
			Customers: o.customers, Seats: o.seats, Sections: o.sections, Rates: o.rates,
			Seed:     uint64(rand.Uint32()), //nolint:gosec // any will do; a short one is easier to type
			OpenedAt: time.Now().UTC().Truncate(time.Millisecond),
		}
		return nil
	}
	t := books.Terms
	for _, f := range []struct {
		name      string
		asked, is any
	}{
		{"customers", o.customers, t.Customers}, {"seats", o.seats, t.Seats}, {"sections", o.sections, t.Sections},
		{"decline", o.rates.Decline, t.Rates.Decline}, {"timeout", o.rates.Timeout, t.Rates.Timeout}, {"late", o.rates.Late, t.Rates.Late},
	} {
		if o.given[f.name] && f.asked != f.is {
			return fmt.Errorf("there is a sale with --%s %v, not %v: leave that out to go on with it, or give another --db", f.name, f.is, f.asked)
		}
	}
	o.terms, o.customers, o.seats, o.sections, o.rates = t, t.Customers, t.Seats, t.Sections, t.Rates
	return nil
}

// seatsInRow is how long the rows of the hall are.
const seatsInRow = 20

// hall is what is on offer: sections as even as they can be, the first ones the
// dearest.
func (o *options) hall() event.Draft {
	d := event.Draft{Name: "gala", Tiers: []ticket.Tier{{Name: "Premium", Price: 149_90}, {Name: "Standard", Price: 89_50}, {Name: "Economy", Price: 45_25}}}
	for i := range o.sections {
		seats := o.seats / o.sections
		if i < o.seats%o.sections {
			seats++
		}
		var rows []int
		for ; seats > 0; seats -= seatsInRow {
			rows = append(rows, min(seats, seatsInRow))
		}
		d.Sections = append(d.Sections, event.Layout{
			Name: fmt.Sprintf("S%d", i+1), Tier: d.Tiers[i*len(d.Tiers)/o.sections].Name, Rows: rows,
		})
	}
	return d
}
