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

// Words says what an action of a reservation means to its customer. It is empty
// if it means nothing.
func Words(a reservation.Action) string {
	switch a := a.(type) {
	case reservation.Start:
		wish := fmt.Sprintf("%d of the best", a.Order.Quantity)
		if len(a.Order.Chosen) > 0 {
			wish = ticket.Seats(a.Order.Chosen)
		}
		return fmt.Sprintf("asks for %s in %s", wish, a.Order.Section)
	case reservation.SeatsWereHeld:
		return fmt.Sprintf("holds %s for %s", ticket.Seats(a.Seats), a.Price)
	case reservation.WasCharged:
		return "has paid"
	case reservation.Cancel:
		return "is to be cancelled"
	case reservation.DeadlineDue:
		return "has reached its deadline"
	case reservation.WasUndone:
		if a.Refunded > 0 {
			return fmt.Sprintf("gets %s back", a.Refunded)
		}
	case reservation.Finished:
		return a.Outcome.String()
	}
	return ""
}

// Line is [Words] with time and name in front, since the opening.
func Line(h sale.Happening, opening time.Time) string {
	words := Words(h.Action)
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
	case inventory.IsReleased, inventory.IsExpired:
	}
	return freeSign
}

// Map draws a section's seats, a row to a line, the front row first.
func Map(s *inventory.Section) string {
	var b strings.Builder
	for row := range s.Rows {
		letters := strings.TrimRight(ticket.Seat{Row: row + 1, Number: 1}.String(), "1")
		fmt.Fprintf(&b, "  %2s ", letters)
		for n := range s.Rows[row] {
			b.WriteRune(sign(s.StatusAt(ticket.Seat{Row: row + 1, Number: n + 1})))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
