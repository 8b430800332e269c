package engine

import (
	"testing"
	"time"

	"github.com/seed57833328/rondo/effect"
)

func TestSequenceStartsEachWhenTheOneBeforeHasSettled(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(do("a"), do("b"), fx.Send("c"), do("d"))})
	r.send("go")
	r.want("go", "start a")
	r.reply("a")
	r.want("got a", "start b") // b starts when a's action has been reduced
	r.reply("b")
	r.want("got b", "c", "start d")
	r.reply("d")
	r.want("got d")
	r.idle()
}

func TestSequenceInAnyNesting(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(
		fx.All(do("a"), fx.Sequence(do("b"), fx.All(do("c"), do("d")))),
		fx.Sequence(fx.All(fx.Sequence(do("e"), do("f")), fx.Sequence(do("g"), do("h"))), do("i")),
		do("j"),
	)})
	r.send("go")
	r.want("go", "start a", "start b")
	r.reply("b")
	r.want("got b", "start c", "start d")
	r.reply("d", "a")
	r.want("got d", "got a")
	r.reply("c")
	r.want("got c", "start e", "start g")
	r.reply("g", "e", "f")
	r.want("got g", "start h", "got e", "start f", "got f")
	r.reply("h")
	r.want("got h", "start i")
	r.reply("i", "j")
	r.want("got i", "start j", "got j")
	r.idle()
}

func TestSequenceGoesOnPastWhatSettlesAtOnce(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]fxOf{
		"nothing":            fx.None(),
		"empty groups":       fx.All(fx.Sequence(), fx.All(fx.None())),
		"a cancel":           fx.Cancel("nobody"),
		"a dropped leading":  do("dropped", effect.Key("busy", effect.Leading)),
		"a group of cancels": fx.All(fx.Cancel("x"), fx.Sequence(fx.Cancel("y"), fx.Cancel("z"))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, causes{"busy": do("busy", effect.Key("busy")), "go": fx.Sequence(at, at, do("a"), at, do("b"), at)})
			r.send("busy", "go")
			r.want("busy", "start busy", "go", "start a")
			r.reply("a", "b", "busy")
			r.want("got a", "start b", "got b", "got busy")
			r.idle()
		})
	}
}

func TestSequenceWaitsForEveryKindOfElement(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T, element fxOf) *rig {
		t.Helper()
		r := newRig(t, causes{"go": fx.Sequence(element, do("next")), "resume": fx.Resume("k", "resumed")})
		r.send("go")
		return r
	}
	t.Run("a timer", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.After("k", time.Second, "tick"))
		r.want("go")
		r.pass(time.Second)
		r.want("tick", "start next")
	})
	t.Run("a stream", func(t *testing.T) {
		t.Parallel()
		r := setup(t, stream("s"))
		r.emit("s", 1)
		r.drain()
		r.want("go", "start s", "got s 1", "ack s #1")
		r.finish("s")
		r.want("got s: EOF", "start next")
	})
	t.Run("a hold, until what it held for is reduced", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.Hold("k"))
		r.want("go")
		r.send("resume")
		r.want("resume", "resumed", "start next")
	})
	t.Run("a resumed action, in the sequence of the resume too", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, causes{
			"hold": fx.Sequence(fx.Hold("k"), do("after hold")),
			"go":   fx.Sequence(fx.Resume("k", "resumed"), do("after resume")),
		})
		r.send("hold", "go")
		r.want("hold", "go", "resumed", "start after hold", "start after resume")
		r.reply("after hold", "after resume")
		r.want("got after hold", "got after resume")
		r.idle()
	})
	t.Run("a retry", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", effect.Retry(effect.RetryPolicy{Attempts: 2})))
		r.fail("a", errDown)
		r.want("go", "start a")
		r.pass(time.Second)
		r.fail("a", errDown)
		r.want("start a #2", "got a: down", "start next")
	})
	t.Run("a call that is refused", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", effect.Timeout(-1)))
		r.want("go", "got a: invalid effect: Timeout is zero or negative, must be positive", "start next")
	})
	t.Run("what is fired", func(t *testing.T) {
		t.Parallel()
		r := setup(t, effect.Fire[string](ask{"a"}))
		r.reply("a")
		r.want("go", "start a", "start next")
	})
	t.Run("what fails when fired", func(t *testing.T) {
		t.Parallel()
		r := setup(t, effect.Fire[string](ask{"a"}))
		r.fail("a", errDown)
		r.want("go", "start a", "fault: down, call a", "start next")
	})
	t.Run("what another replaces", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", effect.Key("k", effect.Latest)))
		r.causes["other"] = do("b", effect.Key("k", effect.Latest))
		r.send("other")
		r.want("go", "start a", "other", "stop a", "start b", "start next")
	})
}

// What actions of a sequence start in their turn is not waited for.
func TestSequenceDoesNotWaitForConsequences(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(fx.Send("a"), do("b")), "a": do("long")})
	r.send("go")
	r.want("go", "a", "start long", "start b")
}

func TestSequencesAreIndependent(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"one": fx.Sequence(do("a"), do("b")), "two": fx.Sequence(do("c"), do("d"))})
	r.send("one", "two", "one")
	r.want("one", "start a", "two", "start c", "one", "start a")
	r.reply("c", "a", "d", "a", "b", "b")
	r.want("got c", "start d", "got a", "start b", "got d", "got a", "start b", "got b", "got b")
	r.idle()
}

// A sequence of very many that settle at once takes no stack.
func TestSequenceOfVeryMany(t *testing.T) {
	t.Parallel()
	many := make([]fxOf, 200_000)
	for i := range many {
		many[i] = fx.Cancel("nobody")
	}
	r := newRig(t, causes{"go": fx.Sequence(fx.Sequence(many...), do("end"))})
	r.send("go")
	r.want("go", "start end")
}

func TestSendsComeBeforeOutsideActionsInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.All(fx.Send("a"), fx.Sequence(fx.Send("b"), fx.Send("d")), fx.Send("c")), "a": fx.Send("e")})
	r.send("go", "outside")
	r.want("go", "a", "b", "c", "e", "d", "outside")
	r.idle()
}
