package engine

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

func TestMetadataFlowsToAllThatAnActionCauses(t *testing.T) {
	t.Parallel()
	given := reducer.Meta{Tenant: "acme", Actor: "ada", TraceParent: "00-1-2-03"}
	r := newRig(t, causes{
		"go":     fx.All(fx.Send("sent"), do("a", effect.Retry(effect.RetryPolicy{})), fx.After("k", time.Second, "tick"), stream("s"), fx.Hold("h")),
		"got a":  fx.Send("consequence"),
		"resume": fx.Resume("h", "resumed"),
	})
	metas := map[string]reducer.Meta{}
	r.reduce = func(_ *int, a string, env reducer.Env) fxOf {
		metas[a] = env.Meta()
		return r.causes[a]
	}
	r.receive("go", Cause{Meta: &given})
	r.drain()
	for task := range r.engine.Tasks() { // what handlers get
		require.Equal(t, metas["go"], r.engine.Meta(task.Cause.Parent, task.Cause))
	}
	r.fail("a", errDown)
	r.send("elsewhere")
	r.pass(time.Second)
	r.reply("a")
	r.emit("s", 1)
	r.drain()
	r.finish("s")
	r.send("resume")
	r.idle()

	root := metas["go"]
	require.NotEqual(t, uuid.Nil, root.ActionID)
	require.Equal(t, root.ActionID, root.CorrelationID)
	require.Equal(t, uuid.Nil, root.CausationID)
	seen := map[uuid.UUID]string{}
	for a, m := range metas {
		require.NotContains(t, seen, m.ActionID)
		seen[m.ActionID] = a
		if a == "elsewhere" || a == "resume" {
			require.Empty(t, m.Tenant)
			require.NotEqual(t, root.CorrelationID, m.CorrelationID)
			continue
		}
		require.Equal(t, []string{"acme", "ada", "00-1-2-03"}, []string{m.Tenant, m.Actor, m.TraceParent}, a)
		require.Equal(t, root.CorrelationID, m.CorrelationID, a)
		switch a {
		case "go":
		case "consequence":
			require.Equal(t, metas["got a"].ActionID, m.CausationID)
		default:
			require.Equal(t, root.ActionID, m.CausationID, a)
		}
	}
	require.Len(t, metas, 10)
}

func TestMetadataThatTheSenderGave(t *testing.T) {
	t.Parallel()
	given := reducer.Meta{
		ActionID: uuid.MustParse("00000000-0000-0000-0000-000000000001"), CorrelationID: uuid.MustParse("00000000-0000-0000-0000-000000000002"),
		CausationID: uuid.MustParse("00000000-0000-0000-0000-000000000003"),
	}
	r := newRig(t, nil)
	metas := []reducer.Meta{}
	r.reduce = func(_ *int, a string, env reducer.Env) fxOf {
		metas = append(metas, env.Meta())
		if a == "go" {
			return fx.Send("next")
		}
		return fx.None()
	}
	r.receive("go", Cause{Meta: &given})
	r.drain()
	require.Equal(t, given, metas[0])
	require.Equal(t, given.ActionID, metas[1].CausationID)
	require.Equal(t, given.CorrelationID, metas[1].CorrelationID)
	require.NotEqual(t, given.ActionID, metas[1].ActionID)
	require.Equal(t, uuid.MustParse("00000000-0000-0000-0000-000000000001"), given.ActionID) // untouched
}

func TestIDsAreDrawnAlikeInEachRun(t *testing.T) {
	t.Parallel()
	run := func(instance uint64) (ids []uuid.UUID) {
		r := newRig(t, nil)
		r.engine.instance = instance
		r.reduce = func(_ *int, a string, env reducer.Env) fxOf {
			ids = append(ids, env.Meta().ActionID, env.NewID(), env.NewID(), reducer.DeriveID(env.Meta().ActionID, 2))
			return fx.None()
		}
		r.send("a", "b")
		return ids
	}
	one := run(1)
	require.Equal(t, one, run(1))
	distinct := map[uuid.UUID]bool{}
	for _, id := range append(one, run(2)...) {
		distinct[id] = true
	}
	require.Len(t, distinct, 12)
	require.Equal(t, one[2], one[3]) // the second of a step
	require.Equal(t, uuid.Version(5), one[1].Version())
}
