package sale_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// mortal is an event store whose process dies at one of its appends: nothing of
// what it does after that is seen by anybody.
type mortal struct {
	eventstore.Store
	left int // appends until it dies
	how  death
	last []eventstore.Write // what was on its way
}

// death is how far the last append has come.
type death string

const (
	before death = "before the append is made"
	after  death = "after it is made and before it is answered"
	zombie death = "before it is made, but it arrives when another process goes on"
)

func (m *mortal) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	m.left--
	if m.left > 0 {
		return m.Store.Append(ctx, writes...)
	}
	if m.left == 0 {
		if m.last = writes; m.how == after {
			if _, err := m.Store.Append(ctx, writes...); err != nil {
				return nil, err
			}
		}
	}
	return nil, store.RuntimeOf(ctx).NewSignal().Wait(context.Background()) // for ever
}

// lives is a sale that goes through several processes.
type lives struct {
	home      eventstore.Store
	rates     gateway.Rates
	customers int
	slowest   time.Duration // if the log is a tardy one
	zombie    []eventstore.Write
}

// live is one of its processes. It lives for so many appends.
func (l *lives) live(t *testing.T, seed uint64, appends int, how death) (over bool, report audit.Report, tally sale.Tally) {
	t.Helper()
	m := &mortal{Store: l.home, left: appends, how: how}
	if l.slowest > 0 {
		m.Store = &tardy{l.home, rand.New(rand.NewPCG(seed, 3)), l.slowest}
	}
	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		past, err := sale.Read(ctx, m)
		require.NoError(t, err)
		if len(l.zombie) > 0 {
			_, _ = l.home.Append(ctx, l.zombie...) // or it is refused: it comes too late
		}
		require.NoError(t, store.Sleep(ctx, past.Last.Sub(rt.Now())))
		terms := sale.Terms{Customers: l.customers, Seed: 7, Rates: l.rates, OpenedAt: rt.Now()}
		died := rt.NewSignal()
		rt.Go(func() {
			defer died.Fire()
			if err := past.Begin(ctx, terms); err != nil {
				// What arrived was the other's own beginning.
				require.ErrorAs(t, err, new(*eventstore.ConflictError))
				return
			}
			s, err := sale.New(sale.Config{Seed: past.Terms.Seed, Rates: past.Terms.Rates, Runtime: rt, Past: past})
			require.NoError(t, err)
			s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 4, 4))
			require.NoError(t, s.GoOn(ctx))
			require.NoError(t, s.Serve(ctx, past.Terms.Customers, past.Terms.Seed))
			report, tally, over = audit.Run(s.Records()), s.Tally(), true
			require.NoError(t, s.Close(ctx))
		})
		_ = store.Sleep(ctx, 24*time.Hour) // long after its end
		if !over {
			return
		}
		_ = died.Wait(ctx)
	})
	if over {
		require.NoError(t, err)
	}
	l.zombie = nil
	if how == zombie {
		l.zombie = m.last
	}
	return over, report, tally
}

func newLives(t *testing.T, rates gateway.Rates, customers int) *lives {
	t.Helper()
	home, err := memory.New(memory.Config{})
	require.NoError(t, err)
	return &lives{home: home, rates: rates, customers: customers}
}

const untilItsEnd = 1 << 30

// A sale that dies at any of its appends, in any way, goes on and balances.
func TestSaleDiesAtEveryAppend(t *testing.T) {
	t.Parallel()
	rates := gateway.Rates{Decline: 0.2, Timeout: 0.3, Late: 0.3}
	for _, how := range []death{before, after, zombie} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			died := 0
			for appends := 1; ; appends++ {
				l := newLives(t, rates, 5)
				over, _, _ := l.live(t, 1, appends, how)
				if over {
					break
				}
				died++
				over, report, tally := l.live(t, 2, untilItsEnd, before)
				if !over && how == zombie && appends == 1 {
					over, report, tally = l.live(t, 3, untilItsEnd, before)
				}
				require.True(t, over, "died at append %d, and the next process did not come to an end", appends)
				require.True(t, report.Passed(), "died at append %d:\n%s", appends, report)
				require.Zero(t, tally.Open+tally.Held)
				require.Positive(t, tally.Completed)
			}
			require.Greater(t, died, 50)
		})
	}
}

// A sale that dies again and again.
func TestSaleDiesOften(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			l := newLives(t, gateway.Rates{Decline: 0.15, Timeout: 0.2, Late: 0.2}, 40)
			l.slowest = time.Duration(seed%2) * 2 * time.Second
			for life := uint64(0); ; life++ {
				how := []death{before, after, zombie}[rng.IntN(3)]
				over, report, tally := l.live(t, seed<<8|life, 20+rng.IntN(60), how)
				if !over {
					continue
				}
				require.True(t, report.Passed(), "%s", report)
				require.Zero(t, tally.Open+tally.Held)
				require.Positive(t, life, "it never died")
				break
			}
		})
	}
}
