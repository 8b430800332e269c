package workflow

import (
	"fmt"
	"math"
	"time"
)

// DefaultMaxWaiting is the bound of a [Policy] that names none.
const DefaultMaxWaiting = 64

// Policy says how many commands may wait and how long data may be used. It is
// configuration, not state: it is never saved, and the same [Workflow] may see
// another one after a new release. The zero value works.
type Policy struct {
	// MaxWaiting is the greatest number of commands that are accepted and not
	// yet processed, failed or removed, the one that started the load among
	// them. A lower bound than before refuses new commands until there is room;
	// it drops none. Default (0): DefaultMaxWaiting. Negative is an error.
	MaxWaiting int

	// Freshness says how long data may be used: EveryCommand, TTL(d) or
	// UntilInvalidated. Default: EveryCommand.
	Freshness Freshness
}

// Validate reports the field that makes p unusable, if one does. [Workflow.Admit]
// returns the same error; calling Validate at start-up finds it earlier.
func (p Policy) Validate() error {
	if p.MaxWaiting < 0 {
		return fmt.Errorf("workflow: Policy.MaxWaiting is %d, want 0 (for %d) or more", p.MaxWaiting, DefaultMaxWaiting)
	}
	if p.Freshness < 0 {
		return fmt.Errorf("workflow: Policy.Freshness is %v, want a time to live above 0", p.Freshness)
	}
	return nil
}

func (p Policy) limit() int {
	if p.MaxWaiting == 0 {
		return DefaultMaxWaiting
	}
	return p.MaxWaiting
}

// Freshness says how long data may be used by commands that come after it was
// loaded. Its values are [EveryCommand], [UntilInvalidated] and those made by
// [TTL].
type Freshness int64

const (
	// EveryCommand has each command load its data anew. Commands that waited
	// for the same load share it.
	EveryCommand Freshness = 0

	// UntilInvalidated keeps data until [Workflow.Invalidate] or until another
	// key is loaded.
	UntilInvalidated Freshness = math.MaxInt64

	// ttlZero stands for TTL(0), which must not pass for EveryCommand.
	ttlZero Freshness = math.MinInt64
)

// TTL keeps data until it is d old. Data that seems to come from the future,
// because the clock was set back, is loaded anew: its age cannot be told. If d
// is not above 0, [Policy.Validate] says so.
func TTL(d time.Duration) Freshness {
	if d == 0 {
		return ttlZero
	}
	return Freshness(d)
}

// String returns the constant's name or TTL with its duration.
func (f Freshness) String() string {
	switch f {
	case EveryCommand:
		return "EveryCommand"
	case UntilInvalidated:
		return "UntilInvalidated"
	case ttlZero:
		return "TTL(0s)"
	}
	return "TTL(" + time.Duration(f).String() + ")"
}

// keeps reports whether data loaded at one time may be used by a command that
// comes at another.
func (f Freshness) keeps(loadedAt, now time.Time) bool {
	if f == UntilInvalidated {
		return true
	}
	age := now.Sub(loadedAt)
	return 0 <= age && age < time.Duration(f) // never with EveryCommand, which is 0
}
