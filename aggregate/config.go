package aggregate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/store"
)

// Config is what may be said about a host. The zero value works.
type Config[S any] struct {
	// Freshness says how long a state in memory may be used: UntilInvalidated,
	// the default, EveryCommand or TTL(d).
	Freshness Freshness
	// MaxWaiting bounds the commands of one aggregate that are accepted and not
	// answered; one more is a *workflow.FullError. The default is 1024; negative
	// values are refused.
	MaxWaiting int
	// MaxBatch bounds the commands that are committed in one append. The default
	// is 256; 1 commits each by itself; negative values are refused.
	MaxBatch int
	// Attempts is how often a command is decided at most because others have
	// changed the aggregate. Then it fails with the *eventstore.ConflictError.
	// From the fourth on there is a wait before each, of up to 50 ms. The default
	// is 32; negative values are refused.
	Attempts int
	// Retry says how often a load or an append is tried again that failed for a
	// reason that may pass, and when. The zero value is 5 attempts, 50 ms to 1 s
	// apart, spread by a fifth. If is set by the host.
	Retry effect.RetryPolicy
	// Timeout bounds each attempt at an append. The default is 10 s; negative
	// values are refused.
	Timeout time.Duration
	// LoadTimeout bounds each attempt at a load. The default is 1 min; negative
	// values are refused.
	LoadTimeout time.Duration
	// KeepKeys is how long an idempotency key is kept. The default is 24 h;
	// negative values are refused. Keys whose time has run out are deleted as new
	// ones come, so that there never are many.
	KeepKeys time.Duration

	// Load reads the state of an aggregate from a read model, and the version of
	// the stream that it reflects; an aggregate that is not there is the zero
	// state at version 0. The default is that the stream is read. The state must
	// be one that Evolve can go on from: what the stream has beyond that version
	// is put on top of it whenever the read model turns out to lag.
	Load func(ctx context.Context, id string) (S, eventstore.Version, error)
	// Snapshots keeps snapshots of states, so that not all events need to be read;
	// the homes of package eventstore do. They are JSON: a state that loses
	// something by it is not kept, and Hooks.DeadLettered is told why; Health
	// counts them. One that cannot be read is thrown away. With Load none are made.
	// The default is that there are none.
	Snapshots eventstore.Snapshots
	// SnapshotPolicy says when one is saved. The default is after 100 events.
	SnapshotPolicy eventstore.SnapshotPolicy
	// SnapshotSchema is the version of the form of the state. Raise it when the
	// type S has changed so that old snapshots are wrong. The default is 1.
	SnapshotSchema int
	// SnapshotUpcast brings a snapshot's data from an older schema version up to
	// SnapshotSchema. The default is that older ones are thrown away.
	SnapshotUpcast func(schema int, data []byte) ([]byte, error)
	// OnUnknown says what happens to events of a type that the registry does not
	// have, or that is not one of the decider's. The default is that the
	// aggregate cannot be loaded: an *eventstore.UnknownTypeError.
	OnUnknown eventstore.OnUnknown
	// TrustDecide leaves out the check that Decide has changed nothing: the state
	// is compared before and after, by a hash, and a command whose Decide has
	// changed it fails with ErrStateChanged. The two hashes of a small struct take
	// 60 ns, those of a map of a thousand names some 100 µs. A state that is no
	// plain data, and has a method Clone, is trusted in any case.
	TrustDecide bool

	// MaxLive bounds the aggregates in memory. One more takes the place of one
	// that is idle; if all are at work it is store.ErrTooManyLive. The default
	// (0) is no bound; negative values are refused.
	MaxLive int
	// IdleAfter is how long an aggregate is kept in memory that nobody uses, give
	// or take half of it. The default is 10 min; negative values are for ever.
	IdleAfter time.Duration
	// Workers is how many loads and appends are at work at once. The default is
	// 256; negative values are refused. Appends to an eventstore/memory store need
	// none and no Timeout: they are done by who executes, unless Hooks has an
	// EffectContext or EffectEnded or there is a Runtime of another kind.
	Workers int
	// Hooks are told what happens within. Actions are the host's own.
	Hooks store.Hooks
	// Runtime is what the host runs on. The default is the real one.
	Runtime store.Runtime
}

func (c Config[S]) withDefaults() Config[S] {
	c.MaxWaiting = orDefault(c.MaxWaiting, 1024)
	c.MaxBatch = orDefault(c.MaxBatch, 256)
	c.Attempts = orDefault(c.Attempts, 32)
	c.Timeout = orDefault(c.Timeout, 10*time.Second)
	c.LoadTimeout = orDefault(c.LoadTimeout, time.Minute)
	c.KeepKeys = orDefault(c.KeepKeys, 24*time.Hour)
	c.IdleAfter = max(orDefault(c.IdleAfter, 10*time.Minute), 0)
	c.SnapshotSchema = orDefault(c.SnapshotSchema, 1)
	if c.Snapshots != nil && c.SnapshotPolicy == nil {
		c.SnapshotPolicy = eventstore.SnapshotEvery(defaultSnapshotEvery)
	}
	c.Retry.Attempts = orDefault(c.Retry.Attempts, 5)
	c.Retry.Delay = orDefault(c.Retry.Delay, 50*time.Millisecond)
	c.Retry.MaxDelay = orDefault(c.Retry.MaxDelay, max(time.Second, c.Retry.Delay))
	c.Retry.Jitter = orDefault(c.Retry.Jitter, 0.2)
	c.Retry.If = nil // the host marks what will not pass
	return c
}

func orDefault[T comparable](v, otherwise T) T {
	if v == *new(T) {
		return otherwise
	}
	return v
}

func (c Config[S]) validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxWaiting", int64(c.MaxWaiting)},
		{"MaxBatch", int64(c.MaxBatch)},
		{"Attempts", int64(c.Attempts)},
		{"Timeout", int64(c.Timeout)},
		{"LoadTimeout", int64(c.LoadTimeout)},
		{"KeepKeys", int64(c.KeepKeys)},
		{"MaxLive", int64(c.MaxLive)},
		{"Workers", int64(c.Workers)},
		{"SnapshotSchema", int64(c.SnapshotSchema)},
		{"Retry.Attempts", int64(c.Retry.Attempts)},
		{"Retry.Delay", int64(c.Retry.Delay)},
		{"Retry.MaxDelay", int64(c.Retry.MaxDelay)},
	} {
		if f.value < 0 {
			return &eventstore.InputError{Field: "Config." + f.name, Value: strconv.FormatInt(f.value, 10), Want: "0 (for the default) or more"}
		}
	}
	input := func(field string, value any, want string) error {
		return &eventstore.InputError{Field: "Config." + field, Value: fmt.Sprint(value), Want: want}
	}
	switch f, j := c.Retry.Factor, c.Retry.Jitter; {
	case f != 0 && !(f >= 1):
		return input("Retry.Factor", f, "0 (for 2), or 1 and more")
	case !(j >= 0 && j <= 1):
		return input("Retry.Jitter", j, "0 to 1")
	case !c.Freshness.valid():
		return input("Freshness", c.Freshness, "UntilInvalidated, EveryCommand or a TTL above 0")
	case c.Snapshots == nil && (c.SnapshotPolicy != nil || c.SnapshotSchema != 0 || c.SnapshotUpcast != nil):
		return input("Snapshots", "nil", "what keeps them, as the other fields about snapshots are set")
	case c.OnUnknown > eventstore.SkipUnknown:
		return input("OnUnknown", c.OnUnknown, "FailUnknown or SkipUnknown")
	}
	return nil
}
