package eventstore

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// Version counts the events of a stream: the first has version 1. A stream
// without events is at version 0.
type Version int64

// Position is the place of an event in the order of all. The first is greater
// than 0; they ascend, with gaps.
type Position int64

// Event is what is appended.
type Event struct {
	// ID identifies the event, for its tenant. The store draws one (UUID
	// version 7) if it is zero; who wants to append again after an unknown
	// outcome gives one.
	ID uuid.UUID
	// Type is its name, as in "inventory.seats-held". It must not be empty.
	Type string
	// Schema is the version of the form of Data; 0 is 1.
	Schema int
	// Data is the payload. It may be empty.
	Data []byte
	// Meta is what is known about it.
	Meta Meta
}

// Meta is what is known about an event besides its payload.
type Meta struct {
	// CorrelationID is the same for all that one request from outside has
	// caused, CausationID is what caused the event itself.
	CorrelationID uuid.UUID `json:"correlationId,omitzero"`
	CausationID   uuid.UUID `json:"causationId,omitzero"`
	// Actor is on whose behalf it happened.
	Actor string `json:"actor,omitempty"`
	// TraceParent is the W3C trace context.
	TraceParent string `json:"traceParent,omitempty"`
	// Subject is whom the payload is about, such as a customer. Package erasure
	// encrypts the payload with the subject's key.
	Subject string `json:"subject,omitempty"`
	// Labels are for what an application adds. nil and empty are the same.
	Labels map[string]string `json:"labels,omitempty"`
}

// Recorded is an event that was committed. What a store hands out must not be
// changed: others may be given the same Data and Labels.
type Recorded struct {
	ID       uuid.UUID
	Tenant   string
	Stream   string
	Type     string
	Schema   int
	Version  Version
	Position Position
	Data     []byte
	Meta     Meta
	At       time.Time // of the commit, in UTC, to the microsecond
	// Redacted tells that the payload was erased: Data is nil.
	Redacted bool
}

// Write is a part of an append: events for one stream.
type Write struct {
	// Stream is the stream's name: 1 to [MaxStreamName] bytes of UTF-8 without a
	// zero byte. What stands before the first hyphen is its category.
	Stream string
	// Expected is the version the stream must have. It must be given.
	Expected Expected
	// Events are appended in their order.
	Events []Event
	// Claim is an idempotency key to be committed with the events, if not nil.
	// A write with a claim may have no events: then Stream must be empty and
	// Expected is not looked at.
	Claim *Claim
}

// Appended is what became of a write.
type Appended struct {
	Stream string
	// Version and Position are those of the stream's last event, which this
	// append wrote. They are zero for a write without events.
	Version  Version
	Position Position
	// Events are what was recorded, in their order.
	Events []Recorded
}

const (
	// MaxStreamName is the greatest length of a stream's name, in bytes.
	MaxStreamName = 512
	// MaxName is the greatest length of other names, in bytes: event types,
	// tenants, claims, snapshot types, subscriptions, subjects.
	MaxName = 256
	// MaxEvents is the greatest number of events of one append.
	MaxEvents = 100_000
)

// Category is what stands before the first hyphen of a stream's name, or the
// whole name: the category of "seats-A-12" is "seats".
func Category(stream string) string {
	category, _, _ := strings.Cut(stream, "-")
	return category
}

// Filter says which events are wanted. The zero value is all of them; of each
// list that is not empty, one must match.
type Filter struct {
	// Categories are those of streams.
	Categories []string
	// Types are those of events.
	Types []string
}

// Matches tells whether an event of that stream and type is wanted.
func (f Filter) Matches(stream, eventType string) bool {
	return oneOf(f.Categories, Category(stream)) && oneOf(f.Types, eventType)
}

func oneOf(wanted []string, s string) bool {
	if len(wanted) == 0 {
		return true
	}
	for _, w := range wanted {
		if w == s {
			return true
		}
	}
	return false
}
