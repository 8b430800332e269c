package sale

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

const (
	// rush is the time in which all customers come, most of them early.
	rush = 10 * time.Minute
	// attempts is how many reservations a customer makes before leaving.
	attempts = 2
)

// customer is somebody who wants seats. What a customer wants is drawn from the
// seed and the customer's number.
type customer struct {
	name     string
	comes    time.Duration // after the opening
	quantity int
	chooses  bool                // the seats, instead of the best available
	sections []inventory.Section // in order of preference
	patience time.Duration       // until a reservation is cancelled, 0 is for ever
	rng      *rand.Rand
}

func newCustomer(seed, number uint64, offered []inventory.Section) customer {
	rng := rand.New(rand.NewPCG(seed, number)) //nolint:gosec // repeatable on purpose
	c := customer{
		name:     fmt.Sprintf("c%04d", number),
		comes:    time.Duration(rng.Float64() * rng.Float64() * float64(rush)),
		quantity: 1 + rng.IntN(4),
		chooses:  rng.IntN(5) == 0,
		sections: slices.Clone(offered),
		rng:      rng,
	}
	rng.Shuffle(len(c.sections), func(i, j int) { c.sections[i], c.sections[j] = c.sections[j], c.sections[i] })
	if rng.IntN(6) == 0 {
		c.patience = time.Duration(1 + rng.Int64N(int64(20*time.Second)))
	}
	return c
}

// Serve lets customers race for what is on offer and returns when all have left.
// It returns the context's error if that ends before. What goes wrong between a
// customer and the sale is the error of that customer's attempt, the first of
// which is returned.
//
// In a sale that goes on, who has come before another process did comes again,
// and asks for the same as before.
func (s *Sale) Serve(ctx context.Context, customers int, seed uint64) error {
	var offered []inventory.Section
	opened := s.runtime.Now()
	if err := s.look(ctx, func(b *Books) {
		offered = b.Offered()
		if b.Opened {
			opened = b.Terms.OpenedAt
		}
	}); err != nil {
		return err
	}
	ctx, gone := store.WithRuntime(ctx, s.runtime), s.runtime.NewSignal()
	var left atomic.Int64
	var failure atomic.Pointer[error]
	left.Store(int64(customers))
	for number := range customers {
		c := newCustomer(seed, uint64(number)+1, offered) //nolint:gosec // not negative
		s.runtime.Go(func() {
			if err := s.visit(ctx, c, opened); err != nil {
				failure.CompareAndSwap(nil, &err)
			}
			if left.Add(-1) == 0 {
				gone.Fire()
			}
		})
	}
	if customers > 0 {
		_ = gone.Wait(context.Background()) // each of them heeds ctx
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

// visit is all that a customer does.
func (s *Sale) visit(ctx context.Context, c customer, opened time.Time) error {
	if err := store.Sleep(ctx, max(0, c.comes-s.runtime.Now().Sub(opened))); err != nil {
		return err
	}
	for attempt := 1; attempt <= attempts && len(c.sections) > 0; attempt++ {
		order := c.order(attempt)
		outcome, err := s.reservePatiently(ctx, order, c.patience)
		if err != nil {
			return fmt.Errorf("reservation %s: %w", order.Reservation, err)
		}
		switch outcome.Reason {
		case reservation.CardDeclined: // another card
		case inventory.SoldOut, inventory.TooFewLeft, inventory.NotTogether, inventory.SeatTaken:
			c.sections = c.sections[1:] // another section
		default:
			return nil
		}
		if err := store.Sleep(ctx, time.Duration(c.rng.Int64N(int64(20*time.Second)))); err != nil {
			return err
		}
	}
	return nil
}

// order is what a customer asks for.
func (c *customer) order(attempt int) reservation.Order {
	section := c.sections[0]
	order := reservation.Order{
		Reservation: ticket.Reservation(fmt.Sprintf("%s-%d", c.name, attempt)),
		Customer:    c.name,
		Section:     section.ID,
		Quantity:    c.quantity,
	}
	if c.chooses {
		row := c.rng.IntN(len(section.Rows))
		seats := len(section.Rows[row])
		first := c.rng.IntN(max(1, seats-c.quantity+1))
		for i := first; i < min(seats, first+c.quantity); i++ {
			order.Chosen = append(order.Chosen, ticket.Seat{Row: row + 1, Number: i + 1})
		}
	}
	return order
}

// reservePatiently is Reserve for a customer who cancels after a while, and then
// hears what came of it too. What was decided already need not be asked for, and
// what is stuck is not waited for: an operator may take days.
func (s *Sale) reservePatiently(ctx context.Context, order reservation.Order, patience time.Duration) (reservation.Outcome, error) {
	if r, found := s.board.get(order.Reservation); found && r.Phase.Decided() {
		return r.Outcome, nil
	}
	if patience > 0 {
		timer := s.runtime.AfterFunc(patience, func() {
			_, _ = s.Cancel(ctx, order.Reservation) // Reserve tells what came of it
		})
		defer timer.Stop()
	}
	if err := s.Start(ctx, order); err != nil {
		return reservation.Outcome{}, err
	}
	state, err := s.board.until(ctx, order.Reservation, func(_ reservation.State, status saga.Status) bool {
		return status.Ended() || status == saga.Stuck
	})
	return state.Outcome, err
}
