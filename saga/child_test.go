package saga_test

import (
	"context"
	"errors"
	"fmt"
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

// An errand is a parent: it runs a child as it is told to, and then does what it
// is told to. Its children are reservations, which pivot when they are charged,
// and rooms, which do not.
type errand struct {
	Run  runErrand
	Seen []string // what it was told
	Err  string
	Kind string // of the error
}

type errandAction interface{ errand() }

type (
	runErrand struct {
		Child   string // room, reservation, errand or odd
		Undo    string // "", refund, or room
		Timeout time.Duration
		Retry   bool
		After   time.Duration // it changes its mind then
		Pivot   bool
		Then    string     // complete, compensate or wait
		Inner   *runErrand // of a child that is an errand
	}
	toldErrand struct {
		Seen, Err, Kind string
		Late            bool
	}
	mindErrand struct{}
	goErrand   struct{ Then string }
)

func (runErrand) errand()  {}
func (toldErrand) errand() {}
func (mindErrand) errand() {}
func (goErrand) errand()   {}

var efx saga.Of[errandAction]

func errandReducer(s *errand, a errandAction, _ reducer.Env) effect.Effect[errandAction] {
	switch a := a.(type) {
	case runErrand:
		s.Run = a
		var child saga.Child
		switch a.Child {
		case "room":
			child = rooms.Child(saga.Begin[Order]{})
		case "reservation":
			child = Reservation.Child(Reserve{Customer: "errand", Quantity: 2})
		case "errand":
			child = errands.Child(*a.Inner)
		default:
			child = saga.Child{Type: a.Child, Action: a}
		}
		opts := []saga.Option{saga.Key("child"), saga.Timeout(a.Timeout)}
		switch a.Undo {
		case "refund":
			opts = append(opts, saga.Undo(Refund{7}))
		case "room":
			opts = append(opts, saga.Undo(rooms.Child(saga.Begin[Order]{})))
		}
		if a.Retry {
			opts = append(opts, saga.Retry(saga.RetryPolicy{Attempts: 3}))
		}
		all := []effect.Effect[errandAction]{efx.Do(child, opts...)}
		if a.After > 0 {
			all = append(all, efx.After("mind", a.After, mindErrand{}))
		}
		if a.Pivot {
			all = append(all, efx.Pivot())
		}
		return efx.All(all...)
	case toldErrand:
		s.Seen = append(s.Seen, strings.TrimSpace(fmt.Sprint(a.Seen, map[bool]string{true: " late"}[a.Late])))
		s.Err, s.Kind = a.Err, a.Kind
		if a.Err != "" && !s.Run.Pivot {
			return efx.Compensate(a.Err)
		}
		return errandThen(s.Run.Then)
	case mindErrand:
		return efx.Compensate("changed its mind")
	case goErrand:
		return errandThen(a.Then)
	}
	return efx.None()
}

func errandThen(then string) effect.Effect[errandAction] {
	switch then {
	case "complete":
		return efx.Complete()
	case "compensate":
		return efx.Compensate("told to")
	case "cancel":
		return efx.Cancel("child")
	case "panic":
		panic("told to")
	}
	return efx.None()
}

func told[S, A any](seen func(S) string) func(A, saga.Reply[S]) errandAction {
	return func(_ A, r saga.Reply[S]) errandAction {
		a := toldErrand{Late: r.Late}
		switch {
		case errors.Is(r.Err, saga.ErrCompensated):
			a.Kind = "compensated"
		case errors.Is(r.Err, saga.ErrTerminated):
			a.Kind = "terminated"
		case errors.Is(r.Err, effect.ErrTimeout):
			a.Kind = "timeout"
		case r.Err == nil:
			a.Seen = seen(r.Value)
		}
		if r.Err != nil {
			a.Err = r.Err.Error()
			if saga.IsRejected(r.Err) {
				a.Kind += " rejected"
			}
		}
		return a
	}
}

var rooms = saga.Steps("room", saga.Step[Order]{
	Do:   saga.Ask("hold-seats", func(Order) HoldSeats { return HoldSeats{2} }, func(o *Order, seats []string) { o.Seats = seats }),
	Undo: saga.Ask("release-seats", func(Order) ReleaseSeats { return ReleaseSeats{} }, nil),
})

var errands *saga.Definition[errand, errandAction]

func init() { //nolint:gochecknoinits // the definition is its own child's
	types := saga.Types{
		Actions: []saga.ActionType{
			saga.Action[runErrand]("run"), saga.Action[toldErrand]("told"), saga.Action[mindErrand]("mind"), saga.Action[goErrand]("go"),
		},
		Requests: []saga.RequestType{
			saga.OnChild("room", rooms, told[saga.Stepped[Order], saga.StepsAction](func(s saga.Stepped[Order]) string { return strings.Join(s.Data.Seats, ",") }), saga.Late()),
			saga.OnChild("reservation", Reservation, told[Order, Action](func(o Order) string { return strings.Join(o.Seats, ",") })),
			saga.Request[Refund]("refund"),
		},
	}
	inner := saga.Define("inner", reducer.Func[errand, errandAction](errandReducer), types)
	errands = inner
	types.Requests = append(types.Requests, saga.OnChild("inner", inner, told[errand, errandAction](func(e errand) string { return "inner " + strings.Join(e.Seen, ",") })))
	outer = saga.Define("errand", reducer.Func[errand, errandAction](errandReducer), types)
}

var outer *saga.Definition[errand, errandAction]

// agency is an office that runs errands, with what its hooks were told.
type agency struct {
	*office
	mu      sync.Mutex
	refused []string
	unknown []string
}

func openAgency(t *testing.T, home saga.Store, h *house, sagas ...saga.Saga) *agency {
	t.Helper()
	a := &agency{}
	if len(sagas) == 0 {
		sagas = []saga.Saga{outer, errands, rooms, Reservation}
	}
	a.office = open(t, home, h, saga.Config{StuckAfter: 3, Hooks: saga.Hooks{
		Refused: func(id saga.ID, message string, err error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.refused = append(a.refused, fmt.Sprint(id, " ", message, " ", err))
		},
		UnknownType: func(name string) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.unknown = append(a.unknown, name)
		},
	}}, sagas...)
	return a
}

