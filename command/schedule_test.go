package command_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
)

func TestScheduledFireAtTheirOwnTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		b := t.bus(t.db, command.Config{})
		run(t.Context(), t, b)
		elapse(0)
		five, err := command.Schedule(t.Context(), b, t.began.Add(5*time.Second), put{Name: "five"})
		require.NoError(t, err)
		require.Equal(t, command.Pending, five.Status)
		require.True(t, five.Due.Equal(t.began.Add(5*time.Second)))
		_, err = command.Schedule(t.Context(), b, t.began.Add(3*time.Second), put{Name: "three"})
		require.NoError(t, err)
		_, err = command.Enqueue(t.Context(), b, put{Name: "now"})
		require.NoError(t, err)
		elapse(0)
		_, err = command.Schedule(t.Context(), b, t.began.Add(-time.Hour), put{Name: "overdue"})
		require.NoError(t, err)

		elapse(time.Minute)
		require.Equal(t, []effect{
			{Name: "now", At: 0}, {Name: "overdue", At: 0},
			{Name: "three", At: 3 * time.Second}, {Name: "five", At: 5 * time.Second},
		}, t.ledger.seen())
		record, err := b.Status(t.Context(), five.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		require.Equal(t, 1, record.Attempts)
		require.JSONEq(t, `"put five"`, string(record.Result))
		require.Equal(t, 5*time.Second, record.FinishedAt.Sub(t.began))
		require.Equal(t, []string{"command.accepted", "command.started", "command.consumed"}, events(t, t.Context(), t.db, five.ID))
	})
}

func TestScheduledSurviveRestarts(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		one := t.bus(t.db, command.Config{})
		first := run(t.Context(), t, one)
		for name, d := range map[string]time.Duration{"1s": time.Second, "3s": 3 * time.Second, "10s": 10 * time.Second, "1h": time.Hour} {
			_, err := command.Schedule(t.Context(), one, t.began.Add(d), put{Name: name})
			require.NoError(t, err)
		}
		elapse(2 * time.Second)
		first.end() // nobody is there at 3 s
		elapse(3 * time.Second)
		second := run(t.Context(), t, t.bus(t.db, command.Config{}))
		elapse(15 * time.Second)
		second.end()
		run(t.Context(), t, t.bus(t.db, command.Config{}))
		elapse(2 * time.Hour)
		require.Equal(t, []effect{
			{Name: "1s", At: time.Second}, {Name: "3s", At: 5 * time.Second},
			{Name: "10s", At: 10 * time.Second}, {Name: "1h", At: time.Hour},
		}, t.ledger.seen())
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		b := t.bus(t.db, command.Config{})
		run(ctx, t, b)
		begun := make(chan struct{})
		finish := make(chan struct{})
		t.handle = func(context.Context, put) error {
			close(begun)
			<-finish
			return nil
		}
		off, err := command.Schedule(ctx, b, t.began.Add(time.Minute), put{Name: "off"})
		require.NoError(t, err)
		on, err := command.Schedule(ctx, b, t.began.Add(time.Second), put{Name: "on"})
		require.NoError(t, err)
		require.NoError(t, b.Cancel(ctx, off.ID, "the customer has changed her mind"))
		require.NoError(t, b.Cancel(ctx, off.ID, "again"), "it is cancelled already")
		<-begun
		require.ErrorIs(t, b.Cancel(ctx, on.ID, "too late"), command.ErrStarted)
		close(finish)
		elapse(time.Hour)
		require.ErrorIs(t, b.Cancel(ctx, on.ID, "far too late"), command.ErrFinished)
		require.ErrorIs(t, b.Cancel(ctx, uuid.New(), "what"), command.ErrNotFound)
		require.Equal(t, []string{"on"}, t.ledger.names())
		record, err := b.Status(ctx, off.ID)
		require.NoError(t, err)
		require.Equal(t, command.Failed, record.Status)
		require.Equal(t, &command.Failure{Code: command.CodeCancelled, Reason: "the customer has changed her mind"}, record.Failure)
	})
}

