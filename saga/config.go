package saga

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/store"
)

// Config is what may be said about a runner. The zero value works for a process
// that starts sagas and leaves them to others; one that runs them needs Handlers.
type Config struct {
	// Handlers do the requests of all sagas, one for each type of request. They
	// find [EffectID] in their context, and its metadata and tenant.
	Handlers []effect.Handler
	// Worker is the name of this instance, as others see it: unique among those
	// that run, the same after a restart, which then need not wait for the lease
	// to run out. The default is the host's name with a random number.
	Worker string
	// Heartbeat is how often the worker says that it lives, if the store is quick
	// enough. The default is 3 s.
	Heartbeat time.Duration
	// Lease is for how long it is believed: how long another waits before it
	// takes over. It is at least twice Heartbeat. The default is 12 s.
	Lease time.Duration
	// Poll is how often the inbox is looked into, besides when the store says
	// that there is something. The default is 500 ms.
	Poll time.Duration
	// Sweep is how often the store is searched for work that was left behind, by
	// whatever mishap. The default is one minute.
	Sweep time.Duration
	// Resident is how long a saga that waits stays in memory; what is due within
	// that time costs the store nothing. One that has ended leaves sooner. The
	// default is 2 s.
	Resident time.Duration
	// MaxRecord bounds a record, in bytes of State and Work together: a saga
	// whose decision would make it larger is Stuck before that decision, with a
	// *TooLargeError. An action from outside is held to it too, and so is each result
	// that comes to a function of [On]: one that is larger is not kept, and leaves the
	// saga Stuck with the effect pending, as it was done. [Operator.Retry] has the
	// handler tell its result again, [Operator.Resolve] gives it a smaller one. The
	// default is 262,144.
	MaxRecord int
	// StuckAfter is how many attempts at an undo, or at what must succeed after
	// a pivot, leave a saga Stuck. The default is 20, which with the default
	// policy is about 7 minutes.
	StuckAfter int
	// MaxBatch is how many decisions are committed together at most, when
	// several wait. The default is 128.
	MaxBatch int
	// Commits is how many commits may be on their way at once. The default is
	// what the store says ([Parallel]), or else 1.
	Commits int
	// Keep is how long a saga is kept after it has ended, with its history: workers
	// purge those that have ended before, whatever their types. Who starts a saga
	// with such a key then starts a new one. The default (0) is for ever.
	Keep time.Duration
	// MaxChain is how many effects are done at most in the transaction that commits a
	// decision, one after another, with the decisions on their results: see
	// [Transactional]. 0 is 8, negative is none: every decision and every effect is
	// committed by itself.
	MaxChain int
	// MaxRecover is how many effects may be at work while sagas are taken over;
	// above it, taking over waits. The default is 1000.
	MaxRecover int
	// StoreTimeout bounds each call of the store. The default is 30 s. Those by which
	// a worker tells that it lives, gives shards up or leaves are bounded by Heartbeat
	// too, so that a shutdown does not wait long for a store that does not answer.
	StoreTimeout time.Duration
	// Hooks are told what happens.
	Hooks Hooks
	// Runtime is what the runner runs on; the default is the real one.
	Runtime store.Runtime
}

// Hooks are told what happens. Any may be nil: Stuck, Refused and UnknownType, which
// need somebody, are then errors in the default logger of log/slog. They are called
// from several goroutines at once, must be quick, and must not call the runner.
type Hooks struct {
	// Decided is called when a decision of this process was committed.
	Decided func(id ID, kind string, status Status, sequence int64)
	// Attempted is called after each attempt at an effect.
	Attempted func(effectID, request string, attempt int, took time.Duration, err error)
	// Stuck is called when a saga has become Stuck.
	Stuck func(id ID, reason, trace string)
	// Refused is called for a message out of the inbox that a saga does not take,
	// and that nobody is told of otherwise: it has ended, or is not there. With
	// the message "" it is the record that cannot be read, and is left to others.
	Refused func(id ID, message string, err error)
	// UnknownType is called for sagas that wait, whose type no live worker knows.
	UnknownType func(name string)
	// Owned is called when the shards have changed that this worker owns.
	Owned func(shards int)
	// StoreFailed is called when a call of the store has failed, and is going to
	// be made again.
	StoreFailed func(call string, err error)
}

