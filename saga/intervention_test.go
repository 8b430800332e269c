package saga_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// sight is all that there is to see of a saga, its fleet and the outside.
type sight struct {
	Record  saga.Record
	History []saga.Entry
	Waiting []saga.Waiting
	Roster  saga.Roster
	Calls   []string
}

func (o *office) sees(id saga.ID) (s sight) {
	o.Helper()
	var err error
	s.Record, _, err = o.home.Load(o.Context(), id)
	require.NoError(o, err)
	s.History, err = o.runner.History(o.Context(), id, 0, 1000)
	require.NoError(o, err)
	s.Waiting, err = o.runner.Waiting(o.Context(), id, 0, 1000)
	require.NoError(o, err)
	s.Roster, err = o.runner.Workers(o.Context())
	require.NoError(o, err)
	s.Calls = o.house.made()
	return s
}

// chargingOffice has a saga whose charge is at work.
func chargingOffice(t *testing.T) *office {
	t.Helper()
	h := newHouse()
	h.before = waitFor("charge")
	o := open(t, newHome(), h, saga.Config{Worker: "w"}, patientReservation)
	o.start("ann")
	o.until("ann", func(s saga.Snapshot) bool { return s.Sequence == 2 })
	return o
}

// letterOffice has a counter that is stuck at a signal.
func letterOffice(t *testing.T) *office {
	t.Helper()
	o := open(t, newHome(), newHouse(), saga.Config{Worker: "w", Handlers: counterHandlers(nil)}, counter)
	_, err := o.runner.Start(t.Context(), counter.ID("ann"), add{1})
	require.NoError(t, err)
	var stuck *saga.StuckError
	require.ErrorAs(t, o.runner.Signal(t.Context(), counter.ID("ann"), "m", boom{}), &stuck)
	return o
}

// mends are all that an operator can do to one saga.
var mends = map[string]struct {
	open func(*testing.T) *office
	kind string
	do   func(context.Context, *saga.Operator, saga.ID, saga.By) (saga.Intervention, error)
	want saga.Status
}{
	"Retry": {stuckOffice, "retry", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Retry(ctx, id, by)
	}, saga.Compensating},
	"Redrive": {letterOffice, "redrive", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Redrive(ctx, id, by)
	}, saga.Running},
	"Resume": {letterOffice, "resume", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Resume(ctx, id, by)
	}, saga.Running},
	"Pause": {chargingOffice, "pause", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Pause(ctx, id, by)
	}, saga.Paused},
	"Compensate": {chargingOffice, "compensate", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Compensate(ctx, id, by)
	}, saga.Compensating},
	"Terminate": {chargingOffice, "terminate", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Terminate(ctx, id, by)
	}, saga.Terminated},
	"MarkUndone": {stuckOffice, "mark-undone", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.MarkUndone(ctx, id, "reservation/ann/1/0", by)
	}, saga.Compensated},
	"Resolve": {chargingOffice, "resolve", func(ctx context.Context, o *saga.Operator, id saga.ID, by saga.By) (saga.Intervention, error) {
		return o.Resolve(ctx, id, "reservation/ann/2/0", nil, saga.Rejected(errors.New("no money")), by)
	}, saga.Running},
}

// fleetMends are those that an operator can do to types and workers; before is
// what has to be done first.
var fleetMends = map[string]struct {
	before, do func(context.Context, *saga.Operator, saga.By) error
	name       string
	paused     bool
}{
	"PauseType":  {nil, pauseType, "reservation", true},
	"ResumeType": {pauseType, resumeType, "reservation", false},
	"Drain":      {nil, drain, "drain.", true},
	"Undrain":    {drain, undrain, "drain.", false},
}

func pauseType(ctx context.Context, o *saga.Operator, by saga.By) error {
	return o.PauseType(ctx, "reservation", by)
}

func resumeType(ctx context.Context, o *saga.Operator, by saga.By) error {
	return o.ResumeType(ctx, "reservation", by)
}

func drain(ctx context.Context, o *saga.Operator, by saga.By) error {
	return o.Drain(ctx, "w", by)
}

func undrain(ctx context.Context, o *saga.Operator, by saga.By) error {
	return o.Undrain(ctx, "w", by)
}

// The tables have every method that takes an actor and a reason.
func TestInterventionsAreAll(t *testing.T) {
	t.Parallel()
	for m := range reflect.TypeFor[*saga.Operator]().Methods() {
		takes := false
		for in := range m.Type.Ins() {
			takes = takes || in == reflect.TypeFor[saga.By]()
		}
		_, one := mends[m.Name]
		_, fleet := fleetMends[m.Name]
		require.Equal(t, takes, one || fleet, m.Name)
	}
}

