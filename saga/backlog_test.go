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

// What has come for a saga while nobody ran it is decided before anything is done
// again: what was resolved, or cancelled, is not done once more.
func TestWhatHasComeMeanwhileComesFirst(t *testing.T) {
	t.Parallel()
	charges := func(o *office) (n int) {
		for _, call := range o.house.made() {
			if call == "charge reservation/ann/2/0" {
				n++
			}
		}
		return n
	}
	for name, row := range map[string]struct {
		meanwhile func(t *testing.T, home saga.Store)
		want      saga.Status
	}{
		"resolved": {func(t *testing.T, home saga.Store) {
			t.Helper()
			_, err := saga.NewOperator(home).Resolve(t.Context(), Reservation.ID("ann"), "reservation/ann/2/0", struct{}{}, nil, by)
			require.NoError(t, err)
		}, saga.Completed},
		"cancelled": {func(t *testing.T, home saga.Store) {
			t.Helper()
			client, err := saga.New(home, saga.Config{Worker: "client"}, Reservation)
			require.NoError(t, err)
			require.NoError(t, client.Cancel(t.Context(), Reservation.ID("ann"), "changed my mind"))
		}, saga.Compensated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				h.before = func(_ context.Context, request, _ string, _ int) error {
					if request == "charge" {
						return errors.New("the bank is closed")
					}
					return nil
				}
				home := newHome()
				o := open(t, home, h, saga.Config{})
				o.start("ann")
				o.until("ann", func(s saga.Snapshot) bool { return len(s.Pending) == 1 && s.Pending[0].Attempts > 0 })
				o.crash()
				before := charges(o)
				row.meanwhile(t, home)
				require.NoError(t, store.Sleep(t.Context(), 10*time.Minute)) // another attempt is long due
				o = open(t, home, h, saga.Config{})
				require.Equal(t, row.want, o.wait("ann").Status)
				require.Equal(t, before, charges(o))
			})
		})
	}
}
