package aggregate_test

import (
	"testing"

	"github.com/seed57833328/rondo/testkit"
)

// A decider is tested without a host: what has happened, what is asked, what
// comes of it.
func TestSections(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Sections{}, Opened{Seats: 3}).
		When(Reserve{Order: "r1", Seats: 2}).
		Then(Reserved{Order: "r1", Seats: 2}).
		ThenState(func(s *Section) { s.Free = 1; s.Orders["r1"] = 2 }).
		When(Reserve{Order: "r1", Seats: 2}).
		ThenNothing().
		When(Reserve{Order: "r2", Seats: 2}).
		ThenRejected("sold-out").
		ThenState()
}
