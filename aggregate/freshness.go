package aggregate

import (
	"math"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/workflow"
)

// Freshness says how long the state of an aggregate may be used by commands that
// come after it was loaded. Whatever it is, what is decided is appended only if
// the stream is at the version that was decided on. It matters for decisions
// that append nothing, and for how many conflicts there are.
//
// Its values are [UntilInvalidated], [EveryCommand] and those made by [TTL].
type Freshness int64

const (
	// UntilInvalidated uses a state until an append finds that the stream has
	// gone on, or [Host.Invalidate]. A decision that appends nothing, such as a
	// rejection, is made again if a look at the stream finds more than was known
	// when the command came: it is never made on what others have changed. It is
	// the default.
	UntilInvalidated Freshness = 0
	// EveryCommand brings the state up to date before each command. Commands
	// that wait together share that.
	EveryCommand Freshness = -1
	// ttlZero stands for a TTL that is not above 0.
	ttlZero Freshness = math.MinInt64
)

// TTL brings the state up to date when it is d old. Decisions that append nothing
// may be made on a state of that age. d must be above 0.
func TTL(d time.Duration) Freshness {
	if d <= 0 {
		return ttlZero
	}
	return Freshness(d)
}

func (f Freshness) String() string {
	switch {
	case f == UntilInvalidated:
		return "UntilInvalidated"
	case f == EveryCommand:
		return "EveryCommand"
	case f > 0:
		return "TTL(" + time.Duration(f).String() + ")"
	}
	return "Freshness(" + strconv.FormatInt(int64(f), 10) + ")"
}

func (f Freshness) valid() bool { return f >= EveryCommand }

// policy is f as a workflow has it. One turn waits at a time.
func (f Freshness) policy() workflow.Policy {
	p := workflow.Policy{MaxWaiting: 1, Freshness: workflow.UntilInvalidated}
	switch {
	case f == EveryCommand:
		p.Freshness = workflow.EveryCommand
	case f > 0:
		p.Freshness = workflow.TTL(time.Duration(f))
	}
	return p
}
