package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed57833328/rondo/reducer"
)

// input is what a decision is made on.
type input struct {
	Kind inputKind `json:"kind"`
	// Action is that of a start, a signal or a timer.
	Action *named `json:"action,omitempty"`
	// Message is the id of a signal or a cancellation.
	Message string `json:"message,omitempty"`
	// Effect is what a reply answers, with /undo behind it for an undo.
	Effect  string          `json:"effect,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
	Failure *EffectError    `json:"failure,omitempty"`
	// Later is that the handler has said so.
	Later bool `json:"later,omitempty"`
	// Stale is that the attempt had been given up, so that its failure tells
	// nothing.
	Stale bool `json:"stale,omitempty"`
	// Key and At are a timer's.
	Key string    `json:"key,omitempty"`
	At  time.Time `json:"at,omitzero"`
	// Reason and Actor are those of a cancellation or an operator.
	Reason string `json:"reason,omitempty"`
	Actor  string `json:"actor,omitempty"`
	Meta   *meta  `json:"meta,omitempty"`
	// Token tells a start from others, so that who has begun the saga is told so.
	Token string `json:"token,omitempty"`
	// Parent is whose child is started or cancelled.
	Parent *origin `json:"parent,omitempty"`
	// Child is what a child has come to, for which Effect was issued.
	Child *childEnd `json:"child,omitempty"`

	// What follows is of this process.
	position int64  // in the inbox
	early    bool   // it had come when the saga was loaded
	hold     uint64 // of who waits for the answer
	parked   bool   // it comes from Parked, or Results
	request  any    // what a reply answers, nil if it has to be decoded
}

type inputKind string

const (
	startInput  inputKind = "start"
	signalInput inputKind = "signal"
	cancelInput inputKind = "cancel"
	replyInput  inputKind = "reply"
	timerInput  inputKind = "timer"
	childInput  inputKind = "child"
)

// decision is what comes of an input.
type decision struct {
	// commit is that there is something to commit: then next and entry are set.
	commit bool
	next   *head
	entry  Entry
	// answer is what the sender is told, once it is committed if it is to be.
	answer error
}

// change is what is to be committed of it, but for what tells the commit from others.
func (d *decision) change(epoch int64) *Change {
	c := &Change{Record: d.next.Record, Epoch: epoch, Entry: d.entry, Posts: d.next.posts}
	d.next.posts = nil
	return c
}

// stuckKind is the kind of the entry of a decision that could not be made.
const stuckKind = "stuck"

// refusedKind is that of a decision to change nothing.
const refusedKind = "refused"

// errExists answers a start of a saga that is there.
var errExists = errors.New("saga exists")

// errWaits answers what a saga does not take at the moment.
var errWaits = errors.New("saga does not take messages at the moment")

// told is what a history keeps of a decision, as JSON.
type told struct {
	Input  *input `json:"input,omitempty"`
	Status Status `json:"status"`
	// Action is what was reduced, if the input is no action itself.
	Action *named `json:"action,omitempty"`
	Late   bool   `json:"late,omitempty"`
	// Issued are the effects that begin with it, Notes what was left undone.
	Issued []string `json:"issued,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	Reason string   `json:"reason,omitempty"`
	// State is a hash of the state, and Asked of what the reducer asked for, to see
	// whether a replay comes to the same.
	State string `json:"state,omitempty"`
	Asked asked  `json:"asked,omitempty"`
	// Schema is that of the state that was reduced, if it is not 1. Upcast is that
	// state, if it was brought up to this schema.
	Schema int             `json:"schema,omitempty"`
	Upcast json.RawMessage `json:"upcast,omitempty"`
}

// decider makes decisions of one type. It is pure.
type decider struct {
	kind       *kind
	maxSize    int
	stuckAfter int
	// maxChain is how many effects are done in the transaction of a decision at most,
	// within the requests that can be.
	maxChain int
	within   map[string]bool
}

// draft is a decision in the making.
type draft struct {
	*decider
	next    *head
	told    told
	kind    string // of the entry
	now     time.Time
	index   int // of the next effect
	sender  *meta
	problem error // why the saga will be stuck
	trace   string
	spent   bool // the problem is of an attempt, and to be mended by another: nothing is parked
}

