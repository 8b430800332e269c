package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Follow is a request for a stream: it has many results.
type Follow struct{ Share string }

func (Follow) Returns(float64) {}

type (
	TickerAction interface{ isTickerAction() }
	Watch        struct{ Share string }
	Quoted       struct{ Price float64 }
	Ended        struct{ Err error }
	Ticker       struct {
		Prices []float64
		Err    error
	}
)

func (Watch) isTickerAction()  {}
func (Quoted) isTickerAction() {}
func (Ended) isTickerAction()  {}

func reduceTicker(s *Ticker, action TickerAction, _ reducer.Env) effect.Effect[TickerAction] {
	switch a := action.(type) {
	case Watch:
		return effect.Stream(Follow(a), func(r effect.Result[float64]) TickerAction {
			if r.Err != nil { // io.EOF if nothing went wrong
				return Ended{r.Err}
			}
			return Quoted{r.Value}
		}, effect.Key(a.Share))
	case Quoted:
		s.Prices = append(s.Prices, a.Price)
	case Ended:
		s.Err = a.Err
	}
	return effect.Effect[TickerAction]{}
}

// A stream's next value is asked for when the one before has been reduced, so a
// slow store slows it down and nothing piles up.
func Example_stream() {
	ctx := context.Background()
	quotes := func(context.Context, Follow) iter.Seq2[float64, error] {
		return func(yield func(float64, error) bool) {
			for _, price := range []float64{10.5, 10.7, 10.2} {
				if !yield(price, nil) {
					return
				}
			}
		}
	}
	ticker, err := store.New(Ticker{}, reducer.Func[Ticker, TickerAction](reduceTicker), store.Config{
		Handlers: []effect.Handler{effect.HandleStream(quotes)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = ticker.Send(ctx, Watch{"RNDO"})
	fmt.Println(ticker.Shutdown(ctx))
	end := store.View(ticker, func(s *Ticker) Ticker { return *s })
	fmt.Println(end.Prices, errors.Is(end.Err, io.EOF))
	// Output:
	// <nil>
	// [10.5 10.7 10.2] true
}
