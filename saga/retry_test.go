package saga_test

import (
	"context"
	"errors"
	"fmt"
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

// A process that dies leaves the attempts that failed behind, and the time of the next.
func TestAttemptsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	patient := saga.Steps("patient", saga.Step[Order]{
		Do:    saga.Ask("hold-seats", func(Order) HoldSeats { return HoldSeats{2} }, nil),
		Retry: saga.RetryPolicy{Attempts: 4, Delay: time.Hour, MaxDelay: time.Hour, Jitter: -1},
	})
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		var attempts []string
		h.before = func(ctx context.Context, _, key string, attempt int) error {
			attempts = append(attempts, fmt.Sprint(key, " ", attempt))
			return errors.New("down")
		}
		began := time.Now()
		o := open(t, home, h, saga.Config{Worker: "a"}, patient)
		_, err := o.runner.Start(t.Context(), patient.ID("ann"), saga.Begin[Order]{})
		require.NoError(t, err)
		for range 3 { // each attempt is another process's
			synctest.Wait()
			o.crash()
			o = open(t, home, h, saga.Config{Worker: "a"}, patient)
			require.NoError(t, store.Sleep(t.Context(), time.Hour))
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		end, err := o.runner.Wait(soon, patient.ID("ann"))
		require.NoError(t, err, attempts)
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, 3*time.Hour, time.Since(began).Round(time.Minute))
		const key = "patient/ann/1/0"
		require.Equal(t, []string{key + " 1", key + " 2", key + " 3", key + " 4"}, attempts)
	})
}
