package saga_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
)

// loads counts what is loaded from a home.
type loads struct {
	saga.Store

	n atomic.Int64
}

func (l *loads) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	l.n.Add(1)
	return l.Store.Load(ctx, id)
}

// Who waits for a saga that this process is at work on asks nothing of the store.
func TestWaitForWhatIsAtHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := &loads{Store: memory.New(memory.Config{})}
		release := make(chan struct{})
		handlers := quiet(false)
		handlers[0] = effect.Handle(func(context.Context, HoldSeats) ([]string, error) {
			<-release
			return []string{"A1"}, nil
		})
		runner, err := saga.New(home, saga.Config{Handlers: handlers}, Reservation)
		require.NoError(t, err)
		go func() { _ = runner.Run(context.Background()) }() //nolint:usetesting // it outlives the context of the bubble
		synctest.Wait()
		h, err := runner.Start(t.Context(), Reservation.ID("a"), Reserve{Quantity: 1})
		require.NoError(t, err)
		ended := make(chan saga.Snapshot)
		go func() {
			end, err := h.Wait(t.Context())
			if err != nil {
				t.Errorf("wait: %v", err)
			}
			ended <- end
		}()
		synctest.Wait() // it waits
		close(release)
		require.Equal(t, saga.Completed, (<-ended).Status)
		require.Zero(t, home.n.Load())
		again, err := h.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, saga.Completed, again.Status, "when it is not at hand any more")
		require.NoError(t, runner.Shutdown(context.Background())) //nolint:usetesting // it outlives the context of the bubble
	})
}
