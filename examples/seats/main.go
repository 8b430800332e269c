// Command seats is the program of the README.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

type Action interface{ action() }

type (
	Buy      struct{ Customer string }
	Sold     struct{ Customer string }
	Declined struct{ Customer string }
	SoldOut  struct{ Customer string }
)

func (Buy) action()      {}
func (Sold) action()     {}
func (Declined) action() {}
func (SoldOut) action()  {}

// Charge is a request: plain data. Returns names the type of its result.
type Charge struct{ Customer string }

func (Charge) Returns(struct{}) {}

type State struct{ Free int }

var fx effect.Of[Action]

// Reduce is pure: it changes the state and returns what is to be done.
func Reduce(s *State, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case Buy:
		if s.Free == 0 {
			return fx.Send(SoldOut(a))
		}
		s.Free--
		return effect.Do(Charge(a), func(r effect.Result[struct{}]) Action {
			if r.Err != nil {
				return Declined(a)
			}
			return Sold(a)
		})
	case Declined:
		s.Free++
	}
	return fx.None()
}

func main() {
	charge := func(_ context.Context, c Charge) (struct{}, error) {
		if c.Customer == "ann" {
			return struct{}{}, errors.New("card declined")
		}
		return struct{}{}, nil
	}
	st, err := store.New(State{Free: 2}, reducer.Func[State, Action](Reduce), store.Config{
		Handlers: []effect.Handler{effect.Handle(charge)},
	})
	if err != nil {
		panic(err)
	}
	for _, customer := range []string{"ann", "bob", "cyd", "dan"} {
		answer, err := store.Ask(context.Background(), st, Action(Buy{customer}), func(a Action) (Action, bool) {
			_, asked := a.(Buy)
			return a, !asked // the first action that the purchase causes
		})
		fmt.Printf("%T %v %v\n", answer, answer, err)
	}
	fmt.Println("free:", store.View(st, func(s *State) int { return s.Free }), st.Shutdown(context.Background()))
}
