package order_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/order"
	"github.com/seed57833328/rondo/testkit"
)

// How much there is to explore depends on what may go wrong. The numbers are those
// of docs/exploration.md. They count situations apart that differ only by the
// faults which are left: taking these for one would miss what is behind them.
func TestGrowth(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		crashes, lost, duplicates int
		states, transitions       int
	}{
		{0, 0, 0, 26, 51},
		{1, 0, 0, 90, 241},
		{0, 1, 0, 50, 125},
		{0, 0, 1, 107, 309},
		{1, 1, 1, 696, 2_973},
		{2, 2, 2, 4_644, 26_703},
		{3, 3, 3, 17_660, 119_323},
	} {
		stats, failure, err := testkit.Search(model(order.Careful{}), append(promises,
			testkit.Crashes(row.crashes), testkit.LostReplies(row.lost), testkit.Duplicates(row.duplicates))...)
		require.NoError(t, err)
		require.Nil(t, failure)
		require.True(t, stats.Complete)
		require.Equal(t, [2]int{row.states, row.transitions}, [2]int{stats.States, stats.Transitions},
			"%d crashes, %d lost, %d duplicates", row.crashes, row.lost, row.duplicates)
	}
}
