package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

func logOfKey(k *testKeyed, key string) string {
	log, ok := store.ViewKey(k, key, (*state).log)
	if !ok {
		return "none"
	}
	return log
}

func TestKeyedMakesAStoreOnFirstUse(t *testing.T) {
	t.Parallel()
	made := map[string]int{}
	k, err := store.NewKeyed(func(key string) state {
		made[key]++ // called one at a time here
		return state{names: []string{"new " + key}}
	}, reducer.Func[state, action](reduce), store.KeyedConfig[string, state]{})
	require.NoError(t, err)
	require.Equal(t, "none", logOfKey(k, "ada"))
	require.Zero(t, k.Len())
	require.NoError(t, k.Send(t.Context(), "ada", act("a")))
	require.NoError(t, k.Send(background, "ada", act("b")))
	require.NoError(t, k.SendAndSettle(t.Context(), "bob", act("c", fx.Send(act("d")))))
	got, err := store.AskKey(t.Context(), k, "eve", act("answer e"), named("answer "))
	require.NoError(t, err)
	require.Equal(t, "e", got)
	require.NoError(t, k.Until(t.Context(), "ada", func(s *state) bool { return len(s.names) == 3 }))
	require.Equal(t, "new ada a b", logOfKey(k, "ada"))
	require.Equal(t, "new bob c d", logOfKey(k, "bob"))
	require.Equal(t, map[string]int{"ada": 1, "bob": 1, "eve": 1}, made)
	require.Equal(t, 3, k.Len())
	seen := map[string]int{}
	k.Range(func(key string, s *state) bool { seen[key] = len(s.names); return true })
	require.Equal(t, map[string]int{"ada": 3, "bob": 3, "eve": 2}, seen)
	calls := 0
	k.Range(func(string, *state) bool { calls++; return false })
	require.Equal(t, 1, calls)
	require.NoError(t, k.Shutdown(t.Context()))
	require.ErrorIs(t, k.Send(t.Context(), "ada", act("x")), store.ErrClosed)
	require.ErrorIs(t, k.Send(t.Context(), "new", act("x")), store.ErrClosed)
	require.NoError(t, k.Shutdown(ended()), "again")
	require.Equal(t, "new ada a b", logOfKey(k, "ada"), "states stay to be looked at")
	require.Equal(t, store.Stopped, k.Health().Status)
}

func TestKeyedStoresAtOnce(t *testing.T) {
	t.Parallel()
	const senders, keys, each = 8, 64, 40
	k := openKeyed(t, store.KeyedConfig[string, state]{}, handle(func(_ context.Context, id string) (string, error) { return id, nil }))
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := range keys * each {
				key := strconv.Itoa(i % keys)
				a := action{name: fmt.Sprint(sender, "/", i/keys), n: 1}
				if i%10 == 0 {
					got, err := store.AskKey(t.Context(), k, key, act("ask", do("x"), fx.Send(a)), named("x="))
					if err != nil || got != "x" {
						t.Errorf("got %q, %v", got, err)
					}
					continue
				}
				if err := k.Send(background, key, a); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, k.Shutdown(t.Context()))
	k.Range(func(key string, s *state) bool {
		require.Equal(t, senders*each, s.sum, key)
		return true
	})
	require.Equal(t, keys, k.Len())
}

func TestKeyedPassivatesWhatIsIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone journal
		k := openKeyed(t, store.KeyedConfig[string, state]{
			IdleAfter:  time.Minute,
			Passivated: func(key string, s state) { gone.tell(key, ": ", s.log()) },
		})
		sleep := func(d time.Duration) { require.NoError(t, store.Sleep(t.Context(), d)); synctest.Wait() }
		for _, key := range []string{"idle", "used", "busy", "observed", "awaited", "held"} {
			require.NoError(t, k.Send(t.Context(), key, act("a")))
		}
		require.NoError(t, k.Send(t.Context(), "busy", act("b", fx.After(nil, 10*time.Minute, act("c")))))
		require.NoError(t, k.Send(t.Context(), "held", act("b", fx.Hold("h"))))
		stop, err := k.Observe("observed", func(context.Context, store.Event[state, action]) {})
		require.NoError(t, err)
		awaited := make(chan error)
		go func() { awaited <- k.Until(t.Context(), "awaited", func(s *state) bool { return s.sum > 0 }) }()

		sleep(59 * time.Second)
		require.Empty(t, gone.all(), "not before it is due")
		require.NoError(t, k.Send(t.Context(), "used", act("b")))
		sleep(35 * time.Second)
		require.Equal(t, []string{"idle: a"}, gone.all())
		require.Equal(t, 5, k.Len())
		require.Equal(t, "none", logOfKey(k, "idle"))

		sleep(5 * time.Minute)
		require.Equal(t, []string{"idle: a", "used: a b"}, gone.all())
		require.NoError(t, k.Send(t.Context(), "idle", act("again")))
		require.Equal(t, "again", logOfKey(k, "idle"), "it begins anew")

		// Its timer fires after ten minutes.
		sleep(3*time.Minute + 20*time.Second)
		require.Equal(t, "a b", logOfKey(k, "busy"), "it has not been used for long, but is at work")
		sleep(2 * time.Minute)
		require.Equal(t, "none", logOfKey(k, "busy"))

		require.Equal(t, "a", logOfKey(k, "observed"))
		require.Equal(t, "a", logOfKey(k, "awaited"))
		stop()
		require.NoError(t, k.Send(t.Context(), "awaited", action{n: 1}))
		require.NoError(t, <-awaited)
		require.NoError(t, k.SendAndSettle(t.Context(), "held", act("c", fx.Resume("h", act("d")))))
		sleep(3 * time.Minute)
		require.Zero(t, k.Len())
		require.ElementsMatch(t, []string{"idle: a", "used: a b", "idle: again", "busy: a b c", "observed: a", "awaited: a ", "held: a b c d"}, gone.all())
		require.NoError(t, k.Shutdown(t.Context()))
	})
}

// Passivate takes a store out of memory if nothing holds it there.
func TestKeyedPassivate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone journal
		k := openKeyed(t, store.KeyedConfig[string, state]{Passivated: func(key string, s state) { gone.tell(key, ": ", s.log()) }})
		for _, key := range []string{"idle", "busy", "observed", "awaited", "held"} {
			require.NoError(t, k.Send(t.Context(), key, act("a")))
		}
		require.NoError(t, k.Send(t.Context(), "busy", act("b", fx.After(nil, time.Minute, act("c")))))
		require.NoError(t, k.Send(t.Context(), "held", act("b", fx.Hold("h"))))
		stop, err := k.Observe("observed", func(context.Context, store.Event[state, action]) {})
		require.NoError(t, err)
		awaited := make(chan error)
		go func() { awaited <- k.Until(t.Context(), "awaited", func(s *state) bool { return s.sum > 0 }) }()
		synctest.Wait()

		require.False(t, k.Passivate("unknown"))
		require.True(t, k.Passivate("idle"))
		require.False(t, k.Passivate("idle"), "it is gone")
		for _, key := range []string{"busy", "observed", "awaited", "held"} {
			require.False(t, k.Passivate(key), key)
		}
		require.Equal(t, []string{"idle: a"}, gone.all())
		require.NoError(t, k.Send(t.Context(), "idle", act("again")))
		require.Equal(t, "again", logOfKey(k, "idle"), "it begins anew")

		stop()
		require.True(t, k.Passivate("observed"))
		require.NoError(t, k.Send(t.Context(), "awaited", action{n: 1}))
		require.NoError(t, <-awaited)
		require.True(t, k.Passivate("awaited"))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		synctest.Wait()
		require.True(t, k.Passivate("busy"))
		require.NoError(t, k.SendAndSettle(t.Context(), "held", act("c", fx.Resume("h", act("d")))))
		require.True(t, k.Passivate("held"))
		require.NoError(t, k.Shutdown(t.Context()))
		require.False(t, k.Passivate("idle"), "what a shutdown leaves stays to be seen")
		require.Equal(t, 1, k.Len())
	})
}

func TestKeyedMaxLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gone journal
		k := openKeyed(t, store.KeyedConfig[string, state]{
			Config:     store.Config{Name: "orders"},
			MaxLive:    4,
			Passivated: func(key string, s state) { gone.tell(key, ": ", s.log()) },
		})
		for _, key := range []string{"a", "b", "c", "d"} {
			require.NoError(t, k.Send(t.Context(), key, act("1")))
		}
		require.Equal(t, store.Health{Status: store.Degraded, Reasons: []string{"4 stores are live, as many as may be"}}, k.Health())
		require.NoError(t, k.Send(t.Context(), "a", act("2")))
		require.NoError(t, k.Send(t.Context(), "e", act("1"))) // b was not used for longest
		require.NoError(t, k.Send(t.Context(), "b", act("1"))) // then c
		require.Equal(t, []string{"b: 1", "c: 1"}, gone.all())

		// Those at work stay, whatever it takes.
		for _, key := range []string{"d", "a", "e"} {
			require.NoError(t, k.Send(t.Context(), key, act("busy", fx.Hold("h"))))
		}
		require.NoError(t, k.Send(t.Context(), "f", act("1")))
		require.Equal(t, []string{"b: 1", "c: 1", "b: 1"}, gone.all())
		stop, err := k.Observe("f", func(context.Context, store.Event[state, action]) {})
		require.NoError(t, err)
		err = k.Send(t.Context(), "g", act("1"))
		require.ErrorIs(t, err, store.ErrTooManyLive)
		require.EqualError(t, err, `keyed store "orders": too many live stores: 4`)
		require.ErrorIs(t, k.SendAndSettle(t.Context(), "g", act("1")), store.ErrTooManyLive)
		_, err = k.Observe("g", nil)
		require.ErrorIs(t, err, store.ErrTooManyLive)
		require.NoError(t, k.Send(t.Context(), "a", act("3")), "those that live are used")
		stop()
		require.NoError(t, k.Send(t.Context(), "g", act("1")))
		require.Equal(t, 4, k.Len())
		require.Equal(t, []string{"b: 1", "c: 1", "b: 1", "f: 1"}, gone.all())
		require.Error(t, k.Shutdown(ended()))
	})
}

