package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
	"github.com/seed57833328/rondo/testkit"
)

// simulated runs f on virtual time.
func simulated(t *testing.T, f func(ctx context.Context, rt *sim.Runtime)) {
	t.Helper()
	require.NoError(t, sim.Run(1, f))
}

// newGateway makes one with accounts in memory.
func newGateway(t *testing.T, rt store.Runtime, seed uint64, rates Rates) *Gateway {
	t.Helper()
	log, err := memory.New(memory.Config{})
	require.NoError(t, err)
	registry, err := eventstore.NewRegistry(Types()...)
	require.NoError(t, err)
	accounts, err := aggregate.New("gateway", Decider{}, registry, log, aggregate.Config[Account]{Runtime: rt})
	require.NoError(t, err)
	return New(seed, rates, accounts)
}

// ledger is what an account has come to.
func ledger(ctx context.Context, t *testing.T, g *Gateway, key ticket.Reservation) (Account, []Entry) {
	t.Helper()
	got, err := g.accounts.Load(ctx, string(key))
	require.NoError(t, err)
	return got.State, got.State.Entries(key, store.RuntimeOf(ctx).Now())
}

// within runs f and gives up after d, as a client with a timeout does.
func within[R any](ctx context.Context, rt *sim.Runtime, d time.Duration, f func(context.Context) (R, error)) (R, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer rt.AfterFunc(d, cancel).Stop()
	return f(ctx)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	taken := ChargeTaken{500, false, noon.Add(time.Minute)}
	testkit.Given(t, Decider{}).At(noon).
		When(take{500, false, time.Minute}).Then(taken).
		When(take{500, true, 0}).ThenNothing().
		When(closeAccount{}).ThenRejected("charge-in-the-works")
	testkit.Given(t, Decider{}, taken).At(taken.DecidedAt).
		When(closeAccount{}).Then(Closed{taken.DecidedAt}).
		ThenState(func(a *Account) { a.Closed, a.RefundedAt = true, taken.DecidedAt }).
		When(closeAccount{}).ThenNothing()
	testkit.Given(t, Decider{}).At(noon).
		When(closeAccount{}).Then(Closed{noon}).ThenState(func(a *Account) { a.Closed = true }).
		When(take{500, false, 0}).ThenNothing()
	testkit.Given(t, Decider{}, ChargeTaken{500, true, noon}).At(noon).
		When(closeAccount{}).Then(Closed{noon}).ThenState(func(a *Account) { a.Closed = true })
}

func TestChargeRefundLedger(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		g := newGateway(t, rt, 1, Rates{})
		for range 2 { // the second does nothing
			require.NoError(t, g.Charge(ctx, "ann", 500))
		}
		_, entries := ledger(ctx, t, g, "ann")
		require.Len(t, entries, 1)
		for range 2 {
			amount, err := g.Refund(ctx, "ann")
			require.NoError(t, err)
			require.Equal(t, ticket.Money(500), amount)
		}
		_, entries = ledger(ctx, t, g, "ann")
		require.Equal(t, []Kind{IsCharge, IsRefund}, []Kind{entries[0].Kind, entries[1].Kind})
		require.Equal(t, entries[0].Amount, entries[1].Amount)
		require.True(t, entries[0].At.Before(entries[1].At))
	})
}

func TestRefundClosesTheKey(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		g := newGateway(t, rt, 1, Rates{})
		amount, err := g.Refund(ctx, "ann")
		require.NoError(t, err)
		require.Zero(t, amount)
		require.ErrorIs(t, g.Charge(ctx, "ann", 500), ErrDeclined)
		_, entries := ledger(ctx, t, g, "ann")
		require.Empty(t, entries)
	})
}

func TestBehaviours(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		behaviour Behaviour
		heard     bool // the client hears of its charge in time
		declined  bool
		soon      int // charges when the client has given up
		later     int // ten minutes after
	}{
		"as usual": {Behaviour{}, true, false, 1, 1},
		"decline":  {Behaviour{Decline: true}, true, true, 0, 0},
		"timeout":  {Behaviour{Silent: true}, false, false, 1, 1},
		"lost":     {Behaviour{Lost: true}, false, false, 0, 0},
		"late":     {Behaviour{Delay: 6 * time.Minute}, false, false, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(ctx context.Context, rt *sim.Runtime) {
				g := newGateway(t, rt, 1, Rates{})
				g.Behave("ann", c.behaviour)
				_, err := within(ctx, rt, 10*time.Second, func(ctx context.Context) (struct{}, error) {
					return struct{}{}, g.Charge(ctx, "ann", 500)
				})
				switch {
				case c.declined:
					require.ErrorIs(t, err, ErrDeclined)
				case c.heard:
					require.NoError(t, err)
				default:
					require.ErrorIs(t, err, context.Canceled)
				}
				account, entries := ledger(ctx, t, g, "ann")
				require.Len(t, entries, c.soon)
				require.Equal(t, name == "late", account.InTheWorks(rt.Now()))
				if name == "late" {
					_, err = g.Refund(ctx, "ann")
					require.Error(t, err)
					require.True(t, aggregate.IsRejection(err))
				}
				require.NoError(t, store.Sleep(ctx, 10*time.Minute))
				_, entries = ledger(ctx, t, g, "ann")
				require.Len(t, entries, c.later)
			})
		})
	}
}

// What happens to a payment depends on its key, not on who else pays and when.
func TestDrawsDoNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	keys := make([]ticket.Reservation, 200)
	for i := range keys {
		keys[i] = ticket.Reservation(fmt.Sprintf("r%d", i))
	}
	fates := func(keys []ticket.Reservation, seed uint64) map[ticket.Reservation]string {
		g := New(seed, Rates{Decline: 0.2, Timeout: 0.2, Late: 0.2}, nil)
		fates := map[ticket.Reservation]string{}
		for range 3 {
			for _, key := range keys {
				lost, heard := g.hears(key)
				declined, delay := g.decides(key)
				fates[key] += fmt.Sprintln(lost, heard, declined, delay)
			}
		}
		return fates
	}
	shuffled := slices.Clone(keys)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	require.Equal(t, fates(keys, 7), fates(shuffled, 7))
	require.NotEqual(t, fates(keys, 7), fates(keys, 8))
}

func TestRatesAreKept(t *testing.T) {
	t.Parallel()
	const n = 10_000
	g := New(3, Rates{Decline: 0.2, Timeout: 0.1, Late: 0.3}, nil)
	declined, silent, late := 0, 0, 0
	for i := range n {
		key := ticket.Reservation(fmt.Sprint(i))
		if _, heard := g.hears(key); !heard {
			silent++
		}
		no, delay := g.decides(key)
		if no {
			declined++
		}
		if delay >= earliestLate {
			late++
			require.Less(t, delay, latestLate)
		}
	}
	near := func(want float64, got int) { require.InDelta(t, want, float64(got)/n, 0.02) }
	near(0.1, silent)
	near(0.2, declined)
	near(0.3, late)
}

// However bad it is, it answers one day: a payment must come to its end.
func TestSilenceEnds(t *testing.T) {
	t.Parallel()
	g := New(1, Rates{Timeout: 1}, nil)
	for range maxSilent {
		_, heard := g.hears("ann")
		require.False(t, heard)
	}
	_, heard := g.hears("ann")
	require.True(t, heard)
}
