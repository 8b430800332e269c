package engine

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

func TestTrackSettlesOnceWhenAllHasEnded(t *testing.T) {
	t.Parallel()
	retry := effect.Retry(effect.RetryPolicy{Attempts: 2})
	r := newRig(t, causes{
		"go": fx.All(
			fx.Send("sent"), fx.Sequence(do("a"), do("b", effect.Key("k"))), fx.After("t", time.Second, "tick"), stream("s"),
			fx.Hold("h"), effect.Fire[string](ask{"f"}, retry), do("q1", effect.Key("q", effect.Queue)), do("q2", effect.Key("q", effect.Queue)),
		),
		"tick": do("c"), "resume": fx.Resume("h", "resumed"), "cancel": fx.Cancel("q"), "resumed": do("d"),
	})
	settled := 0
	track := NewTrack(nil, func() { settled++ }, nil)
	r.receive("go", Cause{Track: track})
	r.drain()
	for _, step := range []func(){
		func() { r.pass(time.Second) }, func() { r.reply("a") }, func() { r.emit("s", 1); r.drain() }, func() { r.finish("s") },
		func() { r.fail("f", errDown) }, func() { r.pass(time.Second) }, func() { r.fail("f", errDown) }, func() { r.reply("q1") },
		func() { r.send("cancel") }, func() { r.send("resume") }, func() { r.reply("c") }, func() { r.reply("d") }, func() { r.send("other") },
	} {
		step()
		require.Zero(t, settled)
	}
	r.reply("b")
	require.Equal(t, 1, settled)
	require.NoError(t, track.Err())
	r.idle()
}

func TestTrackOfAnActionWithoutEffects(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{})
	settled := 0
	r.receive("go", Cause{Track: &Track{Settled: func() { settled++ }}})
	require.Zero(t, settled)
	r.drain()
	require.Equal(t, 1, settled)
	r.receive("nobody cares", Cause{Track: &Track{}})
	r.drain()
}

// A track counts from the step that reduces an action to the end of its effects
// without a gap, whatever they are.
func TestTrackOfASequenceHasNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"go":   fx.Sequence(fx.Send("x"), do("a", effect.Key("k")), fx.After("k", 1, "t"), fx.Sequence(fx.Cancel("z"), fx.Send("y")), fx.Hold("k"), do("b")),
		"stop": fx.Cancel("k"),
	})
	settled := 0
	r.receive("go", Cause{Track: &Track{Settled: func() { settled++ }}})
	r.drain()
	r.reply("a")
	r.pass(1)
	r.send("stop")
	require.Zero(t, settled)
	r.reply("b")
	require.Equal(t, 1, settled)
	r.want("go", "x", "start a", "got a", "t", "y", "stop", "start b", "got b")
	r.idle()
}

// A parent waits for what its effects cause in other stores.
func TestTrackSpansEngines(t *testing.T) {
	t.Parallel()
	one, two := newRig(t, causes{"go": do("a")}), newRig(t, causes{"child": do("b")})
	order := []string{}
	parent := NewTrack(nil, func() { order = append(order, "parent") }, nil)
	one.receive("go", Cause{Track: parent})
	one.drain()
	child := NewTrack(parent, func() { order = append(order, "child") }, nil)
	two.receive("child", Cause{Track: child}) // sent by a's handler, which waits
	two.receive("same", Cause{Track: parent}) // sent by it, which does not
	two.drain()
	one.reply("a")
	require.Empty(t, order)
	two.reply("b")
	require.Equal(t, []string{"child", "parent"}, order)
}

func TestTrackIsSafeForManyAtOnce(t *testing.T) {
	t.Parallel()
	settled := make(chan struct{}, 2)
	track := NewTrack(nil, func() { settled <- struct{}{} }, nil)
	track.Add()
	var wg sync.WaitGroup
	for range 8 {
		track.Add()
		wg.Go(func() {
			for range 1000 {
				track.Add()
				track.Done()
			}
			track.Done()
		})
	}
	wg.Wait()
	require.Empty(t, settled)
	track.Done()
	require.Len(t, settled, 1)
}

func TestNilTrack(t *testing.T) {
	t.Parallel()
	var track *Track
	track.Add()
	track.Done()
	track.Fail(errDown)
}

