package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// stuckOffice has a saga whose release fails.
func stuckOffice(t *testing.T) *office {
	t.Helper()
	h := newHouse()
	h.before = func(_ context.Context, request, _ string, _ int) error {
		switch request {
		case "charge":
			return saga.Rejected(errDeclined)
		case "release":
			return errors.New("inventory down")
		}
		return nil
	}
	o := open(t, newHome(), h, saga.Config{StuckAfter: 2})
	o.start("ann")
	o.until("ann", func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
	return o
}

// entry is what a history keeps of an intervention.
type entry struct {
	Input struct {
		Kind, Actor, Reason string
	}
	Status saga.Status
}

func (o *office) last(key string) (kind string, e entry) {
	o.Helper()
	entries, err := o.runner.History(o.Context(), Reservation.ID(key), 0, 1000)
	require.NoError(o, err)
	last := entries[len(entries)-1]
	return last.Kind, readEntry(o.T, last)
}

func readEntry(t *testing.T, raw saga.Entry) (e entry) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw.Data, &e))
	return e
}

func TestOperatorMarksAnUndo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := stuckOffice(t)
		id := Reservation.ID("ann")
		_, err := o.runner.MarkUndone(t.Context(), id, "reservation/ann/7/0", by)
		require.ErrorIs(t, err, saga.ErrNotPending)
		done, err := o.runner.MarkUndone(t.Context(), id, "reservation/ann/1/0", by)
		require.NoError(t, err)
		require.Len(t, done.Before.Undo, 1)
		require.Empty(t, done.After.Undo)
		require.Equal(t, saga.Compensated, done.After.Status)
		require.Equal(t, saga.Compensated, o.wait("ann").Status)
		kind, e := o.last("ann")
		require.Equal(t, "mark-undone", kind)
		require.Equal(t, "ada", e.Input.Actor)
		require.Equal(t, "a test", e.Input.Reason)
		require.Len(t, o.house.made(), 4, "nothing was done")
	})
}

func TestOperatorDryRunDoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := stuckOffice(t)
		id := Reservation.ID("ann")
		before := o.state("ann")
		dry := saga.By{Actor: "ada", Reason: "to see", DryRun: true}
		for name, row := range map[string]struct {
			do   func() (saga.Intervention, error)
			want saga.Status
		}{
			"Retry":     {func() (saga.Intervention, error) { return o.runner.Retry(t.Context(), id, dry) }, saga.Compensating},
			"Resume":    {func() (saga.Intervention, error) { return o.runner.Resume(t.Context(), id, dry) }, saga.Compensating},
			"Terminate": {func() (saga.Intervention, error) { return o.runner.Terminate(t.Context(), id, dry) }, saga.Terminated},
			"MarkUndone": {func() (saga.Intervention, error) {
				return o.runner.MarkUndone(t.Context(), id, "reservation/ann/1/0/undo", dry)
			}, saga.Compensated},
		} {
			done, err := row.do()
			require.NoError(t, err, name)
			require.False(t, done.Done, name)
			require.Equal(t, row.want, done.After.Status, name)
		}
		require.NoError(t, o.runner.PauseType(t.Context(), "reservation", dry))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Equal(t, before, o.state("ann"))
		_, err := o.runner.Start(t.Context(), Reservation.ID("ben"), Reserve{Quantity: 1})
		require.NoError(t, err, "the type is not paused")
	})
}

func TestOperatorTerminatesWithoutUndo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := stuckOffice(t)
		done, err := o.runner.Terminate(t.Context(), Reservation.ID("ann"), by)
		require.NoError(t, err)
		require.Len(t, done.After.Undo, 1, "what was left is told")
		end := o.wait("ann")
		require.Equal(t, saga.Terminated, end.Status)
		require.Equal(t, "a test", end.Reason)
		require.Equal(t, []string{"hold"}, o.house.holds())
		_, err = o.runner.Retry(t.Context(), Reservation.ID("ann"), by)
		require.ErrorIs(t, err, saga.ErrRefused)
		require.ErrorIs(t, o.runner.Cancel(t.Context(), Reservation.ID("ann"), ""), saga.ErrEnded)
	})
}

