package command_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
)

// mortal is a home as a process sees it that may die. After that nothing it does
// reaches the store.
type mortal struct {
	faulty
	dead atomic.Bool
}

// dies makes the home of a process that dies before, or after, the first event of
// that type is appended.
func dies(db home, before bool, eventType string) *mortal {
	m := &mortal{faulty: faulty{home: db}}
	m.before = func(call string) error {
		if before && call == eventType {
			m.dead.Store(true)
		}
		return m.alive()
	}
	m.after = func(call string) error {
		if !before && call == eventType {
			m.dead.Store(true)
		}
		return m.alive()
	}
	return m
}

func (m *mortal) alive() error {
	if m.dead.Load() {
		return eventstore.ErrClosed
	}
	return nil
}

// A process dies in each of the windows that there are between recording a
// command, beginning it, its effect, and marking it. Another one goes on: what was
// recorded is carried out, once in effect, and what was not is not.
func TestCrashes(t *testing.T) {
	t.Parallel()
	const (
		accepted  = "command.accepted"
		started   = "command.started"
		postponed = "command.postponed"
		consumed  = "command.consumed"
	)
	const grace, lease = time.Minute, 12 * time.Second // the defaults
	type window struct {
		before    bool
		event     string
		inHandler string // "before" or "after" the effect, instead of an event
		direct    bool
		passing   bool // the first attempt fails, and it may pass
		recorded  bool // so it has to be carried out
		calls     int  // of the handler that reach the effect
		// within is when it is done by, when the other process has started.
		within time.Duration
	}
	for name, w := range map[string]window{
		"dispatch: before it is recorded":           {before: true, event: accepted, direct: true},
		"dispatch: between recording and routing":   {event: accepted, direct: true, recorded: true, calls: 1, within: grace},
		"dispatch: routed, before the effect":       {inHandler: "before", direct: true, recorded: true, calls: 1, within: grace},
		"dispatch: between effect and mark":         {before: true, event: consumed, direct: true, recorded: true, calls: 2, within: grace},
		"dispatch: between mark and answer":         {event: consumed, direct: true, recorded: true, calls: 1},
		"enqueue: before it is recorded":            {before: true, event: accepted},
		"enqueue: between recording and receipt":    {event: accepted, recorded: true, calls: 1, within: lease + 6*time.Second},
		"run: before it is begun":                   {before: true, event: started, recorded: true, calls: 1, within: lease + 6*time.Second},
		"run: between beginning and routing":        {event: started, recorded: true, calls: 1, within: lease + 6*time.Second},
		"run: routed, before the effect":            {inHandler: "before", recorded: true, calls: 1, within: lease + 6*time.Second},
		"run: between effect and mark":              {before: true, event: consumed, recorded: true, calls: 2, within: lease + 6*time.Second},
		"run: after the mark":                       {event: consumed, recorded: true, calls: 1},
		"run: failed, before that is recorded":      {before: true, event: postponed, passing: true, recorded: true, calls: 1, within: lease + 6*time.Second},
		"run: failed, between that and trying anew": {event: postponed, passing: true, recorded: true, calls: 1, within: lease + 6*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *scene) {
				ctx, id := t.Context(), uuid.New()
				db := dies(t.db, w.before, w.event)
				calm := command.Config{Hooks: command.Hooks{Trouble: func(string, error) {}}}
				one := t.bus(db, calm)
				failed := false
				t.handle = func(ctx context.Context, _ put) error {
					switch {
					case db.dead.Load():
						return nil // that of the other process
					case w.inHandler == "before":
						db.dead.Store(true)
						return errBroken
					case w.passing && !failed:
						failed = true
						return &passing{"away"}
					}
					return nil
				}
				first := run(ctx, t, one)
				elapse(0)
				if w.direct {
					_, _ = command.Dispatch(ctx, one, put{Name: "a"}, command.WithID(id)) // nobody is there to hear of it
				} else {
					_, _ = command.Enqueue(ctx, one, put{Name: "a"}, command.WithID(id))
				}
				elapse(time.Second)
				require.True(t, db.dead.Load())
				first.stop()
				<-first.done

				two := t.bus(t.db, command.Config{})
				run(ctx, t, two)
				elapse(w.within)
				if !w.recorded {
					_, err := two.Status(ctx, id)
					require.ErrorIs(t, err, command.ErrNotFound)
					elapse(time.Hour)
					require.Empty(t, t.ledger.seen())
					return
				}
				record, err := two.Status(ctx, id)
				require.NoError(t, err)
				require.Equal(t, command.Consumed, record.Status)
				require.JSONEq(t, `"put a"`, string(record.Result))
				elapse(time.Hour)
				require.Len(t, t.ledger.seen(), w.calls)
				require.Len(t, t.ledger.done, 1, "once in effect")
				got, err := command.Dispatch(ctx, two, put{Name: "a"}, command.WithID(id))
				require.NoError(t, err)
				require.Equal(t, "put a", got, "whoever gives it again is told what became of it")
				require.Len(t, t.ledger.seen(), w.calls)
			})
		})
	}
}