// LogHooks are hooks that log: decisions and attempts at debug level, failed
// attempts at info, what a store or another process can mend by itself as a
// warning, and what needs somebody at error.
func LogHooks(log *slog.Logger) Hooks {
	return Hooks{
		Decided: func(id ID, kind string, status Status, sequence int64) {
			log.Debug("saga decided", "saga", id.String(), "on", kind, "status", status, "sequence", sequence)
		},
		Attempted: func(effectID, request string, attempt int, took time.Duration, err error) {
			if err == nil {
				log.Debug("saga effect done", "effect", effectID, "request", request, "attempt", attempt, "took", took)
				return
			}
			log.Info("saga effect failed", "effect", effectID, "request", request, "attempt", attempt, "took", took, "error", err)
		},
		Stuck: func(id ID, reason, trace string) {
			log.Error("saga is stuck", "saga", id.String(), "reason", reason, "trace", trace)
		},
		Refused: func(id ID, message string, err error) {
			log.Error("saga message refused", "saga", id.String(), "message", message, "error", err)
		},
		UnknownType: func(name string) { log.Error("no worker knows the saga type", "type", name) },
		Owned:       func(shards int) { log.Info("saga shards owned", "shards", shards) },
		StoreFailed: func(call string, err error) { log.Warn("saga store failed", "call", call, "error", err) },
	}
}

func (h Hooks) withDefaults() Hooks {
	logs := LogHooks(slog.Default())
	if h.Decided == nil {
		h.Decided = func(ID, string, Status, int64) {}
	}
	if h.Attempted == nil {
		h.Attempted = func(string, string, int, time.Duration, error) {}
	}
	if h.Stuck == nil {
		h.Stuck = logs.Stuck
	}
	if h.Refused == nil {
		h.Refused = logs.Refused
	}
	if h.UnknownType == nil {
		h.UnknownType = logs.UnknownType
	}
	if h.Owned == nil {
		h.Owned = func(int) {}
	}
	if h.StoreFailed == nil {
		h.StoreFailed = func(string, error) {}
	}
	return h
}

func (c Config) withDefaults() Config {
	durations := []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Heartbeat, 3 * time.Second},
		{&c.Lease, 12 * time.Second},
		{&c.Poll, 500 * time.Millisecond},
		{&c.Sweep, time.Minute},
		{&c.Resident, 2 * time.Second},
		{&c.StoreTimeout, 30 * time.Second},
	}
	for _, d := range durations {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	numbers := []struct {
		field *int
		value int
	}{
		{&c.MaxRecord, 256 << 10},
		{&c.StuckAfter, defaultStuckAfter},
		{&c.MaxBatch, 128},
		{&c.Commits, 1},
		{&c.MaxChain, 8},
		{&c.MaxRecover, 1000},
	}
	for _, n := range numbers {
		if *n.field == 0 {
			*n.field = n.value
		}
	}
	if c.Worker == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		c.Worker = host + "-" + rand.Text()[:8]
	}
	if c.Runtime == nil {
		c.Runtime = store.RuntimeOf(context.Background())
	}
	c.Hooks = c.Hooks.withDefaults()
	return c
}

// validate checks what was given and returns the handlers by request.
func (c Config) validate() (map[reflect.Type]*tree.Handler, error) {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Heartbeat", c.Heartbeat}, {"Lease", c.Lease}, {"Poll", c.Poll}, {"Sweep", c.Sweep},
		{"Resident", c.Resident}, {"StoreTimeout", c.StoreTimeout},
		{"Keep", c.Keep},
	} {
		if d.value < 0 {
			return nil, inputError("Config."+d.name, show(d.value), "more than 0")
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"MaxRecord", c.MaxRecord}, {"StuckAfter", c.StuckAfter}, {"MaxBatch", c.MaxBatch}, {"Commits", c.Commits}, {"MaxRecover", c.MaxRecover},
	} {
		if n.value < 1 {
			return nil, inputError("Config."+n.name, show(n.value), "at least 1")
		}
	}
	if c.Lease < 2*c.Heartbeat {
		return nil, inputError("Config.Lease", show(c.Lease), "at least twice Heartbeat, which is %v", c.Heartbeat)
	}
	if err := CheckWorker(Worker{ID: c.Worker}); err != nil {
		return nil, err
	}
	handlers := make(map[reflect.Type]*tree.Handler, len(c.Handlers))
	for i, handler := range c.Handlers {
		h := effect.Inside(handler)
		switch {
		case h == nil:
			return nil, inputError(fmt.Sprintf("Config.Handlers[%d]", i), "empty", "one made by effect.Handle")
		case h.Err != nil:
			return nil, fmt.Errorf("Config.Handlers[%d]: %w", i, h.Err)
		case handlers[h.Request] != nil:
			return nil, fmt.Errorf("Config.Handlers[%d]: a second handler for %s", i, h.Request)
		}
		handlers[h.Request] = h
	}
	return handlers, nil
}
