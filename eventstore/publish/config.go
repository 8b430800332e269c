package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// Config is what may be said about a publisher. The zero value publishes all
// events of the tenant.
type Config struct {
	// Filter says which events are wanted. The default is all. The checkpoint
	// moves over those that are not.
	Filter eventstore.Filter
	// AllTenants publishes the events of all tenants, in one order. Lease and
	// checkpoint belong to the tenant of Run's context nevertheless, and the
	// handler's context is one of eventstore.AllTenants: for what it does in the
	// name of an event's tenant it says so.
	AllTenants bool
	// BatchSize is how many events a handler is given at once, at most. Twice as
	// many are in memory. The default is 100; negative values are refused.
	BatchSize int
	// BatchBytes bounds the data of a batch, in bytes; an event that has more
	// comes alone. The default is 1 MiB; negative values are refused.
	BatchBytes int
	// LeaseTTL is how long the lease is taken for: about as long as nothing is
	// published after a process has died. A call of the checkpoints is given up
	// after a quarter of it. The default is 12 s, 4 ms the least.
	LeaseTTL time.Duration
	// Heartbeat is how often the lease is renewed, and about how often those that
	// wait for it ask. The default is a quarter of LeaseTTL, and half of it the
	// most.
	Heartbeat time.Duration
	// Owner names the holder for those who look on. Each Run adds something of
	// its own, so that no two ever are the same owner. The default is the host's
	// name and the process's id.
	Owner string
	// RetryDelay is the wait after a first failure, of the handler or of the
	// store. It doubles with every further one up to MaxRetryDelay, and is spread
	// by a quarter. The default is 100 ms; negative values are refused.
	RetryDelay time.Duration
	// MaxRetryDelay is the longest wait. The default is 30 s, or RetryDelay if
	// that is longer.
	MaxRetryDelay time.Duration
	// Attempts is how often an event is given to a handler that fails before the
	// publisher stops. The default is without end; negative values are refused.
	Attempts int
	// Hooks are told what happens.
	Hooks Hooks
}

// Hooks are told what happens in a publisher. Any may be nil. They are called on
// its goroutines and hold it up: they must be quick, and must not panic.
type Hooks struct {
	// Waiting is called each time another is found to have the lease.
	Waiting func(held *eventstore.LeaseHeldError)
	// Started is called when the lease was taken.
	Started func(lease eventstore.Lease)
	// Published is called when events were handled and the checkpoint was saved.
	Published func(b Batch)
	// Retrying is called when something failed and will be tried again. The
	// default is a warning in the default logger of log/slog, so that nothing
	// fails for ever unseen.
	Retrying func(r RetryInfo)
	// LeaseLost is called when another has taken the lease, the checkpoint was
	// reset, or the lease could not be renewed in its time. The handler has
	// returned. The publisher goes on waiting for the lease.
	LeaseLost func(lease eventstore.Lease, err error)
	// Stopped is called when Run has given the lease up and returns. err is what
	// it returns.
	Stopped func(lease eventstore.Lease, err error)
}

// LogHooks are hooks that log: batches and waiting at debug level, leases at
// info, failures and lost leases at warn, stopping with an error at error.
func LogHooks(log *slog.Logger) Hooks {
	of := func(l eventstore.Lease) slog.Attr {
		return slog.Group("lease", "subscription", l.Subscription, "owner", l.Owner, "token", l.Token, "checkpoint", l.Checkpoint)
	}
	return Hooks{
		Waiting: func(held *eventstore.LeaseHeldError) {
			log.Debug("subscription is run by another", "subscription", held.Subscription, "owner", held.Owner, "expires", held.Expires)
		},
		Started: func(l eventstore.Lease) { log.Info("subscription taken", of(l)) },
		Published: func(b Batch) {
			log.Debug("events published", "subscription", b.Lease.Subscription, "events", len(b.Events), "position", b.Position(), "attempt", b.Attempt)
		},
		Retrying:  func(r RetryInfo) { logRetry(log, r) },
		LeaseLost: func(l eventstore.Lease, err error) { log.Warn("subscription lost", of(l), "error", err) },
		Stopped: func(l eventstore.Lease, err error) {
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				log.Info("subscription given up", of(l))
				return
			}
			log.Error("subscription stopped", of(l), "error", err)
		},
	}
}

