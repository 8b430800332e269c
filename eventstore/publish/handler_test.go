package publish_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/publish"
)

var (
	errGone   = errors.New("connection is gone")
	errBroken = errors.New("broken")
)

// quiet says nothing of failures that a test expects.
var quiet = publish.Hooks{Retrying: func(publish.RetryInfo) {}}

func TestFailingHandlerIsTriedAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 2)
		var got sink
		var told []publish.RetryInfo
		calls := 0
		start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
			calls++
			require.Equal(t, calls, b.Attempt)
			if calls <= 20 {
				return errBroken
			}
			return got.handle(ctx, b)
		}, publish.Config{BatchSize: 2, Hooks: publish.Hooks{Retrying: func(r publish.RetryInfo) { told = append(told, r) }}})
		elapse(time.Hour)
		require.Equal(t, upTo(2), got.positions())
		require.EqualValues(t, 2, checkpoint(ctx, t, db))
		require.Len(t, told, 20)
		want, spread := 100*time.Millisecond, 0
		for i, r := range told {
			require.Equal(t, "sub", r.Subscription)
			require.Equal(t, publish.Handling, r.Doing)
			require.Equal(t, i+1, r.Attempt)
			require.Equal(t, errBroken, r.Err)
			require.Equal(t, upTo(2), positions(r.Events))
			require.InDelta(t, want.Seconds(), r.Delay.Seconds(), want.Seconds()/4, "attempt %d", r.Attempt)
			if r.Delay != want {
				spread++
			}
			want = min(2*want, 30*time.Second)
		}
		require.Greater(t, spread, 10)
		l, _, err := db.LoadCheckpoint(ctx, "sub")
		require.NoError(t, err)
		require.EqualValues(t, 1, l.Token, "it kept the lease all the time")
	})
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 5)
		var stopped []error
		cfg := publish.Config{BatchSize: 5, Hooks: publish.Hooks{Stopped: func(_ eventstore.Lease, err error) { stopped = append(stopped, err) }}}
		third := publish.Each(func(_ context.Context, e eventstore.Recorded) error {
			if e.Position == 3 {
				return publish.Permanent(errBroken)
			}
			return nil
		})
		err := start(t, ctx, db, third, cfg).wait()
		var s *publish.StoppedError
		require.ErrorAs(t, err, &s)
		require.ErrorIs(t, err, errBroken)
		require.EqualValues(t, 3, s.Event.Position)
		require.Equal(t, 1, s.Attempts)
		require.Contains(t, err.Error(), s.Event.ID.String())
		require.Contains(t, err.Error(), `"even", version 3 of "a-1", position 3`)
		require.EqualValues(t, 2, checkpoint(ctx, t, db))
		require.Equal(t, []error{err}, stopped)

		var got sink
		start(t, ctx, db, got.handle, publish.Config{}) // at once: the lease was released
		synctest.Wait()
		require.Equal(t, []eventstore.Position{3, 4, 5}, got.positions())
		require.NoError(t, publish.Permanent(nil))
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 5)
		calls := map[eventstore.Position]int{}
		err := start(t, ctx, db, publish.Each(func(_ context.Context, e eventstore.Recorded) error {
			calls[e.Position]++
			if e.Position == 2 && calls[2] < 3 || e.Position == 4 {
				return errBroken
			}
			return nil
		}), publish.Config{BatchSize: 5, Attempts: 3, Hooks: quiet}).wait()
		var s *publish.StoppedError
		require.ErrorAs(t, err, &s)
		require.EqualValues(t, 4, s.Event.Position)
		require.Equal(t, 3, s.Attempts)
		require.Equal(t, map[eventstore.Position]int{1: 1, 2: 3, 3: 1, 4: 3}, calls, "what was handled is not given again")
		require.EqualValues(t, 3, checkpoint(ctx, t, db))
	})
	t.Run("by one", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "a-1", 1)
			calls := 0
			err := start(t, ctx, db, func(context.Context, publish.Batch) error { calls++; return errBroken }, publish.Config{Attempts: 1}).wait()
			require.ErrorAs(t, err, new(*publish.StoppedError))
			require.Equal(t, 1, calls)
		})
	})
}

// Progress begins a new row of attempts: delays start anew, and the failure that
// came with it is told.
func TestPartialProgress(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 4)
		var told []publish.RetryInfo
		var saved []eventstore.Position
		failures := map[eventstore.Position]int{1: 4, 2: 1, 4: 1}
		start(t, ctx, db, publish.Each(func(_ context.Context, e eventstore.Recorded) error {
			if failures[e.Position] > 0 {
				failures[e.Position]--
				return errBroken
			}
			return nil
		}), publish.Config{BatchSize: 4, Hooks: publish.Hooks{
			Retrying:  func(r publish.RetryInfo) { told = append(told, r) },
			Published: func(b publish.Batch) { saved = append(saved, b.Position()) },
		}})
		elapse(time.Minute)
		require.EqualValues(t, 4, checkpoint(ctx, t, db))
		require.Equal(t, []eventstore.Position{1, 3, 4}, saved)
		var at []eventstore.Position
		var attempts []int
		for _, r := range told {
			at = append(at, r.Events[0].Position)
			attempts = append(attempts, r.Attempt)
			require.ErrorIs(t, r.Err, errBroken)
		}
		require.Equal(t, []eventstore.Position{1, 1, 1, 1, 2, 4}, at)
		require.Equal(t, []int{1, 2, 3, 4, 1, 1}, attempts)
		require.Less(t, told[4].Delay, 130*time.Millisecond)
	})
}

