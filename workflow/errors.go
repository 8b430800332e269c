package workflow

import (
	"errors"
	"fmt"
)

// ErrFull says that a command was refused because too many wait already. It
// comes wrapped in a [*FullError].
var ErrFull = errors.New("too many commands wait")

// FullError is the refusal of a command because as many wait as may.
type FullError struct {
	Key      any // the key of the refused command
	Waiting  int // commands accepted and not yet processed, failed or removed
	Released int // how many of them were handed out and have not been admitted again
	Limit    int // the bound, Policy.MaxWaiting or its default
}

// Error names the key, the commands that wait and the bound.
func (e *FullError) Error() string {
	released := ""
	if e.Released > 0 {
		released = fmt.Sprintf(" (%d handed out and not admitted again)", e.Released)
	}
	return fmt.Sprintf("admit command for key %s: %d waiting%s, limit %d: %v",
		quoteKey(e.Key), e.Waiting, released, e.Limit, ErrFull)
}

// Unwrap returns [ErrFull].
func (e *FullError) Unwrap() error { return ErrFull }

func quoteKey(key any) string {
	if s, ok := key.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%v", key)
}
