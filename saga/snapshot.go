package saga

import (
	"encoding/json"
	"time"
)

// Snapshot is a saga as an operator sees it.
type Snapshot struct {
	Record
	// Pending are the effects whose results are waited for, Undo the
	// compensation stack, what was issued last at its end.
	Pending []Effect
	Undo    []Effect
	Timers  []Timer
	// Pivoted tells that there is no way back.
	Pivoted bool
	// Was is the status before it was Stuck or Paused.
	Was Status
	// Parked tells what it is stuck at, Trace where a reducer panicked.
	Parked string
	Trace  string
	// Parent is the saga whose child it is, zero if it is nobody's.
	Parent ID
}

// Effect is something that is pending, or to be undone.
type Effect struct {
	// ID is its idempotency key; that of its undo has /undo behind it.
	ID      string
	Request string
	Data    json.RawMessage
	// Attempts are those that have failed, Error what the last one said.
	Attempts int
	Error    string
	// Next is when the next attempt may begin; zero is at once.
	Next time.Time
	// Later tells that its result comes by [Operator.Resolve], or from Child.
	Later bool
	// Child is the saga that it runs or cancels, zero if it is no child.
	Child ID
}

// Timer is an action that is due.
type Timer struct {
	Key    string // one that begins with # is of a timer without a name
	At     time.Time
	Action string
	Data   json.RawMessage
}

func snapshot(h *head) Snapshot {
	w := &h.Work
	s := Snapshot{Record: h.Record, Pivoted: w.Pivoted || w.Ending, Was: w.Was, Trace: w.Trace}
	if w.Parent != nil {
		s.Parent = w.Parent.id(h.Record.ID.Tenant)
	}
	effects := func(calls []call, suffix string) []Effect {
		all := make([]Effect, len(calls))
		for i, c := range calls {
			all[i] = Effect{
				ID: effectID(h.Record.ID, c.ID), Request: c.Request, Data: c.Data,
				Attempts: c.Attempts, Error: c.Error, Next: c.Next, Later: c.Later,
			}
			switch {
			case c.Cancels != "":
				all[i].Child = childOf(h.Record.ID, c.ID, c.Cancels)
			case c.Child != "":
				all[i].Child = childOf(h.Record.ID, c.ID+suffix, c.Child)
			}
		}
		return all
	}
	s.Pending, s.Undo = effects(w.Pending, ""), effects(w.Undo, undoSuffix)
	for _, t := range w.Timers {
		s.Timers = append(s.Timers, Timer{Key: t.Key, At: t.At, Action: t.Action.Name, Data: t.Action.Data})
	}
	if p := w.Parked; p != nil {
		s.Parked = string(p.Kind)
		switch {
		case p.Action != nil:
			s.Parked += " " + p.Action.Name
		case p.Effect != "":
			s.Parked += " " + effectID(h.Record.ID, p.Effect)
		}
	}
	return s
}