// decide makes the decision on an input. h is the head as committed; a saga that
// does not exist has Sequence 0.
func (d *decider) decide(h *head, in *input, now time.Time) decision {
	now = Recordable(now)
	if refused, err := d.refuses(h, in); refused {
		if in.parked || in.position > 0 && h.Record.Sequence > 0 && errors.Is(err, ErrEnded) {
			return d.note(h, in, now, err)
		}
		return decision{answer: err}
	}
	t := &draft{decider: d, next: h.next(now), kind: string(in.Kind), now: now, sender: in.Meta}
	t.told.Input = d.kept(in)
	t.next.unpark(in)
	t.next.see(in)
	t.take(in)
	if t.problem == nil {
		t.problem = t.close()
	}
	if t.problem != nil {
		return d.stick(h, in, t)
	}
	return t.decision(nil)
}

// kept is an input as a history keeps it: without a result that is too large.
func (d *decider) kept(in *input) *input {
	if !d.exceeds(in) {
		return in
	}
	without := *in
	without.Value = nil
	return &without
}

// exceeds tells whether an input is a result that is too large. That of a child is the
// state of a record, which is bounded itself.
func (d *decider) exceeds(in *input) bool { return in.Child == nil && len(in.Value) > d.maxSize }

// refuses tells of an input that changes nothing.
func (d *decider) refuses(h *head, in *input) (bool, error) {
	r, w := &h.Record, &h.Work
	switch {
	case r.Sequence > 0 && in.remembered() && slices.Contains(w.Seen, in.Message):
		return true, nil
	case in.Parent != nil && !(in.Kind == startInput && in.parked):
		return h.meets(in)
	case in.Kind == startInput && !in.parked:
		return r.Sequence > 0, errExists
	case in.Kind == startInput:
		return false, nil
	case r.Sequence == 0:
		return true, ErrNotFound
	case in.Kind == signalInput:
		return r.Status.Ended(), ErrEnded
	case in.Kind == cancelInput:
		switch {
		case r.Status == Compensating || r.Status == Compensated:
			return true, nil
		case r.Status.Ended():
			return true, ErrEnded
		case w.Pivoted || w.Ending:
			return true, ErrPivoted
		}
		return false, nil
	case in.Kind == timerInput:
		return !h.works() || h.timer(in) < 0, nil
	case in.Kind == childInput:
		switch {
		case r.Status == Terminated:
			return true, ErrEnded
		case h.hears(in):
			return false, nil
		case in.Child.Undo || in.Child.Again || in.Child.Status == Compensated:
			return true, nil // that is known
		}
		return true, ErrNotPending
	}
	return !h.answers(in), ErrNotPending
}

// answers tells whether a reply says something that is not known.
func (h *head) answers(in *input) bool {
	w := &h.Work
	learned := in.Failure == nil && !in.Later || in.Failure != nil && in.Failure.Rejected
	if id, undo := undoOf(in.Effect); undo {
		return h.Record.Status == Compensating && indexCall(w.Undo, id) >= 0 && (in.Failure == nil && !in.Later || !in.Stale)
	}
	if indexCall(w.Pending, in.Effect) >= 0 {
		return in.Failure == nil && !in.Later || !in.Stale
	}
	return learned && h.Record.Status != Terminated && indexCall(w.Given, in.Effect) >= 0
}

func undoOf(effect string) (id string, undo bool) {
	if n := len(effect) - len(undoSuffix); n > 0 && effect[n:] == undoSuffix {
		return effect[:n], true
	}
	return effect, false
}

func (h *head) timer(in *input) int {
	return slices.IndexFunc(h.Work.Timers, func(t timer) bool { return t.Key == in.Key && t.At.Equal(in.At) })
}

// remembered tells whether the input is known again by its message's id. All
// cancellations from outside have the same; the status tells of them.
func (in *input) remembered() bool {
	return in.Message != "" && in.Message != cancelID && !in.parked
}

// unpark takes an input off those that the record has kept.
func (h *head) unpark(in *input) {
	switch w := &h.Work; {
	case !in.parked:
	case w.Parked != nil:
		w.Parked = nil
	default:
		w.Results = w.Results[1:]
	}
}

