package saga

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/reducer"
)

// head is a record with its work decoded. A decision never changes the head it
// is made on.
type head struct {
	Record Record
	Work   work

	posts []Message // to be committed with it
}

// work is what a saga has to do besides its state.
type work struct {
	// Pending are the effects whose results are waited for.
	Pending []call `json:"pending,omitempty"`
	// Undo is the compensation stack, the last issued at its end.
	Undo []call `json:"undo,omitempty"`
	// Given are effects that were given up with their outcome unknown: a result
	// of theirs is a late one.
	Given  []call  `json:"given,omitempty"`
	Timers []timer `json:"timers,omitempty"`
	// Seen are the ids of the last messages.
	Seen []string `json:"seen,omitempty"`
	// Parked is the input at which the saga is stuck.
	Parked *input `json:"parked,omitempty"`
	// Results are those that operators have given, to be taken before anything else,
	// one for an effect.
	Results []input `json:"results,omitempty"`
	// Was is the status before Stuck or Paused.
	Was Status `json:"was,omitempty"`
	// WasReason is the reason before Stuck.
	WasReason string `json:"wasReason,omitempty"`
	Pivoted   bool   `json:"pivoted,omitempty"`
	// Ending is that Complete was said.
	Ending bool `json:"ending,omitempty"`
	// Trace is where a reducer panicked.
	Trace string `json:"trace,omitempty"`
	Meta  *meta  `json:"meta,omitempty"`
	// Parent is whose child the saga is. Told is the end that it was told of last,
	// Owes that it has cancelled the saga and waits for its end.
	Parent *origin `json:"parent,omitempty"`
	Told   Status  `json:"told,omitempty"`
	Owes   bool    `json:"owes,omitempty"`
}

