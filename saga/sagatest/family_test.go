package sagatest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/testkit"
)

// resort is what weekends act on.
type resort struct {
	Full, SoldOut bool
	Forgetful     bool // an undo that comes before its do is not remembered

	Booked, Freed []string // keys
	Tickets       []string
}

func (w *resort) book(key string, _ BookRoom) (int, error) {
	t := town{Held: w.Booked, Released: w.Freed}
	err := t.do(&t.Held, &t.Released, key, w.Full)
	w.Booked = t.Held
	return 12, err
}

func (w *resort) free(key string, _ FreeRoom) (struct{}, error) {
	t := town{Held: w.Booked, Released: w.Freed, Forgetful: w.Forgetful}
	err := t.undo(&t.Held, &t.Released, key)
	w.Freed = t.Released
	return nothing, err
}

func (w *resort) buy(key string, _ BuyTicket) (struct{}, error) {
	if w.SoldOut {
		return nothing, saga.Rejected(errDeclined)
	}
	add(&w.Tickets, key)
	return nothing, nil
}

// has tells whether there is a room that was booked and not freed.
func (w *resort) has() bool {
	for _, key := range w.Booked {
		freed := false
		for _, other := range w.Freed {
			freed = freed || other == key
		}
		if !freed {
			return true
		}
	}
	return false
}

type weekendView = sagatest.View[Weekend]

func weekendModel(t testkit.T, w resort, inputs ...sagatest.Event) testkit.Model[weekendView, sagatest.Event, resort] {
	setup := sagatest.Setup[resort]{
		Start: PlanWeekend{2}, World: w, StuckAfter: 3,
		Handlers: []sagatest.Handler[resort]{
			sagatest.On((*resort).book), sagatest.On((*resort).free), sagatest.On((*resort).buy),
			sagatest.On(func(*resort, string, SendRefund) (struct{}, error) { return nothing, nil }),
		},
	}
	for _, e := range inputs {
		setup.Inputs = append(setup.Inputs, []sagatest.Event{e})
	}
	return sagatest.Model(t, weekends(), setup)
}

const stayID = "stay/weekend/test/1/0"

func weekendPromises() []testkit.Option {
	return []testkit.Option{
		testkit.Always("a completed weekend has a room and a ticket", func(v *weekendView, w *resort) bool {
			return v.Status != saga.Completed || w.has() && len(w.Tickets) == 1 && v.Children[stayID] == saga.Completed && v.State.Room == 12
		}),
		testkit.Always("a compensated weekend has no room", func(v *weekendView, w *resort) bool {
			return v.Status != saga.Compensated || !w.has()
		}),
		testkit.Finally("it ends, and so does the stay", func(v *weekendView, _ *resort) bool {
			stay, begun := v.Children[stayID]
			return v.Status.Ended() && (!begun || stay.Ended() || stay == "")
		}),
	}
}

func TestExploreASagaWithItsChild(t *testing.T) {
	t.Parallel()
	completed := testkit.Sometimes("completed", func(v *weekendView, _ *resort) bool { return v.Status == saga.Completed })
	compensated := testkit.Sometimes("compensated", func(v *weekendView, _ *resort) bool { return v.Status == saga.Compensated })
	undone := testkit.Sometimes("a stay that had completed is undone", func(v *weekendView, w *resort) bool {
		return v.Children[stayID] == saga.Compensated && v.State.Room == 12
	})
	cancel := sagatest.Cancel("changed my mind")
	for name, row := range map[string]struct {
		world  resort
		inputs []sagatest.Event
		more   []testkit.Option
	}{
		"nothing":            {more: []testkit.Option{completed}},
		"the resort is full": {world: resort{Full: true}, more: []testkit.Option{compensated, testkit.Crashes(1)}},
		"sold out":           {world: resort{SoldOut: true}, more: []testkit.Option{undone, testkit.Crashes(1)}},
		"cancelled":          {inputs: []sagatest.Event{cancel}, more: []testkit.Option{completed, undone}},
		"crash":              {more: []testkit.Option{completed, testkit.Crashes(1)}},
		"lost":               {more: []testkit.Option{completed, testkit.LostReplies(1)}},
		"duplicate":          {more: []testkit.Option{completed, testkit.Duplicates(1)}},
		"cancelled, crash, lost, duplicate": {inputs: []sagatest.Event{cancel}, more: []testkit.Option{
			completed, undone, testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1),
		}},
		"sold out, cancelled, two crashes": {world: resort{SoldOut: true}, inputs: []sagatest.Event{cancel}, more: []testkit.Option{
			undone, testkit.Crashes(2), testkit.LostReplies(1),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stats := testkit.Explore(t, weekendModel(t, row.world, row.inputs...), append(append(weekendPromises(), testkit.Failures(0)), row.more...)...)
			require.True(t, stats.Complete)
			t.Logf("%d states", stats.States)
		})
	}
}

// A resort that does not remember what was undone before it was done keeps a room
// for nobody, if the request is on its way when the stay is cancelled.
func TestExploreFindsWhatAChildLeavesBehind(t *testing.T) {
	t.Parallel()
	_, failure, err := testkit.Search(weekendModel(t, resort{Forgetful: true}, sagatest.Cancel("changed my mind")), append(weekendPromises(), testkit.Failures(0), testkit.Crashes(1))...)
	require.NoError(t, err)
	require.NotNil(t, failure)
	mentions(t, failure.String(), "a compensated weekend has no room", `carry{To: "`+stayID)
}
