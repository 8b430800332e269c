package bugs

import (
	"errors"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// LostUpdate reads a counter, adds one, and writes it. Two processes do so at
// once, and one of the two is lost. In production: a balance that is off by a
// few, never by the same amount, and only on busy days.
//
// Careful writes only if nobody has written since it read: with an expected
// version. On a conflict it begins again. (A write whose answer is lost is
// another matter: it needs an idempotency key besides, see [DoubleCharge].)
type LostUpdate struct{ Careful bool }

// Adder is the state of LostUpdate.
type Adder struct{ Done bool }

// Record is a row in a table.
type Record struct{ Count, Version int }

type (
	// Add counts one more.
	Add struct{}
	// Loaded brings the row.
	Loaded struct {
		Record Record
		Err    error
	}
	// Saved tells what became of writing it.
	Saved struct{ Err error }
)

// ErrConflict tells that the row has another version than was expected.
var ErrConflict = errors.New("version conflict")

// Load asks for the row.
type Load struct{}

// Returns names the result's type.
func (Load) Returns(Record) {}

// Save writes the count. Expected is the version it is based on, -1 is any.
type Save struct{ Count, Expected int }

// Returns names the result's type.
func (Save) Returns(struct{}) {}

// Reduce implements reducer.Reducer.
func (r LostUpdate) Reduce(s *Adder, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Add:
		return load()
	case Loaded:
		if a.Err != nil {
			return load()
		}
		expected := -1
		if r.Careful {
			expected = a.Record.Version
		}
		return effect.Do(Save{a.Record.Count + 1, expected}, func(r effect.Result[struct{}]) any { return Saved{r.Err} })
	case Saved:
		if errors.Is(a.Err, ErrConflict) {
			return load()
		}
		s.Done = a.Err == nil
	}
	return fx.None()
}

func load() effect.Effect[any] {
	return effect.Do(Load{}, func(r effect.Result[Record]) any { return Loaded{r.Value, r.Err} })
}
