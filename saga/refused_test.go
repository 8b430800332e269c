package saga_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// overtaken is a home whose saga goes on when it was looked at.
type overtaken struct {
	saga.Store

	then func()
}

func (o *overtaken) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	r, found, err := o.Store.Load(ctx, id)
	o.then()
	return r, found, err
}

// What comes too late by the inbox was not taken, and who says it again is told so.
func TestWhatWasRefusedIsNotTakenForSeen(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(context.Context, *saga.Runner) error{
		"cancel": func(ctx context.Context, r *saga.Runner) error { return r.Cancel(ctx, Reservation.ID("ann"), "enough") },
		"signal": func(ctx context.Context, r *saga.Runner) error {
			return r.Signal(ctx, Reservation.ID("ann"), "m", Expired{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home, h, release := newHome(), newHouse(), make(chan struct{})
				h.set(func(_ context.Context, request, _ string, _ int) error {
					if request == "charge" {
						<-release
					}
					return nil
				}, nil)
				var refused []error
				o := open(t, home, h, saga.Config{Hooks: saga.Hooks{Refused: func(_ saga.ID, _ string, err error) { refused = append(refused, err) }}})
				o.start("ann")
				customer, err := saga.New(&overtaken{home, func() {
					close(release)
					require.Equal(t, saga.Completed, o.wait("ann").Status)
				}}, saga.Config{}, Reservation)
				require.NoError(t, err)
				require.NoError(t, send(t.Context(), customer), "it is kept")
				require.NoError(t, store.Sleep(t.Context(), 1))
				synctest.Wait()
				require.Len(t, refused, 1)
				require.ErrorIs(t, refused[0], saga.ErrEnded)
				require.ErrorIs(t, send(t.Context(), o.runner), saga.ErrEnded)
			})
		})
	}
}

// Who cancels a saga again is not told that it is cancelled if it was terminated.
func TestCancelAfterTerminate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.set(func(ctx context.Context, _, _ string, _ int) error { <-ctx.Done(); return ctx.Err() }, nil)
		o := open(t, newHome(), h, saga.Config{})
		id := o.start("ann").ID
		require.NoError(t, o.runner.Cancel(t.Context(), id, "enough"))
		require.NoError(t, o.runner.Cancel(t.Context(), id, "enough"), "it compensates")
		_, err := o.runner.Terminate(t.Context(), id, by)
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorIs(t, o.runner.Cancel(t.Context(), id, "enough"), saga.ErrEnded)
	})
}
