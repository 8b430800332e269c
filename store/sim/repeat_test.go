package sim_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

type counting struct{ To int }

func (counting) Returns(int) {}

// play runs an application with some of everything, and returns what happened.
func play(t *testing.T, seed uint64) (trace []string) {
	t.Helper()
	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		tell := func(parts ...any) { trace = append(trace, fmt.Sprint(rt.Elapsed(), " ", fmt.Sprint(parts...))) }
		luck := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable on purpose
		hooks := store.Hooks{
			EffectEnded: func(_ context.Context, e store.EffectInfo, took time.Duration, err error) {
				tell(e.Store, e.Key, " ", e.Request, " attempt ", e.Attempt, " took ", took, ": ", err)
			},
			DeadLettered: func(d store.DeadLetterInfo) { tell("dead ", d.Store, d.Key, " ", d.Err, " ", d.Meta.ActionID) },
			Stopped:      func(name string, err error) { tell("stopped ", name, " ", err) },
		}
		observe := func(name string) func(context.Context, store.Event[state, action]) {
			return func(_ context.Context, e store.Event[state, action]) {
				tell(name, " ", e.Seq, " ", e.Action.name, " ", e.Meta.ActionID, " ", e.Meta.CausationID)
			}
		}

		var orders *store.Store[state, action]
		var stock *store.Keyed[string, state, action]
		bank := open(rt, store.Config{Name: "bank", Workers: 2, Mailbox: 1, Hooks: hooks}, handle(func(ctx context.Context, id string) (string, error) {
			if err := store.Sleep(ctx, time.Duration(luck.IntN(1000))*time.Millisecond); err != nil {
				return "", err
			}
			if luck.IntN(3) == 0 {
				return "", errors.New("busy")
			}
			return id, orders.Send(ctx, action{name: "paid " + id, n: 1})
		}))
		bank.Observe(observe("bank"))
		stock, err := store.NewKeyed(func(string) state { return state{} }, reducer.Func[state, action](reduce), store.KeyedConfig[string, state]{
			Config: store.Config{Name: "stock", Runtime: rt, Hooks: hooks, Handlers: []effect.Handler{
				effect.HandleStream(func(ctx context.Context, c counting) iter.Seq2[int, error] {
					return func(yield func(int, error) bool) {
						for n := range c.To {
							if store.Sleep(ctx, time.Duration(luck.IntN(300))*time.Millisecond) != nil || !yield(n, nil) {
								return
							}
						}
					}
				}),
			}},
			MaxLive: 4, IdleAfter: 2 * time.Second,
			Passivated: func(key string, s state) { tell("passivated ", key, " ", s.log()) },
		})
		require.NoError(t, err)
		orders = open(rt, store.Config{Name: "orders", Workers: 3, Mailbox: 2, Hooks: hooks}, handle(func(ctx context.Context, id string) (string, error) {
			key := "shelf " + string(id[len(id)-1])
			count := effect.Stream(counting{3}, func(r effect.Result[int]) action { return act(fmt.Sprint("item ", r.Value, r.Err)) }, effect.Key("count", effect.Latest))
			if err := stock.Send(ctx, key, act("take "+id, count)); err != nil {
				return "", err
			}
			return store.Ask(ctx, bank, act("charge "+id, do(id, effect.Retry(effect.RetryPolicy{Attempts: 4, Jitter: 0.5}))), func(a action) (string, bool) {
				return a.name, len(a.name) > len(id) && a.name[:len(id)+1] == id+"="
			})
		}))
		orders.Observe(observe("orders"))

		finished := 0
		all := rt.NewSignal()
		const customers = 6
		for c := range customers {
			rt.Go(func() {
				id := "order " + strconv.Itoa(c)
				err := orders.SendAndSettle(ctx, act(id,
					do(id, effect.Key(c%2, effect.Queue), effect.Timeout(4*time.Second)),
					fx.After("remind", time.Second, act("remind "+id))))
				tell(id, " settled: ", err)
				if finished++; finished == customers {
					all.Fire()
				}
			})
		}
		_ = all.Wait(ctx)
		stock.Range(func(key string, s *state) bool { tell("left ", key, " ", s.log()); return true })
		short, cancel := context.WithCancel(ctx)
		rt.AfterFunc(100*time.Millisecond, cancel)
		tell("shutdown: ", stock.Shutdown(short), orders.Shutdown(ctx), bank.Shutdown(ctx))
		tell("bank ", logOf(bank))
		tell("orders ", logOf(orders))
	})
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	return trace
}

func equal(a, b []string) bool { return slices.Equal(a, b) }

func firstDifference(got, want []string) string {
	for i := range got {
		if i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("step %d: got %q, want %q", i, got[i], want[min(i, len(want)-1)])
		}
	}
	return fmt.Sprintf("got %d steps, want %d", len(got), len(want))
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		want := play(t, seed)
		require.Greater(t, len(want), 60)
		for range 3 {
			if got := play(t, seed); !equal(got, want) {
				t.Fatalf("seed %d: %s", seed, firstDifference(got, want))
			}
		}
	}
}

func TestOtherSeedsGiveOtherTraces(t *testing.T) {
	t.Parallel()
	traces := map[string]bool{}
	const seeds = 50
	for seed := range uint64(seeds) {
		traces[fmt.Sprint(play(t, seed))] = true
	}
	require.Len(t, traces, seeds)
}

func TestTheTraceIsThatOfAnyNumberOfProcessors(t *testing.T) { //nolint:paralleltest // it sets GOMAXPROCS
	was := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(was)
	for seed := range uint64(10) {
		runtime.GOMAXPROCS(1)
		want := play(t, seed)
		for _, n := range []int{2, 4, 16} {
			runtime.GOMAXPROCS(n)
			if got := play(t, seed); !equal(got, want) {
				t.Fatalf("seed %d on %d: %s", seed, n, firstDifference(got, want))
			}
		}
	}
}
