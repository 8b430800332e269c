package command_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/command"
	rondo "github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

var memoryConfig = memory.Config{}

func TestDispatchAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	ctx, id := t.Context(), uuid.New()
	b := s.bus(s.db, command.Config{})
	for range 2 {
		got, err := command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
		require.NoError(t, err)
		require.Equal(t, "put a", got)
		b = s.bus(s.db, command.Config{}) // also after a restart
	}
	answer, err := b.Dispatch(ctx, command.Envelope{ID: id, Type: "put", Payload: []byte(` {"n":0, "name":"a"}`)})
	require.NoError(t, err, "the same, written otherwise")
	require.Equal(t, "put a", answer)
	receipt, err := command.Enqueue(ctx, b, put{Name: "a"}, command.WithID(id))
	require.NoError(t, err)
	require.Equal(t, command.Consumed, receipt.Status)
	require.Len(t, s.ledger.seen(), 1)

	var reused *aggregate.KeyReusedError
	_, err = command.Dispatch(ctx, b, put{Name: "b"}, command.WithID(id))
	require.ErrorAs(t, err, &reused)
	require.True(t, aggregate.IsConflict(err))
	_, err = command.Enqueue(ctx, b, put{Name: "b"}, command.WithID(id))
	require.ErrorAs(t, err, &reused)
	require.Len(t, s.ledger.seen(), 1)
}

func TestDispatchAtOnceWithOneID(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	buses := []*command.Bus{s.bus(s.db, command.Config{}), s.bus(s.db, command.Config{})}
	for range 20 {
		id := uuid.New()
		release := make(chan struct{})
		s.handle = func(context.Context, put) error {
			<-release
			return nil
		}
		var callers sync.WaitGroup
		var mu sync.Mutex
		same, other := 0, 0
		for i := range 8 {
			callers.Go(func() {
				name := "a"
				if i%4 == 3 {
					name = "b"
				}
				got, err := command.Dispatch(t.Context(), buses[i%2], put{Name: name}, command.WithID(id))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && got == "put "+name:
					same++
				case aggregate.IsConflict(err):
					other++
				default:
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		close(release)
		callers.Wait()
		require.True(t, same == 6 && other == 2 || same == 2 && other == 6, "%d and %d", same, other)
	}
	require.Len(t, s.ledger.seen(), 20)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	goexit, panics := errors.New("see below"), errors.New("see below, too")
	for name, test := range map[string]struct {
		err      error
		code     string
		attempts int // of Run
		check    func(error) bool
	}{
		"rejection": {aggregate.Reject("sold-out", "no seats"), "sold-out", 1, aggregate.IsRejection},
		"permanent": {errBroken, command.CodeError, 1, func(err error) bool { return errors.Is(err, errBroken) }},
		"conflict":  {&eventstore.ConflictError{Stream: "s", Expected: eventstore.None, Actual: 1}, command.CodeConflict, 1, aggregate.IsConflict},
		"passing":   {&passing{"gateway is away"}, command.CodePassing, 3, aggregate.Retryable},
		"panic":     {panics, command.CodePanic, 1, func(err error) bool { return errors.As(err, new(*rondo.PanicError)) }},
		"timeout":   {context.DeadlineExceeded, command.CodeTimeout, 3, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"goexit":    {goexit, command.CodeError, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *scene) {
				ctx := t.Context()
				b := t.bus(t.db, command.Config{Attempts: 3})
				t.handle = func(ctx context.Context, c put) error {
					switch {
					case c.Name != "bad":
					case errors.Is(test.err, panics):
						panic("index out of range")
					case errors.Is(test.err, goexit):
						runtime.Goexit()
					case errors.Is(test.err, context.DeadlineExceeded):
						<-ctx.Done()
						return ctx.Err()
					default:
						return test.err
					}
					return nil
				}
				if !errors.Is(test.err, goexit) {
					id := uuid.New()
					got, err := command.Dispatch(ctx, b, put{Name: "bad"}, command.WithID(id))
					require.Empty(t, got)
					require.True(t, test.check(err), "%v", err)
					var ofHandler *command.HandlerError
					require.ErrorAs(t, err, &ofHandler)
					record, statusErr := b.Status(ctx, id)
					require.NoError(t, statusErr)
					require.Equal(t, command.Failed, record.Status)
					require.Equal(t, test.code, record.Failure.Code)
					if name == "panic" {
						require.Contains(t, record.Failure.Stack, "dispatch_test.go")
					}
					if !record.Failure.Passing {
						_, err = command.Dispatch(ctx, b, put{Name: "bad"}, command.WithID(id))
						var before *command.FailedError
						require.ErrorAs(t, err, &before)
						require.Equal(t, test.code, before.Code)
						require.Equal(t, aggregate.IsRejection(test.err), aggregate.IsRejection(err))
						require.Len(t, events(t, ctx, t.db, id), 2)
					}
				}
				run(ctx, t, b)
				bad, err := command.Enqueue(ctx, b, put{Name: "bad"})
				require.NoError(t, err)
				record, err := b.Wait(ctx, bad.ID)
				require.NoError(t, err)
				require.Equal(t, command.Failed, record.Status)
				require.Equal(t, test.code, record.Failure.Code)
				require.Equal(t, test.attempts, record.Attempts)
				good, err := command.Enqueue(ctx, b, put{Name: "good"})
				require.NoError(t, err)
				record, err = b.Wait(ctx, good.ID)
				require.NoError(t, err, "the next one works")
				require.Equal(t, command.Consumed, record.Status)
			})
		})
	}
}

func TestPassingFailureMayBeGivenAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx, id := t.Context(), uuid.New()
		b := t.bus(t.db, command.Config{Attempts: 2})
		away := true
		t.handle = func(context.Context, put) error {
			if away {
				return &passing{"gateway is away"}
			}
			return nil
		}
		_, err := command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
		require.ErrorContains(t, err, "gateway is away")
		receipt, err := command.Enqueue(ctx, b, put{Name: "a"}, command.WithID(id))
		require.NoError(t, err)
		require.Equal(t, command.Pending, receipt.Status)
		run(ctx, t, b)
		record, err := b.Wait(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.Failed, record.Status)
		require.True(t, record.Failure.Passing)
		away = false
		got, err := command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
		require.NoError(t, err)
		require.Equal(t, "put a", got)
		record, err = b.Status(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		require.Nil(t, record.Failure)
	})
}

