package saga_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
)

// wide is a home that does well with three commits at once, and holds them up.
type wide struct {
	*memory.Store

	inFlight atomic.Int64
	release  chan struct{}
}

func (*wide) Commits() int { return 3 }

func (w *wide) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	w.inFlight.Add(1)
	defer w.inFlight.Add(-1)
	<-w.release
	return w.Store.Commit(ctx, changes)
}

func TestCommitsAreAsManyAsTheHomeLikes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		config int
		want   int64
	}{
		"the home's": {0, 3},
		"its own":    {2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home := &wide{Store: memory.New(memory.Config{}), release: make(chan struct{})}
				runner, err := saga.New(home, saga.Config{Handlers: quiet(false), Commits: row.config}, Reservation)
				require.NoError(t, err)
				go func() { _ = runner.Run(context.Background()) }() //nolint:usetesting // it outlives the context of the bubble
				synctest.Wait()
				for i := range 8 {
					go func() {
						if _, err := runner.Start(t.Context(), Reservation.ID(strconv.Itoa(i)), Reserve{Quantity: 1}); err != nil {
							t.Errorf("start: %v", err)
						}
					}()
				}
				synctest.Wait()
				require.Equal(t, row.want, home.inFlight.Load())
				close(home.release)
				synctest.Wait()
				require.NoError(t, runner.Shutdown(context.Background())) //nolint:usetesting // it outlives the context of the bubble
			})
		})
	}
}