// A command at which the process dies each time is given up.
func TestCrashesEachTime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx, id := t.Context(), uuid.New()
		var db *mortal
		t.handle = func(_ context.Context, c put) error {
			if c.Name == "deadly" {
				db.dead.Store(true)
				return errBroken
			}
			return nil
		}
		cfg := command.Config{Attempts: 3, Hooks: command.Hooks{Trouble: func(string, error) {}}}
		_, err := command.Enqueue(ctx, t.bus(t.db, cfg), put{Name: "deadly"}, command.WithID(id))
		require.NoError(t, err)
		_, err = command.Enqueue(ctx, t.bus(t.db, cfg), put{Name: "b"})
		require.NoError(t, err)
		for range 4 {
			db = dies(t.db, false, "")
			r := run(ctx, t, t.bus(db, cfg))
			elapse(30 * time.Second)
			r.stop()
			<-r.done
		}
		record, err := t.bus(t.db, cfg).Status(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.Failed, record.Status)
		require.Equal(t, command.CodeCrashed, record.Failure.Code)
		require.Equal(t, 3, record.Attempts)
		require.Contains(t, t.ledger.names(), "b")
	})
}

// Nobody is interrupted but by the end of the process, and that is no attempt.
func TestShutdownIsNoFailure(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		t.handle = func(ctx context.Context, _ put) error {
			select {
			case <-time.After(10 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		receipt, err := command.Enqueue(ctx, t.bus(t.db, command.Config{}), put{Name: "a"})
		require.NoError(t, err)
		for range 20 { // more often than Attempts
			r := run(ctx, t, t.bus(t.db, command.Config{}))
			elapse(time.Second)
			r.end()
		}
		b := t.bus(t.db, command.Config{})
		run(ctx, t, b)
		record, err := b.Wait(ctx, receipt.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		require.Equal(t, 1, record.Attempts)
	})
}

// One of several is at work. When it ends another goes on at once, and when it is
// cut off after its lease has run out; it stops by itself then.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		var taken []string
		var lost atomic.Int32
		cut := &mortal{faulty: faulty{home: t.db}}
		cut.before = func(string) error {
			if cut.dead.Load() {
				return &passing{"no network"}
			}
			return nil
		}
		cfg := func(name string) command.Config {
			return command.Config{Hooks: command.Hooks{
				Taken:   func(eventstore.Lease) { taken = append(taken, name) },
				Lost:    func(_ eventstore.Lease, err error) { lost.Add(1) },
				Trouble: func(string, error) {},
			}}
		}
		one := run(ctx, t, t.bus(t.db, cfg("one")))
		elapse(time.Second)
		b := t.bus(cut, cfg("two"))
		run(ctx, t, b)
		elapse(time.Minute)
		require.Equal(t, []string{"one"}, taken)
		one.end()
		elapse(4 * time.Second)
		require.Equal(t, []string{"one", "two"}, taken)

		ended := make(chan time.Duration, 1)
		first := true
		t.handle = func(ctx context.Context, _ put) error {
			if !first {
				return nil
			}
			first = false
			cut.dead.Store(true)
			began := time.Now()
			<-ctx.Done()
			ended <- time.Since(began)
			return ctx.Err()
		}
		receipt, err := command.Enqueue(ctx, b, put{Name: "a"})
		require.NoError(t, err)
		three := t.bus(t.db, cfg("three"))
		run(ctx, t, three)
		require.LessOrEqual(t, <-ended, 12*time.Second)
		record, err := three.Wait(ctx, receipt.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		require.Equal(t, []string{"one", "two", "three"}, taken)
		cut.dead.Store(false)
		elapse(time.Minute)
		require.EqualValues(t, 1, lost.Load())
		require.Len(t, t.ledger.seen(), 1)
	})
}
