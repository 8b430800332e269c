package saga

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// A saga in memory is a store of a keyed store: a machine, which holds the head
// as it was committed and the inputs that wait, reduced by a host. It is an
// ordinary pure reducer. All it wants of the world are requests: load a head,
// commit one, perform a call. So the testkit explores it.

// machine is the state of one saga in memory. But for the head, which is also in
// the store, it is volatile.
type machine struct {
	ID ID
	// Epoch is that of the lease under which the saga is worked on.
	Epoch int64
	Phase phase
	// Head is the last that was committed; nil if that is not known.
	Head *head
	// Queue are the inputs that wait.
	Queue []*input
	// Next is what is being committed, nil if nothing is.
	Next *proposal
	// Running are the calls at work.
	Running []attempt
	// Tries counts the loads and commits in a row that came to nothing.
	Tries int
	// Separate is the sequence up to which each decision is committed by itself.
	Separate int64
	// Holds counts the senders that have waited.
	Holds uint64
	// Stale is that somebody else has changed the head since what is on its way was
	// asked for: it may tell of the one before.
	Stale bool
	// Leaving is that nothing new begins.
	Leaving bool
	// Armed is what the timer waits for, zero if none runs.
	Armed time.Time
}

// attempt is a call at work: that of an effect, or with /undo behind its id of its
// undo.
type attempt struct {
	Effect string
	N      int // from 1
}

type phase uint8

const (
	absent  phase = iota // nothing is known
	loading              // the head is being loaded
	live                 // Head is known
)

// proposal is a decision on its way to the store.
type proposal struct {
	Input  *input
	Head   *head
	Change *Change
	Answer error
	// Chained is that a chain is at work on it.
	Chained bool
}

// event is what a machine reduces.
type event interface{ isEvent() }

type (
	// submit is an input whose sender waits for an answered.
	submit struct {
		Epoch int64
		Input input
	}
	// deliver is an input out of the inbox.
	deliver struct {
		Epoch int64
		Input input
	}
	// wake has the machine see what is to be done; with Reload somebody else
	// has changed the head.
	wake struct {
		Epoch  int64
		Reload bool
	}
	// leave has it give up the saga: it is another's.
	leave struct{ Now bool }

	loadedHead struct {
		Record Record
		Found  bool
		Inbox  []Message
		Err    error
	}
	committedHead struct {
		Verdict Verdict
		Err     error
	}
	performed struct {
		Attempt attempt
		Result  result
	}
	// overdue is that an attempt takes too long, and does not even end with its
	// context.
	overdue struct{ Attempt attempt }
	// due is that the time has come for something.
	due struct{}
	// again is that a load or commit is to be tried again.
	again struct{}
	// answered tells a sender what became of its input.
	answered struct{ Err error }
)

func (submit) isEvent()        {}
func (deliver) isEvent()       {}
func (wake) isEvent()          {}
func (leave) isEvent()         {}
func (loadedHead) isEvent()    {}
func (committedHead) isEvent() {}
func (performed) isEvent()     {}
func (overdue) isEvent()       {}
func (due) isEvent()           {}
func (again) isEvent()         {}
func (answered) isEvent()      {}

// The requests of a machine.
type (
	load struct {
		ID    ID
		Epoch int64
	}
	commit struct {
		Change *Change
		// Alone is that it has failed before, and is not to fail others.
		Alone bool
	}
	perform struct {
		ID      ID
		Attempt attempt
		Request string
		Data    []byte
		Timeout time.Duration
		Meta    *meta
	}
	// discard has the inbox forget messages that change nothing.
	discard struct{ Positions []int64 }
	// refuse reports a message that is not taken.
	refuse struct {
		ID      ID
		Message string
		Reason  error
	}
)

// result is what a call came to.
type result struct {
	// request is what Data was decoded to, nil if that is not known.
	request any
	Value   []byte
	Failure *EffectError
	Later   bool
}

// found is what load returns.
type found struct {
	Record Record
	Found  bool
	// Inbox is what waits for the saga, if it takes messages.
	Inbox []Message
}

func (load) Returns(found)       {}
func (commit) Returns(Verdict)   {}
func (perform) Returns(result)   {}
func (discard) Returns(struct{}) {}
func (refuse) Returns(struct{})  {}

// errMoved answers what came to a saga that is another worker's, or that others have
// gone on with, so that it is not known whether it was decided on.
var errMoved = errors.New("saga has moved to another worker")

