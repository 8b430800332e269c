// Package gateway is a simulated payment gateway: the outside world, with its
// faults. It declines cards, leaves requests without an answer whether or not it
// has done what they ask, and takes its time. It also keeps the ledger that the
// audit believes.
//
// What it does to a request is drawn from its seed, the payment's key and the
// number of requests that came about that key before. So it does not depend on
// the order in which customers come, and repeats with the seed.
//
// Its accounts are in a log before it answers: the gateway outlives the sale's
// process, as it would in life.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
)

// Rates say how often the gateway fails, each from 0 to 1.
type Rates struct {
	Decline float64 // of charges: refused
	Timeout float64 // of requests: no answer comes; half of the time nothing was done either
	Late    float64 // of charges: decided after 20 seconds to 7 minutes
}

// Behaviour is what the gateway does to the first charge under a key, in place
// of what it would draw.
type Behaviour struct {
	Decline bool          // refuse it
	Lost    bool          // never hear of it
	Silent  bool          // do it, but do not answer
	Delay   time.Duration // decide it after that long; 0 is as usual
}

const (
	// maxSilent is how many requests about one key stay without an answer. It
	// is what a payment can count on to be settled one day.
	maxSilent = 3

	earliestLate = 20 * time.Second
	latestLate   = 7 * time.Minute
	answerTime   = 100 * time.Millisecond
)

// ErrDeclined is the gateway's refusal to charge.
var ErrDeclined = errors.New("declined")

// Accounts hosts what the gateway has done.
type Accounts = aggregate.Host[Account, Command, Event]

// Gateway is the simulated gateway. Its methods may be called from any
// goroutine.
type Gateway struct {
	seed     uint64
	rates    Rates
	accounts *Accounts

	mu     sync.Mutex
	served map[ticket.Reservation]*served
}

// served is what the process remembers of its requests about a key.
type served struct {
	behaviour *Behaviour // instead of what is drawn, nil for none
	requests  int
	silent    int // requests left without an answer
}

// New makes a gateway with those accounts.
func New(seed uint64, rates Rates, accounts *Accounts) *Gateway {
	return &Gateway{seed: seed, rates: rates, accounts: accounts, served: map[ticket.Reservation]*served{}}
}

// Behave sets what the gateway does to the first charge under a key.
func (g *Gateway) Behave(key ticket.Reservation, b Behaviour) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of(key).behaviour = &b
}

// Charge charges a card. The key makes it happen once, however often it is asked.
// It returns an error that wraps [ErrDeclined] if the gateway will not, now and
// for ever; after any other error it is unknown what happened.
func (g *Gateway) Charge(ctx context.Context, key ticket.Reservation, amount ticket.Money) error {
	lost, heard := g.hears(key)
	if lost {
		return reply(ctx, 0, false)
	}
	declined, delay := g.decides(key)
	got, err := g.accounts.Execute(ctx, string(key), take{amount, declined, delay})
	if err != nil {
		return err
	}
	a := got.State
	if err := reply(ctx, max(0, a.DecidedAt.Sub(now(ctx))), heard); err != nil {
		return err
	}
	if a.Declined || a.Amount == 0 {
		return fmt.Errorf("charge %s: %w", key, ErrDeclined)
	}
	return nil
}

// Refund gives back what was charged under the key, and charges nothing under it
// from now on. It returns the amount given back, the same each time. A charge
// that is not decided yet is an error.
func (g *Gateway) Refund(ctx context.Context, key ticket.Reservation) (ticket.Money, error) {
	lost, heard := g.hears(key)
	if lost {
		return 0, reply(ctx, 0, false)
	}
	got, err := g.accounts.Execute(ctx, string(key), closeAccount{})
	if silence := reply(ctx, 0, heard); silence != nil {
		return 0, silence
	}
	if err != nil || got.State.RefundedAt.IsZero() {
		return 0, err
	}
	return got.State.Amount, nil
}

// of finds what is remembered of a key. It is called with mu held.
func (g *Gateway) of(key ticket.Reservation) *served {
	a := g.served[key]
	if a == nil {
		a = &served{}
		g.served[key] = a
	}
	return a
}

// hears tells whether a request is lost on its way to the gateway, and whether
// its caller hears the answer.
func (g *Gateway) hears(key ticket.Reservation) (lost, heard bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.of(key)
	a.requests++
	if b := a.behaviour; b != nil {
		lost = b.Lost && a.requests == 1
		return lost, !lost && !(b.Silent && a.requests == 1)
	}
	if a.silent >= maxSilent || g.draw(key, "silent", a.requests) >= g.rates.Timeout {
		return false, true
	}
	a.silent++
	return g.draw(key, "lost", a.requests) < 0.5, false
}

// decides tells what the gateway does to a charge: whether it is declined, and
// how long it is in the works.
func (g *Gateway) decides(key ticket.Reservation) (declined bool, delay time.Duration) {
	g.mu.Lock()
	b := g.of(key).behaviour
	g.mu.Unlock()
	part := g.draw(key, "delay", 0)
	usual := time.Second + time.Duration(part*float64(6*time.Second))
	if b != nil {
		return b.Decline, cmp.Or(b.Delay, usual)
	}
	declined = g.draw(key, "decline", 0) < g.rates.Decline
	if g.draw(key, "late", 0) >= g.rates.Late {
		return declined, usual
	}
	return declined, earliestLate + time.Duration(part*float64(latestLate-earliestLate))
}

// draw gives a number from 0 to 1 that depends on its arguments and the seed.
func (g *Gateway) draw(key ticket.Reservation, what string, n int) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, key, "/", what, "/", n)
	return rand.New(rand.NewPCG(g.seed, h.Sum64())).Float64() //nolint:gosec // repeatable on purpose
}

func now(ctx context.Context) time.Time { return store.RuntimeOf(ctx).Now() }

// reply lets an answer travel. One that is not heard never arrives: the caller
// waits until it has had enough.
func reply(ctx context.Context, wait time.Duration, heard bool) error {
	if !heard {
		wait = 24 * time.Hour
	}
	if err := store.Sleep(ctx, wait+answerTime); err != nil {
		return err
	}
	if !heard {
		return context.DeadlineExceeded
	}
	return nil
}

// Entry is a line of the ledger.
type Entry struct {
	Key    ticket.Reservation
	Kind   Kind
	Amount ticket.Money
	At     time.Time
}

// Kind says which way the money went.
type Kind uint8

// The kinds of entries.
const (
	IsCharge Kind = iota + 1
	IsRefund
)

func (k Kind) String() string { return [...]string{"unknown", "charge", "refund"}[k] }

// Entries are the lines of the ledger that are of this account, up to now.
func (a *Account) Entries(key ticket.Reservation, now time.Time) []Entry {
	if !a.Charged(now) {
		return nil
	}
	entries := []Entry{{key, IsCharge, a.Amount, a.DecidedAt}}
	if !a.RefundedAt.IsZero() {
		entries = append(entries, Entry{key, IsRefund, a.Amount, a.RefundedAt})
	}
	return entries
}