func (h *head) see(in *input) {
	if in.remembered() {
		h.Work.Seen = append(h.Work.Seen, in.Message)
		h.Work.Seen = h.Work.Seen[max(0, len(h.Work.Seen)-maxSeen):]
	}
}

// take changes the head by the input.
func (t *draft) take(in *input) {
	r, w := &t.next.Record, &t.next.Work
	if in.Parent != nil && (in.Kind == cancelInput || r.Sequence > 1 && !in.parked) {
		t.fromParent(in)
		return
	}
	switch in.Kind {
	case startInput:
		if !in.parked {
			r.Status, r.Started, r.Schema, w.Meta, w.Parent = Running, t.now, t.decider.kind.schema, in.Meta, in.Parent
		}
		t.reduceNamed(in.Action)
	case signalInput:
		t.reduceNamed(in.Action)
	case timerInput:
		w.Timers = slices.Delete(w.Timers, t.next.timer(in), t.next.timer(in)+1)
		t.reduceNamed(in.Action)
	case cancelInput:
		reason := in.Reason
		if reason == "" {
			reason = "cancelled"
		}
		t.compensate(reason)
	case replyInput:
		id, undo := undoOf(in.Effect)
		switch i := indexCall(w.Pending, in.Effect); {
		case undo:
			t.undone(id, in)
		case i >= 0:
			t.replied(i, in)
		default:
			t.late(in)
		}
	case childInput:
		t.childEnded(in)
	}
}

// replied takes the result of a pending effect.
func (t *draft) replied(i int, in *input) {
	w := &t.next.Work
	c := w.Pending[i]
	known := t.decider.kind.requests[c.Request]
	heard := known == nil || known.act != nil // an unknown one is a problem below
	switch f := in.Failure; {
	case in.Later:
		t.kind = "later"
		w.Pending[i].Later, w.Pending[i].Error = true, ""
		return
	case f == nil:
		w.Pending = remove(w.Pending, c.ID)
	case f.Rejected && heard:
		w.Pending = remove(w.Pending, c.ID)
		w.Undo = remove(w.Undo, c.ID)
	case t.again(&w.Pending[i], c.ID, f, known, heard):
		return
	case t.problem != nil:
		return
	default:
		w.Pending = remove(w.Pending, c.ID)
		w.give(&c)
	}
	t.reply(known, &c, in, false)
}

// again plans another attempt, or finds that there is to be none: then the saga
// is stuck if nobody hears of it, or nobody may.
func (t *draft) again(c *call, id string, f *EffectError, known *RequestType, heard bool) bool {
	c.Attempts++
	c.Error, c.Later = f.Message, false
	if f.Trace != "" {
		c.Error += "\n" + f.Trace
	}
	policy := retryOf(c, known)
	must := !heard || t.next.Work.Pivoted
	switch {
	case must && (f.Rejected || f.Final || c.Attempts >= t.stuckAfter):
		t.problem = fmt.Errorf("request %q (%s) must succeed, and failed at attempt %d: %w", c.Request, id, c.Attempts, f)
		t.spent = true
		return false
	case !must && (f.Final || c.Attempts >= policy.withDefaults().Attempts):
		return false
	}
	t.kind = "attempt"
	c.Next = Recordable(t.now.Add(policy.wait(effectID(t.next.Record.ID, id), c.Attempts)))
	return true
}

func retryOf(c *call, known *RequestType) RetryPolicy {
	switch {
	case c.Retry != nil:
		return *c.Retry
	case known != nil && known.options.Retry != nil:
		return *known.options.Retry
	}
	return RetryPolicy{}
}

// undone takes the result of an undo.
func (t *draft) undone(id string, in *input) {
	w := &t.next.Work
	i := indexCall(w.Undo, id)
	c := &w.Undo[i]
	known := t.decider.kind.requests[c.Request]
	if f := in.Failure; f != nil || in.Later {
		if in.Later {
			f = &EffectError{Message: "an undo cannot come later", Final: true}
		}
		t.again(c, id+undoSuffix, f, known, false)
		return
	}
	t.kind = "undone"
	done := *c
	w.Undo = remove(w.Undo, id)
	if known != nil && known.act == nil {
		return // nobody wants to hear of it
	}
	done.ID = id + undoSuffix
	t.reply(known, &done, in, false)
}

