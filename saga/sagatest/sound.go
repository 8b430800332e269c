package sagatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/seed57833328/rondo/internal/display"
	"github.com/seed57833328/rondo/internal/kept"
	"github.com/seed57833328/rondo/internal/rehearsal"
	"github.com/seed57833328/rondo/saga"
)

// pure makes the decisions again, on the same record and at the same time, and
// holds what comes of them to what came before.
func (s *Saga[S, A]) pure(in rehearsal.Input, next rehearsal.Machine, first *rehearsal.Outcome) {
	s.t.Helper()
	for run := range s.config.PurityRuns {
		again, outcome, err := s.machine.Do(s.now, in)
		if err != nil {
			s.fatal(err.Error(), "")
		}
		was, is := made(next, first), made(again, &outcome)
		if !equal(was, is) {
			s.fatal("the reducer is impure: the same state, action and env led to another decision",
				fmt.Sprintf("decision (-first run +run %d):\n", run+2)+diff(was, is)+`

Likely causes:
  the order of a map: range over slices.Sorted(maps.Keys(m))
  the clock or chance: take the time from env.Now(), ids from env.NewID()
  something kept outside of the state: a field of the reducer, a captured variable, a global`)
		}
	}
}

// decided is what the reducer has a part in.
type decided struct {
	Status        saga.Status
	Reason        string
	State         any
	Pending, Undo []string
	Timers        []saga.Timer
	Reduced       []any
	Problem       []string
}

func made(m rehearsal.Machine, o *rehearsal.Outcome) decided {
	v := snapshotOf(m)
	d := decided{Status: v.Status, Reason: v.Reason, Timers: v.Timers}
	if err := json.Unmarshal(v.Record.State, &d.State); err != nil {
		d.State = string(v.Record.State)
	}
	for _, e := range v.Pending {
		d.Pending = append(d.Pending, e.Request+" "+string(e.Data))
	}
	for _, e := range v.Undo {
		d.Undo = append(d.Undo, e.Request+" "+string(e.Data))
	}
	for i := range o.Decisions {
		d.Reduced = append(d.Reduced, o.Decisions[i].Action)
		d.Problem = append(d.Problem, o.Decisions[i].Problem)
	}
	return d
}

// sound holds what the record keeps to what it must be able to give back.
func (s *Saga[S, A]) sound() {
	s.t.Helper()
	kept := s.view.Record.State
	if len(kept) == 0 {
		return
	}
	state, err := s.def.State(s.view)
	if err != nil {
		s.fatal(fmt.Sprintf("the state does not survive its JSON: %v", err), "It was written as "+string(kept))
	}
	again, err := json.Marshal(&state)
	if err != nil {
		s.fatal(fmt.Sprintf("the state does not survive its JSON: %v", err), "It was written as "+string(kept))
	}
	if !bytes.Equal(kept, again) {
		var x, y any
		_, _ = json.Unmarshal(kept, &x), json.Unmarshal(again, &y) // as they were just written
		s.fatal("the state does not survive its JSON: read and written again it is another", "JSON (-written +written again):\n"+diff(x, y))
	}
}

// unkept names what JSON leaves out of a state, an action or a request.
func unkept[S any](actions, requests map[string]reflect.Type) string {
	if losses := lost(reflect.TypeFor[S]()); losses != nil {
		return "the state does not survive its JSON: " + losses[0]
	}
	for _, group := range []struct {
		what  string
		types map[string]reflect.Type
	}{{"action", actions}, {"request", requests}} {
		for _, name := range slices.Sorted(maps.Keys(group.types)) {
			t := group.types[name]
			if losses := lost(t); losses != nil {
				return fmt.Sprintf("%s %q does not survive its JSON: %s", group.what, name, losses[0])
			}
		}
	}
	return ""
}

// lost is what of values of a type a decision after a restart would not find. A
// definition takes the tag json:"-" for what is meant; here it is a loss, as
// decisions go by the whole value.
func lost(t reflect.Type) []string { return kept.Losses(display.TypeName(t), t, kept.TagLost) }
