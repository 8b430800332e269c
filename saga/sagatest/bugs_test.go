package sagatest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/testkit"
)

// Sagas with a mistake that only an order of events shows which nobody has thought
// of: each is found with the fewest steps that lead to it. The mended twin passes
// completely, also with a crash anywhere, and takes the steps again.
func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		wrong          mistakes
		wrongly, world town
		broken         string
		steps          []string
		changes        []string // that the report tells of, in order
	}{
		"a charge that comes after the deadline is kept": {
			wrong:  mistakes{NoRefund: true},
			broken: `Finally "compensated has neither" is broken`,
			steps: []string{
				`send start Reserve{Customer: "ann", Quantity: 1}`,
				`HoldSeats{Quantity: 1} is answered`,
				`timer "deadline"`,
				`Charge{Cents: 5000} is answered`,
				`undo ReleaseSeats{} is answered`,
			},
			changes: []string{
				`5 steps that lead to it, none fewer`, `state Status: "" → "running"`, `world   Held: [] →`, `timer "deadline"`,
				`state Reason: "" → "the hold ran out"`, `pending undo ReleaseSeats{}`, `world   Charged: [] →`, `state Status: "compensating" → "compensated"`,
			},
		},
		"an undo that was forgotten": {
			wrong:   mistakes{NoRelease: true},
			wrongly: town{Declines: true}, world: town{Declines: true},
			broken: `Finally "compensated has neither" is broken`,
			steps: []string{
				`send start Reserve{Customer: "ann", Quantity: 1}`,
				`HoldSeats{Quantity: 1} is answered`,
				`Charge{Cents: 5000} is answered`,
			},
			changes: []string{`3 steps that lead to it`, `state Reason: "" → "payment: card declined"`},
		},
		"an undo that is refused when it comes before its do": {
			wrongly: town{Strict: true},
			broken:  `Finally "it ends" is broken`,
			steps: []string{
				`send start Reserve{Customer: "ann", Quantity: 1}`,
				`timer "deadline"`,
				`undo ReleaseSeats{} is answered`,
				`HoldSeats{Quantity: 1} is answered`,
			},
			changes: []string{`4 steps that lead to it`, `state Status: "compensating" → "stuck"`},
		},
		"an undo that is not remembered when it comes before its do": {
			wrongly: town{Forgetful: true},
			broken:  `Finally "compensated has neither" is broken`,
			steps: []string{
				`send start Reserve{Customer: "ann", Quantity: 1}`,
				`timer "deadline"`,
				`undo ReleaseSeats{} is answered`,
				`HoldSeats{Quantity: 1} is answered`,
			},
			changes: []string{`4 steps that lead to it`, `state Late: 0 → 1`, `world   Held: [] →`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := fails(t, func(f *fakeT) {
				testkit.Explore(f, modelOf(t, reservation(row.wrong), row.wrongly), promises(testkit.Failures(0))...)
			})
			mentions(t, report, append([]string{row.broken}, row.changes...)...)
			_, failure, err := testkit.Search(modelOf(t, reservation(row.wrong), row.wrongly), promises(testkit.Failures(0))...)
			require.NoError(t, err)
			require.Equal(t, row.steps, failure.Steps)

			mended := modelOf(t, Reservation, row.world)
			testkit.Retrace(t, mended, row.steps, promises()...)
			stats := testkit.Explore(t, mended, promises(testkit.Failures(0), testkit.Crashes(1))...)
			require.True(t, stats.Complete)
		})
	}
}
