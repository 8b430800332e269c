package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

func init() { rehearsal.Open = openRehearsal }

// maxRehearsed bounds what may follow from one input.
const maxRehearsed = 1000

// rehearsed is a machine in a process of its own, whose home commits at once and
// never fails: what package sagatest runs. A decision and its commit are one step,
// which leaves nothing out: a crash between the two is one before the input came.
type rehearsed struct {
	host    *host
	machine machine
	record  Record
}

func openRehearsal(definition any, c rehearsal.Config) (rehearsal.Machine, error) {
	d, ok := definition.(Saga)
	if !ok || d.inside() == nil {
		return nil, inputError("definition", fmt.Sprintf("%T", definition), "one made by saga.Define or saga.Steps")
	}
	k := d.inside()
	if k.problem != nil {
		return nil, fmt.Errorf("saga %q: %w", k.name, k.problem)
	}
	id := ID{Tenant: c.Tenant, Type: k.name, Key: c.Key}
	if err := CheckID("id", id); err != nil {
		return nil, err
	}
	if c.StuckAfter < 0 {
		return nil, inputError("StuckAfter", show(c.StuckAfter), "at least 0")
	}
	if c.StuckAfter == 0 {
		c.StuckAfter = defaultStuckAfter
	}
	return rehearsedOf(k, id, c.StuckAfter), nil
}

func rehearsedOf(k *kind, id ID, stuckAfter int) rehearsed {
	return rehearsed{
		host: &host{
			deciders: map[string]*decider{k.name: {kind: k, maxSize: Config{Worker: "test"}.withDefaults().MaxRecord, stuckAfter: stuckAfter}},
			resident: math.MaxInt64,
		},
		machine: newMachine(id),
	}
}

// kin is a machine of a child's type.
func (r *rehearsed) kin(id ID) rehearsed {
	own := r.host.deciders[r.machine.ID.Type]
	return rehearsedOf(own.kind.children[id.Type].child, id, own.stuckAfter)
}

// Kin implements rehearsal.Machine.
func (r rehearsed) Kin() map[string]rehearsal.Machine {
	kin := map[string]rehearsal.Machine{}
	for name := range r.kind().children {
		kin[name] = r.kin(ID{Tenant: r.machine.ID.Tenant, Type: name, Key: "kin"})
	}
	return kin
}

// Do implements rehearsal.Machine. All that a machine shares with one that it was
// made of stays as it is: it writes to slices of its own.
func (r rehearsed) Do(now time.Time, in rehearsal.Input) (rehearsal.Machine, rehearsal.Outcome, error) {
	e, err := r.event(&in)
	if err != nil {
		return r, rehearsal.Outcome{}, err
	}
	if in.Kind == rehearsal.Crash {
		r.machine = machine{ID: r.machine.ID}
	}
	p := performance{rehearsed: r, events: []event{e}}
	for n := 0; len(p.events) > 0; n++ {
		if n == maxRehearsed {
			return r, rehearsal.Outcome{}, fmt.Errorf("there is no end to what is due at %v: a timer without delay sets itself anew", now)
		}
		e, p.events = p.events[0], p.events[1:]
		root := effect.Tree(p.host.Reduce(&p.machine, e, reducer.NewEnv(&source{now: now})))
		p.walk(&root)
	}
	p.outcome.Due = p.machine.Armed
	return p.rehearsed, p.outcome, nil
}

// event is an input as a machine takes it.
func (r *rehearsed) event(in *rehearsal.Input) (event, error) {
	epoch, k := r.machine.Epoch, r.kind()
	result := result{Value: in.Value}
	switch {
	case errors.Is(in.Err, Later):
		result.Later = true
	case in.Err != nil:
		result.Failure = k.failure(in.Err)
	}
	switch in.Kind {
	case rehearsal.Start, rehearsal.Signal:
		n, err := k.encodeAction(in.Action)
		if err != nil {
			return nil, err
		}
		kind := startInput
		if in.Kind == rehearsal.Signal {
			kind = signalInput
		}
		return submit{Epoch: epoch, Input: input{Kind: kind, Action: n, Message: in.Message}}, nil
	case rehearsal.Cancel:
		return submit{Epoch: epoch, Input: input{Kind: cancelInput, Message: in.Message, Reason: in.Reason}}, nil
	case rehearsal.Result:
		if in.Attempt.Child != nil {
			return submit{Epoch: epoch, Input: r.childEnd(in)}, nil
		}
		return performed{attempt{in.Attempt.Effect, in.Attempt.N}, result}, nil
	case rehearsal.Resolve:
		if result.Failure != nil {
			result.Failure.Final = true // as Operator.Resolve has it
		}
		return submit{Epoch: epoch, Input: input{
			Kind: replyInput, Effect: in.Attempt.Effect, Value: result.Value, Failure: result.Failure, Message: "resolve/" + in.Attempt.Effect,
		}}, nil
	case rehearsal.Mail:
		var posted input
		if err := json.Unmarshal(in.Post.Body, &posted); err != nil {
			return nil, err
		}
		return submit{Epoch: epoch, Input: posted}, nil
	case rehearsal.Due:
		return due{}, nil
	case rehearsal.Crash:
		return wake{Epoch: epoch + 1}, nil
	}
	return nil, inputError("input.Kind", show(in.Kind), "one of the kinds of inputs")
}