// A dry run of an intervention changes nothing, now or later, and tells what the
// intervention does; that stands in the history with who did it, and why.
func TestInterventions(t *testing.T) {
	t.Parallel()
	dry := saga.By{Actor: "eve", Reason: "to see", DryRun: true}
	for name, row := range mends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := row.open(t)
				id := Reservation.ID("ann")
				if _, found, err := o.home.Load(t.Context(), id); err != nil || !found {
					id = counter.ID("ann")
				}
				operator := saga.NewOperator(o.home) // needs no handlers
				for _, bad := range []saga.By{{Reason: "why"}, {Actor: "ada"}, {Actor: "ada", DryRun: true}} {
					_, err := row.do(t.Context(), operator, id, bad)
					require.ErrorContains(t, err, "By.")
				}
				before, was := o.sees(id), o.untilID(id, func(saga.Snapshot) bool { return true })
				tells, err := row.do(t.Context(), operator, id, dry)
				require.NoError(t, err)
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second)) // less than any deadline
				require.Equal(t, before, o.sees(id))
				require.False(t, tells.Done)
				require.Equal(t, was, tells.Before)
				require.Equal(t, row.want, tells.After.Status)

				wet := dry
				wet.DryRun, wet.Actor = false, "ada"
				done, err := row.do(t.Context(), operator, id, wet)
				require.NoError(t, err)
				require.True(t, done.Done)
				require.Equal(t, was, done.Before)
				require.NotEqual(t, tells.After.Commit, done.After.Commit)
				require.Equal(t, forecast(tells.After), forecast(done.After))
				entries, err := operator.History(t.Context(), id, before.Record.Sequence, 1)
				require.NoError(t, err)
				require.Len(t, entries, 1)
				require.Equal(t, row.kind, entries[0].Kind)
				e := readEntry(t, entries[0])
				require.Equal(t, []string{row.kind, "ada", "to see"}, []string{e.Input.Kind, e.Input.Actor, e.Input.Reason})
			})
		})
	}
}

// forecast is what a dry run can tell: all but when, and by whom, it was done.
func forecast(s saga.Snapshot) saga.Snapshot {
	zero := saga.Record{}
	s.Commit, s.Updated = zero.Commit, zero.Updated
	s.Work = []byte(strings.ReplaceAll(string(s.Work), `"ada"`, `"eve"`))
	return s
}

// A dry run of a pause or a drain changes nothing; one that is done is kept with
// who did it, and why.
func TestFleetInterventions(t *testing.T) {
	t.Parallel()
	dry := saga.By{Actor: "eve", Reason: "to see", DryRun: true}
	for name, row := range fleetMends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := open(t, newHome(), newHouse(), saga.Config{Worker: "w"})
				o.start("ann")
				o.wait("ann")
				operator := saga.NewOperator(o.home)
				if row.before != nil {
					require.NoError(t, row.before(t.Context(), operator, by))
				}
				require.NoError(t, store.Sleep(t.Context(), time.Minute)) // the worker has seen it
				for _, bad := range []saga.By{{Reason: "why"}, {Actor: "ada"}, {Actor: "ada", DryRun: true}} {
					require.ErrorContains(t, row.do(t.Context(), operator, bad), "By.")
				}
				id := Reservation.ID("ann")
				before := o.sees(id)
				require.NoError(t, row.do(t.Context(), operator, dry))
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
				require.Equal(t, before, o.sees(id))

				require.NoError(t, row.do(t.Context(), operator, by))
				w, err := o.home.Join(t.Context(), saga.Worker{ID: "spy"}, time.Minute)
				require.NoError(t, err)
				fleet, err := o.home.Beat(t.Context(), w, time.Minute)
				require.NoError(t, err)
				require.Len(t, fleet.Pauses, 1)
				got := fleet.Pauses[0]
				require.Contains(t, got.Type, row.name)
				require.Equal(t, row.paused, got.Paused)
				require.Equal(t, []string{"ada", "a test"}, []string{got.Actor, got.Reason})
				require.True(t, saga.Recordable(time.Now()).Equal(got.At))
				require.NoError(t, o.home.Leave(t.Context(), w))
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
				require.NotEqual(t, before.Roster, o.sees(id).Roster)
			})
		})
	}
}