func (a *agency) told() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

func (a *agency) begin(key string, r runErrand) {
	a.Helper()
	_, err := a.runner.Start(a.Context(), outer.ID(key), r)
	require.NoError(a, err)
}

// reaches waits until a saga is in a status.
func (a *agency) reaches(id saga.ID, want saga.Status) saga.Snapshot {
	a.Helper()
	for range 1_000_000 {
		s, err := saga.NewOperator(a.home).State(a.Context(), id)
		if err == nil && s.Status == want {
			return s
		}
		require.NoError(a, store.Sleep(a.Context(), 10*time.Millisecond))
	}
	s, err := saga.NewOperator(a.home).State(a.Context(), id)
	a.Fatalf("%s is %s (%s), want %s: %v", id, s.Status, s.Reason, want, err)
	return s
}

func errandOf(t *testing.T, s saga.Snapshot) errand {
	t.Helper()
	e, err := outer.State(s)
	require.NoError(t, err)
	return e
}

var (
	roomOfAnn        = saga.ID{Type: "room", Key: "errand/ann/1/0"}
	reservationOfAnn = saga.ID{Type: "reservation", Key: "errand/ann/1/0"}
	annsErrand       = saga.ID{Type: "errand", Key: "ann"}
)

func TestChildCompletes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		a := openAgency(t, newHome(), h)
		began := time.Now()
		a.begin("ann", runErrand{Child: "reservation", Then: "complete"})
		end := a.reaches(annsErrand, saga.Completed)
		require.Less(t, time.Since(began), time.Second, "nobody waits for a poll")
		require.Equal(t, []string{"A1,A2"}, errandOf(t, end).Seen)
		child := a.reaches(reservationOfAnn, saga.Completed)
		require.Equal(t, annsErrand, child.Parent)
		require.Equal(t, []string{"charge", "confirm", "hold"}, h.holds())
		require.Empty(t, a.told())
	})
}

