package engine

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
)

func TestEveryRunsSideBySide(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.All(do("a", effect.Key("k")), do("b", effect.Key("k", effect.Every)))})
	r.send("go")
	r.want("go", "start a", "start b")
	r.reply("b", "a")
	r.want("got b", "got a")
	r.idle()
}

func TestLatestEndsWhatRuns(t *testing.T) {
	t.Parallel()
	latest := effect.Key("k", effect.Latest)
	r := newRig(t, causes{
		"a": do("a", latest), "b": do("b", latest), "two": fx.All(do("c", effect.Key("k")), do("d", effect.Key("k"))),
		"timer": fx.After("k", time.Second, "tick"), "hold": fx.Hold("k"), "other": do("e", effect.Key("j", effect.Latest)),
		"got b": fx.Send("x"),
	})
	r.send("a", "other", "b")
	r.want("a", "start a", "other", "start e", "b", "stop a", "start b")
	// Also a result that waits to be reduced.
	r.receive("a", Cause{})
	r.settle("b", nil)
	r.drain()
	r.want("a", "start a")
	// Timers and holds too.
	r.send("two", "timer", "hold", "a")
	r.want("two", "start c", "start d", "timer", "hold", "a", "stop a", "stop c", "stop d", "start a")
	r.reply("a", "e")
	r.pass(time.Hour)
	r.want("got a", "got e")
	r.idle()
}

// A sequence that goes on because its element was replaced starts what comes
// next after the new effect, and never runs beside it.
func TestLatestOfASequenceThatGoesOn(t *testing.T) {
	t.Parallel()
	latest := effect.Key("k", effect.Latest)
	r := newRig(t, causes{"go": fx.Sequence(do("a", latest), do("b", latest)), "new": do("c", latest)})
	r.send("go", "new")
	r.want("go", "start a", "new", "stop a", "start b")
	r.reply("b")
	r.want("got b")
	r.idle()
}

func TestLeadingDropsTheNew(t *testing.T) {
	t.Parallel()
	leading := effect.Key("k", effect.Leading)
	r := newRig(t, causes{"a": do("a", leading), "b": do("b", leading), "got a": do("c", leading)})
	r.send("a", "b")
	r.want("a", "start a", "b")
	r.settle("a", nil)
	r.send("b") // a's result waits: the key is in use until it has been reduced
	r.want("got a", "start c", "b")
	r.reply("c")
	r.want("got c")
	r.idle()
}

func TestQueueRunsOneAfterAnother(t *testing.T) {
	t.Parallel()
	queue := effect.Key("k", effect.Queue)
	r := newRig(t, causes{
		"go": fx.All(do("a", queue), do("b", queue), do("c", queue)),
		// What a result starts stands in line behind what waited before.
		"got a": do("d", queue),
	})
	r.send("go")
	r.want("go", "start a")
	r.reply("a", "b", "c", "d")
	r.want("got a", "start b", "got b", "start c", "got c", "start d", "got d")
	r.idle()
}

func TestQueueGoesOnHoweverTheOneBeforeEnds(t *testing.T) {
	t.Parallel()
	queue := effect.Key("k", effect.Queue)
	setup := func(t *testing.T, first fxOf) *rig {
		t.Helper()
		r := newRig(t, causes{"go": fx.All(first, do("b", queue)), "resume": fx.Resume("k", "resumed"), "again": fx.After("k", time.Hour, "late")})
		r.send("go")
		return r
	}
	t.Run("fired", func(t *testing.T) {
		t.Parallel()
		r := setup(t, effect.Fire[string](ask{"a"}, queue))
		r.reply("a")
		r.want("go", "start a", "start b")
	})
	t.Run("a timer that fires", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.After("k", time.Second, "tick"))
		r.want("go")
		r.pass(time.Second)
		r.want("tick", "start b")
	})
	t.Run("a timer that is replaced", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.After("k", time.Second, "tick"))
		r.send("again")
		r.want("go", "again", "start b")
	})
	t.Run("a hold that resumes", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.Hold("k"))
		r.send("resume")
		r.want("go", "resume", "start b", "resumed")
	})
	t.Run("a retry that gives up", func(t *testing.T) {
		t.Parallel()
		r := setup(t, do("a", queue, effect.Retry(effect.RetryPolicy{Attempts: 2})))
		r.fail("a", errDown)
		r.pass(time.Second)
		r.fail("a", errDown)
		r.want("go", "start a", "start a #2", "got a: down", "start b")
	})
	t.Run("two of another policy", func(t *testing.T) {
		t.Parallel()
		r := setup(t, fx.All(do("x", effect.Key("k")), do("y", effect.Key("k"))))
		r.reply("x")
		r.want("go", "start x", "start y", "got x")
		r.reply("y")
		r.want("got y", "start b")
	})
	t.Run("a child that has gone", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, causes{
			"go":    fx.All(scope("child", 1, fx.All(do("a", queue), do("b", queue))), scope("child", 2, fx.All(do("c", queue), do("d", queue)))),
			"prune": prune("child", 2),
		})
		r.send("go", "prune")
		r.want("go", "start a", "start c", "prune", "stop a")
		r.reply("c", "d")
		r.want("got c", "start d", "got d")
		r.idle()
	})
}

