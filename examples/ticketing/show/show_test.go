package show_test

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/inventory"
	"github.com/seed57833328/rondo/examples/ticketing/reservation"
	"github.com/seed57833328/rondo/examples/ticketing/sale"
	"github.com/seed57833328/rondo/examples/ticketing/show"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
)

var (
	stalls  = ticket.Section{Event: "gala", Name: "stalls"}
	opening = time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)
)

func TestClock(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                        "00:00.000",
		1500 * time.Microsecond:                  "00:00.002",
		4*time.Minute + 59999*time.Millisecond:   "04:59.999",
		135*time.Minute + 5500*time.Millisecond:  "135:05.500",
		59*time.Second + 999600*time.Microsecond: "01:00.000",
	} {
		require.Equal(t, want, show.Clock(d))
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	seats := []ticket.Seat{{Row: 1, Number: 4}, {Row: 1, Number: 5}}
	failed := reservation.Outcome{Phase: reservation.Failed, Reason: "sold-out"}
	for want, is := range map[string]reservation.State{
		"asks for 2 of the best in gala/stalls": {Phase: reservation.Holding, Order: reservation.Order{Section: stalls, Quantity: 2}},
		"asks for A4 A5 in gala/stalls":         {Phase: reservation.Holding, Order: reservation.Order{Section: stalls, Chosen: seats}},
		"holds A4 A5 for $299.80":               {Phase: reservation.Requesting, Seats: seats, Price: 299_80},
		"has paid":                              {Phase: reservation.Confirming},
		"is to be cancelled":                    {Phase: reservation.Compensating, Outcome: reservation.Outcome{Phase: reservation.Cancelled}},
		"has reached its deadline":              {Phase: reservation.Compensating, Outcome: reservation.Outcome{Phase: reservation.Failed, Reason: reservation.DeadlinePassed}},
		"has lost its event":                    {Phase: reservation.Compensating, Outcome: reservation.Outcome{Phase: reservation.Failed, Reason: reservation.EventCancelled}},
		"gets $299.80 back":                     {Outcome: reservation.Outcome{Refunded: 299_80}},
		"failed: sold out":                      {Phase: reservation.Failed, Outcome: failed},
	} {
		h := sale.Happening{At: opening.Add(61 * time.Second), Reservation: "ann", Is: is}
		require.Equal(t, "01:01.000  ann      "+want, show.Line(h, opening))
	}
	require.Empty(t, show.Line(sale.Happening{At: opening, Is: reservation.State{Phase: reservation.Charging}}, opening))
	require.Empty(t, show.Line(sale.Happening{At: opening, Is: reservation.State{Phase: reservation.Compensating, Outcome: failed}}, opening))
	ended := reservation.State{Phase: reservation.Failed, Outcome: failed}
	require.Empty(t, show.Line(sale.Happening{At: opening, Was: ended, Is: ended}, opening))
}

func TestProgress(t *testing.T) {
	t.Parallel()
	tally := sale.Tally{Free: 1, Held: 2, Sold: 3, Open: 4, Completed: 5, Failed: 6, Cancelled: 7, Charged: 800, Refunded: 9}
	require.Equal(t, "seats 3 sold 2 held 1 free | reservations 5 completed 6 failed 7 cancelled 4 open | $8.00 charged $0.09 refunded", show.Progress(tally))
	tally.Stuck = 2
	require.Contains(t, show.Progress(tally), " | 2 STUCK")
}

// hall is a section with seats in every state, times n.
func hall(n int) []inventory.Section {
	sections := make([]inventory.Section, n)
	for i := range sections {
		s := inventory.NewSection(stalls, ticket.Tier{Name: "Premium", Price: 149_90}, 5, 4)
		s.Rows[0][0], s.Rows[0][1] = "ann", "bob"
		s.Claims["ann"] = inventory.Claim{Status: inventory.IsSold, Seats: []ticket.Seat{{Row: 1, Number: 1}}}
		s.Claims["bob"] = inventory.Claim{Status: inventory.IsHeld, Seats: []ticket.Seat{{Row: 1, Number: 2}}}
		sections[i] = s
	}
	return sections
}

func TestMap(t *testing.T) {
	t.Parallel()
	require.Equal(t, "   A ●○···\n   B ····\n", show.Map(&hall(1)[0]))
}

