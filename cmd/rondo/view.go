package main

import (
	"encoding/json"
	"time"

	"github.com/seed57833328/rondo/saga"
)

// What --json writes. Fields are added, not changed.

type recordView struct {
	Saga     string      `json:"saga"`
	Tenant   string      `json:"tenant,omitempty"`
	Type     string      `json:"type"`
	Key      string      `json:"key"`
	Status   saga.Status `json:"status"`
	Reason   string      `json:"reason,omitempty"`
	Sequence int64       `json:"sequence"`
	Ready    bool        `json:"ready"`
	Due      time.Time   `json:"due,omitzero"`
	Attempts int         `json:"attempts"`
	Started  time.Time   `json:"started"`
	Updated  time.Time   `json:"updated"`
}

func viewRecord(r *saga.Record) recordView {
	return recordView{
		r.ID.String(), r.ID.Tenant, r.ID.Type, r.ID.Key, r.Status, r.Reason, r.Sequence, r.Ready, r.Due, r.Attempts, r.Started, r.Updated,
	}
}

type snapshotView struct {
	recordView
	State   json.RawMessage `json:"state,omitempty"`
	Pending []effectView    `json:"pending"`
	Undo    []effectView    `json:"undo"`
	Timers  []timerView     `json:"timers"`
	Pivoted bool            `json:"pivoted"`
	Was     saga.Status     `json:"was,omitempty"`
	Parked  string          `json:"parked,omitempty"`
	Trace   string          `json:"trace,omitempty"`
	Parent  string          `json:"parent,omitempty"`
	Waiting []waitingView   `json:"waiting,omitempty"`
	// TypePaused is what show tells of the type.
	TypePaused *pauseView `json:"typePaused,omitempty"`
}

type waitingView struct {
	Position int64           `json:"position"`
	ID       string          `json:"id"`
	Kind     string          `json:"kind"`
	Name     string          `json:"name,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Since    time.Time       `json:"since"`
}

type effectView struct {
	ID       string          `json:"id"`
	Request  string          `json:"request,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Attempts int             `json:"attempts"`
	Error    string          `json:"error,omitempty"`
	Next     time.Time       `json:"next,omitzero"`
	Later    bool            `json:"later,omitempty"`
	Child    string          `json:"child,omitempty"`
}

type timerView struct {
	Key    string          `json:"key"`
	At     time.Time       `json:"at"`
	Action string          `json:"action"`
	Data   json.RawMessage `json:"data,omitempty"`
}

func viewSnapshot(s *saga.Snapshot) snapshotView {
	v := snapshotView{
		recordView: viewRecord(&s.Record), State: s.Record.State, Pivoted: s.Pivoted, Was: s.Was, Parked: s.Parked, Trace: s.Trace,
		Pending: viewEffects(s.Pending, ""), Undo: viewEffects(s.Undo, "/undo"), Timers: []timerView{},
	}
	if s.Parent != (saga.ID{}) {
		v.Parent = s.Parent.String()
	}
	for _, t := range s.Timers {
		v.Timers = append(v.Timers, timerView(t))
	}
	return v
}

func viewEffects(effects []saga.Effect, suffix string) []effectView {
	views := make([]effectView, len(effects))
	for i := range effects {
		e := &effects[i]
		views[i] = effectView{
			ID: e.ID + suffix, Request: e.Request, Data: e.Data, Attempts: e.Attempts, Error: e.Error, Next: e.Next, Later: e.Later,
		}
		if e.Child != (saga.ID{}) {
			views[i].Child = e.Child.String()
		}
	}
	return views
}

type changeView struct {
	Done      bool         `json:"done"`
	Unchecked bool         `json:"unchecked,omitempty"` // a value whose type is not known here
	Before    snapshotView `json:"before"`
	After     snapshotView `json:"after"`
	// TypePaused is why it does not go on.
	TypePaused *pauseView `json:"typePaused,omitempty"`
}

type entryView struct {
	Sequence int64           `json:"sequence"`
	At       time.Time       `json:"at"`
	Kind     string          `json:"kind"`
	Data     json.RawMessage `json:"data"`
}

type letterView struct {
	Saga    string          `json:"saga"`
	Kind    string          `json:"kind"`
	Name    string          `json:"name,omitempty"`
	Message string          `json:"message,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Reason  string          `json:"reason"`
	Trace   string          `json:"trace,omitempty"`
	Since   time.Time       `json:"since"`
}

type rosterView struct {
	Workers []workerView `json:"workers"`
	Pauses  []pauseView  `json:"pauses"`
}

type workerView struct {
	ID       string         `json:"id"`
	Live     bool           `json:"live"`
	Draining bool           `json:"draining"`
	Types    []string       `json:"types"`
	Shards   map[string]int `json:"shards"`
	Drain    *pauseView     `json:"drain,omitempty"`
}

type pauseView struct {
	Type   string    `json:"type,omitempty"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

type pauseEntryView struct {
	Number  int64     `json:"number"`
	Command string    `json:"command"`
	Type    string    `json:"type,omitempty"`
	Worker  string    `json:"worker,omitempty"`
	Actor   string    `json:"actor"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

func viewPause(p *saga.Pause) *pauseView {
	if p == nil {
		return nil
	}
	return &pauseView{p.Type, p.Actor, p.Reason, p.At}
}

func viewRoster(r *saga.Roster) rosterView {
	v := rosterView{Workers: make([]workerView, len(r.Workers)), Pauses: make([]pauseView, len(r.Pauses))}
	for i := range r.Workers {
		w := &r.Workers[i]
		v.Workers[i] = workerView{ID: w.ID, Live: w.Live, Draining: w.Draining, Types: w.Types, Shards: w.Shards}
		if d := w.Drain; d != nil {
			v.Workers[i].Drain = &pauseView{Actor: d.Actor, Reason: d.Reason, At: d.At}
		}
	}
	for i, p := range r.Pauses {
		v.Pauses[i] = pauseView{p.Type, p.Actor, p.Reason, p.At}
	}
	return v
}
