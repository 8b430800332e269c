package aggregate_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
)

func cut(t *testing.T, err error) *aggregate.InterruptedError {
	t.Helper()
	var e *aggregate.InterruptedError
	require.ErrorAs(t, err, &e)
	require.False(t, aggregate.IsPermanent(err))
	require.False(t, aggregate.Retryable(err), "its caller did not want it any more")
	return e
}

func TestCancelBefore(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("for a reason"))
	_, err := h.Execute(ctx, "a", build{3}, aggregate.WithKey("k"))
	require.ErrorIs(t, err, context.Canceled)
	e := cut(t, err)
	require.False(t, e.MaybeDone)
	require.Equal(t, "k", e.Key)
	require.Equal(t, "hall-a", e.Stream)
	require.Zero(t, h.Len())
}

func TestCancelWhileLoading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		open := make(chan struct{})
		log.onRead(func(context.Context) error { <-open; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := h.Execute(ctx, "a", build{3})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, cut(t, err).MaybeDone)
			require.ErrorContains(t, err, "before anything was done")
		})
		synctest.Wait()
		wg.Go(func() {
			got, err := h.Execute(t.Context(), "a", build{4})
			require.NoError(t, err, "the one that led has left, others go on")
			require.Equal(t, 4, got.State.Size)
		})
		time.Sleep(2 * time.Second) //nolint:forbidigo // the clock is virtual
		close(open)
		wg.Wait()
		require.Len(t, log.stream(t, t.Context(), "hall-a"), 1)
	})
}

func TestCancelInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		g := newGate()
		log.on(g.pass, nil)
		var wg sync.WaitGroup
		run := func(ctx context.Context, c any, check func(error)) {
			wg.Go(func() {
				_, err := h.Execute(ctx, "a", c)
				check(err)
			})
			synctest.Wait()
		}
		fine := func(err error) { require.NoError(t, err) }
		ctx, cancel := context.WithCancel(t.Context())
		run(t.Context(), build{3}, fine)
		run(t.Context(), take{"ada", []string{"1"}}, fine)
		run(ctx, take{"bob", []string{"2"}}, func(err error) {
			require.ErrorIs(t, err, context.Canceled)
			require.False(t, cut(t, err).MaybeDone)
		})
		run(t.Context(), take{"eve", []string{"2"}}, fine)
		cancel()
		synctest.Wait()
		close(g.open)
		wg.Wait()
		require.Equal(t, map[string]string{"1": "ada", "2": "eve"}, log.folded(t, t.Context(), "hall-a", 9).Taken)
	})
}

func TestCancelWhileAppending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		g := newGate()
		log.on(g.pass, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := h.Execute(ctx, "a", build{3}, aggregate.WithKey("k"))
			require.ErrorIs(t, err, context.Canceled)
			require.True(t, cut(t, err).MaybeDone)
			require.ErrorContains(t, err, "it may have been done")
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		close(g.open)
		synctest.Wait()
		got, err := h.Execute(t.Context(), "a", build{3}, aggregate.WithKey("k"))
		require.NoError(t, err)
		require.True(t, got.Replayed, "it was done")
		got, err = h.Execute(t.Context(), "a", take{"ada", []string{"1"}})
		require.NoError(t, err, "the next command works")
		require.EqualValues(t, 2, got.Version)
	})
}

// A caller whose context ends when the append has just committed is told of a
// success, or that it may have been done, and never that it was not. What was
// committed stays.
func TestCancelAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog(t)
		h := hallsOn(t, log, aggregate.Config[hall]{})
		ctx, cancel := context.WithCancel(t.Context())
		log.on(nil, func(_ context.Context, err error) error {
			require.NoError(t, err)
			cancel()
			synctest.Wait() // the caller has heard of it
			return nil
		})
		_, err := h.Execute(ctx, "a", build{3}, aggregate.WithKey("k"))
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, cut(t, err).MaybeDone)
		log.on(nil, nil)
		got, err := h.Execute(t.Context(), "a", build{3}, aggregate.WithKey("k"))
		require.NoError(t, err)
		require.True(t, got.Replayed)
		require.Equal(t, 3, got.State.Size)
		require.Len(t, log.stream(t, t.Context(), "hall-a"), 1)
	})
}

// Callers who leave at any time are told what is true.
func TestCancelAnyTime(t *testing.T) {
	t.Parallel()
	log := newLog(t)
	h := hallsOn(t, log, aggregate.Config[hall]{})
	_, err := h.Execute(t.Context(), "a", build{100_000})
	require.NoError(t, err)
	var mu sync.Mutex
	certain, never := map[string]bool{}, map[string]bool{}
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 100 {
				who := string(rune('a'+c)) + string(rune('0'+i))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Microsecond)
				_, err := h.Execute(ctx, "a", take{who, []string{who}})
				cancel()
				mu.Lock()
				switch {
				case err == nil:
					certain[who] = true
				case !cut(t, err).MaybeDone:
					never[who] = true
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	_, err = h.Execute(t.Context(), "a", idle{}) // what was on its way has arrived
	require.NoError(t, err)
	state := log.folded(t, t.Context(), "hall-a", 1<<60)
	for who := range certain {
		require.Equal(t, who, state.Taken[who])
	}
	for who := range never {
		require.Empty(t, state.Taken[who])
	}
}
