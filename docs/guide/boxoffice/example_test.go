package boxoffice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/effect/resilience"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

func ExampleReduce() {
	s := opened(2)
	env := reducer.NewEnv(&reducer.Fixed{Time: time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)})

	e := Reduce(&s, Hold{"ann"}, env)

	fmt.Println("free:", s.Free, "held until:", s.Held["ann"].Format("15:04"))
	fmt.Println(effect.Describe(e))
	// Output:
	// free: 1 held until: 20:05
	// all
	//   send action=boxoffice.Kept{Customer:ann}
	//   after key=ann delay=5m0s action=boxoffice.HoldExpired{Customer:ann}
}

func Example() {
	bank := &Bank{Broke: map[string]bool{"bob": true}}
	office, err := store.New(opened(2), reducer.Func[State, Action](Reduce), store.Config{
		Name:     "box office",
		Handlers: []effect.Handler{effect.Handle(bank.Charge)},
	})
	if err != nil {
		panic(err)
	}

	ctx := context.Background()
	for _, a := range []Action{Hold{"ann"}, Hold{"bob"}, Hold{"cyd"}, Pay{"ann"}, Pay{"bob"}} {
		answer, err := store.Ask(ctx, office, a, AsAnswer)
		fmt.Printf("%T%v: %T %v %v\n", a, a, answer, answer, err)
	}

	free := store.View(office, func(s *State) int { return s.Free })
	fmt.Println("free:", free, "shutdown:", office.Shutdown(ctx))
	// Output:
	// boxoffice.Hold{ann}: boxoffice.Kept {ann} <nil>
	// boxoffice.Hold{bob}: boxoffice.Kept {bob} <nil>
	// boxoffice.Hold{cyd}: boxoffice.Refused {cyd no seat for you} <nil>
	// boxoffice.Pay{ann}: boxoffice.Sold {ann receipt for ann} <nil>
	// boxoffice.Pay{bob}: boxoffice.Declined {bob card declined} <nil>
	// free: 1 shutdown: <nil>
}

// What a store does with waits of all kinds, on a simulated clock.
func Example_waiting() {
	err := sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
		office, err := store.New(opened(1), reducer.Func[State, Action](Reduce), store.Config{Runtime: rt})
		if err != nil {
			panic(err)
		}
		stop := office.Observe(func(_ context.Context, e store.Event[State, Action]) {
			fmt.Printf("%v: %T, %d free\n", rt.Elapsed(), e.Action, e.State.Free)
		})
		defer stop()

		fmt.Println("sent:", office.SendAndSettle(ctx, Hold{"ann"}))
		fmt.Println("settled after", rt.Elapsed())
	})
	fmt.Println(err)
	// Output:
	// 0s: boxoffice.Hold, 0 free
	// 0s: boxoffice.Kept, 0 free
	// 5m0s: boxoffice.HoldExpired, 1 free
	// sent: <nil>
	// settled after 5m0s
	// <nil>
}

func Example_shutdown() {
	office, err := store.New(opened(1), reducer.Func[State, Action](Reduce), store.Config{})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	fmt.Println(office.Send(ctx, Hold{"ann"}))
	cancel() // as when the process has no time left

	fmt.Println(office.Shutdown(ctx))
	fmt.Println(office.Send(context.Background(), Leave{"ann"}))
	// Output:
	// <nil>
	// shutdown abandoned 1 effects (context canceled), 0 handlers still running: timer key=ann action=boxoffice.HoldExpired{Customer:ann}
	// store is shut down
}

func Example_panic() {
	buggy := func(s *State, a Action, env reducer.Env) effect.Effect[Action] {
		s.Tickets = nil
		return Reduce(s, a, env)
	}
	office, err := store.New(opened(1), reducer.Func[State, Action](buggy), store.Config{Name: "box office"})
	if err != nil {
		panic(err)
	}

	_, err = store.Ask(context.Background(), office, Action(Sold{"ann", "r1"}), AsAnswer)
	fmt.Println(err)
	fmt.Println(office.Health().Status)
	// Output:
	// store "box office" stopped: reduce boxoffice.Sold{Customer:ann Receipt:r1}: panic: assignment to entry in nil map
	// stopped
}

func Example_resilience() {
	calls := 0
	flaky := func(_ context.Context, c Charge) (string, error) {
		if calls++; calls < 3 {
			return "", errors.New("connection reset")
		}
		return "receipt for " + c.Customer, nil
	}
	handler := effect.Handle(flaky,
		resilience.Retry(resilience.RetryConfig{Attempts: 3, Delay: time.Millisecond}),
		resilience.CircuitBreaker(resilience.BreakerConfig{Name: "bank", Failures: 5}))

	office, err := store.New(opened(1), reducer.Func[State, Action](Reduce), store.Config{
		Handlers: []effect.Handler{handler},
	})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	fmt.Println(office.Send(ctx, Hold{"ann"}))
	fmt.Println(store.Ask(ctx, office, Action(Pay{"ann"}), AsAnswer))
	fmt.Println(calls, "calls")
	// Output:
	// <nil>
	// {ann receipt for ann} <nil>
	// 3 calls
}

func Example_metadata() {
	charge := func(ctx context.Context, c Charge) (string, error) {
		meta, _ := reducer.MetaFrom(ctx)
		return "receipt of " + meta.Tenant + ", sold by " + meta.Actor, nil
	}
	office, err := store.New(opened(1), reducer.Func[State, Action](Reduce), store.Config{
		Handlers: []effect.Handler{effect.Handle(charge)},
	})
	if err != nil {
		panic(err)
	}
	office.Observe(func(_ context.Context, e store.Event[State, Action]) {
		fmt.Printf("%T: tenant %s, caused by another action: %t\n", e.Action, e.Meta.Tenant, e.Meta.CausationID != [16]byte{})
	})

	ctx := reducer.WithMeta(context.Background(), reducer.Meta{Tenant: "opera", Actor: "desk 3"})
	fmt.Println(office.Send(ctx, Hold{"ann"}))
	fmt.Println(store.Ask(ctx, office, Action(Pay{"ann"}), AsAnswer))
	// Output:
	// boxoffice.Hold: tenant opera, caused by another action: false
	// boxoffice.Kept: tenant opera, caused by another action: true
	// <nil>
	// boxoffice.Pay: tenant opera, caused by another action: false
	// boxoffice.Sold: tenant opera, caused by another action: true
	// {ann receipt of opera, sold by desk 3} <nil>
}
