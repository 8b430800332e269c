package store_test

import (
	"context"
	"errors"
	"fmt"
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

// receipt is a request with more in it than a key.
type receipt struct {
	Customer string
	Cents    []int
}

func (receipt) Returns(struct{}) {}

func TestDeadLettersKeepTheWholeRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("printer is down")
		var mu sync.Mutex
		var printed []receipt
		var told []store.DeadLetterInfo
		var seen metas
		s := open(t, store.Config{Name: "orders", Hooks: store.Hooks{DeadLettered: func(d store.DeadLetterInfo) { told = append(told, d) }}},
			effect.Handle(func(ctx context.Context, r receipt) (struct{}, error) {
				mu.Lock()
				defer mu.Unlock()
				meta, _ := reducer.MetaFrom(ctx)
				seen.see(fmt.Sprint("in handler ", len(printed)), meta)
				if down == nil {
					printed = append(printed, r)
				}
				return struct{}{}, down
			}))
		seen.watch(s)
		want := receipt{"ada", []int{1250, 99}}
		time.Sleep(time.Hour) //nolint:forbidigo // virtual
		at := time.Now()
		ctx := reducer.WithMeta(t.Context(), reducer.Meta{Tenant: "acme", CausationID: uuid.New()})
		require.NoError(t, s.SendAndSettle(ctx, act("a", effect.Fire[action](want, effect.Key("k")))))
		list := s.DeadLetters()
		require.Len(t, list, 1)
		d := list[0]
		require.EqualValues(t, 1, d.ID)
		require.Equal(t, at, d.At)
		require.Equal(t, "orders", d.Store)
		require.Nil(t, d.StoreKey)
		require.ErrorIs(t, d.Err, down)
		require.Equal(t, "k", d.Key)
		require.Equal(t, want, d.Effect.Request)
		require.False(t, d.HasAction)
		require.Equal(t, seen.all()["a"], d.Meta)
		require.Equal(t, []store.DeadLetterInfo{{ID: 1, Store: "orders", Name: "store_test.receipt", Request: want, Err: down, Meta: d.Meta}}, told)

		// It fails again: another letter. Then the printer is back.
		require.NoError(t, s.Redeliver(t.Context(), 1))
		synctest.Wait()
		require.Equal(t, []uint64{2}, ids(s.DeadLetters()))
		require.Equal(t, d.Meta, s.DeadLetters()[0].Meta)
		mu.Lock()
		down = nil
		mu.Unlock()
		require.NoError(t, s.Redeliver(t.Context(), 2))
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []receipt{want}, printed)
		require.Empty(t, s.DeadLetters())
		require.Equal(t, d.Meta, seen.all()["in handler 0"], "each time as the action that asked")
	})
}

func ids[A any](list []store.DeadLetter[A]) (ids []uint64) {
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	return ids
}

func TestDeadLettersAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{DeadLetters: 3}, handle(func(context.Context, string) (string, error) { return "", errors.New("no") }))
	for range 10 {
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", effect.Fire[action](call{"x"}))))
	}
	require.Equal(t, []uint64{8, 9, 10}, ids(s.DeadLetters()))
	require.ErrorIs(t, s.Redeliver(t.Context(), 7), store.ErrNoDeadLetter)
	require.EqualError(t, s.Redeliver(t.Context(), 7), "no such dead letter: 7")
	health := s.Health()
	require.Equal(t, store.Degraded, health.Status)
	require.Equal(t, 3, health.DeadLetters)
	require.EqualValues(t, 7, health.Dropped)
	require.Equal(t, []string{"3 dead letters", "7 dead letters dropped"}, health.Reasons)
}

func TestRedeliverIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) { return "", errors.New("no") }))
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", effect.Fire[action](call{"x"}), fx.Cancel(nil))))
	list := s.DeadLetters()
	require.Len(t, list, 2)
	nothing, request := list[0].ID, list[1].ID
	require.ErrorContains(t, s.Redeliver(t.Context(), nothing), "dead letter 1 has nothing to send again: invalid effect: Cancel of a nil key")
	require.ErrorIs(t, s.Redeliver(ended(), request), context.Canceled)
	require.NoError(t, s.Shutdown(t.Context()))
	require.ErrorIs(t, s.Redeliver(t.Context(), request), store.ErrClosed)
	require.Len(t, s.DeadLetters(), 2, "refused letters are kept")
}