// A send that finds its store being passivated makes the next one, with what
// Passivated has kept. Nothing is lost, and no two stores of a key overlap.
func TestKeyedSendsAgainstPassivation(t *testing.T) {
	t.Parallel()
	const senders, keys, each = 8, 40, 3000
	var mu sync.Mutex
	saved := map[string]int{}
	passivated := 0
	k, err := store.NewKeyed(func(key string) int {
		mu.Lock()
		defer mu.Unlock()
		return saved[key]
	}, reducer.Func[int, int](func(s *int, n int, _ reducer.Env) effect.Effect[int] {
		*s += n
		return effect.Effect[int]{}
	}), store.KeyedConfig[string, int]{MaxLive: 20, Passivated: func(key string, n int) {
		mu.Lock()
		defer mu.Unlock()
		if n < saved[key] {
			t.Errorf("%s: %d passivated after %d", key, n, saved[key])
		}
		saved[key] = n
		passivated++
	}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for i := range each {
				key := strconv.Itoa((i*7 + sender) % keys)
				var err error
				switch i % 4 {
				case 0:
					err = k.SendAndSettle(t.Context(), key, 1)
				case 1:
					_, err = store.AskKey(t.Context(), k, key, 1, func(int) (int, bool) { return 0, true })
				case 2:
					err = k.Send(t.Context(), key, 1)
				default:
					err = k.Send(background, key, 1)
				}
				if err != nil {
					t.Error(err)
				}
				store.ViewKey(k, key, func(n *int) int { return *n })
				if i%50 == 0 {
					stop, err := k.Observe(key, func(context.Context, store.Event[int, int]) {})
					if err != nil {
						t.Error(err)
					}
					stop()
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, k.Len(), 20)
	require.NoError(t, k.Shutdown(t.Context()))
	total := 0
	k.Range(func(key string, n *int) bool {
		delete(saved, key)
		total += *n
		return true
	})
	for _, n := range saved {
		total += n
	}
	require.Equal(t, senders*each, total)
	require.Greater(t, passivated, 100)
}

// All use one store, which another pushes out again and again.
func TestKeyedSendsAgainstPassivationOfOneKey(t *testing.T) {
	t.Parallel()
	const senders, each = 4, 4000
	var passivated atomic.Int64
	k, err := store.NewKeyed(func(int) int { return 0 }, reducer.Func[int, int](func(s *int, n int, _ reducer.Env) effect.Effect[int] {
		*s += n
		return effect.Effect[int]{}
	}), store.KeyedConfig[int, int]{MaxLive: 1, Passivated: func(_, n int) { passivated.Add(int64(n)) }})
	require.NoError(t, err)
	var wg sync.WaitGroup
	var accepted atomic.Int64
	for sender := range senders {
		wg.Go(func() {
			for range each {
				key := 0
				if sender == 0 {
					key = 1
				}
				switch err := k.Send(background, key, 1); {
				case err == nil:
					accepted.Add(1)
				case !errors.Is(err, store.ErrTooManyLive):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, k.Shutdown(t.Context()))
	k.Range(func(_ int, n *int) bool { passivated.Add(int64(*n)); return true })
	require.Equal(t, accepted.Load(), passivated.Load())
}

// A handler that was cancelled and has not returned keeps its store, so that
// shutdown waits for it.
func TestKeyedKeepsAStoreWhoseHandlerStillRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{})
		k := openKeyed(t, store.KeyedConfig[string, state]{IdleAfter: time.Second}, handle(func(context.Context, string) (string, error) {
			<-deaf
			return "", nil
		}))
		require.NoError(t, k.Send(t.Context(), "a", act("a", do("x", effect.Key("k")))))
		synctest.Wait()
		require.NoError(t, k.Send(t.Context(), "a", act("b", fx.Cancel("k"))))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Equal(t, 1, k.Len())
		close(deaf)
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Zero(t, k.Len())
		require.NoError(t, k.Shutdown(t.Context()))
	})
}

// The bound is for stores, not for those who make the same one at once.
func TestKeyedFirstUseByManyAtTheBound(t *testing.T) {
	t.Parallel()
	for range 200 {
		k := openKeyed(t, store.KeyedConfig[string, state]{MaxLive: 1})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := k.Send(t.Context(), "only", action{n: 1}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, k.Len())
		require.NoError(t, k.Shutdown(t.Context()))
	}
}

// Two stores for one place take turns.
func TestKeyedTurnsAtTheBound(t *testing.T) {
	t.Parallel()
	var total atomic.Int64
	k := openKeyed(t, store.KeyedConfig[string, state]{MaxLive: 1, Passivated: func(_ string, s state) { total.Add(int64(s.sum)) }})
	refused := 0
	var accepted int64
	for i := range 500 {
		switch err := k.Send(background, strconv.Itoa(i%2), action{n: 1}); {
		case err == nil:
			accepted++
		case errors.Is(err, store.ErrTooManyLive):
			refused++
		default:
			t.Error(err)
		}
	}
	require.Zero(t, refused)
	require.NoError(t, k.Shutdown(t.Context()))
	k.Range(func(_ string, s *state) bool { total.Add(int64(s.sum)); return true })
	require.Equal(t, accepted, total.Load())
}

func TestKeyedShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stopped journal
		k := openKeyed(t, store.KeyedConfig[string, state]{
			Config:     store.Config{Name: "orders", Hooks: store.Hooks{Stopped: func(name string, err error) { stopped.tell(name, " ", err != nil) }}},
			IdleAfter:  time.Hour,
			Passivated: func(string, state) { t.Error("shutdown passivates none") },
		}, handle(func(ctx context.Context, id string) (string, error) { <-ctx.Done(); return id, ctx.Err() }))
		require.NoError(t, k.Send(t.Context(), "ada", act("a", do("x", effect.Key("k")))))
		require.NoError(t, k.Send(t.Context(), "bob", act("a", fx.After("t", time.Minute, act("b")))))
		require.NoError(t, k.Send(t.Context(), "eve", act("a")))
		require.NoError(t, k.Send(t.Context(), "mal", acting("culprit", boom)))
		require.Equal(t, store.Health{Status: store.Degraded, Reasons: []string{"1 stores stopped by a panic"}}, k.Health())
		var stop *store.StoppedError
		require.ErrorAs(t, k.Send(t.Context(), "mal", act("b")), &stop)
		require.Equal(t, "mal", stop.Key)

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		shut := make(chan error, 2)
		go func() { shut <- k.Shutdown(ctx) }()
		synctest.Wait()
		for _, key := range []string{"ada", "bob", "eve", "new"} {
			require.ErrorIs(t, k.Send(t.Context(), key, act("x")), store.ErrClosed, "%s: refused everywhere from the start", key)
		}
		err := <-shut
		var abandoned *store.AbandonedError
		require.ErrorAs(t, err, &abandoned)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, abandoned.Abandoned, 1)
		require.Equal(t, "ada", abandoned.Abandoned[0].StoreKey)
		require.Equal(t, call{"x"}, abandoned.Abandoned[0].Request)
		require.Equal(t, 1, abandoned.Running)
		require.ErrorAs(t, err, &stop)
		require.ErrorContains(t, err, "key mal: store \"orders\"[mal] stopped: reduce")
		require.Equal(t, "a b", logOfKey(k, "bob"), "it has finished")
		require.Len(t, k.DeadLetters(), 1)
		require.Equal(t, "ada", k.DeadLetters()[0].StoreKey)
		require.ElementsMatch(t, []string{"orders true", "orders false", "orders false", "orders true"}, stopped.all())
	})
}