func TestChildCompensates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = func(_ context.Context, request, _ string, _ int) error {
			if request == "charge" {
				return saga.Rejected(errDeclined)
			}
			return nil
		}
		a := openAgency(t, newHome(), h)
		a.begin("ann", runErrand{Child: "reservation", Then: "complete"})
		end := a.reaches(annsErrand, saga.Compensated)
		e := errandOf(t, end)
		require.Equal(t, "compensated rejected", e.Kind)
		require.Equal(t, "child saga was compensated: payment: card declined", e.Err)
		require.Empty(t, h.holds())
		history, err := a.runner.History(t.Context(), annsErrand, 0, 10)
		require.NoError(t, err)
		require.Len(t, history, 2, "there is nothing to cancel")
		require.Empty(t, a.told())
	})
}

// A parent that changes its mind cancels its child, wherever that is.
func TestChildIsCancelledAtAnyPoint(t *testing.T) {
	t.Parallel()
	for _, child := range []string{"room", "reservation"} {
		for _, at := range []string{"hold", "charge", "nothing"} {
			for _, how := range []string{"cancel", "deadline", "operator"} {
				t.Run(child+"/"+at+"/"+how, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						h := newHouse()
						h.before = waitFor(at)
						a := openAgency(t, newHome(), h)
						r := runErrand{Child: child, Then: "wait"}
						if how == "deadline" {
							r.After = 2 * time.Second
						}
						a.begin("ann", r)
						require.NoError(t, store.Sleep(t.Context(), time.Second))
						switch how {
						case "cancel":
							require.NoError(t, a.runner.Cancel(t.Context(), annsErrand, "enough"))
						case "operator":
							_, err := a.runner.Compensate(t.Context(), annsErrand, by)
							require.NoError(t, err)
						}
						if child == "reservation" && at == "nothing" { // it is past its pivot
							s := a.reaches(annsErrand, saga.Stuck)
							require.Contains(t, s.Reason, `child saga "reservation/errand/ann/1/0" cannot be undone any more: it is completed, past its point of no return`)
							require.Equal(t, reservationOfAnn, s.Undo[0].Child)
							_, err := a.runner.Retry(t.Context(), annsErrand, by)
							require.NoError(t, err)
							require.NoError(t, store.Sleep(t.Context(), time.Minute))
							a.reaches(annsErrand, saga.Stuck) // the child was asked again
							_, err = a.runner.MarkUndone(t.Context(), annsErrand, "errand/ann/1/0", by)
							require.NoError(t, err)
							a.reaches(annsErrand, saga.Compensated)
							return
						}
						a.reaches(annsErrand, saga.Compensated)
						id := roomOfAnn
						if child == "reservation" {
							id = reservationOfAnn
						}
						require.Equal(t, saga.Compensated, a.reaches(id, saga.Compensated).Status)
						require.Empty(t, h.holds())
						require.Empty(t, a.told())
					})
				})
			}
		}
	}
}