// call is a request that is pending, to be undone or given up.
type call struct {
	// ID is sequence/index of the decision that issued it.
	ID      string          `json:"id"`
	Request string          `json:"request"`
	Data    json.RawMessage `json:"data,omitempty"`
	Key     string          `json:"key,omitempty"`
	// Attempts are those that have failed.
	Attempts int `json:"attempts,omitempty"`
	// Next is when the next may begin; zero is at once. Of a child that has begun
	// it is until when it is waited for, zero without end.
	Next    time.Time     `json:"next,omitzero"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Retry   *RetryPolicy  `json:"retry,omitempty"`
	// Error is that of the last attempt.
	Error string `json:"error,omitempty"`
	// Later is that the handler has said so, or that the child was told.
	Later bool `json:"later,omitempty"`
	// Child is the type of the child that is started, Cancels of the one that is
	// cancelled before anything else is done.
	Child   string `json:"child,omitempty"`
	Cancels string `json:"cancels,omitempty"`
}

// timer is an action that is due.
type timer struct {
	Key    string    `json:"key,omitempty"`
	At     time.Time `json:"at"`
	Action named     `json:"action"`
}

// meta is what a sender said of itself.
type meta struct {
	Correlation uuid.UUID `json:"correlation,omitzero"`
	Causation   uuid.UUID `json:"causation,omitzero"`
	Actor       string    `json:"actor,omitempty"`
	TraceParent string    `json:"traceParent,omitempty"`
}

// maxSeen is how many ids of messages a saga remembers, maxGiven how many effects
// that were given up.
const maxSeen, maxGiven = 128, 128

// undoSuffix is behind the key of an effect in that of its undo.
const undoSuffix = "/undo"

// loaded decodes a record.
func loaded(r Record) (*head, error) {
	h := &head{Record: r}
	if len(r.Work) > 0 {
		if err := json.Unmarshal(r.Work, &h.Work); err != nil {
			return h, fmt.Errorf("decode the work of saga %q: %w", r.ID, err)
		}
	}
	return h, nil
}

// next is the head to make a decision in: a copy whose slices are its own.
func (h *head) next(now time.Time) *head {
	n := new(head)
	*n = *h
	n.posts = nil
	n.Record.Sequence++
	n.Record.Updated = now
	w := &n.Work
	w.Pending, w.Undo, w.Given = slices.Clone(w.Pending), slices.Clone(w.Undo), slices.Clone(w.Given)
	w.Timers, w.Seen, w.Results = slices.Clone(w.Timers), slices.Clone(w.Seen), slices.Clone(w.Results)
	return n
}

// kept is the input to be taken first, nil if there is none.
func (w *work) kept() *input {
	if w.Parked == nil && len(w.Results) > 0 {
		return &w.Results[0]
	}
	return w.Parked
}

// seal ends what has come to its end, and sees to the fields by which a home
// finds the saga.
func (h *head) seal(now time.Time) {
	r, w := &h.Record, &h.Work
	switch {
	case r.Status == Running && w.Ending:
		w.Timers = nil
		if w.Parent == nil || w.Pivoted { // a parent may want it undone
			w.Undo = nil
		}
		if len(w.Pending) == 0 && w.kept() == nil {
			r.Status = Completed
		}
	case r.Status == Compensating && len(w.Undo) == 0 && len(w.Pending) == 0 && w.kept() == nil:
		r.Status = Compensated
	}
	if r.Status.Ended() {
		w.Timers = nil
	}
	r.Reason = clean(r.Reason)
	h.correspond(now)
	h.find(now)
	r.Work = encodeWork(w)
}

// maxReason is how much of a reason is kept, in bytes.
const maxReason = 2000

// clean makes a reason one that every home can keep.
func clean(reason string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(reason[:min(len(reason), maxReason)], "\x00", ""), "")
}

// find sets Ready, Due and Attempts.
func (h *head) find(now time.Time) {
	r, w := &h.Record, &h.Work
	r.Ready, r.Due, r.Attempts = false, time.Time{}, 0
	due := func(at time.Time) {
		if r.Due.IsZero() || at.Before(r.Due) {
			r.Due = at
		}
	}
	begins := func(c *call, runs bool) {
		r.Attempts = max(r.Attempts, c.Attempts)
		switch {
		case runs && w.timesOut(c):
			due(c.Next)
		case !runs || c.Later:
		case c.Next.After(now):
			due(c.Next)
		default:
			r.Ready = true
		}
	}
	at := h.works()
	for i := range w.Pending {
		begins(&w.Pending[i], at)
	}
	for i := range w.Undo {
		begins(&w.Undo[i], r.Status == Compensating && i == len(w.Undo)-1)
	}
	if !at {
		return
	}
	r.Ready = r.Ready || w.kept() != nil
	for i := range w.Timers {
		due(w.Timers[i].At)
	}
}

// begins are the calls that are to be made now, with the ids of their attempts.
func (h *head) begins(now time.Time) iter.Seq2[*call, string] {
	return func(yield func(*call, string) bool) {
		w := &h.Work
		if !h.works() || w.Parked != nil {
			return
		}
		for i := range w.Pending {
			if c := &w.Pending[i]; !c.Later && c.Child == "" && !c.Next.After(now) && !yield(c, c.ID) {
				return
			}
		}
		if n := len(w.Undo); n > 0 && h.Record.Status == Compensating {
			if c := &w.Undo[n-1]; c.Child == "" && c.Cancels == "" && !c.Next.After(now) {
				yield(c, c.ID+undoSuffix)
			}
		}
	}
}

// works tells whether the saga is worked on.
func (h *head) works() bool { return h.Record.Status == Running || h.Record.Status == Compensating }

// takes tells whether the saga takes inputs.
func (h *head) takes() bool { return h.Record.Status != Stuck && h.Record.Status != Paused }

func indexCall(calls []call, id string) int {
	return slices.IndexFunc(calls, func(c call) bool { return c.ID == id })
}

// request is the name of the request of a call, or of an undo.
func (w *work) request(id string) string {
	calls := slices.Concat(w.Pending, w.Given)
	short, undo := undoOf(id)
	if undo {
		calls = w.Undo
	}
	if i := indexCall(calls, short); i >= 0 {
		return calls[i].Request
	}
	return ""
}

func remove(calls []call, id string) []call {
	return slices.DeleteFunc(calls, func(c call) bool { return c.ID == id })
}

// effectID is the idempotency key of a call, or with undo behind it of an undo.
func effectID(id ID, relative string) string {
	if id.Tenant == "" {
		return id.Type + "/" + id.Key + "/" + relative // in one piece
	}
	return id.String() + "/" + relative
}

func callID(sequence int64, index int) string {
	return strconv.FormatInt(sequence, 10) + "/" + strconv.Itoa(index)
}

// namespace is that of all ids that sagas draw.
var namespace = uuid.MustParse("8f0c5ac2-4d0c-5e5b-9d0f-5a0a5c8f1f6e")

// source is the Env of a decision. All it tells depends on the saga, the
// sequence and the input alone, so that a decision made again is the same.
type source struct {
	now    time.Time
	id     ID
	number int64
	sender *meta
	drawn  uint64
	action uuid.UUID
}

func (s *source) Now() time.Time { return s.now }

func (s *source) NewID() uuid.UUID {
	s.drawn++
	return reducer.DeriveID(s.actionID(), s.drawn)
}

func (s *source) Meta() reducer.Meta {
	m := reducer.Meta{ActionID: s.actionID(), CorrelationID: correlation(s.id), Tenant: s.id.Tenant}
	if s.sender != nil {
		m.CausationID, m.Actor, m.TraceParent = s.sender.Causation, s.sender.Actor, s.sender.TraceParent
		if s.sender.Correlation != uuid.Nil {
			m.CorrelationID = s.sender.Correlation
		}
	}
	return m
}

func (s *source) actionID() uuid.UUID {
	if s.action == uuid.Nil {
		s.action = decisionID(s.id, s.number)
	}
	return s.action
}

func decisionID(id ID, sequence int64) uuid.UUID {
	return uuid.NewSHA1(namespace, []byte(id.String()+"/"+strconv.FormatInt(sequence, 10)))
}

// correlation is that of a saga whose sender gave none.
func correlation(id ID) uuid.UUID { return uuid.NewSHA1(namespace, []byte(id.String())) }

// readable is a text as JSON keeps it.
func readable(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// sent is what a sender's context says, nil if that is nothing.
func sent(m reducer.Meta) *meta {
	s := meta{Correlation: m.CorrelationID, Causation: m.CausationID, Actor: readable(m.Actor), TraceParent: readable(m.TraceParent)}
	if m.ActionID != uuid.Nil {
		s.Causation = m.ActionID
	}
	if s == (meta{}) {
		return nil
	}
	return &s
}