// The keys of a machine's effects.
type (
	holdKey  uint64
	plainKey string
)

const (
	performKey plainKey = "perform"
	storeKey   plainKey = "store"
	dueKey     plainKey = "due"
	againKey   plainKey = "again"
)

// host reduces machines.
type host struct {
	deciders map[string]*decider
	// resident is how long a machine stays in memory for what is due. What is due
	// later is for the runner to find, as long as Record.Due is still to come.
	resident time.Duration
}

var hx effect.Of[event]

// turn is one step of a machine.
type turn struct {
	*host
	*machine
	decider *decider
	env     reducer.Env
	out     effect.Effect[event]
}

// Reduce implements reducer.Reducer.
func (h *host) Reduce(m *machine, e event, env reducer.Env) effect.Effect[event] {
	t := turn{host: h, machine: m, decider: h.deciders[m.ID.Type], env: env}
	switch e := e.(type) {
	case answered:
		return hx.None() // it was for who asked
	case submit:
		t.enter(e.Epoch)
		m.Holds++
		e.Input.hold = m.Holds
		m.Queue = append(m.Queue, &e.Input)
		t.do(hx.Hold(holdKey(m.Holds)))
	case deliver:
		t.enter(e.Epoch)
		if !m.has(e.Input.position) {
			m.Queue = append(m.Queue, &e.Input)
		}
	case wake:
		t.enter(e.Epoch)
		m.Leaving = false
		switch {
		case m.Phase == absent || m.Phase == live && e.Reload && m.Next == nil:
			t.load()
		case e.Reload:
			m.Stale = true
		}
	case leave:
		m.Leaving = true
		if e.Now {
			t.drop()
		}
	case loadedHead:
		t.loaded(e)
	case committedHead:
		t.committed(e)
	case chainedHead:
		t.chained(e)
	case performed:
		t.performed(e)
	case overdue:
		switch {
		case t.ended(e.Attempt):
			m.Queue = append(m.Queue, &input{Kind: replyInput, Effect: e.Attempt.Effect, Failure: t.decider.kind.failure(effect.ErrTimeout)})
		case m.Next != nil && m.Next.Chained:
			t.interrupt()
		}
	case due:
		m.Armed = time.Time{}
	case again:
		if m.Phase == loading || m.Next != nil {
			t.load()
		}
	}
	if m.Next != nil && m.Next.Chained && len(m.Queue) > 0 {
		t.interrupt()
	}
	t.advance()
	return t.out
}

// enter begins anew under a newer lease. What has come late, from before it, is
// taken as if it came now.
func (t *turn) enter(epoch int64) {
	if epoch <= t.Epoch {
		return
	}
	if t.Phase != absent {
		t.drop()
	}
	t.Epoch = epoch
}

func (t *turn) do(e effect.Effect[event]) { t.out = hx.All(t.out, e) } // most turns do one or two

// settled is the record, if there is one and it is not about to end. While a commit
// is on its way that ends the saga, those who waited may have been told of the end
// already, and the machine not: who comes then has to ask the store.
func (m *machine) settled() (r Record, ok bool) {
	if m.Phase != live || m.Next != nil && m.Next.Head.Record.Status.Ended() {
		return r, false
	}
	return m.Head.Record, m.Head.Record.Sequence > 0
}

// has tells whether a message is in hand.
func (m *machine) has(position int64) bool {
	return m.Next != nil && m.Next.Input.position == position ||
		slices.ContainsFunc(m.Queue, func(in *input) bool { return in.position == position })
}

// advance makes the decisions that can be made, until one is to be committed.
func (t *turn) advance() {
	for t.Next == nil && t.Phase != loading && !t.left() {
		if t.Phase == absent {
			if len(t.Queue) == 0 {
				return
			}
			if t.Queue[0].Kind != startInput {
				t.load()
				return
			}
			// Most starts are the first: the commit finds out.
			t.Head, t.Phase = &head{Record: Record{ID: t.ID}}, live
		}
		in, ok := t.take()
		if !ok {
			break
		}
		t.decide(in)
	}
	if t.Phase == live && t.Next == nil {
		t.rest()
	}
}

// left sees to a saga that is to be given up, once nothing of it is at work.
func (t *turn) left() bool {
	if t.Leaving && len(t.Running) == 0 && !slices.ContainsFunc(t.Queue, func(in *input) bool { return in.Kind == replyInput }) {
		t.drop()
		return true
	}
	return false
}

