package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/store"
)

func TestRule8_ShutdownRefusesAcceptsResultsAndFinishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var refused error
		var s *testStore
		s = open(t, store.Config{}, handle(func(ctx context.Context, id string) (string, error) {
			err := store.Sleep(ctx, time.Second)
			refused = s.Send(ctx, act("from a handler"))
			return id, err
		}), counts(func(ctx context.Context, _ int) error { return store.Sleep(ctx, time.Second) }))
		send(t, s, act("a",
			effect.Do(call{"r"}, func(effect.Result[string]) action {
				return act("r", fx.After(nil, time.Minute, act("late", fx.Send(act("last")))))
			}),
			count(2)))
		began := time.Now()
		shut := make(chan error)
		go func() { shut <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		require.ErrorIs(t, s.Send(background, act("x")), store.ErrClosed)
		require.ErrorIs(t, s.Send(t.Context(), act("x")), store.ErrClosed)
		require.ErrorIs(t, s.SendAndSettle(t.Context(), act("x")), store.ErrClosed)
		_, err := store.Ask(t.Context(), s, act("x"), named("x"))
		require.ErrorIs(t, err, store.ErrClosed)
		require.Equal(t, store.Health{Status: store.Degraded, Reasons: []string{"shutting down"}}, s.Health())
		require.NoError(t, s.Until(t.Context(), func(s *state) bool { return len(s.names) == 1 }), "it still works")
		require.NoError(t, <-shut)
		require.Equal(t, 61*time.Second, time.Since(began))
		require.ErrorIs(t, refused, store.ErrClosed)
		require.Equal(t, "a #1 r #2 end:EOF late last", sortedPairs(logOf(s)))
		require.Equal(t, store.Health{Status: store.Stopped}, s.Health())
		require.ErrorIs(t, s.Send(background, act("x")), store.ErrClosed)
		require.ErrorIs(t, s.Until(t.Context(), func(*state) bool { return false }), store.ErrClosed)
		require.NoError(t, s.Until(t.Context(), func(s *state) bool { return len(s.names) == 7 }), "it already holds")
	})
}

// sortedPairs evens out the two orders that things of one instant may have.
func sortedPairs(log string) string {
	for _, p := range [][2]string{{"r #1", "#1 r"}, {"#2 r", "r #2"}} {
		if i := len(log) - len(p[0]); i >= 0 {
			log = replaceOnce(log, p[0], p[1])
		}
	}
	return log
}

func replaceOnce(s, old, now string) string {
	for i := 0; i+len(old) <= len(s); i++ {
		if s[i:i+len(old)] == old {
			return s[:i] + now + s[i+len(old):]
		}
	}
	return s
}

func TestRule8_ShutdownAbandonsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stopped journal
		deaf := make(chan struct{})
		s := open(t, store.Config{Name: "s", Hooks: store.Hooks{Stopped: func(name string, err error) { stopped.tell(name, ": ", err) }}},
			handle(func(ctx context.Context, id string) (string, error) {
				if id == "deaf" {
					<-deaf
					return id, nil
				}
				<-ctx.Done()
				return id, ctx.Err()
			}),
			counts(func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }))
		meta := reducer.Meta{CorrelationID: uuid.New(), Tenant: "acme"}
		require.NoError(t, s.Send(reducer.WithMeta(t.Context(), meta), act("a",
			do("one", effect.Key("k1")),
			do("deaf"),
			effect.Fire[action](call{"fired"}, effect.Key("k2")),
			do("waits", effect.Key("k1", effect.Queue)),
			count(3, effect.Key("k3")),
			fx.Run("run", func(ctx context.Context) action { <-ctx.Done(); return act("ran") }, effect.Key("k4")),
			fx.After("k5", time.Hour, act("timer")),
			fx.Hold("k6"),
		)))
		release := occupied(t, s)
		given := uuid.New()
		require.NoError(t, s.Send(reducer.WithMeta(t.Context(), reducer.Meta{ActionID: given}), act("reduced after all")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		shut := make(chan error)
		go func() { shut <- s.Shutdown(ctx) }()
		synctest.Wait()
		release()

		var abandoned *store.AbandonedError
		require.ErrorAs(t, <-shut, &abandoned)
		require.ErrorIs(t, abandoned, context.DeadlineExceeded)
		var got []string
		for _, a := range abandoned.Abandoned {
			got = append(got, fmt.Sprint(a.Kind, " ", a.Key, " ", a.Request, " ", a.Action))
			require.Equal(t, meta.CorrelationID, a.Meta.CorrelationID)
			require.Equal(t, "acme", a.Meta.Tenant)
		}
		require.Equal(t, []string{
			"request k1 {one} <nil>", "request <nil> {deaf} <nil>", "request k2 {fired} <nil>", "request k1 {waits} <nil>",
			"stream k3 {3} <nil>", "run k4 <nil> <nil>", "timer k5 <nil> timer", "hold k6 <nil> <nil>",
		}, got)
		require.Equal(t, 5, abandoned.Running, "one waited in line")
		require.EqualError(t, abandoned, "shutdown abandoned 8 effects (context deadline exceeded), 5 handlers still running: "+
			"request key=k1 store_test.call{ID:one}; request store_test.call{ID:deaf}; request key=k2 store_test.call{ID:fired}; "+
			"request key=k1 store_test.call{ID:waits}; stream key=k3 store_test.counting{To:3}; and 3 more")
		require.Equal(t, []string{"one", "deaf", "fired", "waits", "store_test.counting", "run", "timer"}, letters(s.DeadLetters()))
		require.Equal(t, []string{"s: " + abandoned.Error()}, stopped.all())
		require.Equal(t, "a busy reduced after all", logOf(s))
		require.ErrorIs(t, s.Send(t.Context(), act("x")), store.ErrClosed)
		require.Equal(t, store.Stopped, s.Health().Status)
		require.ErrorIs(t, s.Health().Err, context.DeadlineExceeded)
		close(deaf)
	})
}

