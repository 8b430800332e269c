// Package ticket has the words that every part of the sale uses: seats and
// sections, money, reservations and tickets, and the refusal that says why
// something cannot be had.
package ticket

import (
	"fmt"
	"strconv"
	"strings"
)

// Reservation names one customer's wish for seats. It is the idempotency key of
// everything that is done for it: a command that comes twice with the same
// reservation is done once.
type Reservation string

// Section names a section of an event.
type Section struct{ Event, Name string }

func (s Section) String() string { return s.Event + "/" + s.Name }

// Tier is what a seat costs and what that price is called.
type Tier struct {
	Name  string
	Price Money
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
	Reservation Reservation
	Customer    string
	Section     Section
	Seats       []Seat
	Paid        Money
}

// Reason says in a few words why something is refused or has failed. Each
// package declares its own.
type Reason string

// RejectionError is the error of a refusal: a decision, made on full knowledge, that
// another attempt will not change. Whoever gets one knows that nothing was done.
type RejectionError struct {
	Reason Reason
	Detail string // which seat, how many; may be empty
}

// Reject makes a rejection. The detail is formatted as by fmt.Sprintf.
func Reject(reason Reason, format string, args ...any) *RejectionError {
	return &RejectionError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

func (r *RejectionError) Error() string {
	if r.Detail == "" {
		return string(r.Reason)
	}
	return fmt.Sprintf("%s: %s", r.Reason, r.Detail)
}

// Retryable is false: effect.Retryable asks it, so that no retry policy tries a
// rejected request again.
func (r *RejectionError) Retryable() bool { return false }
