package participant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	events "github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/saga/participant"
	"github.com/seed57833328/rondo/store"
)

// theatre is all processes of an application in one.
type theatre struct {
	*testing.T
	log      *events.Store
	sections *aggregate.Host[Section, Command, Event]
	bus      *command.Bus
	runner   *saga.Runner
	paid     atomic.Int64
	pays     func(ctx context.Context, n int64) (string, error)
}

func open(t *testing.T, around func(ctx context.Context, request string, do func(context.Context) error) error) *theatre {
	t.Helper()
	th := &theatre{T: t, pays: func(context.Context, int64) (string, error) { return "receipt", nil }}
	var err error
	th.log, err = events.New(events.Config{})
	require.NoError(t, err)
	th.sections, err = aggregate.New("section", Sections{}, registry, th.log, aggregate.Config[Section]{})
	require.NoError(t, err)
	_, err = th.sections.Execute(t.Context(), "A", Open{Seats: 10})
	require.NoError(t, err)
	th.bus, err = command.New(th.log, th.log, []command.Route{command.Handle("pay", func(ctx context.Context, _ Pay) (string, error) {
		return th.pays(ctx, th.paid.Add(1))
	})}, command.Config{Timeout: 2 * time.Minute})
	require.NoError(t, err)
	seats := participant.Of(th.sections)
	th.runner, err = saga.New(memory.New(memory.Config{}), saga.Config{Handlers: []effect.Handler{
		effect.Handle(func(ctx context.Context, q HoldSeats) (struct{}, error) {
			return struct{}{}, around(ctx, "hold", func(ctx context.Context) error {
				got, err := seats.Execute(ctx, q.Section, Hold{participant.Subject(ctx), q.Seats})
				if err == nil && got.State.Held != nil {
					return errors.New("the feedback has a state")
				}
				return err
			})
		}),
		effect.Handle(func(ctx context.Context, q ReleaseSeats) (struct{}, error) {
			_, err := seats.Execute(ctx, q.Section, Release{participant.Subject(ctx)})
			return struct{}{}, err
		}),
		effect.Handle(func(ctx context.Context, q Pay) (answer string, err error) {
			err = around(ctx, "pay", func(ctx context.Context) (err error) {
				answer, err = participant.Send(ctx, th.bus, q)
				return err
			})
			return answer, err
		}),
	}}, Bookings)
	require.NoError(t, err)
	forever := context.Background() //nolint:usetesting // it outlives the context of the test, or of its bubble
	ctx, stop := context.WithCancel(forever)
	done := make(chan struct{}, 2)
	go func() { _ = th.bus.Run(ctx); done <- struct{}{} }()
	go func() { _ = th.runner.Run(ctx); done <- struct{}{} }()
	t.Cleanup(func() {
		require.NoError(t, th.runner.Shutdown(forever))
		stop()
		<-done
		<-done
		require.NoError(t, th.sections.Shutdown(forever))
	})
	return th
}

func (th *theatre) book(key string) saga.Snapshot {
	th.Helper()
	h, err := th.runner.Start(th.Context(), Bookings.ID(key), saga.Begin[Booking]{Data: Booking{"A"}})
	require.NoError(th, err)
	end, err := h.Wait(th.Context())
	require.NoError(th, err)
	return end
}

func (th *theatre) free() (seats int, version eventstore.Version) {
	th.Helper()
	got, err := th.sections.Load(th.Context(), "A")
	require.NoError(th, err)
	return got.State.Free, got.Version
}

func straight(ctx context.Context, _ string, do func(context.Context) error) error { return do(ctx) }

// What has lost its answer is tried again under its key, and done once.
func TestRepetitionsAreDoneOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := open(t, func(ctx context.Context, _ string, do func(context.Context) error) error {
			if err := do(ctx); err != nil || saga.Attempt(ctx) > 2 {
				return err
			}
			return errors.New("the answer is lost")
		})
		end := th.book("ann")
		require.Equal(t, saga.Completed, end.Status, end.Reason)
		free, version := th.free()
		require.Equal(t, 8, free)
		require.Equal(t, eventstore.Version(2), version)
		require.EqualValues(t, 1, th.paid.Load())

		long := th.book(strings.Repeat("x", saga.MaxKey)) // whose effects have long keys
		require.Equal(t, saga.Completed, long.Status, long.Reason)
		require.EqualValues(t, 2, th.paid.Load())
	})
}

