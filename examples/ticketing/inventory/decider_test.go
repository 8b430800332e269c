package inventory

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

var (
	a1 = ticket.Seat{Row: 1, Number: 1}
	a2 = ticket.Seat{Row: 1, Number: 2}
	a3 = ticket.Seat{Row: 1, Number: 3}

	opened = Opened{stalls, premium, []int{3}}
	noon   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	until  = noon.Add(HoldFor)
)

func TestHoldConfirmRelease(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}, opened).At(noon).
		When(Hold{Reservation: "ann", Quantity: 2}).
		Then(Held{"ann", []ticket.Seat{a1, a2}, 299_80, until}).
		ThenState(func(s *Section) {
			s.Rows[0][0], s.Rows[0][1] = "ann", "ann"
			s.Claims["ann"] = Claim{IsHeld, []ticket.Seat{a1, a2}, until}
		}).
		When(Confirm{"ann"}).
		Then(Sold{"ann"}).
		ThenState(func(s *Section) { s.Claims["ann"] = Claim{Status: IsSold, Seats: []ticket.Seat{a1, a2}} }).
		When(Release{"ann"}).
		Then(Released{"ann"}).
		ThenState(func(s *Section) {
			s.Rows[0][0], s.Rows[0][1] = "", ""
			s.Claims["ann"] = Claim{Status: IsReleased}
		})
}

func TestChosenSeatsAreHeld(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}, opened, Held{"bob", []ticket.Seat{a1}, 149_90, until}).At(noon).
		When(Hold{Reservation: "ann", Chosen: []ticket.Seat{a3}}).
		Then(Held{"ann", []ticket.Seat{a3}, 149_90, until}).
		When(Hold{Reservation: "cat", Chosen: []ticket.Seat{a1}}).
		ThenRejected("seat-taken").ThenState().
		When(Hold{Reservation: "cat", Quantity: 2}).
		ThenRejected("too-few-seats-left").
		When(Hold{Reservation: "cat", Quantity: 1}).
		Then(Held{"cat", []ticket.Seat{a2}, 149_90, until}).
		When(Hold{Reservation: "dan", Quantity: 1}).
		ThenRejected("sold-out")
}

// What comes twice does nothing the second time.
func TestTwice(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}, opened, Held{"ann", []ticket.Seat{a2}, 149_90, until}).At(noon).
		When(Open{stalls, premium, []int{3}}).ThenNothing().
		When(Hold{Reservation: "ann", Quantity: 1}).ThenNothing().
		When(Confirm{"ann"}).Then(Sold{"ann"}).
		When(Confirm{"ann"}).ThenNothing().
		When(Hold{Reservation: "ann", Quantity: 1}).ThenNothing().
		When(Release{"ann"}).Then(Released{"ann"}).
		When(Release{"ann"}).ThenNothing().
		When(Hold{Reservation: "ann", Quantity: 1}).ThenRejected("hold-is-over").
		When(Confirm{"ann"}).ThenRejected("hold-is-over")
}

// An undo that comes first is remembered, even by a section that is not open yet.
func TestReleaseBeforeHold(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}).At(noon).
		When(Release{"ann"}).Then(Released{"ann"}).
		When(Open(opened)).Then(opened).
		When(Hold{Reservation: "ann", Quantity: 1}).ThenRejected("hold-is-over").
		When(Hold{Reservation: "bob", Quantity: 1}).Then(Held{"bob", []ticket.Seat{a2}, 149_90, until})
}

func TestConfirmAfterTheHold(t *testing.T) {
	t.Parallel()
	held := Held{"ann", []ticket.Seat{a2}, 149_90, until}
	testkit.Given(t, Decider{}, opened, held).At(until.Add(-1)).When(Confirm{"ann"}).Then(Sold{"ann"})
	testkit.Given(t, Decider{}, opened, held).At(until).When(Confirm{"ann"}).ThenRejected("hold-is-over").ThenState()
	testkit.Given(t, Decider{}, opened).When(Confirm{"ann"}).ThenRejected("no-hold")
}

// When the sale ends those who hold seats may buy them; when the event is
// cancelled nobody may.
func TestShut(t *testing.T) {
	t.Parallel()
	held := Held{"ann", []ticket.Seat{a2}, 149_90, until}
	testkit.Given(t, Decider{}, opened, held).At(noon).
		When(Shut{}).Then(WasShut{}).ThenState(func(s *Section) { s.Shut = true }).
		When(Shut{}).ThenNothing().
		When(Hold{Reservation: "bob", Quantity: 1}).ThenRejected("not-on-sale").
		When(Confirm{"ann"}).Then(Sold{"ann"})
	testkit.Given(t, Decider{}, opened, held, WasShut{}).At(noon).
		When(Shut{Cancelled: true}).Then(WasShut{Cancelled: true}).ThenState(func(s *Section) { s.Cancelled = true }).
		When(Shut{Cancelled: true}).ThenNothing().
		When(Shut{}).ThenNothing().
		When(Confirm{"ann"}).ThenRejected("not-on-sale").
		When(Release{"ann"}).Then(Released{"ann"})
}

func TestSectionThatIsNotThere(t *testing.T) {
	t.Parallel()
	testkit.Given(t, Decider{}).
		When(Hold{Reservation: "ann", Quantity: 1}).ThenRejected("no-such-section").
		When(Open{Section: stalls}).ThenRejected("section-open").
		When(Open(opened)).Then(opened).
		When(Open{stalls, premium, []int{4}}).ThenRejected("section-open").
		When(Open{stalls, premium, []int{3, 1}}).ThenRejected("section-open").
		When(Open{stalls, ticket.Tier{Name: "Premium", Price: 1}, []int{3}}).ThenRejected("section-open")
}

// Whatever is asked, in whatever order, each seat has one owner, who has a claim
// to it; and what was sold stays so until it is released.
func TestSeatsAreAccountedFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := NewSection(stalls, premium, 4, 3)
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			r := ticket.Reservation(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "reservation"))
			command := rapid.SampledFrom([]Command{
				Hold{Reservation: r, Quantity: rapid.IntRange(1, 3).Draw(t, "quantity")}, Confirm{r}, Release{r}, Shut{Cancelled: true},
			}).Draw(t, "command")
			before := s.Claims[r]
			events, err := Decider{}.Decide(&s, command, reducer.NewEnv(&reducer.Fixed{}))
			if _, confirms := command.(Confirm); confirms && err == nil && before.Status != IsHeld && before.Status != IsSold {
				t.Fatalf("%s is sold what it had not: %v", r, before)
			}
			for _, e := range events {
				Decider{}.Evolve(&s, e)
			}
			seen := map[ticket.Seat]ticket.Reservation{}
			for r, claim := range s.Claims {
				for _, seat := range claim.Seats {
					require.Empty(t, seen[seat])
					seen[seat] = r
				}
			}
			for i, row := range s.Rows {
				for j, owner := range row {
					require.Equal(t, owner, seen[ticket.Seat{Row: i + 1, Number: j + 1}], fmt.Sprint(s))
				}
			}
		}
	})
}
