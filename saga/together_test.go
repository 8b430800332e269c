package saga_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
)

// narrow is a home with one commit at a time, held up when it is told to, which
// remembers what was committed together.
type narrow struct {
	*memory.Store

	held    chan struct{} // nil if nothing is held up
	batches [][]string    // keys, with the sequence
}

func (*narrow) Commits() int { return 1 }

func (n *narrow) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	var batch []string
	for _, c := range changes {
		batch = append(batch, fmt.Sprint(c.Record.ID.Key, " ", c.Record.Sequence))
	}
	n.batches = append(n.batches, batch)
	if n.held != nil {
		<-n.held
	}
	return n.Store.Commit(ctx, changes)
}

// Decisions that wait while another is committed are committed together, each with
// a verdict of its own: one that another process was faster with is decided again,
// and its neighbours are not.
func TestDecisionsThatWaitAreCommittedTogether(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		atMost int
		want   []int // how many are in each commit
	}{
		"all":               {0, []int{1, 7, 1}},
		"as many as may be": {3, []int{1, 3, 3, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home := &narrow{Store: memory.New(memory.Config{})}
				o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil), MaxBatch: row.atMost}, counter)
				for i := range 8 {
					_, err := o.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), add{0})
					require.NoError(t, err)
				}
				home.batches, home.held = nil, make(chan struct{})
				for i := range 8 {
					go func() {
						if err := o.runner.Signal(t.Context(), counter.ID(fmt.Sprint(i)), "m", add{1 + i}); err != nil {
							t.Errorf("signal %d: %v", i, err)
						}
					}()
					synctest.Wait() // each waits behind those before it
				}
				require.Equal(t, [][]string{{"0 2"}}, home.batches, "one that finds nothing at work goes alone and at once")
				// Another process is faster with one of those that wait.
				_, err := saga.NewOperator(home.Store).Retry(t.Context(), counter.ID("4"), by)
				require.NoError(t, err)
				close(home.held)
				require.NoError(t, store.Sleep(t.Context(), time.Second))
				for i := range 8 {
					require.Equal(t, 1+i, o.count(fmt.Sprint(i)))
				}
				var sizes []int
				for _, batch := range home.batches {
					sizes = append(sizes, len(batch))
				}
				require.Equal(t, row.want, sizes, home.batches)
				require.Equal(t, []string{"4 3"}, home.batches[len(home.batches)-1], "what was in conflict is decided again, and nothing else")
			})
		})
	}
}
