package sale_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/examples/ticketing/audit"
	"github.com/seed57833328/rondo/examples/ticketing/event"
	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
	sagamemory "github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

var stalls = ticket.Section{Event: "gala", Name: "stalls"}

// gala is an event with one section, its seats at $10 each.
func gala(rows ...int) event.Draft {
	return event.Draft{
		Name: "gala", Tiers: []ticket.Tier{{Name: "one", Price: 10_00}},
		Sections: []event.Layout{{Name: "stalls", Tier: "one", Rows: rows}},
	}
}

// begin runs a sale in memory, with the event on sale.
func begin(ctx context.Context, cfg sale.Config, d event.Draft) (*sale.Sale, error) {
	s, err := sale.InMemory(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Run(ctx); err != nil {
		return nil, err
	}
	err = s.Open(ctx, d)
	return s, err
}

// simulated runs f with a sale of 2 rows of 4 seats, and holds the sale to its
// promises afterwards.
func simulated(t *testing.T, f func(ctx context.Context, s *sale.Sale)) {
	t.Helper()
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s, err := begin(ctx, sale.Config{Seed: 1, Runtime: rt}, gala(4, 4))
		require.NoError(t, err)
		f(ctx, s)
		requireSound(ctx, t, s)
		require.NoError(t, s.Close(ctx))
	})
	require.NoError(t, err)
}

func requireSound(ctx context.Context, t *testing.T, s *sale.Sale) {
	t.Helper()
	records, err := s.Records(ctx)
	require.NoError(t, err)
	report := audit.Run(records)
	require.True(t, report.Passed(), "%s", report)
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

		tally, err := s.Tally(ctx)
		require.NoError(t, err)
		require.Positive(t, tally.Decisions)
		require.Positive(t, tally.Events)
		tally.Decisions, tally.Events = 0, 0
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
		require.Equal(t, reservation.Outcome{Phase: reservation.Failed, Reason: reservation.CardDeclined}, outcome)
		got, err := s.Section(ctx, stalls)
		require.NoError(t, err)
		require.Equal(t, 8, got.State.Free())
	})
}

func TestLateChargeIsRefundedAfterTheDeadline(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		rt := store.RuntimeOf(ctx)
		s.Behave("ann", gateway.Behaviour{Delay: 7 * time.Minute})
		began := rt.Now()
		rt.AfterFunc(5*time.Minute, func() {
			now, err := s.Until(ctx, "ann", func(s reservation.State) bool { return s.Phase == reservation.Compensating })
			require.NoError(t, err)
			require.Equal(t, reservation.DeadlinePassed, now.Outcome.Reason)
			require.Less(t, rt.Now().Sub(began), 5*time.Minute+time.Second, "the deadline is on time")
		})
		outcome, err := s.Reserve(ctx, want("ann", 4))
		require.NoError(t, err)
		require.Equal(t, "failed: not paid in time, $40.00 refunded", outcome.String())
		require.Greater(t, rt.Now().Sub(began), 7*time.Minute)
	})
}

// A customer may cancel at any moment: the end is one or the other, and the books
// are right.
func TestCancelAtAnyMoment(t *testing.T) {
	t.Parallel()
	ends := map[string]bool{}
	for after := time.Duration(0); after < 9*time.Second; after += 400 * time.Millisecond {
		simulated(t, func(ctx context.Context, s *sale.Sale) {
			rt, done := store.RuntimeOf(ctx), store.RuntimeOf(ctx).NewSignal()
			rt.AfterFunc(after, func() {
				defer done.Fire()
				outcome, err := s.Cancel(ctx, "ann")
				require.NoError(t, err)
				ends[outcome.String()] = true
			})
			_, err := s.Reserve(ctx, want("ann", 2))
			require.NoError(t, err)
			require.NoError(t, done.Wait(ctx))
		})
	}
	for _, end := range []string{"cancelled, $20.00 refunded", "completed: A2 A3 for $20.00"} {
		require.Contains(t, ends, end)
	}
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

// The organiser cancels: whatever has become of a reservation, its money is back,
// the seats are free, and nobody gets another.
func TestEventIsCancelled(t *testing.T) {
	t.Parallel()
	for after := 5 * time.Second; after < 60*time.Second; after += 5 * time.Second {
		simulated(t, func(ctx context.Context, s *sale.Sale) {
			rt := store.RuntimeOf(ctx)
			for i, delay := range []time.Duration{0, 20 * time.Second, 40 * time.Second, 7 * time.Minute} {
				id := ticket.Reservation(fmt.Sprint("r", i))
				s.Behave(id, gateway.Behaviour{Delay: delay})
				rt.Go(func() {
					order := want(id, 0)
					order.Chosen = []ticket.Seat{{Row: i/2 + 1, Number: i%2*2 + 1}, {Row: i/2 + 1, Number: i%2*2 + 2}}
					_, err := s.Reserve(ctx, order)
					require.NoError(t, err)
				})
			}
			require.NoError(t, store.Sleep(ctx, after))
			got, err := s.Event(ctx, "gala", event.Cancel{})
			require.NoError(t, err)
			require.Equal(t, event.IsCancelled, got.State.Phase)
			_, err = s.Event(ctx, "gala", event.Cancel{}) // it comes again
			require.NoError(t, err)
			undone, err := s.AwaitCancellation(ctx, "gala")
			require.NoError(t, err)
			require.Equal(t, 4, undone.Revoked)
			late, err := s.Reserve(ctx, want("late", 1))
			require.NoError(t, err)
			require.Equal(t, inventory.NotOnSale, late.Reason)
			tally, err := s.Tally(ctx)
			require.NoError(t, err)
			require.Equal(t, tally.Charged, tally.Refunded)
			require.Positive(t, tally.Charged)
			require.Equal(t, 8, tally.Free)
			require.Zero(t, tally.Open)
		})
	}
}

// An event is put on sale once, and stays closed once it is, whoever asks again. Who
// closes it is told from where on others see that.
func TestPutOnSaleAndClosedAgain(t *testing.T) {
	t.Parallel()
	simulated(t, func(ctx context.Context, s *sale.Sale) {
		_, err := s.Event(ctx, "gala", gala(4))
		require.True(t, aggregate.IsRejection(err))
		require.NoError(t, s.Open(ctx, gala(4, 4)), "it is open already")
		closed, err := s.Event(ctx, "gala", event.Close{})
		require.NoError(t, err)
		shut, err := s.Section(ctx, ticket.Section{Event: "gala", Name: "stalls"})
		require.NoError(t, err)
		require.Equal(t, shut.Position, closed.Position, "who reads from there on knows that the section is shut")
		outcome, err := s.Reserve(ctx, want("ann", 1))
		require.NoError(t, err)
		require.Equal(t, inventory.NotOnSale, outcome.Reason)
		require.NoError(t, s.Open(ctx, gala(4, 4)), "it stays closed")
		outcome, err = s.Reserve(ctx, want("bob", 1))
		require.NoError(t, err)
		require.Equal(t, inventory.NotOnSale, outcome.Reason)
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
				err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
					s, err := begin(ctx, sale.Config{Seed: seed, Rates: rates, Runtime: rt}, gala(10, 10, 10, 10))
					require.NoError(t, err)
					require.NoError(t, s.Serve(ctx, 80, seed))
					requireSound(ctx, t, s)
					tally, err := s.Tally(ctx)
					require.NoError(t, err)
					require.Zero(t, tally.Open+tally.Held)
					require.Positive(t, tally.Sold)
					require.NoError(t, s.Close(ctx))
				})
				require.NoError(t, err)
			})
		}
	}
}

