package store_test

import (
	"context"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// whose answers a call with who runs the handler.
func whose(context.Context, string) (string, error) {
	if strings.Contains(string(debug.Stack()), "(*pool).serve") {
		return "pool", nil
	}
	return "turn", nil
}

// immediate marks a handler as one that waits for nothing.
func immediate(h effect.Handler) effect.Handler {
	effect.Inside(h).Immediate = true
	return h
}

// Requests of immediate handlers are done in the store's turn, but where
// something is around them that may wait, or a simulation orders them.
func TestImmediateHandlers(t *testing.T) {
	t.Parallel()
	around := func(next effect.Invoker) effect.Invoker { return next }
	within := effect.Handle(func(ctx context.Context, c call) (string, error) { return whose(ctx, c.ID) }, effect.WithMiddleware(around))
	for _, c := range []struct {
		name, want string
		handler    effect.Handler
		hooks      store.Hooks
	}{
		{"ordinary", "pool", handle(whose), store.Hooks{}},
		{"immediate", "turn", immediate(handle(whose)), store.Hooks{Reduced: func(store.StepInfo) {}}},
		{"immediate within middleware", "pool", immediate(within), store.Hooks{}},
		{"immediate with a hook before", "pool", immediate(handle(whose)), store.Hooks{
			EffectContext: func(ctx context.Context, _ store.EffectInfo) context.Context { return ctx },
		}},
		{"immediate with a hook after", "pool", immediate(handle(whose)), store.Hooks{
			EffectEnded: func(context.Context, store.EffectInfo, time.Duration, error) {},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, store.Config{Hooks: c.hooks}, c.handler)
			got, err := store.Ask(t.Context(), s, act("a", do("1")), named("1="))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	t.Run("immediate in a simulation", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, sim.Run(1, func(ctx context.Context, rt *sim.Runtime) {
			s := open(t, store.Config{Runtime: rt}, immediate(handle(whose)))
			got, err := store.Ask(ctx, s, act("a", do("1")), named("1="))
			if err != nil || got != "pool" {
				t.Errorf("got %q, %v, want the pool's", got, err)
			}
			_ = s.Shutdown(ctx)
		}))
	})
}

// What an immediate handler answers waits behind what has come before, as if a
// worker had been quick, and a Cancel that is reduced first keeps it out.
func TestImmediateAnswersWaitTheirTurn(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{}, immediate(handle(whose)))
	release := occupied(t, s)
	send(t, s, act("a", do("1")), act("b"))
	release()
	require.Equal(t, "busy a b 1=turn", logOf(s))
	send(t, s, act("c", do("2", effect.Key("k")), fx.Send(act("d", fx.Cancel("k")))), act("e", do("3")))
	require.Equal(t, "busy a b 1=turn c d e 3=turn", logOf(s))
	require.NoError(t, s.Shutdown(t.Context()))
}

// A panic of an immediate handler is its result's error, not the store's end.
func TestImmediateHandlersThatPanic(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{}, immediate(handle(func(context.Context, string) (string, error) { panic("oh") })))
	got, err := store.Ask(t.Context(), s, act("a", do("1")), named("1!"))
	require.NoError(t, err)
	require.Contains(t, got, "oh")
	require.NoError(t, s.SendAndSettle(t.Context(), act("b")))
	require.NoError(t, s.Shutdown(t.Context()))
}
