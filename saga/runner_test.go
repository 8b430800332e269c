package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

func TestHappyWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{})
		h := o.start("ann")
		require.False(t, h.Existing)
		end, err := h.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, saga.Completed, end.Status)
		require.Empty(t, end.Pending)
		require.Empty(t, end.Undo)
		require.Empty(t, end.Timers)
		require.False(t, end.Ready)
		require.Zero(t, end.Due)
		state, err := Reservation.State(end)
		require.NoError(t, err)
		require.Equal(t, Order{Customer: "ann", Seats: []string{"A1", "A2"}}, state)
		require.Equal(t, []string{"hold reservation/ann/1/0", "charge reservation/ann/2/0", "confirm reservation/ann/3/0"}, o.house.made())
		require.Equal(t, []string{"start", "reply", "reply", "reply"}, o.kinds("ann"))
	})
}

func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{})
		var group sync.WaitGroup
		var mu sync.Mutex
		made := 0
		for i := range 64 {
			group.Go(func() {
				h, err := o.runner.Start(t.Context(), Reservation.ID("ann"), Reserve{Customer: fmt.Sprint(i), Quantity: 1})
				if err != nil {
					t.Errorf("start: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if !h.Existing {
					made++
				}
			})
		}
		group.Wait()
		require.Equal(t, 1, made)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
		require.Len(t, o.house.made(), 3)
		h, err := o.runner.Start(t.Context(), Reservation.ID("ann"), Reserve{})
		require.NoError(t, err)
		require.True(t, h.Existing, "also when it has ended")
	})
}

func TestDeadlineCompensates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		began := time.Now()
		h.before = func(ctx context.Context, request, _ string, _ int) error {
			if request == "charge" {
				<-ctx.Done() // the gateway does not answer
				return ctx.Err()
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{Hooks: saga.Hooks{Attempted: func(_, request string, _ int, _ time.Duration, err error) {
			if request == "charge" && !errors.Is(err, effect.ErrTimeout) {
				t.Errorf("charge: %v", err)
			}
		}}})
		o.start("ann")
		end := o.wait("ann")
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "payment: timed out", end.Reason, "its ten attempts end before")
		require.Less(t, time.Since(began), 5*time.Minute)
		require.Empty(t, h.holds())

		h.set(func(ctx context.Context, request, _ string, _ int) error {
			if request == "hold" {
				return store.Sleep(ctx, 10*time.Hour)
			}
			return nil
		}, nil)
		o2 := open(t, newHome(), h, saga.Config{}, patientReservation)
		began = time.Now()
		o2.start("ben")
		end = o2.wait("ben")
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "the hold ran out", end.Reason)
		require.Equal(t, 5*time.Minute, time.Since(began).Round(time.Second))
	})
}

// patientReservation has no timeouts.
var patientReservation = saga.Define("reservation", Reserver{}, saga.Types{
	Actions: []saga.ActionType{
		saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
		saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
	},
	Requests: []saga.RequestType{
		saga.On("hold-seats", onHeld, saga.Timeout(-1)),
		saga.On("charge", onCharged, saga.Timeout(-1)),
		saga.On("confirm-seats", func(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }),
		saga.Request[ReleaseSeats]("release-seats"),
		saga.Request[Refund]("refund"),
	},
})

func TestUnknownOutcomesAreUndoneInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.after = func(_ context.Context, request, _ string, _ int) error {
			if request == "charge" {
				return errors.New("connection reset") // it is charged all the same
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		o.start("ann")
		end := o.wait("ann")
		require.Equal(t, saga.Compensated, end.Status)
		require.Empty(t, h.holds())
		calls := h.made()
		require.Equal(t, []string{"refund reservation/ann/2/0/undo", "release reservation/ann/1/0/undo"}, calls[len(calls)-2:])
		require.Len(t, calls, 1+10+2, "ten attempts at the charge")
		for _, c := range calls[1:11] {
			require.Equal(t, "charge reservation/ann/2/0", c, "under one key")
		}
	})
}