// take finds the next input.
func (t *turn) take() (*input, bool) {
	w := &t.Head.Work
	if kept := w.kept(); kept != nil && t.Head.works() && !t.Leaving {
		in := *kept
		in.parked = true
		return &in, true
	}
	if len(t.Queue) > 0 {
		in := t.Queue[0]
		t.Queue[0] = nil
		if t.Queue = t.Queue[1:]; len(t.Queue) == 0 {
			t.Queue = nil
		}
		return in, true
	}
	if t.Head.works() && !t.Leaving {
		now := t.env.Now()
		if in := t.Head.timedOut(now); in != nil {
			return in, true
		}
		first := -1
		for i := range w.Timers {
			if at := w.Timers[i].At; !at.After(now) && (first < 0 || at.Before(w.Timers[first].At)) {
				first = i
			}
		}
		if first >= 0 {
			tm := w.Timers[first]
			return &input{Kind: timerInput, Key: tm.Key, At: tm.At, Action: &tm.Action}, true
		}
	}
	return nil, false
}

func (t *turn) decide(in *input) {
	switch {
	case t.Leaving && (in.Kind != replyInput || t.Head.Work.kept() != nil):
		t.answer(in, errMoved)
		return
	case !t.Head.takes() && in.Kind != startInput:
		t.answer(in, errWaits) // what is in the inbox waits there
		return
	}
	d := t.decider.decide(t.Head, in, t.env.Now())
	if d.answer != nil && in.position > 0 && !isStuck(d.answer) && !errors.Is(d.answer, errExists) {
		t.do(effect.Fire[event](refuse{t.ID, in.Message, d.answer}))
	}
	if !d.commit {
		t.answer(in, d.answer)
		if in.position > 0 {
			t.do(effect.Fire[event](discard{[]int64{in.position}}))
		}
		return
	}
	c := d.change(t.Epoch)
	c.Record.Commit = commitID(c)
	if in.position > 0 {
		c.Consumed = []int64{in.position}
	}
	d.next.Record.Commit = c.Record.Commit
	t.Next = &proposal{Input: in, Head: d.next, Change: c, Answer: d.answer}
	t.commit()
}

