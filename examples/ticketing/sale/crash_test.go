package sale_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/saga"
	sagamemory "github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// fate is what becomes of a write, an append to the log or a commit of sagas.
type fate string

const (
	fine          fate = ""
	diesBefore    fate = "the process dies before it is made"
	diesAfter     fate = "the process dies after it is made and before it is answered"
	zombie        fate = "the process dies before it is made, and it arrives when another goes on"
	fails         fate = "it is not made"
	loses         fate = "it is made, and its answer lost"
	comesTwice    fate = "it is made twice"
	endsTheSale        = 1 << 30
	slowestAppend      = 2 * time.Second
)

// faults decide about the writes of a process.
type faults struct {
	left  int  // writes until one meets its fate
	fate  fate // of that
	dead  bool
	gone  store.Signal              // fired when it dies
	slow  *rand.Rand                // how long appends take, nil is no time
	later func(ctx context.Context) // the zombie's
}

var errLost = errors.New("no connection")

// write makes a write as its fate has it. What a dead process does is seen by
// nobody.
func (f *faults) write(ctx context.Context, do func(ctx context.Context) error, lost func(error) error) error {
	if f.slow != nil {
		if err := store.Sleep(context.WithoutCancel(ctx), time.Duration(f.slow.Int64N(int64(slowestAppend)))); err != nil {
			return err
		}
	}
	f.left--
	switch fate := f.fate; {
	case f.dead:
	case f.left != 0 || fate == fine:
		return do(ctx)
	case fate == fails:
		return lost(errLost)
	case fate == loses:
		_ = do(ctx)
		return lost(errLost)
	case fate == comesTwice:
		err := do(ctx)
		_ = do(ctx)
		return err
	case fate == diesAfter:
		_ = do(ctx)
	case fate == zombie:
		f.later = func(ctx context.Context) { _ = do(ctx) }
	}
	f.dead = true
	f.gone.Fire()
	return store.RuntimeOf(ctx).NewSignal().Wait(context.Background()) // for ever
}

// mortalLog is the log of a process.
type mortalLog struct {
	eventstore.Store
	*faults
}

func (m *mortalLog) Append(ctx context.Context, writes ...eventstore.Write) (done []eventstore.Appended, err error) {
	failed := m.write(ctx, func(ctx context.Context) error {
		d, err := m.Store.Append(ctx, writes...)
		if err == nil {
			done = d
		}
		return err
	}, func(err error) error { return &eventstore.UnknownOutcomeError{Err: err} })
	if failed != nil {
		return nil, failed
	}
	return done, nil
}

// mortalSagas are its store of sagas.
type mortalSagas struct {
	saga.Store
	*faults
}

func (m *mortalSagas) Commit(ctx context.Context, changes []saga.Change) (verdicts []saga.Verdict, err error) {
	failed := m.write(ctx, func(ctx context.Context) error {
		v, err := m.Store.Commit(ctx, changes)
		if verdicts == nil {
			verdicts = v
		}
		return err
	}, func(err error) error { return err })
	if failed != nil {
		return nil, failed
	}
	return verdicts, nil
}

// A dead process says nothing more.
func (m *mortalSagas) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if m.dead {
		return saga.Fleet{}, store.RuntimeOf(ctx).NewSignal().Wait(context.Background())
	}
	return m.Store.Beat(ctx, w, ttl)
}

// lives is a sale that goes through several processes.
type lives struct {
	*testing.T
	log       *memory.Store
	sagas     *sagamemory.Store
	now       func() time.Time
	rates     gateway.Rates
	customers int
	slow      bool
	zombie    func(ctx context.Context)
}

func newLives(t *testing.T, rates gateway.Rates, customers int) *lives {
	t.Helper()
	l := &lives{T: t, rates: rates, customers: customers}
	now := func() time.Time { return l.now() }
	var err error
	l.log, err = memory.New(memory.Config{Now: now})
	require.NoError(t, err)
	l.sagas = sagamemory.New(sagamemory.Config{Now: now})
	return l
}