// Whichever comes first, a cancellation and the beginning never both hold.
func TestCancelWhileItBegins(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	b := s.bus(s.db, command.Config{Concurrency: 4})
	run(t.Context(), t, b)
	cancelled := 0
	for range 300 {
		receipt, err := command.Enqueue(t.Context(), b, put{Name: "x"})
		require.NoError(t, err)
		cancelErr := b.Cancel(t.Context(), receipt.ID, "")
		record, err := b.Wait(t.Context(), receipt.ID)
		require.NoError(t, err)
		s.ledger.mu.Lock()
		_, done := s.ledger.done[receipt.ID]
		s.ledger.mu.Unlock()
		if cancelErr == nil {
			cancelled++
			require.False(t, done, "it was cancelled and carried out")
			require.Equal(t, command.Failed, record.Status)
		} else {
			require.True(t, done, "it was neither cancelled nor carried out: %v", cancelErr)
			require.Equal(t, command.Consumed, record.Status)
		}
	}
	t.Logf("%d of 300 were cancelled in time", cancelled)
}

func TestInOrder(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		b := t.bus(t.db, command.Config{RetryDelay: time.Second})
		failed := false
		t.handle = func(_ context.Context, c put) error {
			if c.Name == "a1" && !failed {
				failed = true
				return &passing{"not yet"}
			}
			return nil
		}
		for _, name := range []string{"a1", "a2", "b1", "a3", "b2"} {
			_, err := command.Enqueue(ctx, b, put{Name: name}, command.InOrder(name[:1]))
			require.NoError(t, err)
		}
		_, err := command.Schedule(ctx, b, t.began.Add(10*time.Millisecond), put{Name: "a4"}, command.InOrder("a"))
		require.NoError(t, err)
		_, err = command.Schedule(ctx, b, t.began.Add(-time.Second), put{Name: "b0"}, command.InOrder("b"))
		require.NoError(t, err)
		run(ctx, t, b)
		elapse(100 * time.Millisecond)
		require.Equal(t, []string{"b0", "b1", "b2"}, t.ledger.names(), "a1 holds up those behind it, and nobody else")
		elapse(time.Minute)
		require.Equal(t, []string{"b0", "b1", "b2", "a1", "a2", "a3", "a4"}, t.ledger.names())
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		b := t.bus(t.db, command.Config{Concurrency: 3})
		t.handle = func(ctx context.Context, _ put) error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for range 7 {
			_, err := command.Enqueue(t.Context(), b, put{Name: "x"})
			require.NoError(t, err)
		}
		run(t.Context(), t, b)
		elapse(time.Minute)
		var at []time.Duration
		for _, e := range t.ledger.seen() {
			at = append(at, e.At)
		}
		s := time.Second
		require.Equal(t, []time.Duration{s, s, s, 2 * s, 2 * s, 2 * s, 3 * s}, at)
	})
}

// A command far ahead does not hold the checkpoint back for ever, and what is
// recorded anew is in time all the same.
func TestCarried(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		b := t.bus(t.db, command.Config{CarryAfter: 20})
		first := run(ctx, t, b)
		far, err := command.Schedule(ctx, b, t.began.Add(2*time.Hour), put{Name: "far"})
		require.NoError(t, err)
		for range 100 {
			_, err := command.Enqueue(ctx, b, put{Name: "near"})
			require.NoError(t, err)
		}
		elapse(time.Minute)
		head, err := t.db.Head(ctx)
		require.NoError(t, err)
		l, found, err := t.db.LoadCheckpoint(ctx, "command-bus")
		require.NoError(t, err)
		require.True(t, found)
		require.Greater(t, l.Checkpoint, head-30)
		require.Contains(t, events(t, ctx, t.db, far.ID), "command.postponed")
		first.end()

		b = t.bus(t.db, command.Config{CarryAfter: 20})
		run(ctx, t, b)
		require.NoError(t, func() error { _, err := b.Wait(ctx, far.ID); return err }())
		seen := t.ledger.seen()
		require.Equal(t, effect{Name: "far", At: 2 * time.Hour}, seen[len(seen)-1])
		require.Len(t, seen, 101)
		record, err := b.Status(ctx, far.ID)
		require.NoError(t, err)
		require.Equal(t, 1, record.Attempts)
	})
}

