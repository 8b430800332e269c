package show

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

// Screen draws a sale in a terminal, again and again in the same place.
type Screen struct {
	// Out is the terminal.
	Out io.Writer
	// Size tells how many columns and lines it has.
	Size func() (width, height int)
	// Colour says whether to use any.
	Colour bool

	mu     sync.Mutex
	recent []string // what has happened, the last at the end
}

// What terminals understand (ECMA-48, and xterm's alternate screen).
const (
	enter   = "\x1b[?1049h\x1b[?25l" // to the alternate screen, without a cursor
	leave   = "\x1b[?25h\x1b[?1049l" // and back
	home    = "\x1b[H"
	endLine = "\x1b[K\r\n" // erasing what was there before
	endAll  = "\x1b[J"
	green   = "\x1b[32m"
	yellow  = "\x1b[33m"
	dim     = "\x1b[2m"
	plain   = "\x1b[0m"
)

const (
	framesPerSecond = 12
	recentLines     = 8
)

// Start begins to draw what frame returns, until stop is called, which puts the
// terminal back as it was. Stop may be called again.
func (s *Screen) Start(frame func() (clock string, t sale.Tally, sections []inventory.Section)) (stop func()) {
	fmt.Fprint(s.Out, enter)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer fmt.Fprint(s.Out, leave)
		ticker := time.NewTicker(time.Second / framesPerSecond)
		defer ticker.Stop()
		for {
			fmt.Fprint(s.Out, s.Frame(frame()))
			select {
			case <-ticker.C:
			case <-quit:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-done
	})
}

// Happened notes what is worth a line. It may be called from any goroutine.
func (s *Screen) Happened(h sale.Happening, opening time.Time) {
	switch h.Is.Outcome.Reason {
	case inventory.SoldOut, inventory.TooFewLeft, inventory.NotTogether, inventory.SeatTaken:
		return // so many of them
	}
	if h.Is.Outcome.Phase == "" {
		return // it goes well
	}
	line := Line(h, opening)
	s.mu.Lock()
	defer s.mu.Unlock()
	if line == "" {
		return
	}
	s.recent = append(s.recent, line)
	if len(s.recent) > recentLines {
		s.recent = s.recent[1:]
	}
}

// Frame draws one picture.
func (s *Screen) Frame(clock string, t sale.Tally, sections []inventory.Section) string {
	width, height := s.Size()
	const fixed = 8 // the lines besides seats and recent events
	lines := []string{clip("ticket sale  "+clock, width), ""}
	seats := s.maps(sections, width)
	if fixed+len(seats) > height {
		seats = s.bars(sections, width)
	}
	lines = append(lines, seats...)
	lines = append(lines, "")
	for _, line := range Summary(t) {
		lines = append(lines, clip(line, width))
	}
	lines = append(lines, "")
	s.mu.Lock()
	for _, line := range s.recent[max(0, len(s.recent)-max(0, height-len(lines)-1)):] {
		lines = append(lines, clip(line, width))
	}
	s.mu.Unlock()
	return home + strings.Join(lines[:min(len(lines), max(1, height-1))], endLine) + endLine + endAll
}

// maps draws the sections side by side, as many as fit, every seat a sign.
func (s *Screen) maps(sections []inventory.Section, width int) []string {
	const gap = 3
	blockWidth, blockHeight := 0, 0
	for i := range sections {
		blockWidth = max(blockWidth, len([]rune(title(&sections[i]))))
		blockHeight = max(blockHeight, len(sections[i].Rows))
		for _, row := range sections[i].Rows {
			blockWidth = max(blockWidth, len(row)+3)
		}
	}
	perLine := max(1, (width+gap)/(blockWidth+gap))
	var lines []string
	for len(sections) > 0 {
		beside := sections[:min(perLine, len(sections))]
		sections = sections[len(beside):]
		block := make([]strings.Builder, blockHeight+1)
		for i := range beside {
			pad := func(line, used int) {
				block[line].WriteString(strings.Repeat(" ", blockWidth-used+gap))
			}
			name := title(&beside[i])
			block[0].WriteString(name)
			pad(0, len([]rune(name)))
			for row := range blockHeight {
				used := 0
				if row < len(beside[i].Rows) {
					used = s.row(&block[row+1], &beside[i], row)
				}
				pad(row+1, used)
			}
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		for i := range block {
			lines = append(lines, strings.TrimRight(block[i].String(), " "))
		}
	}
	if blockWidth > width {
		return s.bars(sections, width)
	}
	return lines
}

func title(s *inventory.Section) string {
	return fmt.Sprintf("%s %s %s", s.ID.Name, s.Tier.Name, s.Tier.Price)
}

// row draws one row and returns its width.
func (s *Screen) row(b *strings.Builder, section *inventory.Section, row int) int {
	letters := strings.TrimRight(ticket.Seat{Row: row + 1, Number: 1}.String(), "1")
	fmt.Fprintf(b, "%2s ", letters)
	for n := range section.Rows[row] {
		s.seat(b, section.StatusAt(ticket.Seat{Row: row + 1, Number: n + 1}), 1)
	}
	return len(section.Rows[row]) + 3
}

func (s *Screen) seat(b *strings.Builder, status inventory.Status, times int) {
	signs := strings.Repeat(string(sign(status)), times)
	colour := dim
	switch sign(status) {
	case soldSign:
		colour = green
	case heldSign:
		colour = yellow
	}
	if s.Colour && times > 0 {
		signs = colour + signs + plain
	}
	b.WriteString(signs)
}

// bars draws each section as a bar, for a terminal with little room.
func (s *Screen) bars(sections []inventory.Section, width int) []string {
	lines := make([]string, len(sections))
	for i := range sections {
		section := &sections[i]
		held, sold, all := 0, 0, section.Seats()
		for _, claim := range section.Claims {
			switch claim.Status {
			case inventory.IsHeld:
				held += len(claim.Seats)
			case inventory.IsSold:
				sold += len(claim.Seats)
			case inventory.IsReleased:
			}
		}
		name := clip(fmt.Sprintf("%-24s ", title(section)), width)
		room := max(0, min(50, width-len([]rune(name))))
		soldRoom := room * sold / max(1, all)
		heldRoom := room*(sold+held)/max(1, all) - soldRoom
		var b strings.Builder
		b.WriteString(name)
		s.seat(&b, inventory.IsSold, soldRoom)
		s.seat(&b, inventory.IsHeld, heldRoom)
		s.seat(&b, 0, room-soldRoom-heldRoom)
		lines[i] = b.String()
	}
	return lines
}

func clip(line string, width int) string {
	if r := []rune(line); len(r) > width {
		return string(r[:width])
	}
	return line
}
