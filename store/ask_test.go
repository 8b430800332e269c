package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestRule6_ConcurrentAsksOfEqualActionsEachGetTheirOwnAnswer(t *testing.T) {
	t.Parallel()
	const asks = 400
	s := open(t, store.Config{Workers: 16, Mailbox: 8}, handle(func(ctx context.Context, _ string) (string, error) {
		meta, _ := reducer.MetaFrom(ctx)
		return meta.CorrelationID.String(), nil
	}))
	question := act("equal", fx.Send(act("on the way", do("x"))), do("y")) // two answers each; the first counts
	var wg sync.WaitGroup
	for range asks {
		wg.Go(func() {
			own := uuid.New()
			ctx := reducer.WithMeta(t.Context(), reducer.Meta{CorrelationID: own})
			got, err := store.Ask(ctx, s, question, func(a action) (string, bool) {
				_, id, ok := strings.Cut(a.name, "=")
				return id, ok
			})
			if err != nil || got != own.String() {
				t.Errorf("got %q, %v, want %v", got, err, own)
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
}

// Commands that wait while their data loads are held; each resumes for the one
// who asked.
func TestRule6_AskThroughHoldAndResume(t *testing.T) {
	t.Parallel()
	const asks = 200
	type waiting struct {
		loading bool
		ids     []int
	}
	type command struct {
		id   int
		kind string
	}
	var fx effect.Of[command]
	var gate sync.WaitGroup
	gate.Add(asks)
	s, err := store.New(waiting{}, reducer.Func[waiting, command](func(s *waiting, c command, _ reducer.Env) effect.Effect[command] {
		switch c.kind {
		case "ask":
			gate.Done()
			s.ids = append(s.ids, c.id)
			hold := fx.Hold("data")
			if s.loading {
				return hold
			}
			s.loading = true
			return fx.All(hold, effect.Do(call{"data"}, func(effect.Result[string]) command { return command{kind: "loaded"} }))
		case "loaded":
			var again []effect.Effect[command]
			for _, id := range s.ids {
				again = append(again, fx.Resume("data", command{id, "process"}))
			}
			return fx.All(again...)
		case "process":
			return fx.Send(command{c.id, "answer"})
		}
		return fx.None()
	}), store.Config{Handlers: []effect.Handler{handle(func(context.Context, string) (string, error) {
		gate.Wait() // until all have asked
		return "", nil
	})}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for id := range asks {
		wg.Go(func() {
			got, err := store.Ask(t.Context(), s, command{id, "ask"}, func(c command) (int, bool) { return c.id, c.kind == "answer" })
			if err != nil || got != id {
				t.Errorf("got %d, %v, want %d", got, err, id)
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
}

func TestAsk(t *testing.T) {
	t.Parallel()
	anything := func(a action) (string, bool) { return a.name, true }
	t.Run("the action itself answers", func(t *testing.T) {
		t.Parallel()
		got, err := store.Ask(t.Context(), open(t, store.Config{}), act("a", fx.Send(act("b"))), anything)
		require.NoError(t, err)
		require.Equal(t, "a", got)
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			_, err := store.Ask(t.Context(), s, act("a", fx.After(nil, time.Hour, act("b"))), named("c"))
			require.ErrorIs(t, err, store.ErrNoAnswer)
			require.EqualError(t, err, "ask store_test.action: no action answered")
			require.Equal(t, "a b", logOf(s), "it waited until all was finished")
		})
	})
	t.Run("it returns before the rest is done", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			began := time.Now()
			got, err := store.Ask(t.Context(), s, act("a", fx.Send(act("answer 1")), fx.After(nil, time.Hour, act("answer 2"))), named("answer "))
			require.NoError(t, err)
			require.Equal(t, "1", got)
			require.Zero(t, time.Since(began))
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, "a answer 1 answer 2", logOf(s))
		})
	})
	t.Run("an answer after the context has ended", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var matched []string // plain: match is not called once Ask has returned
			_, err := store.Ask(ctx, s, act("a", fx.After(nil, 2*time.Second, act("b"))), func(a action) (int, bool) {
				matched = append(matched, a.name)
				return 0, a.name == "b"
			})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			matched = append(matched, "returned")
			require.NoError(t, s.Shutdown(t.Context()))
			require.Equal(t, []string{"a", "returned"}, matched)
			require.Equal(t, "a b", logOf(s), "the action goes on")
		})
	})
	t.Run("a context that has ended", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		_, err := store.Ask(ended(), s, act("a"), anything)
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, logOf(s))
	})
	t.Run("a store that stops", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		boom := acting("boom", func(*state, reducer.Env) effect.Effect[action] { panic("boom") })
		_, err := store.Ask(t.Context(), s, act("a", fx.Send(boom), fx.Send(act("answer"))), named("answer"))
		var stopped *store.StoppedError
		require.ErrorAs(t, err, &stopped)
	})
	t.Run("shutdown gives up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{})
			got := make(chan error)
			go func() {
				_, err := store.Ask(t.Context(), s, act("a", fx.After(nil, time.Hour, act("answer"))), named("answer"))
				got <- err
			}()
			synctest.Wait()
			require.Error(t, s.Shutdown(ended()))
			var abandoned *store.AbandonedError
			require.ErrorAs(t, <-got, &abandoned)
			require.ErrorIs(t, abandoned, errEnded)
		})
	})
	t.Run("in another store than the answer", func(t *testing.T) {
		t.Parallel()
		other := open(t, store.Config{})
		s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			return store.Ask(ctx, other, act("there", fx.Send(act("answer there"))), named("answer "))
		}))
		got, err := store.Ask(t.Context(), s, act("a", do("x")), named("x="))
		require.NoError(t, err)
		require.Equal(t, "there", got)
	})
	t.Run("it sees nothing of other stores", func(t *testing.T) {
		t.Parallel()
		other := open(t, store.Config{})
		s := open(t, store.Config{}, handle(func(ctx context.Context, _ string) (string, error) {
			return "", other.SendAndSettle(ctx, act("answer there"))
		}))
		_, err := store.Ask(t.Context(), s, act("a", do("x")), named("answer"))
		require.ErrorIs(t, err, store.ErrNoAnswer)
	})
	t.Run("a typed answer", func(t *testing.T) {
		t.Parallel()
		s := open(t, store.Config{})
		errNo := errors.New("no")
		got, err := store.Ask(t.Context(), s, act("a", fx.Send(action{n: 7})), func(a action) (error, bool) {
			return fmt.Errorf("%d: %w", a.n, errNo), a.n == 7
		})
		require.NoError(t, err)
		require.EqualError(t, got, "7: no")
	})
}