func TestAbandon(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) (*rig, *Track, *int) {
		t.Helper()
		r := newRig(t, causes{
			"hold": fx.Hold("h"),
			"go": fx.All(
				do("a"), fx.Sequence(do("b"), do("never")), scope("child", 1, fx.Sequence(stream("s"), do("never"))), fx.After("k", 1, "tick"),
				do("c", effect.Key("q", effect.Queue)), do("d", effect.Key("q", effect.Queue)), do("e", effect.Retry(effect.RetryPolicy{})),
				fx.Sequence(fx.Resume("h", "resumed"), fx.Send("never")), do("f"),
			),
		})
		settled := new(int)
		track := NewTrack(nil, func() { *settled++ }, nil)
		r.receive("hold", Cause{Track: track})
		r.drain()
		r.receive("go", Cause{Track: track})
		r.engine.Next()
		r.commands()
		r.settle("e", errDown)
		r.settle("f", nil)
		r.receive("waiting", Cause{Track: track})
		require.Zero(t, *settled)
		r.log = nil
		return r, track, settled
	}
	t.Run("ends everything", func(t *testing.T) {
		t.Parallel()
		r, track, settled := setup(t)
		why := errors.New("shut down")
		late := r.task("a")
		r.engine.Abandon(why)
		r.drain()
		r.want("stop a", "stop b", "stop s", "stop c")
		require.Equal(t, 1, *settled)
		require.Equal(t, why, track.Err())
		r.idle()
		r.engine.Abandon(errDown) // again: nothing
		require.Equal(t, why, track.Err())
		r.pass(time.Hour)
		// Ids are not used again, so what comes late finds nothing.
		r.send("go")
		o, err := late.Call.Outcome(0, nil)
		require.NoError(t, err)
		require.False(t, r.engine.Settle(late.ID, late.Attempt, o))
	})
	t.Run("after a panic of the reducer", func(t *testing.T) {
		t.Parallel()
		for _, act := range []func(r *rig, track *Track){
			func(r *rig, track *Track) { r.receive("outside", Cause{Track: track}); r.engine.Promote(2) },
			func(r *rig, _ *Track) { r.settle("b", nil); r.engine.Promote(3) },
			func(r *rig, _ *Track) { r.emit("s", 1); r.engine.Promote(3) },
			func(*rig, *Track) {}, // the resumed action
		} {
			r, track, settled := setup(t)
			r.reduce = func(*int, string, reducer.Env) fxOf { panic("no") }
			act(r, track)
			require.PanicsWithValue(t, "no", func() { r.engine.Next() })
			what, action := r.engine.Doing()
			require.Equal(t, "reduce", what)
			require.NotNil(t, action)
			require.Zero(t, *settled)
			r.engine.Abandon(errDown)
			require.Equal(t, 1, *settled)
			require.Equal(t, errDown, track.Err())
			r.idle()
		}
	})
	t.Run("after a panic of what maps a result", func(t *testing.T) {
		t.Parallel()
		r, _, settled := setup(t)
		r.causes["more"] = effect.Do(ask{"p"}, func(effect.Result[int]) string { panic("no") })
		r.send("more")
		require.Panics(t, func() { r.settle("p", nil) })
		what, _ := r.engine.Doing()
		require.Equal(t, "map the result of engine.ask", what)
		r.reply("a", "b", "c")
		r.engine.Abandon(errDown)
		require.Equal(t, 1, *settled)
		r.idle()
	})
	t.Run("after a panic between", func(t *testing.T) {
		t.Parallel()
		r, _, settled := setup(t)
		r.causes["go on"] = fx.All(scope("bad", 1, do("x")), do("y"))
		r.send("go on")
		r.causes["bad prune"] = panickyPrune("bad")
		require.Panics(t, func() { r.send("bad prune") })
		what, _ := r.engine.Doing()
		require.Equal(t, "apply effects", what)
		r.engine.Abandon(errDown)
		require.Equal(t, 1, *settled)
		r.idle()
	})
}

func panickyPrune(name string) fxOf {
	return effect.FromTree(tree.Node[string]{Kind: tree.Prune, Key: tree.Gone{Name: name, Present: func(any) bool { panic("no") }}})
}
