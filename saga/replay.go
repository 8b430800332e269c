package saga

import (
	"encoding/json"
	"fmt"

	"github.com/seed57833328/rondo/reducer"
)

// Drift tells where a history, replayed through the reducer as it is now, comes to
// another state than the one that was committed. It is information: a saga in
// flight goes on from its record, whatever the reducer was before.
type Drift struct {
	// Sequence and Kind are those of the first decision that differs.
	Sequence int64
	Kind     string
	// Action is the name of what was reduced.
	Action string
	// Err is why the reducer cannot make the decision any more, nil if it makes
	// another one.
	Err error
	// State is what it comes to, as JSON.
	State []byte
}

// Replay reduces a history again, from its beginning, and returns where it drifts
// first, nil if it does not. No effect is done. The error is that the history
// cannot be read.
func (d *Definition[S, A]) Replay(id ID, history []Entry) (*Drift, error) {
	k := d.kind
	var state []byte
	var starter *meta
	for i, e := range history {
		if e.Sequence != int64(i+1) {
			return nil, fmt.Errorf("replay saga %q: entry %d has sequence %d, want the whole history", id, i+1, e.Sequence)
		}
		var t told
		if err := json.Unmarshal(e.Data, &t); err != nil {
			return nil, fmt.Errorf("replay saga %q: entry %d: %w", id, e.Sequence, err)
		}
		if e.Sequence == 1 && t.Input != nil {
			starter = t.Input.Meta
		}
		action := reduced(e.Kind, &t)
		if action == nil {
			continue
		}
		sender := t.Input.Meta
		if sender == nil {
			sender = starter
		}
		next, err := k.replay(state, action, &source{now: e.At, id: id, number: e.Sequence, sender: sender})
		if err != nil || hashState(next) != t.State {
			return &Drift{Sequence: e.Sequence, Kind: e.Kind, Action: action.Name, Err: err, State: next}, nil //nolint:nilerr // the error is what has drifted
		}
		state = next
	}
	return nil, nil //nolint:nilnil // no drift is what is hoped for
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

// replay reduces an action for its state alone.
func (k *kind) replay(state []byte, action *named, env *source) (next []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	a, err := k.decodeAction(action)
	if err != nil {
		return nil, err
	}
	return k.step(state, a, reducer.NewEnv(env), func(op) error { return nil })
}
