package saga

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/effect"
)

// A child saga is an effect of its parent that no handler does. Parent and child
// write to each other through the inbox, with messages that are part of the
// commits they belong to: the decision that issues the effect posts the start,
// the one that makes its undo the next posts the cancellation, and the one that
// ends the child posts the end. So nothing is lost between two commits, whoever
// makes them, and nothing is started twice. Start and cancellation come in their
// order, because the inbox keeps it.

// Child is the request to run another saga and wait for its end, made by
// [Definition.Child].
type Child struct {
	// Type is the name of the child's definition, Action what it starts with.
	Type   string
	Action any
}

// Child is the request to start a saga of this type with an action, and to wait
// for its end. It is an effect as any other, given to [Of.Do], whose result comes
// to the function of [OnChild]:
//
//	fx.Do(Stay.Child(BookStay{Nights: 2}))
//
// The child's key is made of the effect's: the parent's type and key, the
// sequence and the index. It belongs to the parent's tenant, and is run by
// whatever worker owns it.
//
// Its undo is there without being said: the child is cancelled and its end waited
// for. That undoes a child that has completed too, unless it is past its
// [Of.Pivot]. With [Undo] something else is done for a child that cannot be
// cancelled any more; without it the parent is Stuck then.
//
// [Timeout] bounds how long the parent waits, from the decision on; without it
// there is no bound. [Retry] makes no sense, since what a child has come to is
// final.
func (d *Definition[S, A]) Child(a A) Child { return Child{Type: d.kind.name, Action: a} }

// OnChild registers the sagas of a type as children, under a name, with the
// function that makes an action of what they come to: see [On]. The value of the
// reply is the state in which the child has completed. One that has not is an
// error: [ErrCompensated], which is a rejection, or [ErrTerminated], after which
// it is unknown what was done. begin is the action that the child was started
// with.
func OnChild[S, A, P any](name string, child *Definition[S, A], f func(begin A, r Reply[S]) P, opts ...Option) RequestType {
	t := RequestType{name: name, action: reflect.TypeFor[P](), checks: decodes[S]}
	for _, o := range opts {
		if o.apply != nil {
			o.apply(&t.options)
		}
	}
	if child == nil || child.kind == nil {
		t.problem = errors.New("the child is nil, want one made by saga.Define")
		return t
	}
	k := child.kind
	t.child, t.state = k, reflect.TypeFor[S]()
	if f == nil {
		return t // without act: Define tells
	}
	t.act = func(data []byte, _ any, r reply) (any, error) {
		var n named
		if err := json.Unmarshal(data, &n); err != nil {
			return nil, fmt.Errorf("decode request %q: %w", name, err)
		}
		decoded, err := k.decodeAction(&n)
		if err != nil {
			return nil, err
		}
		begin, ok := decoded.(A)
		if !ok {
			return nil, fmt.Errorf("action %T is no %s", decoded, reflect.TypeFor[A]())
		}
		answer := Reply[S]{EffectID: r.effectID, Late: r.late}
		switch {
		case r.failure != nil:
			answer.Err = r.failure
		case len(r.value) > 0:
			state := r.value
			if r.schema > 0 {
				if state, err = k.upcast(state, r.schema); err != nil {
					return nil, err
				}
			}
			if err := json.Unmarshal(state, &answer.Value); err != nil {
				return nil, fmt.Errorf("decode the state of child %q: %w", name, err)
			}
		}
		return f(begin, answer), nil
	}
	return t
}

var (
	// ErrCompensated is what a child has come to that has undone what it did.
	ErrCompensated = errors.New("child saga was compensated")
	// ErrTerminated is what a child has come to that an operator has ended.
	ErrTerminated = errors.New("child saga was terminated")
)

// origin is the effect that a child was started for. The parent has the child's
// tenant.
type origin struct {
	Type   string `json:"type"`
	Key    string `json:"key"`
	Effect string `json:"effect"`
}

func (o *origin) id(tenant string) ID { return ID{Tenant: tenant, Type: o.Type, Key: o.Key} }

// childEnd is what a child has come to.
type childEnd struct {
	// Status is how it has ended; "" if it is no child of the parent.
	Status Status `json:"status,omitempty"`
	// Schema is the version of its state.
	Schema int `json:"schema,omitempty"`
	// Undo tells that the parent has cancelled it.
	Undo bool `json:"undo,omitempty"`
	// Again tells that the parent has started it once more.
	Again bool `json:"again,omitempty"`
}

// The ids of messages that sagas send. Those of users do not begin so.
const (
	reserved      = "saga:"
	startID       = reserved + "start"
	cancelID      = reserved + "cancel"
	wakeID        = reserved + "wake"
	childStartID  = reserved + "child/" // and the parent's sequence and its time
	childCancelID = reserved + "undo/"
	childEndID    = reserved + "end/" // and the effect and the child's
)