// late takes a result of an effect that was given up.
func (t *draft) late(in *input) {
	r, w := &t.next.Record, &t.next.Work
	i := indexCall(w.Given, in.Effect)
	c := w.Given[i]
	w.Given = slices.Delete(w.Given, i, i+1)
	if in.Failure != nil { // a rejection: there is nothing to undo
		w.Undo = remove(w.Undo, c.ID)
	}
	switch r.Status {
	case Completed:
		r.Status = Running
	case Compensated:
		r.Status = Compensating
	default:
	}
	t.kind, t.told.Late = "late", true
	known := t.decider.kind.requests[c.Request]
	if known != nil && !known.options.late {
		return
	}
	t.reply(known, &c, in, true)
}

// reply reduces the action that a result becomes.
func (t *draft) reply(known *RequestType, c *call, in *input, late bool) {
	if known == nil {
		t.problem = fmt.Errorf("request %q is not one of Types.Requests of saga %q", c.Request, t.decider.kind.name)
		nobody := in.Failure != nil && in.Failure.Code == noHandler // has tried
		t.spent = nobody || t.exceeds(in)
		return
	}
	if known.act == nil {
		return
	}
	if t.exceeds(in) {
		t.problem = fmt.Errorf("the result of request %q (%s) has %d bytes, want at most %d", known.name, effectID(t.next.Record.ID, in.Effect), len(in.Value), t.maxSize)
		t.spent = true // the handler can tell it again, or an operator a smaller one
		return
	}
	var action any
	t.guard(func() (err error) {
		action, err = t.decider.kind.heard(known, t.next.Record.ID, c, in, late)
		return err
	})
	if t.problem != nil {
		return
	}
	name, err := t.decider.kind.encodeAction(action)
	if err != nil {
		t.problem = fmt.Errorf("the result of request %q becomes an action: %w", c.Request, err)
		return
	}
	t.told.Action = name
	t.reduce(action)
}

// heard makes the action that a result becomes.
func (k *kind) heard(known *RequestType, id ID, c *call, in *input, late bool) (any, error) {
	r := reply{value: in.Value, effectID: effectID(id, c.ID), late: late}
	if in.Child != nil {
		r.schema = in.Child.Schema
	}
	if in.Failure != nil {
		r.failure = k.restore(in.Failure)
	}
	return known.act(c.Data, in.request, r)
}

func (t *draft) reduceNamed(n *named) {
	a, err := t.decider.kind.decodeAction(n)
	if err != nil {
		t.problem = err
		return
	}
	t.reduce(a)
}

// reduce has the user's reducer decide.
func (t *draft) reduce(action any) {
	r := &t.next.Record
	state, err := t.decider.kind.upcast(r.State, r.Schema)
	if err != nil {
		t.problem = err
		return
	}
	t.told.Asked = nothing
	if t.told.Schema = t.decider.kind.schema; t.told.Schema == 1 {
		t.told.Schema = 0
	}
	if r.Schema != t.decider.kind.schema {
		t.told.Upcast = state
	}
	r.Schema = t.decider.kind.schema
	sender := t.sender
	if sender == nil {
		sender = t.next.Work.Meta
	}
	env := reducer.NewEnv(&source{now: t.now, id: r.ID, number: r.Sequence, sender: sender})
	t.guard(func() error {
		next, err := t.decider.kind.step(state, action, env, t.apply)
		if err == nil {
			r.State = next
		}
		return err
	})
}

// guard calls user code. Its error or panic is why the saga will be stuck.
func (t *draft) guard(f func() error) {
	defer func() {
		if v := recover(); v != nil {
			t.problem = fmt.Errorf("panic: %v", v)
			t.trace = string(debug.Stack())
		}
	}()
	if err := f(); err != nil {
		t.problem = err
	}
}

