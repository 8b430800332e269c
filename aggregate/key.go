package aggregate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// outcome is what is kept with an idempotency key: enough to tell again what
// became of the command.
type outcome struct {
	Command  uuid.UUID          `json:"command"`
	Version  eventstore.Version `json:"version"`          // after it
	Events   int                `json:"events,omitempty"` // that it made happen, the last of them at Version
	Rejected bool               `json:"rejected,omitempty"`
	Code     string             `json:"code,omitempty"`
	Reason   string             `json:"reason,omitempty"`
}

// claimOf is the claim to an order's key, with what was decided.
func claimOf[S, C any](o *order[C], d *decision[S, C], version eventstore.Version, until time.Time) *eventstore.Claim {
	was := outcome{Command: o.id, Version: version, Events: d.to - d.from}
	if r, ok := d.reply.err.(*RejectionError); ok { //nolint:errorlint // made by rejection
		was.Rejected, was.Code, was.Reason = true, r.Code, r.Reason
	}
	result, err := json.Marshal(was)
	if err != nil {
		panic(fmt.Sprintf("aggregate: encode %+v: %v", was, err)) // strings and numbers always can be
	}
	return &eventstore.Claim{Key: o.key, Hash: o.hash, Result: result, Until: until}
}

func readOutcome(c *eventstore.Claim) (was outcome, err error) {
	err = json.Unmarshal(c.Result, &was)
	if err == nil && was.Command == uuid.Nil {
		err = fmt.Errorf("idempotency key %q was not taken by an aggregate's command", c.Key)
	}
	return was, err
}

// hashOf identifies a command: what it is for, its type and its payload.
func hashOf(stream string, command any) ([]byte, error) {
	payload, err := json.Marshal(command)
	if err != nil {
		return nil, fmt.Errorf("the command has an idempotency key, so it must be possible to encode it: %w", err)
	}
	h := sha256.New()
	for _, part := range []string{stream, typeName(command)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	h.Write(payload)
	return h.Sum(nil), nil
}
