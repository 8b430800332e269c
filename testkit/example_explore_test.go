package testkit_test

import (
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// The door of a garage opens on a press of a button.
type (
	garage struct{ Open bool }
	button struct{}
	moved  struct {
		Open bool
		Err  error
	}
	move struct{ Open bool }
	door struct{ Open bool }
)

func (move) Returns(struct{}) {}

func (d *door) move(q move) (struct{}, error) {
	d.Open = q.Open
	return struct{}{}, nil
}

var errJammed = errors.New("jammed")

func reduceGarage(s *garage, action any, _ reducer.Env) effect.Effect[any] {
	switch a := action.(type) {
	case button:
		q := move{Open: !s.Open}
		return effect.Do(q, func(r effect.Result[struct{}]) any { return moved{q.Open, r.Err} })
	case moved:
		if a.Err == nil {
			s.Open = a.Open
		}
	}
	return effect.Effect[any]{}
}

func ExampleExplore() {
	model := testkit.Model[garage, any, door]{
		Reducer: reducer.Func[garage, any](reduceGarage),
		Inputs:  [][]any{{button{}}},
		Answers: []testkit.Answer{testkit.On((*door).move, testkit.Fails(errJammed))},
	}
	test := func(t testkit.T) { // in a test: func TestGarage(t *testing.T)
		testkit.Explore(t, model,
			testkit.Sometimes("it is open", func(s *garage, _ *door) bool { return s.Open }),
			testkit.Finally("what is thought is so", func(s *garage, d *door) bool { return s.Open == d.Open }),
			testkit.LostReplies(1))
	}
	fmt.Println(try(func(t *fakeT) { test(t) }).failures[0])
	// Output:
	// testkit: Finally "what is thought is so" is broken
	//
	// 2 steps that lead to it, none fewer:
	//
	//   1. send button{}
	//        reduce  button{}
	//        pending move{Open: true}
	//
	//   2. move{Open: true} is done, its answer lost
	//        answer  error("no answer: the request or its answer was lost")
	//        reduce  moved{Open: true, Err: error("no answer: the request or its answer was lost")}
	//        world   Open: false → true
	//
	// Finally "what is thought is so" is broken
	//
	// not complete: 6 states, 6 transitions, depth 1
	//
	// As a test, with the model and the options of this one:
	//
	// func fake_again(t *testing.T) {
	// 	// model and options are those of the exploration: put them in.
	// 	testkit.Retrace(t, model, []string{
	// 		`send button{}`,
	// 		`move{Open: true} is done, its answer lost`,
	// 	}, options...)
	// }
}