// childOf is the id of the child that an effect of a saga is. It is the same
// whenever it is asked for.
func childOf(parent ID, effect, childType string) ID {
	key := parent.Type + "/" + parent.Key + "/" + effect
	if len(key) > MaxKey {
		sum := sha256.Sum256([]byte(key))
		key = "sha256." + hex.EncodeToString(sum[:]) + "/" + effect
	}
	return ID{Tenant: parent.Tenant, Type: childType, Key: key}
}

// correspond posts what parents and children have to tell each other after a
// decision.
func (h *head) correspond(now time.Time) {
	r, w := &h.Record, &h.Work
	if h.works() {
		for i := range w.Pending {
			if c := &w.Pending[i]; c.Child != "" && !c.Later {
				if c.Timeout > 0 {
					c.Next = Recordable(now.Add(c.Timeout))
				}
				h.begin(c, c.ID, now)
			}
		}
		if n := len(w.Undo); n > 0 && r.Status == Compensating && !w.Undo[n-1].Later {
			switch c := &w.Undo[n-1]; {
			case c.Cancels != "":
				c.Later = true
				h.post(now, childOf(r.ID, c.ID, c.Cancels), CancelMessage, &input{
					Kind: cancelInput, Message: childCancelID, Reason: "parent: " + r.Reason, Parent: &origin{r.ID.Type, r.ID.Key, c.ID}, Meta: w.Meta,
				})
			case c.Child != "":
				h.begin(c, c.ID+undoSuffix, now)
			}
		}
	}
	if w.Parent != nil && r.Status.Ended() && (w.Told != r.Status || w.Owes) {
		h.tellEnd(now, childEnd{Undo: w.Owes})
		w.Told, w.Owes = r.Status, false
	}
}

// tellEnd posts to the parent what the saga has come to.
func (h *head) tellEnd(now time.Time, end childEnd) {
	r, w := &h.Record, &h.Work
	end.Status, end.Schema = r.Status, r.Schema
	in := input{Kind: childInput, Effect: w.Parent.Effect, Reason: r.Reason, Child: &end}
	if r.Status == Completed {
		in.Value = r.State
	}
	h.tell(now, w.Parent, &in)
}

// begin posts the start of a child.
func (h *head) begin(c *call, effect string, now time.Time) {
	id := h.Record.ID
	c.Later = true
	var action named
	if err := json.Unmarshal(c.Data, &action); err != nil { // which the draft has encoded
		panic(fmt.Sprintf("decode the action of child %s: %v", effect, err))
	}
	h.post(now, childOf(id, effect, c.Child), StartMessage, &input{
		Kind: startInput, Message: childStartID, Action: &action, Parent: &origin{id.Type, id.Key, effect}, Meta: h.Work.Meta,
	})
}

// tell posts to a parent.
func (h *head) tell(now time.Time, to *origin, in *input) {
	in.Message = childEndID + to.Effect + "/"
	h.post(now, to.id(h.Record.ID.Tenant), ReplyMessage, in)
}

// post posts a message under an id that the decision alone has. What is posted
// again is another message, also after a saga was purged and has begun anew.
func (h *head) post(now time.Time, to ID, kind MessageKind, in *input) {
	in.Message += strconv.FormatInt(h.Record.Sequence, 10) + "/" + strconv.FormatInt(now.UnixMicro(), 36)
	j := jsonBuffer{b: make([]byte, 0, 256+len(in.Value))}
	j.input(in)
	h.posts = append(h.posts, Message{To: to, ID: in.Message, Kind: kind, Body: j.b, At: now})
}

// timesOut tells whether a parent waits for a child no longer than until Next.
func (w *work) timesOut(c *call) bool {
	return c.Child != "" && c.Later && !c.Next.IsZero() && !w.Pivoted
}

// The parent's side.

// hears tells whether what a child has come to says something that is not known.
func (h *head) hears(in *input) bool {
	w := &h.Work
	if id, undo := undoOf(in.Effect); undo {
		i := indexCall(w.Undo, id)
		return h.Record.Status == Compensating && i >= 0 && w.Undo[i].Child != ""
	}
	learned := in.Child.Status != Terminated
	return indexCall(w.Pending, in.Effect) >= 0 || learned && indexCall(w.Given, in.Effect) >= 0 || h.undoes(in) >= 0
}

// undoes finds the cancellation that the end of a child answers.
func (h *head) undoes(in *input) int {
	w := &h.Work
	i := indexCall(w.Undo, in.Effect)
	if i < 0 || h.Record.Status != Compensating || w.Undo[i].Cancels == "" || in.Child.Status != Compensated && !in.Child.Undo {
		return -1
	}
	return i
}

