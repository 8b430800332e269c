package engine

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
)

func TestStreamAsksForTheNextWhenTheOneBeforeIsReduced(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": stream("s"), "got s 1": fx.Send("sent"), "got s 2": do("a")})
	r.send("go")
	r.emit("s", 1)
	require.Equal(t, 1, r.task("s").Queued)
	r.drain()
	r.want("go", "start s", "got s 1", "ack s #1", "sent")
	require.Zero(t, r.task("s").Queued)
	r.emit("s", 2)
	r.drain()
	r.want("got s 2", "start a", "ack s #1")
	r.finish("s")
	r.want("got s: EOF")
	r.reply("a")
	r.idle()
}

func TestStreamThatEndsWithValuesOnTheWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": stream("s")})
	r.send("go")
	r.emit("s", 1)
	r.emit("s", 2)
	r.settle("s", errDown)
	r.drain()
	r.want("go", "start s", "got s 1", "got s 2", "got s: down") // nobody waits for an ack
	r.idle()
}

func TestStreamCancelledByItsOwnValue(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": stream("s", effect.Key("k")), "got s 1": fx.Cancel("k")})
	r.send("go")
	id := r.task("s").ID
	r.emit("s", 1)
	r.emit("s", 2)
	r.drain()
	r.want("go", "start s", "got s 1", "stop s")
	require.False(t, r.engine.Emit(id, 1, nil))
	r.idle()
}

func TestStreamWithoutThen(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"go": effect.Stream[ask, int, string](ask{"s"}, nil),
	})
	r.send("go")
	r.emit("s", 1)
	r.emit("s", 2)
	r.drain()
	r.want("go", "start s", "ack s #1", "ack s #1") // or it would wait for ever
	r.finish("s")
	r.want()
	r.send("go")
	r.fail("s", errDown)
	r.want("go", "start s", "fault: down, call s")
	r.idle()
}

func TestTimeoutOfAStreamBoundsTheWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": stream("s", effect.Timeout(time.Second))})
	r.send("go")
	r.pass(time.Second / 2)
	r.emit("s", 1)
	r.drain()
	r.pass(time.Second / 2)
	r.want("go", "start s", "got s 1", "ack s #1", "stop s", "got s: engine.ask: timed out after 1s")
	r.idle()
}

func TestOpaqueCalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{
		"run":    fx.Run("job", func(context.Context) string { return "done" }),
		"nil":    fx.Run("nothing", nil),
		"stream": fx.Stream("feed", func(context.Context) iter.Seq[string] { return nil }),
	})
	r.send("run")
	task := r.task("job")
	o := task.Call.Invoke(t.Context(), nil, nil)
	require.True(t, r.engine.Settle(task.ID, task.Attempt, o))
	r.drain()
	r.want("run", "start job", "done")

	r.send("nil")
	task = r.task("nothing")
	require.True(t, r.engine.Settle(task.ID, task.Attempt, task.Call.Invoke(t.Context(), nil, nil)))
	r.drain()
	r.want("nil", "start nothing", `fault: effect "nothing": invalid effect: its function is nil, call nothing`)

	r.send("stream")
	task = r.task("feed")
	for _, a := range []string{"one", "two"} {
		o, err := task.Call.Outcome(a, nil)
		require.NoError(t, err)
		require.True(t, r.engine.Emit(task.ID, task.Attempt, o))
		r.drain()
	}
	r.finish("feed") // opaque: nobody asked for its end
	r.want("stream", "start feed", "one", "ack feed #1", "two", "ack feed #1")
	r.idle()
}
