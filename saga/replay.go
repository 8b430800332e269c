package saga

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/reducer"
)

// Drift tells where a history, replayed through the reducer as it is now, comes to
// something else than was committed: to another state, or the reducer asks for
// something else. It is information: a saga in flight goes on from its record,
// whatever the reducer was before.
type Drift struct {
	// Sequence and Kind are those of the first decision that differs.
	Sequence int64
	Kind     string
	// Action is the name of what was reduced.
	Action string
	// Err is why the reducer cannot make the decision any more, nil if it makes
	// another one.
	Err error
	// InState and InAsks tell what differs: the state, what is asked for, or both.
	InState, InAsks bool
	// State is what it comes to, as JSON.
	State []byte
	// Asks is what the reducer asks for, in order, in words: requests with their
	// data, undos and options, timers, and what it says of Cancel, Compensate, Pivot
	// and Complete.
	Asks []string
}

// Replay reduces a history again, from its beginning, and returns where it drifts
// first, nil if it does not. No effect is done. The error is that the history
// cannot be read.
//
// Compared are, of each decision that has reduced an action, the state and all that
// the reducer asked for: see [Drift].Asks. Not compared is what is none of the
// reducer's: the functions of [On], since the actions are those of the history; what
// is registered in [Types]; what a saga does by itself, as attempts and undos; and
// what operators do. A reducer that is as it was shows no drift, unless what it does
// depends on more than its arguments.
//
// A state of an older schema cannot be compared: of such a decision, only what the
// reducer asks for is. Where a state was upcast, the replay goes on with that. In a
// history of a version of this package that did not keep what was asked for, the
// state is compared and, of requests, index and name.
func (d *Definition[S, A]) Replay(id ID, history []Entry) (*Drift, error) {
	return d.kind.replay(id, history)
}

func (k *kind) replay(id ID, history []Entry) (*Drift, error) {
	p := past{kind: k, id: id}
	for i := range history {
		e := &history[i]
		if e.Sequence != int64(i+1) {
			return nil, fmt.Errorf("replay saga %q: entry %d has sequence %d, want the whole history", id, i+1, e.Sequence)
		}
		drift, err := p.replay(e)
		if err != nil {
			return nil, fmt.Errorf("replay saga %q: entry %d: %w", id, e.Sequence, err)
		}
		if drift != nil {
			return drift, nil
		}
	}
	return nil, nil //nolint:nilnil // no drift is what is hoped for
}

// past is a saga as it was before an entry of its history.
type past struct {
	kind    *kind
	id      ID
	state   []byte
	starter *meta
	calls   []call // that were issued, and the undos under their ids
}

// replay makes the decision of an entry again.
func (p *past) replay(e *Entry) (*Drift, error) {
	var t told
	if err := json.Unmarshal(e.Data, &t); err != nil {
		return nil, err
	}
	if e.Sequence == 1 && t.Input != nil {
		p.starter = t.Input.Meta
	}
	action := reduced(e.Kind, &t)
	if action == nil {
		return nil, nil //nolint:nilnil // there is nothing to compare
	}
	drift := &Drift{Sequence: e.Sequence, Kind: e.Kind, Action: action.Name}
	known, schema := t.Asked != 0, max(t.Schema, 1)
	if known && schema > p.kind.schema {
		drift.Err = &SchemaError{Type: p.kind.name, Schema: schema, Known: p.kind.schema}
		return drift, nil
	}
	asks := draft{decider: &decider{kind: p.kind}, now: e.At}
	// A saga that compensates takes whatever its reducer asks for.
	asks.next = &head{Record: Record{ID: p.id, Sequence: e.Sequence, Status: Compensating}}
	asks.told.Asked = nothing
	drift.Err = p.reduce(e, &t, action, func(o op) error {
		err := asks.apply(o)
		if err == nil {
			drift.Asks = append(drift.Asks, p.kind.words(&o))
		}
		return err
	})
	if drift.Err != nil {
		drift.Asks = nil
		return drift, nil //nolint:nilerr // the error is what has drifted
	}
	if known {
		drift.InAsks = asks.told.Asked != t.Asked
	} else {
		drift.InAsks = !slices.Equal(asks.told.Issued, t.Issued)
	}
	drift.InState = hashState(p.state) != t.State && (!known || schema == p.kind.schema)
	if drift.InAsks || drift.InState {
		drift.State = p.state
		return drift, nil
	}
	p.calls = append(p.calls, asks.next.Work.Pending...)
	for _, undo := range asks.next.Work.Undo {
		undo.ID += undoSuffix
		p.calls = append(p.calls, undo)
	}
	return nil, nil //nolint:nilnil // it does not drift
}