func TestAKeyIsAnyValueThatEqualsItself(t *testing.T) {
	t.Parallel()
	type key struct {
		Kind string
		ID   any
	}
	n := new(int)
	for name, k := range map[string]any{
		"string": "k", "int": 1, "uint64": uint64(1), "float": 1.5, "struct": key{"load", 1}, "nested": key{"load", key{"x", 2}},
		"pointer": n, "array": [2]int{1, 2}, "nil pointer": (*int)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, causes{"go": do("a", effect.Key(k)), "cancel": fx.Cancel(k)})
			r.send("go", "cancel")
			r.want("go", "start a", "cancel", "stop a")
			r.idle()
		})
	}
	for name, k := range map[string]any{
		"slice": []int{1}, "map": map[int]int{}, "func": func() {}, "nested slice": key{"load", []int{1}},
		"NaN": math.NaN(), "nested NaN": key{"load", math.NaN()},
	} {
		t.Run(name+" is none", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, causes{
				"do": do("a", effect.Key(k)), "fire": effect.Fire[string](ask{"f"}, effect.Key(k)),
				"after": fx.After(k, 1, "late"), "cancel": fx.Cancel(k), "hold": fx.Hold(k), "resume": fx.Resume(k, "resumed"),
				"scope": scope("child", k, do("a")), "hold in scope": scope("child", 1, fx.Hold(k)),
			})
			for action, lines := range map[string]int{"do": 1, "fire": 1, "after": 1, "cancel": 1, "hold": 1, "resume": 1, "scope": 1, "hold in scope": 1} {
				r.send(action)
				require.Len(t, r.log, 1+lines, "%s: %q", action, r.log)
				require.Contains(t, r.log[1], "invalid effect: key")
				require.Contains(t, r.log[1], "cannot be compared, want one that equals itself")
				r.log = nil
			}
			r.idle()
		})
	}
}

func TestNilKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"do":     fx.All(do("a", effect.Key(nil)), do("b", effect.Key(nil))),
		"queue":  do("c", effect.Key(nil, effect.Queue)),
		"after":  fx.All(fx.After(nil, 1, "tick"), fx.After(nil, 1, "tock")),
		"cancel": fx.Cancel(nil), "hold": fx.Hold(nil), "resume": fx.Resume(nil, "resumed"),
	})
	r.send("do", "queue")
	r.want("do", "start a", "start b", "queue", "got c: invalid effect: Policy is queue of a nil Key, must be of a key")
	r.send("cancel", "hold", "resume")
	r.want("cancel", "fault: invalid effect: Cancel of a nil key", "hold", "fault: invalid effect: Hold of a nil key", "resume", "resumed")
	r.send("after")
	r.pass(1)
	r.want("after", "tick", "tock")
	r.reply("a", "b")
	r.want("got a", "got b")
	r.idle()
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	retry := effect.Retry
	for _, row := range []struct {
		name, want string
		option     effect.Option
	}{
		{"timeout zero", "Timeout is zero or negative, must be positive", effect.Timeout(0)},
		{"timeout negative", "Timeout is zero or negative, must be positive", effect.Timeout(-time.Second)},
		{"policy", "Policy is 9, must be Every, Latest, Leading or Queue", effect.Key("k", effect.Policy(9))},
		{"attempts", "RetryPolicy.Attempts is -1, must be at least 1", retry(effect.RetryPolicy{Attempts: -1})},
		{"delay", "RetryPolicy.Delay is -1s, must not be negative", retry(effect.RetryPolicy{Delay: -time.Second})},
		{"max delay", "RetryPolicy.MaxDelay is -1s, must not be negative", retry(effect.RetryPolicy{MaxDelay: -time.Second})},
		{"factor", "RetryPolicy.Factor is 0.5, must be at least 1", retry(effect.RetryPolicy{Factor: .5})},
		{"factor NaN", "RetryPolicy.Factor is NaN, must be at least 1", retry(effect.RetryPolicy{Factor: math.NaN()})},
		{"factor infinite", "RetryPolicy.Factor is +Inf, must be at least 1", retry(effect.RetryPolicy{Factor: math.Inf(1)})},
		{"jitter", "RetryPolicy.Jitter is 1.1, must be from 0 to 1", retry(effect.RetryPolicy{Jitter: 1.1})},
		{"jitter negative", "RetryPolicy.Jitter is -0.1, must be from 0 to 1", retry(effect.RetryPolicy{Jitter: -.1})},
		{"jitter NaN", "RetryPolicy.Jitter is NaN, must be from 0 to 1", retry(effect.RetryPolicy{Jitter: math.NaN()})},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, causes{
				"do": do("a", row.option), "fire": effect.Fire[string](ask{"f"}, row.option), "stream": stream("s", row.option),
				"keyed": fx.All(do("a", effect.Key("k"), row.option), fx.Send("x")), "cancel": fx.Cancel("k"),
			})
			r.send("do", "fire", "stream")
			r.want("do", "got a: invalid effect: "+row.want, "fire", "fault: invalid effect: "+row.want+", call f",
				"stream", "got s: invalid effect: "+row.want)
			r.receive("keyed", Cause{})
			r.receive("cancel", Cause{})
			r.drain()
			r.want("keyed", "cancel", "x") // refused or not, it was under the key
			r.idle()
		})
	}
}
