package saga_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// What needs somebody is not lost without hooks: it is in the log.
func TestWhatNeedsSomebodyIsLoggedByDefault(t *testing.T) { //nolint:paralleltest // it sets the default logger
	var lines strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))
	defer slog.SetDefault(old)
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		_, err = o.runner.Start(t.Context(), counter.ID("b"), later{Minutes: 1})
		require.NoError(t, err)
		require.NoError(t, home.Post(t.Context(), saga.Message{To: id, ID: "odd", Kind: saga.SignalMessage, Body: []byte("{")}))
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Error(t, o.runner.Signal(t.Context(), id, "bad", boom{}))
		o.close()
		open(t, home, newHouse(), saga.Config{}) // of reservations
		require.NoError(t, store.Sleep(t.Context(), 5*time.Minute))
	})
	for _, want := range []string{
		`msg="saga message refused" saga=counter/a message=odd`, `msg="saga is stuck" saga=counter/a reason="panic: boom"`,
		`msg="no worker knows the saga type" type=counter`,
	} {
		require.Contains(t, lines.String(), want)
	}
}

// unanswering is a home that does not answer what a worker asks it all the time.
type unanswering struct{ saga.Store }

func (unanswering) Due(ctx context.Context, _ []saga.Shard, _ saga.Due, _ int) ([]saga.Due, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (unanswering) Inbox(ctx context.Context, _ []saga.Shard, _ int) ([]saga.Message, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (unanswering) List(ctx context.Context, _ saga.Query) ([]saga.Record, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// What a worker gives up when it ends is no failure of the store.
func TestTheEndOfAWorkerIsNoFailureOfTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failed []string
		runner, err := saga.New(unanswering{newHome()}, saga.Config{Handlers: newHouse().handlers(), Hooks: saga.Hooks{
			StoreFailed: func(call string, _ error) { failed = append(failed, call) },
		}}, Reservation)
		require.NoError(t, err)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- runner.Run(ctx) }()
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		end()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Empty(t, failed)
		require.NoError(t, runner.Shutdown(t.Context()))
	})
}
