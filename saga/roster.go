package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ParseID reads an id as [ID.String] writes it: type/key, or tenant:type/key.
func ParseID(s string) (ID, error) {
	var id ID
	name, key, found := strings.Cut(s, "/")
	if !found {
		return id, inputError("id", quote(s), "type/key, or tenant:type/key")
	}
	id.Type, id.Key = name, key
	if tenant, name, found := strings.Cut(name, ":"); found {
		unescaped, err := url.QueryUnescape(tenant)
		if err != nil || unescaped == "" {
			return ID{}, inputError("id.Tenant", quote(tenant), "a tenant, escaped as in a query")
		}
		id.Tenant, id.Type = unescaped, name
	}
	return id, CheckID("id", id)
}

// Roster is who runs sagas, and which types are paused.
type Roster struct {
	Workers []RosterWorker // in the order of their ids
	Pauses  []Pause        // of the types that are paused, in their order
}

// RosterWorker is a worker with what it owns.
type RosterWorker struct {
	Member
	// Shards is how many of each type it owns, of 64.
	Shards map[string]int
	// Drain is who has asked it to give them up, and why; nil if nobody has.
	Drain *Pause
}

// Workers tells who runs sagas: those that live, and those that have ended without
// saying so.
func (o *Operator) Workers(ctx context.Context) (Roster, error) {
	fleet, err := o.store.Look(ctx)
	if err != nil {
		return Roster{}, fmt.Errorf("list workers: %w", err)
	}
	drains := map[string]*Pause{}
	var r Roster
	for i, p := range fleet.Pauses {
		switch {
		case !p.Paused:
		case strings.HasPrefix(p.Type, drainPrefix):
			drains[p.Type] = &fleet.Pauses[i]
		default:
			r.Pauses = append(r.Pauses, p)
		}
	}
	for _, m := range fleet.Members {
		r.Workers = append(r.Workers, RosterWorker{Member: m, Shards: map[string]int{}, Drain: drains[drainName(m.ID)]})
	}
	for _, l := range fleet.Leases {
		if i := slices.IndexFunc(r.Workers, func(w RosterWorker) bool { return w.ID == l.Owner }); i >= 0 {
			r.Workers[i].Shards[l.Shard.Type]++
		}
	}
	return r, nil
}

// DeadLetter is an input at which a saga is stuck: its reducer could not make a
// decision on it. What has come for the saga since waits behind it, in order:
// [Operator.Waiting].
type DeadLetter struct {
	Saga ID
	// Kind is what it is: start, signal, timer, reply and so on. Name is that of
	// the action, or the key of the effect that it answers.
	Kind, Name string
	// Message is the id of a signal.
	Message string
	// Data is the action or the result, as JSON.
	Data json.RawMessage
	// Reason is why no decision could be made, Trace where a reducer panicked.
	Reason, Trace string
	// Since is when it was parked.
	Since time.Time
}

// DeadLetters lists the inputs at which sagas are stuck, of those that a query
// asks for; its Statuses are not looked at. [Operator.Redrive] takes one up again,
// [Operator.Resume] drops it.
func (o *Operator) DeadLetters(ctx context.Context, q Query) ([]DeadLetter, error) {
	q.Statuses = []Status{Stuck}
	limit := q.Limit
	if err := CheckQuery(&q); err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	if limit == 0 {
		limit = DefaultLimit
	}
	var letters []DeadLetter
	for {
		page, err := o.List(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		for i := range page {
			q.After = page[i].ID
			r, found, err := o.store.Load(ctx, page[i].ID)
			if err != nil {
				return nil, fmt.Errorf("list dead letters: %w", err)
			}
			if !found {
				continue // it was purged meanwhile
			}
			h, err := loaded(r)
			if err != nil {
				return nil, err
			}
			if h.Work.Parked == nil || r.Status != Stuck {
				continue
			}
			if letters = append(letters, h.deadLetter()); len(letters) == limit {
				return letters, nil
			}
		}
		if len(page) < q.Limit {
			return letters, nil
		}
	}
}

// Waiting is a message that a saga does not take at the moment: it is Stuck or
// Paused, or nobody runs it. It keeps its place.
type Waiting struct {
	// Position is its place among all that wait.
	Position int64
	// ID is that of the message.
	ID string
	// Kind is what it is: start, signal, cancel, or a reply. Name is that of the
	// action, or the key of the effect that it answers.
	Kind, Name string
	// Data is the action or the result, as JSON.
	Data json.RawMessage
	// Since is when it was sent.
	Since time.Time
}

// Waiting lists the messages that wait for a saga after that position, in the order
// in which it will take them, at most limit of them.
func (o *Operator) Waiting(ctx context.Context, id ID, after int64, limit int) ([]Waiting, error) {
	messages, err := o.store.Waiting(ctx, withTenant(ctx, id), after, limit)
	if err != nil {
		return nil, fmt.Errorf("messages of saga %q: %w", id, err)
	}
	var waiting []Waiting
	for i := range messages {
		m := &messages[i]
		if m.Kind == WakeMessage { // it is for the worker, and goes at once
			continue
		}
		w := Waiting{Position: m.Position, ID: m.ID, Kind: string(m.Kind), Since: m.At}
		var in input
		if json.Unmarshal(m.Body, &in) == nil { // the worker tells of what cannot be read
			w.Data = in.Value
			switch {
			case in.Action != nil:
				w.Name, w.Data = in.Action.Name, in.Action.Data
			case in.Effect != "":
				w.Name = effectID(m.To, in.Effect)
			}
		}
		waiting = append(waiting, w)
	}
	return waiting, nil
}

func (h *head) deadLetter() DeadLetter {
	in := h.Work.Parked
	l := DeadLetter{
		Saga: h.Record.ID, Kind: string(in.Kind), Message: in.Message, Data: in.Value,
		Reason: h.Record.Reason, Trace: h.Work.Trace, Since: h.Record.Updated,
	}
	switch {
	case in.Action != nil:
		l.Name, l.Data = in.Action.Name, in.Action.Data
	case in.Effect != "":
		l.Name = effectID(h.Record.ID, in.Effect)
	}
	return l
}

// Redrive has a saga take up again the input at which it is stuck: see
// [Operator.DeadLetters]. Where it is stuck at something else it is ErrRefused.
func (o *Operator) Redrive(ctx context.Context, id ID, by By) (Intervention, error) {
	return o.intervene(ctx, "redrive", id, by, func(h *head) error {
		switch {
		case h.Record.Status != Stuck:
			return refusedIn(h)
		case h.Work.Parked == nil:
			return fmt.Errorf("%w: it is stuck at an attempt, which is for Retry", ErrRefused)
		}
		h.goOn()
		return nil
	})
}
