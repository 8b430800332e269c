package effect_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// The examples are about a shop that sells seats.
type (
	Action interface{}

	Reserve     struct{ Event, Section string }
	Loaded      struct{ Inventory Inventory }
	LoadFailed  struct{ Err error }
	HoldExpired struct{ Reservation string }
	Charged     struct{ Receipt string }
	ChargeLost  struct{ Err error }
	PriceMoved  struct{ Price int }
	FeedEnded   struct{ Err error }
	Found       struct{ Titles []string }

	Inventory struct{ Free int }

	LoadSection struct{ Event, Section string }
	Charge      struct{ Order string }
	SendReceipt struct{ Customer string }
	Search      struct{ Text string }
	Prices      struct{ Event string }
)

func (LoadSection) Returns(Inventory) {}
func (Charge) Returns(string)         {}
func (SendReceipt) Returns(struct{})  {}
func (Search) Returns([]string)       {}
func (Prices) Returns(int)            {}

var shop effect.Of[Action]

func onLoaded(r effect.Result[Inventory]) Action {
	if r.Err != nil {
		return LoadFailed{r.Err}
	}
	return Loaded{r.Value}
}

func onCharged(r effect.Result[string]) Action {
	if r.Err != nil {
		return ChargeLost{r.Err}
	}
	return Charged{r.Value}
}

func onFound(r effect.Result[[]string]) Action { return Found{r.Value} }

