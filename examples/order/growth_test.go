package order_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/order"
	"github.com/seed57833328/rondo/testkit"
)

// How much there is to explore depends on what may go wrong.
func TestGrowth(t *testing.T) {
	t.Parallel()
	last := 0
	for _, row := range []struct {
		crashes, lost, duplicates int
	}{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}} {
		stats, failure, err := testkit.Search(model(order.Careful{}), append(promises,
			testkit.Crashes(row.crashes), testkit.LostReplies(row.lost), testkit.Duplicates(row.duplicates))...)
		require.NoError(t, err)
		require.Nil(t, failure)
		require.True(t, stats.Complete)
		t.Logf("| %d crashes, %d lost, %d duplicates | %d | %d |", row.crashes, row.lost, row.duplicates, stats.States, stats.Transitions)
		if row.crashes == row.lost && row.lost == row.duplicates {
			require.Greater(t, stats.States, last)
			last = stats.States
		}
	}
}
