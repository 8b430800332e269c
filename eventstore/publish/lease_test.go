package publish_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/publish"
)

// cut makes a home that a process loses its connection to: from then on no call
// of the checkpoints comes back before its context ends.
func cut(db home) (f *faulty, lose func()) {
	var lost atomic.Bool
	return &faulty{home: db, before: func(ctx context.Context, call string) error {
		if !lost.Load() || call == head || call == readAll || call == follow {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}, func() { lost.Store(true) }
}

// A holder that was cut off is told when its time has run out, not later, and
// what it does afterwards is refused. Another takes over, with what was not
// saved.
func TestTakeoverFromOneThatWasCutOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 3)
		began := time.Now()
		stale, lose := cut(db)
		var told kept[error]
		var ended kept[time.Duration]
		finish := make(chan struct{})
		var lost kept[error]
		first := start(t, ctx, stale, func(ctx context.Context, b publish.Batch) error {
			require.EqualValues(t, 1, b.Lease.Token)
			lose()
			<-ctx.Done()
			told.keep(context.Cause(ctx))
			ended.keep(time.Since(began))
			<-finish // it does not listen
			return nil
		}, publish.Config{BatchSize: 3, Hooks: publish.Hooks{
			LeaseLost: func(_ eventstore.Lease, err error) { lost.keep(err) },
			Retrying:  func(publish.RetryInfo) {},
		}})
		synctest.Wait()
		var got sink
		start(t, ctx, db, got.handle, publish.Config{})
		elapse(11 * time.Second) // less than the ttl
		require.Empty(t, got.all())
		require.Empty(t, told.all())
		elapse(6 * time.Second) // the ttl and one and a half heartbeats are over
		require.Len(t, told.all(), 1)
		require.ErrorIs(t, told.all()[0], eventstore.ErrFenced)
		require.Equal(t, []time.Duration{12 * time.Second}, ended.all())
		require.Equal(t, upTo(3), got.positions(), "the same events again")
		require.EqualValues(t, 2, got.all()[0].Lease.Token)

		require.Empty(t, lost.all(), "before the handler has returned")
		close(finish)
		elapse(time.Minute)
		require.Len(t, lost.all(), 1)
		require.ErrorIs(t, lost.all()[0], eventstore.ErrFenced)
		require.EqualValues(t, 3, checkpoint(ctx, t, db))
		first.shutdown()
	})
}

// A holder that stood still, and does not know it, comes back with its call after
// another has taken over: nothing of it is kept.
func TestStaleHolderIsFenced(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 5)
		resume := make(chan struct{})
		var calls atomic.Int32
		stale := &faulty{home: db, before: func(_ context.Context, call string) error {
			if call == save && calls.Add(1) == 1 {
				<-resume // the machine stands still
			}
			return nil
		}}
		var first sink
		var lost kept[error]
		r := start(t, ctx, stale, first.handle, publish.Config{BatchSize: 5, Hooks: publish.Hooks{
			LeaseLost: func(_ eventstore.Lease, err error) { lost.keep(err) },
		}})
		synctest.Wait()
		var second sink
		slow := make(chan struct{})
		s := start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
			<-slow
			return second.handle(ctx, b)
		}, publish.Config{BatchSize: 5})
		elapse(time.Minute)
		require.Equal(t, upTo(5), first.positions())
		close(resume)
		elapse(time.Minute)
		require.Zero(t, checkpoint(ctx, t, db), "what the stale holder saved was refused")
		require.Len(t, lost.all(), 1)
		require.ErrorIs(t, lost.all()[0], eventstore.ErrFenced)
		close(slow)
		synctest.Wait()
		require.Equal(t, upTo(5), second.positions(), "the same events again")
		require.Greater(t, second.all()[0].Lease.Token, first.all()[0].Lease.Token)
		require.EqualValues(t, 5, checkpoint(ctx, t, db))

		// And back again.
		s.shutdown()
		add(ctx, t, db, "a-1", 1)
		elapse(time.Minute)
		require.Equal(t, append(upTo(5), 6), first.positions())
		r.shutdown()
	})
}

// The handler's context ends with the renewal that was refused, not with the ttl.
func TestFencedHandlerIsCancelledAtOnce(t *testing.T) {
	t.Parallel()
	for name, byAnother := range map[string]bool{"reset": false, "taken by another": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t scene) {
				ctx, db := t.Context(), t.db
				add(ctx, t, db, "a-1", 1)
				began := time.Now()
				var ended kept[time.Duration]
				var causes kept[error]
				start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
					if b.Lease.Token == 1 {
						<-ctx.Done()
						ended.keep(time.Since(began))
						causes.keep(context.Cause(ctx))
						return context.Cause(ctx)
					}
					return nil
				}, publish.Config{})
				elapse(time.Second)
				require.NoError(t, db.ResetCheckpoint(ctx, "sub", 0))
				if byAnother {
					_, err := db.AcquireLease(ctx, "sub", "another", 30*time.Second)
					require.NoError(t, err)
				}
				elapse(4 * time.Second)
				require.Equal(t, []time.Duration{3 * time.Second}, ended.all(), "the first heartbeat")
				require.ErrorIs(t, causes.all()[0], eventstore.ErrFenced)
				elapse(time.Minute)
				require.EqualValues(t, 1, checkpoint(ctx, t, db), "it goes on by itself")
			})
		})
	}
}

func TestResetPublishesAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 4)
		var got sink
		start(t, ctx, db, got.handle, publish.Config{BatchSize: 4})
		synctest.Wait()
		require.NoError(t, db.ResetCheckpoint(ctx, "sub", 2))
		elapse(time.Minute)
		require.Equal(t, append(upTo(4), 3, 4), got.positions())
		require.EqualValues(t, 4, checkpoint(ctx, t, db))
	})
}

func TestHandlerLongerThanTheLease(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 1)
		calls := 0
		start(t, ctx, db, func(ctx context.Context, b publish.Batch) error {
			calls++
			<-time.After(10 * time.Minute)
			return ctx.Err()
		}, publish.Config{})
		synctest.Wait()
		var other sink
		start(t, ctx, db, other.handle, publish.Config{})
		elapse(9 * time.Minute)
		require.Zero(t, checkpoint(ctx, t, db))
		elapse(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, checkpoint(ctx, t, db))
		require.Equal(t, 1, calls)
		require.Empty(t, other.all())
	})
}

// A renewal that fails for a while costs nothing, one that fails for long the
// lease.
func TestRenewalsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outage time.Duration
		lost   bool
	}{
		"short outage": {5 * time.Second, false},
		"long outage":  {20 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t scene) {
				ctx, db := t.Context(), t.db
				add(ctx, t, db, "a-1", 1)
				began := time.Now()
				f := &faulty{home: db, before: func(_ context.Context, call string) error {
					if (call == save || call == acquire) && time.Since(began) > time.Second && time.Since(began) < time.Second+c.outage {
						return errGone
					}
					return nil
				}}
				lost := false
				told := map[publish.Doing]int{}
				tokens := map[int64]int{}
				start(t, ctx, f, func(ctx context.Context, b publish.Batch) error {
					tokens[b.Lease.Token]++
					select {
					case <-time.After(40 * time.Second):
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}, publish.Config{Hooks: publish.Hooks{
					LeaseLost: func(_ eventstore.Lease, err error) {
						lost = true
						require.ErrorContains(t, err, "ran out before it could be renewed")
					},
					Retrying: func(r publish.RetryInfo) {
						told[r.Doing]++
						require.ErrorIs(t, r.Err, errGone)
					},
				}})
				elapse(2 * time.Minute)
				require.Equal(t, c.lost, lost)
				require.NotZero(t, told[publish.Renewing])
				require.Equal(t, c.lost, told[publish.Acquiring] > 0)
				require.Zero(t, told[publish.Handling], "a handler that was cancelled has not failed")
				require.EqualValues(t, 1, checkpoint(ctx, t, db))
				want := map[int64]int{1: 1}
				if c.lost {
					want[2] = 1
				}
				require.Equal(t, want, tokens)
			})
		})
	}
}

// A crash between handling and saving: the next one is given the same events.
func TestCrashBeforeTheCheckpoint(t *testing.T) {
	t.Parallel()
	for name, saved := range map[string]bool{"before it was saved": false, "before it is known": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t scene) {
				ctx, db := t.Context(), t.db
				add(ctx, t, db, "a-1", 6)
				alive, kill := context.WithCancel(ctx)
				var dead atomic.Bool
				die := func(_ context.Context, call string) error {
					if call == save {
						dead.Store(true)
						kill()
					}
					if dead.Load() {
						return errGone
					}
					return nil
				}
				f := &faulty{home: db, before: die}
				if saved {
					f.before, f.after = func(context.Context, string) error {
						if dead.Load() {
							return errGone
						}
						return nil
					}, die
				}
				var first, second sink
				r := start(t, alive, f, first.handle, publish.Config{BatchSize: 3, Hooks: publish.Hooks{Retrying: func(publish.RetryInfo) {}}})
				require.ErrorIs(t, r.wait(), context.Canceled)
				n := len(first.positions())
				require.NotZero(t, n)

				begun := time.Now()
				start(t, ctx, db, second.handle, publish.Config{})
				second.waitFor(t, 1)
				require.Greater(t, time.Since(begun), 11*time.Second, "the lease has to run out")
				synctest.Wait()
				want := upTo(6)
				if saved {
					want = want[n:]
				}
				require.Equal(t, want, second.positions())
			})
		})
	}
}

