// Package ticket has the words that every part of the sale uses: seats and
// sections, money, reservations and tickets, and the reasons why something cannot
// be had.
package ticket

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/seed57833328/rondo/aggregate"
)

// Reservation names one customer's wish for seats. It is the idempotency key of
// everything that is done for it: a command that comes twice with the same
// reservation is done once.
type Reservation string

// Section names a section of an event.
type Section struct {
	Event string `json:"event"`
	Name  string `json:"name"`
}

func (s Section) String() string { return s.Event + "/" + s.Name }

// Tier is what a seat costs and what that price is called.
type Tier struct {
	Name  string `json:"name"`
	Price Money  `json:"price"`
}

// Seat is a place in a section. Rows and numbers count from 1; row 1 is nearest
// to the stage.
type Seat struct{ Row, Number int }

// String writes a seat as it stands on a ticket: the row's letter and the
// number, "B7". After row Z comes AA.
func (s Seat) String() string {
	row := ""
	for r := s.Row; r > 0; r = (r - 1) / 26 {
		row = string(rune('A'+(r-1)%26)) + row
	}
	return row + strconv.Itoa(s.Number)
}

// MarshalText writes a seat as String does.
func (s Seat) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (s *Seat) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSeat(string(text))
	return err
}

// ParseSeat is the inverse of [Seat.String].
func ParseSeat(text string) (Seat, error) {
	number := strings.TrimLeft(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	letters := text[:len(text)-len(number)]
	var seat Seat
	if n, err := strconv.ParseUint(number, 10, 16); err == nil && len(letters) <= 2 {
		seat.Number = int(n)
		for _, letter := range letters {
			seat.Row = seat.Row*26 + int(letter-'A') + 1
		}
	}
	if seat.Row == 0 || seat.Number == 0 || seat.String() != text {
		return Seat{}, fmt.Errorf("%q is no seat, want a row's letter and a number, such as \"B7\"", text)
	}
	return seat, nil
}

// Seats writes several seats, as in "B7 B8".
func Seats(seats []Seat) string {
	names := make([]string, len(seats))
	for i, s := range seats {
		names[i] = s.String()
	}
	return strings.Join(names, " ")
}

// Ticket is what a customer has at the end: seats, paid for.
type Ticket struct {
	Reservation Reservation `json:"reservation"`
	Customer    string      `json:"customer"`
	Section     Section     `json:"section"`
	Seats       []Seat      `json:"seats"`
	Paid        Money       `json:"paid"`
}

// Reason is why something is refused or has failed, as in "sold-out": the code of
// a rejection. Each package declares its own.
type Reason string

// String writes it for people, "sold out".
func (r Reason) String() string { return strings.ReplaceAll(string(r), "-", " ") }

// Reject is the rejection of a command for this reason. The detail (which seat,
// how many) is formatted as by fmt.Sprintf; it may be empty.
func (r Reason) Reject(detail string, args ...any) error {
	text := r.String()
	if detail != "" {
		text += ": " + fmt.Sprintf(detail, args...)
	}
	return &aggregate.RejectionError{Code: string(r), Reason: text}
}

// RefusedError is a definitive refusal, as a saga is told of it: nothing was done
// and nothing will be, however often it is asked.
type RefusedError struct{ Reason Reason }

func (e RefusedError) Error() string { return e.Reason.String() }

// Rejected is true: package saga asks it, and undoes nothing then.
func (e RefusedError) Rejected() bool { return true }

// Retryable is false: effect.Retryable asks it, so that it is not tried again.
func (e RefusedError) Retryable() bool { return false }
