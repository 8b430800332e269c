package inventory

import (
	"maps"
	"slices"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// MaxSeats is how many seats one reservation may have.
const MaxSeats = 8

// Section is the seats of a section, and what became of each reservation that
// had to do with them.
type Section struct {
	ID     ticket.Section
	Tier   ticket.Tier
	Rows   [][]ticket.Reservation // who has the seat, "" is nobody; the front row first
	Claims map[ticket.Reservation]Claim

	Shut      bool // nothing is held any more
	Cancelled bool // with its event: nothing is sold any more
}

// Claim is what a reservation has, or that it has nothing any more.
type Claim struct {
	Status Status
	Seats  []ticket.Seat // while they are held or sold
	Until  time.Time     // of a hold
}

// Status is how it stands with a claim.
type Status uint8

// The states of a claim.
const (
	IsHeld Status = iota + 1
	IsSold
	IsReleased
)

func (s Status) String() string {
	return [...]string{"unknown", "held", "sold", "released"}[s]
}

// NewSection is a section with every seat free. rows says how many seats each
// row has, the front row first.
func NewSection(id ticket.Section, tier ticket.Tier, rows ...int) Section {
	var s Section
	Decider{}.Evolve(&s, Opened{id, tier, rows})
	return s
}

// Clone returns a copy that shares nothing with s.
func (s Section) Clone() Section {
	s.Rows = slices.Clone(s.Rows)
	for i, row := range s.Rows {
		s.Rows[i] = slices.Clone(row)
	}
	s.Claims = maps.Clone(s.Claims)
	return s
}

// Seats counts the seats.
func (s *Section) Seats() int {
	n := 0
	for _, row := range s.Rows {
		n += len(row)
	}
	return n
}

// Free counts the seats that nobody has.
func (s *Section) Free() int {
	n := 0
	for _, row := range s.Rows {
		for _, owner := range row {
			if owner == "" {
				n++
			}
		}
	}
	return n
}

// StatusAt tells whether a seat is held or sold; 0 is free.
func (s *Section) StatusAt(seat ticket.Seat) Status {
	owner := s.Rows[seat.Row-1][seat.Number-1]
	if owner == "" {
		return 0
	}
	return s.Claims[owner].Status
}

// Has tells whether there is such a seat.
func (s *Section) Has(seat ticket.Seat) bool {
	return 1 <= seat.Row && seat.Row <= len(s.Rows) && 1 <= seat.Number && seat.Number <= len(s.Rows[seat.Row-1])
}

// find returns the seats that a hold may have, or why it may not.
func (s *Section) find(c Hold) ([]ticket.Seat, error) {
	if len(c.Chosen) > 0 {
		return s.chosen(c.Chosen)
	}
	return s.best(c.Quantity)
}

// chosen returns the seats that were asked for if all of them are free.
func (s *Section) chosen(seats []ticket.Seat) ([]ticket.Seat, error) {
	if len(seats) > MaxSeats {
		return nil, BadQuantity.Reject("%d, want 1 to %d", len(seats), MaxSeats)
	}
	for i, seat := range seats {
		switch {
		case !s.Has(seat):
			return nil, NoSuchSeat.Reject("%s", seat)
		case slices.Contains(seats[:i], seat):
			return nil, SeatTwice.Reject("%s", seat)
		case s.StatusAt(seat) != 0:
			return nil, SeatTaken.Reject("%s", seat)
		}
	}
	return slices.Clone(seats), nil
}

// best returns n seats side by side: in the row nearest to the stage that has
// them, as near to that row's middle as they can be, rather left than right.
// A party is never split.
func (s *Section) best(n int) ([]ticket.Seat, error) {
	if n < 1 || n > MaxSeats {
		return nil, BadQuantity.Reject("%d, want 1 to %d", n, MaxSeats)
	}
	for i, row := range s.Rows {
		if first := bestRun(row, n); first >= 0 {
			seats := make([]ticket.Seat, n)
			for j := range seats {
				seats[j] = ticket.Seat{Row: i + 1, Number: first + j + 1}
			}
			return seats, nil
		}
	}
	switch free := s.Free(); {
	case free == 0:
		return nil, SoldOut.Reject("")
	case free < n:
		return nil, TooFewLeft.Reject("%d of %d", free, n)
	default:
		return nil, NotTogether.Reject("%d of %d free", n, free)
	}
}

// bestRun returns where the n free seats nearest to the middle of a row begin,
// or -1.
func bestRun(row []ticket.Reservation, n int) int {
	best, bestOff := -1, 0
	free := 0 // seats in a row up to here
	for i, owner := range row {
		if free++; owner != "" {
			free = 0
		}
		if free < n {
			continue
		}
		first := i - n + 1
		off := abs(2*first + n - len(row)) // twice the distance between the middles
		if best < 0 || off < bestOff {
			best, bestOff = first, off
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }
