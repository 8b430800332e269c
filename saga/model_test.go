package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// The model test has a reducer that returns whatever it is told to, drives the
// decider with random inputs, and holds each head to a plain account of what is
// pending, to be undone and timed.

// instr is one thing to return.
type instr struct {
	Op   string // do, undoable, after, cancel, compensate, pivot, complete
	Key  string
	Wait int     // minutes
	Then []instr // what the result of a do returns
}

type (
	program struct{ Do []instr }
	work1   struct{ Then []instr } // a request
	unwork  struct{}
)

func (work1) Returns(int)       {}
func (unwork) Returns(struct{}) {}

var pfx Of[program]

func modelReducer(_ *struct{}, p program, _ reducer.Env) effect.Effect[program] {
	var all []effect.Effect[program]
	for _, i := range p.Do {
		switch i.Op {
		case "do":
			all = append(all, pfx.Do(work1{i.Then}, Key(i.Key)))
		case "undoable":
			all = append(all, pfx.Do(work1{i.Then}, Key(i.Key), Undo(unwork{})))
		case "after":
			all = append(all, pfx.After(i.Key, time.Duration(i.Wait)*time.Minute, program{i.Then}))
		case "cancel":
			all = append(all, pfx.Cancel(i.Key))
		case "compensate":
			all = append(all, pfx.Compensate("told to"))
		case "pivot":
			all = append(all, pfx.Pivot())
		case "complete":
			all = append(all, pfx.Complete())
		}
	}
	return pfx.All(all...)
}

var modelTypes = Types{
	Actions: []ActionType{Action[program]("program")},
	Requests: []RequestType{
		On("work", func(q work1, r Reply[int]) program {
			if r.Late || r.Err != nil {
				return program{}
			}
			return program{q.Then}
		}, Retry(RetryPolicy{Attempts: 2}), Late()),
		Request[unwork]("unwork"),
	},
}

var modelSaga = Define("model", reducer.Func[struct{}, program](modelReducer), modelTypes)

// account is what should be in a head.
type account struct {
	status         Status
	pivoted, ended bool // ended: Complete was said
	seq            int64
	pending, given []account1
	undo           []string
	timers         []account1
}

type account1 struct {
	id, key  string
	at       time.Time
	attempts int
	then     []instr
}

func (a *account) find(list []account1, id string) int {
	return slices.IndexFunc(list, func(x account1) bool { return x.id == id })
}

// run is what a reducer's effects do; it tells whether they make sense.
func (a *account) run(now time.Time, do []instr) bool {
	index := 0
	next := func() string { index++; return fmt.Sprintf("%d/%d", a.seq, index-1) }
	give := func(which func(account1) bool) {
		a.pending = slices.DeleteFunc(a.pending, func(p account1) bool {
			if which(p) {
				a.given = append(a.given, p)
				return true
			}
			return false
		})
	}
	for _, i := range do {
		switch i.Op {
		case "do", "undoable":
			p := account1{id: next(), key: i.Key, then: i.Then}
			a.pending = append(a.pending, p)
			if i.Op == "undoable" {
				a.undo = append(a.undo, p.id)
			}
		case "after":
			key := i.Key
			if key == "" {
				key = "#" + next()
			}
			a.timers = slices.DeleteFunc(a.timers, func(t account1) bool { return t.key == key })
			a.timers = append(a.timers, account1{key: key, at: now.Add(time.Duration(i.Wait) * time.Minute), then: i.Then})
		case "cancel":
			if i.Key == "" {
				return false
			}
			a.timers = slices.DeleteFunc(a.timers, func(t account1) bool { return t.key == i.Key })
			give(func(p account1) bool { return p.key == i.Key })
		case "compensate":
			if a.status == Compensating {
				continue
			}
			if a.pivoted || a.ended {
				return false
			}
			a.compensate(give)
		case "pivot":
			a.pivoted = a.pivoted || a.status == Running
		case "complete":
			a.ended = a.ended || a.status == Running
		}
	}
	return true
}

func (a *account) compensate(give func(func(account1) bool)) {
	a.status, a.timers = Compensating, nil
	give(func(account1) bool { return true })
}

// settle ends what has come to its end.
func (a *account) settle() {
	switch {
	case a.status == Running && a.ended:
		a.timers, a.undo = nil, nil
		if len(a.pending) == 0 {
			a.status = Completed
		}
	case a.status == Compensating && len(a.undo)+len(a.pending) == 0:
		a.status = Compensated
	}
	if a.status.Ended() {
		a.timers = nil
	}
}

func (a *account) clone() account {
	c := *a
	c.pending, c.given, c.undo, c.timers = slices.Clone(a.pending), slices.Clone(a.given), slices.Clone(a.undo), slices.Clone(a.timers)
	return c
}

func genInstr(depth int) *rapid.Generator[instr] {
	return rapid.Custom(func(t *rapid.T) instr {
		ops := []string{"do", "undoable", "undoable", "after", "cancel", "compensate", "pivot", "complete", "do"}
		i := instr{
			Op: rapid.SampledFrom(ops).Draw(t, "op"), Key: rapid.SampledFrom([]string{"", "k", "l"}).Draw(t, "key"),
			Wait: rapid.IntRange(0, 3).Draw(t, "wait"),
		}
		if i.Op == "cancel" && i.Key == "" && rapid.IntRange(0, 9).Draw(t, "odd") > 0 {
			i.Key = "k"
		}
		if depth > 0 {
			i.Then = rapid.SliceOfN(genInstr(depth-1), 0, 2).Draw(t, "then")
		}
		return i
	})
}

// driver drives a decider and its account side by side.
type driver struct {
	t       *rapid.T
	decider *decider
	head    *head
	want    account
	now     time.Time
	message int
}

// decide makes a decision, and checks that it changes nothing that was there.
func (d *driver) decide(in input) decision {
	before, err := json.Marshal(&d.head.Work)
	require.NoError(d.t, err)
	state := string(d.head.Record.State)
	made := d.decider.decide(d.head, &in, d.now)
	after, err := json.Marshal(&d.head.Work)
	require.NoError(d.t, err)
	require.Equal(d.t, string(before), string(after), "the head was changed")
	require.Equal(d.t, state, string(d.head.Record.State))
	return made
}

// expect makes a decision that must be committed, as the account says after f;
// if f says that it makes no sense, the saga must be stuck as it was.
func (d *driver) expect(in input, f func(a *account) bool) {
	next := d.want.clone()
	next.seq++
	made := d.decide(in)
	require.True(d.t, made.commit, "%+v", in)
	require.Equal(d.t, next.seq, made.next.Record.Sequence)
	require.Equal(d.t, next.seq, made.entry.Sequence)
	mustReplay(modelSaga.kind, &d.head.Record, made.change(0))
	if !f(&next) {
		if d.want.status.Ended() {
			require.Equal(d.t, d.want.status, made.next.Record.Status)
			require.Equal(d.t, "refused", made.entry.Kind)
			d.t.Skip("a saga that has ended refuses what makes no sense")
		}
		require.Equal(d.t, Stuck, made.next.Record.Status)
		require.Equal(d.t, d.want.status, made.next.Work.Was)
		require.NotNil(d.t, made.next.Work.Parked)
		d.t.Skip("stuck") // what follows is an operator's
	}
	next.settle()
	d.want = next
	h, err := loaded(made.next.Record) // as another process finds it
	require.NoError(d.t, err)
	d.head = h
}

func (d *driver) check() {
	r, w := &d.head.Record, &d.head.Work
	require.Equal(d.t, d.want.status, r.Status)
	ids := func(calls []call) []string {
		all := []string{}
		for _, c := range calls {
			all = append(all, c.ID)
		}
		return all
	}
	names := func(list []account1) []string {
		all := []string{}
		for _, x := range list {
			all = append(all, x.id)
		}
		return all
	}
	require.Equal(d.t, names(d.want.pending), ids(w.Pending), "pending")
	require.Equal(d.t, names(d.want.given), ids(w.Given), "given up")
	require.Equal(d.t, append([]string{}, d.want.undo...), ids(w.Undo), "undo")
	require.Len(d.t, w.Timers, len(d.want.timers), "timers")
	due := time.Time{}
	for i, tm := range w.Timers {
		require.Equal(d.t, d.want.timers[i].key, tm.Key)
		require.True(d.t, d.want.timers[i].at.Equal(tm.At), "timer %s", tm.Key)
	}
	ready := false
	if d.head.works() {
		for _, tm := range d.want.timers {
			if due.IsZero() || tm.at.Before(due) {
				due = tm.at
			}
		}
		ready = ready || r.Status == Compensating && len(d.want.undo) > 0
		for i, p := range w.Pending {
			require.Equal(d.t, d.want.pending[i].attempts, p.Attempts)
			switch waits := p.Next.After(r.Updated); {
			case !waits:
				ready = true
			case due.IsZero() || p.Next.Before(due):
				due = p.Next
			}
		}
	}
	require.Equal(d.t, ready, r.Ready, "ready")
	require.True(d.t, due.Equal(r.Due), "due: want %v, got %v", due, r.Due)
}