// A letter that is refused goes back where it stood, and many who redeliver at
// once do it once.
func TestRedeliverAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	delivered := map[string]int{}
	works := false
	s := open(t, store.Config{Mailbox: 1, WhenFull: store.Reject}, handle(func(_ context.Context, id string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if !works {
			return "", errors.New("no")
		}
		delivered[id]++
		return "", nil
	}))
	const letters = 30
	for i := range letters {
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", effect.Fire[action](call{fmt.Sprint(i)}))))
	}
	mu.Lock()
	works = true
	mu.Unlock()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, d := range s.DeadLetters() {
				if err := s.Redeliver(t.Context(), d.ID); err != nil && !errors.Is(err, store.ErrNoDeadLetter) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
	require.Empty(t, s.DeadLetters())
	require.Len(t, delivered, letters)
	for id, n := range delivered {
		require.Equal(t, 1, n, id)
	}
}

// An action whose redelivery finds the mailbox full stays a dead letter, with
// its id.
func TestRedeliverIntoAFullMailbox(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Mailbox: 1, WhenFull: store.Reject})
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", fx.After(nil, -1, act("one")), fx.After(nil, -1, act("two")), fx.After(nil, -1, act("three")))))
	release := occupied(t, s)
	send(t, s, act("b"))
	require.ErrorIs(t, s.Redeliver(t.Context(), 2), store.ErrMailboxFull)
	require.Equal(t, []uint64{1, 2, 3}, ids(s.DeadLetters()))
	release()
	require.NoError(t, s.Redeliver(t.Context(), 2))
	require.NoError(t, s.Shutdown(t.Context()))
	require.Equal(t, "a busy b two", logOf(s))
	require.Equal(t, []uint64{1, 3}, ids(s.DeadLetters()))
}

// A request that is being redelivered when the store stops is not lost.
func TestRedeliverWhileTheStoreStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := open(t, store.Config{}, handle(func(context.Context, string) (string, error) {
			calls++
			return "", errors.New("no")
		}))
		require.NoError(t, s.SendAndSettle(t.Context(), act("a", effect.Fire[action](call{"x"}))))
		release := occupied(t, s)
		send(t, s, acting("culprit", boom))
		require.NoError(t, s.Redeliver(t.Context(), 1))
		require.Empty(t, s.DeadLetters())
		release()
		require.Error(t, s.Shutdown(t.Context()))
		require.Equal(t, []uint64{1}, ids(s.DeadLetters()))
		require.Equal(t, 1, calls)
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	t.Run("well", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, store.Health{}, open(t, store.Config{}).Health())
		require.Equal(t, []string{"running", "degraded", "stopped", "unknown"},
			[]string{store.Running.String(), store.Degraded.String(), store.Stopped.String(), store.Status(9).String()})
	})
	t.Run("each reason", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := open(t, store.Config{Mailbox: 1, DeadLetters: 1})
			stop := s.Observe(func(context.Context, store.Event[state, action]) { panic("observer") })
			send(t, s, act("a", fx.Cancel(nil), fx.Cancel(nil)))
			stop()
			release := occupied(t, s)
			send(t, s, act("b", fx.After(nil, time.Hour, act("c"))))
			waits := make(chan error)
			go func() { waits <- s.Send(t.Context(), act("d")) }()
			synctest.Wait()
			require.Equal(t, store.Health{Status: store.Degraded, DeadLetters: 1, Dropped: 1, Reasons: []string{
				"1 dead letters", "1 dead letters dropped", "1 panics of observers or hooks", "mailbox is full: 1 actions wait, 1 senders",
			}}, s.Health())
			release()
			require.NoError(t, <-waits)
			shut := make(chan error)
			go func() { shut <- s.Shutdown(t.Context()) }()
			synctest.Wait()
			require.Equal(t, store.Health{Status: store.Degraded, DeadLetters: 1, Dropped: 1, Reasons: []string{
				"1 dead letters", "1 dead letters dropped", "1 panics of observers or hooks", "shutting down",
			}}, s.Health())
			require.NoError(t, <-shut)
			require.Equal(t, store.Stopped, s.Health().Status)
			require.NoError(t, s.Health().Err)
		})
	})
}
