package store_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// Within synctest a deadlock is a panic that shows every goroutine.

func TestRule9_ARingOfStores(t *testing.T) {
	t.Parallel()
	const stores, tokens, hops = 5, 50, 20
	for _, by := range []string{"handlers", "observers", "both"} {
		t.Run("by "+by, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ring := make([]*testStore, stores)
				var arrived atomic.Int64
				forward := func(ctx context.Context, from, n int) error {
					if n == 0 {
						arrived.Add(1)
						return nil
					}
					return ring[(from+1)%stores].Send(ctx, token(n-1))
				}
				for i := range ring {
					ring[i] = open(t, store.Config{Mailbox: 1, Workers: 1}, handle(func(ctx context.Context, id string) (string, error) {
						n, err := strconv.Atoi(id)
						if err != nil || by == "observers" || by == "both" && n%2 == 0 {
							return "", err
						}
						return "", forward(ctx, i, n)
					}))
					ring[i].Observe(func(ctx context.Context, e store.Event[state, action]) {
						if isToken := e.Action.n > 0; isToken && (by == "observers" || by == "both" && (e.Action.n-1)%2 == 0) {
							if err := forward(ctx, i, e.Action.n-1); err != nil {
								t.Error(err)
							}
						}
					})
				}
				var wg sync.WaitGroup
				for i := range tokens {
					wg.Go(func() {
						if err := ring[i%stores].SendAndSettle(t.Context(), token(hops)); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				require.EqualValues(t, tokens, arrived.Load())
				for _, s := range ring {
					require.NoError(t, s.Shutdown(t.Context()))
				}
			})
		})
	}
}

// token is an action that a handler forwards n more times.
func token(n int) action {
	return action{n: n + 1, fx: []effect.Effect[action]{effect.Fire[action](call{strconv.Itoa(n)})}}
}

func TestRule9_AnEffectThatSendsToItsOwnFullMailbox(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2, 100} {
		t.Run(fmt.Sprintf("workers %d", workers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const handlers, each = 20, 30
				var s *testStore
				s = open(t, store.Config{Mailbox: 1, Workers: workers}, handle(func(ctx context.Context, id string) (string, error) {
					for range each {
						if err := s.Send(ctx, action{n: 1}); err != nil {
							return id, err
						}
					}
					return id, nil
				}))
				var wg sync.WaitGroup
				for i := range handlers {
					wg.Go(func() {
						if err := s.SendAndSettle(t.Context(), act("go", do(strconv.Itoa(i)))); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				require.Equal(t, handlers*each, store.View(s, func(s *state) int { return s.sum }))
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

// The store waits while its observer does, so it cannot make room for it.
func TestRule9_AnObserverThatSendsToItsOwnFullMailbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Mailbox: 1})
		began, goOn := make(chan struct{}), make(chan struct{})
		s.Observe(func(ctx context.Context, e store.Event[state, action]) {
			if e.Action.name != "a" {
				return
			}
			close(began)
			<-goOn
			for range 100 {
				if err := s.Send(ctx, action{n: 1}); err != nil {
					t.Error(err)
				}
			}
			require.Contains(t, s.Health().Reasons[0], "mailbox is full: 101 actions wait, 2 senders")
		})
		sent := make(chan error, 4)
		go func() { sent <- s.Send(t.Context(), act("a")) }()
		<-began
		for range 3 {
			go func() { sent <- s.Send(t.Context(), action{n: 1}) }()
		}
		synctest.Wait()
		close(goOn)
		for range 4 {
			require.NoError(t, <-sent)
		}
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, 103, store.View(s, func(s *state) int { return s.sum }))
	})
}

// Once the observer has returned its context is one like any other: the bound
// holds for it, and what it sends is nobody's to wait for.
func TestRule9_AnObserversContextThatOutlivesTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Mailbox: 1, WhenFull: store.Reject})
		var kept context.Context
		s.Observe(func(ctx context.Context, e store.Event[state, action]) {
			if e.Action.name == "a" {
				kept = ctx
			}
		})
		require.NoError(t, s.SendAndSettle(t.Context(), act("a")))
		release := occupied(t, s)
		send(t, s, act("b"))
		require.ErrorIs(t, s.Send(kept, act("c")), store.ErrMailboxFull)
		release()
		require.NoError(t, s.SendAndSettle(kept, act("d")))
		require.NoError(t, s.Shutdown(kept))
	})
}