// A dead letter is redelivered in its key's store, though that was made anew.
func TestKeyedRedeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var works atomic.Bool
		var seen metas
		k := openKeyed(t, store.KeyedConfig[string, state]{MaxLive: 1}, handle(func(ctx context.Context, id string) (string, error) {
			meta, _ := reducer.MetaFrom(ctx)
			seen.see("handler of "+id, meta)
			if !works.Load() {
				return "", errors.New("no")
			}
			return id, nil
		}))
		for _, key := range []string{"ada", "bob"} {
			require.NoError(t, k.SendAndSettle(t.Context(), key, act("a", effect.Fire[action](call{key}), fx.After(nil, -1, action{name: "late " + key, n: 1}))))
		}
		require.Equal(t, "none", logOfKey(k, "ada"), "there is room for one")
		before := seen.all()
		works.Store(true)
		list := k.DeadLetters()
		require.Equal(t, []uint64{1, 2, 3, 4}, ids(list))
		for _, d := range list {
			require.NoError(t, k.Redeliver(t.Context(), d.ID))
			synctest.Wait()
			require.Equal(t, 1, k.Len())
			if d.HasAction {
				require.Equal(t, d.Action.name, logOfKey(k, d.StoreKey.(string)))
			}
		}
		require.Empty(t, k.DeadLetters())
		require.Equal(t, before, seen.all(), "handlers are told of the same action")
		require.NoError(t, k.Shutdown(t.Context()))
		require.ErrorIs(t, k.Redeliver(t.Context(), 1), store.ErrNoDeadLetter)
	})
}

