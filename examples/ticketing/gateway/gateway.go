// Package gateway is a simulated payment gateway: the outside world, with its
// faults. It declines cards, leaves requests without an answer whether or not it
// has done what they ask, and takes its time. It also keeps the ledger that the
// audit believes.
//
// What it does to a request is drawn from its seed, the payment's key and the
// number of requests that came about that key before. So it does not depend on
// the order in which customers come, and repeats with the seed.
//
// What it has done is in a log, a stream for each key, before it answers: the
// gateway outlives the sale's process, as it would in life.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
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

var errProcessing = errors.New("charge is still in the works")

// Gateway is the simulated gateway. Its methods may be called from any
// goroutine.
type Gateway struct {
	seed  uint64
	rates Rates
	log   *recorder.Log

	mu       sync.Mutex // of what the accounts have
	accounts map[ticket.Reservation]*account
}

// account is what the gateway knows under one key.
type account struct {
	ledger
	behaviour *Behaviour // instead of what is drawn, nil for none
	requests  int
	silent    int // requests left without an answer
}

// ledger is what has happened under a key, as the log has it. Time decides: a
// charge is done once it is decidedAt, whoever looks.
type ledger struct {
	version    eventstore.Version
	charge     payment.Standing // as it stands when decided
	amount     ticket.Money
	decidedAt  time.Time
	refundedAt time.Time // zero if it was not
	closed     bool      // nothing is charged any more
}

// New makes a gateway that writes to that log.
func New(seed uint64, rates Rates, log *recorder.Log) *Gateway {
	return &Gateway{seed: seed, rates: rates, log: log, accounts: map[ticket.Reservation]*account{}}
}

// Behave sets what the gateway does to the first charge under a key.
func (g *Gateway) Behave(key ticket.Reservation, b Behaviour) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.account(key).behaviour = &b
}

// Handlers are the handlers of the payment's requests.
func (g *Gateway) Handlers() []effect.Handler {
	return []effect.Handler{
		effect.Handle(g.submitCharge),
		effect.Handle(g.lookUp),
		effect.Handle(g.submitRefund),
	}
}

func (g *Gateway) submitCharge(ctx context.Context, q payment.SubmitCharge) (struct{}, error) {
	standing, wait, heard, err := g.takeCharge(ctx, q, now(ctx))
	if err != nil {
		return struct{}{}, err
	}
	if err := reply(ctx, wait, heard); err != nil {
		return struct{}{}, err
	}
	if standing != payment.StandsCharged {
		return struct{}{}, fmt.Errorf("charge %s: %w", q.Key, payment.ErrDeclined)
	}
	return struct{}{}, nil
}

// takeCharge decides a charge. It returns what will have become of it, after
// which wait, and whether the caller hears of it.
func (g *Gateway) takeCharge(ctx context.Context, q payment.SubmitCharge, now time.Time) (s payment.Standing, wait time.Duration, heard bool, err error) {
	lost, heard := g.hears(q.Key)
	declined, delay := g.decides(q.Key)
	l, err := g.keep(ctx, q.Key, func(l *ledger) any {
		if l.charge != payment.StandsUnknown || l.closed || lost { // it came before, too late, or never
			return nil
		}
		return ChargeTaken{q.Key, q.Amount, declined, now.Add(delay)}
	})
	if l.charge == payment.StandsUnknown && l.closed {
		return payment.StandsDeclined, 0, heard, err
	}
	return l.charge, max(0, l.decidedAt.Sub(now)), heard, err
}

func (g *Gateway) lookUp(ctx context.Context, q payment.LookUp) (payment.Standing, error) {
	standing, heard := g.takeLookup(q.Key, now(ctx))
	return standing, reply(ctx, 0, heard)
}

func (g *Gateway) takeLookup(key ticket.Reservation, now time.Time) (s payment.Standing, heard bool) {
	_, heard = g.hears(key)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.account(key).standing(now), heard
}

func (g *Gateway) submitRefund(ctx context.Context, q payment.SubmitRefund) (ticket.Money, error) {
	amount, heard, err := g.takeRefund(ctx, q.Key, now(ctx))
	if silence := reply(ctx, 0, heard); silence != nil {
		return 0, silence
	}
	return amount, err
}

func (g *Gateway) takeRefund(ctx context.Context, key ticket.Reservation, now time.Time) (amount ticket.Money, heard bool, err error) {
	lost, heard := g.hears(key)
	if lost {
		return 0, false, nil
	}
	l, err := g.keep(ctx, key, func(l *ledger) any {
		if l.closed || l.standing(now) == payment.StandsProcessing {
			return nil
		}
		return Closed{key, now}
	})
	switch {
	case err != nil:
		return 0, heard, err
	case !l.closed:
		return 0, heard, fmt.Errorf("refund %s: %w", key, errProcessing)
	case l.refundedAt.IsZero():
		return 0, heard, nil
	}
	return l.amount, heard, nil
}

// account finds that of a key. It is called with mu held.
func (g *Gateway) account(key ticket.Reservation) *account {
	a := g.accounts[key]
	if a == nil {
		a = &account{}
		g.accounts[key] = a
	}
	return a
}

// hears tells whether a request is lost on its way to the gateway, and whether
// its caller hears the answer.
func (g *Gateway) hears(key ticket.Reservation) (lost, heard bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.account(key)
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
	b := g.account(key).behaviour
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

func (l *ledger) standing(now time.Time) payment.Standing {
	if l.charge != payment.StandsUnknown && now.Before(l.decidedAt) {
		return payment.StandsProcessing
	}
	return l.charge
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

// Ledger returns what was charged and refunded up to now, by key, and the keys
// of charges that are not decided yet.
func (g *Gateway) Ledger(now time.Time) (entries []Entry, undecided []ticket.Reservation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(g.accounts)) {
		a := g.accounts[key]
		switch a.standing(now) {
		case payment.StandsProcessing:
			undecided = append(undecided, key)
		case payment.StandsCharged:
			entries = append(entries, Entry{key, IsCharge, a.amount, a.decidedAt})
			if !a.refundedAt.IsZero() {
				entries = append(entries, Entry{key, IsRefund, a.amount, a.refundedAt})
			}
		case payment.StandsUnknown, payment.StandsDeclined:
		}
	}
	return entries, undecided
}