// reduced is the action that a decision has reduced, nil if it was none.
func reduced(kind string, t *told) *named {
	switch {
	case t.Action != nil:
		return t.Action
	case t.Input == nil || kind == stuckKind || kind == refusedKind:
		return nil
	}
	return t.Input.Action
}

// reduce reduces the action of an entry on the state.
func (p *past) reduce(e *Entry, t *told, action *named, emit func(op) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	state := p.state
	if t.Upcast != nil {
		if state, err = p.kind.upcast(t.Upcast, max(t.Schema, 1)); err != nil {
			return err
		}
	}
	a, err := p.kind.decodeAction(action)
	if err != nil {
		return err
	}
	if action == t.Action {
		if heard := p.heard(t); heard != nil {
			a = heard
		}
	}
	sender := t.Input.Meta
	if sender == nil {
		sender = p.starter
	}
	env := reducer.NewEnv(&source{now: e.At, id: p.id, number: e.Sequence, sender: sender})
	p.state, err = p.kind.step(state, a, env, emit)
	return err
}

// heard is the action that a result has become, with what JSON does not keep of it, as
// that a text is no UTF-8, or a list is empty and not nil. It is nil if another one is
// made of that result now.
func (p *past) heard(t *told) (action any) {
	defer func() {
		if recover() != nil {
			action = nil
		}
	}()
	i := indexCall(p.calls, t.Input.Effect)
	if i < 0 {
		return nil
	}
	known := p.kind.requests[p.calls[i].Request]
	if known == nil || known.act == nil {
		return nil
	}
	in := *t.Input
	if in.Child != nil {
		in = p.kind.childReply(&in)
	}
	action, err := p.kind.heard(known, p.id, &p.calls[i], &in, t.Late)
	if err != nil {
		return nil
	}
	n, err := p.kind.encodeAction(action)
	if err != nil || n.Name != t.Action.Name || !bytes.Equal(n.Data, t.Action.Data) {
		return nil
	}
	return action
}

// words tell what a reducer asks for, once it was found to make sense.
func (k *kind) words(o *op) string {
	request := func(q any) string {
		c, _ := k.encodeRequest(q)
		return c.Request + " " + string(c.Data)
	}
	key, _ := keyOf(o.key)
	switch c := &o.command; o.kind {
	case opDo:
		words := "do " + request(c.Request)
		if c.Undo != nil {
			words += ", undo " + request(c.Undo)
		}
		if c.Key != "" {
			words += ", key " + strconv.Quote(c.Key)
		}
		if c.Timeout != 0 {
			words += ", timeout " + c.Timeout.String()
		}
		if c.Retry != nil {
			words += fmt.Sprintf(", retry %+v", *c.Retry)
		}
		return words
	case opAfter:
		action, _ := k.encodeAction(o.action)
		return fmt.Sprintf("after %v %q: %s %s", time.Duration(o.wait), key, action.Name, action.Data)
	case opCancel:
		return "cancel " + strconv.Quote(key)
	case opCompensate:
		return "compensate " + strconv.Quote(o.reason)
	case opPivot:
		return "pivot"
	case opComplete:
		return "complete"
	}
	return ""
}
