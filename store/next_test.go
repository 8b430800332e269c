package store_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

// workers answers a call with how many goroutines of pools there are in its bubble.
func workers(context.Context, string) (string, error) {
	stack := make([]byte, 1<<20)
	all := strings.Split(string(stack[:runtime.Stack(stack, true)]), "\n\n")
	_, bubble, _ := strings.Cut(strings.SplitN(all[0], "\n", 2)[0], "synctest bubble ")
	n := 0
	for _, one := range all {
		if strings.Contains(one, "synctest bubble "+bubble) && strings.Contains(one, "(*pool).serve") {
			n++
		}
	}
	return strconv.Itoa(n), nil
}

// then is the effect of a call, after whose result comes another action.
func then(id string, next func(answer string) action) effect.Effect[action] {
	return effect.Do(call{id}, func(r effect.Result[string]) action {
		if r.Err != nil {
			return next(r.Err.Error())
		}
		return next(r.Value)
	})
}

// A goroutine that has done one request goes on with the request that follows: no
// other is woken for it.
func TestRequestsThatFollowStayOnAGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan struct{})
		s := open(t, store.Config{}, handle(func(ctx context.Context, id string) (string, error) {
			<-sent // the sender has left the store
			return workers(ctx, id)
		}))
		var counted []string
		var step func(n int) action
		step = func(n int) action {
			if n == 0 {
				return act("done")
			}
			return act(fmt.Sprint(n), then("next", func(answer string) action {
				counted = append(counted, answer)
				return step(n - 1)
			}))
		}
		require.NoError(t, s.Send(t.Context(), step(20)))
		synctest.Wait()
		close(sent)
		synctest.Wait()
		require.Equal(t, slices.Repeat([]string{"1"}, 20), counted)
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

// A request that follows does not wait for what else there is to reduce.
func TestRequestsThatFollowAreNotHeldUp(t *testing.T) {
	t.Parallel()
	// until is an action whose reduction waits until a handler has begun.
	until := func(begun <-chan struct{}) action {
		return acting("until", func(*state, reducer.Env) effect.Effect[action] {
			<-begun
			return fx.None()
		})
	}
	for _, c := range []struct {
		name string
		// first is what the result of a request becomes. It leaves behind it an
		// effect that closes begun, and something that waits for that.
		first func(s *testStore, begun chan struct{}) action
	}{
		{"by what is sent with it", func(_ *testStore, begun chan struct{}) action {
			return act("first", do("begins"), fx.Send(until(begun)))
		}},
		{"by who hears of dead letters", func(_ *testStore, _ chan struct{}) action {
			return act("first", do("begins"), fx.Cancel([]string{"no key"}))
		}},
		{"by what came meanwhile", func(s *testStore, begun chan struct{}) action {
			return acting("first", func(*state, reducer.Env) effect.Effect[action] {
				_ = s.Send(background, until(begun))
				return do("begins")
			})
		}},
		{"by what came with it", func(s *testStore, begun chan struct{}) action {
			return acting("first", func(*state, reducer.Env) effect.Effect[action] {
				_ = s.Send(background, act("with", do("begins")))
				_ = s.Send(background, until(begun))
				return fx.None()
			})
		}},
		{"by who looks on", func(s *testStore, begun chan struct{}) action {
			s.Observe(func(_ context.Context, e store.Event[state, action]) {
				if e.Action.name == "first" {
					<-begun
				}
			})
			return act("first", do("begins"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begun := make(chan struct{})
				hooks := store.Hooks{DeadLettered: func(store.DeadLetterInfo) { <-begun }}
				s := open(t, store.Config{Hooks: hooks}, handle(func(_ context.Context, id string) (string, error) {
					if id == "begins" {
						close(begun)
					}
					return id, nil
				}))
				require.NoError(t, s.SendAndSettle(t.Context(), act("a", then("1", func(string) action { return c.first(s, begun) }))))
				<-begun
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

// Requests that follow one another without end leave room for those of others.
func TestRequestsThatFollowTakeTurns(t *testing.T) {
	t.Parallel()
	const enough = 100_000
	var asked atomic.Bool
	var rounds atomic.Int64 // since the other request waits
	done := make(chan struct{})
	k := openKeyed(t, store.KeyedConfig[string, state]{Config: store.Config{Workers: 1}}, handle(func(_ context.Context, id string) (string, error) {
		if id == "other" {
			close(done)
		}
		return id, nil
	}))
	var round func() action
	round = func() action {
		select {
		case <-done:
			return act("done")
		default:
		}
		if asked.Load() && rounds.Add(1) == enough {
			return act("enough")
		}
		return act("round", then("again", func(string) action { return round() }))
	}
	require.NoError(t, k.Send(t.Context(), "a", round()))
	require.NoError(t, k.Send(t.Context(), "b", act("b", do("other"))))
	asked.Store(true)
	<-done
	require.Less(t, rounds.Load(), int64(enough))
	require.NoError(t, k.Shutdown(t.Context()))
}

// Requests begin in the order in which they were asked for, also those of which one
// stays on its goroutine.
func TestRequestsThatFollowKeepTheirOrder(t *testing.T) {
	t.Parallel()
	var begun journal
	s := open(t, store.Config{Workers: 1}, handle(func(_ context.Context, id string) (string, error) {
		begun.tell(id)
		return id, nil
	}))
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", then("1", func(string) action {
		return act("b", do("2"), do("3"), do("4"))
	}))))
	require.Equal(t, []string{"1", "2", "3", "4"}, begun.all())
	require.NoError(t, s.Shutdown(t.Context()))
}

// A handler that ends its goroutine does not end what follows.
func TestRequestsThatFollowOutliveAGoroutine(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{}, handle(func(_ context.Context, id string) (string, error) {
		if id == "exits" {
			runtime.Goexit()
		}
		return id, nil
	}))
	last := act("last", do("3"))
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", then("1", func(string) action {
		return act("b", then("exits", func(string) action { return last }))
	}))))
	require.Equal(t, "a b last 3=3", logOf(s))
}
