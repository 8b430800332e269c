package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// Config is what may be said about a store. The zero value works for a reducer
// that makes no requests.
type Config struct {
	// Name is used in errors, hooks and health. The default is "store".
	Name string
	// Handlers do the requests of the reducer's effects, one for each type.
	// A request without one results in effect.ErrNoHandler.
	Handlers []effect.Handler
	// Workers is how many requests are at work at once. Those that wait for a
	// store (Ask, SendAndSettle, Until, a Send that blocks, Sleep) with the
	// context they were given do not count. The default is 256; negative values
	// are refused. Streams have goroutines of their own.
	Workers int
	// Mailbox bounds the actions from outside that wait while the store is
	// busy, besides those it has taken up to reduce. Results of effects are
	// never held up by it. The default is 128, since a long mailbox costs speed
	// and hides overload; with Reject a longer one may be wanted for bursts.
	// Negative values are refused.
	Mailbox int
	// WhenFull says what Send does when the mailbox is at its bound: Block,
	// the default, or Reject.
	WhenFull WhenFull
	// DeadLetters is how many are kept; beyond it the oldest goes, counted in
	// Health and told to the hook DeadLettered when it came. The default is
	// 1024; negative values are refused.
	DeadLetters int
	// Hooks are told what happens.
	Hooks Hooks
	// Journal writes down every action. The default is none.
	Journal *Journal
	// ID is the name space of action ids. The default is random; a runtime that
	// has a method NewID() uuid.UUID gives it.
	ID uuid.UUID
	// Runtime is what the store runs on. The default is the real one.
	Runtime Runtime
}

// WhenFull says what a Send does that finds the mailbox full.
type WhenFull uint8

const (
	// Block waits until there is room or the context ends.
	Block WhenFull = iota
	// Reject returns ErrMailboxFull.
	Reject
)

// Hooks are told what happens in a store. Any may be nil. They are called in
// the store's turn unless they say otherwise, must be quick, and must not wait
// for the store: no Send, View, Ask or Shutdown of it. One that panics is
// counted in Health.
type Hooks struct {
	// Reduced is called after each action.
	Reduced func(StepInfo)
	// EffectContext may add to the context that a handler is given, such as a
	// trace span. It is called on the handler's goroutine.
	EffectContext func(context.Context, EffectInfo) context.Context
	// EffectEnded is called on the handler's goroutine after each attempt.
	EffectEnded func(ctx context.Context, e EffectInfo, took time.Duration, err error)
	// DeadLettered is called for each dead letter.
	DeadLettered func(DeadLetterInfo)
	// ObserverPanicked is called when an observer or hook panicked.
	ObserverPanicked func(store string, value any, stack []byte)
	// Stopped is called when a store has stopped, before Shutdown returns: err
	// is nil after a shutdown that finished, an *AbandonedError after one that
	// did not, and a *StoppedError after a panic.
	Stopped func(store string, err error)
}

// StepInfo tells hooks about an action that was reduced.
type StepInfo struct {
	Store  string
	Key    any // of a keyed store
	Seq    uint64
	Action any
	Meta   reducer.Meta
}

// EffectInfo tells hooks about an attempt at an effect.
type EffectInfo struct {
	Store   string
	Key     any    // of a keyed store
	Kind    string // request, stream or run
	Name    string // the request's type or the opaque function's name
	Request any    // nil for an opaque function
	Attempt int    // 1 for the first
	Meta    reducer.Meta
}

// LogHooks are hooks that log: actions and effects at debug level, failed
// effects at info, dead letters and panics at error.
func LogHooks(log *slog.Logger) Hooks {
	ids := func(m reducer.Meta) slog.Attr {
		return slog.Group("meta", "action", m.ActionID, "correlation", m.CorrelationID, "causation", m.CausationID)
	}
	return Hooks{
		Reduced: func(s StepInfo) {
			log.Debug("action reduced", "store", s.Store, "key", s.Key, "seq", s.Seq, "action", fmt.Sprintf("%T", s.Action), ids(s.Meta))
		},
		EffectEnded: func(ctx context.Context, e EffectInfo, took time.Duration, err error) {
			level := slog.LevelDebug
			if err != nil {
				level = slog.LevelInfo
			}
			log.Log(ctx, level, "effect ended", "store", e.Store, "key", e.Key, "effect", e.Name, "attempt", e.Attempt, "took", took, "error", err, ids(e.Meta))
		},
		DeadLettered: func(d DeadLetterInfo) {
			log.Error("dead letter", "store", d.Store, "key", d.Key, "effect", d.Name, "action", fmt.Sprintf("%T", d.Action), "error", d.Err, ids(d.Meta))
		},
		ObserverPanicked: func(store string, value any, stack []byte) {
			log.Error("observer panicked", "store", store, "panic", value, "stack", string(stack))
		},
		Stopped: func(store string, err error) {
			if err != nil {
				log.Error("store stopped", "store", store, "error", err)
				return
			}
			log.Info("store stopped", "store", store)
		},
	}
}

const (
	defaultWorkers     = 256
	defaultMailbox     = 128
	defaultDeadLetters = 1024
)

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "store"
	}
	if c.Workers == 0 {
		c.Workers = defaultWorkers
	}
	if c.Mailbox == 0 {
		c.Mailbox = defaultMailbox
	}
	if c.DeadLetters == 0 {
		c.DeadLetters = defaultDeadLetters
	}
	if c.Runtime == nil {
		c.Runtime = realRuntime{}
	}
	if c.ID == uuid.Nil {
		c.ID = uuid.New()
		if source, ok := c.Runtime.(interface{ NewID() uuid.UUID }); ok {
			c.ID = source.NewID()
		}
	}
	return c
}

// validate checks what was given and returns the handlers by request.
func (c Config) validate(r any) (map[reflect.Type]*tree.Handler, error) {
	fail := func(format string, args ...any) (map[reflect.Type]*tree.Handler, error) {
		return nil, fmt.Errorf("store %q: "+format, append([]any{c.Name}, args...)...)
	}
	if reducer.IsNil(r) {
		return fail("%w", errors.New("reducer is nil"))
	}
	if c.Workers < 0 {
		return fail("Config.Workers is %d, must not be negative", c.Workers)
	}
	if c.Mailbox < 0 {
		return fail("Config.Mailbox is %d, must not be negative", c.Mailbox)
	}
	if c.WhenFull > Reject {
		return fail("Config.WhenFull is %d, must be Block or Reject", c.WhenFull)
	}
	if c.DeadLetters < 0 {
		return fail("Config.DeadLetters is %d, must not be negative", c.DeadLetters)
	}
	if c.Journal != nil {
		if err := c.Journal.validate(); err != nil {
			return fail("%w", err)
		}
	}
	handlers := make(map[reflect.Type]*tree.Handler, len(c.Handlers))
	for i, handler := range c.Handlers {
		h := effect.Inside(handler)
		switch {
		case h == nil:
			return fail("Config.Handlers[%d] is empty: make it with effect.Handle", i)
		case h.Err != nil:
			return fail("Config.Handlers[%d]: %w", i, h.Err)
		case handlers[h.Request] != nil:
			return fail("Config.Handlers[%d]: a second handler for %s", i, h.Request)
		}
		handlers[h.Request] = h
	}
	return handlers, nil
}
