package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// Config is what may be said about a bus. The zero value works.
type Config struct {
	// Category is that of the streams which the commands are in. Buses of
	// different categories have nothing to do with each other. It has no hyphen.
	// The default is "command".
	Category string
	// Authorize is asked whether the actor of a command may give it: before it is
	// recorded, and again before each attempt of Run. An error is told in a
	// *[ForbiddenError]. The default is that everybody may.
	Authorize func(ctx context.Context, e Envelope) error
	// Middleware is called around each attempt to carry a command out, the first
	// outermost.
	Middleware []Middleware
	// Retryable says which errors of handlers may pass. A command that is
	// dispatched tells its sender, and can be given again with the same id; one
	// that is queued is tried again. The default is aggregate.Retryable, and what
	// took longer than Timeout. It is not asked about rejections and panics.
	Retryable func(error) bool
	// Timeout bounds each attempt. The default is 30 s; negative values are
	// refused.
	Timeout time.Duration
	// Grace is after what time a command that was dispatched, and of which nothing
	// was recorded since, is taken to be left over from a process that has died:
	// then Run carries it out. It must be longer than Timeout, so that nobody is
	// at it. The default is Timeout and 30 s.
	Grace time.Duration
	// Attempts is how often a queued command is begun at most. The default is 10;
	// negative values are refused.
	Attempts int
	// RetryDelay is the wait after a first attempt that failed. It doubles with
	// each further one up to MaxRetryDelay, and is spread by a quarter. The
	// default is 200 ms; negative values are refused.
	RetryDelay time.Duration
	// MaxRetryDelay is the longest wait, the spread included. The default is
	// 1 min, or RetryDelay if that is longer.
	MaxRetryDelay time.Duration
	// Concurrency is how many commands Run carries out at once. The default is 16;
	// negative values are refused.
	Concurrency int
	// MaxPending bounds the pending commands of which Run keeps in memory what it
	// must know, about 250 bytes each and not their payloads: those that are due
	// first. The others are read again when half of them are done. The default
	// is 100,000, 16 the least.
	MaxPending int
	// CarryAfter is how many events of commands Run lets lie between the first
	// pending command and the last before it records the former anew, so that
	// one scheduled far ahead does not have everything since read again after a
	// restart. It is at least twice the number of those pending, whatever is said
	// here. The default is 10,000; negative values are refused.
	CarryAfter int
	// MaxPayload bounds a payload, in bytes. The default is 1 MiB; negative
	// values are refused.
	MaxPayload int
	// LeaseTTL is how long the lease of Run is taken for: about as long as nothing
	// is carried out after its process has died. The default is 12 s, 40 ms the
	// least.
	LeaseTTL time.Duration
	// Owner names the process that has the lease, for those who look on. The
	// default is the host's name and the process's id.
	Owner string
	// Hooks are told what happens.
	Hooks Hooks
}

// Hooks are told what happens in a bus. Any may be nil. They are called on its
// goroutines and hold it up: they must be quick, and must not panic.
type Hooks struct {
	// Taken is called when Run has the lease.
	Taken func(lease eventstore.Lease)
	// Lost is called when Run has lost the lease. It waits for it again.
	Lost func(lease eventstore.Lease, err error)
	// Retrying is called when a queued command is put off because an attempt has
	// failed. The default is a warning in the default logger of log/slog.
	Retrying func(r Record)
	// Trouble is called when something went wrong that no caller is told of: the
	// store cannot be reached, and will be tried again; an answer cannot be kept.
	// The default is a warning in the default logger of log/slog.
	Trouble func(doing string, err error)
}

const (
	defaultCategory      = "command"
	defaultTimeout       = 30 * time.Second
	defaultGrace         = 30 * time.Second // beyond the timeout
	defaultAttempts      = 10
	defaultRetryDelay    = 200 * time.Millisecond
	defaultMaxRetryDelay = time.Minute
	defaultConcurrency   = 16
	defaultMaxPending    = 100_000
	minPending           = 16
	defaultCarryAfter    = 10_000
	defaultMaxPayload    = 1 << 20
	defaultLeaseTTL      = 12 * time.Second
	minLeaseTTL          = 40 * time.Millisecond
	// maxDuration is what can be doubled without an overflow.
	maxDuration = 365 * 24 * time.Hour
	// maxOwner leaves room for a slash and a UUID.
	maxOwner = eventstore.MaxName - 37
)

func orDefault[T comparable](v, otherwise T) T {
	if v == *new(T) {
		return otherwise
	}
	return v
}