// apply carries out one thing that a reducer asked for.
func (t *draft) apply(o op) error {
	w := &t.next.Work
	switch o.kind {
	case opDo:
		return t.do(&o.command)
	case opAfter:
		return t.after(&o)
	case opCancel:
		key, ok := keyOf(o.key)
		if !ok || key == "" {
			return fmt.Errorf("Cancel: key is %#v (%T), want a string that is not empty, in UTF-8", o.key, o.key)
		}
		t.told.Asked.say(o.kind, key)
		w.Timers = slices.DeleteFunc(w.Timers, func(tm timer) bool { return tm.Key == key })
		t.giveUp(func(c *call) bool { return c.Key == key })
	case opCompensate:
		t.told.Asked.say(o.kind, o.reason)
		if t.next.Record.Status != Compensating && (w.Pivoted || w.Ending) {
			return fmt.Errorf("%w: compensate for %q", ErrPivoted, o.reason)
		}
		t.compensate(o.reason)
	case opPivot, opComplete:
		t.told.Asked.say(o.kind, "")
		switch {
		case t.next.Record.Status == Compensating:
			t.told.Notes = append(t.told.Notes, "neither pivot nor end: it compensates")
		case o.kind == opPivot:
			w.Pivoted = true
		default:
			w.Ending = true
		}
	}
	return nil
}

func (t *draft) do(c *Command) error {
	w := &t.next.Work
	known, err := t.decider.kind.wants(c.Request)
	if err != nil {
		return fmt.Errorf("Do: %w", err)
	}
	if c.late {
		return fmt.Errorf("Do: Late of %q is said where its type is registered", known.name)
	}
	if !utf8.ValidString(c.Key) {
		return inputError("Do: Key of "+quote(known.name), quote(c.Key), "UTF-8")
	}
	if c.Retry != nil {
		if known.child != nil {
			return fmt.Errorf("Do: Retry of %q: what a child saga has come to is final", known.name)
		}
		if err := c.Retry.validate("Do: RetryPolicy of " + known.name); err != nil {
			return err
		}
	}
	request, err := t.decider.kind.encodeRequest(c.Request)
	if err != nil {
		return err
	}
	request.ID = callID(t.next.Record.Sequence, t.index)
	t.index++
	undo := call{}
	if c.Undo != nil {
		if undo, err = t.decider.kind.encodeRequest(c.Undo); err != nil {
			return fmt.Errorf("Do: Undo of %q: %w", known.name, err)
		}
	}
	t.told.Asked.do(c, &request, &undo)
	if undo.ID, undo.Cancels = request.ID, request.Child; undo.Request != "" || undo.Cancels != "" {
		w.Undo = append(w.Undo, undo)
	}
	request.Key, request.Timeout, request.Retry = c.Key, c.Timeout, c.Retry
	if request.Timeout == 0 && request.Child != "" {
		request.Timeout = known.options.Timeout
	}
	w.Pending = append(w.Pending, request)
	t.told.Issued = append(t.told.Issued, request.ID+" "+request.Request)
	return nil
}

// unnamed is what the keys of timers begin with that have no name: sequence/index
// follows. Records of before this was refused may have timers that users have named so.
const unnamed = "#"

func (t *draft) after(o *op) error {
	w := &t.next.Work
	key, ok := keyOf(o.key)
	switch {
	case !ok:
		return fmt.Errorf("After: key is %#v (%T), want a string in UTF-8", o.key, o.key)
	case strings.HasPrefix(key, unnamed):
		return inputError("After: key", quote(key), "one that does not begin with %q, as those of timers without a name do", unnamed)
	case o.wait < 0:
		return inputError("After: d of "+quote(key), show(time.Duration(o.wait)), "at least 0")
	}
	action, err := t.decider.kind.encodeAction(o.action)
	if err != nil {
		return fmt.Errorf("After %q: %w", key, err)
	}
	t.told.Asked.after(key, time.Duration(o.wait), action)
	if key == "" {
		key = unnamed + callID(t.next.Record.Sequence, t.index)
		t.index++
	}
	w.Timers = slices.DeleteFunc(w.Timers, func(tm timer) bool { return tm.Key == key })
	w.Timers = append(w.Timers, timer{Key: key, At: Recordable(t.now.Add(time.Duration(o.wait))), Action: *action})
	return nil
}