func TestRejectionDropsTheUndo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, request, _ string, _ int) error {
			if request == "charge" {
				return saga.Rejected(errDeclined)
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		o.start("ann")
		end := o.wait("ann")
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "payment: card declined", end.Reason)
		require.Equal(t, []string{
			"hold reservation/ann/1/0", "charge reservation/ann/2/0", "release reservation/ann/1/0/undo",
		}, h.made())
	})
}

func TestUndoThatFailsLeavesItStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		var mu sync.Mutex
		var stuck []string
		h.before = func(_ context.Context, request, _ string, _ int) error {
			switch request {
			case "charge":
				return saga.Rejected(errDeclined)
			case "release":
				return errors.New("inventory down")
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{StuckAfter: 4, Hooks: saga.Hooks{
			Stuck: func(id saga.ID, reason, _ string) {
				mu.Lock()
				defer mu.Unlock()
				stuck = append(stuck, id.String()+": "+reason)
			},
		}})
		o.start("ann")
		s := o.until("ann", func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
		require.Equal(t, []saga.Effect{{
			ID: "reservation/ann/1/0", Request: "release-seats", Data: []byte("{}"), Attempts: 4, Error: "inventory down",
		}}, s.Undo)
		require.Equal(t, 4, s.Attempts)
		require.Contains(t, s.Reason, "inventory down")
		require.Equal(t, saga.Compensating, s.Was)
		require.Zero(t, s.Due)
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		mu.Lock()
		require.Len(t, stuck, 1)
		mu.Unlock()
		require.Len(t, h.made(), 2+4, "nothing goes on by itself")

		h.set(nil, nil)
		done, err := o.runner.Retry(t.Context(), Reservation.ID("ann"), by)
		require.NoError(t, err)
		require.True(t, done.Done)
		require.Equal(t, saga.Stuck, done.Before.Status)
		require.Equal(t, saga.Compensating, done.After.Status)
		require.Equal(t, saga.Compensated, o.wait("ann").Status)
		require.Equal(t, "payment: card declined", o.state("ann").Reason, "the reason it has compensated for")
		require.Empty(t, h.holds())
	})
}

func TestPivotOnlyGoesForward(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, request, _ string, attempt int) error {
			if request == "confirm" && attempt < 15 {
				return errors.New("inventory down")
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		o.start("ann")
		o.until("ann", func(s saga.Snapshot) bool { return s.Attempts > 0 })
		require.ErrorIs(t, o.runner.Cancel(t.Context(), Reservation.ID("ann"), "changed my mind"), saga.ErrPivoted)
		_, err := o.runner.Compensate(t.Context(), Reservation.ID("ann"), by)
		require.ErrorIs(t, err, saga.ErrPivoted)
		require.Equal(t, saga.Completed, o.wait("ann").Status, "after more attempts than the policy has")
		require.Equal(t, []string{"charge", "confirm", "hold"}, h.holds())
	})
}

// A charge that succeeds after it was given up reaches the reducer as a late one.
func TestLateResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		charged := make(chan struct{})
		h.after = func(_ context.Context, request, _ string, _ int) error {
			if request == "charge" {
				<-charged // the answer takes its time
			}
			return nil
		}
		var mu sync.Mutex
		var late []saga.Reply[struct{}]
		heard := func() []saga.Reply[struct{}] {
			mu.Lock()
			defer mu.Unlock()
			return late
		}
		def := saga.Define("reservation", Reserver{}, saga.Types{
			Actions: []saga.ActionType{
				saga.Action[Reserve]("reserve"), saga.Action[Held]("held"), saga.Action[Charged]("charged"),
				saga.Action[Sold]("sold"), saga.Action[Refused]("refused"), saga.Action[Expired]("expired"),
			},
			Requests: []saga.RequestType{
				saga.On("hold-seats", onHeld),
				saga.On("charge", func(_ Charge, r saga.Reply[struct{}]) Action {
					if r.Late {
						mu.Lock()
						defer mu.Unlock()
						late = append(late, r)
						return Refused{"late"}
					}
					return Charged{}
				}, saga.Timeout(time.Hour), saga.Late()),
				saga.On("confirm-seats", func(ConfirmSeats, saga.Reply[struct{}]) Action { return Sold{} }),
				saga.Request[ReleaseSeats]("release-seats"),
				saga.Request[Refund]("refund"),
			},
		})
		o := open(t, newHome(), h, saga.Config{}, def)
		o.start("ann")
		require.Equal(t, saga.Compensated, o.wait("ann").Status)
		require.Empty(t, heard())
		close(charged)
		o.until("ann", func(s saga.Snapshot) bool { return len(heard()) > 0 })
		require.Equal(t, []saga.Reply[struct{}]{{EffectID: "reservation/ann/2/0", Late: true}}, heard())
		require.Equal(t, saga.Compensated, o.state("ann").Status)
		require.Contains(t, o.kinds("ann"), "late")
		require.Empty(t, h.holds())
	})
}

