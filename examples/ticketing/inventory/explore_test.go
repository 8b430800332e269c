package inventory_test

import (
	"errors"
	"testing"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/testkit"
	"github.com/seed57833328/rondo/workflow"
)

var errDown = errors.New("catalogue down")

// catalogue is where a section comes from.
type catalogue struct{ Section inventory.Section }

func (c *catalogue) load(inventory.LoadSection) (inventory.Section, error) { return c.Section, nil }

func explored(seats int, inputs ...[]inventory.Action) testkit.Model[inventory.State, inventory.Action, catalogue] {
	return testkit.Model[inventory.State, inventory.Action, catalogue]{
		World:   catalogue{inventory.NewSection(stalls, ticket.Tier{Name: "A", Price: 4500}, seats)},
		Reducer: inventory.Reducer{},
		Inputs:  inputs,
		Answers: []testkit.Answer{testkit.On((*catalogue).load, testkit.ReadOnly(), testkit.Fails(errDown))},
		// The seats are saved with each decision; commands that waited are gone.
		Recover: func(s *inventory.State) (inventory.State, []inventory.Action) {
			if s.Load.Phase() != workflow.Ready {
				return inventory.State{}, nil
			}
			return *s, []inventory.Action{inventory.Resume{}}
		},
	}
}

var stalls = ticket.Section{Event: "e1", Name: "stalls"}

func holds(id ticket.Reservation) inventory.Action {
	return inventory.Hold{Reservation: id, Section: stalls, Quantity: 1}
}

func confirms(id ticket.Reservation) inventory.Action {
	return inventory.Confirm{Reservation: id, Section: stalls}
}

func releases(id ticket.Reservation) inventory.Action {
	return inventory.Release{Reservation: id, Section: stalls}
}

// once is the promise that a seat has one owner, whose claim names it.
func once(s *inventory.State, _ *catalogue) bool {
	taken := 0
	for i, row := range s.Section.Rows {
		for j, owner := range row {
			if owner == "" {
				continue
			}
			taken++
			named := 0
			for _, seat := range s.Section.Claims[owner].Seats {
				if seat == (ticket.Seat{Row: i + 1, Number: j + 1}) {
					named++
				}
			}
			if named != 1 {
				return false
			}
		}
	}
	claimed := 0
	for _, c := range s.Section.Claims {
		claimed += len(c.Seats)
		if (c.Status == inventory.IsHeld || c.Status == inventory.IsSold) != (len(c.Seats) > 0) {
			return false
		}
	}
	return claimed == taken
}

func status(id ticket.Reservation, is inventory.Status) func(*inventory.State, *catalogue) bool {
	return func(s *inventory.State, _ *catalogue) bool { return s.Section.Claims[id].Status == is }
}

// Two reservations race for one seat, with one crash, one lost answer, one
// duplicate, and a catalogue that fails now and then.
func TestExplored(t *testing.T) {
	t.Parallel()
	faults := []testkit.Option{
		testkit.Always("each seat is sold, held or free once", once),
		testkit.Finally("no hold is left", func(s *inventory.State, _ *catalogue) bool {
			return s.Section.Claims["r1"].Status != inventory.IsHeld && s.Section.Claims["r2"].Status != inventory.IsHeld
		}),
		testkit.Sometimes("a seat is sold", status("r1", inventory.IsSold)),
		testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1), testkit.Failures(1), testkit.Timeouts(1),
	}
	t.Run("both pay", func(t *testing.T) {
		t.Parallel()
		testkit.Explore(t, explored(1, []inventory.Action{holds("r1"), confirms("r1")}, []inventory.Action{holds("r2"), confirms("r2")}),
			append(faults, testkit.Symmetric[ticket.Reservation]("r1", "r2"),
				testkit.Sometimes("a hold expires", status("r1", inventory.IsExpired)))...)
	})
	t.Run("a release overtakes its hold", func(t *testing.T) {
		t.Parallel()
		testkit.Explore(t, explored(1, []inventory.Action{holds("r1"), confirms("r1")}, []inventory.Action{holds("r2")}, []inventory.Action{releases("r2")}),
			append(faults, testkit.Sometimes("a hold is released", status("r2", inventory.IsReleased)))...)
	})
}
