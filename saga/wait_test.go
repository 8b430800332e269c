package saga_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
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

// faulty is a home whose Load does something else first.
type faulty struct {
	saga.Store

	fault   atomic.Pointer[func(context.Context) error]
	forgets atomic.Bool // History fails for a while
}

func (f *faulty) History(ctx context.Context, id saga.ID, after int64, limit int) ([]saga.Entry, error) {
	if f.forgets.Load() {
		return nil, restarting{}
	}
	return f.Store.History(ctx, id, after, limit)
}

func (f *faulty) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	if fault := f.fault.Load(); fault != nil {
		if err := (*fault)(ctx); err != nil {
			return saga.Record{}, false, err
		}
	}
	return f.Store.Load(ctx, id)
}

// restarting is an error that says that it passes.
type restarting struct{}

func (restarting) Error() string   { return "the server is starting up" }
func (restarting) Retryable() bool { return true }

// Who waits for a saga of another process goes on while the store is down, and is
// told what does not pass.
func TestWaitWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	const poll = 200 * time.Millisecond
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, row := range []struct {
		name  string
		fault func(context.Context) error
		pause time.Duration // between what the hook is told; 0 if Wait ends
	}{
		{"that says it passes", func(context.Context) error { return fmt.Errorf("load: %w", restarting{}) }, poll},
		{"that does not answer", hangs, poll + time.Second},
		{"that is closed", func(context.Context) error { return saga.ErrClosed }, 0},
		{"that cannot be read", func(context.Context) error { return errFault }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home := newHome()
				o := open(t, home, newHouse(), saga.Config{}, patientReservation)
				require.NoError(t, store.Sleep(t.Context(), time.Second))
				release := make(chan struct{})
				unblock := sync.OnceFunc(func() { close(release) })
				defer unblock()
				o.house.set(func(context.Context, string, string, int) error { <-release; return nil }, nil)
				o.start("ann")

				connection := &faulty{Store: home}
				told := make(chan time.Time, 1000)
				customer, err := saga.New(connection, saga.Config{Poll: poll, StoreTimeout: time.Second, Hooks: saga.Hooks{StoreFailed: func(call string, _ error) {
					if call != "Load" {
						t.Errorf("call is %q", call)
					}
					told <- time.Now()
				}}}, patientReservation)
				require.NoError(t, err)
				type end struct {
					saga.Snapshot
					error
				}
				ended := make(chan end, 1)
				go func() {
					s, err := customer.Wait(t.Context(), Reservation.ID("ann"))
					ended <- end{s, err}
				}()
				synctest.Wait()
				connection.fault.Store(&row.fault)
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
				if row.pause == 0 {
					require.NotEmpty(t, ended)
					require.ErrorIs(t, (<-ended).error, row.fault(t.Context()))
					require.Empty(t, told)
					return
				}
				require.Empty(t, ended)
				require.Greater(t, len(told), 5)
				first := <-told
				require.Equal(t, row.pause, (<-told).Sub(first))

				brief, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err = customer.Wait(brief, Reservation.ID("ann"))
				require.ErrorIs(t, err, context.DeadlineExceeded)

				unblock()
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
				require.Empty(t, ended, "the store is still down")
				connection.fault.Store(nil)
				got := <-ended
				require.NoError(t, got.error)
				require.Equal(t, saga.Completed, got.Status)
			})
		})
	}
}

// Who has waited in vain is told that it was the store.
func TestWaitTellsThatTheStoreIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := &faulty{Store: newHome()}
		fault := func(context.Context) error { return restarting{} }
		home.fault.Store(&fault)
		customer, err := saga.New(home, saga.Config{}, Reservation)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Millisecond)
		defer cancel()
		_, err = customer.Wait(ctx, Reservation.ID("ann"))
		require.EqualError(t, err, `wait for saga "reservation/ann": context deadline exceeded; its store is down: the server is starting up`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ctx, leave := context.WithCancel(t.Context())
		leaves := func(context.Context) error { leave(); return restarting{} }
		home.fault.Store(&leaves)
		_, err = customer.Wait(ctx, Reservation.ID("ann"))
		require.ErrorIs(t, err, context.Canceled)
		home.fault.Store(nil)
		_, err = customer.Wait(t.Context(), Reservation.ID("ann"))
		require.ErrorIs(t, err, saga.ErrNotFound)
	})
}

// A start that was left for the owner outlasts the store, and what a store does not
// answer is told.
func TestStartElsewhereWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		connection := &faulty{Store: home}
		var told atomic.Int64
		customer, err := saga.New(connection, saga.Config{Poll: time.Second, StoreTimeout: time.Second, Hooks: saga.Hooks{
			StoreFailed: func(string, error) { told.Add(1) },
		}}, Reservation)
		require.NoError(t, err)
		hangs := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		connection.fault.Store(&hangs)
		_, err = customer.Start(t.Context(), Reservation.ID("ann"), Reserve{Quantity: 1})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		err = customer.Cancel(t.Context(), Reservation.ID("ann"), "enough")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, told.Load(), "it is not asked again")
		connection.fault.Store(nil)

		started := make(chan error, 1)
		go func() {
			h, err := customer.Start(t.Context(), Reservation.ID("ann"), Reserve{Quantity: 1})
			if h.Existing {
				err = errors.New("it existed")
			}
			started <- err
		}()
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		passes := func(context.Context) error { return restarting{} }
		connection.fault.Store(&passes)
		open(t, home, newHouse(), saga.Config{})
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		require.Empty(t, started)
		require.Positive(t, told.Load(), "it is asked again")
		connection.forgets.Store(true)
		connection.fault.Store(nil)
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		require.Empty(t, started)
		connection.forgets.Store(false)
		require.NoError(t, <-started)
	})
}
