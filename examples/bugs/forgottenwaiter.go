package bugs

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// ForgottenWaiter holds a command until its data is loaded. When it cannot be
// loaded nobody tells the command: who asked waits until he gives up. In
// production: while the database is down requests hang instead of failing, and
// every one of them keeps a connection; a shutdown waits for them, too.
//
// Careful resumes the command with the failure. Every path out of a wait resumes
// what waits: this is the one that tests leave out.
type ForgottenWaiter struct{ Careful bool }

// Account is the state of ForgottenWaiter.
type Account struct{ Answered, Refused int }

type (
	// Open is a command that needs the data.
	Open struct{}
	// Opened answers it.
	Opened struct{ Err error }
)

// Reduce implements reducer.Reducer.
func (r ForgottenWaiter) Reduce(s *Account, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Open:
		return fx.All(fx.Hold("open"), load())
	case Loaded:
		if a.Err != nil && !r.Careful {
			return fx.None()
		}
		return fx.Resume("open", Opened{a.Err})
	case Opened:
		s.Answered++
		if a.Err != nil {
			s.Refused++
		}
	}
	return fx.None()
}
