package reducer_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

type num struct{ N int }

var nfx effect.Of[string]

func add(n int) reducer.Reducer[num, string] {
	return reducer.Func[num, string](func(s *num, a string, _ reducer.Env) effect.Effect[string] {
		s.N = s.N*10 + n
		if a == "quiet" {
			return nfx.None()
		}
		return nfx.Send(a)
	})
}

func TestFunc(t *testing.T) {
	t.Parallel()
	s := num{}
	e := add(3).Reduce(&s, "a", reducer.Env{})
	require.Equal(t, num{3}, s)
	require.Equal(t, effect.Describe(nfx.Send("a")), effect.Describe(e))
}

func TestCombineRunsInOrder(t *testing.T) {
	t.Parallel()
	for n := range 5 {
		all := []reducer.Reducer[num, string]{}
		effects := []effect.Effect[string]{}
		want := 0
		for i := range n {
			all = append(all, add(i+1))
			effects = append(effects, nfx.Send("a"))
			want = want*10 + i + 1
		}
		r := reducer.Combine(all...)
		clear(all) // the caller's slice is not kept
		s := num{}
		e := r.Reduce(&s, "a", reducer.Env{})
		require.Equal(t, num{want}, s)
		require.Equal(t, effect.Describe(nfx.All(effects...)), effect.Describe(e))
		require.Equal(t, nfx.None(), r.Reduce(&s, "quiet", reducer.Env{}))
	}
}

type pointerReducer struct{}

func (*pointerReducer) Reduce(*num, string, reducer.Env) effect.Effect[string] { return nfx.None() }

func TestNilReducersAndFunctions(t *testing.T) {
	t.Parallel()
	var (
		none    reducer.Reducer[num, string]
		noFunc  reducer.Func[num, string]
		noPtr   *pointerReducer
		get     = func(s *num) *num { return s }
		in      = func(a string) (string, bool) { return a, true }
		out     = func(a string) string { return a }
		getMap  = func(*num) map[int]num { return nil }
		inMap   = func(a string) (int, string, bool) { return 0, a, true }
		outMap  = func(_ int, a string) string { return a }
		someone = add(1)
		noGet   func(*num) *num
		noMap   func(*num) map[int]num
	)
	for want, f := range map[string]func(){
		"reducer.Combine: reducer 0: nil reducer": func() { reducer.Combine(none) },
		"reducer.Combine: reducer 1: nil reducer": func() { reducer.Combine[num, string](someone, noFunc) },
		"reducer.Combine: reducer 2: nil reducer": func() { reducer.Combine[num, string](someone, someone, noPtr) },
		"reducer.Scope a: nil reducer":            func() { reducer.Scope("a", get, in, out, none) },
		"reducer.Scope b: nil reducer":            func() { reducer.Scope[num, string, num, string]("b", get, in, out, noFunc) },
		"reducer.IfPresent a: nil reducer":        func() { reducer.IfPresent("a", get, in, out, none) },
		"reducer.ForEach a: nil reducer":          func() { reducer.ForEach("a", getMap, inMap, outMap, none) },
		"reducer.Scope get: nil function":         func() { reducer.Scope("get", noGet, in, out, someone) },
		"reducer.Scope in: nil function":          func() { reducer.Scope("in", get, nil, out, someone) },
		"reducer.IfPresent out: nil function":     func() { reducer.IfPresent("out", get, in, nil, someone) },
		"reducer.ForEach get: nil function":       func() { reducer.ForEach("get", noMap, inMap, outMap, someone) },
	} {
		require.PanicsWithValue(t, want, f)
	}
	for _, r := range []any{nil, none, noFunc, noPtr} {
		require.True(t, reducer.IsNil(r), "%T", r)
	}
	for _, r := range []any{someone, &pointerReducer{}, struct{}{}} {
		require.False(t, reducer.IsNil(r), "%T", r)
	}
}

func TestFixedEnv(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	meta := reducer.Meta{ActionID: uuid.MustParse("00000000-0000-0000-0000-000000000001"), Tenant: "acme"}
	env, again := reducer.NewEnv(&reducer.Fixed{Time: at, Action: meta}), reducer.NewEnv(&reducer.Fixed{Time: at, Action: meta})
	require.Equal(t, at, env.Now())
	require.Equal(t, meta, env.Meta())
	first, second := env.NewID(), env.NewID()
	require.NotEqual(t, first, second)
	require.Equal(t, []uuid.UUID{first, second}, []uuid.UUID{again.NewID(), again.NewID()})
	require.Equal(t, reducer.DeriveID(meta.ActionID, 1), first)
	require.Equal(t, reducer.DeriveID(meta.ActionID, 2), second)
	require.Panics(t, func() { reducer.Env{}.Now() })
}

func TestDeriveID(t *testing.T) {
	t.Parallel()
	space := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
	id := reducer.DeriveID(space, 1)
	require.Equal(t, uuid.Version(5), id.Version())
	require.Equal(t, uuid.RFC4122, id.Variant())
	require.Equal(t, "e2ee41ce-8334-587e-86d0-4c4519cbf424", id.String()) // never changes: journals have them
	seen := map[uuid.UUID]bool{}
	for n := range uint64(100) {
		seen[reducer.DeriveID(space, n)] = true
		seen[reducer.DeriveID(id, n)] = true
	}
	require.Len(t, seen, 200)
}

func TestMetaInAContext(t *testing.T) {
	t.Parallel()
	_, ok := reducer.MetaFrom(t.Context())
	require.False(t, ok)
	meta := reducer.Meta{Tenant: "acme", Actor: "ada"}
	ctx := reducer.WithMeta(t.Context(), meta)
	meta.Actor = "changed after"
	got, ok := reducer.MetaFrom(ctx)
	require.True(t, ok)
	require.Equal(t, reducer.Meta{Tenant: "acme", Actor: "ada"}, got)
	got, _ = reducer.MetaFrom(reducer.WithMeta(ctx, reducer.Meta{Tenant: "other"})) // the innermost holds, whole
	require.Equal(t, reducer.Meta{Tenant: "other"}, got)

	// What packages of this module may put there.
	later := context.WithValue(t.Context(), reducer.MetaKey(), func() reducer.Meta { return reducer.Meta{Tenant: "lazy"} })
	got, ok = reducer.MetaFrom(later)
	require.True(t, ok)
	require.Equal(t, "lazy", got.Tenant)
	_, ok = reducer.MetaFrom(context.WithValue(t.Context(), reducer.MetaKey(), "else"))
	require.False(t, ok)
}

func TestMetaAsJSON(t *testing.T) {
	t.Parallel()
	meta := reducer.Meta{ActionID: uuid.MustParse("00000000-0000-0000-0000-000000000001"), Tenant: "acme"}
	text, err := json.Marshal(meta)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"actionId": "00000000-0000-0000-0000-000000000001",
		"correlationId": "00000000-0000-0000-0000-000000000000",
		"causationId": "00000000-0000-0000-0000-000000000000",
		"tenant": "acme"
	}`, string(text))
	var back reducer.Meta
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, meta, back)
}
