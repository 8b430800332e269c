// Package script runs a sale from lines of JSON, a command on each, in a
// simulation: the same lines with the same seed give the same output.
//
// A line that is not understood, or that makes no sense as things stand, is
// reported with its number and changes nothing. The others are carried out, none
// waits for what another has begun: only wait and audit let time pass. Empty
// lines and those that begin with # are passed over.
package script

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/show"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// MaxLine is how many bytes a line may have.
const MaxLine = 64 << 10

// Result is what came of a script.
type Result struct {
	BadLines int
	Audits   []audit.Report // the last one is made at the end
}

// Passed tells whether every audit passed.
func (r Result) Passed() bool {
	for _, report := range r.Audits {
		if !report.Passed() {
			return false
		}
	}
	return true
}

// Run carries out the lines of in. It writes what happens to out and what is
// wrong with a line to bad. Rates are those of the gateway for reservations
// without a behaviour of their own.
func Run(seed uint64, rates gateway.Rates, in io.Reader, out, bad io.Writer) (Result, error) {
	var result Result
	var failure error
	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		p := &player{
			ctx: ctx, rt: rt, out: out, bad: bad, result: &result,
			events: map[string][]inventory.Section{}, reserved: map[ticket.Reservation]bool{},
		}
		p.sale, failure = sale.InMemory(sale.Config{Seed: seed, Rates: rates, Runtime: rt, Watch: p.watch})
		if failure == nil {
			failure = p.sale.Run(ctx)
		}
		if failure == nil {
			failure = p.play(in)
		}
	})
	return result, errors.Join(failure, err)
}

// player carries out commands.
type player struct {
	ctx      context.Context //nolint:containedctx // that of the simulation, which lives as long
	rt       *sim.Runtime
	sale     *sale.Sale
	out, bad io.Writer
	result   *Result

	events     map[string][]inventory.Section // as they were opened
	eventNames []string
	reserved   map[ticket.Reservation]bool
	order      []ticket.Reservation // of reserved
	cancelled  []string             // events
}

// play carries out every line, and audits at the end.
func (p *player) play(in io.Reader) error {
	lines := bufio.NewReader(in)
	for number := 1; ; number++ {
		line, size, err := readLine(lines)
		if err != nil && err != io.EOF { //nolint:errorlint // the reader returns it as it is
			return fmt.Errorf("read line %d: %w", number, err)
		}
		if size > 0 {
			p.line(number, line, size)
		}
		if err != nil {
			break
		}
	}
	p.audit()
	return p.sale.Close(p.ctx)
}

// readLine reads a line, of which it keeps no more than MaxLine bytes.
func readLine(r *bufio.Reader) (line []byte, size int, err error) {
	for {
		part, err := r.ReadSlice('\n')
		size += len(part)
		line = append(line, part[:min(len(part), MaxLine-min(MaxLine, len(line)))]...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size, err
		}
	}
}

func (p *player) line(number int, line []byte, size int) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return
	}
	var do command
	err := fmt.Errorf("%s is %d bytes long, want at most %d", quote(string(line)), size, MaxLine)
	if size <= MaxLine {
		do, err = p.parse(line)
	}
	if err != nil {
		p.result.BadLines++
		fmt.Fprintf(p.bad, "line %d: %v\n", number, err)
		return
	}
	do(p)
}

// say writes a line with the time.
func (p *player) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%s  %s\n", show.Clock(p.rt.Elapsed()), fmt.Sprintf(format, args...))
}

// watch writes what happens to reservations.
func (p *player) watch(h sale.Happening) {
	if line := show.Line(h, sim.Start); line != "" {
		fmt.Fprintln(p.out, line)
	}
}

func (p *player) open(draft event.Draft, sections []inventory.Section) {
	p.events[draft.Name] = sections
	p.eventNames = append(p.eventNames, draft.Name)
	if err := p.sale.Open(p.ctx, draft); err != nil {
		p.say("%s cannot be opened: %v", draft.Name, err)
		return
	}
	p.say("%s is open", draft.Name)
	for _, s := range sections {
		p.say("  section %s, %s, %d seats at %s", s.ID.Name, s.Tier.Name, s.Seats(), s.Tier.Price)
	}
}

// callOff cancels an event, and goes on when everybody has the money back.
func (p *player) callOff(name string) {
	p.cancelled = append(p.cancelled, name)
	if _, err := p.sale.Event(p.ctx, name, event.Cancel{}); err != nil {
		p.say("%s cannot be cancelled: %v", name, err)
		return
	}
	p.say("%s is cancelled", name)
	p.rt.Go(func() {
		done, err := p.sale.AwaitCancellation(p.ctx, name)
		if err != nil {
			p.say("%s got no answer: %v", name, err)
			return
		}
		p.say("%s is undone: %d reservations revoked, %s refunded", name, done.Revoked, done.Refunded)
	})
}

func (p *player) reserve(order reservation.Order) {
	p.reserved[order.Reservation] = true
	p.order = append(p.order, order.Reservation)
	p.rt.Go(func() {
		if _, err := p.sale.Reserve(p.ctx, order); err != nil {
			p.say("%s got no answer: %v", order.Reservation, err)
		}
	})
}

func (p *player) cancel(id ticket.Reservation) {
	p.rt.Go(func() {
		if _, err := p.sale.Cancel(p.ctx, id); err != nil {
			p.say("%s got no answer: %v", id, err)
		}
	})
}

func (p *player) behave(id ticket.Reservation, b gateway.Behaviour) {
	p.sale.Behave(id, b)
}

func (p *player) wait(d time.Duration) {
	_ = store.Sleep(p.ctx, d) // a simulation's context does not end
}

func (p *player) status(id ticket.Reservation) {
	r, _ := p.sale.Reservation(id)
	switch {
	case r.Phase.Decided():
		p.say("%s is %s", id, r.Outcome)
	case len(r.Seats) > 0:
		p.say("%s is %s, %s for %s", id, r.Phase, ticket.Seats(r.Seats), r.Price)
	default:
		p.say("%s is %s", id, r.Phase)
	}
}

func (p *player) seats(id ticket.Section) {
	got, err := p.sale.Section(p.ctx, id)
	if err != nil {
		p.say("%s cannot be seen: %v", id, err)
		return
	}
	p.say("%s", id)
	fmt.Fprint(p.out, show.Map(&got.State))
}

// audit waits until every reservation is decided and every cancellation done,
// since an audit before tells nothing, and audits.
func (p *player) audit() {
	for _, id := range p.order {
		if _, err := p.sale.Await(p.ctx, id); err != nil {
			p.say("%s cannot be waited for: %v", id, err)
		}
	}
	for _, name := range p.cancelled {
		if _, err := p.sale.AwaitCancellation(p.ctx, name); err != nil {
			p.say("%s cannot be waited for: %v", name, err)
		}
	}
	records, err := p.sale.Records(p.ctx)
	if err != nil {
		p.say("the records cannot be read: %v", err)
	}
	report := audit.Run(records)
	p.result.Audits = append(p.result.Audits, report)
	p.say("audit")
	fmt.Fprint(p.out, report)
}
