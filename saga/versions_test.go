package saga_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// newCount is the state of the counter's second version.
type newCount struct {
	Total int
	Log   []string
}

func newCountTypes() saga.Types {
	types := counterTypes()
	types.Schema = 2
	types.Upcasters = map[int]func([]byte) ([]byte, error){1: func(old []byte) ([]byte, error) {
		var c count
		if err := json.Unmarshal(old, &c); err != nil {
			return nil, err
		}
		return json.Marshal(newCount{Total: c.N, Log: []string{"upcast"}})
	}}
	return types
}

var newCounter = saga.Define("counter", reducer.Func[newCount, countAction](func(s *newCount, a countAction, _ reducer.Env) effect.Effect[countAction] {
	switch a := a.(type) {
	case add:
		s.Total += a.N
	case fetched:
		s.Total += 1000 * a.N
	}
	return cfx.None()
}), newCountTypes())

// A deploy goes on with what is in flight, however the code has changed.
func TestDeployGoesOnWithWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})}, counter)
		o.redefined = true
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, add{5})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), id, "fetch", foreign{"fetch"}))
		o.crash()

		o = open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, newCounter)
		o.redefined = true
		s := o.untilID(id, func(s saga.Snapshot) bool { return s.Sequence == 3 })
		require.Equal(t, 2, s.Schema)
		state, err := newCounter.State(s)
		require.NoError(t, err)
		require.Equal(t, newCount{Total: 7005, Log: []string{"upcast"}}, state)
		_, err = counter.State(s)
		var newer *saga.SchemaError
		require.ErrorAs(t, err, &newer)
		require.ErrorContains(t, newer, "has schema 2, this program knows 1")
		o.close()

		var mu sync.Mutex
		refused := 0
		old := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil), Hooks: saga.Hooks{
			Refused: func(saga.ID, string, error) {
				mu.Lock()
				defer mu.Unlock()
				refused++
			},
		}}, counter)
		old.redefined = true
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.ErrorAs(t, old.runner.Signal(t.Context(), id, "m", add{1}), &newer, "it is left to who knows it")
		mu.Lock()
		require.Positive(t, refused)
		mu.Unlock()
		s, err = old.runner.State(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, int64(3), s.Sequence)
	})
}

// A timer whose action is not known any more is not lost.
func TestActionThatIsNotKnownAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, later{Minutes: 1})
		require.NoError(t, err)
		o.close()
		types := counterTypes()
		types.Actions = types.Actions[1:] // without add
		fewer := saga.Define("counter", countReducer(nil), types)
		o = open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, fewer)
		o.redefined = true
		require.NoError(t, store.Sleep(t.Context(), 2*time.Minute))
		s, err := o.runner.State(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, saga.Stuck, s.Status)
		require.Equal(t, `action "add" is not one of Types.Actions of saga "counter"`, s.Reason)
		require.Len(t, s.Timers, 1, "it is still there")
		o.close()
		o = open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		_, err = o.runner.Retry(t.Context(), id, by)
		require.NoError(t, err)
		o.untilCount("a", 1)
	})
}

// An effect whose request is not known any more is done once it is known again.
func TestRequestThatIsNotKnownAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		waits := counterHandlers(func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		o := open(t, home, newHouse(), saga.Config{Handlers: waits}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, foreign{"fetch"})
		require.NoError(t, err)
		o.crash()
		types := counterTypes()
		types.Requests = nil
		o = open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, saga.Define("counter", countReducer(nil), types))
		o.redefined = true
		s := o.untilID(id, func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
		require.Equal(t, `request "fetch" is not one of Types.Requests of saga "counter"`, s.Reason)
		require.Len(t, s.Pending, 1, "it is still there")
		o.close()
		o = open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		_, err = o.runner.Retry(t.Context(), id, by)
		require.NoError(t, err)
		s = o.untilID(id, func(s saga.Snapshot) bool { return len(s.Pending) == 0 })
		state, err := counter.State(s)
		require.NoError(t, err)
		require.Equal(t, count{N: 7}, state, "it was done")
	})
}

func TestTenantsAreKeptApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		h := newHouse()
		h.before = func(ctx context.Context, request, key string, _ int) error {
			tenant, _ := eventstore.TenantFrom(ctx)
			m, _ := reducer.MetaFrom(ctx)
			mu.Lock()
			defer mu.Unlock()
			if request == "hold" {
				seen = append(seen, fmt.Sprint(tenant, " ", m.Tenant, " ", m.Actor, " ", key))
			}
			return nil
		}
		o := open(t, newHome(), h, saga.Config{})
		for _, tenant := range []string{"acme", "b/c"} {
			ctx := reducer.WithMeta(eventstore.WithTenant(t.Context(), tenant), reducer.Meta{Actor: "ada"})
			handle, err := o.runner.Start(ctx, Reservation.ID("1"), Reserve{Quantity: 1})
			require.NoError(t, err)
			require.False(t, handle.Existing)
			end, err := handle.Wait(context.Background()) //nolint:usetesting // it outlives the context of the test, or of its bubble
			require.NoError(t, err)
			require.Equal(t, tenant, end.ID.Tenant)
			records, err := o.runner.List(ctx, saga.Query{})
			require.NoError(t, err)
			require.Len(t, records, 1)
		}
		mu.Lock()
		require.Equal(t, []string{"acme acme ada acme:reservation/1/1/0", "b/c b/c ada b%2Fc:reservation/1/1/0"}, seen)
		mu.Unlock()
		_, err := o.runner.State(t.Context(), Reservation.ID("1"))
		require.ErrorIs(t, err, saga.ErrNotFound)
	})
}

// Reducers know the time, draw ids and see who has sent an action, and it all
// depends on the record alone.
func TestEnvOfADecision(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type env struct {
			Now     time.Time
			IDs     []uuid.UUID
			Meta    reducer.Meta
			Actions int
		}
		def := saga.Define("env", reducer.Func[env, countAction](func(s *env, _ countAction, e reducer.Env) effect.Effect[countAction] {
			s.Now, s.Meta = e.Now(), e.Meta()
			s.IDs = append(s.IDs, e.NewID(), e.NewID())
			s.Actions++
			return cfx.None()
		}), counterTypes())
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, def)
		correlation := uuid.New()
		ctx := reducer.WithMeta(t.Context(), reducer.Meta{CorrelationID: correlation, Actor: "ada", TraceParent: "00-1-2-3"})
		_, err := o.runner.Start(ctx, def.ID("a"), add{1})
		require.NoError(t, err)
		require.NoError(t, o.runner.Signal(t.Context(), def.ID("a"), "m0", add{1})) // for who has started it
		require.NoError(t, o.runner.Signal(reducer.WithMeta(t.Context(), reducer.Meta{Actor: "bob\xff", TraceParent: "\xff"}), def.ID("a"), "m", add{1}))
		s, err := o.runner.State(t.Context(), def.ID("a"))
		require.NoError(t, err)
		state, err := def.State(s)
		require.NoError(t, err)
		require.Equal(t, "bob\ufffd", state.Meta.Actor)
		require.True(t, state.Now.Equal(s.Updated))
		distinct := map[uuid.UUID]bool{}
		for _, id := range state.IDs {
			distinct[id] = true
		}
		require.Len(t, distinct, 6)
	})
}

// The keys of effects tell apart whatever could be taken for each other.
func TestIDsAreWrittenDifferently(t *testing.T) {
	t.Parallel()
	seen := map[string]saga.ID{}
	parts := []string{"a", "a:b", "a/b", "b", "a%3Ab", "1/0", "%"}
	for _, tenant := range append(parts, "") {
		for _, name := range []string{"a", "b", "a.b"} {
			for _, key := range parts {
				id := saga.ID{Tenant: tenant, Type: name, Key: key}
				other, taken := seen[id.String()]
				require.False(t, taken, "%+v and %+v are both %s", id, other, id)
				seen[id.String()] = id
			}
		}
	}
	require.True(t, strings.HasPrefix(saga.ID{Type: "t", Key: "k"}.String(), "t/k"))
}
