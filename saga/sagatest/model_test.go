package sagatest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/testkit"
)

// town is what reservations act on: a theatre and a bank, which do something once
// for a key.
type town struct {
	SoldOut, Declines bool

	Held, Released    []string // keys
	Charged, Refunded []string
	PaidBack          []string
	Confirmed         []string

	// Forgetful is that an undo which comes before its do is not remembered,
	// Strict that it is refused.
	Forgetful, Strict bool
}

func add(to *[]string, key string) {
	if !slices.Contains(*to, key) {
		*to = append(slices.Clone(*to), key)
		slices.Sort(*to)
	}
}

// do is how the town does what it can undo.
func (w *town) do(done, undone *[]string, key string, refuses bool) error {
	if refuses || slices.Contains(*undone, key) {
		return saga.Rejected(errDeclined)
	}
	add(done, key)
	return nil
}

func (w *town) undo(done, undone *[]string, key string) error {
	key = strings.TrimSuffix(key, "/undo")
	if !slices.Contains(*done, key) {
		switch {
		case w.Strict:
			return saga.Rejected(errDeclined)
		case w.Forgetful:
			return nil
		}
	}
	add(undone, key)
	return nil
}

func (w *town) hold(key string, q HoldSeats) ([]string, error) {
	if err := w.do(&w.Held, &w.Released, key, w.SoldOut); err != nil {
		return nil, err
	}
	return []string{"A1", "A2"}[:q.Quantity], nil
}

func (w *town) release(key string, _ ReleaseSeats) (struct{}, error) {
	return nothing, w.undo(&w.Held, &w.Released, key)
}

func (w *town) charge(key string, _ Charge) (struct{}, error) {
	return nothing, w.do(&w.Charged, &w.Refunded, key, w.Declines)
}

func (w *town) refund(key string, _ Refund) (struct{}, error) {
	return nothing, w.undo(&w.Charged, &w.Refunded, key)
}

func (w *town) payBack(key string, _ PayBack) (struct{}, error) {
	add(&w.PaidBack, key)
	return nothing, nil
}

func (w *town) confirm(key string, _ ConfirmSeats) (struct{}, error) {
	add(&w.Confirmed, key)
	return nothing, nil
}

func (w *town) holds() int { return len(w.Held) - both(w.Held, w.Released) }
func (w *town) owed() int {
	return len(w.Charged) - both(w.Charged, w.Refunded) - len(w.PaidBack)
}

func both(a, b []string) (n int) {
	for _, key := range a {
		if slices.Contains(b, key) {
			n++
		}
	}
	return n
}

type (
	view  = sagatest.View[Order]
	model = testkit.Model[view, sagatest.Event, town]
)

func modelOf(t testkit.T, d *saga.Definition[Order, Action], w town, inputs ...[]sagatest.Event) model {
	t.Helper()
	down := testkit.Fails(errDown)
	return sagatest.Model(t, d, sagatest.Setup[town]{
		Start: Reserve{"ann", 1}, Inputs: inputs, World: w, StuckAfter: 3,
		Handlers: []sagatest.Handler[town]{
			sagatest.On((*town).hold, down), sagatest.On((*town).release, down), sagatest.On((*town).charge, down),
			sagatest.On((*town).refund, down), sagatest.On((*town).payBack, down), sagatest.On((*town).confirm, down),
		},
	})
}

func status(s saga.Status) func(*view, *town) bool {
	return func(v *view, _ *town) bool { return v.Status == s }
}

// promises hold whatever happens.
func promises(more ...testkit.Option) []testkit.Option {
	return append([]testkit.Option{
		testkit.Always("completed is charged with seats", func(v *view, w *town) bool {
			return v.Status != saga.Completed || w.holds() == 1 && w.owed() == 1
		}),
		testkit.Finally("compensated has neither", func(v *view, w *town) bool {
			return v.Status != saga.Compensated || w.holds() == 0 && w.owed() <= 0
		}),
		testkit.Finally("it ends", func(v *view, _ *town) bool { return v.Status.Ended() }),
		testkit.Sometimes("it compensates", status(saga.Compensated)),
	}, more...)
}

