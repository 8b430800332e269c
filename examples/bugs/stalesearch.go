package bugs

import (
	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

// StaleSearch searches for what is typed, letter by letter, and shows what comes
// back. What comes back last need not be the answer to what was typed last. In
// production: results that do not fit the text above them, on slow connections,
// and gone as soon as one more letter is typed.
//
// Careful lets the search for the new text end the one for the old: a key with
// the policy Latest. What has been ended is never reduced, so nothing else has to
// be compared when a result comes.
type StaleSearch struct{ Careful bool }

// Box is the state of StaleSearch.
type Box struct{ Text, Shown string }

type (
	// Type changes the text.
	Type struct{ Text string }
	// Found brings what was found for a text.
	Found struct{ Result string }
)

// Search asks for what is to be found.
type Search struct{ Text string }

// Returns names the result's type.
func (Search) Returns(string) {}

// Reduce implements reducer.Reducer.
func (r StaleSearch) Reduce(b *Box, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case Type:
		b.Text = a.Text
		policy := effect.Every
		if r.Careful {
			policy = effect.Latest
		}
		return effect.Do(Search(a), func(r effect.Result[string]) any { return Found{r.Value} }, effect.Key("search", policy))
	case Found:
		b.Shown = a.Result
	}
	return fx.None()
}