func TestSignals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		id := counter.ID("c")
		require.ErrorIs(t, o.runner.Signal(t.Context(), id, "m", add{1}), saga.ErrNotFound)
		_, err := o.runner.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		for _, m := range []string{"m1", "m2", "m1", "m2", "m3"} {
			require.NoError(t, o.runner.Signal(t.Context(), id, m, add{1}))
		}
		require.Equal(t, 4, o.count("c"))
		require.NoError(t, o.runner.Signal(t.Context(), id, "end", finish{}))
		require.ErrorIs(t, o.runner.Signal(t.Context(), id, "m4", add{1}), saga.ErrEnded)
		require.NoError(t, o.runner.Signal(t.Context(), id, "end", finish{}), "it was taken before")
		require.ErrorIs(t, o.runner.Cancel(t.Context(), id, ""), saga.ErrEnded)
		require.Equal(t, 4, o.count("c"))
	})
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil), MaxRecord: 2000}, counter)
		ctx := t.Context()
		start := func(id saga.ID, a any) error {
			_, err := o.runner.Start(ctx, id, a)
			return err
		}
		var unknown *saga.TypeError
		require.ErrorAs(t, start(saga.ID{Type: "other", Key: "a"}, add{1}), &unknown)
		require.ErrorContains(t, unknown, `saga type "other" is unknown, want one of ["counter"]`)
		require.ErrorContains(t, start(counter.ID(""), add{1}), "id.Key")
		require.ErrorContains(t, start(counter.ID(strings.Repeat("k", 201)), add{1}), "id.Key")
		require.ErrorContains(t, start(counter.ID("a"), "text"), "action string is not one of")
		require.ErrorContains(t, start(counter.ID("a"), nil), "is not one of")
		require.ErrorContains(t, start(counter.ID("a"), note{strings.Repeat("x", 3000)}), "want at most 2000")
		require.NoError(t, start(counter.ID("a"), add{1}))
		require.ErrorContains(t, o.runner.Signal(ctx, counter.ID("a"), "", add{1}), "messageID")
		_, err := o.runner.State(ctx, counter.ID("b"))
		require.ErrorIs(t, err, saga.ErrNotFound)
		_, err = o.runner.Retry(ctx, counter.ID("a"), saga.By{})
		require.ErrorContains(t, err, "By.Actor")
		_, err = o.runner.Resolve(ctx, counter.ID("a"), "counter/a/9/9", 1, nil, by)
		require.ErrorIs(t, err, saga.ErrNotPending)
		_, err = o.runner.Resume(ctx, counter.ID("a"), by)
		require.ErrorIs(t, err, saga.ErrRefused)
		require.Equal(t, 1, o.count("a"))
	})
}

func TestRecordThatGrowsTooLargeIsStuckBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil), MaxRecord: 2000}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "m1", note{strings.Repeat("x", 1000)}))
		var stuck *saga.StuckError
		require.ErrorAs(t, o.runner.Signal(t.Context(), id, "m2", note{strings.Repeat("x", 1000)}), &stuck)
		require.Contains(t, stuck.Reason, "want at most 2000 together")
		s, err := o.runner.State(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, saga.Stuck, s.Status)
		require.Equal(t, "signal note", s.Parked)
		require.NoError(t, o.runner.Signal(t.Context(), id, "m3", add{1}), "it is kept")
		require.Equal(t, 1, o.count("a"))
		_, err = o.runner.Resume(t.Context(), id, by) // without the note
		require.NoError(t, err)
		o.untilCount("a", 2)
	})
}

func TestPanicLeavesItStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		var mu sync.Mutex
		var trace string
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil), Hooks: saga.Hooks{
			Stuck: func(_ saga.ID, _, tr string) {
				mu.Lock()
				defer mu.Unlock()
				trace = tr
			},
		}}, counter)
		o.redefined = true
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		var stuck *saga.StuckError
		require.ErrorAs(t, o.runner.Signal(t.Context(), id, "bad", boom{}), &stuck)
		require.Equal(t, "panic: boom", stuck.Reason)
		mu.Lock()
		require.Contains(t, trace, "countReducer")
		mu.Unlock()
		for i := range 3 { // what follows waits, in order
			require.NoError(t, o.runner.Signal(t.Context(), id, fmt.Sprint("m", i), append_{fmt.Sprint(i)}))
		}
		_, err = o.runner.Start(t.Context(), counter.ID("b"), add{7})
		require.NoError(t, err)
		require.Equal(t, 7, o.count("b"), "others go on")
		_, err = o.runner.Retry(t.Context(), id, by) // nothing was mended
		require.NoError(t, err)
		o.untilID(id, func(s saga.Snapshot) bool { return s.Status == saga.Stuck && s.Sequence == 4 })
		o.close()

		mended := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, mendedCounter)
		_, err = mended.runner.Retry(t.Context(), id, by)
		require.NoError(t, err)
		s := mended.untilID(id, func(s saga.Snapshot) bool { return s.Sequence == 9 })
		state, err := counter.State(s)
		require.NoError(t, err)
		require.Equal(t, count{N: 101, Text: "012"}, state)
	})
}

func TestForeignEffectsAreNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		for name, want := range map[string]string{
			"hold": "hold", "run": "run peek", "sequence": "sequence", "stream": "stream",
			"foreign request": "request saga_test.HoldSeats", "unregistered": "request saga_test.Charge is not one of Types.Requests",
			"bad undo": "request saga_test.Charge is not one of Types.Requests", "bad key": "key is 7 (int)", "late for one": "is said where its type is registered",
			"bad timer": "want at least 0", "bad action": "action saga_test.unregistered is not one of", "endless": "sends more than 1000 actions",
			"cancel nothing": "want a string that is not empty", "key of do": `Do: Key of "fetch" is "\xff", want UTF-8`,
			"key of after": `After: key is "\xff" (string), want`, "key of its own": `After: key is "#2/0", want one that does not begin with "#"`, "key of cancel": `Cancel: key is "\xff" (string), want`, "unencodable": "there are no words for it",
		} {
			id := counter.ID(strings.ReplaceAll(name, " ", "-"))
			_, err := o.runner.Start(t.Context(), id, foreign{name})
			var stuck *saga.StuckError
			require.ErrorAs(t, err, &stuck, name)
			require.Contains(t, stuck.Reason, want, name)
			s, err := o.runner.State(t.Context(), id)
			require.NoError(t, err, name)
			require.Equal(t, saga.Stuck, s.Status, name)
		}
	})
}

func TestHandlerThatAnswersLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.after = func(_ context.Context, request, _ string, _ int) error {
			if request == "charge" {
				return saga.Later
			}
			return nil
		}
		home := newHome()
		o := open(t, home, h, saga.Config{})
		o.start("ann")
		s := o.until("ann", func(s saga.Snapshot) bool { return len(s.Pending) == 1 && s.Pending[0].Later })
		require.False(t, s.Ready)
		o.close()
		o = open(t, home, h, saga.Config{})
		require.NoError(t, store.Sleep(t.Context(), 2*time.Minute))
		require.Len(t, h.made(), 2, "it is not asked again")
		_, err := o.runner.Resolve(t.Context(), Reservation.ID("ann"), "reservation/ann/2/0", struct{}{}, nil, by)
		require.NoError(t, err)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
	})
}

func TestEffectContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		require.Empty(t, saga.EffectID(t.Context()))
		require.Zero(t, saga.Attempt(t.Context()))
		var attempts []int // read when all is done
		h := newHouse()
		h.before = func(_ context.Context, request, _ string, attempt int) error {
			if request == "hold" {
				attempts = append(attempts, attempt)
				if attempt < 3 {
					return errors.New("again")
				}
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		o.start("ann")
		o.wait("ann")
		require.Equal(t, []int{1, 2, 3}, attempts)
	})
}