func TestPartialErrorThatMakesNoSense(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 2)
		wrong := []*publish.PartialError{{Handled: -1, Err: errBroken}, {Handled: 2, Err: errBroken}, {Handled: 1}}
		var told []error
		var got sink
		start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
			if b.Attempt <= len(wrong) {
				return wrong[b.Attempt-1]
			}
			return got.handle(ctx, b)
		}, publish.Config{BatchSize: 2, Hooks: publish.Hooks{Retrying: func(r publish.RetryInfo) { told = append(told, r.Err) }}})
		elapse(time.Minute)
		require.Equal(t, upTo(2), got.positions(), "all are given again")
		require.Len(t, told, 3)
		for _, err := range told {
			require.ErrorAs(t, err, new(*eventstore.InputError))
		}
	})
}

func TestPanics(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 3)
		var told []publish.RetryInfo
		panicked := false
		var got []eventstore.Position
		start(t, ctx, db, publish.Each(func(_ context.Context, e eventstore.Recorded) error {
			if e.Position == 2 && !panicked {
				panicked = true
				panic(errBroken)
			}
			got = append(got, e.Position)
			return nil
		}), publish.Config{BatchSize: 3, Hooks: publish.Hooks{Retrying: func(r publish.RetryInfo) { told = append(told, r) }}})
		elapse(time.Second)
		require.Equal(t, upTo(3), got)
		require.Len(t, told, 1)
		var p *publish.PanicError
		require.ErrorAs(t, told[0].Err, &p)
		require.ErrorIs(t, p, errBroken)
		require.Contains(t, string(p.Stack), "TestPanics")
		require.EqualValues(t, 2, told[0].Events[0].Position)
	})
	t.Run("of a batch", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "a-1", 3)
			err := start(t, ctx, db, func(context.Context, publish.Batch) error { panic("no") }, publish.Config{Attempts: 2, Hooks: quiet}).wait()
			require.ErrorAs(t, err, new(*publish.PanicError))
			require.ErrorContains(t, err, "handler panicked: no")
		})
	})
	t.Run("and Goexit", func(t *testing.T) {
		t.Parallel()
		bubble(t, func(t scene) {
			ctx, db := t.Context(), t.db
			add(ctx, t, db, "a-1", 3)
			err := start(t, ctx, db, func(context.Context, publish.Batch) error { runtime.Goexit(); return nil }, publish.Config{}).wait()
			require.ErrorContains(t, err, "Goexit")
		})
	})
}

// Nothing fails for ever unseen: without a hook there is a line in the log.
func TestFailuresAreLoggedByDefault(t *testing.T) { //nolint:paralleltest // see below
	// Not parallel: it sets the default logger.
	var lines strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))
	defer slog.SetDefault(old)
	synctest.Test(t, func(t *testing.T) {
		db := newMemory(t)
		add(t.Context(), t, db, "a-1", 1)
		_ = start(t, t.Context(), db, func(context.Context, publish.Batch) error { panic(errBroken) }, publish.Config{Attempts: 2}).wait()
	})
	require.Contains(t, lines.String(), "level=WARN")
	require.Contains(t, lines.String(), `handler panicked: broken`)
	require.Contains(t, lines.String(), "subscription=sub")
	require.Contains(t, lines.String(), "stream=a-1")
}

func TestLogHooks(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		var lines strings.Builder
		log := publish.LogHooks(slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})))
		add(ctx, t, db, "a-1", 2)
		first := start(t, ctx, db, func(_ context.Context, b publish.Batch) error {
			if b.Attempt == 1 {
				return errBroken
			}
			return nil
		}, publish.Config{Hooks: log, Owner: "one"})
		elapse(time.Second)
		require.NoError(t, db.ResetCheckpoint(ctx, "sub", 2)) // fences it
		second := start(t, ctx, db, (&sink{}).handle, publish.Config{Owner: "two"})
		elapse(time.Minute)
		first.shutdown()
		second.shutdown()
		third := start(t, ctx, db, func(context.Context, publish.Batch) error { return publish.Permanent(errBroken) }, publish.Config{Hooks: log})
		add(ctx, t, db, "a-1", 1)
		require.Error(t, third.wait())
		for _, want := range []string{
			`level=INFO msg="subscription taken" lease.subscription=sub lease.owner=one/`,
			`level=WARN msg="subscription will try again" subscription=sub doing="handle events" attempt=1`,
			`level=DEBUG msg="events published" subscription=sub events=2 position=2 attempt=2`,
			`level=WARN msg="subscription lost" lease.subscription=sub`,
			`level=DEBUG msg="subscription is run by another" subscription=sub owner=two/`,
			`level=ERROR msg="subscription stopped" lease.subscription=sub`,
		} {
			require.Contains(t, lines.String(), want)
		}
	})
}