// keyOf is a key as a record keeps it, if that is the same after a restart.
func keyOf(key any) (string, bool) {
	if key == nil {
		return "", true
	}
	v := reflect.ValueOf(key)
	return v.String(), v.Kind() == reflect.String && utf8.ValidString(v.String())
}

// giveUp stops waiting for pending effects. What becomes of them is not known.
func (t *draft) giveUp(which func(*call) bool) {
	w := &t.next.Work
	w.Pending = slices.DeleteFunc(w.Pending, func(c call) bool {
		if !which(&c) {
			return false
		}
		w.give(&c)
		return true
	})
}

// give keeps what a late result needs of an effect that was given up.
func (w *work) give(c *call) {
	w.Given = append(w.Given, call{ID: c.ID, Request: c.Request, Data: c.Data})
	w.Given = w.Given[max(0, len(w.Given)-maxGiven):]
}

func (t *draft) compensate(reason string) {
	r, w := &t.next.Record, &t.next.Work
	if r.Status == Compensating {
		return
	}
	r.Status, r.Reason = Compensating, reason
	w.Timers = nil
	t.giveUp(func(*call) bool { return true })
}

// close ends the draft: the saga may have come to its end, or be too large.
func (t *draft) close() error {
	t.next.seal(t.now)
	r := &t.next.Record
	if len(r.State)+len(r.Work) > t.maxSize {
		return &TooLargeError{State: len(r.State), Work: len(r.Work), Limit: t.maxSize}
	}
	return nil
}

func (t *draft) decision(answer error) decision {
	r := &t.next.Record
	t.told.Status = r.Status
	t.told.State = hashState(r.State)
	data := encodeTold(&t.told)
	return decision{
		commit: true, next: t.next, answer: answer,
		entry: Entry{Sequence: r.Sequence, At: t.now, Kind: t.kind, Data: data},
	}
}

// stick leaves the saga as it was before the input, which is parked, and waits
// for an operator.
func (d *decider) stick(h *head, in *input, failed *draft) decision {
	t := &draft{decider: d, next: h.next(failed.now), kind: stuckKind, now: failed.now}
	r, w := &t.next.Record, &t.next.Work
	if r.Sequence == 1 {
		r.Status, r.Started, r.Schema, w.Meta, w.Parent = Running, t.now, d.kind.schema, in.Meta, in.Parent
	}
	t.next.unpark(in)
	t.next.see(in)
	if in.Kind == replyInput || in.Kind == childInput { // how often it was tried stays known
		copyAttempts(w.Pending, failed.next.Work.Pending)
		copyAttempts(w.Undo, failed.next.Work.Undo)
	}
	switch {
	case h.Record.Status.Ended(): // by a late result: it stays as it has ended
		t.kind = refusedKind
	default:
		w.Was, w.WasReason = r.Status, r.Reason
		r.Status, r.Reason, w.Trace = Stuck, failed.problem.Error(), failed.trace
		if !failed.spent {
			kept := *in
			kept.position, kept.hold, kept.parked, kept.request = 0, 0, false, nil
			w.Parked = &kept
		}
	}
	t.told = told{Input: d.kept(in), Reason: failed.problem.Error(), Notes: failed.told.Notes}
	t.next.seal(t.now)
	return t.decision(&StuckError{ID: r.ID, Reason: failed.problem.Error()})
}

// hashState tells states apart.
func hashState(state []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(state)
	return strconv.FormatUint(h.Sum64(), 16)
}

func copyAttempts(to, from []call) {
	for i := range to {
		if j := indexCall(from, to[i].ID); j >= 0 {
			to[i].Attempts, to[i].Error, to[i].Next = from[j].Attempts, from[j].Error, time.Time{}
		}
	}
}

// note keeps in the history what changes nothing else.
func (d *decider) note(h *head, in *input, now time.Time, why error) decision {
	t := &draft{decider: d, next: h.next(now), kind: refusedKind, now: now}
	if t.told.Input = d.kept(in); why != nil {
		t.told.Reason = why.Error()
	}
	t.next.unpark(in)
	t.next.seal(now)
	return t.decision(why)
}
