package reducer

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Env is what a reducer may know of the step it takes: the time, new ids and
// where the action came from. It is data, recorded with the step, so that a
// replay sees the same. It is good for that step only: do not keep it. The zero
// Env is for calling reducers that do not look at it; its methods panic.
type Env struct{ source Source }

// Source is what drives an [Env]. Stores and the testkit have their own; with
// [NewEnv] and [Fixed] a reducer can be called by hand.
type Source interface {
	Now() time.Time
	NewID() uuid.UUID
	Meta() Meta
}

// NewEnv makes an Env from its source.
func NewEnv(source Source) Env { return Env{source} }

// Now is the time of the step, in UTC. It is read at most once, so all of a step,
// and of the steps a store takes in one go, has the same time.
func (e Env) Now() time.Time { return e.source.Now() }

// NewID makes an id that is derived from the action's id and the number of ids
// drawn in the step before it (UUID version 5, RFC 9562), so that a replay
// draws the same.
func (e Env) NewID() uuid.UUID { return e.source.NewID() }

// Meta tells which action this is and where it came from.
func (e Env) Meta() Meta { return e.source.Meta() }

// Meta is what travels with an action to everything it causes: the actions of
// its effects, timers included, and its handlers' contexts.
type Meta struct {
	// ActionID identifies the action.
	ActionID uuid.UUID `json:"actionId"`
	// CorrelationID is the same for all that one action from outside causes. It
	// is that action's id unless the sender gave another.
	CorrelationID uuid.UUID `json:"correlationId"`
	// CausationID is the id of the action that caused this one. It is zero for
	// an action from outside, unless the sender gave one.
	CausationID uuid.UUID `json:"causationId"`
	// Tenant, Actor and TraceParent (W3C trace context) are what the sender
	// gave, if anything.
	Tenant      string `json:"tenant,omitempty"`
	Actor       string `json:"actor,omitempty"`
	TraceParent string `json:"traceParent,omitempty"`
}

type metaKey struct{}

// WithMeta returns a context whose sends carry meta. What is zero in it is
// filled in by the store.
func WithMeta(ctx context.Context, meta Meta) context.Context {
	return context.WithValue(ctx, metaKey{}, &meta)
}

// MetaFrom returns the metadata a context carries: that given to [WithMeta], or
// in a handler that of the action that asked for its request.
func MetaFrom(ctx context.Context) (Meta, bool) {
	switch m := ctx.Value(metaKey{}).(type) {
	case *Meta:
		return *m, true
	case func() Meta:
		return m(), true
	}
	return Meta{}, false
}

// MetaKey is the key under which [MetaFrom] looks, for contexts that packages
// of this module make. The value is a *Meta or a func() Meta.
func MetaKey() any { return metaKey{} }

// DeriveID gives the nth id of a name space: what [Env.NewID] does with the
// action's id.
func DeriveID(space uuid.UUID, n uint64) uuid.UUID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return uuid.NewSHA1(space, b[:])
}

// Fixed is a [Source] whose time and metadata stand still, for calling a
// reducer by hand. Its pointer is the source: ids are drawn in order.
type Fixed struct {
	Time   time.Time
	Action Meta
	drawn  uint64
}

// Now is f.Time.
func (f *Fixed) Now() time.Time { return f.Time }

// NewID derives the next id from the action's.
func (f *Fixed) NewID() uuid.UUID {
	f.drawn++
	return DeriveID(f.Action.ActionID, f.drawn)
}

// Meta is f.Action.
func (f *Fixed) Meta() Meta { return f.Action }
