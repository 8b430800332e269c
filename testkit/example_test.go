package testkit_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// printT stands for a *testing.T where there is none: it prints.
type printT struct{ cleanups []func() }

func (*printT) Helper()                           {}
func (*printT) Name() string                      { return "example" }
func (t *printT) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }
func (*printT) Logf(format string, args ...any)   { fmt.Printf(format+"\n", args...) }
func (*printT) Errorf(format string, args ...any) { fmt.Println(tidy(fmt.Sprintf(format, args...))) }
func (t *printT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	panic(stop{})
}

// run runs a test and says whether it passed.
func (t *printT) run(test func(t testkit.T)) {
	defer func() {
		if v := recover(); v != nil && v != (stop{}) {
			panic(v)
		}
	}()
	test(t)
	for _, f := range t.cleanups {
		f()
	}
	fmt.Println("done")
}

// tidy makes of a report what an Output comment can hold.
func tidy(s string) string { return strings.ReplaceAll(s, "\t", "  ") }

func Example() {
	test := func(t testkit.T) { // in a test: func TestReserve(t *testing.T)
		ts := testkit.New(t, Seat{}, reducer.Func[Seat, SeatAction](reduceSeat))

		ts.Send(Reserve{"ada"}, func(s *Seat) { s.Customer = "ada" })
		testkit.Reply(ts, Charge{"ada", 2500}, Receipt{"r-1"})
		ts.Receive(Charged{"ada", "r-1"}, func(s *Seat) { s.Receipt = "r-1" })
		ts.Advance(5 * time.Minute) // the timer was cancelled
	}
	new(printT).run(test)
	// Output:
	// done
}

func Example_timer() {
	test := func(t testkit.T) {
		ts := testkit.New(t, Seat{}, reducer.Func[Seat, SeatAction](reduceSeat))

		ts.Send(Reserve{"ada"}, func(s *Seat) { s.Customer = "ada" })
		ts.Advance(5 * time.Minute)
		ts.Receive(Expired{}, func(s *Seat) { s.Customer = "" })
	}
	new(printT).run(test)
	// Output:
	// testkit: the test is over, and effects are in flight
	//
	// Answer requests with Reply or Fail, let timers fire with Advance, cancel what is to be cancelled, or say SkipInFlight.
	//
	// in flight:
	//   request Charge{Customer: "ada", Cents: 2500} key="charge"
	//
	// trace:
	//   1. +0s Send Reserve{Customer: "ada"}
	//        starts request Charge{Customer: "ada", Cents: 2500} key="charge"
	//        starts timer Expired{} key="hold", fires in 5m0s
	//   2. +0s Advance 5m0s
	//   3. +5m0s Receive Expired{}
	// done
}

func ExampleTestStore_Receive() {
	test := func(t testkit.T) {
		ts := testkit.New(t, Seat{}, reducer.Func[Seat, SeatAction](reduceSeat))

		ts.Send(Reserve{"ada"}, func(s *Seat) { s.Customer = "ada" })
		testkit.Reply(ts, Charge{"ada", 2500}, Receipt{"r-1"})
		ts.Receive(Charged{"ada", "r-2"}, func(s *Seat) { s.Receipt = "r-2" })
	}
	new(printT).run(test)
	// Output:
	// testkit: Receive Charged{Customer: "ada", Receipt: "r-2"}: the next action is another, Charged{Customer: "ada", Receipt: "r-1"}
	//
	// action (-want +got):
	//   testkit_test.Charged{
	//     Customer: "ada",
	// -   Receipt:  "r-2",
	// +   Receipt:  "r-1",
	//   }
	//
	// waiting to be received:
	//   1. Charged{Customer: "ada", Receipt: "r-1"}
	//
	// in flight:
	//   timer Expired{} key="hold", fires in 5m0s
	//
	// trace:
	//   1. +0s Send Reserve{Customer: "ada"}
	//        starts request Charge{Customer: "ada", Cents: 2500} key="charge"
	//        starts timer Expired{} key="hold", fires in 5m0s
	//   2. +0s Reply Charge{Customer: "ada", Cents: 2500}, Receipt{Number: "r-1"}
}

func ExampleTestStore_ReceiveUnordered() {
	test := func(t testkit.T) {
		var fx effect.Of[string]
		ts := testkit.New(t, 0, reducer.Func[int, string](func(s *int, a string, _ reducer.Env) effect.Effect[string] {
			*s++
			if a == "both" {
				return fx.All(fx.Send("left"), fx.Send("right"))
			}
			return fx.None()
		}))
		ts.Send("both", func(s *int) { *s = 1 })
		count := func(s *int) { *s++ }
		ts.ReceiveUnordered(ts.Expect("right", count), ts.Expect("left", count))
	}
	new(printT).run(test)
	// Output:
	// done
}

// The reducer that the examples are about.

type Seat struct{ Customer, Receipt string }

type SeatAction interface{ seat() }

type (
	Reserve struct{ Customer string }
	Charged struct{ Customer, Receipt string }
	Expired struct{}
)

func (Reserve) seat() {}
func (Charged) seat() {}
func (Expired) seat() {}

type Charge struct {
	Customer string
	Cents    int
}

func (Charge) Returns(Receipt) {}

type Receipt struct{ Number string }

var seat effect.Of[SeatAction]

func reduceSeat(s *Seat, a SeatAction, _ reducer.Env) effect.Effect[SeatAction] {
	switch a := a.(type) {
	case Reserve:
		s.Customer = a.Customer
		return seat.All(
			effect.Do(Charge{a.Customer, 2500}, func(r effect.Result[Receipt]) SeatAction {
				return Charged{a.Customer, r.Value.Number}
			}, effect.Key("charge")),
			seat.After("hold", 5*time.Minute, Expired{}))
	case Charged:
		s.Receipt = a.Receipt
		return seat.Cancel("hold")
	case Expired:
		s.Customer = ""
	}
	return seat.None()
}