func TestRejectionsAreFinal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := open(t, straight)
		th.pays = func(context.Context, int64) (string, error) { return "", aggregate.Reject("declined", "no money") }
		end := th.book("ann")
		require.Equal(t, saga.Compensated, end.Status)
		require.Contains(t, end.Reason, "no money")
		require.EqualValues(t, 1, th.paid.Load())
		free, version := th.free()
		require.Equal(t, 10, free)
		require.Equal(t, eventstore.Version(3), version)

		for i := range 5 {
			th.pays = func(context.Context, int64) (string, error) { return "", nil }
			require.Equal(t, saga.Completed, th.book(fmt.Sprint(i)).Status)
		}
		end = th.book("too many")
		require.Contains(t, end.Reason, "0 seats are left, not 2")
		history, err := th.runner.History(t.Context(), end.ID, 0, 10)
		require.NoError(t, err)
		require.Len(t, history, 2, "there is nothing to release")
	})
}

// A hold that comes after its release is refused.
func TestUndoBeforeDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := make(chan error, 1)
		th := open(t, func(ctx context.Context, request string, do func(context.Context) error) error {
			if request != "hold" {
				return do(ctx)
			}
			<-ctx.Done()
			go func() {
				ctx := context.WithoutCancel(ctx)
				_ = store.Sleep(ctx, time.Minute)
				late <- do(ctx)
			}()
			return ctx.Err()
		})
		_, err := th.runner.Start(t.Context(), Bookings.ID("ann"), saga.Begin[Booking]{Data: Booking{"A"}})
		require.NoError(t, err)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.NoError(t, th.runner.Cancel(t.Context(), Bookings.ID("ann"), "enough"))
		end, err := th.runner.Wait(t.Context(), Bookings.ID("ann"))
		require.NoError(t, err)
		require.Equal(t, saga.Compensated, end.Status)
		err = <-late
		require.True(t, saga.IsRejected(err))
		require.ErrorContains(t, err, "released before they were held")
		free, _ := th.free()
		require.Equal(t, 10, free)
	})
}

// A command of which nothing is heard for longer than an attempt may take is
// waited for by the next.
func TestSendWaitsOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := open(t, straight)
		th.pays = func(ctx context.Context, _ int64) (string, error) {
			return "receipt", store.Sleep(ctx, 45*time.Second)
		}
		end := th.book("ann")
		require.Equal(t, saga.Completed, end.Status, end.Reason)
		require.EqualValues(t, 1, th.paid.Load())
		record := th.record()
		require.Equal(t, "booking/ann/2/0", record.Metadata.Labels[participant.Label])
	})
}

// record is the command that was given.
func (th *theatre) record() command.Record {
	th.Helper()
	for e, err := range th.log.ReadAll(th.Context(), 0, eventstore.Filter{Categories: []string{"command"}}) {
		require.NoError(th, err)
		return command.Record{Envelope: command.Envelope{Metadata: command.Metadata{Labels: e.Meta.Labels}}}
	}
	th.Fatal("no command was given")
	return command.Record{}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	_, err := participant.Of[Section, Command, Event](nil).Execute(t.Context(), "A", Open{})
	require.ErrorIs(t, err, participant.ErrNoEffect)
	_, err = participant.Send(t.Context(), nil, Pay{})
	require.ErrorIs(t, err, participant.ErrNoEffect)
	require.Empty(t, participant.Subject(t.Context()))
	require.Equal(t, aggregate.WithKey(""), participant.Key(t.Context(), "x"))

	rejection := &aggregate.RejectionError{Code: "no", Reason: "no"}
	require.NoError(t, participant.Error(nil))
	for _, c := range []struct {
		err                 error
		rejected, retryable bool
	}{
		{rejection, true, false},
		{fmt.Errorf("section %q: %w", "A", rejection), true, false},
		{&command.FailedError{Failure: command.Failure{Rejected: true}}, true, false},
		{&aggregate.KeyReusedError{Key: "k"}, false, false},
		{&eventstore.ConflictError{}, false, true},
		{&aggregate.DeciderError{Func: "Decide", Err: errors.New("panic")}, false, false},
		{&eventstore.InputError{Field: "id"}, false, false},
		{&command.ValidationError{}, false, false},
		{&command.UnknownTypeError{}, false, true},
		{&command.InterruptedError{Recorded: true, Err: context.Canceled}, false, true},
		{&aggregate.InterruptedError{MaybeDone: true, Key: "k", Err: errors.New("connection lost")}, false, true},
	} {
		got := participant.Error(c.err)
		require.Equal(t, c.rejected, saga.IsRejected(got), "%T", c.err)
		require.ErrorIs(t, got, c.err)
		if !errors.Is(c.err, context.Canceled) {
			require.Equal(t, c.retryable, effect.Retryable(got), "%T", c.err)
		}
	}
}