func TestExplore(t *testing.T) {
	t.Parallel()
	completes := testkit.Sometimes("it completes", status(saga.Completed))
	cancel := []sagatest.Event{sagatest.Cancel("changed my mind")}
	for name, row := range map[string]struct {
		mistakes mistakes
		world    town
		inputs   [][]sagatest.Event
		more     []testkit.Option
		long     bool
	}{
		"cancelled":    {inputs: [][]sagatest.Event{cancel}, more: []testkit.Option{testkit.Failures(0), completes}},
		"crashes":      {more: []testkit.Option{testkit.Failures(0), testkit.Crashes(1), completes}},
		"lost replies": {more: []testkit.Option{testkit.Failures(0), testkit.LostReplies(1), completes}},
		"duplicates":   {inputs: [][]sagatest.Event{{sagatest.Signal("s", Rename{"bob"})}}, more: []testkit.Option{testkit.Failures(0), testkit.Duplicates(1), completes}},
		"failures":     {more: []testkit.Option{testkit.Failures(2), completes}},
		"declined":     {world: town{Declines: true}, more: []testkit.Option{testkit.Failures(1), testkit.Crashes(1)}},
		"sold out":     {world: town{SoldOut: true}, more: []testkit.Option{testkit.Failures(0), testkit.Crashes(1), testkit.LostReplies(1)}},
		"all faults": {long: true, inputs: [][]sagatest.Event{cancel}, more: []testkit.Option{
			testkit.Failures(1), testkit.Crashes(1), testkit.LostReplies(1), completes,
		}},
		"late pay back": {mistakes: mistakes{NoRefund: true, PaysBack: true}, inputs: [][]sagatest.Event{cancel}, more: []testkit.Option{testkit.Failures(0), completes}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.long && testing.Short() {
				t.Skip("takes seconds")
			}
			stats := testkit.Explore(t, modelOf(t, reservation(row.mistakes), row.world, row.inputs...), promises(row.more...)...)
			require.True(t, stats.Complete)
		})
	}
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	testkit.Simulate(t, modelOf(t, Reservation, town{}, []sagatest.Event{sagatest.Cancel("changed my mind")}), promises(
		testkit.Sometimes("it completes", status(saga.Completed)),
		testkit.Crashes(5), testkit.LostReplies(3), testkit.Failures(3), testkit.Duplicates(3), testkit.FaultRate(0.3), testkit.Walks(60))...)
}

// After a crash the saga has what its record keeps, and nothing else.
func TestExploreSeesCrashes(t *testing.T) {
	t.Parallel()
	failure := search(t, modelOf(t, Reservation, town{}), testkit.Failures(0), testkit.Crashes(1), testkit.Always("charged under one key, once", func(_ *view, w *town) bool {
		return len(w.Charged) <= 1
	}), testkit.Always("no second attempt completes it", func(v *view, _ *town) bool { return v.Status != saga.Completed }))
	require.Equal(t, []string{
		`send start Reserve{Customer: "ann", Quantity: 1}`, `HoldSeats{Quantity: 1} is answered`, `Charge{Cents: 5000} is answered`, `ConfirmSeats{Seats: ["A1"]} is answered`,
	}, failure.Steps)
	failure = search(t, modelOf(t, Reservation, town{}), testkit.Failures(0), testkit.Crashes(1), testkit.Sometimes("the world acts for a process that has crashed", func(v *view, w *town) bool {
		return len(w.Charged) > 0 && len(v.Pending) == 1 && v.Pending[0] == `charge {"Cents":5000}`
	}))
	require.Nil(t, failure)
}

func search(t *testing.T, m model, opts ...testkit.Option) *testkit.Failure {
	t.Helper()
	_, failure, err := testkit.Search(m, opts...)
	require.NoError(t, err)
	return failure
}

