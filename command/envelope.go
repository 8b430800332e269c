package command

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/aggregate"
)

// Envelope is a command with all that is known about it, as it comes in and as
// it is recorded.
type Envelope struct {
	// ID identifies the command, for its tenant, and is its idempotency key. One
	// is drawn (UUID version 7) if it is zero.
	ID uuid.UUID `json:"id"`
	// Tenant is that of the context. One that differs is refused.
	Tenant string `json:"tenant,omitempty"`
	// Type is the name that the command's type was registered with.
	Type string `json:"type"`
	// Payload is the command as JSON.
	Payload json.RawMessage `json:"payload"`
	// Status is how far the command has come. It is set by the bus.
	Status Status `json:"status,omitempty"`
	// Metadata is where the command comes from.
	Metadata Metadata `json:"metadata,omitzero"`
	// Actor is on whose behalf it is given: that of reducer.WithMeta. If that has
	// one, another is refused.
	Actor string `json:"actor,omitempty"`
	// Due is before when it is not carried out; zero is at once.
	Due time.Time `json:"due,omitzero"`
	// OrderingKey, if it is not empty, puts it in line with the other queued
	// commands of the key: see [InOrder].
	OrderingKey string `json:"orderingKey,omitempty"`
}

// Metadata is what travels with a command. What is zero comes from
// reducer.WithMeta.
type Metadata struct {
	// CorrelationID is the same for all that one request from outside causes:
	// the command's own id, if nothing else is known.
	CorrelationID uuid.UUID `json:"correlationId,omitzero"`
	// CausationID is what caused the command.
	CausationID uuid.UUID `json:"causationId,omitzero"`
	// TraceParent is the W3C trace context of the sender.
	TraceParent string `json:"traceParent,omitempty"`
	// Labels are for what an application adds.
	Labels map[string]string `json:"labels,omitempty"`
}

// Status is how far a command has come.
type Status string

const (
	// Pending is what is recorded and neither done nor given up.
	Pending Status = "pending"
	// Consumed is what was carried out.
	Consumed Status = "consumed"
	// Failed is what will not be carried out: it was rejected, refused or
	// cancelled, or has failed for good.
	Failed Status = "failed"
)

// Receipt is what the sender of a command gets that is queued or scheduled. It is
// durable: the command will be carried out.
type Receipt struct {
	aggregate.Receipt
	// Status is Pending, unless a command with the same id was there before.
	Status Status `json:"status"`
}

// Record is what is known of a command.
type Record struct {
	Envelope
	// AcceptedAt is when it was recorded, by the home's clock.
	AcceptedAt time.Time `json:"acceptedAt"`
	// Attempts counts how often it was begun.
	Attempts int `json:"attempts"`
	// Next is before when it is not begun again, after an attempt that failed.
	Next time.Time `json:"next,omitzero"`
	// Failure is why the last attempt has failed.
	Failure *Failure `json:"failure,omitempty"`
	// Result is what the handler has answered, as JSON.
	Result json.RawMessage `json:"result,omitempty"`
	// FinishedAt is when it was found consumed or failed.
	FinishedAt time.Time `json:"finishedAt,omitzero"`
}

// Failure is why a command has failed.
type Failure struct {
	// Code is for programs: a rejection's own, or one of the Code… constants.
	Code string `json:"code,omitempty"`
	// Reason is for people.
	Reason string `json:"reason"`
	// Rejected tells that the command was decided, and the decision was no.
	Rejected bool `json:"rejected,omitempty"`
	// Passing tells that the reason may have passed: the same command, with the
	// same id, can be given again.
	Passing bool `json:"passing,omitempty"`
	// Stack is where a handler has panicked, shortened.
	Stack string `json:"stack,omitempty"`
}

// What a command can fail with besides rejections.
const (
	CodeCancelled = "cancelled" // by Cancel
	CodeForbidden = "forbidden" // by Config.Authorize
	CodeInvalid   = "invalid"   // it was accepted by a program that wanted it otherwise
	CodeErased    = "erased"    // its subject was erased before it was carried out
	CodePanic     = "panic"     // of the handler
	CodeConflict  = "conflict"  // others have changed the aggregate, again and again
	CodeTimeout   = "timeout"   // Config.Timeout
	CodePassing   = "passing"   // another error that may pass
	CodeCrashed   = "crashed"   // the process has died at it as often as it may be tried
	CodeError     = "error"     // any other
)

// Option says something about one command.
type Option struct{ apply func(*Envelope) }

// WithID gives the command an id, and thereby makes it safe to repeat: the same
// command with the same id is carried out once, and its answer is told again.
// Another command with that id is an *aggregate.KeyReusedError.
func WithID(id uuid.UUID) Option { return Option{func(e *Envelope) { e.ID = id }} }

// As says on whose behalf the command is given.
func As(actor string) Option { return Option{func(e *Envelope) { e.Actor = actor }} }

// WithLabel adds a label to the metadata.
func WithLabel(name, value string) Option {
	return Option{func(e *Envelope) {
		if e.Metadata.Labels == nil {
			e.Metadata.Labels = map[string]string{}
		}
		e.Metadata.Labels[name] = value
	}}
}

// InOrder has queued and scheduled commands with the same key, such as the id of
// an aggregate, carried out one at a time, in the order in which they were due or
// accepted. One that has to be tried again holds up those behind it. A command
// that is dispatched does not stand in line.
func InOrder(key string) Option { return Option{func(e *Envelope) { e.OrderingKey = key }} }