// live is one process. It is at work until one of its writes meets its fate, or the
// sale is over.
func (l *lives) live(seed uint64, writes int, what fate) (over, met bool, tally sale.Tally) {
	l.Helper()
	f := &faults{left: writes, fate: what}
	if l.slow {
		f.slow = rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // repeatable on purpose
	}
	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		l.now = rt.Now
		books, err := sale.Read(ctx, l.log)
		require.NoError(l, err)
		last, err := sale.Last(ctx, l.sagas)
		require.NoError(l, err)
		require.NoError(l, store.Sleep(ctx, last.Sub(rt.Now())))
		f.gone = rt.NewSignal() // or comes to its end
		rt.AfterFunc(2*time.Hour, f.gone.Fire)
		rt.Go(func() {
			defer f.gone.Fire()
			s, err := sale.New(&mortalLog{l.log, f}, &mortalSagas{l.sagas, f}, sale.Config{Seed: 7, Rates: l.rates, Runtime: rt})
			require.NoError(l, err)
			if !books.Opened {
				terms := sale.Terms{Customers: l.customers, Seed: 7, Rates: l.rates, OpenedAt: rt.Now()}
				if err := s.Begin(ctx, terms); err != nil {
					require.ErrorAs(l, err, new(*eventstore.ConflictError)) // what was lost, or arrived, was just that
				}
			}
			require.NoError(l, s.Run(ctx))
			require.NoError(l, s.Open(ctx, gala(4, 4)))
			if l.zombie != nil {
				l.zombie(ctx) // or it is refused: it comes too late
			}
			require.NoError(l, s.Serve(ctx, l.customers, 7))
			_, err = s.Event(ctx, "gala", event.Close{})
			require.NoError(l, err)
			records, err := s.Records(ctx)
			require.NoError(l, err)
			report := audit.Run(records)
			require.True(l, report.Passed(), "%d writes, %s:\n%s", writes, what, report)
			tally, err = s.Tally(ctx)
			require.NoError(l, err)
			require.Zero(l, tally.Open+tally.Held)
			over = true
			require.NoError(l, s.Close(ctx))
		})
		_ = f.gone.Wait(ctx)
	})
	if over {
		require.NoError(l, err)
	}
	l.zombie = f.later
	return over, f.left <= 0, tally
}

// Writes of a sale meet each fate, one at a time: the sale goes on, in the same
// process or another, and balances. With RONDO_LONG=1 it is every write there is.
func TestEveryWriteMeetsEveryFate(t *testing.T) {
	t.Parallel()
	rates := gateway.Rates{Decline: 0.2, Timeout: 0.3, Late: 0.3}
	step := 7 // of the writes
	if os.Getenv("RONDO_LONG") != "" {
		step = 1
	}
	for _, what := range []fate{diesBefore, diesAfter, zombie, fails, loses, comesTwice} {
		t.Run(string(what), func(t *testing.T) {
			t.Parallel()
			n := 1
			for ; ; n += step {
				l := newLives(t, rates, 4)
				over, met, tally := l.live(1, n, what)
				if !met {
					break // it has no more writes
				}
				if !over {
					over, _, tally = l.live(2, endsTheSale, fine)
				}
				require.True(t, over, "write %d: the sale does not come to an end", n)
				require.Positive(t, tally.Completed)
			}
			require.Greater(t, n, 60)
		})
	}
}

// A sale that dies again and again, also with a log that is slow.
func TestSaleDiesOften(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable on purpose
			l := newLives(t, gateway.Rates{Decline: 0.15, Timeout: 0.2, Late: 0.2}, 40)
			l.slow = seed%2 == 1
			life := uint64(0)
			for over := false; !over; life++ {
				over, _, _ = l.live(seed<<8|life, 20+rng.IntN(80), []fate{diesBefore, diesAfter, zombie}[rng.IntN(3)])
			}
			require.Greater(t, life, uint64(1), "it never died")
		})
	}
}
