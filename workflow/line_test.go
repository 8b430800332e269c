package workflow_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/workflow"
)

// Run with the race detector, this holds that copies may be changed at once.
func TestCopiesMayBeChangedByDifferentGoroutines(t *testing.T) {
	t.Parallel()
	const copies, more = 8, 50
	p := workflow.Policy{MaxWaiting: 1000}
	for n := 1; n < 20; n++ {
		var start flow
		var want []order
		for i := range n {
			want = append(want, cmd(fmt.Sprintf("A%d", i)))
			_, err := start.Admit("A", want[i], noon, p)
			require.NoError(t, err)
		}
		var group sync.WaitGroup
		got := make([][]order, copies)
		for i := range copies {
			w := start
			group.Go(func() {
				for j := range more {
					_, _ = w.Admit("A", cmd(fmt.Sprintf("A%d.%d", i, j)), noon, p)
				}
				got[i], _ = w.Loaded("A", noon, p)
			})
		}
		group.Wait()
		for i := range copies {
			wantCopy := append([]order(nil), want...)
			for j := range more {
				wantCopy = append(wantCopy, cmd(fmt.Sprintf("A%d.%d", i, j)))
			}
			require.Equal(t, wantCopy, got[i])
		}
		require.Equal(t, n, start.Waiting())
	}
}

func TestAnEarlierCopyCanBeTakenUpAgain(t *testing.T) {
	t.Parallel()
	w := loading(t, forever, "A1", "A2")
	saved := w
	admit(t, &w, "A3", forever)
	later := w
	w = saved
	admit(t, &w, "B3", forever)
	loaded(t, &later, "A", forever, "A1", "A2", "A3")
	loaded(t, &w, "A", forever, "A1", "A2", "B3")
}