// Redelivery races with passivation: each letter is delivered once.
func TestKeyedRedeliverAgainstPassivation(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	var delivered atomic.Int64
	k := openKeyed(t, store.KeyedConfig[string, state]{MaxLive: 20}, handle(func(context.Context, string) (string, error) {
		if !works.Load() {
			return "", errors.New("no")
		}
		delivered.Add(1)
		return "", nil
	}))
	const letters = 300
	for i := range letters {
		require.NoError(t, k.SendAndSettle(t.Context(), strconv.Itoa(i%30), act("a", effect.Fire[action](call{"x"}))))
	}
	works.Store(true)
	var wg sync.WaitGroup
	for sender := range 4 {
		wg.Go(func() { // makes stores come and go
			for i := range 1000 {
				if err := k.Send(t.Context(), strconv.Itoa((i*7+sender)%30), action{n: 1}); err != nil && !errors.Is(err, store.ErrTooManyLive) {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for _, d := range k.DeadLetters() {
				for {
					err := k.Redeliver(t.Context(), d.ID)
					if errors.Is(err, store.ErrTooManyLive) {
						continue // all at work
					}
					if err != nil && !errors.Is(err, store.ErrNoDeadLetter) {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, k.Shutdown(t.Context()))
	require.Empty(t, k.DeadLetters())
	require.EqualValues(t, letters, delivered.Load())
}

func TestKeyedIDsAreUnique(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[uuid.UUID]string{}
	k := openKeyed(t, store.KeyedConfig[string, state]{MaxLive: 3})
	for i := range 200 {
		key := strconv.Itoa(i % 7)
		require.NoError(t, k.Send(t.Context(), key, acting("a", func(_ *state, env reducer.Env) effect.Effect[action] {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range []uuid.UUID{env.Meta().ActionID, env.NewID(), env.NewID()} {
				if at, dup := seen[id]; dup {
					t.Errorf("%d: id of %s again", i, at)
				}
				seen[id] = fmt.Sprint(i)
			}
			return fx.None()
		})))
	}
	require.Len(t, seen, 600)
}

// A panic of what gives the first state is the sender's, and makes no store.
func TestKeyedInitialPanics(t *testing.T) {
	t.Parallel()
	fail := true
	k, err := store.NewKeyed(func(string) state {
		if fail {
			panic("initial")
		}
		return state{}
	}, reducer.Func[state, action](reduce), store.KeyedConfig[string, state]{MaxLive: 1})
	require.NoError(t, err)
	for range 3 {
		require.PanicsWithValue(t, "initial", func() { _ = k.Send(t.Context(), "a", act("a")) })
	}
	require.Zero(t, k.Len())
	fail = false
	require.NoError(t, k.Send(t.Context(), "a", act("a")))
	require.NoError(t, k.Shutdown(t.Context()))
}

func TestKeyedPassivatedPanics(t *testing.T) {
	t.Parallel()
	k := openKeyed(t, store.KeyedConfig[string, state]{MaxLive: 1, Passivated: func(string, state) { panic("passivated") }})
	require.NoError(t, k.Send(t.Context(), "a", act("a")))
	require.NoError(t, k.Send(t.Context(), "b", act("b")))
	require.Equal(t, 1, k.Len())
	require.Contains(t, k.Health().Reasons, "1 panics of observers or hooks")
}

// Not parallel: it counts goroutines.
func TestKeyedStoresThatAreIdleHaveNoGoroutines(t *testing.T) { //nolint:paralleltest // see above
	k := openKeyed(t, store.KeyedConfig[string, state]{IdleAfter: time.Hour}, handle(func(_ context.Context, id string) (string, error) { return id, nil }))
	require.NoError(t, k.SendAndSettle(t.Context(), "first", act("a", do("x"))))
	before := runtime.NumGoroutine()
	for i := range 2_000 {
		require.NoError(t, k.Send(t.Context(), strconv.Itoa(i), act("a", fx.After(nil, time.Hour, act("b")))))
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	require.Equal(t, 2_001, k.Len())
	require.Error(t, k.Shutdown(ended()))
}