func TestRetriesWaitLonger(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		var delays []time.Duration
		var last time.Time
		b := t.bus(t.db, command.Config{
			Attempts: 26, RetryDelay: time.Second, MaxRetryDelay: 4 * time.Second,
			Hooks: command.Hooks{Retrying: func(r command.Record) {
				require.Equal(t, "away", r.Failure.Reason)
				delays = append(delays, time.Until(r.Next).Round(time.Millisecond))
			}},
		})
		t.handle = func(context.Context, put) error {
			last = time.Now()
			return &passing{"away"}
		}
		run(t.Context(), t, b)
		receipt, err := command.Enqueue(t.Context(), b, put{Name: "a"})
		require.NoError(t, err)
		_, err = b.Wait(t.Context(), receipt.ID)
		require.NoError(t, err)
		require.Len(t, delays, 25)
		sum := time.Duration(0)
		for i, delay := range delays {
			want := float64(min(1<<i, 4))
			require.InDelta(t, want, delay.Seconds(), want/4+0.01)
			require.LessOrEqual(t, delay, 4*time.Second, "the spread is within the bound")
			sum += delay
		}
		require.InDelta(t, sum.Seconds(), last.Sub(t.began).Seconds(), 0.01)
	})
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		b := t.bus(t.db, command.Config{})
		over, cancel := context.WithCancel(t.Context())
		cancel()
		var cut *command.InterruptedError
		_, err := command.Dispatch(over, b, put{Name: "never"})
		require.ErrorAs(t, err, &cut)
		require.False(t, cut.Recorded || cut.Unknown)
		_, err = command.Enqueue(over, b, put{Name: "never"})
		require.ErrorAs(t, err, &cut)
		head, err := t.db.Head(t.Context())
		require.NoError(t, err)
		require.Zero(t, head)

		ctx, cancel := context.WithCancel(t.Context())
		first := true
		t.handle = func(ctx context.Context, _ put) error {
			if first {
				first = false
				cancel()
				return ctx.Err()
			}
			return nil
		}
		_, err = command.Dispatch(ctx, b, put{Name: "later"})
		require.ErrorAs(t, err, &cut)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, cut.Recorded)
		record, err := b.Status(t.Context(), cut.ID)
		require.NoError(t, err)
		require.Equal(t, command.Pending, record.Status)
		require.ErrorIs(t, b.Cancel(t.Context(), cut.ID, ""), command.ErrStarted, "nobody knows what it has done")
		run(t.Context(), t, b)
		elapse(59 * time.Second)
		require.Empty(t, t.ledger.seen(), "whoever has dispatched it may be at it")
		elapse(time.Second)
		require.Equal(t, []effect{{Name: "later", At: time.Minute}}, t.ledger.seen())
		record, err = b.Status(t.Context(), cut.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
	})
}

