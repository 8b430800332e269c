package cancellation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/examples/ticketing/ticket"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
)

// asked names what an effect asks for.
func asked(d effect.Description) (text string) {
	switch q := d.Request.(type) {
	case nil:
	case saga.Command:
		text = fmt.Sprintf("%T ", q.Request)
	default:
		text = fmt.Sprintf("%T ", q)
	}
	for _, e := range d.Effects {
		text += asked(e)
	}
	return text
}

// Everybody is revoked, no more than AtOnce at a time, and it ends when all are.
func TestCancellation(t *testing.T) {
	t.Parallel()
	var s State
	asks := func(a Action) string { return asked(effect.Describe(Reducer{}.Reduce(&s, a, reducer.Env{}))) }

	first := asks(Start{[]ticket.Section{{Event: "gala", Name: "A"}, {Event: "gala", Name: "B"}}})
	require.Contains(t, first, "Pivot")
	require.Equal(t, 2, strings.Count(first, "ShutSection"))
	many := make([]ticket.Reservation, AtOnce+3)
	for i := range many {
		many[i] = ticket.Reservation(fmt.Sprint("r", i))
	}
	require.Equal(t, AtOnce, strings.Count(asks(SectionWasShut{many}), "Revoke "))
	for range 3 {
		require.Equal(t, 1, strings.Count(asks(WasRevoked{5}), "Revoke "))
	}
	for range AtOnce {
		require.NotContains(t, asks(WasRevoked{5}), "Revoke ")
	}
	require.Contains(t, asks(SectionWasShut{}), "Completion")
	require.Equal(t, State{Left: s.Left, Revoked: AtOnce + 3, Refunded: 5 * (AtOnce + 3)}, s)
	require.Empty(t, s.Left)
}

func TestNothingWasSold(t *testing.T) {
	t.Parallel()
	var s State
	Reducer{}.Reduce(&s, Start{[]ticket.Section{{Event: "gala", Name: "A"}}}, reducer.Env{})
	require.Contains(t, asked(effect.Describe(Reducer{}.Reduce(&s, SectionWasShut{}, reducer.Env{}))), "Completion")
}
