package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// patient is a reservation that gives who holds the seats an hour for each attempt.
var patient = saga.Define("reservation", Reserver{}, saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
		saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
	},
	Requests: []saga.RequestType{
		saga.On("hold-seats", onHeld, saga.Timeout(time.Hour)),
		saga.On("charge", onCharged),
		saga.On("confirm-seats", func(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }),
		saga.Request[ReleaseSeats]("release-seats"),
		saga.Request[Refund]("refund"),
	},
})

// A timer fires on time, however long an attempt takes that was due before it,
// and whoever is at it.
func TestTimerFiresWhileARetryRuns(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"", "a", "b"} { // who goes on after a crash, if there is one
		t.Run("then "+next, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home, h := newHome(), newHouse()
				h.before = func(ctx context.Context, request, _ string, attempt int) error {
					switch {
					case request != "hold":
						return nil
					case attempt == 1:
						return errors.New("down")
					}
					return store.Sleep(ctx, 10*time.Minute)
				}
				// No sweep comes to its help.
				cfg := saga.Config{Worker: "a", Sweep: 3 * time.Hour}
				connection := &cable{Store: home}
				o := open(t, connection, h, cfg, patient)
				require.NoError(t, store.Sleep(t.Context(), time.Second))
				o.start("ann")
				require.NoError(t, store.Sleep(t.Context(), 2*time.Minute))
				require.Equal(t, []string{"start", "attempt"}, o.kinds("ann"))
				attempts := 2
				if next != "" {
					connection.cut.Store(true)
					o.crash()
					cfg.Worker = next
					o = open(t, home, h, cfg, patient)
					attempts++
				}
				require.NoError(t, store.Sleep(t.Context(), 2*time.Minute))
				require.Len(t, h.made(), attempts, "the retry runs")
				require.Equal(t, 1, saga.Live(o.runner))
				end := o.wait("ann")
				require.Equal(t, saga.Compensated, end.Status)
				entries, err := o.runner.History(t.Context(), end.ID, 0, 10)
				require.NoError(t, err)
				require.Equal(t, "timer", entries[2].Kind)
				require.Equal(t, 5*time.Minute, entries[2].At.Sub(end.Started))
				require.NoError(t, store.Sleep(t.Context(), 10*time.Minute))
				require.Empty(t, h.holds())
				require.Zero(t, saga.Live(o.runner))
			})
		})
	}
}

// What sleeps, with nothing at work, is not in memory.
func TestTimersOfSleepersAreNotInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		a := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		for i := range 100 {
			_, err := a.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), later{Minutes: 5})
			require.NoError(t, err)
		}
		require.NoError(t, store.Sleep(t.Context(), 3*time.Minute)) // with sweeps
		require.Zero(t, saga.Live(a.runner))
		a.close()
		b := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Zero(t, saga.Live(b.runner))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		synctest.Wait()
		for i := range 100 {
			require.Equal(t, 1, b.count(fmt.Sprint(i)), i)
		}
	})
}

// Timers that users named with a # while that was not refused fire, and are cancelled.
func TestTimersOfOldNames(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"fire": 1, "cancel": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home, id := newHome(), counter.ID("a")
				at := saga.Recordable(time.Now())
				due := at.Add(time.Minute)
				verdicts, err := home.Commit(t.Context(), []saga.Change{{
					Record: saga.Record{
						ID: id, Sequence: 1, Commit: uuid.New(), Schema: 1, Status: saga.Running, State: []byte(`{"N":0,"Text":""}`), Due: due, Started: at, Updated: at,
						Work: fmt.Appendf(nil, `{"timers":[{"key":"#old","at":%q,"action":{"name":"add","data":{"N":1}}}]}`, due.Format(time.RFC3339Nano)),
					},
					Entry: saga.Entry{Sequence: 1, At: at, Kind: "start", Data: []byte(`{"status":"running"}`)},
				}})
				require.NoError(t, err)
				require.Equal(t, []saga.Verdict{saga.Committed}, verdicts)
				o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
				o.redefined = true // the history has but that
				require.NoError(t, store.Sleep(t.Context(), time.Second))
				if name == "cancel" {
					require.NoError(t, o.runner.Signal(t.Context(), id, "m", foreign{"cancel old"}))
				}
				require.NoError(t, store.Sleep(t.Context(), time.Hour))
				require.Equal(t, n, o.count("a"))
			})
		})
	}
}