// lossy and lossyCharge hold what JSON leaves out.
type (
	lossy       struct{ cents int }
	lossyCharge struct {
		Charge
		cents int
	}
)

type lossyResult struct{}

func (lossyResult) Returns(lossy) {}

func TestDefinitionsAreChecked(t *testing.T) {
	t.Parallel()
	_, _ = lossy{}.cents, lossyCharge{}.cents
	good := []saga.ActionType{saga.Action[Reserve]("reserve")}
	for name, row := range map[string]struct {
		def  saga.Saga
		want string
	}{
		"name":            {saga.Define("a b", Reserver{}, saga.Types{}), "name is"},
		"nil reducer":     {saga.Define[Order, Action]("a", nil, saga.Types{}), "reducer is nil"},
		"two names":       {saga.Define("a", Reserver{}, saga.Types{Actions: append(good, saga.Action[Held]("reserve"))}), "a name of its own"},
		"two types":       {saga.Define("a", Reserver{}, saga.Types{Actions: append(good, saga.Action[Reserve]("again"))}), "registered twice"},
		"no action":       {saga.Define("a", Reserver{}, saga.Types{Actions: []saga.ActionType{saga.Action[int]("n")}}), "int is no saga_test.Action"},
		"empty action":    {saga.Define("a", Reserver{}, saga.Types{Actions: make([]saga.ActionType, 1)}), "made by saga.Action"},
		"nil function":    {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.On[Charge, struct{}, Action]("c", nil)}}), "is nil"},
		"other action":    {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.On("c", func(Charge, saga.Reply[struct{}]) int { return 0 })}}), "returns int"},
		"undo of all":     {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.Request[Charge]("c", saga.Undo(Refund{}))}}), "said where it is done"},
		"retry":           {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.Request[Charge]("c", saga.Retry(saga.RetryPolicy{Factor: 0.5}))}}), "Factor"},
		"no upcaster":     {saga.Define("a", Reserver{}, saga.Types{Schema: 2}), "none from 1"},
		"negative schema": {saga.Define("a", Reserver{}, saga.Types{Schema: -1}), "Types.Schema"},
		"lossy state":     {saga.Define[lossy, Action]("a", nil, saga.Types{}), "state: saga_test.lossy.cents is not exported"},
		"lossy action":    {saga.Define("a", Reserver{}, saga.Types{Actions: []saga.ActionType{saga.Action[lossy]("n")}}), "Types.Actions[0]: saga_test.lossy.cents is not exported"},
		"lossy request":   {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.Request[lossyCharge]("c")}}), "Types.Requests[0]: saga_test.lossyCharge.cents is not exported"},
		"lossy result":    {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.On("c", func(lossyResult, saga.Reply[lossy]) Action { return Sold{} })}}), `Types.Requests[0]: result of "c": saga_test.lossy.cents is not exported`},
		"nil error":       {saga.Define("a", Reserver{}, saga.Types{Errors: []saga.ErrorType{saga.Error("e", nil)}}), "Types.Errors[0]"},
		"odd action":      {saga.Define("a", Reserver{}, saga.Types{Actions: []saga.ActionType{saga.Action[Reserve]("\xff")}}), `Types.Actions[0] is "\xff"`},
		"odd request":     {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.Request[Charge]("\xff")}}), `Types.Requests[0] is "\xff"`},
		"odd error":       {saga.Define("a", Reserver{}, saga.Types{Errors: []saga.ErrorType{saga.Error("\xff", errDeclined)}}), `Types.Errors[0] is "\xff"`},
		"endless factor":  {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.Request[Charge]("c", saga.Retry(saga.RetryPolicy{Factor: math.Inf(1)}))}}), "Factor is +Inf"},
		"endless jitter":  {saga.Define("a", Reserver{}, saga.Types{Requests: []saga.RequestType{saga.Request[Charge]("c", saga.Retry(saga.RetryPolicy{Jitter: math.Inf(-1)}))}}), "Jitter is -Inf"},
		"nil":             {nil, "is nil"},
	} {
		_, err := saga.New(newHome(), saga.Config{}, row.def)
		require.ErrorContains(t, err, row.want, name)
	}
	_, err := saga.New(newHome(), saga.Config{}, Reservation, Reservation)
	require.ErrorContains(t, err, "two definitions")
	_, err = saga.New(nil, saga.Config{}, Reservation)
	require.ErrorContains(t, err, "store is nil")
	_, err = saga.New(newHome(), saga.Config{Handlers: newHouse().handlers()[:3]}, Reservation)
	require.ErrorIs(t, err, effect.ErrNoHandler)
	require.ErrorContains(t, err, `"confirm-seats"`)
	for want, cfg := range map[string]saga.Config{
		"Config.Lease":     {Heartbeat: 10 * time.Second},
		"Config.Poll":      {Poll: -1},
		"Config.MaxBatch":  {MaxBatch: -1},
		"second handler":   {Handlers: append(newHouse().handlers(), newHouse().handlers()...)},
		"worker.ID":        {Worker: strings.Repeat("w", 300)},
		"Config.Handlers[": {Handlers: make([]effect.Handler, 1)},
	} {
		_, err = saga.New(newHome(), cfg, Reservation)
		require.ErrorContains(t, err, want)
	}
	client, err := saga.New(newHome(), saga.Config{}, Reservation)
	require.NoError(t, err)
	require.ErrorIs(t, client.Run(t.Context()), effect.ErrNoHandler)
	require.NoError(t, client.Shutdown(t.Context()))
	require.ErrorIs(t, client.Run(t.Context()), effect.ErrNoHandler)
	_, err = client.Start(t.Context(), Reservation.ID("a"), Reserve{})
	require.ErrorIs(t, err, saga.ErrClosed)
}

