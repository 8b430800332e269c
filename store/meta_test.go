package store_test

import (
	"context"
	"iter"
	"maps"
	"slices"
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

// metas keeps the metadata with which each named thing happened.
type metas struct {
	mu sync.Mutex
	m  map[string]reducer.Meta
}

func (m *metas) see(name string, meta reducer.Meta) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string]reducer.Meta{}
	}
	m.m[name] = meta
}

// watch observes every action of s.
func (m *metas) watch(s *testStore) {
	s.Observe(func(_ context.Context, e store.Event[state, action]) { m.see(e.Action.name, e.Meta) })
}

func (m *metas) all() map[string]reducer.Meta {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.m)
}

func TestRule5_MetadataFlowsToAllThatAnActionCauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen metas
		var other *testStore
		inHandler := func(ctx context.Context) {
			meta, ok := reducer.MetaFrom(ctx)
			if !ok {
				t.Error("a handler has no metadata")
			}
			seen.see("in handler", meta)
		}
		s := open(t, store.Config{Hooks: store.Hooks{
			Reduced:       func(i store.StepInfo) { seen.see("hook "+i.Action.(action).name, i.Meta) },
			EffectContext: func(_ context.Context, e store.EffectInfo) context.Context { seen.see("effect", e.Meta); return nil },
		}}, handle(func(ctx context.Context, id string) (string, error) {
			inHandler(ctx)
			return id, other.Send(ctx, act("there", fx.Send(act("further there"))))
		}), counts(nil))
		other = open(t, store.Config{Name: "other"})
		seen.watch(s)
		seen.watch(other)

		own := reducer.Meta{CorrelationID: uuid.New(), CausationID: uuid.New(), Tenant: "acme", Actor: "ada", TraceParent: "00-1-2-03"}
		ctx := reducer.WithMeta(t.Context(), own)
		require.NoError(t, s.SendAndSettle(ctx, act("a",
			fx.Send(act("b",
				do("r"),
				fx.After(nil, time.Second, act("c", fx.Send(act("d")))),
				count(1),
				fx.Run("run", func(context.Context) action { return act("ran") }),
				fx.Stream("stream", func(context.Context) iter.Seq[action] { return slices.Values([]action{act("streamed")}) }),
				effect.Do(call{"again"}, answered("again"), effect.Retry(effect.RetryPolicy{Attempts: 2, If: func(error) bool { return true }})),
			)))))
		m := seen.all()

		for name, got := range m {
			require.Equal(t, own.CorrelationID, got.CorrelationID, name)
			require.Equal(t, "acme", got.Tenant, name)
			require.Equal(t, "ada", got.Actor, name)
			require.Equal(t, "00-1-2-03", got.TraceParent, name)
			require.NotEqual(t, uuid.Nil, got.ActionID, name)
		}
		require.Equal(t, own.CausationID, m["a"].CausationID)
		for name, cause := range map[string]string{
			"b": "a", "r=r": "b", "c": "b", "d": "c", "#1": "b", "end:EOF": "b", "ran": "b", "streamed": "b",
			"again=again": "b", "there": "b", "further there": "there",
		} {
			require.Contains(t, m, name)
			require.Equal(t, m[cause].ActionID, m[name].CausationID, "%s was caused by %s", name, cause)
		}
		// A handler is told of the action that asked, and so are hooks.
		require.Equal(t, m["b"], m["in handler"])
		require.Equal(t, m["b"], m["effect"])
		require.Equal(t, m["d"], m["hook d"])
		ids := map[uuid.UUID]string{}
		for _, name := range []string{"a", "b", "c", "d", "r=r", "#1", "end:EOF", "ran", "streamed", "again=again", "there", "further there"} {
			require.Empty(t, ids[m[name].ActionID], name)
			ids[m[name].ActionID] = name
		}
	})
}

func TestRule5_AnActionFromOutsideIsItsOwnCorrelation(t *testing.T) {
	t.Parallel()
	var seen metas
	s := open(t, store.Config{})
	seen.watch(s)
	send(t, s, act("a", fx.Send(act("b"))), act("c"))
	given := uuid.New()
	require.NoError(t, s.Send(reducer.WithMeta(t.Context(), reducer.Meta{ActionID: given}), act("d", fx.Send(act("e")))))
	m := seen.all()
	for _, root := range []string{"a", "c", "d"} {
		require.Equal(t, m[root].ActionID, m[root].CorrelationID)
		require.Equal(t, uuid.Nil, m[root].CausationID)
	}
	require.Equal(t, given, m["d"].ActionID)
	require.Equal(t, given, m["e"].CausationID)
	require.Equal(t, given, m["e"].CorrelationID)
	require.Equal(t, m["a"].ActionID, m["b"].CorrelationID)
	require.NotEqual(t, m["a"].CorrelationID, m["c"].CorrelationID)
}

// What Env.NewID draws follows from the action's id, which follows from Config.ID.
func TestRule5_IdsRepeatWithTheNameSpace(t *testing.T) {
	t.Parallel()
	run := func(id uuid.UUID) (ids []uuid.UUID) {
		s := open(t, store.Config{ID: id})
		for i := range 3 {
			send(t, s, acting(strconv.Itoa(i), func(_ *state, env reducer.Env) effect.Effect[action] {
				ids = append(ids, env.Meta().ActionID, env.NewID(), env.NewID())
				return fx.None()
			}))
		}
		return ids
	}
	id := uuid.New()
	first := run(id)
	require.Equal(t, first, run(id))
	require.NotEqual(t, first, run(uuid.Nil), "the default is random")
	slices.SortFunc(first, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	require.Len(t, slices.Compact(first), 9)
}

// An observer's sends are caused by the action that it was told of.
func TestRule5_ThroughObservers(t *testing.T) {
	t.Parallel()
	var seen metas
	s := open(t, store.Config{})
	seen.watch(s)
	other := open(t, store.Config{})
	seen.watch(other)
	s.Observe(func(ctx context.Context, e store.Event[state, action]) {
		if e.Action.name == "b" {
			if err := other.Send(ctx, act("there")); err != nil {
				t.Error(err)
			}
			if got, _ := reducer.MetaFrom(ctx); got != e.Meta {
				t.Errorf("got %v, want %v", got, e.Meta)
			}
		}
	})
	send(t, s, act("a", fx.Send(act("b"))))
	m := seen.all()
	require.Equal(t, m["b"].ActionID, m["there"].CausationID)
	require.Equal(t, m["a"].ActionID, m["there"].CorrelationID)
}