// More are pending than are kept in memory: all are carried out, in time.
func TestMoreThanFitIntoMemory(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		b := t.bus(t.db, command.Config{MaxPending: 16, Concurrency: 4})
		want := map[string]time.Duration{}
		for i := range 200 {
			// Later ones come first, so that they have to make room.
			d := time.Duration(200-i) * time.Second
			name := d.String()
			want[name] = d
			_, err := command.Schedule(ctx, b, t.began.Add(d), put{Name: name}, command.InOrder("k"))
			require.NoError(t, err)
		}
		run(ctx, t, b)
		elapse(time.Hour)
		got := map[string]time.Duration{}
		for _, e := range t.ledger.seen() {
			require.NotContains(t, got, e.Name)
			got[e.Name] = e.At
		}
		require.Equal(t, want, got)
	})
}

// The checkpoint also moves over what is no command, so that a restart does not
// read all of that.
func TestCheckpointMovesOverOtherEvents(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		run(ctx, t, t.bus(t.db, command.Config{}))
		elapse(time.Second)
		for range 10 {
			_, err := t.db.Append(ctx, eventstore.Write{Stream: "other-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "x"}}})
			require.NoError(t, err)
		}
		elapse(10 * time.Second)
		l, _, err := t.db.LoadCheckpoint(ctx, "command-bus")
		require.NoError(t, err)
		require.EqualValues(t, 10, l.Checkpoint)
	})
}

// counting is a home that counts from where all is read.
type counting struct {
	home
	from chan eventstore.Position
}

func (c counting) ReadAll(ctx context.Context, after eventstore.Position, f eventstore.Filter) iter.Seq2[eventstore.Recorded, error] {
	c.from <- after
	return c.home.ReadAll(ctx, after, f)
}

// What has been read to begin with is not read again for the checkpoint: it may be a
// log of years, which takes longer than a lease.
func TestWhatWasReadIsNotReadAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		for range 10 {
			_, err := t.db.Append(ctx, eventstore.Write{Stream: "other-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "x"}}})
			require.NoError(t, err)
		}
		home := counting{t.db, make(chan eventstore.Position, 100)}
		run(ctx, t, t.bus(home, command.Config{}))
		elapse(10 * time.Second)
		require.Len(t, home.from, 1)
		l, _, err := t.db.LoadCheckpoint(ctx, "command-bus")
		require.NoError(t, err)
		require.EqualValues(t, 10, l.Checkpoint)
	})
}

// mute is a home that does not answer where its log ends when it is asked for the
// second time.
type mute struct {
	home
	asked *atomic.Int64
}

func (m mute) Head(ctx context.Context) (eventstore.Position, error) {
	if m.asked.Add(1) == 2 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return m.home.Head(ctx)
}

// A question that is never answered does not cost the lease, and what is at work its
// context: it is only asked so that less is read again.
func TestLeaseIsKeptWhileOneQuestionIsNotAnswered(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		var interrupted error
		t.handle = func(ctx context.Context, _ put) error {
			select {
			case <-time.After(25 * time.Second):
			case <-ctx.Done():
				interrupted = context.Cause(ctx)
			}
			return interrupted
		}
		var troubles []string
		b := t.bus(mute{t.db, new(atomic.Int64)}, command.Config{Hooks: command.Hooks{
			Lost:    func(_ eventstore.Lease, err error) { t.Errorf("lost: %v", err) },
			Trouble: func(doing string, err error) { troubles = append(troubles, doing+": "+err.Error()) },
		}})
		run(ctx, t, b)
		_, err := command.Enqueue(ctx, b, put{Name: "a"})
		require.NoError(t, err)
		elapse(time.Minute)
		require.NoError(t, interrupted)
		require.Equal(t, []string{"a"}, t.ledger.names())
		require.Equal(t, []string{"look for commands: context deadline exceeded"}, troubles)
	})
}
