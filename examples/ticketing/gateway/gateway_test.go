package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/recorder"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// simulated runs f on virtual time.
func simulated(t *testing.T, f func(ctx context.Context, rt *sim.Runtime)) {
	t.Helper()
	require.NoError(t, sim.Run(1, f))
}

// newGateway makes one with a log in memory.
func newGateway(t *testing.T, seed uint64, rates Rates) *Gateway {
	t.Helper()
	home, err := memory.New(memory.Config{})
	require.NoError(t, err)
	return withLog(t, seed, rates, home)
}

func withLog(t *testing.T, seed uint64, rates Rates, home eventstore.Store) *Gateway {
	t.Helper()
	registry, err := eventstore.NewRegistry(Events()...)
	require.NoError(t, err)
	return New(seed, rates, &recorder.Log{Store: home, Registry: registry})
}

// within runs f and gives up after d, as a client with a timeout does.
func within[R any](ctx context.Context, rt *sim.Runtime, d time.Duration, f func(context.Context) (R, error)) (R, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer rt.AfterFunc(d, cancel).Stop()
	return f(ctx)
}

func TestChargeRefundLedger(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		g := newGateway(t, 1, Rates{})
		for range 2 { // the second does nothing
			_, err := g.submitCharge(ctx, payment.SubmitCharge{Key: "ann", Amount: 500})
			require.NoError(t, err)
		}
		standing, err := g.lookUp(ctx, payment.LookUp{Key: "ann"})
		require.NoError(t, err)
		require.Equal(t, payment.StandsCharged, standing)
		ledger, undecided := g.Ledger(rt.Now())
		require.Empty(t, undecided)
		require.Len(t, ledger, 1)

		for range 2 {
			amount, err := g.submitRefund(ctx, payment.SubmitRefund{Key: "ann"})
			require.NoError(t, err)
			require.Equal(t, ticket.Money(500), amount)
		}
		ledger, _ = g.Ledger(rt.Now())
		require.Equal(t, []Kind{IsCharge, IsRefund}, []Kind{ledger[0].Kind, ledger[1].Kind})
		require.Equal(t, ledger[0].Amount, ledger[1].Amount)
		require.True(t, ledger[0].At.Before(ledger[1].At))
	})
}

func TestRefundClosesTheKey(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, rt *sim.Runtime) {
		g := newGateway(t, 1, Rates{})
		amount, err := g.submitRefund(ctx, payment.SubmitRefund{Key: "ann"})
		require.NoError(t, err)
		require.Zero(t, amount)
		_, err = g.submitCharge(ctx, payment.SubmitCharge{Key: "ann", Amount: 500})
		require.ErrorIs(t, err, payment.ErrDeclined)
		ledger, _ := g.Ledger(rt.Now())
		require.Empty(t, ledger)
	})
}

func TestBehaviours(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		behaviour Behaviour
		heard     bool // the client hears of its charge in time
		declined  bool
		soon      payment.Standing // when the client has given up
		later     payment.Standing // ten minutes after
	}{
		"as usual": {Behaviour{}, true, false, payment.StandsCharged, payment.StandsCharged},
		"decline":  {Behaviour{Decline: true}, true, true, payment.StandsDeclined, payment.StandsDeclined},
		"timeout":  {Behaviour{Silent: true}, false, false, payment.StandsCharged, payment.StandsCharged},
		"lost":     {Behaviour{Lost: true}, false, false, payment.StandsUnknown, payment.StandsUnknown},
		"late":     {Behaviour{Delay: 6 * time.Minute}, false, false, payment.StandsProcessing, payment.StandsCharged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(ctx context.Context, rt *sim.Runtime) {
				g := newGateway(t, 1, Rates{})
				g.Behave("ann", c.behaviour)
				_, err := within(ctx, rt, 10*time.Second, func(ctx context.Context) (struct{}, error) {
					return g.submitCharge(ctx, payment.SubmitCharge{Key: "ann", Amount: 500})
				})
				switch {
				case c.declined:
					require.ErrorIs(t, err, payment.ErrDeclined)
				case c.heard:
					require.NoError(t, err)
				default:
					require.ErrorIs(t, err, context.Canceled)
				}
				standing, err := g.lookUp(ctx, payment.LookUp{Key: "ann"})
				require.NoError(t, err)
				require.Equal(t, c.soon, standing)
				_, err = g.submitRefund(ctx, payment.SubmitRefund{Key: "eve"}) // another's business
				require.NoError(t, err)
				if c.soon == payment.StandsProcessing {
					_, err = g.submitRefund(ctx, payment.SubmitRefund{Key: "ann"})
					require.ErrorIs(t, err, errProcessing)
					_, undecided := g.Ledger(rt.Now())
					require.Equal(t, []ticket.Reservation{"ann"}, undecided)
				}
				require.NoError(t, store.Sleep(ctx, 10*time.Minute))
				standing, err = g.lookUp(ctx, payment.LookUp{Key: "ann"})
				require.NoError(t, err)
				require.Equal(t, c.later, standing)
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
		g, now := newGateway(t, seed, Rates{Decline: 0.2, Timeout: 0.2, Late: 0.2}), sim.Start
		fates := map[ticket.Reservation]string{}
		for range 3 {
			for _, key := range keys {
				standing, wait, heard, err := g.takeCharge(t.Context(), payment.SubmitCharge{Key: key, Amount: 1}, now)
				require.NoError(t, err)
				fates[key] += fmt.Sprintln(standing, wait, heard)
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
	g := newGateway(t, 3, Rates{Decline: 0.2, Timeout: 0.1, Late: 0.3})
	declined, silent, late := 0, 0, 0
	for i := range n {
		standing, wait, heard, err := g.takeCharge(t.Context(), payment.SubmitCharge{Key: ticket.Reservation(fmt.Sprint(i)), Amount: 1}, sim.Start)
		require.NoError(t, err)
		switch {
		case !heard:
			silent++
		case standing == payment.StandsDeclined:
			declined++
		}
		if wait >= earliestLate {
			late++
			require.Less(t, wait, latestLate)
		}
	}
	near := func(want float64, got int) {
		require.InDelta(t, want, float64(got)/n, 0.02)
	}
	near(0.1, silent)
	near(0.9*0.2, declined)
	near(0.95*0.3, late) // half of the silent ones were never heard of
}

// However bad it is, it answers one day: a payment must come to its end.
func TestSilenceEnds(t *testing.T) {
	t.Parallel()
	g := newGateway(t, 1, Rates{Timeout: 1})
	for range maxSilent {
		_, heard := g.takeLookup("ann", sim.Start)
		require.False(t, heard)
	}
	_, heard := g.takeLookup("ann", sim.Start)
	require.True(t, heard)
}