func logRetry(log *slog.Logger, r RetryInfo) {
	attrs := []any{"subscription", r.Subscription, "doing", r.Doing, "attempt", r.Attempt, "delay", r.Delay, "error", r.Err}
	if len(r.Events) > 0 {
		e := r.Events[0]
		attrs = append(attrs, "event", e.ID, "type", e.Type, "stream", e.Stream, "position", e.Position)
	}
	if p := (*PanicError)(nil); errors.As(r.Err, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	log.Warn("subscription will try again", attrs...)
}

const (
	defaultBatchSize     = 100
	defaultBatchBytes    = 1 << 20
	defaultLeaseTTL      = 12 * time.Second
	defaultRetryDelay    = 100 * time.Millisecond
	defaultMaxRetryDelay = 30 * time.Second
	retryJitter          = 0.25 // of the delay
	// maxOwner leaves room for a slash and a UUID.
	maxOwner = eventstore.MaxName - 37
)

func (c Config) withDefaults() Config {
	c.Filter.Categories = slices.Clone(c.Filter.Categories)
	c.Filter.Types = slices.Clone(c.Filter.Types)
	if c.BatchSize == 0 {
		c.BatchSize = defaultBatchSize
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = defaultBatchBytes
	}
	if c.LeaseTTL == 0 {
		c.LeaseTTL = defaultLeaseTTL
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = c.LeaseTTL / 4
	}
	if c.Owner == "" {
		c.Owner = process()
	}
	if c.RetryDelay == 0 {
		c.RetryDelay = defaultRetryDelay
	}
	if c.MaxRetryDelay == 0 {
		c.MaxRetryDelay = max(defaultMaxRetryDelay, c.RetryDelay)
	}
	if c.Hooks.Retrying == nil {
		c.Hooks.Retrying = func(r RetryInfo) { logRetry(slog.Default(), r) }
	}
	if c.Hooks.Waiting == nil {
		c.Hooks.Waiting = func(*eventstore.LeaseHeldError) {}
	}
	if c.Hooks.Started == nil {
		c.Hooks.Started = func(eventstore.Lease) {}
	}
	if c.Hooks.Published == nil {
		c.Hooks.Published = func(Batch) {}
	}
	if c.Hooks.LeaseLost == nil {
		c.Hooks.LeaseLost = func(eventstore.Lease, error) {}
	}
	if c.Hooks.Stopped == nil {
		c.Hooks.Stopped = func(eventstore.Lease, error) {}
	}
	return c
}

// process names this one.
func process() string {
	host, err := os.Hostname()
	if err != nil || len(host) > maxOwner/2 || eventstore.CheckName("host", host) != nil {
		host = "unknown"
	}
	return host + ":" + strconv.Itoa(os.Getpid())
}

// minLeaseTTL has a quarter that homes can tell, who know no time shorter than a
// millisecond.
const minLeaseTTL = 4 * time.Millisecond

func (c Config) validate() error {
	switch {
	case c.BatchSize < 0:
		return &eventstore.InputError{Field: "Config.BatchSize", Value: strconv.Itoa(c.BatchSize), Want: "at least 1 (or 0 for 100)"}
	case c.BatchBytes < 0:
		return &eventstore.InputError{Field: "Config.BatchBytes", Value: strconv.Itoa(c.BatchBytes), Want: "at least 1 (or 0 for 1 MiB)"}
	case c.LeaseTTL < minLeaseTTL:
		return &eventstore.InputError{Field: "Config.LeaseTTL", Value: c.LeaseTTL.String(), Want: fmt.Sprintf("at least %v (or 0 for %v)", minLeaseTTL, defaultLeaseTTL)}
	case c.Heartbeat < 0 || c.Heartbeat > c.LeaseTTL/2:
		return &eventstore.InputError{Field: "Config.Heartbeat", Value: c.Heartbeat.String(), Want: fmt.Sprintf("at most %v, half of LeaseTTL (or 0 for a quarter)", c.LeaseTTL/2)}
	case c.RetryDelay < 0:
		return &eventstore.InputError{Field: "Config.RetryDelay", Value: c.RetryDelay.String(), Want: fmt.Sprintf("more than 0 (or 0 for %v)", defaultRetryDelay)}
	case c.MaxRetryDelay < c.RetryDelay || c.MaxRetryDelay > maxDelay:
		return &eventstore.InputError{Field: "Config.MaxRetryDelay", Value: c.MaxRetryDelay.String(), Want: fmt.Sprintf("from %v, which is RetryDelay, to %v (or 0 for %v)", c.RetryDelay, maxDelay, defaultMaxRetryDelay)}
	case c.Attempts < 0:
		return &eventstore.InputError{Field: "Config.Attempts", Value: strconv.Itoa(c.Attempts), Want: "at least 1 (or 0 for no end)"}
	case len(c.Owner) > maxOwner:
		return &eventstore.InputError{Field: "Config.Owner", Value: fmt.Sprintf("%d bytes long", len(c.Owner)), Want: fmt.Sprintf("at most %d", maxOwner)}
	}
	return eventstore.CheckName("Config.Owner", c.Owner)
}

// maxDelay is what can be doubled without an overflow.
const maxDelay = 365 * 24 * time.Hour
