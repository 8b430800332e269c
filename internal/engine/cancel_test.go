package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

func TestCancelEndsAllUnderAKey(t *testing.T) {
	t.Parallel()
	k, queue := effect.Key("k"), effect.Key("k", effect.Queue)
	r := newRig(t, causes{
		"go": fx.All(
			do("a", k), do("b", effect.Key("other")), stream("s", k), fx.After("k", time.Second, "tick"), fx.Hold("k"),
			do("queued", queue), do("queued too", queue)),
		"cancel": fx.Cancel("k"), "resume": fx.Resume("k", "resumed"),
	})
	r.send("go", "cancel")
	// What waited in line is not started for a moment.
	r.want("go", "start a", "start b", "start s", "cancel", "stop a", "stop s")
	r.send("resume")
	r.want("resume", "resumed") // no hold is left: as a send
	r.pass(time.Hour)
	r.reply("b")
	r.want("got b")
	r.idle()
}

func TestCancelOfWhatHasArrived(t *testing.T) {
	t.Parallel()
	k := effect.Key("k")
	setup := func(t *testing.T, e fxOf) *rig {
		t.Helper()
		r := newRig(t, causes{"go": e, "cancel": fx.Cancel("k")})
		r.send("go")
		r.log = nil
		r.receive("cancel", Cause{})
		return r
	}
	t.Run("a result", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", k))
		r.settle("a", nil)
		r.drain()
		r.want("cancel")
		r.idle()
	})
	t.Run("an error", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", k))
		r.settle("a", errDown)
		r.drain()
		r.want("cancel")
		r.idle()
	})
	t.Run("values and end of a stream", func(t *testing.T) {
		t.Parallel()
		r := setup(t, stream("s", k))
		r.emit("s", 1)
		r.settle("s", nil)
		r.drain()
		r.want("cancel")
		r.idle()
	})
	t.Run("a timer that has fired", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.After("k", 0, "tick"))
		r.engine.Tick(r.now)
		r.drain()
		r.want("cancel")
		r.idle()
	})
	t.Run("what comes late", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", k))
		task := r.task("a")
		r.drain()
		o, err := task.Call.Outcome(1, nil)
		require.NoError(t, err)
		require.False(t, r.engine.Settle(task.ID, task.Attempt, o))
		require.False(t, r.engine.Emit(task.ID, task.Attempt, o))
		r.drain()
		r.want("cancel", "stop a")
		r.idle()
	})
}

func TestCancelOfABackoff(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a", effect.Key("k"), effect.Retry(effect.RetryPolicy{})), "cancel": fx.Cancel("k")})
	r.send("go")
	r.fail("a", errDown)
	r.send("cancel")
	r.pass(time.Hour)
	r.want("go", "start a", "cancel")
	r.idle()
}

func TestCancelOfWhatASequenceHasLeft(t *testing.T) {
	t.Parallel()
	k := effect.Key("k")
	rest := fx.All(do("b", k), fx.After("k", 0, "tick"), fx.Hold("k"), fx.Sequence(do("c", k), do("d")))
	setup := func(t *testing.T, first fxOf) *rig {
		t.Helper()
		r := newRig(t, causes{
			"go": fx.Sequence(first, rest, do("e", k), do("last")), "cancel": fx.Cancel("k"),
			"new": do("new", k), "got a": fx.Cancel("k"), "sent": fx.Cancel("k"),
		})
		r.send("go")
		return r
	}
	t.Run("while another element runs", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("x"))
		r.send("cancel", "new") // what starts after the cancel is free of it
		r.want("go", "start x", "cancel", "new", "start new")
		r.reply("x", "d", "last", "new")
		r.want("got x", "start d", "got d", "start last", "got last", "got new")
		r.idle()
	})
	t.Run("with the element that runs", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("x", k))
		r.send("cancel")
		r.want("go", "start x", "cancel", "stop x", "start d")
	})
	t.Run("by the result of the element before", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a"))
		r.reply("a")
		r.want("go", "start a", "got a", "start d")
	})
	t.Run("by a send in the sequence", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.Send("sent"))
		r.want("go", "sent", "start d")
	})
	t.Run("while it is counted for a resumed action", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, causes{"hold": fx.Hold("h"), "go": fx.Sequence(fx.Resume("h", "resumed"), do("b", k), do("c")), "resumed": fx.Cancel("k")})
		r.send("hold", "go")
		r.want("hold", "go", "resumed", "start c")
	})
}

// A Cancel in a sequence is meant for what came before it.
func TestCancelInASequenceSparesWhatFollows(t *testing.T) {
	t.Parallel()
	k := effect.Key("k")
	r := newRig(t, causes{
		"go":   fx.Sequence(fx.All(do("a", k), do("b")), fx.Sequence(fx.Cancel("k"), do("c", k)), do("d", k)),
		"late": fx.Sequence(fx.All(do("e", k), fx.Sequence(do("f"), fx.Cancel("k"), do("g", k)), fx.Sequence(do("h"), do("i", k))), do("j", k)),
	})
	r.send("go")
	r.reply("a", "b")
	r.want("go", "start a", "start b", "got a", "got b", "start c")
	r.reply("c", "d")
	r.want("got c", "start d", "got d")
	r.send("late")
	r.reply("f") // i stands beside the cancel, g and j after it
	r.want("late", "start e", "start f", "start h", "got f", "stop e", "start g")
	r.reply("h", "g", "j")
	r.want("got h", "got g", "start j", "got j")
	r.idle()
}

func TestCancelAndStartInOneStep(t *testing.T) {
	t.Parallel()
	k := effect.Key("k")
	r := newRig(t, causes{
		"restart": fx.All(fx.Cancel("k"), do("a", k)),
		"never":   fx.All(do("b", k), fx.After("k", 0, "tick"), fx.Cancel("k"), do("c")),
		"latest":  fx.All(do("d", effect.Key("l", effect.Latest)), do("e", effect.Key("l", effect.Latest))),
	})
	r.send("restart", "restart")
	r.want("restart", "start a", "restart", "stop a", "start a")
	// What ends in the step that starts it is never begun.
	r.send("never", "latest")
	r.want("never", "stop a", "start c", "latest", "start e")
	r.pass(time.Hour)
	r.reply("c", "e")
	r.want("got c", "got e")
	r.idle()
}

// Cancels under ever new keys leave nothing behind in a sequence that lasts.
func TestCancelsDoNotPileUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(stream("s"), do("b", effect.Key("k")), scope("x", 1, do("c", effect.Key("k"))))})
	r.reduce = func(state *int, a string, _ reducer.Env) fxOf {
		if a == "cancel" {
			*state++
			return fx.All(fx.Cancel(*state), fx.Cancel("k"))
		}
		return r.causes[a]
	}
	r.send("go")
	for range 100 {
		r.send("cancel")
	}
	require.Equal(t, []any{"k"}, r.engine.tasks.first.group.skip)
}
