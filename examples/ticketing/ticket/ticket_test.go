package ticket_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/saga"
)

func TestMoneyIsWrittenInDollarsAndCents(t *testing.T) {
	t.Parallel()
	for amount, want := range map[ticket.Money]string{
		0:             "$0.00",
		5:             "$0.05",
		14990:         "$149.90",
		100_000:       "$1,000.00",
		123_456_789:   "$1,234,567.89",
		-4525:         "-$45.25",
		math.MaxInt64: "$92,233,720,368,547,758.07",
		math.MinInt64: "-$92,233,720,368,547,758.08",
	} {
		require.Equal(t, want, amount.String())
	}
	require.Equal(t, ticket.Money(44970), ticket.Money(14990).Times(3))
}

func TestSeatIsWrittenAsOnATicket(t *testing.T) {
	t.Parallel()
	for text, seat := range map[string]ticket.Seat{
		"A1":   {Row: 1, Number: 1},
		"B17":  {Row: 2, Number: 17},
		"Z9":   {Row: 26, Number: 9},
		"AA1":  {Row: 27, Number: 1},
		"AZ12": {Row: 52, Number: 12},
		"BA3":  {Row: 53, Number: 3},
		"ZZ3":  {Row: 702, Number: 3},
	} {
		require.Equal(t, text, seat.String())
		got, err := ticket.ParseSeat(text)
		require.NoError(t, err)
		require.Equal(t, seat, got)
	}
}

func TestParseSeatRefusesEverythingElse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "A", "7", "a1", "A0", "A01", "A-1", "A+1", "A1.5", "1A", "A1B", "AAA1", "A 1", " A1", "A99999999999", "Ä1"} {
		_, err := ticket.ParseSeat(text)
		require.ErrorContains(t, err, fmt.Sprintf("%q is no seat, want", text))
	}
}

func FuzzParseSeat(f *testing.F) {
	for _, text := range []string{"A1", "ZZ65535", "B07", "", "AA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		seat, err := ticket.ParseSeat(text)
		if err == nil {
			require.Equal(t, text, seat.String())
			require.Positive(t, seat.Row)
			require.Positive(t, seat.Number)
		}
	})
}

func TestSeatIsTextInJSON(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal([]ticket.Seat{{Row: 2, Number: 7}})
	require.NoError(t, err)
	require.JSONEq(t, `["B7"]`, string(data))
	var seats []ticket.Seat
	require.NoError(t, json.Unmarshal(data, &seats))
	require.Equal(t, []ticket.Seat{{Row: 2, Number: 7}}, seats)
	require.ErrorContains(t, json.Unmarshal([]byte(`["7B"]`), &seats), `"7B" is no seat`)
}

func TestReasons(t *testing.T) {
	t.Parallel()
	const taken ticket.Reason = "seat-taken"
	err := taken.Reject("%s", ticket.Seat{Row: 2, Number: 7})
	require.EqualError(t, err, "rejected: seat taken: B7 (seat-taken)")
	require.True(t, aggregate.IsRejection(err))
	require.EqualError(t, taken.Reject(""), "rejected: seat taken (seat-taken)")

	refused := fmt.Errorf("hold: %w", ticket.RefusedError{Reason: taken})
	require.EqualError(t, refused, "hold: seat taken")
	require.True(t, saga.IsRejected(refused))
	require.False(t, effect.Retryable(refused))
	require.ErrorIs(t, refused, ticket.RefusedError{Reason: taken})
	require.NotErrorIs(t, refused, ticket.RefusedError{Reason: "sold-out"})
}
