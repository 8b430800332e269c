package engine

import (
	"context"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

func TestRetryWithBackoff(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a", effect.Retry(effect.RetryPolicy{Attempts: 5, Delay: time.Second, MaxDelay: 3 * time.Second}))})
	r.send("go")
	for i, wait := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		r.fail("a", errDown)
		r.pass(wait - 1)
		require.NotContains(t, r.log, fmt.Sprintf("start a #%d", i+2))
		r.pass(1)
		require.Contains(t, r.log, fmt.Sprintf("start a #%d", i+2))
	}
	r.fail("a", errDown) // the last attempt
	r.want("go", "start a", "start a #2", "start a #3", "start a #4", "start a #5", "got a: down")
	r.idle()
}

func TestRetryUntilSuccess(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": do("a", effect.Retry(effect.RetryPolicy{}))})
	r.send("go")
	r.fail("a", errDown)
	r.pass(100 * time.Millisecond)
	r.reply("a")
	r.want("go", "start a", "start a #2", "got a")
	r.idle()
}

func TestRetryOfWhatIsWorthIt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		err   error
		again bool
	}{
		{"any error", errDown, true},
		{"a timeout", effect.ErrTimeout, true},
		{"an end of file", io.EOF, true}, // a lost connection, not the end of a stream
		{"permanent", fmt.Errorf("charge: %w", effect.Permanent(errDown)), false},
		{"cancelled", context.Canceled, false},
		{"no handler", effect.ErrNoHandler, false},
		{"invalid", effect.ErrInvalid, false},
		{"a panic", &effect.PanicError{Value: "x"}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, causes{"go": do("a", effect.Retry(effect.RetryPolicy{})), "mine": do("b", effect.Retry(effect.RetryPolicy{
				If: func(err error) bool { return !effect.Retryable(err) }, // the other way round
			}))})
			r.send("go", "mine")
			r.log = nil
			r.fail("a", row.err)
			r.fail("b", row.err)
			r.pass(100 * time.Millisecond)
			if row.again {
				r.want("got b: "+row.err.Error(), "start a #2")
			} else {
				r.want("got a: "+row.err.Error(), "start b #2")
			}
		})
	}
}

// The end of a stream is io.EOF itself; one that broke with it wrapped failed.
func TestRetryOfStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": stream("s", effect.Retry(effect.RetryPolicy{Delay: time.Second}))})
	r.send("go")
	r.emit("s", 1)
	r.settle("s", fmt.Errorf("read: %w", io.EOF))
	r.pass(time.Second) // values that came before the end are not lost
	r.want("go", "start s", "start s #2", "got s 1")
	r.emit("s", 2)
	r.drain()
	r.finish("s")
	r.want("got s 2", "ack s #2", "got s: EOF")
	r.idle()
}

// A value of an attempt that has ended is not acknowledged to the next.
func TestAckIsForTheAttemptThatEmitted(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": stream("s", effect.Retry(effect.RetryPolicy{Delay: 1}))})
	r.send("go")
	r.emit("s", 1)
	r.settle("s", errDown)
	r.now = r.now.Add(1)
	r.engine.Tick(r.now)
	r.emit("s", 2)
	r.drain()
	r.want("go", "start s", "start s #2", "got s 1", "got s 2", "ack s #2")
}

func TestFiredEndOfFileIsReported(t *testing.T) {
	t.Parallel()
	r := newRig(t, causes{"go": effect.Fire[string](ask{"a"})})
	r.send("go")
	r.fail("a", io.EOF)
	r.want("go", "start a", "fault: EOF, call a")
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	policy := func(delay, maxDelay time.Duration, factor, jitter float64) *tree.Retry {
		return &tree.Retry{Delay: delay, MaxDelay: maxDelay, Factor: factor, Jitter: jitter}
	}
	for _, row := range []struct {
		name    string
		retry   *tree.Retry
		attempt int
		want    time.Duration
	}{
		{"first", policy(time.Second, time.Minute, 2, 0), 1, time.Second},
		{"third", policy(time.Second, time.Minute, 2, 0), 3, 4 * time.Second},
		{"bounded", policy(time.Second, time.Minute, 2, 0), 10, time.Minute},
		{"constant", policy(time.Second, time.Minute, 1, 0), 1000, time.Second},
		{"no delay", policy(0, time.Minute, 2, 1), 1000, 0},
		{"beyond a float", policy(time.Second, time.Minute, 1e300, 0), 3, time.Minute},
		{"beyond a duration", policy(math.MaxInt64, math.MaxInt64, 2, 0), 5, math.MaxInt64},
		{"beyond a duration, spread", policy(math.MaxInt64, math.MaxInt64, 1e300, 1), 5000, math.MaxInt64},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(100) {
				got := backoff(row.retry, row.attempt, seed)
				if row.retry.Jitter > 0 {
					require.GreaterOrEqual(t, got, time.Duration(0))
					require.LessOrEqual(t, got, row.want)
					continue
				}
				require.Equal(t, row.want, got)
			}
		})
	}
}

func TestJitterSpreadsAlikeInEachRun(t *testing.T) {
	t.Parallel()
	p := effect.RetryPolicy{Delay: time.Second, Jitter: .5}
	deadline := func(instance uint64) time.Duration {
		r := newRig(t, causes{"go": do("a", effect.Retry(p))})
		r.engine.instance = instance
		r.send("go")
		r.fail("a", errDown)
		at, _ := r.engine.Deadline()
		return at.Sub(r.now)
	}
	var sum time.Duration
	seen := map[time.Duration]bool{}
	for i := range uint64(1000) {
		d := deadline(i)
		require.Equal(t, d, deadline(i))
		require.GreaterOrEqual(t, d, time.Second/2)
		require.LessOrEqual(t, d, 3*time.Second/2)
		seen[d] = true
		sum += d
	}
	require.Greater(t, len(seen), 990) // keyed stores do not retry in step
	require.InDelta(t, float64(time.Second), float64(sum/1000), float64(50*time.Millisecond))
}

func TestMaxDelayBoundsJitter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		require.LessOrEqual(t, backoff(&tree.Retry{Delay: time.Second, MaxDelay: time.Second, Factor: 1, Jitter: 1}, 1, seed), time.Second)
	}
}