func TestModel(t *testing.T) {
	t.Parallel()
	require.NoError(t, modelSaga.kind.problem)
	rapid.Check(t, func(rt *rapid.T) {
		d := &driver{
			t: rt, decider: &decider{kind: modelSaga.kind, maxSize: 1 << 20, stuckAfter: 1000},
			head: &head{Record: Record{ID: modelSaga.ID("m")}}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		programs := rapid.SliceOfN(genInstr(2), 0, 4)
		first := programs.Draw(rt, "first")
		d.want.status = Running
		d.expect(input{Kind: startInput, Action: d.action(first)}, func(a *account) bool { return a.run(d.now, first) })
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { d.check() },
			"signal": func(rt *rapid.T) {
				do := programs.Draw(rt, "program")
				d.message++
				in := input{Kind: signalInput, Message: fmt.Sprint(d.message), Action: d.action(do)}
				if d.want.status.Ended() {
					require.ErrorIs(rt, d.decide(in).answer, ErrEnded)
					return
				}
				d.expect(in, func(a *account) bool { return a.run(d.now, do) })
				again := d.decide(in)
				require.False(rt, again.commit, "a message that was seen")
				require.NoError(rt, again.answer)
			},
			"success": func(rt *rapid.T) {
				p := d.pick(rt, d.want.pending)
				d.expect(input{Kind: replyInput, Effect: p.id, Value: []byte("1"), Stale: rapid.Bool().Draw(rt, "stale")}, func(a *account) bool {
					a.pending = slices.DeleteFunc(a.pending, func(x account1) bool { return x.id == p.id })
					return a.run(d.now, p.then)
				})
				require.False(rt, d.decide(input{Kind: replyInput, Effect: p.id, Value: []byte("1")}).commit, "its duplicate")
			},
			"rejection": func(rt *rapid.T) {
				p := d.pick(rt, d.want.pending)
				d.expect(d.failure(p.id, Rejected(errors.New("no"))), func(a *account) bool {
					a.pending = slices.DeleteFunc(a.pending, func(x account1) bool { return x.id == p.id })
					a.undo = slices.DeleteFunc(a.undo, func(x string) bool { return x == p.id })
					return true
				})
			},
			"failure": func(rt *rapid.T) {
				p := d.pick(rt, d.want.pending)
				stale := d.failure(p.id, errors.New("down"))
				stale.Stale = true
				require.False(rt, d.decide(stale).commit, "an attempt that was given up")
				d.expect(d.failure(p.id, errors.New("down")), func(a *account) bool {
					i := a.find(a.pending, p.id)
					if a.pending[i].attempts++; a.pending[i].attempts >= 2 && !a.pivoted {
						a.given = append(a.given, a.pending[i])
						a.pending = slices.Delete(a.pending, i, i+1)
					}
					return true
				})
			},
			"late": func(rt *rapid.T) {
				p := d.pick(rt, d.want.given)
				require.False(rt, d.decide(d.failure(p.id, errors.New("down"))).commit, "it tells nothing")
				rejected := rapid.Bool().Draw(rt, "rejected")
				in := input{Kind: replyInput, Effect: p.id, Value: []byte("1")}
				if rejected {
					in = d.failure(p.id, Rejected(errors.New("no")))
				}
				d.expect(in, func(a *account) bool {
					a.given = slices.DeleteFunc(a.given, func(x account1) bool { return x.id == p.id })
					if rejected {
						a.undo = slices.DeleteFunc(a.undo, func(x string) bool { return x == p.id })
					}
					return true
				})
			},
			"timer": func(rt *rapid.T) {
				tm := d.pick(rt, d.want.timers)
				in := input{Kind: timerInput, Key: tm.key, At: tm.at, Action: d.action(tm.then)}
				d.now = maxTime(d.now, tm.at)
				d.expect(in, func(a *account) bool {
					a.timers = slices.DeleteFunc(a.timers, func(x account1) bool { return x.key == tm.key })
					return a.run(d.now, tm.then)
				})
			},
			"undone": func(rt *rapid.T) {
				if d.want.status != Compensating || len(d.want.undo) == 0 {
					rt.Skip()
				}
				top := d.want.undo[len(d.want.undo)-1]
				d.expect(input{Kind: replyInput, Effect: top + undoSuffix, Value: []byte("{}")}, func(a *account) bool {
					a.undo = a.undo[:len(a.undo)-1]
					return true
				})
			},
			"cancel": func(rt *rapid.T) {
				d.message++
				in := input{Kind: cancelInput, Message: fmt.Sprint(d.message)}
				switch {
				case d.want.status == Compensating || d.want.status == Compensated:
					require.NoError(rt, d.decide(in).answer)
				case d.want.status.Ended():
					require.ErrorIs(rt, d.decide(in).answer, ErrEnded)
				case d.want.pivoted || d.want.ended:
					require.ErrorIs(rt, d.decide(in).answer, ErrPivoted)
				default:
					d.expect(in, func(a *account) bool {
						return a.run(d.now, []instr{{Op: "compensate"}})
					})
				}
			},
			"never issued": func(rt *rapid.T) {
				require.ErrorIs(rt, d.decide(input{Kind: replyInput, Effect: "99/7", Value: []byte("1")}).answer, ErrNotPending)
			},
			"wait": func(rt *rapid.T) {
				d.now = d.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "seconds")) * time.Second)
			},
		})
	})
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (d *driver) action(do []instr) *named {
	n, err := modelSaga.kind.encodeAction(program{do})
	require.NoError(d.t, err)
	return n
}

func (d *driver) failure(id string, err error) input {
	return input{Kind: replyInput, Effect: id, Failure: modelSaga.kind.failure(err)}
}

func (d *driver) pick(rt *rapid.T, from []account1) account1 {
	if len(from) == 0 {
		rt.Skip()
	}
	return rapid.SampledFrom(from).Draw(rt, "which")
}
