package testkit_test

import (
	"errors"

	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// A purse is filled and emptied. Its decider has the two functions that package
// aggregate hosts.
type (
	Purse struct{ Cents int }

	Put  struct{ Cents int }
	Draw struct{ Cents int }

	PutIn struct{ Cents int }
	Drawn struct{ Cents int }
)

var errEmpty = errors.New("there is not that much")

type Purses struct{}

func (Purses) Decide(p *Purse, c any, _ reducer.Env) ([]any, error) {
	switch c := c.(type) {
	case Put:
		return []any{PutIn(c)}, nil
	case Draw:
		if c.Cents > p.Cents {
			return nil, errEmpty
		}
		return []any{Drawn(c)}, nil
	}
	return nil, nil
}

func (Purses) Evolve(p *Purse, e any) {
	switch e := e.(type) {
	case PutIn:
		p.Cents += e.Cents
	case Drawn:
		p.Cents -= e.Cents
	}
}

func ExampleGiven() {
	test := func(t testkit.T) { // in a test: func TestPurse(t *testing.T)
		testkit.Given(t, Purses{}, PutIn{500}, Drawn{100}).
			When(Draw{300}).
			Then(Drawn{300}).
			ThenState(func(p *Purse) { p.Cents = 100 }).
			When(Draw{300}).
			ThenError(errEmpty).
			When(Put{50}).
			Then(PutIn{5})
	}
	new(printT).run(test)
	// Output:
	// testkit: other events came of it than were expected
	//
	// events (-want +got):
	//   []any{
	// -   testkit_test.PutIn{Cents: 5},
	// +   testkit_test.PutIn{Cents: 50},
	//   }
	//
	// scenario:
	//   1. Given PutIn{Cents: 500}
	//   2. Given Drawn{Cents: 100}
	//   3. When Draw{Cents: 300}
	//   4. When Draw{Cents: 300}
	//   5. When Put{Cents: 50}
}
