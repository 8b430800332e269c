package saga

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who waits for a saga's end believes its machine, but for one whose commit that
// ends the saga may have come through: those who waited were told then, and will
// not be again.
func TestSettled(t *testing.T) {
	t.Parallel()
	at := func(sequence int64, status Status) *head {
		return &head{Record: Record{Sequence: sequence, Status: status}}
	}
	for name, c := range map[string]struct {
		machine machine
		settled bool
	}{
		"nothing known":       {machine{}, false},
		"being loaded":        {machine{Phase: loading, Head: at(3, Running)}, false},
		"not begun":           {machine{Phase: live, Head: at(0, "")}, false},
		"at work":             {machine{Phase: live, Head: at(3, Running)}, true},
		"about to go on":      {machine{Phase: live, Head: at(3, Running), Next: &proposal{Head: at(4, Running)}}, true},
		"about to compensate": {machine{Phase: live, Head: at(3, Running), Next: &proposal{Head: at(4, Compensating)}}, true},
		"about to end":        {machine{Phase: live, Head: at(3, Running), Next: &proposal{Head: at(4, Completed)}}, false},
		"about to be undone":  {machine{Phase: live, Head: at(3, Compensating), Next: &proposal{Head: at(4, Compensated)}}, false},
		"ended":               {machine{Phase: live, Head: at(4, Completed)}, true},
	} {
		record, settled := c.machine.settled()
		require.Equal(t, c.settled, settled, name)
		if settled {
			require.Equal(t, c.machine.Head.Record, record, name)
		}
	}
}
