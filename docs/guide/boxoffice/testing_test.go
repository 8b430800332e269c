package boxoffice

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
	"github.com/seed57833328/rondo/testkit"
)

func TestASeatIsSold(t *testing.T) {
	t.Parallel()
	ts := testkit.New(t, opened(1), reducer.Func[State, Action](Reduce))

	ts.Send(Hold{"ann"}, func(s *State) {
		s.Free = 0
		s.Held["ann"] = ts.Now().Add(5 * time.Minute)
	})
	ts.Receive(Kept{"ann"})

	ts.Send(Pay{"ann"}, func(s *State) { delete(s.Held, "ann") })
	testkit.Reply(ts, Charge{"ann", 4500}, "r1")
	ts.Receive(Sold{"ann", "r1"}, func(s *State) { s.Tickets["ann"] = "r1" })
}

// held is a test in which ann holds the only seat.
func held(t testkit.T) *testkit.TestStore[State, Action] {
	ts := testkit.New(t, opened(1), reducer.Func[State, Action](Reduce))
	ts.Send(Hold{"ann"}, func(s *State) {
		s.Free = 0
		s.Held["ann"] = ts.Now().Add(holdFor)
	})
	ts.Receive(Kept{"ann"})
	return ts
}

func TestADeclinedCardFreesItsSeat(t *testing.T) {
	t.Parallel()
	ts := held(t)
	ts.Send(Pay{"ann"}, func(s *State) { delete(s.Held, "ann") })
	testkit.Fail(ts, Charge{"ann", 4500}, ErrDeclined)
	ts.Receive(Declined{"ann", ErrDeclined}, func(s *State) { s.Free = 1 })
}

func TestAHoldExpires(t *testing.T) {
	t.Parallel()
	ts := held(t)
	ts.Advance(4 * time.Minute)
	ts.Send(Hold{"bob"})
	ts.Receive(Refused{"bob", "no seat for you"})
	ts.Advance(time.Minute)
	ts.Receive(HoldExpired{"ann"}, func(s *State) {
		s.Free = 1
		delete(s.Held, "ann")
	})
}

func TestWhoeverLeavesIsNotTimedOut(t *testing.T) {
	t.Parallel()
	ts := held(t)
	ts.Send(Leave{"ann"}, func(s *State) {
		s.Free = 1
		delete(s.Held, "ann")
	})
	ts.Advance(time.Hour) // nothing is received
}

func TestTheBankDoesNotAnswer(t *testing.T) {
	t.Parallel()
	ts := held(t)
	ts.Send(Pay{"ann"}, func(s *State) { delete(s.Held, "ann") })
	ts.Advance(10 * time.Second)
	ts.Receive(Declined{"ann", effect.ErrTimeout}, func(s *State) { s.Free = 1 })
}

func TestNoSeatIsLost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		if err := evening(seed, Reduce); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// evening is a sale of five seats to twenty customers, simulated.
func evening(seed uint64, reduce reducer.Func[State, Action]) (wrong error) {
	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		bank := &slowBank{Bank{Broke: map[string]bool{"c3": true, "c7": true}}}
		office, err := store.New(opened(5), reduce, store.Config{
			Runtime:  rt,
			Handlers: []effect.Handler{effect.Handle(bank.Charge)},
		})
		if err != nil {
			panic(err)
		}
		for i := range 20 {
			rt.Go(func() { visit(ctx, office, fmt.Sprintf("c%d", i)) })
		}
		_ = store.Sleep(ctx, time.Hour)

		n := store.View(office, func(s *State) [3]int { return [3]int{s.Free, len(s.Held), len(s.Tickets)} })
		if n[0]+n[1]+n[2] != 5 {
			wrong = fmt.Errorf("%d free, %d held, %d sold, of 5 seats", n[0], n[1], n[2])
		}
	})
	return errors.Join(err, wrong)
}

// visit is a customer, who tries again when there is no seat.
func visit(ctx context.Context, office *store.Store[State, Action], name string) {
	for range 3 {
		answer, _ := store.Ask(ctx, office, Action(Hold{name}), AsAnswer)
		if _, kept := answer.(Kept); kept {
			_ = store.Sleep(ctx, 30*time.Second)
			_, _ = store.Ask(ctx, office, Action(Pay{name}), AsAnswer)
			return
		}
		_ = store.Sleep(ctx, time.Minute)
	}
}

// slowBank takes its time.
type slowBank struct{ Bank }

func (b *slowBank) Charge(ctx context.Context, c Charge) (string, error) {
	if err := store.Sleep(ctx, 2*time.Second); err != nil {
		return "", err
	}
	return b.Bank.Charge(ctx, c)
}