func TestRule9_ViewsFromObservers(t *testing.T) {
	t.Parallel()
	const rounds = 300
	var stores [3]*testStore
	for i := range stores {
		stores[i] = open(t, store.Config{Mailbox: 1})
	}
	for i, s := range stores {
		s.Observe(func(context.Context, store.Event[state, action]) {
			for _, other := range stores { // its own, and those that look at it
				store.View(other, func(s *state) int { return s.sum })
			}
			// From another goroutine that the observer waits for, too.
			done := make(chan int)
			go func() { done <- store.View(stores[i], func(s *state) int { return s.sum }) }()
			<-done
		})
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for range rounds {
				if err := stores[i%3].Send(background, action{n: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, 2*rounds, store.View(s, func(s *state) int { return s.sum }))
	}
}

// Handlers that wait for their own store give up their place in its pool.
func TestRule9_WaitingInHandlersOfAPoolSmallerThanTheWork(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"Ask", "SendAndSettle", "Until", "Sleep", "all side by side"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const depth, callers = 6, 10
				var s *testStore
				deeper := func(ctx context.Context, n int) error {
					a := act("level", do(strconv.Itoa(n-1)))
					switch how {
					case "Ask":
						got, err := store.Ask(ctx, s, a, named(fmt.Sprint(n-1, "=")))
						if err == nil && got != "done" {
							err = fmt.Errorf("got %q", got)
						}
						return err
					case "SendAndSettle":
						return s.SendAndSettle(ctx, a)
					case "Until":
						before := store.View(s, func(s *state) int { return s.sum })
						if err := s.Send(ctx, act("level", do(strconv.Itoa(n-1)), fx.Send(action{n: 1}))); err != nil {
							return err
						}
						return s.Until(ctx, func(s *state) bool { return s.sum > before })
					case "Sleep":
						return store.Sleep(ctx, time.Second)
					}
					// Many goroutines of one handler wait with its context.
					errs := make(chan error, 4)
					for range cap(errs) {
						go func() { errs <- s.SendAndSettle(ctx, act("level", do("0"))) }()
					}
					for range cap(errs) {
						if err := <-errs; err != nil {
							return err
						}
					}
					return s.SendAndSettle(ctx, a)
				}
				s = open(t, store.Config{Workers: 1, Mailbox: 1}, handle(func(ctx context.Context, id string) (string, error) {
					n, err := strconv.Atoi(id)
					if err == nil && n > 0 {
						err = deeper(ctx, n)
					}
					return "done", err
				}))
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						if err := s.SendAndSettle(t.Context(), act("level", do(strconv.Itoa(depth)))); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				require.NotContains(t, logOf(s), "!")
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

// Though they give up their places, no more are at work than Workers allows.
func TestRule9_ThePoolsBoundHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers = 3
		var s *testStore
		var working, most atomic.Int64
		work := func() {
			now := working.Add(1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			time.Sleep(time.Second) //nolint:forbidigo // virtual, and seen by the pool as work
			working.Add(-1)
		}
		s = open(t, store.Config{Workers: workers}, handle(func(ctx context.Context, id string) (string, error) {
			if id == "leaf" {
				work()
				return id, nil
			}
			// Its goroutines wait: that frees one place, not ten.
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if err := s.SendAndSettle(ctx, act("", do("leaf"))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			return id, nil
		}))
		require.NoError(t, s.SendAndSettle(t.Context(), act("", do("node"), do("node"), do("node"), do("node"))))
		require.EqualValues(t, workers, most.Load())
		require.Equal(t, 40, strings.Count(logOf(s), "leaf=leaf"))
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestRule9_TwoStoresThatAskEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pair [2]*testStore
		for i := range pair {
			pair[i] = open(t, store.Config{Workers: 1, Mailbox: 1}, handle(func(ctx context.Context, id string) (string, error) {
				n, err := strconv.Atoi(id)
				if err != nil || n == 0 {
					return id, err
				}
				below := strconv.Itoa(n - 1)
				return store.Ask(ctx, pair[1-i], act("ask", do(below)), named(below+"="))
			}))
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				got, err := store.Ask(t.Context(), pair[i%2], act("ask", do("7")), named("7="))
				if err != nil || got != "0" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		for _, s := range pair {
			require.NoError(t, s.Shutdown(t.Context()))
		}
	})
}

// An observer cannot wait for what waits for it, and is told so.
func TestRule9_AnObserverThatWaitsForItsStoreIsRefused(t *testing.T) {
	t.Parallel()
	s, other := open(t, store.Config{Name: "s"}), open(t, store.Config{})
	errs := map[string]error{}
	stop := s.Observe(func(ctx context.Context, e store.Event[state, action]) {
		if e.Action.name != "a" {
			return
		}
		errs["SendAndSettle"] = s.SendAndSettle(ctx, act("x"))
		_, errs["Ask"] = store.Ask(ctx, s, act("x"), named("x"))
		errs["Until"] = s.Until(ctx, func(*state) bool { return true })
		errs["Shutdown"] = s.Shutdown(ctx)
		derived, cancel := context.WithCancel(reducer.WithMeta(ctx, reducer.Meta{Actor: "ada"}))
		defer cancel()
		errs["derived"] = s.SendAndSettle(derived, act("x"))
		if err := other.SendAndSettle(ctx, act("b")); err != nil { // another store may be waited for
			t.Error(err)
		}
	})
	require.NoError(t, s.SendAndSettle(t.Context(), act("a")))
	stop()
	require.Len(t, errs, 5)
	for what, err := range errs {
		if what == "derived" {
			what = "SendAndSettle"
		}
		require.EqualError(t, err, `store "s": `+what+` by an observer of the store, which waits for it`)
	}
	require.Equal(t, "a", logOf(s))
	require.Equal(t, "b", logOf(other))
}