// childEnd is what a child has come to as its message tells it.
func (r *rehearsed) childEnd(in *rehearsal.Input) input {
	a := &in.Attempt
	end := childEnd{Status: Completed, Undo: a.Cancels}
	out := input{Kind: childInput, Effect: a.Effect, Child: &end, Value: in.Value}
	switch rejected := IsRejected(in.Err); {
	case a.Cancels && in.Err == nil, !a.Cancels && rejected:
		end.Status = Compensated
	case in.Err != nil && !rejected:
		end.Status = Terminated
	default:
		end.Schema = r.kind().requests[a.Request].child.schema
	}
	if in.Err != nil {
		out.Reason = in.Err.Error()
	}
	if a.Cancels {
		out.Effect, _ = undoOf(a.Effect)
	}
	out.Message = childEndID + a.Effect + "/" + strconv.FormatInt(r.record.Sequence, 10)
	return out
}

func (r *rehearsed) kind() *kind { return r.host.deciders[r.machine.ID.Type].kind }

// Snapshot implements rehearsal.Machine.
func (r rehearsed) Snapshot() any {
	s, err := snapshotOf(r.record)
	if err != nil { // of work that was just written
		panic(err)
	}
	return s
}

// Types implements rehearsal.Machine.
func (r rehearsed) Types() (actions, requests map[string]reflect.Type) {
	actions, requests = map[string]reflect.Type{}, map[string]reflect.Type{}
	for name, t := range r.kind().actions {
		actions[name] = t.goType
	}
	for name, t := range r.kind().requests {
		if t.goType != nil {
			requests[name] = t.goType
		}
	}
	return actions, requests
}

// performance is an input with all that follows from it.
type performance struct {
	rehearsed
	events  []event
	outcome rehearsal.Outcome
}

// walk does what the machine asks for. Its timer is seen in Armed.
func (p *performance) walk(n *tree.Node[event]) {
	switch n.Kind { //nolint:exhaustive // the rest a machine does not use
	case tree.All:
		kids := n.Kids()
		for i := range kids {
			p.walk(&kids[i])
		}
	case tree.Resume:
		if a, ok := n.Action.(answered); ok {
			p.outcome.Err = a.Err
		}
	case tree.Run:
		p.request(n.Call.Request())
	}
}

func (p *performance) request(q any) {
	switch q := q.(type) {
	case load:
		p.events = append(p.events, loadedHead{Record: p.record, Found: p.record.Sequence > 0})
	case commit:
		verdict := Conflict
		if q.Change.Record.Sequence == p.record.Sequence+1 {
			verdict, p.record = Committed, q.Change.Record
			p.outcome.Decisions = append(p.outcome.Decisions, p.decision(&q.Change.Entry))
			for i := range q.Change.Posts {
				p.post(&q.Change.Posts[i])
			}
		}
		p.events = append(p.events, committedHead{Verdict: verdict})
	case perform:
		a := rehearsal.Attempt{
			Effect: q.Attempt.Effect, Key: effectID(q.ID, q.Attempt.Effect), N: q.Attempt.N,
			Request: q.Request, Data: q.Data, Timeout: q.Timeout,
		}
		if known := p.kind().requests[q.Request]; known != nil {
			a.Type = known.goType
		}
		p.outcome.Begun = append(p.outcome.Begun, a)
	}
}

// post is a message to the parent or to a child.
func (p *performance) post(m *Message) {
	p.outcome.Posts = append(p.outcome.Posts, rehearsal.Post{To: m.To.String(), ID: m.ID, Body: m.Body})
	if m.Kind == ReplyMessage {
		return
	}
	p.outcome.Posts[len(p.outcome.Posts)-1].Child = p.kin(m.To)
	var in input
	if err := json.Unmarshal(m.Body, &in); err != nil { // of what was just written
		panic(err)
	}
	t := p.kind().children[m.To.Type]
	a := rehearsal.Attempt{Effect: in.Parent.Effect, N: 1, Request: t.name, Type: reflect.TypeFor[Child](), Child: t.state}
	if in.Kind == cancelInput {
		a.Effect, a.Cancels = a.Effect+undoSuffix, true
	} else {
		action, err := t.child.decodeAction(in.Action)
		if err != nil {
			panic(err)
		}
		a.Value = Child{Type: m.To.Type, Action: action}
	}
	a.Key = effectID(p.machine.ID, a.Effect)
	p.outcome.Begun = append(p.outcome.Begun, a)
}

// decision is an entry of the history as a test shows it.
func (p *performance) decision(e *Entry) rehearsal.Decision {
	var t told
	if err := json.Unmarshal(e.Data, &t); err != nil { // of what was just written
		panic(err)
	}
	d := rehearsal.Decision{Kind: e.Kind, Late: t.Late, Issued: t.Issued, Notes: t.Notes, Data: e.Data}
	if e.Kind == stuckKind || e.Kind == refusedKind {
		d.Problem = t.Reason
		if s, err := snapshotOf(p.record); err == nil {
			d.Trace = s.Trace
		}
	}
	if n := reduced(e.Kind, &t); n != nil {
		if a, err := p.kind().decodeAction(n); err == nil {
			d.Action = a
		}
	}
	return d
}