// childEnded takes what a child has come to.
func (t *draft) childEnded(in *input) {
	w := &t.next.Work
	r := t.decider.kind.childReply(in)
	if id, undo := undoOf(in.Effect); undo {
		t.undone(id, &r)
		return
	}
	learned := r.Failure == nil || r.Failure.Rejected
	if i := indexCall(w.Pending, in.Effect); i >= 0 {
		t.replied(i, &r)
	} else if learned && indexCall(w.Given, in.Effect) >= 0 {
		t.late(&r)
	}
	if i := t.next.undoes(in); i >= 0 && t.problem == nil {
		t.cancelled(i, in)
	}
}

// childReply is what a child has come to, as the result of an effect.
func (k *kind) childReply(in *input) input {
	r := *in
	if r.Failure != nil || in.Child.Status == Completed {
		return r
	}
	err := fmt.Errorf("%w: %s", ErrTerminated, in.Reason)
	if in.Child.Status == Compensated {
		err = Rejected(fmt.Errorf("%w: %s", ErrCompensated, in.Reason))
	}
	r.Failure = k.failure(err)
	r.Failure.Final = true // a child does not end twice
	return r
}

// cancelled takes the end of a child that was cancelled.
func (t *draft) cancelled(i int, in *input) {
	w := &t.next.Work
	c := &w.Undo[i]
	switch {
	case in.Child.Status == Compensated:
		t.kind = "undone"
		w.Undo = remove(w.Undo, c.ID)
	case c.Request != "": // it is undone by other means
		t.kind = "uncancelled"
		c.Cancels, c.Later = "", false
	default:
		why := "it is " + string(in.Child.Status)
		if in.Child.Status == Completed {
			why += ", past its point of no return"
		}
		if in.Failure != nil {
			why = in.Failure.Message
		}
		t.problem = fmt.Errorf("child saga %q cannot be undone any more: %s", childOf(t.next.Record.ID, c.ID, c.Cancels), why)
		t.spent = true
		c.Attempts++
		c.Error = why
	}
}

// The child's side.

// meets tells what becomes of a start or a cancellation that a parent has sent.
func (h *head) meets(in *input) (refused bool, err error) {
	switch r := &h.Record; {
	case r.Sequence == 0, in.Kind == cancelInput, !h.isChild(in), r.Status.Ended():
		return false, nil
	}
	return true, errExists // the end is going to be told
}

// isChild tells whether the saga is the child that a parent's message is for.
func (h *head) isChild(in *input) bool { return h.Work.Parent != nil && *h.Work.Parent == *in.Parent }

// fromParent takes a parent's message to a saga that is there already, or should
// be.
func (t *draft) fromParent(in *input) {
	r, w := &t.next.Record, &t.next.Work
	absent := r.Sequence == 1
	if absent { // it was purged, or its start discarded: whatever it did cannot be undone
		r.Status, r.Started, r.Schema, w.Meta = Terminated, t.now, t.decider.kind.schema, in.Meta
		r.Reason, w.Parent = "cancelled by its parent when it was not there", in.Parent
	}
	switch {
	case !t.next.isChild(in):
		t.kind, t.told.Reason = refusedKind, errForeign.Error()
		t.next.tell(t.now, in.Parent, &input{
			Kind: childInput, Effect: in.Parent.Effect, Child: &childEnd{Undo: in.Kind == cancelInput},
			Failure: t.decider.kind.failure(Rejected(errForeign)),
		})
		return
	case in.Kind == startInput: // a repetition
		t.kind, t.told.Reason = refusedKind, errExists.Error()
		t.next.tellEnd(t.now, childEnd{Again: true})
		return
	}
	w.Owes = true
	if w.Pivoted || absent || r.Status != Running && r.Status != Completed {
		return // it ends as it does
	}
	r.Status, w.Ending = Running, false
	t.compensate(in.Reason)
}

var errForeign = errors.New("the saga of that key is no child of the one that asks")

// wants is what a request is, by its type, or of which type the child is.
func (k *kind) wants(request any) (*RequestType, error) {
	if c, ok := request.(Child); ok {
		if t := k.children[c.Type]; t != nil {
			return t, nil
		}
		return nil, fmt.Errorf("child saga %q is not one of Types.Requests of saga %q", c.Type, k.name)
	}
	if t := k.byRequest[reflect.TypeOf(request)]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("request %T is not one of Types.Requests of saga %q", request, k.name)
}

// encodeChild is what a record keeps of the request for a child.
func (t *RequestType) encodeChild(c Child) ([]byte, error) {
	n, err := t.child.encodeAction(c.Action)
	if err != nil {
		return nil, err
	}
	return json.Marshal(n)
}

// timedOut finds a child whose parent waits no longer.
func (h *head) timedOut(now time.Time) *input {
	w := &h.Work
	for i := range w.Pending {
		if c := &w.Pending[i]; w.timesOut(c) && !c.Next.After(now) {
			return &input{Kind: replyInput, Effect: c.ID, Failure: &EffectError{
				Message: fmt.Sprintf("child saga %q: %v", childOf(h.Record.ID, c.ID, c.Child), effect.ErrTimeout), Code: "timeout", Final: true,
			}}
		}
	}
	return nil
}