// What cannot be cancelled any more is undone by what the parent has said.
func TestChildPastItsPivotIsUndoneByOtherMeans(t *testing.T) {
	t.Parallel()
	for _, undo := range []string{"refund", "room"} {
		t.Run(undo, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				a := openAgency(t, newHome(), h)
				a.begin("ann", runErrand{Child: "reservation", Undo: undo, Then: "compensate"})
				a.reaches(annsErrand, saga.Compensated)
				a.reaches(reservationOfAnn, saga.Completed)
				if undo == "refund" {
					require.Equal(t, "refund errand/ann/1/0/undo", h.made()[3])
				} else {
					a.reaches(saga.ID{Type: "room", Key: "errand/ann/1/0/undo"}, saga.Completed)
				}
				require.Empty(t, a.told())
			})
		})
	}
	t.Run("while it runs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.before = waitFor("confirm")
			a := openAgency(t, newHome(), h)
			a.begin("ann", runErrand{Child: "reservation", Undo: "refund", Then: "complete"})
			require.NoError(t, store.Sleep(t.Context(), time.Second))
			require.NoError(t, a.runner.Cancel(t.Context(), annsErrand, "enough"))
			require.NoError(t, store.Sleep(t.Context(), time.Second))
			a.reaches(annsErrand, saga.Compensating) // it waits for the end
			h.set(nil, nil)
			_, err := a.runner.Retry(t.Context(), reservationOfAnn, by)
			require.NoError(t, err)
			a.reaches(annsErrand, saga.Compensated)
			a.reaches(reservationOfAnn, saga.Completed)
			made := h.made()
			require.Equal(t, "refund errand/ann/1/0/undo", made[len(made)-1])
		})
	})
}

// A child that is undone by its parent's parent undoes what its own children did.
func TestGrandchild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		a := openAgency(t, newHome(), h)
		_, err := a.runner.Start(t.Context(), annsErrand, runErrand{Child: "errand", Then: "wait", Inner: &runErrand{Child: "room", Then: "complete"}})
		require.NoError(t, err)
		inner := saga.ID{Type: "inner", Key: "errand/ann/1/0"}
		a.reaches(inner, saga.Completed)
		require.Equal(t, []string{"hold"}, h.holds())
		require.NoError(t, a.runner.Cancel(t.Context(), annsErrand, "enough"))
		a.reaches(annsErrand, saga.Compensated)
		require.Equal(t, "parent: enough", a.reaches(inner, saga.Compensated).Reason)
		a.reaches(saga.ID{Type: "room", Key: "inner/errand/ann/1/0/1/0"}, saga.Compensated)
		require.Empty(t, h.holds())
	})
}

func TestChildTakesTooLong(t *testing.T) {
	t.Parallel()
	for _, pivot := range []bool{false, true} {
		t.Run(fmt.Sprint("pivot=", pivot), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				h.before = waitFor("hold")
				a := openAgency(t, newHome(), h)
				began := time.Now()
				a.begin("ann", runErrand{Child: "room", Timeout: 20 * time.Second, Pivot: pivot, Then: "complete"})
				if pivot { // it must succeed, however long it takes
					require.NoError(t, store.Sleep(t.Context(), 25*time.Second))
					h.set(nil, nil)
					end := a.reaches(annsErrand, saga.Completed)
					require.Equal(t, []string{"A1,A2"}, errandOf(t, end).Seen)
					return
				}
				s := a.reaches(annsErrand, saga.Compensated)
				require.InDelta(t, 20, time.Since(began).Seconds(), 1)
				require.Equal(t, `child saga "room/errand/ann/1/0": timed out`, s.Reason)
				a.reaches(roomOfAnn, saga.Compensated)
				require.Empty(t, h.holds())
				require.Empty(t, a.told())
			})
		})
	}
}

// A child that its parent has given up comes to a late result.
func TestChildIsLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = waitFor("hold")
		a := openAgency(t, newHome(), h)
		a.begin("ann", runErrand{Child: "room", Then: "wait"})
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.NoError(t, a.runner.Signal(t.Context(), annsErrand, "1", goErrand{"cancel"}))
		h.set(nil, nil)
		a.reaches(roomOfAnn, saga.Completed)
		s := a.reaches(annsErrand, saga.Running)
		require.Equal(t, []string{"A1,A2 late"}, errandOf(t, s).Seen)
		require.Len(t, s.Undo, 1, "it can still be cancelled")
		require.NoError(t, a.runner.Cancel(t.Context(), annsErrand, "enough"))
		a.reaches(annsErrand, saga.Compensated)
		require.Empty(t, h.holds())
	})
}