func (c Config) withDefaults() Config {
	c.Middleware = slices.Clone(c.Middleware)
	c.Category = orDefault(c.Category, defaultCategory)
	c.Timeout = orDefault(c.Timeout, defaultTimeout)
	c.Grace = orDefault(c.Grace, c.Timeout+defaultGrace)
	c.Attempts = orDefault(c.Attempts, defaultAttempts)
	c.RetryDelay = orDefault(c.RetryDelay, defaultRetryDelay)
	c.MaxRetryDelay = orDefault(c.MaxRetryDelay, max(defaultMaxRetryDelay, c.RetryDelay))
	c.Concurrency = orDefault(c.Concurrency, defaultConcurrency)
	c.MaxPending = orDefault(c.MaxPending, defaultMaxPending)
	c.CarryAfter = orDefault(c.CarryAfter, defaultCarryAfter)
	c.MaxPayload = orDefault(c.MaxPayload, defaultMaxPayload)
	c.LeaseTTL = orDefault(c.LeaseTTL, defaultLeaseTTL)
	c.Owner = orDefault(c.Owner, process())
	if c.Retryable == nil {
		c.Retryable = retryable
	}
	if c.Authorize == nil {
		c.Authorize = func(context.Context, Envelope) error { return nil }
	}
	if c.Hooks.Taken == nil {
		c.Hooks.Taken = func(eventstore.Lease) {}
	}
	if c.Hooks.Lost == nil {
		c.Hooks.Lost = func(eventstore.Lease, error) {}
	}
	if c.Hooks.Retrying == nil {
		c.Hooks.Retrying = func(r Record) {
			slog.Warn("command will be tried again", "id", r.ID, "type", r.Type, "tenant", r.Tenant,
				"attempts", r.Attempts, "next", r.Next, "error", r.Failure.Reason)
		}
	}
	if c.Hooks.Trouble == nil {
		c.Hooks.Trouble = func(doing string, err error) { slog.Warn("command bus has trouble", "doing", doing, "error", err) }
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

// validate is called with the defaults filled in.
func (c Config) validate() error {
	for _, f := range []struct {
		name        string
		value, from int64
	}{
		{"Attempts", int64(c.Attempts), 1},
		{"Concurrency", int64(c.Concurrency), 1},
		{"MaxPending", int64(c.MaxPending), minPending},
		{"CarryAfter", int64(c.CarryAfter), 1},
		{"MaxPayload", int64(c.MaxPayload), 1},
	} {
		if f.value < f.from {
			return &eventstore.InputError{Field: "Config." + f.name, Value: strconv.FormatInt(f.value, 10), Want: fmt.Sprintf("at least %d (or 0 for the default)", f.from)}
		}
	}
	for _, f := range []struct {
		name        string
		value, from time.Duration
	}{
		{"Timeout", c.Timeout, 1},
		{"Grace", c.Grace, c.Timeout + 1},
		{"RetryDelay", c.RetryDelay, 1},
		{"MaxRetryDelay", c.MaxRetryDelay, c.RetryDelay},
		{"LeaseTTL", c.LeaseTTL, minLeaseTTL},
	} {
		if f.value < f.from || f.value > maxDuration {
			return &eventstore.InputError{Field: "Config." + f.name, Value: f.value.String(), Want: fmt.Sprintf("%v to %v (or 0 for the default)", f.from, maxDuration)}
		}
	}
	for i, m := range c.Middleware {
		if m == nil {
			return &eventstore.InputError{Field: fmt.Sprintf("Config.Middleware[%d]", i), Value: "nil", Want: "a middleware"}
		}
	}
	switch {
	case strings.Contains(c.Category, "-"):
		return &eventstore.InputError{Field: "Config.Category", Value: quote(c.Category), Want: "a name without a hyphen, which ends it in the names of streams"}
	case len(c.Category) > maxCategory:
		return &eventstore.InputError{Field: "Config.Category", Value: quote(c.Category), Want: fmt.Sprintf("at most %d bytes", maxCategory)}
	case len(c.Owner) > maxOwner:
		return &eventstore.InputError{Field: "Config.Owner", Value: quote(c.Owner), Want: fmt.Sprintf("at most %d bytes", maxOwner)}
	}
	if err := eventstore.CheckName("Config.Category", c.Category); err != nil {
		return err
	}
	return eventstore.CheckName("Config.Owner", c.Owner)
}

// maxCategory leaves room for the ending of the lease's name.
const maxCategory = eventstore.MaxName - len(leaseSuffix)

// leaseSuffix follows the category in the name of Run's lease.
const leaseSuffix = "-bus"

// owner is a name for one call of Run, unlike any other's.
func (c Config) owner() string { return c.Owner + "/" + uuid.NewString() }