// A saga that gives up effects for long does not grow with them, and takes late
// results of the last.
func TestEffectsGivenUpAreBounded(t *testing.T) {
	t.Parallel()
	const most, all = 128, 200
	types := counterTypes()
	reduce := countReducer(nil)
	def := saga.Define("counter", reducer.Func[count, countAction](func(s *count, a countAction, env reducer.Env) effect.Effect[countAction] {
		if f, ok := a.(foreign); ok && f.What == "give up" {
			return cfx.All(cfx.Cancel("k"), cfx.Do(fetch{7}, saga.Key("k")))
		}
		return reduce(s, a, env)
	}), types)
	synctest.Test(t, func(t *testing.T) {
		ctx, id := t.Context(), counter.ID("a")
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(func(context.Context, int) (int, error) { return 0, saga.Later })}, def)
		_, err := o.runner.Start(ctx, id, add{1})
		require.NoError(t, err)
		var sizes []int
		for i := range all {
			require.NoError(t, o.runner.Signal(ctx, id, fmt.Sprint("m", i), foreign{"give up"}))
			synctest.Wait()
			sizes = append(sizes, len(o.untilID(id, func(saga.Snapshot) bool { return true }).Work))
		}
		require.InDelta(t, sizes[most+20], sizes[all-1], 200, "it does not grow")
		oldest := all - 1 - most // the last is pending, those before it are given up
		calls := fetchesOf(t, o, id)
		require.Len(t, calls, all)
		_, err = o.runner.Resolve(ctx, id, calls[oldest-1], 1, nil, by)
		require.ErrorIs(t, err, saga.ErrNotPending)
		_, err = o.runner.Resolve(ctx, id, calls[oldest], 1, nil, by)
		require.NoError(t, err)
	})
}

// fetchesOf are the keys of the fetches that a saga has issued, in order.
func fetchesOf(t *testing.T, o *office, id saga.ID) (keys []string) {
	t.Helper()
	entries, err := o.runner.History(t.Context(), id, 0, 10_000)
	require.NoError(t, err)
	for _, e := range entries {
		var told struct{ Issued []string }
		require.NoError(t, json.Unmarshal(e.Data, &told))
		for _, issued := range told.Issued {
			effect, _, _ := strings.Cut(issued, " ")
			keys = append(keys, id.String()+"/"+effect)
		}
	}
	return keys
}