// A store does what a reducer's effects say.
func Example() {
	type State struct{ Free int }
	reduce := reducer.Func[State, Action](func(s *State, a Action, _ reducer.Env) effect.Effect[Action] {
		switch a := a.(type) {
		case Reserve:
			return effect.Do(LoadSection(a), onLoaded)
		case Loaded:
			s.Free = a.Inventory.Free
		}
		return shop.None()
	})
	st, err := store.New(State{}, reduce, store.Config{Handlers: []effect.Handler{
		effect.Handle(func(_ context.Context, q LoadSection) (Inventory, error) { return Inventory{Free: 42}, nil }),
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := st.SendAndSettle(ctx, Reserve{"e1", "A"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.View(st, func(s *State) int { return s.Free }), "free")
	// Output: 42 free
}

func ExampleDo() {
	e := effect.Do(LoadSection{"e1", "A"}, onLoaded)
	fmt.Println(effect.Describe(e))
	// Output: request effect_test.LoadSection{Event:e1 Section:A}
}

// A charge that may take two seconds, five times; a declined card is final.
func ExampleDo_options() {
	e := effect.Do(Charge{"o1"}, onCharged,
		effect.Key("charge"),
		effect.Timeout(2*time.Second),
		effect.Retry(effect.RetryPolicy{Attempts: 5}))
	fmt.Println(effect.Describe(e))
	// Output: request effect_test.Charge{Order:o1} key=charge timeout=2s attempts=5
}

func ExampleFire() {
	e := effect.Fire[Action](SendReceipt{Customer: "c1"})
	fmt.Println(effect.Describe(e))
	// Output: request effect_test.SendReceipt{Customer:c1}
}

func ExampleOf_All() {
	e := shop.All(
		effect.Do(LoadSection{"e1", "A"}, onLoaded),
		shop.After("hold", 5*time.Minute, HoldExpired{"r1"}))
	fmt.Println(effect.Describe(e))
	// Output:
	// all
	//   request effect_test.LoadSection{Event:e1 Section:A}
	//   after key=hold delay=5m0s action=effect_test.HoldExpired{Reservation:r1}
}

// The receipt is sent when the charge has settled.
func ExampleOf_Sequence() {
	e := shop.Sequence(
		effect.Do(Charge{"o1"}, onCharged),
		effect.Fire[Action](SendReceipt{"c1"}))
	fmt.Println(effect.Describe(e))
	// Output:
	// sequence
	//   request effect_test.Charge{Order:o1}
	//   request effect_test.SendReceipt{Customer:c1}
}

// Each keystroke replaces the timer, so a search begins when typing stops.
func ExampleOf_After() {
	type Typed struct{ Text string }
	reduce := func(_ *struct{}, a Action, _ reducer.Env) effect.Effect[Action] {
		switch a := a.(type) {
		case Typed:
			return shop.After("typing", 300*time.Millisecond, Search(a))
		case Search:
			return effect.Do(a, onFound, effect.Key("search", effect.Latest))
		}
		return shop.None()
	}
	fmt.Println(effect.Describe(reduce(nil, Typed{"jazz"}, reducer.Env{})))
	fmt.Println(effect.Describe(reduce(nil, Search{"jazz"}, reducer.Env{})))
	// Output:
	// after key=typing delay=300ms action=effect_test.Search{Text:jazz}
	// request effect_test.Search{Text:jazz} key=search policy=latest
}

func ExampleOf_Cancel() {
	e := shop.All(shop.Cancel("search"), shop.Cancel("typing"))
	fmt.Println(effect.Describe(e))
	// Output:
	// all
	//   cancel key=search
	//   cancel key=typing
}

// A command that comes while its data loads is held, and goes on when it is
// there: its sender waits all the while.
func ExampleOf_Hold() {
	fmt.Println(effect.Describe(shop.Hold("loading")))
	fmt.Println(effect.Describe(shop.Resume("loading", Reserve{"e1", "A"})))
	// Output:
	// hold key=loading
	// resume key=loading action=effect_test.Reserve{Event:e1 Section:A}
}

// Any value that can be compared is a key.
func ExampleKey() {
	type key struct{ Event, What string }
	for _, policy := range []effect.Policy{effect.Every, effect.Latest, effect.Leading, effect.Queue} {
		e := effect.Do(Search{"jazz"}, onFound, effect.Key(key{"e1", "search"}, policy))
		fmt.Println(effect.Describe(e))
	}
	// Output:
	// request effect_test.Search{Text:jazz} key={e1 search}
	// request effect_test.Search{Text:jazz} key={e1 search} policy=latest
	// request effect_test.Search{Text:jazz} key={e1 search} policy=leading
	// request effect_test.Search{Text:jazz} key={e1 search} policy=queue
}

// A feed of prices; each is reduced before the next is asked for.
func ExampleStream() {
	type State struct{ Log []string }
	reduce := reducer.Func[State, Action](func(s *State, a Action, _ reducer.Env) effect.Effect[Action] {
		switch a := a.(type) {
		case Prices:
			return effect.Stream(a, func(r effect.Result[int]) Action {
				if r.Err != nil {
					return FeedEnded{r.Err}
				}
				return PriceMoved{r.Value}
			}, effect.Key("prices", effect.Latest))
		case PriceMoved, FeedEnded:
			s.Log = append(s.Log, fmt.Sprintf("%T%v", a, a))
		}
		return shop.None()
	})
	st, err := store.New(State{}, reduce, store.Config{Handlers: []effect.Handler{
		effect.HandleStream(func(_ context.Context, q Prices) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { _ = yield(10, nil) && yield(12, nil) }
		}),
	}})
	if err != nil {
		log.Fatal(err)
	}
	if err := st.SendAndSettle(context.Background(), Prices{"e1"}); err != nil {
		log.Fatal(err)
	}
	for _, line := range store.View(st, func(s *State) []string { return s.Log }) {
		fmt.Println(line)
	}
	// Output:
	// effect_test.PriceMoved{10}
	// effect_test.PriceMoved{12}
	// effect_test.FeedEnded{EOF}
}

// A parent takes up the effects of its child.
func ExampleMap() {
	type Cart struct{ Action Action }
	e := effect.Map(shop.Send(Reserve{"e1", "A"}), func(a Action) Cart { return Cart{a} })
	fmt.Println(effect.Describe(e))
	// Output: send action=effect_test.Cart{Action:{Event:e1 Section:A}}
}

// A description is data: a test compares it, without running anything.
func ExampleDescribe() {
	d := effect.Describe(shop.All(
		effect.Do(LoadSection{"e1", "A"}, onLoaded, effect.Key("load")),
		shop.Send(Reserve{"e1", "B"})))
	fmt.Println(d.Effects[0].Request == LoadSection{"e1", "A"}, d.Effects[0].Key == "load", d.Effects[1].Kind)
	// Output: true true send
}

// Middleware sees the request and its result.
func ExampleHandle() {
	logged := effect.WithMiddleware(func(next effect.Invoker) effect.Invoker {
		return func(ctx context.Context, request any) (any, error) {
			value, err := next(ctx, request)
			fmt.Printf("%+v: %v, %v\n", request, value, err)
			return value, err
		}
	})
	charge := effect.Handle(func(_ context.Context, q Charge) (string, error) {
		if q.Order == "o2" {
			return "", effect.Permanent(errors.New("card declined"))
		}
		return "receipt of " + q.Order, nil
	}, logged)

	reduce := reducer.Func[int, Action](func(_ *int, a Action, _ reducer.Env) effect.Effect[Action] {
		if q, ok := a.(Charge); ok {
			return effect.Do(q, onCharged, effect.Retry(effect.RetryPolicy{}))
		}
		return shop.None()
	})
	st, err := store.New(0, reduce, store.Config{Handlers: []effect.Handler{charge}})
	if err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"o1", "o2"} {
		if err := st.SendAndSettle(context.Background(), Charge{order}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// {Order:o1}: receipt of o1, <nil>
	// {Order:o2}: , card declined
}

func ExamplePermanent() {
	declined := errors.New("card declined")
	err := fmt.Errorf("charge o1: %w", effect.Permanent(declined))
	fmt.Println(err, errors.Is(err, declined), effect.Retryable(err))
	// Output: charge o1: card declined true false
}

func ExampleRetryable() {
	fmt.Println(effect.Retryable(errors.New("connection reset")))
	fmt.Println(effect.Retryable(effect.ErrTimeout))
	fmt.Println(effect.Retryable(context.Canceled))
	// Output:
	// true
	// true
	// false
}
