package store_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/store"
)

// Requests that depend on one another all get a worker, whoever idles.
func TestEachRequestHasAWorker(t *testing.T) {
	t.Parallel()
	const together = 6
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			var arrived sync.WaitGroup
			s := open(t, store.Config{Workers: together}, handle(func(_ context.Context, id string) (string, error) {
				if id != "alone" {
					arrived.Done()
					arrived.Wait()
				}
				return id, nil
			}))
			for idle := range together {
				for range idle { // leaves workers that wait for more
					require.NoError(t, s.SendAndSettle(t.Context(), act("a", do("alone"))))
				}
				arrived.Add(together)
				var effects []effect.Effect[action]
				for i := range together {
					effects = append(effects, do(strconv.Itoa(i)))
				}
				require.NoError(t, s.SendAndSettle(t.Context(), act("b", effects...)))
			}
			require.NoError(t, s.Shutdown(t.Context()))
		})
	}
}

// Handlers that end their goroutine cost the pool nothing.
func TestHandlersThatExitAreReplaced(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Workers: 1}, handle(func(_ context.Context, id string) (string, error) {
		if id == "exits" {
			runtime.Goexit()
		}
		return id, nil
	}))
	var effects []effect.Effect[action]
	for range 50 {
		effects = append(effects, do("exits"), do("returns"))
	}
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", effects...)))
	require.Equal(t, 50, strings.Count(logOf(s), "returns=returns"))
	require.NoError(t, s.Shutdown(t.Context()))
}