func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := stuckOffice(t)
		o.house.set(nil, nil)
		var group sync.WaitGroup
		results := make(chan error, 8)
		for i := range 8 {
			group.Go(func() {
				_, err := saga.NewOperator(o.home).Resume(t.Context(), Reservation.ID("ann"), saga.By{Actor: fmt.Sprint("operator ", i), Reason: "mended"})
				results <- err
			})
		}
		group.Wait()
		close(results)
		done := 0
		for err := range results {
			if err == nil {
				done++
				continue
			}
			require.ErrorIs(t, err, saga.ErrRefused, "the others see what was done")
		}
		require.Equal(t, 1, done)
		require.Equal(t, saga.Compensated, o.wait("ann").Status)
		require.Len(t, o.house.made(), 2+2+1, "and it is released once more")
	})
}

func TestOperatorCompensatesAndPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = waitFor("charge")
		o := open(t, newHome(), h, saga.Config{}, patientReservation)
		o.start("ann")
		o.until("ann", func(s saga.Snapshot) bool { return s.Sequence == 2 })
		id := Reservation.ID("ann")
		done, err := o.runner.Pause(t.Context(), id, by)
		require.NoError(t, err)
		require.Equal(t, saga.Paused, done.After.Status)
		_, err = o.runner.Retry(t.Context(), id, by)
		require.ErrorIs(t, err, saga.ErrRefused)
		require.NoError(t, o.runner.Cancel(t.Context(), id, "later"), "it is kept")
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		require.Equal(t, saga.Paused, o.state("ann").Status, "not even the deadline")
		done, err = o.runner.Compensate(t.Context(), id, by)
		require.NoError(t, err)
		require.Equal(t, saga.Compensating, done.After.Status)
		end := o.wait("ann")
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "a test", end.Reason)
		require.Empty(t, h.holds())

		o.start("ben")
		o.until("ben", func(s saga.Snapshot) bool { return s.Sequence == 2 })
		_, err = o.runner.Pause(t.Context(), Reservation.ID("ben"), by)
		require.NoError(t, err)
		_, err = o.runner.Resume(t.Context(), Reservation.ID("ben"), by)
		require.NoError(t, err)
		h.set(nil, nil)
		require.NoError(t, o.runner.Cancel(t.Context(), Reservation.ID("ben"), "enough"))
		require.Equal(t, saga.Compensated, o.wait("ben").Status)
	})
}

// An operator gives a stuck saga the result that its handler does not.
func TestOperatorResolves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, request, _ string, _ int) error {
			if request == "confirm" {
				return errors.New("inventory down")
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{StuckAfter: 2})
		o.start("ann")
		o.until("ann", func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
		done, err := o.runner.Resolve(t.Context(), Reservation.ID("ann"), "reservation/ann/3/0", struct{}{}, nil, by)
		require.NoError(t, err)
		require.True(t, done.Done)
		require.Equal(t, saga.Completed, o.wait("ann").Status)

		h.set(waitFor("hold"), nil)
		o.start("ben") // one that is at work
		o.until("ben", func(saga.Snapshot) bool { return true })
		_, err = o.runner.Resolve(t.Context(), Reservation.ID("ben"), "reservation/ben/1/0", nil, saga.Rejected(errors.New("sold out")), by)
		require.NoError(t, err)
		end := o.wait("ben")
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "seats: sold out", end.Reason)
		require.Equal(t, []string{"start", "resolve", "reply"}, o.kinds("ben"))
	})
}

func TestOperatorRetriesWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, request, _ string, _ int) error {
			if request == "hold" {
				return errors.New("down")
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		o.start("ann")
		s := o.until("ann", func(s saga.Snapshot) bool { return s.Attempts == 8 })
		require.Greater(t, time.Until(s.Due), 10*time.Second, "it waits long")
		h.set(nil, nil)
		began := time.Now()
		_, err := o.runner.Retry(t.Context(), Reservation.ID("ann"), by, "reservation/ann/1/0")
		require.NoError(t, err)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
		require.Less(t, time.Since(began), time.Second)
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := stuckOffice(t)
		o.house.set(nil, nil)
		o.start("ben")
		o.wait("ben")
		stuck, err := o.runner.List(t.Context(), saga.Query{Statuses: []saga.Status{saga.Stuck}, Attempts: 2})
		require.NoError(t, err)
		require.Len(t, stuck, 1)
		require.Equal(t, "ann", stuck[0].ID.Key)
		require.Contains(t, stuck[0].Reason, "inventory down")
	})
}