// Parent and child belong to workers that know nothing of each other's types, and
// either may be away.
func TestChildOfAnotherWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, home := newHouse(), newHome()
		parents := openAgency(t, home, h, outer)
		parents.begin("ann", runErrand{Child: "room", Then: "wait"})
		require.NoError(t, store.Sleep(t.Context(), 2*time.Minute))
		parents.mu.Lock()
		require.Contains(t, parents.unknown, "room", "who runs the parent is told")
		parents.mu.Unlock()
		require.Empty(t, h.made())

		children := openAgency(t, home, h, rooms)
		children.reaches(roomOfAnn, saga.Completed)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Equal(t, []string{"A1,A2"}, errandOf(t, parents.reaches(annsErrand, saga.Running)).Seen)
		parents.close()

		client, err := saga.New(home, saga.Config{}, outer)
		require.NoError(t, err)
		require.NoError(t, client.Cancel(t.Context(), annsErrand, "enough"))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Equal(t, []string{"hold"}, h.holds(), "nobody decides")
		openAgency(t, home, h, outer)
		children.reaches(annsErrand, saga.Compensated)
		require.Empty(t, h.holds())
	})
}

func TestChildIsTerminated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = waitFor("hold")
		a := openAgency(t, newHome(), h)
		a.begin("ann", runErrand{Child: "room", Then: "complete"})
		a.reaches(roomOfAnn, saga.Running)
		_, err := a.runner.Terminate(t.Context(), roomOfAnn, saga.By{Actor: "ada", Reason: "the hotel burnt down"})
		require.NoError(t, err)
		s := a.reaches(annsErrand, saga.Stuck) // nobody knows what the child has done
		e := errandOf(t, s)
		require.Equal(t, "terminated", e.Kind)
		require.Equal(t, "child saga was terminated: the hotel burnt down", e.Err)
		require.Contains(t, s.Reason, "cannot be undone any more: it is terminated")
		_, err = a.runner.MarkUndone(t.Context(), annsErrand, "errand/ann/1/0", by)
		require.NoError(t, err)
		a.reaches(annsErrand, saga.Compensated)
		require.Empty(t, a.told())
	})
}

// The child of a parent that was terminated goes on; that nobody hears of its end
// is reported, and in the parent's history.
func TestParentIsTerminated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = waitFor("hold")
		a := openAgency(t, newHome(), h)
		a.begin("ann", runErrand{Child: "room", Then: "complete"})
		a.reaches(roomOfAnn, saga.Running)
		_, err := a.runner.Terminate(t.Context(), annsErrand, by)
		require.NoError(t, err)
		h.set(nil, nil)
		a.reaches(roomOfAnn, saga.Completed)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Len(t, a.told(), 1)
		require.Contains(t, a.told()[0], "errand/ann saga:end/1/0/")
		require.Contains(t, a.told()[0], saga.ErrEnded.Error())
		history, err := a.runner.History(t.Context(), annsErrand, 0, 10)
		require.NoError(t, err)
		last := history[len(history)-1]
		require.Equal(t, "refused", last.Kind)
		require.Contains(t, string(last.Data), `"status":"completed"`)
	})
}

// The end of a child waits for a parent that is stuck or paused.
func TestParentIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = waitFor("hold")
		a := openAgency(t, newHome(), h)
		a.begin("ann", runErrand{Child: "room", Then: "complete"})
		a.reaches(roomOfAnn, saga.Running)
		var stuck *saga.StuckError
		require.ErrorAs(t, a.runner.Signal(t.Context(), annsErrand, "1", goErrand{"panic"}), &stuck)
		h.set(nil, nil)
		a.reaches(roomOfAnn, saga.Completed)
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		a.reaches(annsErrand, saga.Stuck)
		_, err := a.runner.Resume(t.Context(), annsErrand, by)
		require.NoError(t, err)
		require.Equal(t, []string{"A1,A2"}, errandOf(t, a.reaches(annsErrand, saga.Completed)).Seen)
		made := h.made()
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		require.Equal(t, made, h.made(), "the child was asked for again, and not begun twice")
		require.Empty(t, a.told())
	})
}

func TestParentIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.before = waitFor("hold")
		a := openAgency(t, newHome(), h)
		a.begin("ann", runErrand{Child: "room", Then: "wait"})
		a.reaches(roomOfAnn, saga.Running)
		_, err := a.runner.Terminate(t.Context(), annsErrand, by)
		require.NoError(t, err)
		n, err := a.home.Purge(t.Context(), time.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		h.set(nil, nil)
		a.reaches(roomOfAnn, saga.Completed)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Len(t, a.told(), 1)
		require.Contains(t, a.told()[0], saga.ErrNotFound.Error())

		a.begin("ann", runErrand{Child: "room", Then: "complete"}) // it finds the child that is there
		require.Equal(t, []string{"A1,A2"}, errandOf(t, a.reaches(annsErrand, saga.Completed)).Seen)
		history, err := a.runner.History(t.Context(), roomOfAnn, 0, 10)
		require.NoError(t, err)
		require.Equal(t, "refused", history[len(history)-1].Kind)
		drift, err := rooms.Replay(roomOfAnn, history)
		require.NoError(t, err)
		require.Nil(t, drift)
		drift, err = outer.Replay(annsErrand, mustHistory(t, a, annsErrand))
		require.NoError(t, err)
		require.Nil(t, drift)
	})
}

func mustHistory(t *testing.T, a *agency, id saga.ID) []saga.Entry {
	t.Helper()
	history, err := a.runner.History(t.Context(), id, 0, 1000)
	require.NoError(t, err)
	return history
}

// A child that was purged cannot be undone: its parent does not take it for done.
func TestChildIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openAgency(t, newHome(), newHouse())
		a.begin("ann", runErrand{Child: "room", Then: "wait"})
		a.reaches(roomOfAnn, saga.Completed)
		_, err := a.home.Purge(t.Context(), time.Now().Add(time.Hour), 10)
		require.NoError(t, err)
		require.NoError(t, a.runner.Cancel(t.Context(), annsErrand, "enough"))
		require.Contains(t, a.reaches(annsErrand, saga.Stuck).Reason, "cannot be undone any more: it is terminated")
		s := a.reaches(roomOfAnn, saga.Terminated)
		require.Equal(t, "cancelled by its parent when it was not there", s.Reason)
		require.Equal(t, annsErrand, s.Parent)
	})
}

// A saga of the child's key that is somebody else's is left alone.
func TestChildIsAnothers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		a := openAgency(t, newHome(), h)
		_, err := a.runner.Start(t.Context(), roomOfAnn, saga.Begin[Order]{})
		require.NoError(t, err)
		a.reaches(roomOfAnn, saga.Completed)
		a.begin("ann", runErrand{Child: "room", Then: "complete"})
		s := a.reaches(annsErrand, saga.Compensated)
		require.Equal(t, " rejected", errandOf(t, s).Kind)
		require.Contains(t, s.Reason, "no child of the one that asks")
		a.reaches(roomOfAnn, saga.Completed)
		require.Equal(t, []string{"hold"}, h.holds())
	})
}

func TestChildMistakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openAgency(t, newHome(), newHouse())
		for key, row := range map[string]struct {
			run  runErrand
			want string
		}{
			"unknown": {runErrand{Child: "odd"}, `child saga "odd" is not one of Types.Requests of saga "errand"`},
			"retry":   {runErrand{Child: "room", Retry: true}, `Retry of "room": what a child saga has come to is final`},
		} {
			_, err := a.runner.Start(t.Context(), outer.ID(key), row.run)
			require.ErrorContains(t, err, row.want)
		}
		require.ErrorContains(t, a.runner.Signal(t.Context(), annsErrand, "saga:end/1/0/3", goErrand{}), `want one that does not begin with "saga:"`)
	})
	define := func(requests ...saga.RequestType) error {
		_, err := saga.New(newHome(), saga.Config{}, saga.Define("x", reducer.Func[errand, errandAction](errandReducer), saga.Types{Requests: requests}))
		return err
	}
	seen := told[saga.Stepped[Order], saga.StepsAction](func(saga.Stepped[Order]) string { return "" })
	for want, err := range map[string]error{
		"the child is nil": define(saga.OnChild("room", (*saga.Definition[saga.Stepped[Order], saga.StepsAction])(nil), seen)),
		"is nil":           define(saga.OnChild[saga.Stepped[Order], saga.StepsAction, errandAction]("room", rooms, nil)),
		"is registered twice, as \"room\" and \"again\"": define(saga.OnChild("room", rooms, seen), saga.OnChild("again", rooms, seen)),
		"what a child saga has come to is final":         define(saga.OnChild("room", rooms, seen, saga.Retry(saga.RetryPolicy{Attempts: 2}))),
		"there are no steps":                             define(saga.OnChild("room", saga.Steps[Order]("none"), told[saga.Stepped[Order], saga.StepsAction](nil))),
	} {
		require.ErrorContains(t, err, want)
	}
}

// Many parents, each with its child, in tenants and with long keys.
func TestManyChildren(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		a := openAgency(t, newHome(), h)
		var ids []saga.ID
		for i := range 100 {
			id := saga.ID{Type: "errand", Key: fmt.Sprint(i)}
			if i%3 == 0 {
				id.Tenant = fmt.Sprint("t", i%4)
			}
			if i%5 == 0 {
				id.Key += strings.Repeat("x", saga.MaxKey-len(id.Key))
			}
			ids = append(ids, id)
			_, err := a.runner.Start(t.Context(), id, runErrand{Child: "room", Then: map[bool]string{true: "complete", false: "compensate"}[i%2 == 0]})
			require.NoError(t, err)
		}
		for i, id := range ids {
			a.reaches(id, map[bool]saga.Status{true: saga.Completed, false: saga.Compensated}[i%2 == 0])
		}
		require.Len(t, h.holds(), 50)
		require.Empty(t, a.told())
	})
}

// A step may be a child.
func TestStepIsAChild(t *testing.T) {
	t.Parallel()
	trips := saga.Steps("trip",
		saga.Step[Order]{Do: saga.AskChild("room", rooms, func(Order) saga.StepsAction { return saga.Begin[Order]{} },
			func(o *Order, s saga.Stepped[Order]) { o.Seats = s.Data.Seats })},
		saga.Step[Order]{Do: saga.Ask("charge", func(o Order) Charge { return Charge{len(o.Seats)} }, nil)},
	)
	for _, declines := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.before = func(_ context.Context, request, _ string, _ int) error {
				if declines && request == "charge" {
					return saga.Rejected(errDeclined)
				}
				return nil
			}
			a := openAgency(t, newHome(), h, trips, rooms)
			_, err := a.runner.Start(t.Context(), trips.ID("ann"), saga.Begin[Order]{})
			require.NoError(t, err)
			if declines {
				a.reaches(trips.ID("ann"), saga.Compensated)
				require.Empty(t, h.holds())
				return
			}
			state, err := trips.State(a.reaches(trips.ID("ann"), saga.Completed))
			require.NoError(t, err)
			require.Equal(t, []string{"A1", "A2"}, state.Data.Seats)
		})
	}
	_, err := saga.New(newHome(), saga.Config{}, saga.Steps("odd", saga.Step[Order]{
		Do:    saga.AskChild("room", rooms, func(Order) saga.StepsAction { return saga.Begin[Order]{} }, nil),
		Retry: saga.RetryPolicy{Attempts: 2},
	}))
	require.ErrorContains(t, err, "steps[0].Retry: what a child saga has come to is final")
}
