package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/store"
)

func TestHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type span struct{}
		var told journal
		brief := func(e store.EffectInfo) string {
			return fmt.Sprint(e.Store, "[", e.Key, "] ", e.Kind, " ", e.Name, " ", e.Request, " attempt ", e.Attempt)
		}
		k := openKeyed(t, store.KeyedConfig[string, state]{Config: store.Config{Name: "orders", Hooks: store.Hooks{
			Reduced: func(i store.StepInfo) {
				told.tell("reduced ", i.Store, "[", i.Key, "] ", i.Seq, " ", i.Action)
			},
			EffectContext: func(ctx context.Context, e store.EffectInfo) context.Context {
				told.tell("context ", brief(e))
				return context.WithValue(ctx, span{}, "span of "+e.Name)
			},
			EffectEnded: func(ctx context.Context, e store.EffectInfo, took time.Duration, err error) {
				told.tell("ended ", brief(e), " ", took, " ", err, ", in ", ctx.Value(span{}))
			},
			DeadLettered: func(d store.DeadLetterInfo) {
				told.tell("dead ", d.ID, " ", d.Store, "[", d.Key, "] ", d.Name, " ", d.Request, " ", d.Action, " ", d.Err)
			},
			ObserverPanicked: func(store string, v any, _ []byte) { told.tell("panicked ", store, " ", v) },
			Stopped:          func(store string, err error) { told.tell("stopped ", store, " ", err) },
		}}}, handle(func(ctx context.Context, id string) (string, error) {
			told.tell("handler in ", ctx.Value(span{}))
			if err := store.Sleep(ctx, time.Second); err != nil {
				return "", err
			}
			return id, errors.New("no")
		}))
		_, err := k.Observe("ada", func(_ context.Context, e store.Event[state, action]) {
			if e.Seq == 2 {
				panic("observer")
			}
		})
		require.NoError(t, err)
		require.NoError(t, k.SendAndSettle(t.Context(), "ada",
			act("a", do("x", effect.Retry(effect.RetryPolicy{Attempts: 2, Delay: time.Second})))))
		require.NoError(t, k.SendAndSettle(t.Context(), "ada", act("b", fx.After(nil, -1, act("never")))))
		require.NoError(t, k.Shutdown(t.Context()))
		require.Equal(t, []string{
			"reduced orders[ada] 1 a",
			"context orders[ada] request store_test.call {x} attempt 1",
			"handler in span of store_test.call",
			"ended orders[ada] request store_test.call {x} attempt 1 1s no, in span of store_test.call",
			"context orders[ada] request store_test.call {x} attempt 2",
			"handler in span of store_test.call",
			"ended orders[ada] request store_test.call {x} attempt 2 1s no, in span of store_test.call",
			"reduced orders[ada] 2 x!no",
			"panicked orders observer",
			"dead 1 orders[ada]  <nil> never invalid effect: After with a negative delay, -1ns",
			"reduced orders[ada] 3 b",
			"stopped orders <nil>",
		}, told.all())
	})
}

func TestLogHooks(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if slices.Contains([]string{"time", "stack", "took"}, a.Key) {
				return slog.Attr{}
			}
			return a
		},
	}))
	s := open(t, store.Config{Name: "s", Hooks: store.LogHooks(log)}, handle(func(_ context.Context, id string) (string, error) {
		if id == "bad" {
			return "", errors.New("no")
		}
		return id, nil
	}))
	require.NoError(t, s.SendAndSettle(t.Context(), act("a", do("good"))))
	stop := s.Observe(func(context.Context, store.Event[state, action]) { panic("observer") })
	require.NoError(t, s.SendAndSettle(t.Context(), act("b", effect.Fire[action](call{"bad"}))))
	stop()
	require.NoError(t, s.Shutdown(t.Context()))

	crashing := open(t, store.Config{Name: "c", Hooks: store.LogHooks(log)})
	_ = crashing.Send(t.Context(), acting("culprit", boom))

	uuids := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	got := uuids.ReplaceAllString(out.String(), "ID")
	got = strings.ReplaceAll(got, " meta.action=ID meta.correlation=ID meta.causation=ID", " META")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	require.Contains(t, lines[len(lines)-1], `level=ERROR msg="store stopped" store=c error="store \"c\" stopped: reduce`)
	lines = lines[:len(lines)-1]
	slices.Sort(lines) // a handler's end and its step are logged side by side
	require.Equal(t, []string{
		`level=DEBUG msg="action reduced" store=s key=<nil> seq=1 action=store_test.action META`,
		`level=DEBUG msg="action reduced" store=s key=<nil> seq=2 action=store_test.action META`,
		`level=DEBUG msg="action reduced" store=s key=<nil> seq=3 action=store_test.action META`,
		`level=DEBUG msg="effect ended" store=s key=<nil> effect=store_test.call attempt=1 error=<nil> META`,
		`level=ERROR msg="dead letter" store=s key=<nil> effect=store_test.call action=<nil> error=no META`,
		`level=ERROR msg="observer panicked" store=s panic=observer`,
		`level=INFO msg="effect ended" store=s key=<nil> effect=store_test.call attempt=1 error=no META`,
		`level=INFO msg="store stopped" store=s`,
	}, lines)
}
