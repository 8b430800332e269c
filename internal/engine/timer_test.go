package engine

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

func TestAfterIsADebounce(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"type": fx.After("k", time.Second, "search"), "load": do("a", effect.Key("k")), "hold": fx.Hold("k"),
		"resume": fx.Resume("k", "resumed"), "other": fx.After("j", time.Second, "other fired"),
	})
	r.send("load", "hold", "type", "other")
	r.pass(900 * time.Millisecond)
	r.send("type")
	r.pass(900 * time.Millisecond)
	r.want("load", "start a", "hold", "type", "other", "type", "other fired")
	r.pass(100 * time.Millisecond)
	r.want("search") // requests and holds under the key went on
	r.reply("a")
	r.send("resume")
	r.want("got a", "resume", "resumed")
	r.idle()
}

func TestAfterReplacesATimerThatHasFired(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"type": fx.After("k", 0, "search")})
	r.send("type")
	r.receive("type", Cause{})
	r.engine.Tick(r.now) // fired; its action waits behind the new one
	r.drain()
	r.want("type", "type")
	r.pass(0)
	r.want("search")
	r.idle()
}

func TestAfterReplacesInASequence(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(fx.After("k", 1, "first"), do("a"), fx.After("k", 5, "third")), "again": fx.After("k", 9, "second")})
	r.send("go", "again")
	r.want("go", "again", "start a")
	r.reply("a")
	r.pass(time.Second)
	r.want("got a", "third")
	r.idle()
}

func TestDeadlinesInOrder(t *testing.T) {
	t.Parallel()
	all := []fxOf{}
	for i := range 100 {
		all = append(all, fx.After(nil, time.Duration(i*37%10), fmt.Sprint(i*37%10, " ", i)))
	}
	r := newRig(t, causes{"go": fx.All(all...)})
	r.send("go")
	at, ok := r.engine.Deadline()
	require.True(t, ok)
	require.Equal(t, r.now, at)
	r.engine.Tick(r.now.Add(time.Second)) // all at once
	r.drain()
	want := []string{"go"}
	for d := range 10 {
		for i := range 100 {
			if i*37%10 == d {
				want = append(want, fmt.Sprint(d, " ", i))
			}
		}
	}
	r.want(want...)
	r.idle()
}

func TestEqualDeadlinesInTheOrderOfTheirSetting(t *testing.T) {
	t.Parallel()
	// A timeout, a backoff, a timer and another timer, all due at once. Setting
	// b anew puts it last.
	r := newRig(t, causes{
		"one": fx.All(do("late", effect.Timeout(time.Second)), do("again", effect.Retry(effect.RetryPolicy{Delay: time.Second}))),
		"two": fx.All(fx.After("b", time.Second, "b"), fx.After("c", time.Second, "c"), fx.After("b", time.Second, "b")),
	})
	r.send("one")
	r.fail("again", errDown)
	r.send("two")
	r.log = nil
	r.pass(time.Second)
	r.want("stop late", "start again #2", "got late: engine.ask: timed out after 1s", "c", "b")
}

func TestTimersOfAllLengths(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"negative": fx.After("k", -1, "late"), "zero": fx.After("z", 0, "at once"), "huge": fx.After("h", math.MaxInt64, "in 292 years"),
		"cancel": fx.Cancel("h"), "timeout": do("a", effect.Timeout(math.MaxInt64)),
	})
	r.send("negative", "zero", "huge", "timeout")
	r.want("negative", "fault: invalid effect: After with a negative delay, -1ns, action late", "zero", "huge", "timeout", "start a")
	r.pass(0)
	r.want("at once")
	r.pass(200 * 365 * 24 * time.Hour)
	r.want()
	r.reply("a")
	r.pass(100 * 365 * 24 * time.Hour)
	r.want("got a", "in 292 years")
	r.idle()
}

func TestTickTwiceFiresOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.After("k", 1, "fired")})
	r.engine.Tick(r.now) // before there is anything
	r.send("go")
	for range 3 {
		r.engine.Tick(r.now.Add(1))
	}
	_, ok := r.engine.Deadline()
	require.False(t, ok)
	r.drain()
	r.want("go", "fired")
	r.idle()
}

func TestTheTimeIsAskedOncePerRefresh(t *testing.T) {
	t.Parallel()
	asked := 0
	r := newRig(t, causes{})
	r.engine.config.Now = func() time.Time { asked++; return r.now }
	r.reduce = func(_ *int, _ string, env reducer.Env) fxOf {
		require.Equal(t, r.now, env.Now())
		return fx.After(nil, time.Second, "x")
	}
	r.send("a", "b")
	require.Equal(t, 1, asked)
	r.engine.Refresh()
	require.Equal(t, 1, asked)
	r.send("c")
	require.Equal(t, 2, asked)
	r.now = r.now.Add(time.Second)
	r.engine.Tick(r.now) // a tick tells it
	r.drain()
	require.Equal(t, 2, asked)
}

func TestTimeoutOfEachAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a", effect.Timeout(time.Second), effect.Retry(effect.RetryPolicy{Attempts: 2, Delay: time.Minute}))})
	r.send("go")
	first := r.task("a")
	require.Equal(t, r.now.Add(time.Second), first.Deadline)
	r.pass(time.Second)
	r.want("go", "start a", "stop a")
	o, err := first.Call.Outcome(1, nil)
	require.NoError(t, err)
	require.False(t, r.engine.Settle(first.ID, first.Attempt, o), "the attempt has timed out")
	r.pass(time.Minute)
	require.False(t, r.engine.Settle(first.ID, first.Attempt, o), "another attempt runs")
	r.want("start a #2")
	r.pass(time.Second)
	r.want("stop a", "got a: engine.ask: timed out after 1s")
	r.idle()
}

func TestTimeoutEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a", effect.Timeout(time.Second)), "fire": effect.Fire[string](ask{"f"}, effect.Timeout(time.Second))})
	r.send("go")
	r.settle("a", nil)
	r.pass(time.Minute)
	r.drain()
	r.want("go", "start a", "got a")
	r.send("fire")
	r.pass(time.Minute)
	r.want("fire", "start f", "stop f", "fault: engine.ask: timed out after 1s, call f")
	r.idle()
}
