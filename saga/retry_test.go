package saga_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A policy without jitter waits as long as it says.
func TestRetryWithoutJitter(t *testing.T) {
	t.Parallel()
	exact := saga.Steps("exact", saga.Step[Order]{
		Do:    saga.Ask("hold-seats", func(Order) HoldSeats { return HoldSeats{2} }, nil),
		Retry: saga.RetryPolicy{Attempts: 3, Delay: time.Hour, MaxDelay: 3 * time.Hour, Jitter: -1},
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, _, _ string, _ int) error { return errors.New("down") }
		o := open(t, newHome(), h, saga.Config{}, exact)
		_, err := o.runner.Start(t.Context(), exact.ID("ann"), saga.Begin[Order]{})
		require.NoError(t, err)
		for n, wait := range []time.Duration{time.Hour, 2 * time.Hour} {
			synctest.Wait()
			s, err := o.runner.State(t.Context(), exact.ID("ann"))
			require.NoError(t, err)
			require.Equal(t, n+1, s.Attempts)
			require.Equal(t, wait, s.Due.Sub(s.Updated))
			require.NoError(t, store.Sleep(t.Context(), wait))
		}
		end, err := o.runner.Wait(t.Context(), exact.ID("ann"))
		require.NoError(t, err)
		require.Equal(t, saga.Compensated, end.Status)
	})
}
