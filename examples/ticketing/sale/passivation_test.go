package sale

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// A section that nobody asks for leaves memory, and comes back as it was.
func TestSectionsComeAndGo(t *testing.T) {
	t.Parallel()
	stalls := ticket.Section{Event: "gala", Name: "stalls"}
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		s, err := New(Config{Runtime: rt})
		require.NoError(t, err)
		s.Offer(inventory.NewSection(stalls, ticket.Tier{Name: "one", Price: 10_00}, 4))
		for i, end := range []string{
			"completed: A2 for $10.00", "completed: A3 for $10.00", "completed: A1 for $10.00", "completed: A4 for $10.00",
			"failed: sold out",
		} {
			outcome, err := s.Reserve(ctx, reservation.Order{Reservation: ticket.Reservation(fmt.Sprint(i)), Section: stalls, Quantity: 1})
			require.NoError(t, err)
			require.Equal(t, end, outcome.String())
			require.Equal(t, 1, s.sections.Len())

			before := s.Sections()
			require.NoError(t, store.Sleep(ctx, 2*sectionIdleAfter+time.Minute))
			require.Zero(t, s.sections.Len())
			require.Equal(t, before, s.Sections())
		}
	})
	require.NoError(t, err)
}
