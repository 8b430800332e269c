package workflow_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/workflow"
)

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		policy workflow.Policy
		want   string // part of the error, empty for none
	}{
		{"zero value", workflow.Policy{}, ""},
		{"bound of one", workflow.Policy{MaxWaiting: 1}, ""},
		{"negative bound", workflow.Policy{MaxWaiting: -5}, "Policy.MaxWaiting is -5, want 0 (for 64) or more"},
		{"shortest time to live", workflow.Policy{Freshness: workflow.TTL(1)}, ""},
		{"longest time to live", workflow.Policy{Freshness: workflow.TTL(math.MaxInt64)}, ""},
		{"until invalidated", workflow.Policy{Freshness: workflow.UntilInvalidated}, ""},
		{"no time to live", workflow.Policy{Freshness: workflow.TTL(0)}, "Policy.Freshness is TTL(0s), want a time to live above 0"},
		{"negative time to live", workflow.Policy{Freshness: workflow.TTL(-time.Second)}, "Policy.Freshness is TTL(-1s), want a time to live above 0"},
		{"least time to live", workflow.Policy{Freshness: workflow.TTL(math.MinInt64)}, "want a time to live above 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := row.policy.Validate()
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, row.want)
		})
	}
}
