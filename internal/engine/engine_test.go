package engine

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
)

func TestPeekAndPromote(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"go":     fx.All(do("a", effect.Key("k")), stream("s"), do("b"), scope("child", 1, fx.Sequence(do("c"), fx.Send("sent")))),
		"cancel": fx.Cancel("k"),
	})
	peek := func() (all []string) {
		for i := 0; ; i++ {
			a, ok := r.engine.Peek(i)
			if !ok {
				return all
			}
			all = append(all, a)
		}
	}
	require.Empty(t, peek())
	r.send("go")
	r.receive("cancel", Cause{})
	r.settle("a", nil)
	r.emit("s", 1)
	r.emit("s", 2)
	r.settle("s", errDown)
	r.settle("b", nil)
	// Results of one stream stay in order, so only its first can come next.
	require.Equal(t, []string{"cancel", "got a", "got s 1", "got b"}, peek())
	r.engine.Next()
	require.Equal(t, []string{"got s 1", "got b"}, peek()) // a was cancelled
	r.engine.Promote(7)                                    // none such: nothing
	r.engine.Promote(1)
	require.Equal(t, []string{"got b", "got s 1"}, peek())
	r.engine.Next()
	require.Equal(t, []string{"got s 1"}, peek())
	r.engine.Next()
	require.Equal(t, []string{"got s 2"}, peek())
	r.reply("c")
	r.want("go", "start a", "start s", "start b", "start c", "cancel", "got b", "got s 1", "got s 2", "got s: down", "got c", "sent")
	r.idle()
}

func TestStepTellsWhatWasReduced(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a"), "outside": fx.None()})
	step := r.engine.Reduce("go", Cause{})
	require.EqualValues(t, 1, step.Seq)
	require.Equal(t, "go", step.Action)
	require.Zero(t, step.Task)
	require.Equal(t, effect.Describe(do("a")), effect.Describe(step.Effect))
	r.commands()
	id := r.task("a").ID
	r.settle("a", nil)
	step, ok := r.engine.Next()
	require.True(t, ok)
	require.Equal(t, Step[string]{Seq: 2, Action: "got a", Cause: Cause{Parent: 1, Root: 1}, Task: id}, *step)
	require.EqualValues(t, 2, r.engine.Seq())
	_, ok = r.engine.Next()
	require.False(t, ok)
	r.idle()
}

func TestRestartBeginsACallAnew(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.Sequence(do("a", effect.Key("k", effect.Latest)), do("b"))})
	r.send("go")
	r.engine.Restart(r.task("a").Call, Cause{Parent: 1, Root: 1})
	r.drain()
	r.want("go", "start a", "stop a", "start a", "start b")
	r.reply("a", "b")
	r.want("got a", "got b")
	r.idle()
}

func TestIDsAreNeverUsedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a")})
	r.send("go")
	r.engine.tasks.slots[0].generation = math.MaxUint32 - 2 // as after long use
	r.reply("a")
	seen := map[TaskID]bool{}
	for range 5 {
		r.send("go")
		id := r.task("a").ID
		require.NotZero(t, id)
		require.False(t, seen[id], "%x", id)
		seen[id] = true
		r.reply("a")
	}
	require.Len(t, r.engine.tasks.slots, 2) // the first slot is used up
	require.Nil(t, r.engine.find(0))
	require.Nil(t, r.engine.find(math.MaxUint64))
	r.idle()
}

// A queue that is never empty does not grow for ever.
func TestQueueUsesItsMemoryAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.All(fx.Send("a"), fx.Send("b"), fx.Send("c")), "a": fx.Send("a"), "b": fx.Send("b"), "c": fx.Send("c")})
	r.receive("go", Cause{})
	for range 10_000 {
		_, ok := r.engine.Next()
		require.True(t, ok)
	}
	require.Less(t, cap(r.engine.queue.items), 64)
	require.Equal(t, []string{"a", "b", "c", "a", "b", "c"}, r.log[1:7])
	require.Equal(t, 3, r.engine.Waiting())
}

func TestQueueLetsGoOfMuchMemory(t *testing.T) {
	t.Parallel()
	var q queue[int]
	for i := range 10 * maxKept {
		q.push(item[int]{action: i})
	}
	for i := range 10 * maxKept {
		it, ok := q.pop()
		require.True(t, ok)
		require.Equal(t, i, it.action)
	}
	require.Nil(t, q.items)
	for i := range 10 {
		q.push(item[int]{action: i})
	}
	q.pop()
	q.toFront(4)
	q.remove(func(it *item[int]) bool { return it.action%2 == 0 })
	rest := []int{}
	for {
		it, ok := q.pop()
		if !ok {
			break
		}
		rest = append(rest, it.action)
	}
	require.Equal(t, []int{5, 1, 3, 7, 9}, rest)
}

func TestEngineWithoutEffectsNeedsNoTasks(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"cancel": fx.Cancel("k"), "send": fx.Send("x"), "resume": fx.Resume("k", "y"), "prune": prune("child")})
	r.send("cancel", "send", "resume", "prune")
	r.want("cancel", "send", "x", "resume", "y", "prune")
	require.Nil(t, r.engine.tasks)
	require.Zero(t, r.engine.Open())
	for range r.engine.Tasks() {
		require.Fail(t, "no tasks")
	}
	r.engine.Abandon(errDown)
	r.idle()
}

func TestTasksStopsWhenAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": fx.All(do("a"), do("b"), do("c", effect.Key("k", effect.Queue)), do("d", effect.Key("k", effect.Queue)))})
	r.send("go")
	n := 0
	for range r.engine.Tasks() {
		if n++; n == 2 {
			break
		}
	}
	require.Equal(t, 2, n)
	states := []string{}
	for task := range r.engine.Tasks() {
		states = append(states, fmt.Sprint(callName(task.Call), " ", task.State))
	}
	require.Equal(t, []string{"a running", "b running", "c running", "d queued"}, states)
}

func TestStateIsTheReducers(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.reduce = func(state *int, _ string, _ reducer.Env) fxOf { *state++; return fx.None() }
	r.send("a", "b")
	require.Equal(t, 2, r.engine.State)
}
