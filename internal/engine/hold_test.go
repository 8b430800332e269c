package engine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/reducer"
)

func TestHoldsResumeInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"one": fx.Hold("k"), "two": fx.Hold("k"), "three": fx.Hold("k"), "other": fx.Hold("j"),
		"resume": fx.All(fx.Resume("k", "one again"), fx.Resume("k", "two again")), "once more": fx.Resume("k", "three again"),
	})
	roots := map[string]uint64{}
	r.reduce = func(_ *int, a string, env reducer.Env) fxOf {
		roots[a] = r.engine.step.Cause.Root
		return r.causes[a]
	}
	r.send("one", "two", "three", "other", "resume")
	r.want("one", "two", "three", "other", "resume", "one again", "two again")
	// Each goes on in the place of its own hold.
	require.EqualValues(t, 1, roots["one again"])
	require.EqualValues(t, 2, roots["two again"])
	require.Equal(t, 2, r.engine.Open())
	r.send("once more", "once more") // the last finds no hold, and is a send
	r.want("once more", "three again", "once more", "three again")
	require.EqualValues(t, 10, roots["three again"])
	require.Equal(t, 1, r.engine.Open())
}

func TestHoldIsUnfinished(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Hold("k"), "resume": fx.Resume("k", "resumed"), "resumed": do("a")})
	held, resumer := &Track{}, &Track{}
	order := []string{}
	held.Settled = func() { order = append(order, "held") }
	resumer.Settled = func() { order = append(order, "resumer") }
	r.receive("go", Cause{Track: held})
	r.drain()
	require.Empty(t, order)
	r.receive("resume", Cause{Track: resumer})
	r.drain()
	// What the resumed action causes is waited for by who sent the held one.
	require.Equal(t, []string{"resumer"}, order)
	r.reply("a")
	require.Equal(t, []string{"resumer", "held"}, order)
	r.idle()
}

// A resume in a sequence is waited for there, so its sender waits for the rest.
func TestResumeInASequenceCountsForItsSender(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Hold("k"), "resume": fx.Sequence(fx.Resume("k", "resumed"), do("a"))})
	settled := 0
	track := &Track{Settled: func() { settled++ }}
	r.send("go")
	r.receive("resume", Cause{Track: track})
	r.engine.Next()
	require.Zero(t, settled)
	r.drain()
	require.Zero(t, settled)
	r.reply("a")
	require.Equal(t, 1, settled)
	r.want("go", "resume", "resumed", "start a", "got a")
	r.idle()
}

func TestCancelledHoldSettles(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]fxOf{"cancel": fx.Cancel("k"), "prune": prune("child")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := fx.Sequence(fx.Hold("k"), fx.Send("next"))
			if name == "prune" {
				e = scope("child", 1, e)
			}
			r := newRig(t, causes{"go": e, "end": end})
			settled := 0
			r.receive("go", Cause{Track: &Track{Settled: func() { settled++ }}})
			r.drain()
			r.send("end")
			require.Equal(t, 1, settled)
			if name == "cancel" {
				r.want("go", "end", "next")
			} else {
				r.want("go", "end")
			}
			r.idle()
		})
	}
}

// A resumed action belongs to the hold's child, and goes with it.
func TestPruneEndsAResumedAction(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"go":     scope("child", 1, fx.Hold("k")),
		"resume": fx.Sequence(scope("child", 1, fx.Resume("k", "resumed")), do("a")),
		"prune":  prune("child"),
	})
	settled := 0
	track := &Track{Settled: func() { settled++ }}
	r.send("go")
	r.receive("resume", Cause{Track: track})
	r.receive("prune", Cause{})
	r.drain()
	r.want("go", "resume", "prune", "start a")
	require.Zero(t, settled)
	r.reply("a")
	require.Equal(t, 1, settled)
	r.idle()
}

func TestHoldAsATask(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Hold("k")})
	r.send("go")
	for task := range r.engine.Tasks() {
		require.Equal(t, Held, task.State)
		require.Equal(t, "held", task.State.String())
		require.Nil(t, task.Call)
		require.Equal(t, "k", task.Key)
		require.Equal(t, Cause{Parent: 1, Root: 1}, task.Cause)
	}
}