// What the store or the checkpoints say once and for all ends Run; anything else
// is tried again.
func TestErrorsOfTheStore(t *testing.T) {
	t.Parallel()
	data := &eventstore.DataError{Type: "even", Stream: "a-1", Version: 3, Err: errBroken}
	for name, c := range map[string]struct {
		call  string
		err   error
		final bool
	}{
		"closed while reading":     {follow, eventstore.ErrClosed, true},
		"closed while saving":      {save, eventstore.ErrClosed, true},
		"input while saving":       {save, &eventstore.InputError{Field: "checkpoint"}, true},
		"closed while acquiring":   {acquire, eventstore.ErrClosed, true},
		"an unreadable event":      {readAll, data, true},
		"gone while asking":        {head, errGone, false},
		"gone while catching up":   {readAll, errGone, false},
		"gone while it is live":    {follow, errGone, false},
		"gone while saving":        {save, errGone, false},
		"gone while acquiring":     {acquire, errGone, false},
		"a deadline of the home's": {save, context.DeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t scene) {
				ctx, db := t.Context(), t.db
				add(ctx, t, db, "a-1", 5)
				calls := 0
				var told []publish.RetryInfo
				f := &faulty{home: db, before: func(_ context.Context, call string) error {
					if call != c.call {
						return nil
					}
					if calls++; (calls == 3 || call == acquire) && (c.final || calls < 6) {
						return c.err
					}
					return nil
				}}
				var got sink
				r := start(t, ctx, f, got.handle, publish.Config{
					BatchSize: 1, LeaseTTL: time.Second, // so that the head is asked often
					Hooks: publish.Hooks{Retrying: func(r publish.RetryInfo) { told = append(told, r) }},
				})
				elapse(time.Minute)
				add(ctx, t, db, "a-1", 5)
				if c.final {
					err := r.wait()
					require.ErrorIs(t, err, c.err)
					require.ErrorContains(t, err, `subscription "sub": `)
					require.Empty(t, told)
					if errors.Is(c.err, errBroken) {
						require.Equal(t, upTo(2), got.positions(), "what could be read was handled")
						require.EqualValues(t, 2, checkpoint(ctx, t, db))
					}
					return
				}
				elapse(time.Minute)
				require.Equal(t, upTo(10), got.positions(), "each once")
				require.NotEmpty(t, told)
				require.ErrorIs(t, told[0].Err, c.err)
				r.shutdown()
			})
		})
	}
}

func TestSecondRunOfOnePublisher(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		var waiting []*eventstore.LeaseHeldError
		var started []eventstore.Lease
		var got sink
		p, err := publish.New(db, db, "sub", got.handle, publish.Config{Owner: "us", Hooks: publish.Hooks{
			Waiting: func(held *eventstore.LeaseHeldError) { waiting = append(waiting, held) },
			Started: func(l eventstore.Lease) { started = append(started, l) },
		}})
		require.NoError(t, err)
		run(t, ctx, p)
		synctest.Wait()
		run(t, ctx, p)
		synctest.Wait()
		add(ctx, t, db, "a-1", 3)
		synctest.Wait()
		require.Equal(t, upTo(3), got.positions())
		require.Len(t, started, 1)
		require.Regexp(t, `^us/[0-9a-f-]{36}$`, started[0].Owner)
		require.Len(t, waiting, 1)
		require.Equal(t, started[0].Owner, waiting[0].Owner)
	})
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx := t.Context()
		db := newMemory(t)
		r := start(t, ctx, db, (&sink{}).handle, publish.Config{})
		synctest.Wait()
		require.NoError(t, db.Close())
		err := r.wait()
		require.EqualError(t, err, `subscription "sub": read events: event store is closed`, "not that a lease of it was not released")
	})
}

// The waits between failed reads grow, and are short again after one that has
// read something.
func TestReadingBacksOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 3)
		calls := 0
		f := &faulty{home: db, before: func(_ context.Context, call string) error {
			if call == readAll {
				// Reads 2 to 5 fail, 6 brings an event and fails at the next.
				if calls++; calls >= 2 && calls <= 5 || calls == 7 {
					return errGone
				}
			}
			return nil
		}}
		var got sink
		var delays []time.Duration
		start(t, ctx, f, got.handle, publish.Config{Hooks: publish.Hooks{Retrying: func(r publish.RetryInfo) {
			require.Equal(t, publish.Reading, r.Doing)
			delays = append(delays, r.Delay.Round(100*time.Millisecond))
		}}})
		elapse(time.Minute)
		require.Equal(t, upTo(3), got.positions())
		require.Len(t, delays, 5)
		require.Greater(t, delays[3], 4*delays[0])
		require.Less(t, delays[4], 200*time.Millisecond)
	})
}

// A home that hands out leases and refuses what is saved with them is not asked
// without a rest.
func TestNoStormWhenFenced(t *testing.T) {
	t.Parallel()
	bubble(t, func(t scene) {
		ctx, db := t.Context(), t.db
		add(ctx, t, db, "a-1", 1)
		calls := 0
		start(t, ctx, &faulty{home: db, before: func(_ context.Context, call string) error {
			switch call {
			case acquire:
				calls++
			case save:
				return eventstore.ErrFenced
			}
			return nil
		}}, (&sink{}).handle, publish.Config{})
		elapse(10 * time.Second)
		require.InDelta(t, 100, calls, 40)
	})
}