// What was accepted and not reduced is a dead letter as well, with its own
// metadata, and another store can take it over.
func TestRule8_WhatWasNotReducedIsRedeliveredElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, store.Config{Name: "old"}, handle(func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}))
		send(t, s, act("a", do("r"), fx.After(nil, time.Hour, action{name: "timer", n: 1})))
		asked := s.DeadLetters()
		require.Empty(t, asked)
		given := uuid.New()
		release := occupied(t, s)
		send(t, s, acting("culprit", boom))
		require.NoError(t, s.Send(reducer.WithMeta(t.Context(), reducer.Meta{ActionID: given}), action{name: "b", n: 10}))
		settled := make(chan error)
		go func() { settled <- s.SendAndSettle(t.Context(), action{name: "c", n: 100}) }()
		synctest.Wait()
		release()
		var stopped *store.StoppedError
		require.ErrorAs(t, <-settled, &stopped)
		require.ErrorAs(t, s.Shutdown(t.Context()), &stopped)
		require.Equal(t, []string{"r", "timer", "b", "c"}, letters(s.DeadLetters()))
		for _, d := range s.DeadLetters() {
			require.ErrorAs(t, d.Err, &stopped)
			require.ErrorAs(t, s.Redeliver(t.Context(), d.ID), &stopped, "it takes nothing any more")
		}
		require.Len(t, s.DeadLetters(), 4, "they are kept")

		var seen metas
		next := open(t, store.Config{Name: "new"}, handle(func(ctx context.Context, _ string) (string, error) {
			meta, _ := reducer.MetaFrom(ctx)
			seen.see("in handler", meta)
			return "done", nil
		}))
		seen.watch(next)
		next.Adopt(s.DeadLetters()...)
		old := next.DeadLetters()
		require.Len(t, old, 4)
		for _, d := range old {
			require.NoError(t, next.Redeliver(t.Context(), d.ID))
			require.ErrorIs(t, next.Redeliver(t.Context(), d.ID), store.ErrNoDeadLetter)
		}
		require.NoError(t, next.Shutdown(t.Context()))
		require.Equal(t, 111, store.View(next, func(s *state) int { return s.sum }))
		require.Empty(t, next.DeadLetters())
		m := seen.all()
		asking := old[0].Meta
		require.Equal(t, asking, m["in handler"], "the handler is told the action that asked")
		require.Equal(t, asking.ActionID, m["r=done"].CausationID)
		require.Equal(t, asking.CorrelationID, m["r=done"].CorrelationID)
		require.Equal(t, asking.ActionID, m["timer"].CausationID)
		require.Equal(t, given, m["b"].ActionID, "the action's own id stays")
		ids := map[uuid.UUID]bool{asking.ActionID: true}
		for _, name := range []string{"r=done", "timer", "b", "c"} {
			require.False(t, ids[m[name].ActionID], "%s has an id of its own", name)
			ids[m[name].ActionID] = true
		}
	})
}

func TestRule8_FireAndForgetIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		done := false
		s := open(t, store.Config{}, handle(func(ctx context.Context, id string) (string, error) {
			err := store.Sleep(ctx, time.Minute)
			done = true
			return id, err
		}))
		send(t, s, act("a", effect.Fire[action](call{"x"})))
		require.NoError(t, s.Shutdown(t.Context()))
		require.True(t, done)
		require.Equal(t, "a", logOf(s))
	})
}

// A handler that was cancelled and has not returned is waited for as well.
func TestRule8_CancelledHandlersAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := make(chan struct{})
		defer close(deaf)
		s := open(t, store.Config{}, handle(func(_ context.Context, id string) (string, error) { <-deaf; return id, nil }))
		send(t, s, act("a", do("x", effect.Key("k"))))
		synctest.Wait()
		send(t, s, act("b", fx.Cancel("k")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var abandoned *store.AbandonedError
		require.ErrorAs(t, s.Shutdown(ctx), &abandoned)
		require.Empty(t, abandoned.Abandoned)
		require.Equal(t, 1, abandoned.Running)
		require.EqualError(t, abandoned, "shutdown abandoned 0 effects (context deadline exceeded), 1 handlers still running: none")
	})
}