// Who is interrupted and has succeeded nevertheless has succeeded.
func TestInterruptedTooLate(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	ctx, cancel := context.WithCancel(t.Context())
	s.handle = func(context.Context, put) error {
		cancel()
		return nil
	}
	b := s.bus(s.db, command.Config{})
	id := uuid.New()
	got, err := command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
	require.NoError(t, err)
	require.Equal(t, "put a", got)
	record, err := b.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, command.Consumed, record.Status)
}

func TestDispatchWaitsForWhatIsQueued(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx, id := t.Context(), uuid.New()
		b := t.bus(t.db, command.Config{})
		_, err := command.Schedule(ctx, b, t.began.Add(time.Minute), put{Name: "a"}, command.WithID(id))
		require.NoError(t, err)
		var scheduled *command.ScheduledError
		_, err = command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
		require.ErrorAs(t, err, &scheduled)
		require.True(t, scheduled.Receipt.Due.Equal(t.began.Add(time.Minute)))

		id = uuid.New()
		_, err = command.Enqueue(ctx, b, put{Name: "b"}, command.WithID(id))
		require.NoError(t, err)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		var cut *command.InterruptedError
		_, err = command.Dispatch(short, b, put{Name: "b"}, command.WithID(id))
		require.ErrorAs(t, err, &cut)
		require.True(t, cut.Recorded)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		run(ctx, t, b)
		got, err := command.Dispatch(ctx, b, put{Name: "b"}, command.WithID(id))
		require.NoError(t, err)
		require.Equal(t, "put b", got)
		require.Len(t, t.ledger.seen(), 1)
	})
}

type result struct{ F func() }

type odd struct{ Name string }

func (odd) Returns(result) {}

func TestResultsThatAreNotKept(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	var trouble []string
	cfg := command.Config{Hooks: command.Hooks{Trouble: func(doing string, _ error) { trouble = append(trouble, doing) }}}
	b, err := command.New(s.db, s.db, append(s.routes(command.DropResult()),
		command.Handle("odd", func(context.Context, odd) (result, error) { return result{func() {}}, nil })), cfg)
	require.NoError(t, err)
	one, two := command.WithID(uuid.New()), command.WithID(uuid.New())
	got, err := command.Dispatch(t.Context(), b, put{Name: "a"}, one)
	require.NoError(t, err)
	require.Equal(t, "put a", got)
	_, err = command.Dispatch(t.Context(), b, put{Name: "a"}, one)
	require.ErrorIs(t, err, command.ErrNoResult)
	require.Empty(t, trouble)

	r, err := command.Dispatch(t.Context(), b, odd{"a"}, two)
	require.NoError(t, err)
	require.NotNil(t, r.F)
	require.Equal(t, []string{"encode the answer of command odd"}, trouble)
	_, err = command.Dispatch(t.Context(), b, odd{"a"}, two)
	require.ErrorIs(t, err, command.ErrNoResult)
}

