package saga

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Waits grow by the factor up to the cap, are spread by no more than their jitter,
// and are never longer than the cap.
func TestWaitsOfAPolicy(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := RetryPolicy{
			Delay:  time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "delay")),
			Factor: rapid.Float64Range(1, 5).Draw(t, "factor"),
			Jitter: rapid.SampledFrom([]float64{-1, 0.01, 0.2, 0.5, 1}).Draw(t, "jitter"),
		}
		p.MaxDelay = time.Duration(rapid.Int64Range(int64(p.Delay), int64(3*time.Hour)).Draw(t, "max"))
		require.NoError(t, p.validate("p"))
		share := max(p.Jitter, 0)
		effect := fmt.Sprint("order/", rapid.Int().Draw(t, "key"), "/1/0")
		exact := float64(p.Delay)
		for n := 1; n <= 12; n++ {
			got := p.wait(effect, n)
			require.Equal(t, got, p.wait(effect, n), "a repetition waits alike")
			require.LessOrEqual(t, got, p.MaxDelay)
			capped := min(exact, float64(p.MaxDelay))
			require.GreaterOrEqual(t, float64(got), capped*(1-share)-1)
			require.LessOrEqual(t, float64(got), capped*(1+share)+1)
			exact *= p.Factor
		}
	})
}

// Effects that fail together are not tried again together, and the defaults hold.
func TestWaitsAreSpread(t *testing.T) {
	t.Parallel()
	below, above := 0, 0
	for i := range 1000 {
		id := fmt.Sprint("order/", i, "/1/0")
		switch d := (RetryPolicy{}).wait(id, 1); {
		case d < 180*time.Millisecond:
			below++
		case d > 220*time.Millisecond:
			above++
		}
		require.LessOrEqual(t, RetryPolicy{}.wait(id, 30), 30*time.Second)
		require.LessOrEqual(t, RetryPolicy{MaxDelay: 1<<63 - 1}.wait(id, 100), time.Duration(1<<63-1))
		require.Positive(t, RetryPolicy{MaxDelay: 1<<63 - 1}.wait(id, 100))
	}
	require.InDelta(t, 250, below, 70)
	require.InDelta(t, 250, above, 70)
}
