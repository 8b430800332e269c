// Package foyer is the second program of the guide's first page: effects that
// take time, follow one another or give many results. A board in the foyer shows
// how many seats are free and what one costs; a bell rings before the curtain.
package foyer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
	"github.com/seed57833328/rondo/testkit"
)

type State struct {
	Free, Cents int
	Closed      bool
}

type Action interface{ isAction() }

type (
	SeatsChanged struct{ Free int }
	BoardDue     struct{}
	Open         struct{}
	PriceChanged struct{ Cents int }
	PricesEnded  struct{ Err error }
	Curtain      struct{}
	DoorsClosed  struct{}
)

func (SeatsChanged) isAction() {}
func (BoardDue) isAction()     {}
func (Open) isAction()         {}
func (PriceChanged) isAction() {}
func (PricesEnded) isAction()  {}
func (Curtain) isAction()      {}
func (DoorsClosed) isAction()  {}

type (
	Show   struct{ Free, Cents int } // on the board
	Ring   struct{ Times int }
	Prices struct{} // a stream of them
)

func (Show) Returns(struct{}) {}
func (Ring) Returns(struct{}) {}
func (Prices) Returns(int)    {}

var fx effect.Of[Action]

func Reduce(s *State, a Action, _ reducer.Env) effect.Effect[Action] {
	switch a := a.(type) {
	case SeatsChanged:
		s.Free = a.Free
		return fx.After("board", 100*time.Millisecond, BoardDue{})

	case BoardDue:
		return effect.Fire[Action](Show{s.Free, s.Cents}, effect.Key("show", effect.Latest))

	case Open:
		return effect.Stream(Prices{}, func(r effect.Result[int]) Action {
			if r.Err != nil {
				return PricesEnded{r.Err} // io.EOF if there are no more
			}
			return PriceChanged{r.Value}
		}, effect.Key("prices", effect.Latest))

	case PriceChanged:
		s.Cents = a.Cents
		return fx.After("board", 100*time.Millisecond, BoardDue{})

	case Curtain:
		return fx.Sequence(
			effect.Fire[Action](Ring{3}),
			fx.After("curtain", 3*time.Minute, DoorsClosed{}),
			effect.Fire[Action](Ring{1}))

	case DoorsClosed:
		s.Closed = true
		return fx.Cancel("prices")
	}
	return fx.None()
}

// prices gives the prices there are and ends; a real one would follow a feed
// until ctx ends.
func prices(_ context.Context, _ Prices) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for _, cents := range []int{4500, 4200, 3900} {
			if !yield(cents, nil) {
				return // nobody wants more
			}
		}
	}
}

func Example() {
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		show := func(_ context.Context, q Show) (struct{}, error) {
			fmt.Printf("%v board: %d free, %d cents\n", rt.Elapsed(), q.Free, q.Cents)
			return struct{}{}, nil
		}
		ring := func(_ context.Context, q Ring) (struct{}, error) {
			fmt.Printf("%v bell: %d\n", rt.Elapsed(), q.Times)
			return struct{}{}, nil
		}
		foyer, err := store.New(State{}, reducer.Func[State, Action](Reduce), store.Config{
			Runtime:  rt,
			Handlers: []effect.Handler{effect.Handle(show), effect.Handle(ring), effect.HandleStream(prices)},
		})
		if err != nil {
			panic(err)
		}
		for free := 10; free > 7; free-- {
			_ = foyer.Send(ctx, SeatsChanged{free})
		}
		_ = foyer.SendAndSettle(ctx, Open{})
		_ = foyer.SendAndSettle(ctx, Curtain{})
		fmt.Println(rt.Elapsed(), "closed:", store.View(foyer, func(s *State) bool { return s.Closed }))
	})
	fmt.Println(err)
	// Output:
	// 100ms board: 8 free, 3900 cents
	// 100ms bell: 3
	// 3m0.1s bell: 1
	// 3m0.1s closed: true
	// <nil>
}

func TestTheBoardShowsTheLastOfManyChanges(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{Cents: 4500}, reducer.Func[State, Action](Reduce))
	ts.Send(SeatsChanged{10}, func(s *State) { s.Free = 10 })
	ts.Advance(60 * time.Millisecond)
	ts.Send(SeatsChanged{9}, func(s *State) { s.Free = 9 })
	ts.Advance(60 * time.Millisecond) // the first timer was replaced
	ts.Send(SeatsChanged{8}, func(s *State) { s.Free = 8 })
	ts.Advance(100 * time.Millisecond)
	ts.Receive(BoardDue{})
	testkit.Reply(ts, Show{8, 4500}, struct{}{})
}

func TestPricesAreFollowed(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, State{}, reducer.Func[State, Action](Reduce))
	ts.Send(Open{})
	testkit.Emit(ts, Prices{}, 4500)
	ts.Receive(PriceChanged{4500}, func(s *State) { s.Cents = 4500 })
	testkit.Emit(ts, Prices{}, 3900)
	ts.Receive(PriceChanged{3900}, func(s *State) { s.Cents = 3900 })
	ts.Advance(100 * time.Millisecond)
	ts.Receive(BoardDue{})
	testkit.Reply(ts, Show{0, 3900}, struct{}{})
	testkit.End(ts, Prices{}, nil)
	ts.Receive(PricesEnded{io.EOF})
}

// The bell is out of order. That is a dead letter, and the sequence goes on.
func TestTheDoorsCloseWithoutABell(t *testing.T) {
	t.Parallel()
	broken := errors.New("bell is broken")
	ts := testkit.New(t, State{}, reducer.Func[State, Action](Reduce))
	ts.Send(Curtain{})
	ts.ExpectFault(broken)
	testkit.Fail(ts, Ring{3}, broken)
	ts.Advance(3 * time.Minute)
	ts.Receive(DoorsClosed{}, func(s *State) { s.Closed = true })
	testkit.Reply(ts, Ring{1}, struct{}{})
}