func screen(width, height int) *show.Screen {
	return &show.Screen{Size: func() (int, int) { return width, height }}
}

// visible is what a frame looks like.
func visible(frame string) string {
	return regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]|\r`).ReplaceAllString(frame, "")
}

func TestFrame(t *testing.T) {
	t.Parallel()
	s := screen(60, 24)
	s.Happened(sale.Happening{At: opening, Reservation: "ann", Is: ended(reservation.Outcome{Phase: reservation.Cancelled})}, opening)
	frame := s.Frame("00:01.000", sale.Tally{Free: 21, Held: 3, Sold: 3, Completed: 3, Charged: 449_70}, hall(3))
	require.Equal(t, strings.TrimLeft(`
ticket sale  00:01.000

stalls Premium $149.90   stalls Premium $149.90
 A ●○···                  A ●○···
 B ····                   B ····

stalls Premium $149.90
 A ●○···
 B ····

● 3 sold  ○ 3 held  · 21 free
reservations: 3 completed, 0 failed, 0 cancelled, 0 open, 0 
$449.70 charged, $0.00 refunded

00:00.000  ann      cancelled
`, "\n"), visible(frame))
}

func TestFrameFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {200, 60}, {60, 14}, {40, 10}, {20, 5}, {10, 3}, {1, 1}} {
		s := screen(size[0], size[1])
		s.Colour = true
		for range 20 {
			s.Happened(sale.Happening{At: opening, Reservation: ticket.Reservation(strings.Repeat("x", 100)), Is: ended(reservation.Outcome{Phase: reservation.Cancelled})}, opening)
		}
		frame := s.Frame("00:01.000", sale.Tally{}, hall(30))
		lines := strings.Split(strings.TrimSuffix(visible(frame), "\n"), "\n")
		require.LessOrEqual(t, len(lines), size[1], "%v", size)
		for _, line := range lines {
			require.LessOrEqual(t, len([]rune(line)), size[0], "%v: %q", size, line)
		}
	}
}

func TestFrameInALowTerminalHasBars(t *testing.T) {
	t.Parallel()
	frame := visible(screen(50, 12).Frame("", sale.Tally{}, hall(3)))
	require.Equal(t, 3, strings.Count(frame, "stalls Premium $149.90   ●●○○○·"), "%s", frame)
}

// What goes well, and what happens to many, is not worth a line.
func TestRecentLines(t *testing.T) {
	t.Parallel()
	s := screen(80, 24)
	happens := func(id ticket.Reservation, is reservation.State) {
		s.Happened(sale.Happening{At: opening, Reservation: id, Is: is}, opening)
	}
	happens("ann", ended(reservation.Outcome{Phase: reservation.Cancelled}))
	happens("bob", ended(reservation.Outcome{Phase: reservation.Failed, Reason: inventory.SoldOut}))
	happens("cat", reservation.State{Phase: reservation.Confirming})
	happens("dan", reservation.State{Phase: reservation.Compensating, Outcome: reservation.Outcome{Phase: reservation.Failed, Reason: "card-declined"}})
	frame := s.Frame("", sale.Tally{}, nil)
	require.Equal(t, 1, strings.Count(frame, "ann"))
	for _, name := range []string{"bob", "cat", "dan"} {
		require.NotContains(t, frame, name)
	}
}

func ended(o reservation.Outcome) reservation.State {
	return reservation.State{Phase: o.Phase, Outcome: o}
}

// buffer may be read while the screen writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func TestScreenPutsTheTerminalBack(t *testing.T) {
	t.Parallel()
	var out buffer
	s := screen(80, 24)
	s.Out = &out
	drawn := make(chan struct{}, 100)
	stop := s.Start(func() (string, sale.Tally, []inventory.Section) {
		drawn <- struct{}{}
		return "00:00.000", sale.Tally{}, hall(1)
	})
	<-drawn
	<-drawn // it draws again
	stop()
	stop()
	text := out.text.String()
	require.True(t, strings.HasPrefix(text, "\x1b[?1049h\x1b[?25l"))
	require.True(t, strings.HasSuffix(text, "\x1b[?25h\x1b[?1049l"))
}
