// Package show puts a sale into words and pictures: lines of what happens, the
// sale in numbers, and a live seat map for a terminal.
package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// Clock writes a time since the opening, as in "04:59.250".
func Clock(d time.Duration) string {
	d = d.Round(time.Millisecond)
	return fmt.Sprintf("%02d:%02d.%03d", d/time.Minute, d%time.Minute/time.Second, d%time.Second/time.Millisecond)
}

// Words says what a step of a reservation means to its customer. It is empty if it
// means nothing.
func Words(h sale.Happening) string {
	was, is := &h.Was, &h.Is
	switch {
	case is.Phase.Decided() && !was.Phase.Decided():
		return is.Outcome.String()
	case is.Outcome.Refunded > was.Outcome.Refunded:
		return fmt.Sprintf("gets %s back", is.Outcome.Refunded-was.Outcome.Refunded)
	case is.Phase == was.Phase:
		return ""
	}
	switch is.Phase {
	case reservation.Holding:
		wish := fmt.Sprintf("%d of the best", is.Order.Quantity)
		if len(is.Order.Chosen) > 0 {
			wish = ticket.Seats(is.Order.Chosen)
		}
		return fmt.Sprintf("asks for %s in %s", wish, is.Order.Section)
	case reservation.Requesting:
		return fmt.Sprintf("holds %s for %s", ticket.Seats(is.Seats), is.Price)
	case reservation.Confirming:
		return "has paid"
	case reservation.Compensating:
		switch {
		case is.Outcome.Phase == reservation.Cancelled:
			return "is to be cancelled"
		case is.Outcome.Reason == reservation.DeadlinePassed:
			return "has reached its deadline"
		case is.Outcome.Reason == reservation.EventCancelled:
			return "has lost its event"
		}
	default:
	}
	return ""
}

// Line is [Words] with time and name in front, since the opening.
func Line(h sale.Happening, opening time.Time) string {
	words := Words(h)
	if words == "" {
		return ""
	}
	return fmt.Sprintf("%s  %-8s %s", Clock(h.At.Sub(opening)), h.Reservation, words)
}

// Progress writes a sale in numbers, in one line.
func Progress(t sale.Tally) string {
	line := fmt.Sprintf("seats %d sold %d held %d free | reservations %d completed %d failed %d cancelled %d open | %s charged %s refunded",
		t.Sold, t.Held, t.Free, t.Completed, t.Failed, t.Cancelled, t.Open, t.Charged, t.Refunded)
	if t.Stuck > 0 {
		line += fmt.Sprintf(" | %d STUCK", t.Stuck)
	}
	return line
}

// Summary writes it in three.
func Summary(t sale.Tally) []string {
	return []string{
		fmt.Sprintf("%c %d sold  %c %d held  %c %d free", soldSign, t.Sold, heldSign, t.Held, freeSign, t.Free),
		fmt.Sprintf("reservations: %d completed, %d failed, %d cancelled, %d open, %d stuck", t.Completed, t.Failed, t.Cancelled, t.Open, t.Stuck),
		fmt.Sprintf("%s charged, %s refunded", t.Charged, t.Refunded),
	}
}

// The signs of a seat map.
const (
	freeSign = '·'
	heldSign = '○'
	soldSign = '●'
)

func sign(s inventory.Status) rune {
	switch s {
	case inventory.IsHeld:
		return heldSign
	case inventory.IsSold:
		return soldSign
	case inventory.IsReleased:
	}
	return freeSign
}

// Map draws a section's seats, a row to a line, the front row first.
func Map(s *inventory.Section) string {
	var b strings.Builder
	for i, row := range Rows(s) {
		letters := strings.TrimRight(ticket.Seat{Row: i + 1, Number: 1}.String(), "1")
		fmt.Fprintf(&b, "  %2s %s\n", letters, row)
	}
	return b.String()
}

// Rows are the seats of a section as signs, the front row first.
func Rows(s *inventory.Section) []string {
	rows := make([]string, len(s.Rows))
	for row := range s.Rows {
		for n := range s.Rows[row] {
			rows[row] += string(sign(s.StatusAt(ticket.Seat{Row: row + 1, Number: n + 1})))
		}
	}
	return rows
}
