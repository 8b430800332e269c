package sale_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/payment"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

var stalls = ticket.Section{Event: "gala", Name: "stalls"}

// simulated runs f with a sale of a section of 2 rows of 4 seats, at $10 each,
// and holds the sale to its promises afterwards.
func simulated(t *testing.T, f func(ctx context.Context, s *sale.Sale)) {
	t.Helper()
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s, err := sale.New(sale.Config{Seed: 1, Runtime: rt})
		require.NoError(t, err)
		s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 4, 4))
		f(ctx, s)
		records := s.Records()
		report := audit.Run(records)
		require.True(t, report.Passed(), "%s", report)
		inLog, err := s.RecordsInLog(ctx)
		require.NoError(t, err)
		require.Equal(t, records, inLog)
		require.NoError(t, s.Close(ctx))
	})
	require.NoError(t, err)
}

func want(id ticket.Reservation, quantity int) reservation.Order {
	return reservation.Order{Reservation: id, Customer: string(id), Section: stalls, Quantity: quantity}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		outcome, err := s.Reserve(ctx, want("ann", 2))
		require.NoError(t, err)
		require.Equal(t, "completed: A2 A3 for $20.00", outcome.String())

		again, err := s.Reserve(ctx, want("ann", 2))
		require.NoError(t, err)
		require.Equal(t, outcome, again)

		tally := s.Tally()
		require.Positive(t, tally.Actions)
		require.Positive(t, tally.Events)
		tally.Actions, tally.Events = 0, 0
		require.Equal(t, sale.Tally{Free: 6, Sold: 2, Completed: 1, Charged: 20_00}, tally)
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*reservation.Order)
		reason ticket.Reason
	}{
		"sold out":       {func(*reservation.Order) {}, inventory.SoldOut},
		"another's seat": {func(o *reservation.Order) { o.Chosen = []ticket.Seat{{Row: 1, Number: 1}} }, inventory.SeatTaken},
		"no such seat":   {func(o *reservation.Order) { o.Chosen = []ticket.Seat{{Row: 3, Number: 1}} }, inventory.NoSuchSeat},
		"wrong section":  {func(o *reservation.Order) { o.Section.Name = "roof" }, inventory.NoSuchSection},
		"wrong event":    {func(o *reservation.Order) { o.Section.Event = "encore" }, inventory.NoSuchSection},
		"too many":       {func(o *reservation.Order) { o.Quantity = 9 }, inventory.BadQuantity},
		"none":           {func(o *reservation.Order) { o.Quantity = 0 }, inventory.BadQuantity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulated(t, func(ctx context.Context, s *sale.Sale) {
				for _, id := range []ticket.Reservation{"ann", "bob"} {
					outcome, err := s.Reserve(ctx, want(id, 4))
					require.NoError(t, err)
					require.Equal(t, reservation.Completed, outcome.Phase)
				}
				order := want("cat", 1)
				c.change(&order)
				outcome, err := s.Reserve(ctx, order)
				require.NoError(t, err)
				require.Equal(t, reservation.Outcome{Phase: reservation.Failed, Reason: c.reason}, outcome)
			})
		})
	}
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		s.Behave("ann", gateway.Behaviour{Decline: true})
		outcome, err := s.Reserve(ctx, want("ann", 4))
		require.NoError(t, err)
		require.Equal(t, reservation.Outcome{Phase: reservation.Failed, Reason: payment.Declined}, outcome)
		require.Equal(t, 8, s.Tally().Free)
	})
}

func TestLateChargeIsRefundedAfterTheDeadline(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		s.Behave("ann", gateway.Behaviour{Delay: 7 * time.Minute})
		began := store.RuntimeOf(ctx).Now()
		outcome, err := s.Reserve(ctx, want("ann", 4))
		require.NoError(t, err)
		require.Equal(t, "failed: not paid in time, $40.00 refunded", outcome.String())
		require.Greater(t, store.RuntimeOf(ctx).Now().Sub(began), 7*time.Minute)
	})
}

func TestCancelWhilePaying(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		rt := store.RuntimeOf(ctx)
		s.Behave("ann", gateway.Behaviour{Delay: time.Minute})
		rt.AfterFunc(10*time.Second, func() {
			outcome, err := s.Cancel(ctx, "ann")
			require.NoError(t, err)
			require.Equal(t, "cancelled, $20.00 refunded", outcome.String())
		})
		outcome, err := s.Reserve(ctx, want("ann", 2))
		require.NoError(t, err)
		require.Equal(t, "cancelled, $20.00 refunded", outcome.String())
	})
}

