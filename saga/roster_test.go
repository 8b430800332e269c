package saga_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

func TestParseID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := saga.ID{
			Tenant: rapid.SampledFrom([]string{"", "acme", "a:b/c", "ü %"}).Draw(t, "tenant"),
			Type:   rapid.StringMatching(`[a-z._-]{1,10}`).Draw(t, "type"),
			Key:    rapid.StringMatching(`[a-z/:%+ü]{1,20}`).Draw(t, "key"),
		}
		parsed, err := saga.ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, parsed)
	})
	for _, bad := range []string{"", "reservation", "/x", "reservation/", ":reservation/x", "%zz:reservation/x", "a b/x"} {
		_, err := saga.ParseID(bad)
		var input *eventstore.InputError
		require.ErrorAs(t, err, &input, bad)
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		a := open(t, home, newHouse(), saga.Config{Worker: "a"})
		open(t, home, newHouse(), saga.Config{Worker: "operator-b"})
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		operator := saga.NewOperator(home)
		require.NoError(t, operator.PauseType(t.Context(), "refund", by))
		require.NoError(t, operator.PauseType(t.Context(), "other", by))
		require.NoError(t, operator.ResumeType(t.Context(), "other", by))
		for range 2 { // looking changes nothing
			r, err := operator.Workers(t.Context())
			require.NoError(t, err)
			require.Len(t, r.Workers, 2)
			require.Equal(t, "a", r.Workers[0].ID)
			require.True(t, r.Workers[0].Live)
			require.Equal(t, map[string]int{"reservation": 32}, r.Workers[0].Shards)
			require.Equal(t, map[string]int{"reservation": 32}, r.Workers[1].Shards)
			require.Nil(t, r.Workers[1].Drain)
			require.Len(t, r.Pauses, 1)
			require.Equal(t, "refund", r.Pauses[0].Type)
			require.NoError(t, store.Sleep(t.Context(), time.Minute))
		}
		require.NoError(t, operator.Drain(t.Context(), "operator-b", by))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		r, err := operator.Workers(t.Context())
		require.NoError(t, err)
		require.Equal(t, "a test", r.Workers[1].Drain.Reason)
		require.True(t, r.Workers[1].Draining)
		require.Empty(t, r.Workers[1].Shards)
		require.Equal(t, 64, r.Workers[0].Shards["reservation"])
		a.crash()
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		r, err = operator.Workers(t.Context())
		require.NoError(t, err)
		for _, w := range r.Workers {
			require.Equal(t, w.ID == "operator-b", w.Live, w.ID)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openAgency(t, newHome(), newHouse())
		for _, key := range []string{"ann", "ben", "cy"} {
			a.begin(key, runErrand{Child: "room", Then: "wait"})
			var stuck *saga.StuckError
			require.ErrorAs(t, a.runner.Signal(t.Context(), outer.ID(key), "m1", goErrand{"panic"}), &stuck)
			require.NoError(t, a.runner.Signal(t.Context(), outer.ID(key), "m2", goErrand{"complete"}))
		}
		letters, err := a.runner.DeadLetters(t.Context(), saga.Query{})
		require.NoError(t, err)
		require.Len(t, letters, 3)
		l := letters[0]
		require.Equal(t, annsErrand, l.Saga)
		require.Equal(t, []string{"signal", "go", "m1"}, []string{l.Kind, l.Name, l.Message})
		require.JSONEq(t, `{"Then":"panic"}`, string(l.Data))
		require.Contains(t, l.Reason, "panic: told to")
		require.Contains(t, l.Trace, "errandThen")
		some, err := a.runner.DeadLetters(t.Context(), saga.Query{Limit: 2, After: annsErrand})
		require.NoError(t, err)
		require.Equal(t, letters[1:], some)

		done, err := a.runner.Redrive(t.Context(), annsErrand, by)
		require.NoError(t, err)
		require.Equal(t, saga.Running, done.After.Status)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Equal(t, "signal go", a.reaches(annsErrand, saga.Stuck).Parked, "nothing was mended")
		_, err = a.runner.Resume(t.Context(), outer.ID("ben"), by)
		require.NoError(t, err)
		a.reaches(outer.ID("ben"), saga.Completed) // by what waited behind
		_, err = a.runner.Redrive(t.Context(), outer.ID("ben"), by)
		require.ErrorIs(t, err, saga.ErrRefused)
		letters, err = a.runner.DeadLetters(t.Context(), saga.Query{})
		require.NoError(t, err)
		require.Len(t, letters, 2)
	})
	synctest.Test(t, func(t *testing.T) {
		o := stuckOffice(t)
		letters, err := o.runner.DeadLetters(t.Context(), saga.Query{})
		require.NoError(t, err)
		require.Empty(t, letters, "an undo that fails is no letter")
		_, err = o.runner.Redrive(t.Context(), Reservation.ID("ann"), by)
		require.ErrorContains(t, err, "which is for Retry")
	})
}
