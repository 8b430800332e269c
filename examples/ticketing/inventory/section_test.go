package inventory

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

var (
	stalls  = ticket.Section{Event: "gala", Name: "stalls"}
	premium = ticket.Tier{Name: "Premium", Price: 149_90}
)

// drawn makes a section from a picture: a dot is a free seat.
func drawn(rows ...string) Section {
	s := NewSection(stalls, premium)
	for i, row := range rows {
		s.Rows = append(s.Rows, make([]ticket.Reservation, len(row)))
		for j, sign := range row {
			if sign != '.' {
				seat := ticket.Seat{Row: i + 1, Number: j + 1}
				Decider{}.Evolve(&s, Held{Reservation: ticket.Reservation("in " + seat.String()), Seats: []ticket.Seat{seat}})
			}
		}
	}
	return s
}

// reason is why something was rejected, for people.
func reason(t *testing.T, err error) string {
	t.Helper()
	var rejection *aggregate.RejectionError
	require.ErrorAs(t, err, &rejection)
	return rejection.Reason
}

func TestBestAvailable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rows string // the front row first
		n    int
		want string
	}{
		// The middle of the row nearest to the stage; rather left than right.
		{"...../.....", 1, "A3"},
		{"...../.....", 2, "A2 A3"},
		{"...../.....", 3, "A2 A3 A4"},
		{"....../......", 2, "A3 A4"},
		{"..x../.....", 1, "A2"},
		// Side by side, and never split: the next row if this one has no room.
		{"..x../.....", 2, "A1 A2"},
		{"..x../.....", 3, "B2 B3 B4"},
		{"xxxxx/x.x.x", 1, "B2"},
		{".xxxx/.....", 1, "A1"},
		{"..x...", 2, "A4 A5"},
		{".x/..../.", 3, "B1 B2 B3"},
		// Refused.
		{"xx/xx", 1, "sold out"},
		{"", 1, "sold out"},
		{".x/x.", 3, "too few seats left: 2 of 3"},
		{".x/x.", 2, "no seats side by side: 2 of 2 free"},
		{"....", 0, "quantity out of range: 0, want 1 to 8"},
		{"....", -1, "quantity out of range: -1, want 1 to 8"},
		{strings.Repeat(".", 20), 9, "quantity out of range: 9, want 1 to 8"},
	} {
		t.Run(fmt.Sprintf("%d of %s", c.n, c.rows), func(t *testing.T) {
			t.Parallel()
			s := drawn(strings.Split(c.rows, "/")...)
			seats, rejection := s.find(Hold{Quantity: c.n})
			if rejection != nil {
				require.Equal(t, c.want, reason(t, rejection))
				return
			}
			require.Equal(t, c.want, ticket.Seats(seats))
		})
	}
}

func TestChosenSeats(t *testing.T) {
	t.Parallel()
	for chosen, want := range map[string]string{
		"A1 B5":                      "A1 B5",
		"A3":                         "seat taken: A3",
		"A1 A3":                      "seat taken: A3",
		"A1 A1":                      "seat named twice: A1",
		"A6":                         "no such seat: A6",
		"C1":                         "no such seat: C1",
		"A1 A2 A4 A5 B1 B2 B3 B4 B5": "quantity out of range: 9, want 1 to 8",
	} {
		t.Run(chosen, func(t *testing.T) {
			t.Parallel()
			s := drawn("..x..", ".....")
			var seats []ticket.Seat
			for _, name := range strings.Fields(chosen) {
				seat, err := ticket.ParseSeat(name)
				require.NoError(t, err)
				seats = append(seats, seat)
			}
			got, rejection := s.find(Hold{Chosen: seats})
			if rejection != nil {
				require.Equal(t, want, reason(t, rejection))
				return
			}
			require.Equal(t, want, ticket.Seats(got))
		})
	}
}

// Whatever the section looks like, the seats that are found are the best there
// are by the rule, found here by looking at every possibility.
func TestBestAvailableIsBest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawn(rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune(".x")), 1, 9, -1), 1, 4).Draw(t, "rows")...)
		n := rapid.IntRange(1, MaxSeats).Draw(t, "n")
		seats, rejection := s.best(n)
		best := ""
		for i, row := range s.Rows {
			least := 0
			for first := 0; first+n <= len(row); first++ {
				run := make([]ticket.Seat, n)
				free := true
				for j := range run {
					run[j] = ticket.Seat{Row: i + 1, Number: first + j + 1}
					free = free && row[first+j] == ""
				}
				if off := abs(first - (len(row) - n - first)); free && (best == "" || off < least) {
					best, least = ticket.Seats(run), off
				}
			}
			if best != "" {
				break
			}
		}
		require.Equal(t, best, ticket.Seats(seats))
		require.Equal(t, best == "", rejection != nil)
	})
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	s := drawn("....")
	c := s.Clone()
	Decider{}.Evolve(&c, Held{Reservation: "r", Seats: []ticket.Seat{{Row: 1, Number: 1}}})
	require.Equal(t, drawn("...."), s)
	require.Equal(t, 3, c.Free())
	require.Equal(t, 4, s.Seats())
}
