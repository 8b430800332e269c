package saga_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

const smallRecord = 3000

// largeOffice has a reservation whose seats were held, by a handler that tells more of
// it than a record can keep, until grown is unset.
func largeOffice(t *testing.T) (o *office, grown *atomic.Bool) {
	t.Helper()
	grown = new(atomic.Bool)
	grown.Store(true)
	h := newHouse()
	handlers := h.handlers()
	handlers[0] = effect.Handle(func(ctx context.Context, _ HoldSeats) ([]string, error) {
		if err := h.act(ctx, "hold"); err != nil || !grown.Load() {
			return []string{"A1", "A2"}, err
		}
		return []string{strings.Repeat("A", smallRecord)}, nil
	})
	o = open(t, newHome(), h, saga.Config{Handlers: handlers, MaxRecord: smallRecord})
	o.start("ann")
	s := o.until("ann", func(s saga.Snapshot) bool { return s.Status != saga.Running })
	require.Equal(t, saga.Stuck, s.Status)
	require.Equal(t, `the result of request "hold-seats" (reservation/ann/1/0) has 3004 bytes, want at most 3000`, s.Reason)
	return o, grown
}

// A result that is too large is no failure: the saga is stuck with all that it had,
// and what was done is neither undone nor done again until an operator says so.
func TestResultTooLarge(t *testing.T) {
	t.Parallel()
	id, hold := Reservation.ID("ann"), "reservation/ann/1/0"
	for name, row := range map[string]struct {
		mend  func(o *office, grown *atomic.Bool) error
		end   saga.Status
		holds []string
	}{
		"the handler tells less": {func(o *office, grown *atomic.Bool) error {
			grown.Store(false)
			_, err := o.runner.Retry(o.Context(), id, by)
			return err
		}, saga.Completed, []string{"charge", "confirm", "hold"}},
		"an operator tells less": {func(o *office, _ *atomic.Bool) error {
			_, err := o.runner.Resolve(o.Context(), id, hold, []string{"A1", "A2"}, nil, by)
			return err
		}, saga.Completed, []string{"charge", "confirm", "hold"}},
		"it is given up": {func(o *office, _ *atomic.Bool) error {
			_, err := o.runner.Compensate(o.Context(), id, by)
			return err
		}, saga.Compensated, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, grown := largeOffice(t)
				require.NoError(t, store.Sleep(t.Context(), time.Minute))
				s := o.state("ann")
				require.Len(t, s.Pending, 1)
				require.Equal(t, hold, s.Pending[0].ID)
				require.Len(t, s.Undo, 1)
				require.Empty(t, s.Parked, "it is not kept")
				require.Less(t, len(s.Work), smallRecord)
				for _, e := range o.sees(id).History {
					require.Less(t, len(e.Data), smallRecord, "%s", e.Kind)
				}
				require.Len(t, o.house.made(), 1)

				require.NoError(t, row.mend(o, grown))
				require.Equal(t, row.end, o.wait("ann").Status)
				require.Equal(t, row.holds, o.house.holds())
			})
		})
	}
}

// A result of an operator is held to the bound as well: at once where that is known,
// and else by the program that runs the saga.
func TestResolveIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := largeOffice(t)
		id, hold := Reservation.ID("ann"), "reservation/ann/1/0"
		large := []string{strings.Repeat("B", smallRecord)}
		before := o.sees(id)
		var input *eventstore.InputError
		_, err := o.runner.Resolve(t.Context(), id, hold, large, nil, by)
		require.ErrorAs(t, err, &input)
		require.ErrorContains(t, err, "value is 3004 bytes long, want at most 3000")
		require.Equal(t, before, o.sees(id))

		done, err := saga.NewOperator(o.home).Resolve(t.Context(), id, hold, large, nil, by)
		require.NoError(t, err)
		require.True(t, done.Unchecked)
		s := o.until("ann", func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
		require.Contains(t, s.Reason, "has 3004 bytes, want at most 3000")
		require.Less(t, len(s.Work), smallRecord)
		_, err = o.runner.Resolve(t.Context(), id, hold, []string{"A1"}, nil, by)
		require.NoError(t, err)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
	})
}

// report is a request whose result nobody wants, begin what asks for it.
type (
	report struct{}
	begin  struct{}
)

func (report) Returns(string) {}

// A result that nobody hears of is no problem, and is not kept.
func TestResultTooLargeThatNobodyHears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fx saga.Of[begin]
		reports := saga.Define("reports", reducer.Func[struct{}, begin](func(*struct{}, begin, reducer.Env) effect.Effect[begin] {
			return fx.All(fx.Do(report{}), fx.Complete())
		}), saga.Types{
			Actions:  []saga.ActionType{saga.Action[begin]("begin")},
			Requests: []saga.RequestType{saga.Request[report]("report")},
		})
		o := open(t, newHome(), newHouse(), saga.Config{MaxRecord: smallRecord, Handlers: []effect.Handler{
			effect.Handle(func(context.Context, report) (string, error) { return strings.Repeat("r", smallRecord), nil }),
		}}, reports)
		_, err := o.runner.Start(t.Context(), reports.ID("a"), begin{})
		require.NoError(t, err)
		s, err := o.runner.Wait(t.Context(), reports.ID("a"))
		require.NoError(t, err)
		require.Equal(t, saga.Completed, s.Status)
		for _, e := range o.sees(s.ID).History {
			require.Less(t, len(e.Data), smallRecord, "%s", e.Kind)
		}
	})
}
