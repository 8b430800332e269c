package saga

import (
	"encoding/json"
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

// A parent with a child saga is explored as two machines of one process, with a
// home that has an inbox: every order, with crashes, lost replies, duplicates and
// failures at every step.

type family struct {
	Parent, Child machine
}

type familyEvent interface{ isFamilyEvent() }

type (
	atParent struct{ Event event }
	atChild  struct{ Event event }
	// looks has the inbox looked into, looked is what was in it.
	looks  struct{}
	looked struct {
		Messages []Message
		Err      error
	}
)

func (atParent) isFamilyEvent() {}
func (atChild) isFamilyEvent()  {}
func (looks) isFamilyEvent()    {}
func (looked) isFamilyEvent()   {}

// lookInto reads the inbox.
type lookInto struct{}

func (lookInto) Returns([]Message) {}

var famFx effect.Of[familyEvent]

// familyReducer is what the runner does around its machines: it looks into the
// inbox when something was posted, and takes what it finds to its saga.
func familyReducer(h *host) reducer.Reducer[family, familyEvent] {
	members := reducer.Combine(
		reducer.Scope("parent", func(f *family) *machine { return &f.Parent },
			func(e familyEvent) (event, bool) { a, ok := e.(atParent); return a.Event, ok },
			func(e event) familyEvent { return atParent{e} }, reducer.Reducer[machine, event](h)),
		reducer.Scope("child", func(f *family) *machine { return &f.Child },
			func(e familyEvent) (event, bool) { a, ok := e.(atChild); return a.Event, ok },
			func(e event) familyEvent { return atChild{e} }, reducer.Reducer[machine, event](h)),
	)
	look := effect.Do(lookInto{}, func(r effect.Result[[]Message]) familyEvent { return looked{r.Value, r.Err} }, effect.Key("look", effect.Latest))
	return reducer.Func[family, familyEvent](func(f *family, e familyEvent, env reducer.Env) effect.Effect[familyEvent] {
		switch e := e.(type) {
		case looks:
			return look
		case looked:
			if e.Err != nil {
				return famFx.After("look", time.Second, looks{})
			}
			var all []effect.Effect[familyEvent]
			for _, m := range e.Messages {
				var in input
				if err := json.Unmarshal(m.Body, &in); err != nil {
					panic(err)
				}
				in.position = m.Position
				if m.To == f.Parent.ID {
					all = append(all, famFx.Send(atParent{deliver{Epoch: f.Parent.Epoch, Input: in}}))
				} else {
					all = append(all, famFx.Send(atChild{deliver{Epoch: f.Child.Epoch, Input: in}}))
				}
			}
			return famFx.All(all...)
		}
		posts := f.posting()
		out := members.Reduce(f, e, env)
		// A commit may have posted; after a load it is known what a process before
		// this one has, since nothing of it is committed any more.
		if posts && !f.posting() || isLoaded(e) {
			return famFx.All(out, look)
		}
		return out
	})
}

func isLoaded(e familyEvent) bool {
	var of event
	switch e := e.(type) {
	case atParent:
		of = e.Event
	case atChild:
		of = e.Event
	}
	_, ok := of.(loadedHead)
	return ok
}

func (f *family) posting() bool {
	for _, m := range []*machine{&f.Parent, &f.Child} {
		if m.Next != nil && len(m.Next.Change.Posts) > 0 {
			return true
		}
	}
	return false
}

// familyWorld is the home, and what the child does.
type familyWorld struct {
	Parent, Child   Record
	Epoch, Position int64
	Inbox           []Message
	Decided         []string
	Starts          int // of the child
	Room            exploredChild
	Refused         []string
}

func (w *familyWorld) record(id ID) *Record {
	if id.Type == "parent" {
		return &w.Parent
	}
	return &w.Child
}

func (w *familyWorld) kind(id ID) *kind {
	if id.Type == "parent" {
		return bearer.kind
	}
	return kid.kind
}

func (w *familyWorld) load(q load) (found, error) {
	w.Epoch = max(w.Epoch, q.Epoch)
	r := w.record(q.ID)
	var waiting []Message
	if r.Status == Running || r.Status == Compensating {
		for _, m := range w.Inbox {
			if m.To == q.ID {
				waiting = append(waiting, m)
			}
		}
	}
	return found{*r, r.Sequence > 0, waiting}, nil
}

func (w *familyWorld) commit(q commit) (Verdict, error) {
	c := q.Change
	r := w.record(c.Record.ID)
	switch {
	case c.Epoch < w.Epoch:
		return Fenced, nil
	case c.Record.Sequence != r.Sequence+1:
		return Conflict, nil
	}
	mustReplay(w.kind(c.Record.ID), r, c)
	*r = c.Record
	var t told
	if err := json.Unmarshal(c.Entry.Data, &t); err != nil {
		return 0, err
	}
	switch kind := c.Entry.Kind; {
	case kind == "start" && r.ID.Type == "child":
		w.Starts++
	case kind != "attempt" && kind != stuckKind:
		w.Decided = append(w.Decided, r.ID.Type+" "+kind+" "+t.Input.Message+t.Input.Effect+t.Input.Key)
	}
	_ = w.discard(discard{c.Consumed})
	for _, m := range c.Posts {
		if slices.ContainsFunc(w.Inbox, func(o Message) bool { return o.To == m.To && o.ID == m.ID }) {
			continue
		}
		w.Position++
		m.Position = w.Position
		w.Inbox = append(w.Inbox, m)
	}
	return Committed, nil
}

func (w *familyWorld) discard(q discard) error {
	w.Inbox = slices.DeleteFunc(w.Inbox, func(m Message) bool { return slices.Contains(q.Positions, m.Position) })
	return nil
}

func (w *familyWorld) discarded(q discard) (struct{}, error) { return struct{}{}, w.discard(q) }

func (w *familyWorld) refuse(q refuse) (struct{}, error) {
	w.Refused = append(w.Refused, q.Message+": "+q.Reason.Error())
	return struct{}{}, nil
}

func (w *familyWorld) look(lookInto) ([]Message, error) { return slices.Clone(w.Inbox), nil }

func (w *familyWorld) perform(q perform) (result, error) {
	var err error
	switch q.Request {
	case "hold":
		err = w.Room.do(q.Attempt.Effect)
	case "release":
		err = w.Room.undo(q.Attempt.Effect)
	}
	if err != nil {
		return result{}, err
	}
	return result{Value: []byte("1")}, nil
}

// kidReducer holds seats, and that is all.
func kidReducer(s *booking, a bookingAction, _ reducer.Env) effect.Effect[bookingAction] {
	switch a := a.(type) {
	case bookIt:
		return bfx.Do(holdIt{2}, Undo(releaseIt{2}))
	case heldSeats:
		if a.Err != "" {
			return bfx.Compensate("no seats: " + a.Err)
		}
		s.Held = true
		return bfx.Complete()
	}
	return bfx.None()
}

var kid = Define("child", reducer.Func[booking, bookingAction](kidReducer), bookingTypes(Retry(RetryPolicy{Attempts: 2, Delay: time.Second, Jitter: -1})))

type (
	parentState  struct{ Done bool }
	parentAction interface{ parent() }
	bear         struct{ Deadline bool }
	grown        struct{ Err string }
	late1        struct{}
)

func (bear) parent()  {}
func (grown) parent() {}
func (late1) parent() {}

var parfx Of[parentAction]

func parentReducer(s *parentState, a parentAction, _ reducer.Env) effect.Effect[parentAction] {
	switch a := a.(type) {
	case bear:
		if !a.Deadline {
			return parfx.Do(kid.Child(bookIt{}))
		}
		return parfx.All(parfx.Do(kid.Child(bookIt{})), parfx.After("deadline", time.Minute, late1{}))
	case grown:
		if a.Err != "" {
			return parfx.Compensate(a.Err)
		}
		s.Done = true
		return parfx.Complete()
	case late1:
		return parfx.Compensate("too late")
	}
	return parfx.None()
}

var bearer = Define("parent", reducer.Func[parentState, parentAction](parentReducer), Types{
	Actions: []ActionType{Action[bear]("bear"), Action[grown]("grown"), Action[late1]("late")},
	Requests: []RequestType{OnChild("kid", kid, func(_ bookingAction, r Reply[booking]) parentAction {
		return grown{problem(r.Err)}
	})},
})

func exploredFamily(t *testing.T, w familyWorld, cancels bool, begin bear) testkit.Model[family, familyEvent, familyWorld] {
	t.Helper()
	require.NoError(t, bearer.kind.problem)
	h := &host{resident: time.Hour, deciders: map[string]*decider{
		"parent": {kind: bearer.kind, maxSize: 1 << 20, stuckAfter: 3},
		"child":  {kind: kid.kind, maxSize: 1 << 20, stuckAfter: 3},
	}}
	id := ID{Type: "parent", Key: "p"}
	data, err := json.Marshal(begin)
	require.NoError(t, err)
	start := named{Name: "bear", Data: data}
	m := testkit.Model[family, familyEvent, familyWorld]{
		State:   family{machine{ID: id, Epoch: 1}, machine{ID: childOf(id, "1/0", "child"), Epoch: 1}},
		World:   w,
		Reducer: familyReducer(h),
		Inputs:  [][]familyEvent{{atParent{submit{Epoch: 1, Input: input{Kind: startInput, Action: &start}}}}},
		Answers: []testkit.Answer{
			testkit.On((*familyWorld).load, testkit.ReadOnly()),
			testkit.On((*familyWorld).look, testkit.ReadOnly()),
			testkit.On((*familyWorld).commit),
			testkit.On((*familyWorld).discarded),
			testkit.On((*familyWorld).refuse),
			testkit.On((*familyWorld).perform, testkit.Fails(errDown)),
		},
		Recover: func(crashed *family) (family, []familyEvent) {
			epoch := crashed.Parent.Epoch + 1
			return family{machine{ID: crashed.Parent.ID, Epoch: epoch}, machine{ID: crashed.Child.ID, Epoch: epoch}},
				[]familyEvent{atParent{wake{Epoch: epoch}}, atChild{wake{Epoch: epoch}}}
		},
	}
	if cancels {
		m.Inputs = append(m.Inputs, []familyEvent{atParent{submit{Epoch: 1, Input: input{Kind: cancelInput, Message: "c1", Reason: "changed my mind"}}}})
	}
	return m
}

func familyPromises() []testkit.Option {
	ended := func(s Status) bool { return s.Ended() || s == Stuck || s == "" }
	return []testkit.Option{
		testkit.Always("each input is decided on once", func(_ *family, w *familyWorld) bool {
			seen := slices.Clone(w.Decided)
			slices.Sort(seen)
			return len(slices.Compact(seen)) == len(w.Decided)
		}),
		testkit.Always("the child is started once", func(_ *family, w *familyWorld) bool { return w.Starts <= 1 }),
		testkit.Always("its effects have one key", func(_ *family, w *familyWorld) bool { return w.Room.Other == "" }),
		testkit.Always("a completed parent has a completed child", func(_ *family, w *familyWorld) bool {
			return w.Parent.Status != Completed || w.Child.Status == Completed && w.Room.has()
		}),
		testkit.Always("a compensated parent has nothing", func(_ *family, w *familyWorld) bool {
			return w.Parent.Status != Compensated || !w.Room.has() && (w.Child.Status == Compensated || w.Child.Status == "")
		}),
		testkit.Finally("both end", func(_ *family, w *familyWorld) bool { return ended(w.Parent.Status) && ended(w.Child.Status) }),
		testkit.Finally("nothing is refused", func(_ *family, w *familyWorld) bool {
			return !slices.ContainsFunc(w.Refused, func(r string) bool { return strings.Contains(r, reserved) })
		}),
	}
}

func TestExploreChild(t *testing.T) {
	t.Parallel()
	completed := testkit.Sometimes("completed", func(_ *family, w *familyWorld) bool { return w.Parent.Status == Completed })
	reopened := testkit.Sometimes("a completed child is cancelled", func(_ *family, w *familyWorld) bool {
		return w.Child.Status == Compensating && strings.Contains(string(w.Child.Work), `"told":"completed"`)
	})
	noneWaits := testkit.Finally("no message waits", func(_ *family, w *familyWorld) bool {
		return w.Parent.Status == Stuck || w.Child.Status == Stuck || len(w.Inbox) == 0
	})
	lost := testkit.Tolerate(testkit.ErrLost) // a discard: it is made again when the inbox is looked into again
	for _, row := range []struct {
		name    string
		world   familyWorld
		begin   bear
		cancels bool
		long    bool
		more    []testkit.Option
	}{
		{name: "nothing", more: []testkit.Option{completed, noneWaits}},
		{name: "cancelled", cancels: true, more: []testkit.Option{completed, reopened, noneWaits}},
		{name: "deadline", begin: bear{true}, more: []testkit.Option{completed, noneWaits}},
		{name: "a crash", more: []testkit.Option{completed, noneWaits, testkit.Crashes(1)}},
		{name: "a lost reply", more: []testkit.Option{completed, lost, testkit.LostReplies(1)}},
		{name: "a duplicate", more: []testkit.Option{completed, noneWaits, testkit.Duplicates(1)}},
		{name: "failures", more: []testkit.Option{completed, noneWaits, testkit.Failures(2)}},
		{name: "cancelled and a crash", long: true, cancels: true, more: []testkit.Option{completed, reopened, noneWaits, testkit.Crashes(1)}},
		{name: "cancelled and a lost reply", long: true, cancels: true, more: []testkit.Option{completed, reopened, lost, testkit.LostReplies(1)}},
		{name: "cancelled and a duplicate", long: true, cancels: true, more: []testkit.Option{completed, reopened, noneWaits, testkit.Duplicates(1)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.long && os.Getenv("RONDO_LONG") == "" {
				t.Skip("takes long: set RONDO_LONG=1")
			}
			stats := testkit.Explore(t, exploredFamily(t, row.world, row.cancels, row.begin), append(append(familyPromises(), testkit.Failures(0)), row.more...)...)
			require.True(t, stats.Complete)
		})
	}
}