// A store that is away for a moment costs no answer, and one that is away for
// longer does not make a success an error.
func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]int{"for a moment": 2, "for long": 1000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *scene) {
				ctx, id := t.Context(), uuid.New()
				failures := away
				cut := &faulty{home: t.db, after: func(call string) error {
					if call == "command.consumed" && failures > 0 {
						failures--
						return &eventstore.UnknownOutcomeError{Err: errors.New("connection lost")}
					}
					return nil
				}}
				if away == 1000 {
					cut.before, cut.after = func(call string) error { return cut.after(call) }, func(call string) error {
						if call == "command.consumed" && failures > 0 {
							return &passing{"no connection"}
						}
						return nil
					}
				}
				var trouble []string
				b := t.bus(cut, command.Config{Hooks: command.Hooks{Trouble: func(doing string, err error) {
					trouble = append(trouble, fmt.Sprint(doing, ": ", err))
				}}})
				got, err := command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
				require.NoError(t, err)
				require.Equal(t, "put a", got)
				record, err := b.Status(ctx, id)
				require.NoError(t, err)
				if away == 2 {
					require.Equal(t, command.Consumed, record.Status)
					require.Empty(t, trouble)
					return
				}
				require.Equal(t, command.Pending, record.Status)
				require.Len(t, trouble, 1)
				require.Contains(t, trouble[0], "record what came of command "+id.String()+": no connection")
				failures = 0
				run(ctx, t, b)
				record, err = b.Wait(ctx, id)
				require.NoError(t, err)
				require.Equal(t, command.Consumed, record.Status)
				require.JSONEq(t, `"put a"`, string(record.Result))
				require.Len(t, t.ledger.seen(), 2)
				require.Len(t, t.ledger.done, 1, "its effect has happened once")
			})
		})
	}
}

func TestHugeErrorsAreShortened(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	huge := errors.New(strings.Repeat("x", 1<<20) + "\xff\x00")
	s.handle = func(context.Context, put) error { return huge }
	b := s.bus(s.db, command.Config{})
	id := uuid.New()
	_, err := command.Dispatch(t.Context(), b, put{Name: "a"}, command.WithID(id))
	require.ErrorIs(t, err, huge)
	record, err := b.Status(t.Context(), id)
	require.NoError(t, err)
	require.Less(t, len(record.Failure.Reason), 5000)
}

// Without Run, whoever gives a command again whose process has died carries it out
// when nobody can be at it any more.
func TestDispatchTakesOver(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx, id := t.Context(), uuid.New()
		db := dies(t.db, false, "command.accepted")
		_, err := command.Dispatch(ctx, t.bus(db, command.Config{}), put{Name: "a"}, command.WithID(id))
		require.ErrorIs(t, err, eventstore.ErrClosed)
		got, err := command.Dispatch(ctx, t.bus(t.db, command.Config{}), put{Name: "a"}, command.WithID(id))
		require.NoError(t, err)
		require.Equal(t, "put a", got)
		require.Equal(t, []effect{{Name: "a", At: time.Minute}}, t.ledger.seen())
	})
}

// A handler that does not listen is still at work when Run begins the command
// again. That it succeeds holds, whatever the other attempt comes to.
func TestTwoAreAtIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx, id := t.Context(), uuid.New()
		b := t.bus(t.db, command.Config{Timeout: time.Second, Grace: 2 * time.Second})
		run(ctx, t, b)
		var calls atomic.Int32
		t.handle = func(context.Context, put) error {
			if calls.Add(1) == 1 {
				time.Sleep(3 * time.Second) //nolint:forbidigo // virtual time, and deaf on purpose
				return nil
			}
			time.Sleep(5 * time.Second) //nolint:forbidigo // as above
			return errBroken
		}
		got, err := command.Dispatch(ctx, b, put{Name: "a"}, command.WithID(id))
		require.NoError(t, err)
		require.Equal(t, "put a", got)
		record, err := b.Status(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		elapse(time.Minute)
		require.EqualValues(t, 2, calls.Load())
		record, err = b.Status(ctx, id)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
	})
}