// Shutdown returns when the hook has been told, so that its log is complete.
func TestRule8_TheHookIsToldBeforeShutdownReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := false
		s := open(t, store.Config{Hooks: store.Hooks{Stopped: func(string, error) {
			_ = store.Sleep(background, time.Minute)
			told = true
		}}})
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", fx.After(nil, time.Second, act("b")))))
		send(t, s, act("c", fx.After(nil, time.Second, act("d"))))
		require.NoError(t, s.Shutdown(t.Context()))
		require.True(t, told)
	})
}

func TestRule8_ShutdownAgain(t *testing.T) {
	t.Parallel()
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		require.NoError(t, s.Shutdown(t.Context()))
		require.NoError(t, s.Shutdown(t.Context()))
		require.NoError(t, s.Shutdown(ended()), "there is nothing to wait for")
	})
	t.Run("with a context that has ended, and nothing to do", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		send(t, s, act("a"))
		require.NoError(t, s.Shutdown(ended()))
	})
	t.Run("several at once, one in a hurry", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var stopped journal
			deaf := make(chan struct{})
			s := open(t, store.Config{Hooks: store.Hooks{Stopped: func(_ string, err error) { stopped.tell(err) }}},
				handle(func(context.Context, string) (string, error) { <-deaf; return "", nil }))
			send(t, s, act("a", do("deaf"), do("gone", effect.Key("k"))), act("b", fx.Cancel("k")))
			got := make(chan error, 10)
			for i := range cap(got) {
				ctx := t.Context()
				if i%2 == 1 {
					ctx = ended()
				}
				go func() { got <- s.Shutdown(ctx) }()
			}
			first := <-got
			var abandoned *store.AbandonedError
			require.ErrorAs(t, first, &abandoned)
			for range cap(got) - 1 {
				require.Same(t, first, <-got)
			}
			require.Len(t, abandoned.Abandoned, 1)
			require.Len(t, stopped.all(), 1)
			close(deaf)
		})
	})
	t.Run("waiting senders are refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{Mailbox: 1})
			release := occupied(t, s)
			send(t, s, act("in the mailbox"))
			got := make(chan error, 3)
			for range cap(got) {
				go func() { got <- s.Send(t.Context(), act("waits")) }()
			}
			synctest.Wait()
			shut := make(chan error)
			go func() { shut <- s.Shutdown(t.Context()) }()
			for range cap(got) {
				require.ErrorIs(t, <-got, store.ErrClosed)
			}
			release()
			require.NoError(t, <-shut)
			require.Equal(t, "busy in the mailbox", logOf(s))
		})
	})
	t.Run("by an observer", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		var got error
		s.Observe(func(ctx context.Context, _ store.Event[state, action]) { got = s.Shutdown(ctx) })
		send(t, s, act("a"))
		require.ErrorContains(t, got, `store "store": Shutdown by an observer of the store, which waits for it`)
		require.Equal(t, store.Running, s.Health().Status)
	})
}

// Sends, results, views and predicates race with several shutdowns, in a hurry
// or not. Nothing hangs, and what was accepted is reduced or a dead letter.
func TestRule8_ShutdownAgainstEverything(t *testing.T) {
	t.Parallel()
	for round := range 100 {
		s := open(t, store.Config{Mailbox: 2, Workers: 2, DeadLetters: 100000},
			handle(func(_ context.Context, id string) (string, error) { return id, nil }), counts(nil))
		var mu sync.Mutex
		accepted := 0
		var wg sync.WaitGroup
		for sender := range 6 {
			wg.Go(func() {
				for i := range 50 {
					var err error
					switch a := (action{name: strconv.Itoa(sender), n: 1}); i % 5 {
					case 0:
						a.fx = []effect.Effect[action]{do("x"), count(2), fx.After(nil, time.Microsecond, act("timer"))}
						err = s.Send(background, a)
					case 1:
						err = s.SendAndSettle(t.Context(), a)
						var abandoned *store.AbandonedError
						if errors.As(err, &abandoned) {
							err = nil // it was accepted
						}
					case 2:
						store.View(s, (*state).log)
						continue
					case 3:
						if err := s.Until(t.Context(), func(*state) bool { return true }); err != nil {
							t.Error(err)
						}
						continue
					default:
						err = s.Send(t.Context(), a)
					}
					switch {
					case err == nil:
						mu.Lock()
						accepted++
						mu.Unlock()
					case !errors.Is(err, store.ErrClosed):
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 2 {
			wg.Go(func() {
				_ = s.Until(t.Context(), func(s *state) bool { return s.sum >= round })
				ctx := t.Context()
				if (round+i)%2 == 0 {
					ctx = ended()
				}
				var abandoned *store.AbandonedError
				if err := s.Shutdown(ctx); err != nil && !errors.As(err, &abandoned) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		lost := 0
		for _, d := range s.DeadLetters() {
			if d.HasAction {
				lost += d.Action.n
			}
		}
		require.Equal(t, accepted, store.View(s, func(s *state) int { return s.sum })+lost)
	}
}