func TestCancelBeforeTheReservation(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		_, err := s.Cancel(ctx, "ann")
		require.NoError(t, err)
		outcome, err := s.Reserve(ctx, want("ann", 2))
		require.NoError(t, err)
		require.Equal(t, reservation.Outcome{Phase: reservation.Cancelled}, outcome)
	})
}

// The books are right whatever fails, in whatever order: that is what the seeds
// are for.
func TestSeeds(t *testing.T) {
	t.Parallel()
	for name, rates := range map[string]gateway.Rates{
		"usual":      {Decline: 0.15, Timeout: 0.10, Late: 0.10},
		"bad":        {Decline: 0.3, Timeout: 0.5, Late: 0.5},
		"hopeless":   {Timeout: 1, Late: 1},
		"no failure": {},
	} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				t.Parallel()
				tally, report, err := simulate(seed, rates, 80)
				require.NoError(t, err)
				require.True(t, report.Passed(), "%s", report)
				require.Zero(t, tally.Open)
				require.Zero(t, tally.Held)
				require.Positive(t, tally.Sold)
			})
		}
	}
}

// simulate is a sale of 40 seats.
func simulate(seed uint64, rates gateway.Rates, customers int) (tally sale.Tally, report audit.Report, err error) {
	var failure error
	err = sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		s, err := sale.New(sale.Config{Seed: seed, Rates: rates, Runtime: rt})
		if err != nil {
			failure = err
			return
		}
		for _, name := range []string{"A", "B"} {
			s.Offer(inventory.NewSection(ticket.Section{Event: "gala", Name: name}, ticket.Tier{Name: name, Price: 33_33}, 10, 10))
		}
		failure = s.Serve(ctx, customers, seed)
		tally, report = s.Tally(), audit.Run(s.Records())
		failure = errors.Join(failure, s.Close(ctx))
	})
	return tally, report, errors.Join(failure, err)
}

// Over the seeds every way to end comes up, or the seeds would prove little.
func TestSeedsReachEveryEnd(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for seed := range uint64(5) {
		err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			s, err := sale.New(sale.Config{
				Seed: seed, Runtime: rt,
				Rates: gateway.Rates{Decline: 0.2, Timeout: 0.2, Late: 0.4},
				Watch: func(h sale.Happening) {
					if f, ok := h.Action.(reservation.Finished); ok {
						end := f.Outcome.Phase.String()
						if f.Outcome.Reason != "" {
							end += ": " + string(f.Outcome.Reason)
						}
						if f.Outcome.Refunded > 0 {
							end += ", refunded"
						}
						seen[end] = true
					}
				},
			})
			require.NoError(t, err)
			s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 20, 20, 20))
			require.NoError(t, s.Serve(ctx, 150, seed))
			require.NoError(t, s.Close(ctx))
		})
		require.NoError(t, err)
	}
	for _, end := range []string{
		"completed", "cancelled", "cancelled, refunded",
		"failed: card declined", "failed: sold out", "failed: seat taken", "failed: no seats side by side",
		"failed: not paid in time, refunded",
	} {
		require.Contains(t, seen, end)
	}
}

// On real goroutines, where customers come over minutes: here they hear at once
// that it is over.
func TestInterruptedSale(t *testing.T) {
	t.Parallel()
	s, err := sale.New(sale.Config{Seed: 1})
	require.NoError(t, err)
	s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 4, 4))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Serve(ctx, 50, 1), context.Canceled)
	require.NoError(t, s.Close(t.Context()))
	_, err = s.Reserve(t.Context(), want("ann", 1))
	require.ErrorIs(t, err, store.ErrClosed)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	var actions []string
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s, err := sale.New(sale.Config{Runtime: rt, Watch: func(h sale.Happening) {
			require.Equal(t, ticket.Reservation("ann"), h.Reservation)
			actions = append(actions, strings.TrimPrefix(fmt.Sprintf("%T", h.Action), "reservation."))
		}})
		require.NoError(t, err)
		s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 4))
		_, err = s.Reserve(ctx, want("ann", 1))
		require.NoError(t, err)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"Start", "SeatsWereHeld", "WasCharged", "SeatsWereConfirmed", "TicketWasIssued", "Finished"}, actions)
}
