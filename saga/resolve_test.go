package saga_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// Of several operators who give an effect a result, and its handler, one is told
// that it is done: the one whose result the saga goes on with.
func TestSeveralResults(t *testing.T) {
	t.Parallel()
	id := counter.ID("a")
	for name, prepare := range map[string]func(o *office){
		"running": func(*office) {},
		"paused": func(o *office) {
			_, err := o.runner.Pause(o.Context(), id, by)
			require.NoError(o, err)
		},
		"nobody runs it": func(o *office) { o.close() },
		"stuck": func(o *office) {
			done, err := saga.NewOperator(o.home).Resolve(o.Context(), id, "counter/a/2/0", "no number", nil, by)
			require.NoError(o, err)
			require.True(o, done.Unchecked)
			o.untilID(id, func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
			_, err = o.runner.Resolve(o.Context(), id, "counter/a/2/0", 1, nil, by)
			require.ErrorIs(o, err, saga.ErrRefused, "it is stuck at another input")
			_, err = o.runner.Resume(o.Context(), id, by)
			require.NoError(o, err)
		},
		"compensated": func(o *office) {
			require.NoError(o, o.runner.Cancel(o.Context(), id, "enough"))
			o.untilID(id, func(s saga.Snapshot) bool { return s.Status == saga.Compensated })
			_, err := o.runner.Resolve(o.Context(), id, "counter/a/2/0", nil, errors.New("down"), by)
			require.ErrorIs(o, err, saga.ErrRefused, "that is known")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				types := counterTypes()
				types.Requests[0] = saga.On("fetch", func(_ fetch, r saga.Reply[int]) countAction { return fetched{N: r.Value} }, saga.Late())
				def := saga.Define("counter", countReducer(nil), types)
				handlers := counterHandlers(func(ctx context.Context, _ int) (int, error) {
					<-ctx.Done()
					return 0, ctx.Err()
				})
				home := newHome()
				o := open(t, home, newHouse(), saga.Config{Handlers: handlers}, def)
				_, err := o.runner.Start(ctx, id, add{5})
				require.NoError(t, err)
				require.NoError(t, o.runner.Signal(ctx, id, "fetch", foreign{"fetch"}))
				synctest.Wait()
				prepare(o)

				var group sync.WaitGroup
				var mu sync.Mutex
				var won []int
				for i := range 8 {
					group.Go(func() {
						done, err := saga.NewOperator(home).Resolve(ctx, id, "counter/a/2/0", 100+i, nil, saga.By{Actor: fmt.Sprint("operator ", i), Reason: "it was done"})
						mu.Lock()
						defer mu.Unlock()
						if err == nil {
							require.True(t, done.Done)
							won = append(won, i)
							return
						}
						if !errors.Is(err, saga.ErrRefused) && !errors.Is(err, saga.ErrNotPending) {
							t.Errorf("operator %d: %v", i, err)
						}
					})
				}
				group.Wait()
				require.Len(t, won, 1)
				switch name {
				case "paused":
					require.NoError(t, store.Sleep(ctx, time.Hour))
					_, err := o.runner.Resume(ctx, id, by)
					require.NoError(t, err)
				case "nobody runs it":
					o = open(t, home, newHouse(), saga.Config{Handlers: handlers}, def)
				}
				o.untilCount("a", 105+won[0])
				if name == "compensated" {
					o.untilID(id, func(s saga.Snapshot) bool { return s.Status == saga.Compensated })
				}
				require.NoError(t, store.Sleep(ctx, time.Hour))
				require.Equal(t, 105+won[0], o.count("a"))
				recorded := 0
				entries, err := o.runner.History(ctx, id, 0, 100)
				require.NoError(t, err)
				for _, e := range entries {
					if got := readEntry(t, e); e.Kind == "resolve" && got.Input.Reason == "it was done" {
						require.Equal(t, fmt.Sprint("operator ", won[0]), got.Input.Actor)
						recorded++
					}
				}
				require.Equal(t, 1, recorded)
			})
		})
	}
}

// Results of several effects wait for a saga that is paused, and are taken in
// order.
func TestResultsOfSeveralEffects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, id := t.Context(), counter.ID("a")
		later := counterHandlers(func(context.Context, int) (int, error) { return 0, saga.Later })
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: later}, counter)
		_, err := o.runner.Start(ctx, id, add{5})
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, o.runner.Signal(ctx, id, fmt.Sprint("m", i), foreign{"fetch"}))
		}
		s := o.untilID(id, func(s saga.Snapshot) bool {
			return len(s.Pending) == 3 && s.Pending[0].Later && s.Pending[1].Later && s.Pending[2].Later
		})
		_, err = o.runner.Resolve(ctx, id, s.Undo[0].ID+"/undo", struct{}{}, nil, by)
		require.ErrorIs(t, err, saga.ErrRefused, "nothing is being undone")
		_, err = o.runner.Pause(ctx, id, by)
		require.NoError(t, err)
		for i, e := range s.Pending {
			_, err := o.runner.Resolve(ctx, id, e.ID, 10*(i+1), nil, by)
			require.NoError(t, err)
		}
		require.NoError(t, store.Sleep(ctx, time.Hour))
		require.Equal(t, 5, o.count("a"))
		_, err = o.runner.Resume(ctx, id, by)
		require.NoError(t, err)
		o.untilCount("a", 5+10+20+30)
		require.Empty(t, o.untilID(id, func(saga.Snapshot) bool { return true }).Pending)
	})
}

// A value that is no result of the request is refused where the types are known, in
// a dry run too.
func TestResolveChecksTheValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := chargingOffice(t)
		id, charge := Reservation.ID("ann"), "reservation/ann/2/0"
		o.house.set(waitFor("hold"), nil)
		o.start("ben")
		o.until("ben", func(saga.Snapshot) bool { return true })
		for _, row := range []struct {
			id     saga.ID
			effect string
			value  any
			want   string // in the error, "" is none
		}{
			{id, charge, struct{}{}, ""},
			{id, charge, 7, `value is "7", want a result of request "charge"`},
			{id, charge, map[string]int{"Cents": 1}, `unknown field "Cents"`},
			{Reservation.ID("ben"), "reservation/ben/1/0", []string{"A1"}, ""},
			{Reservation.ID("ben"), "reservation/ben/1/0", []int{1}, `want a result of request "hold-seats"`},
		} {
			before := o.sees(row.id)
			for _, dry := range []bool{true, false} {
				try := by
				try.DryRun = dry || row.want == ""
				done, err := o.runner.Resolve(t.Context(), row.id, row.effect, row.value, nil, try)
				require.False(t, done.Unchecked)
				if row.want == "" {
					require.NoError(t, err)
				} else {
					var input *eventstore.InputError
					require.ErrorAs(t, err, &input)
					require.ErrorContains(t, err, row.want)
				}
				without, err := saga.NewOperator(o.home).Resolve(t.Context(), row.id, row.effect, row.value, nil, saga.By{Actor: "ada", Reason: "to see", DryRun: true})
				require.NoError(t, err)
				require.True(t, without.Unchecked, "there are no types")
			}
			require.Equal(t, before, o.sees(row.id))
		}
		failed, err := saga.NewOperator(o.home).Resolve(t.Context(), id, charge, nil, errors.New("no"), saga.By{Actor: "ada", Reason: "to see", DryRun: true})
		require.NoError(t, err)
		require.False(t, failed.Unchecked, "an error is an error")
	})
}