// A decision that cannot be made is a failure, whatever was promised.
func TestExploreFindsWhatCannotBeDecided(t *testing.T) {
	t.Parallel()
	m := modelOf(t, Reservation, town{}, []sagatest.Event{sagatest.Signal("s1", Rename{"bob"}), sagatest.Signal("s2", Misdo{"panic"})})
	failure := search(t, m, testkit.Failures(0))
	require.NotNil(t, failure)
	require.Equal(t, []string{
		`send start Reserve{Customer: "ann", Quantity: 1}`, `send signal Rename{Customer: "bob"} as "s1"`, `send signal Misdo{How: "panic"} as "s2"`,
	}, failure.Steps)
	mentions(t, failure.String(), "at the box office", "reservation_test.go")
	// An undo that fails until the saga is stuck is for promises to say.
	strict := modelOf(t, Reservation, town{Strict: true})
	require.Nil(t, search(t, strict, testkit.Failures(0), testkit.Sometimes("stuck", status(saga.Stuck))))
	failure = search(t, strict, testkit.Failures(0), testkit.Always("never stuck", func(v *view, _ *town) bool { return v.Status != saga.Stuck }))
	require.Len(t, failure.Steps, 3)
}

func TestModelRefusesBadSetups(t *testing.T) {
	t.Parallel()
	hold, other := sagatest.On((*town).hold), sagatest.On((*town).release)
	parent := saga.Define("parent", reserver{}, saga.Types{
		Actions:  []saga.ActionType{saga.Action[Reserve]("reserve")},
		Requests: []saga.RequestType{saga.OnChild("stay", Reservation, func(Action, saga.Reply[Order]) Action { return Sold{} })},
	})
	for name, row := range map[string]struct {
		def   *saga.Definition[Order, Action]
		setup sagatest.Setup[town]
		want  string
	}{
		"no definition":               {setup: sagatest.Setup[town]{Start: Reserve{}}, want: "the definition is nil"},
		"an unsound definition":       {def: saga.Define("x y", reserver{}, saga.Types{}), want: `"x y"`},
		"no handler for a child":      {def: parent, setup: sagatest.Setup[town]{Start: Reserve{}}, want: `there is no handler for request "charge" of child "reservation", a `},
		"no start":                    {def: Reservation, want: "action <nil> is not one of Types.Actions"},
		"an empty input":              {def: Reservation, setup: sagatest.Setup[town]{Start: Reserve{}, Inputs: [][]sagatest.Event{{{}}}}, want: "Inputs[0][0] is empty"},
		"a foreign signal":            {def: Reservation, setup: sagatest.Setup[town]{Start: Reserve{}, Inputs: [][]sagatest.Event{{sagatest.Signal("s", Foreign{})}}}, want: "Foreign is not one of Types.Actions"},
		"an empty handler":            {def: Reservation, setup: sagatest.Setup[town]{Start: Reserve{}, Handlers: []sagatest.Handler[town]{{}}}, want: "Handlers[0] is empty"},
		"two handlers":                {def: Reservation, setup: sagatest.Setup[town]{Start: Reserve{}, Handlers: []sagatest.Handler[town]{hold, other, hold}}, want: "Handlers[2]: there is another for"},
		"no handler":                  {def: Reservation, setup: sagatest.Setup[town]{Start: Reserve{}, Handlers: []sagatest.Handler[town]{hold}}, want: `there is no handler for request "charge"`},
		"a bound that is less than 0": {def: Reservation, setup: sagatest.Setup[town]{Start: Reserve{}, StuckAfter: -1}, want: "StuckAfter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mentions(t, fails(t, func(t *fakeT) { sagatest.Model(t, row.def, row.setup) }), "sagatest: Model: ", row.want)
		})
	}
	_, _, err := testkit.Search(sagatest.Model(t, Reservation, sagatest.Setup[town]{Start: Reserve{}, Handlers: []sagatest.Handler[town]{
		hold, other, sagatest.On[town, Charge](nil), sagatest.On((*town).refund), sagatest.On((*town).payBack), sagatest.On((*town).confirm),
	}}))
	require.ErrorContains(t, err, "nil function")
}
