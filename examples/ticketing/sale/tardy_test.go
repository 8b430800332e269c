package sale_test

import (
	"context"
	"errors"
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
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// tardy is an event store that takes up to slowest for an append, or much longer
// now and then, and does not always say what has become of it.
type tardy struct {
	eventstore.Store
	rng     *rand.Rand
	slowest time.Duration
}

func (s *tardy) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	ctx = context.WithoutCancel(ctx)
	d := time.Duration(s.rng.Int64N(int64(s.slowest)))
	if s.rng.IntN(20) == 0 {
		d *= 20
	}
	if err := store.Sleep(ctx, d); err != nil {
		return nil, err
	}
	fate := s.rng.IntN(20)
	if fate == 0 {
		return nil, &eventstore.UnknownOutcomeError{Err: errors.New("no connection")}
	}
	done, err := s.Store.Append(ctx, writes...)
	if fate == 1 && err == nil {
		return nil, &eventstore.UnknownOutcomeError{Err: errors.New("connection lost")}
	}
	return done, err
}

// With a log this slow what was taken up is often overtaken by a cancellation, a
// deadline, another attempt. The books are right all the same.
func TestTardyLog(t *testing.T) {
	t.Parallel()
	ends := map[string]bool{}
	for seed := range uint64(8) {
		home, err := memory.New(memory.Config{})
		require.NoError(t, err)
		log := &tardy{Store: home, rng: rand.New(rand.NewPCG(seed, 3)), slowest: 5 * time.Second}
		err = sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			past, err := sale.Read(ctx, log)
			require.NoError(t, err)
			require.NoError(t, past.Begin(ctx, sale.Terms{OpenedAt: rt.Now()}))
			s, err := sale.New(sale.Config{
				Seed: seed, Rates: gateway.Rates{Decline: 0.2, Timeout: 0.3, Late: 0.3}, Runtime: rt, Past: past,
				Watch: func(h sale.Happening) {
					if f, ok := h.Action.(reservation.Finished); ok {
						ends[fmt.Sprint(f.Outcome.Phase)] = true
					}
				},
				Halted: func(err error) { t.Error(err) },
			})
			require.NoError(t, err)
			s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 20, 20))
			require.NoError(t, s.Serve(ctx, 80, seed))
			report := audit.Run(s.Records())
			require.True(t, report.Passed(), "seed %d\n%s", seed, report)
			records, err := s.RecordsInLog(ctx)
			require.NoError(t, err)
			require.Equal(t, s.Records(), records)
			require.NoError(t, s.Close(ctx))
		})
		require.NoError(t, err)
	}
	require.Len(t, ends, 3)
}
