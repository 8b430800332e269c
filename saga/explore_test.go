package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// A booking with two children: seats are held, a card is charged, and either it
// is charged within five minutes or all is undone. The machine is explored with
// it: every order, with crashes, lost replies, duplicates and failures at every
// step.

type booking struct {
	Free          bool
	Held, Charged bool
	Late          int // charges that were refunded by hand
}

type bookingAction interface{ booking() }

type (
	bookIt    struct{ Free bool } // free: seats without a charge
	heldSeats struct {
		Err  string
		Late bool
	}
	chargedIt struct {
		Err  string
		Late bool
	}
	hurry   struct{}
	expired struct{}
)

func (bookIt) booking()    {}
func (heldSeats) booking() {}
func (chargedIt) booking() {}
func (hurry) booking()     {}
func (expired) booking()   {}

type (
	holdIt    struct{ Seats int }
	releaseIt struct{ Seats int }
	chargeIt  struct{ Cents int }
	refundIt  struct{ Cents int }
)

func (holdIt) Returns(int)         {}
func (releaseIt) Returns(struct{}) {}
func (chargeIt) Returns(int)       {}
func (refundIt) Returns(struct{})  {}

var bfx Of[bookingAction]

func bookingReducer(s *booking, a bookingAction, _ reducer.Env) effect.Effect[bookingAction] {
	switch a := a.(type) {
	case bookIt:
		s.Free = a.Free
		return bfx.All(
			bfx.Do(holdIt{2}, Undo(releaseIt{2})),
			bfx.After("deadline", 5*time.Minute, expired{}))
	case heldSeats:
		if a.Late {
			return bfx.None()
		}
		if a.Err != "" {
			return bfx.Compensate("no seats: " + a.Err)
		}
		s.Held = true
		if s.Free {
			return bfx.Complete()
		}
		return bfx.Do(chargeIt{10}, Undo(refundIt{10}))
	case chargedIt:
		switch {
		case a.Late:
			s.Late++
			return bfx.None()
		case a.Err != "":
			return bfx.Compensate("no money: " + a.Err)
		}
		s.Charged = true
		return bfx.All(bfx.Pivot(), bfx.Cancel("deadline"), bfx.Complete())
	case expired:
		return bfx.Compensate("the hold ran out")
	}
	return bfx.None()
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func bookingTypes(opts ...Option) Types {
	return Types{
		Actions: []ActionType{
			Action[bookIt]("book"), Action[heldSeats]("held"), Action[chargedIt]("charged"),
			Action[hurry]("hurry"), Action[expired]("expired"),
		},
		Requests: []RequestType{
			On("hold", func(_ holdIt, r Reply[int]) bookingAction { return heldSeats{problem(r.Err), r.Late} }, opts...),
			On("charge", func(_ chargeIt, r Reply[int]) bookingAction { return chargedIt{problem(r.Err), r.Late} }, opts...),
			Request[releaseIt]("release", opts...),
			Request[refundIt]("refund", opts...),
		},
	}
}

var replayedBooking = Define("booking", reducer.Func[booking, bookingAction](bookingReducer), bookingTypes())

// mustReplay replays the last decision of a saga, which must not drift.
func mustReplay(k *kind, before *Record, c *Change) {
	h, err := loaded(*before)
	if err != nil {
		panic(err)
	}
	p := past{kind: k, id: c.Record.ID, state: before.State, starter: h.Work.Meta}
	if drift, err := p.replay(&c.Entry); drift != nil || err != nil || string(p.state) != string(c.Record.State) {
		panic(fmt.Sprintf("%s: drift %+v, %v\nit comes to %s, not %s", c.Entry.Data, drift, err, p.state, c.Record.State))
	}
}

// exploredWorld is what is outside of the process: the store and two children.
type exploredWorld struct {
	Record  Record
	Found   bool
	Epoch   int64
	Decided []string // what was decided on, but for failed attempts
	Seats   exploredChild
	Card    exploredChild
}

// exploredChild does something once for a key, and undoes it, in either order.
type exploredChild struct {
	Declines bool
	Key      string // of all that it was asked
	Other    string // a second key, which there must not be
	Done     bool
	Undone   bool
}

var errGone = errors.New("undone before it was done")

func (c *exploredChild) do(key string) error {
	c.key(key)
	switch {
	case c.Undone:
		return Rejected(errGone)
	case c.Declines:
		return Rejected(errors.New("declined"))
	}
	c.Done = true
	return nil
}

func (c *exploredChild) undo(key string) error {
	c.key(strings.TrimSuffix(key, undoSuffix))
	c.Undone = true
	return nil
}

func (c *exploredChild) key(key string) {
	switch {
	case c.Key == "":
		c.Key = key
	case c.Key != key:
		c.Other = key
	}
}

// has tells whether something is done and not undone.
func (c *exploredChild) has() bool { return c.Done && !c.Undone }

// load is also how the world learns that a process has taken over: a worker
// joins before it loads.
func (w *exploredWorld) load(q load) (found, error) {
	w.Epoch = max(w.Epoch, q.Epoch)
	return found{Record: w.Record, Found: w.Found}, nil
}

func (w *exploredWorld) commit(q commit) (Verdict, error) {
	if q.Change.Epoch < w.Epoch {
		return Fenced, nil
	}
	if q.Change.Record.Sequence != w.Record.Sequence+1 {
		return Conflict, nil
	}
	mustReplay(replayedBooking.kind, &w.Record, q.Change)
	w.Record, w.Found = q.Change.Record, true
	var t told
	if err := json.Unmarshal(q.Change.Entry.Data, &t); err != nil {
		return 0, err
	}
	if kind := q.Change.Entry.Kind; kind != "attempt" && kind != "stuck" {
		w.Decided = append(w.Decided, fmt.Sprint(kind, " ", t.Input.Message, t.Input.Effect, t.Input.Key))
	}
	return Committed, nil
}

func (w *exploredWorld) perform(q perform) (result, error) {
	var err error
	switch q.Request {
	case "hold":
		err = w.Seats.do(q.Attempt.Effect)
	case "release":
		err = w.Seats.undo(q.Attempt.Effect)
	case "charge":
		err = w.Card.do(q.Attempt.Effect)
	case "refund":
		err = w.Card.undo(q.Attempt.Effect)
	}
	if err != nil {
		return result{}, err
	}
	return result{Value: []byte("1")}, nil
}

func explored(t *testing.T, w exploredWorld, opts ...Option) testkit.Model[machine, event, exploredWorld] {
	t.Helper()
	def := Define("booking", reducer.Func[booking, bookingAction](bookingReducer), bookingTypes(opts...))
	require.NoError(t, def.kind.problem)
	d := &decider{kind: def.kind, maxSize: 1 << 20, stuckAfter: 2}
	id := ID{Type: "booking", Key: "b1"}
	start := named{Name: "book", Data: []byte("{}")}
	return testkit.Model[machine, event, exploredWorld]{
		State:   machine{ID: id},
		World:   w,
		Reducer: &host{deciders: map[string]*decider{"booking": d}, resident: time.Hour},
		Inputs: [][]event{
			{submit{Input: input{Kind: startInput, Action: &start}}},
			{submit{Input: input{Kind: cancelInput, Message: "c1", Reason: "changed my mind"}}},
		},
		Answers: []testkit.Answer{
			testkit.On((*exploredWorld).load, testkit.ReadOnly()),
			testkit.On((*exploredWorld).commit),
			testkit.On((*exploredWorld).perform, testkit.Fails(errDown)),
		},
		Recover: func(crashed *machine) (machine, []event) {
			return machine{ID: crashed.ID, Epoch: crashed.Epoch + 1}, []event{wake{Epoch: crashed.Epoch + 1}}
		},
	}
}

var errDown = errors.New("connection refused")

func promises() []testkit.Option {
	type M = machine
	type W = exploredWorld
	status := func(s Status) func(*M, *W) bool {
		return func(_ *M, w *W) bool { return w.Record.Status == s }
	}
	return []testkit.Option{
		testkit.Always("each input is decided on once", func(_ *M, w *W) bool {
			seen := slices.Clone(w.Decided)
			slices.Sort(seen)
			return len(slices.Compact(seen)) == len(w.Decided)
		}),
		testkit.Always("the keys of effects are stable", func(_ *M, w *W) bool { return w.Seats.Other == "" && w.Card.Other == "" }),
		testkit.Always("what is done can be undone until it has ended well", func(_ *M, w *W) bool {
			var k work
			if w.Found {
				if err := json.Unmarshal(w.Record.Work, &k); err != nil {
					return false
				}
			}
			if w.Record.Status == Completed || k.Ending {
				return true
			}
			return (!w.Seats.has() || slices.ContainsFunc(k.Undo, func(c call) bool { return c.Request == "release" })) &&
				(!w.Card.has() || slices.ContainsFunc(k.Undo, func(c call) bool { return c.Request == "refund" }))
		}),
		testkit.Always("completed is charged with seats", func(_ *M, w *W) bool {
			return w.Record.Status != Completed || w.Seats.has() && (w.Card.has() || strings.Contains(string(w.Record.State), `"Free":true`))
		}),
		testkit.Always("compensated is neither", func(_ *M, w *W) bool {
			return w.Record.Status != Compensated || !w.Seats.has() && !w.Card.has()
		}),
		testkit.Finally("it ends, or waits for an operator", func(_ *M, w *W) bool {
			return !w.Found || w.Record.Status.Ended() || w.Record.Status == Stuck
		}),
		testkit.Sometimes("compensated", status(Compensated)),
	}
}

// Every order of what can happen to one saga with two children, with every way
// to spread the faults over it.
func TestExplore(t *testing.T) {
	t.Parallel()
	completed := testkit.Sometimes("completed", func(_ *machine, w *exploredWorld) bool { return w.Record.Status == Completed })
	stuck := testkit.Sometimes("stuck", func(_ *machine, w *exploredWorld) bool { return w.Record.Status == Stuck })
	late := testkit.Sometimes("a late result", func(_ *machine, w *exploredWorld) bool {
		return slices.ContainsFunc(w.Decided, func(d string) bool { return strings.HasPrefix(d, "late") })
	})
	patient := []Option{Retry(RetryPolicy{Attempts: 2, Delay: time.Second, Jitter: -1})}
	hasty := []Option{Retry(RetryPolicy{Attempts: 1, Delay: time.Second, Jitter: -1})}
	declined := exploredWorld{Card: exploredChild{Declines: true}}
	for _, row := range []struct {
		name  string
		world exploredWorld
		opts  []Option
		more  []testkit.Option
		free  bool // one child, and attempts that take too long
		long  bool
	}{
		{name: "failures", opts: patient, more: []testkit.Option{testkit.Failures(2), completed, late}},
		{name: "crashes", opts: patient, more: []testkit.Option{testkit.Crashes(1), completed}},
		{name: "lost replies", opts: patient, more: []testkit.Option{testkit.LostReplies(1), completed}},
		{name: "duplicates", opts: patient, more: []testkit.Option{testkit.Duplicates(1), completed}},
		{name: "timeouts", free: true, opts: hasty, more: []testkit.Option{completed, late, stuck}},
		{name: "a declined card", world: declined, opts: patient, more: []testkit.Option{testkit.Crashes(1)}},
		{name: "no seats", world: exploredWorld{Seats: exploredChild{Declines: true}}, opts: patient, more: []testkit.Option{testkit.Crashes(1), testkit.Failures(1)}},
		{name: "all faults of a declined card", long: true, world: declined, opts: patient, more: []testkit.Option{
			testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1), testkit.Failures(1), testkit.MaxStates(20_000_000),
		}},
		{name: "all faults", long: true, opts: patient, more: []testkit.Option{
			testkit.Crashes(1), testkit.LostReplies(1), testkit.Duplicates(1), testkit.Failures(1), testkit.MaxStates(20_000_000), completed, late,
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.long && os.Getenv("RONDO_LONG") == "" {
				t.Skip("takes long: set RONDO_LONG=1")
			}
			model := explored(t, row.world, row.opts...)
			if row.free {
				start := named{Name: "book", Data: []byte(`{"Free":true}`)}
				model.Inputs[0][0] = submit{Input: input{Kind: startInput, Action: &start}}
				model.Inputs = append(model.Inputs, // attempts that take too long, if they are being made
					[]event{overdue{attempt{"1/0", 1}}}, []event{overdue{attempt{"1/0/undo", 1}}, overdue{attempt{"1/0/undo", 2}}})
			}
			stats := testkit.Explore(t, model, append(append(promises(), testkit.Failures(0)), row.more...)...)
			require.True(t, stats.Complete)
		})
	}
}
