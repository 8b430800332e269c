package testkit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/testkit"
)

// mixed is a reducer that returns whatever effect a Begin's number says.
func mixed() reducer.Reducer[Log, Action] {
	keys := []any{nil, "k", 7, []int{1}, effect.Key}
	var build func(n, depth int) effect.Effect[Action]
	build = func(n, depth int) effect.Effect[Action] {
		q := Query{n % 3}
		key := keys[n/16%3]
		opts := []effect.Option{effect.Key(key)}
		if key != nil {
			opts = []effect.Option{effect.Key(key, effect.Policy(n%4))} //nolint:gosec // below 4
		}
		if n%5 == 0 {
			opts = append(opts, effect.Timeout(time.Duration(n%7)*time.Second), effect.Retry(effect.RetryPolicy{Delay: time.Second}))
		}
		kids := func() []effect.Effect[Action] {
			if depth == 0 {
				return nil
			}
			return []effect.Effect[Action]{build(n/2, depth-1), build(n/3, depth-1), build(n/5, depth-1)}
		}
		switch n % 14 {
		case 0:
			return effect.Do(q, got, opts...)
		case 1:
			return effect.Stream(q, got, opts...)
		case 2:
			return effect.Fire[Action](q, opts...)
		case 3:
			return fx.After(key, time.Duration(n%9)*time.Second, Done{"t"})
		case 4:
			return fx.Cancel(keys[1+n/16%2])
		case 5:
			return fx.Hold(keys[1+n/16%2])
		case 6:
			return fx.Resume(key, Done{"r"})
		case 7:
			return fx.Send(Done{"s"})
		case 8:
			return fx.Run("run", func(context.Context) Action { return nil }, opts...)
		case 9:
			return fx.Stream("feed", nil, opts...)
		case 10:
			if n%10 > 0 {
				return fx.None()
			}
			return fx.After(keys[n/10%len(keys)], -time.Second, Done{"faulty"})
		case 11, 12:
			return fx.Sequence(kids()...)
		}
		return fx.All(kids()...)
	}
	return begins(func(b Begin) effect.Effect[Action] { return build(b.N, 3) })
}

// Whatever is sent and answered, a TestStore either goes on or fails its test:
// it does not panic, and time does not go back.
func TestRandomPrograms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ts := (*testkit.TestStore[Log, Action])(nil)
		now := time.Time{}
		f := try(func(t *fakeT) {
			ts = testkit.NewWith(t, Log{}, mixed(), testkit.Config{PurityRuns: 2, CaptureLeaves: 8})
			for range rapid.IntRange(0, 30).Draw(rt, "calls") {
				if ts.Now().Before(now) {
					rt.Fatalf("time went back: %v after %v", ts.Now(), now)
				}
				now = ts.Now()
				n := rapid.IntRange(0, 5000).Draw(rt, "n")
				switch rapid.SampledFrom([]string{"send", "send", "answer", "answer", "answer", "advance", "skip", "wrong"}).Draw(rt, "call") {
				case "send":
					ts.Send(Begin{n})
				case "answer":
					if running := ts.Running(); len(running) > 0 {
						answer(ts, running[n%len(running)], n)
					}
				case "advance":
					ts.Advance(time.Duration(n) * time.Millisecond)
				case "skip":
					ts.SkipInFlight()
				case "wrong":
					if n%10 == 0 {
						testkit.Reply(ts, Query{n}, n)
					}
				}
				ts.SkipActions()
			}
		})
		if len(f.failures) > 1 {
			rt.Fatalf("%d failures, want at most one:\n%q", len(f.failures), f.failures)
		}
	})
}

// answer says that something came of a call.
func answer(ts *testkit.TestStore[Log, Action], call tree.Call[Action], n int) {
	q, asks := call.Request().(Query)
	goesOn := n%3 > 0
	switch {
	case call.Kind() == tree.Opaque:
		ts.Return(call.Name(), Done{"returned"})
	case asks && call.Kind() == tree.Request && (goesOn || call.Code() == 0):
		testkit.Reply(ts, q, n)
	case asks && call.Kind() == tree.Request:
		testkit.Fail(ts, q, errSold)
	case asks && goesOn:
		testkit.Emit(ts, q, n)
	case asks:
		testkit.End(ts, q, nil)
	case goesOn:
		ts.Yield(call.Name(), Done{"yielded"})
	default:
		ts.Finish(call.Name())
	}
}

// The same, answering only what is in flight: nothing but the faults may fail.
func TestRandomBookings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ts := testkit.NewWith(rt, State{}, Booking{}, testkit.Config{CaptureLeaves: 16})
		customer := rapid.SampledFrom([]string{"c1", "c2", "c3"})
		skip := func(s *State) { *s = ts.State() }
		sold := 0
		for range rapid.IntRange(0, 20).Draw(rt, "calls") {
			before := ts.Now()
			switch rapid.IntRange(0, 4).Draw(rt, "call") {
			case 0, 1:
				ts.Send(ReserveSeats{"A", customer.Draw(rt, "customer")}, skip)
				if s := ts.State(); s.Phase == Loading && rapid.Bool().Draw(rt, "loaded") {
					testkit.Reply(ts, LoadSection{"A"}, Inventory{Free: 4})
				}
			case 2:
				ts.Send(Release{customer.Draw(rt, "customer")}, skip)
			case 3:
				ts.Advance(time.Duration(rapid.IntRange(0, 400).Draw(rt, "seconds")) * time.Second)
			case 4:
				c := customer.Draw(rt, "customer")
				ts.Send(Confirm{c}, skip)
				testkit.Reply(ts, Notify{c}, struct{}{})
				sold = 0
			}
			ts.SkipActions()
			require.False(rt, ts.Now().Before(before), "time went back")
			s := ts.State()
			for _, n := range s.Holds {
				sold += n
			}
			if s.Phase == Ready {
				require.GreaterOrEqual(rt, s.Free, 0)
			}
		}
		ts.SkipInFlight()
	})
}