// Over the seeds every way to end comes up, or the seeds would prove little.
func TestSeedsReachEveryEnd(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for seed := range uint64(5) {
		err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
			s, err := begin(ctx, sale.Config{
				Seed: seed, Runtime: rt,
				Rates: gateway.Rates{Decline: 0.2, Timeout: 0.2, Late: 0.4},
				Watch: func(h sale.Happening) {
					if !h.Is.Phase.Decided() {
						return
					}
					end := string(h.Is.Phase)
					if o := h.Is.Outcome; o.Reason != "" {
						end += ": " + o.Reason.String()
					}
					if h.Is.Outcome.Refunded > 0 {
						end += ", refunded"
					}
					seen[end] = true
				},
			}, gala(20, 20, 20))
			require.NoError(t, err)
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
	s, err := begin(t.Context(), sale.Config{Seed: 1}, gala(4, 4))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Serve(ctx, 50, 1), context.Canceled)
	require.NoError(t, s.Close(t.Context()))
	_, err = s.Reserve(t.Context(), want("ann", 1))
	require.True(t, errors.Is(err, saga.ErrClosed) || errors.Is(err, store.ErrClosed), "%v", err)
}

// Nobody waits for what is stuck: the sale ends, and its audit says what an operator
// has to see to.
func TestStuck(t *testing.T) {
	t.Parallel()
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		log, err := memory.New(memory.Config{Now: rt.Now})
		require.NoError(t, err)
		s, err := sale.New(unreleasing{log}, sagamemory.New(sagamemory.Config{Now: rt.Now}), sale.Config{Runtime: rt, Rates: gateway.Rates{Decline: 1}})
		require.NoError(t, err)
		require.NoError(t, s.Run(ctx))
		require.NoError(t, s.Open(ctx, gala(4, 4)))
		require.NoError(t, s.Serve(ctx, 1, 1))
		records, err := s.Records(ctx)
		require.NoError(t, err)
		require.Len(t, records.Stuck, 2, "with two cards")
		for _, why := range records.Stuck {
			require.Contains(t, why, `request "release-seats" (1/0/undo) must succeed`)
			require.Contains(t, why, errUnreleased.Error())
		}
		require.False(t, audit.Run(records).Passed())
		require.NoError(t, s.Close(ctx))
	})
	require.NoError(t, err)
}

var errUnreleased = errors.New("seats are never released")

// unreleasing is a log that has something against seats that are released.
type unreleasing struct{ eventstore.Store }

func (u unreleasing) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	for _, w := range writes {
		if slices.ContainsFunc(w.Events, func(e eventstore.Event) bool { return e.Type == "inventory.released" }) {
			return nil, errUnreleased
		}
	}
	return u.Store.Append(ctx, writes...)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	var phases []reservation.Phase
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s, err := begin(ctx, sale.Config{Runtime: rt, Watch: func(h sale.Happening) {
			require.Equal(t, ticket.Reservation("ann"), h.Reservation)
			phases = append(phases, h.Is.Phase)
		}}, gala(4))
		require.NoError(t, err)
		_, err = s.Reserve(ctx, want("ann", 1))
		require.NoError(t, err)
		_, known := s.Reservation("bob")
		require.False(t, known)
		require.NoError(t, s.Close(ctx))
	})
	require.NoError(t, err)
	require.Equal(t, []reservation.Phase{
		reservation.Holding, reservation.Requesting, reservation.Charging, reservation.Confirming,
		reservation.Ticketing, reservation.Completed,
	}, slices.Compact(phases))
}