// commitID tells one commit from every other. It is made of what is committed,
// and under which lease.
func commitID(c *Change) uuid.UUID {
	of := make([]byte, 0, 512) // on the stack, as long as it is enough
	of = append(of, c.Record.ID.Tenant...)
	of = append(append(of, 0), c.Record.ID.Type...)
	of = append(append(of, 0), c.Record.ID.Key...)
	for _, n := range [...]int64{c.Record.Sequence, c.Epoch, c.Record.Updated.UnixMicro()} {
		of = binary.BigEndian.AppendUint64(of, uint64(n)) //nolint:gosec // its bits
	}
	sum := sha256.Sum256(append(of, c.Entry.Data...))
	id := uuid.UUID(sum[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8, RFC 9562
	return id
}

func isStuck(err error) bool {
	var stuck *StuckError
	return errors.As(err, &stuck)
}

func (t *turn) answer(in *input, err error) {
	if in.hold > 0 {
		t.do(hx.Resume(holdKey(in.hold), answered{err}))
	}
}

func (t *turn) load() {
	t.Phase, t.Stale = loading, false
	t.do(effect.Do(load{t.ID, t.Epoch}, onLoaded, effect.Key(storeKey)))
}

func onLoaded(r effect.Result[found]) event {
	return loadedHead{r.Value.Record, r.Value.Found, r.Value.Inbox, r.Err}
}

func (t *turn) commit() {
	next := t.Next
	if chained := t.chains(); chained != next.Chained {
		t.amend(func(p *proposal) { p.Chained = chained })
	}
	if t.Next.Chained {
		t.do(effect.Do(chain{next.Change, next.Head}, onChained, effect.Key(storeKey)))
		return
	}
	t.do(effect.Do(commit{next.Change, t.Tries > 0}, onCommitted, effect.Key(storeKey)))
}

func onCommitted(r effect.Result[Verdict]) event { return committedHead{r.Value, r.Err} }

func onChained(r effect.Result[chained]) event { return chainedHead{r.Value, r.Err} }

// storePolicy is how a store that fails is asked again, without end.
var storePolicy = RetryPolicy{Delay: 50 * time.Millisecond, MaxDelay: 5 * time.Second}

// failed plans to ask the store again. A saga that is to be given up is.
func (t *turn) failed() {
	if t.Leaving {
		t.drop()
		return
	}
	t.Tries++
	t.do(hx.After(againKey, storePolicy.wait(t.ID.String(), t.Tries), again{}))
}

func (t *turn) loaded(e loadedHead) {
	if t.Phase != loading {
		return // it was given up
	}
	if e.Err != nil {
		t.failed()
		return
	}
	if next := t.Next; next != nil { // what became of a commit?
		t.Phase = live
		switch {
		case e.Found && e.Record.Commit == next.Change.Record.Commit && t.reaches(e.Record):
			t.Tries = 0
			t.adopted()
			return
		case e.Record.Sequence == next.Change.Record.Sequence-1:
			t.commit() // nothing has
			return
		}
		t.Next = nil // somebody else has decided: decide again, on what is there
		switch in := next.Input; {
		case in.parked || in.Kind == timerInput:
		case in.Kind == startInput && in.hold > 0 && (t.Tries > 0 || t.Separate > 0): // the saga may have begun with it
			t.answer(in, errMoved)
		default:
			t.Queue = slices.Insert(t.Queue, 0, in)
		}
	}
	t.Tries = 0
	if t.Stale {
		t.load()
		return
	}
	h := &head{Record: Record{ID: t.ID}}
	if e.Found {
		var err error
		if h, err = loaded(e.Record); err == nil && h.Record.Schema > t.decider.kind.schema {
			err = &SchemaError{Type: t.ID.Type, Schema: h.Record.Schema, Known: t.decider.kind.schema}
		}
		if err != nil { // it is left to who can read it
			t.do(effect.Fire[event](refuse{t.ID, "", err}))
			t.giveUp(err)
			return
		}
	}
	t.Head, t.Phase = h, live
	t.catchUp(e.Inbox)
	t.begin()
}

// catchUp takes what waits for the saga before what has come to this process. It is
// decided before anything is begun again: what was cancelled or resolved meanwhile
// is not to be done once more.
func (t *turn) catchUp(inbox []Message) {
	var waiting []*input
	for i := range inbox {
		in, err := inputOf(&inbox[i])
		if err != nil || inbox[i].Kind == WakeMessage {
			continue // the inbox is read for these, and refuses what cannot be read
		}
		in.early = true
		waiting = append(waiting, in)
	}
	if len(waiting) == 0 {
		return
	}
	t.Queue = slices.DeleteFunc(t.Queue, func(in *input) bool {
		return slices.ContainsFunc(waiting, func(w *input) bool { return w.position == in.position })
	})
	t.Queue = append(waiting, t.Queue...)
}

// reaches makes the head of the proposal that of its commit: of a chain it is a later
// one.
func (t *turn) reaches(r Record) bool {
	if r.Sequence == t.Next.Head.Record.Sequence {
		return true
	}
	h, err := loaded(r)
	if err == nil {
		t.amend(func(p *proposal) { p.Head = h })
	}
	return err == nil
}

// amend changes the proposal, which the state before shares.
func (t *turn) amend(change func(*proposal)) {
	next := *t.Next
	change(&next)
	t.Next = &next
}

func (t *turn) committed(e committedHead) {
	switch {
	case t.Next == nil:
	case e.Err != nil:
		t.failed() // whether it was is found out by a load
	case e.Verdict == Committed:
		t.Tries = 0
		t.adopted()
	case e.Verdict == Fenced:
		t.drop()
	default:
		t.load()
	}
}

// adopted makes the proposal the head.
func (t *turn) adopted() {
	next := t.Next
	t.Head, t.Next = next.Head, nil
	t.answer(next.Input, next.Answer)
	if t.Stale {
		t.load()
		return
	}
	t.begin()
}

// begin starts the calls that are to be made now.
func (t *turn) begin() {
	if t.Leaving || len(t.Queue) > 0 && t.Queue[0].early {
		return
	}
	taken, running := t.taken(), slices.Clip(t.Running)
	var all []effect.Effect[event]
	for c, id := range t.Head.begins(t.env.Now()) {
		if _, undo := undoOf(id); taken[id] || undo && slices.ContainsFunc(t.Running, attempt.undoes) {
			continue
		}
		a, e := t.perform(c, id)
		running, all = append(running, a), append(all, e)
	}
	t.Running = running
	t.do(hx.All(all...))
}

// taken are the effects that are at work, or have a result that waits to be decided
// on. It is nil if there are none, as it is most of the time.
func (t *turn) taken() map[string]bool {
	n := len(t.Running) + len(t.Queue) + len(t.Head.Work.Results)
	if n == 0 {
		return nil
	}
	taken := make(map[string]bool, n)
	for _, a := range t.Running {
		taken[a.Effect] = true
	}
	for _, in := range t.Queue {
		if in.Kind == replyInput && !in.Stale {
			taken[in.Effect] = true
		}
	}
	for i := range t.Head.Work.Results {
		taken[t.Head.Work.Results[i].Effect] = true
	}
	return taken
}

func (a attempt) undoes() bool {
	_, undo := undoOf(a.Effect)
	return undo
}

// perform makes a call.
func (t *turn) perform(c *call, id string) (attempt, effect.Effect[event]) {
	q, kind := t.decider.perform(t.Head, c, id), t.decider.kind
	a := q.Attempt
	return a, effect.Do(q, func(r effect.Result[result]) event {
		if r.Err != nil {
			return performed{a, result{Failure: kind.failure(r.Err)}}
		}
		return performed{a, r.Value}
	}, effect.Key(performKey))
}

// perform is the next attempt at a call.
func (d *decider) perform(h *head, c *call, id string) perform {
	timeout := c.Timeout
	if known := d.kind.requests[c.Request]; known != nil {
		timeout = cmp.Or(timeout, known.options.Timeout)
	}
	return perform{
		ID: h.Record.ID, Attempt: attempt{id, c.Attempts + 1}, Request: c.Request, Data: c.Data, Timeout: cmp.Or(timeout, defaultTimeout), Meta: h.Work.Meta,
	}
}

// ended takes an attempt off those at work, and tells whether it was among them.
func (t *turn) ended(a attempt) bool {
	i := slices.Index(t.Running, a)
	if i < 0 {
		return false
	}
	t.Running = slices.Delete(slices.Clone(t.Running), i, i+1)
	return true
}

func (t *turn) performed(e performed) {
	r := &e.Result
	t.Queue = append(t.Queue, &input{
		Kind: replyInput, Effect: e.Attempt.Effect, Value: r.Value, Failure: r.Failure, Later: r.Later,
		Stale: !t.ended(e.Attempt), request: r.request,
	})
}

// rest begins what waited for its time, and sets the timer for what is due soon.
func (t *turn) rest() {
	if t.Head.Record.Sequence == 0 {
		t.Phase = absent // there is no such saga; there may be one next time
		return
	}
	t.begin()
	next := t.wanted()
	switch {
	case next.Equal(t.Armed):
	case next.IsZero():
		t.do(hx.Cancel(dueKey))
	default:
		t.do(hx.After(dueKey, next.Sub(t.env.Now()), due{}))
	}
	t.Armed = next
}

// wanted is when the machine wants to be woken; zero is not at all. While what was
// due is at work, such as another attempt, Record.Due is past and stays so until
// the next commit: the runner does not find what is due after it, however late, so
// that the machine has to wake for it by itself.
func (t *turn) wanted() (next time.Time) {
	if !t.Head.works() || t.Leaving {
		return next
	}
	now, first := t.env.Now(), t.Head.Record.Due
	alone := !first.IsZero() && !first.After(now)
	consider := func(at time.Time) {
		if at.After(now) && (alone || at.Sub(now) <= t.resident) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	w := &t.Head.Work
	for i := range w.Pending {
		consider(w.Pending[i].Next)
	}
	if n := len(w.Undo); n > 0 && t.Head.Record.Status == Compensating {
		consider(w.Undo[n-1].Next)
	}
	for i := range w.Timers {
		consider(w.Timers[i].At)
	}
	return next
}

// drop forgets the saga: it is another worker's.
func (t *turn) drop() { t.giveUp(errMoved) }

func (t *turn) giveUp(why error) {
	if t.Next != nil {
		t.answer(t.Next.Input, why)
	}
	for _, in := range t.Queue {
		t.answer(in, why)
	}
	t.do(hx.All(hx.Cancel(storeKey), hx.Cancel(performKey), hx.Cancel(dueKey), hx.Cancel(againKey)))
	*t.machine = machine{ID: t.ID, Epoch: t.Epoch, Holds: t.Holds}
}

// newMachine is a saga of which nothing is known.
func newMachine(id ID) machine { return machine{ID: id} }
