package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed57833328/rondo/reducer"
)

var (
	// ErrClosed is returned for what is asked of a store that was shut down.
	ErrClosed = errors.New("store is shut down")
	// ErrMailboxFull is returned by Send when the mailbox is at its bound and
	// the store's Config says to reject. The action was not accepted.
	ErrMailboxFull = errors.New("store mailbox is full")
	// ErrNoAnswer is returned by Ask when all that the action caused has
	// finished and nothing matched.
	ErrNoAnswer = errors.New("no action answered")
	// ErrTooManyLive is returned by a keyed store that is at its bound with
	// every one of its stores at work.
	ErrTooManyLive = errors.New("too many live stores")
	// ErrNoDeadLetter is returned by Redeliver for an id that is not there.
	ErrNoDeadLetter = errors.New("no such dead letter")
)

// StoppedError is returned for what is asked of a store whose reducer, or one
// of the functions that map results to actions, panicked. The store keeps the
// state as the panic left it; other stores are not affected.
type StoppedError struct {
	Store  string // the name given in Config
	Key    any    // of a keyed store
	Action any    // what was being reduced, nil if a result was being mapped
	During string // what was being done: "reduce" or "map the result of X"
	State  any    // a pointer to the state
	Value  any    // what it panicked with
	Stack  []byte
}

func (e *StoppedError) Error() string {
	what := e.During
	if e.Action != nil {
		what += " " + show(fmt.Sprintf("%T", e.Action), e.Action)
	}
	key := ""
	if e.Key != nil {
		key = fmt.Sprintf("[%v]", e.Key)
	}
	return fmt.Sprintf("store %q%s stopped: %s: panic: %v", e.Store, key, what, e.Value)
}

// Unwrap is the value of the panic, if that was an error.
func (e *StoppedError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// AbandonedError is returned by Shutdown when its context ended before the work
// did. What it lists was cancelled, and is in the dead letters.
type AbandonedError struct {
	Cause     error // why the context ended
	Abandoned []Abandoned
	// Running is how many handlers had not returned, those of effects that were
	// cancelled before included.
	Running int
}

// Abandoned is one effect that shutdown cut short.
type Abandoned struct {
	Kind     string // request, stream, run, timer, hold or action
	StoreKey any    // of a keyed store
	Key      any    // nil if it had none
	Name     string // of a request its type, of an opaque function its name
	Request  any
	Action   any          // of a timer, or an action that was not reduced
	Meta     reducer.Meta // of the action that caused it; of an action its own
}

func (a Abandoned) String() string {
	var b strings.Builder
	b.WriteString(a.Kind)
	if a.StoreKey != nil {
		fmt.Fprintf(&b, " of %v", a.StoreKey)
	}
	if a.Key != nil {
		fmt.Fprintf(&b, " key=%v", a.Key)
	}
	switch {
	case a.Request != nil:
		b.WriteString(" " + show(a.Name, a.Request))
	case a.Name != "":
		b.WriteString(" " + a.Name)
	}
	if a.Action != nil {
		b.WriteString(" action=" + show(fmt.Sprintf("%T", a.Action), a.Action))
	}
	return b.String()
}

// show gives a value with its type's name: app.Add{N:1}, app.Name(ada).
func show(name string, v any) string {
	s := fmt.Sprintf("%+v", v)
	if strings.HasPrefix(s, "{") {
		return name + s
	}
	return name + "(" + s + ")"
}

func (e *AbandonedError) Error() string {
	const most = 5
	parts := make([]string, 0, most+1)
	for i, a := range e.Abandoned {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(e.Abandoned)-most))
			break
		}
		parts = append(parts, a.String())
	}
	what := strings.Join(parts, "; ")
	if what == "" {
		what = "none"
	}
	return fmt.Sprintf("shutdown abandoned %d effects (%v), %d handlers still running: %s", len(e.Abandoned), e.Cause, e.Running, what)
}

func (e *AbandonedError) Unwrap() error { return e.Cause }
