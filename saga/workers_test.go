package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// owned are the shards of each worker, as a home has them.
func owned(t *testing.T, home saga.Store) map[string]int {
	t.Helper()
	spy, err := home.Join(t.Context(), saga.Worker{ID: "spy", Types: []string{"reservation"}}, time.Nanosecond)
	require.NoError(t, err)
	fleet, err := home.Beat(t.Context(), spy, time.Nanosecond)
	require.NoError(t, err)
	require.NoError(t, home.Leave(t.Context(), spy))
	shards := map[string]int{}
	for _, l := range fleet.Leases {
		shards[l.Owner]++
	}
	delete(shards, "")
	return shards
}

func TestWorkersShareShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		a := open(t, home, h, saga.Config{Worker: "a"})
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Equal(t, map[string]int{"a": 64}, owned(t, home))
		b := open(t, home, h, saga.Config{Worker: "b"})
		c := open(t, home, h, saga.Config{Worker: "c"})
		require.NoError(t, store.Sleep(t.Context(), 20*time.Second))
		shares := owned(t, home)
		require.Len(t, shares, 3)
		for worker, n := range shares {
			require.InDelta(t, 21, n, 2, worker)
		}
		require.Equal(t, 64, shares["a"]+shares["b"]+shares["c"])
		for i := range 30 { // started in one process, run in any
			b.start(fmt.Sprint(i))
		}
		for i := range 30 {
			require.Equal(t, saga.Completed, c.wait(fmt.Sprint(i)).Status)
		}
		require.Len(t, h.made(), 90, "nothing was done twice")
		b.close()
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		shares = owned(t, home)
		require.Equal(t, map[string]int{"a": 32, "c": 32}, shares)
		a.close()
		c.close()
		require.Empty(t, owned(t, home))
	})
}

// A worker that has gone is replaced within the lease, and what it was at is done
// again, under the same key.
func TestTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		h.before = func(ctx context.Context, request, _ string, attempt int) error {
			if request == "charge" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		connection := &cable{Store: home}
		a := open(t, connection, h, saga.Config{Worker: "a"})
		a.start("ann")
		a.until("ann", func(s saga.Snapshot) bool { return s.Sequence == 2 })
		h.set(nil, nil)
		began := time.Now()
		connection.cut.Store(true)
		a.crash()
		b := open(t, home, h, saga.Config{Worker: "b"})
		require.Equal(t, saga.Completed, b.wait("ann").Status)
		require.LessOrEqual(t, time.Since(began), 12*time.Second+3*time.Second+time.Second)
		require.Equal(t, []string{
			"hold reservation/ann/1/0", "charge reservation/ann/2/0", "charge reservation/ann/2/0", "confirm reservation/ann/3/0",
		}, h.made())
		require.Equal(t, []string{"start", "reply", "reply", "reply"}, b.kinds("ann"))
	})
}

// cable is the connection of one process with a home: it can be cut.
type cable struct {
	saga.Store
	cut atomic.Bool
}

var errCut = errors.New("connection refused")

func (c *cable) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	if c.cut.Load() {
		return saga.Record{}, false, errCut
	}
	return c.Store.Load(ctx, id)
}

func (c *cable) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	if c.cut.Load() {
		return nil, errCut
	}
	return c.Store.Commit(ctx, changes)
}

func (c *cable) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if c.cut.Load() {
		return saga.Fleet{}, errCut
	}
	return c.Store.Beat(ctx, w, ttl)
}

func (c *cable) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	if c.cut.Load() {
		return saga.Worker{}, errCut
	}
	return c.Store.Join(ctx, w, ttl)
}

func (c *cable) Leave(ctx context.Context, w saga.Worker) error {
	if c.cut.Load() {
		return errCut
	}
	return c.Store.Leave(ctx, w)
}

// silent is a home that does not answer who joins while it is cut off.
type silent struct{ *cable }

func (s silent) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	for s.cut.Load() {
		if err := store.Sleep(ctx, time.Second); err != nil {
			return saga.Worker{}, err
		}
	}
	return s.Store.Join(ctx, w, ttl)
}

// A worker that the store has not let join yet is shut down all the same.
func TestShutdownDoesNotWaitForTheStore(t *testing.T) {
	t.Parallel()
	for name, home := range map[string]func(*cable) saga.Store{
		"that refuses":         func(c *cable) saga.Store { return c },
		"that does not answer": func(c *cable) saga.Store { return silent{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cut := &cable{Store: newHome()}
				cut.cut.Store(true)
				a := open(t, home(cut), newHouse(), saga.Config{Worker: "a"})
				require.NoError(t, store.Sleep(t.Context(), 10*time.Second)) // it tries
				down := make(chan error, 1)
				go func() { down <- a.runner.Shutdown(t.Context()) }()
				synctest.Wait()
				select {
				case err := <-down:
					require.NoError(t, err)
					require.NoError(t, <-a.ended)
					a.ended = nil
				default:
					cut.cut.Store(false) // so that this ends
					t.Fatal("it waits for the store")
				}
			})
		})
	}
}

func (s silent) Leave(ctx context.Context, w saga.Worker) error {
	if s.cut.Load() {
		return store.Sleep(ctx, time.Hour)
	}
	return s.Store.Leave(ctx, w)
}

// A shutdown does not wait long for a store that does not answer: a lease runs out
// by itself.
func TestShutdownLeavesInABeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := &cable{Store: newHome()}
		a := open(t, silent{cut}, newHouse(), saga.Config{Worker: "a"})
		a.start("ann")
		a.wait("ann")
		cut.cut.Store(true)
		began := time.Now()
		a.close()
		require.LessOrEqual(t, time.Since(began), 3*time.Second)
	})
}

func (s silent) Release(ctx context.Context, w saga.Worker, leases []saga.Lease) error {
	if s.cut.Load() {
		return store.Sleep(ctx, time.Hour)
	}
	return s.Store.Release(ctx, w, leases)
}

// Nor does it wait longer for shards that were being given up meanwhile.
func TestShutdownReleasesInABeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := &cable{Store: newHome()}
		h := newHouse()
		release := make(chan struct{})
		h.set(func(_ context.Context, request, _ string, _ int) error {
			if request == "hold" {
				<-release
			}
			return nil
		}, nil)
		a := open(t, silent{cut}, h, saga.Config{Worker: "a"}, patientReservation)
		a.start("ann")
		ended := make(chan time.Time, 1)
		go func() {
			a.close()
			ended <- time.Now()
		}()
		require.NoError(t, store.Sleep(t.Context(), 5*time.Second)) // a beat has told that it drains
		cut.cut.Store(true)
		began := time.Now()
		close(release)
		require.LessOrEqual(t, (<-ended).Sub(began), 6*time.Second)
	})
}

// A worker that was cut off and comes back finds that it owns nothing: what it
// was at is fenced.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		release := make(chan struct{})
		var once sync.Once
		h.after = func(ctx context.Context, request, _ string, _ int) error {
			held := false
			if request == "charge" {
				once.Do(func() { held = true })
			}
			if held {
				<-release // only the first: it stands still
			}
			return nil
		}
		cut := &cable{Store: home}
		a := open(t, cut, h, saga.Config{Worker: "a"}, patientReservation)
		a.start("ann")
		a.until("ann", func(s saga.Snapshot) bool { return s.Sequence == 2 })
		cut.cut.Store(true)
		b := open(t, home, h, saga.Config{Worker: "b"}, patientReservation)
		require.Equal(t, saga.Completed, b.wait("ann").Status)
		cut.cut.Store(false)
		close(release)
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Equal(t, []string{"start", "reply", "reply", "reply"}, a.kinds("ann"))
		shares := owned(t, home)
		require.Equal(t, map[string]int{"a": 32, "b": 32}, shares, "it has its share again")
	})
}

// A restart of the same worker need not wait for the lease.
func TestRestartGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		h.before = func(ctx context.Context, request, _ string, _ int) error {
			if request == "charge" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		cut := &cable{Store: home}
		a := open(t, cut, h, saga.Config{Worker: "a"})
		a.start("ann")
		a.until("ann", func(s saga.Snapshot) bool { return s.Sequence == 2 })
		h.set(nil, nil)
		began := time.Now()
		again := open(t, home, h, saga.Config{Worker: "a"})
		require.Equal(t, saga.Completed, again.wait("ann").Status)
		require.Less(t, time.Since(began), time.Second)
		fenced := <-a.ended
		require.ErrorIs(t, fenced, saga.ErrFenced)
		require.EqualError(t, fenced, `run sagas: worker "a": another worker has this id: each process needs a Config.Worker of its own`)
		a.ended = nil
		require.NoError(t, a.runner.Shutdown(t.Context()))
		require.Equal(t, map[string]int{"a": 64}, owned(t, home))
	})
}

func TestTimersDueWhileEverythingWasDownFireOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		a := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		for i := range 100 {
			_, err := a.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), later{Minutes: 1 + i%7})
			require.NoError(t, err)
		}
		a.close()
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		b := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		for i := range 100 {
			require.Equal(t, 1, b.count(fmt.Sprint(i)), i)
		}
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		for i := range 100 {
			require.Equal(t, 1, b.count(fmt.Sprint(i)), i)
		}
	})
}

func TestTimersFireOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		for i := range 50 {
			_, err := a.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), later{Minutes: 1 + i})
			require.NoError(t, err)
		}
		for range 50 {
			require.NoError(t, store.Sleep(t.Context(), time.Minute))
		}
		synctest.Wait()
		for i := range 50 {
			s, err := a.runner.State(t.Context(), counter.ID(fmt.Sprint(i)))
			require.NoError(t, err)
			require.Equal(t, int64(2), s.Sequence)
			require.Equal(t, time.Duration(1+i)*time.Minute, s.Updated.Sub(s.Started), i)
		}
	})
}

func TestDrainWaitsForEffects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		h.after = func(ctx context.Context, request, _ string, _ int) error {
			if request == "charge" {
				return store.Sleep(ctx, 5*time.Second)
			}
			return nil
		}
		a := open(t, home, h, saga.Config{Worker: "a"})
		a.start("ann")
		a.until("ann", func(s saga.Snapshot) bool { return s.Sequence == 2 })
		began := time.Now()
		a.close()
		require.Equal(t, 5*time.Second, time.Since(began).Round(100*time.Millisecond))
		s := a.state("ann")
		require.Equal(t, int64(3), s.Sequence, "the result is committed, the next effect is not begun")
		require.True(t, s.Ready)
		require.Len(t, h.made(), 2)
		_, err := a.runner.Start(t.Context(), Reservation.ID("ben"), Reserve{Quantity: 1})
		require.ErrorIs(t, err, saga.ErrClosed)
		b := open(t, home, h, saga.Config{Worker: "b"})
		require.Equal(t, saga.Completed, b.wait("ann").Status)
		require.Len(t, h.made(), 3)
	})
}

func TestOperatorDrainsAWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		a := open(t, home, newHouse(), saga.Config{Worker: "a"})
		open(t, home, newHouse(), saga.Config{Worker: "b"})
		require.NoError(t, store.Sleep(t.Context(), 20*time.Second))
		require.Equal(t, map[string]int{"a": 32, "b": 32}, owned(t, home))
		require.NoError(t, a.runner.Drain(t.Context(), "b", by))
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		require.Equal(t, map[string]int{"a": 64}, owned(t, home))
		require.NoError(t, a.runner.Undrain(t.Context(), "b", by))
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		require.Equal(t, map[string]int{"a": 32, "b": 32}, owned(t, home))
	})
}

func TestPausedTypeWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		_, err := o.runner.Start(t.Context(), counter.ID("a"), later{Minutes: 1})
		require.NoError(t, err)
		operator := saga.NewOperator(home) // in another process
		require.NoError(t, operator.PauseType(t.Context(), "counter", by))
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.NoError(t, o.runner.Signal(t.Context(), counter.ID("a"), "m", add{10}))
		_, err = o.runner.Start(t.Context(), counter.ID("b"), add{1})
		require.ErrorIs(t, err, saga.ErrPaused)
		require.NoError(t, store.Sleep(t.Context(), time.Hour))
		require.Equal(t, 0, o.count("a"), "neither the timer nor the signal")
		require.NoError(t, operator.ResumeType(t.Context(), "counter", by))
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Equal(t, 11, o.count("a"))
		_, err = o.runner.Start(t.Context(), counter.ID("b"), add{1})
		require.NoError(t, err)
	})
}

// A start that another worker is to make is not refused any more once it is kept: it
// waits for the type to go on.
func TestStartThatIsKeptWaitsForItsType(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		o := open(t, home, newHouse(), saga.Config{Worker: "a"})
		operator := saga.NewOperator(home)
		require.NoError(t, operator.Drain(t.Context(), "a", by)) // others are to make it, and there are none
		require.NoError(t, store.Sleep(t.Context(), 10*time.Second))
		started := make(chan error, 1)
		go func() {
			h, err := o.runner.Start(t.Context(), Reservation.ID("ann"), Reserve{Quantity: 2})
			if err == nil && h.Existing {
				err = errors.New("it is told to exist by who has made it")
			}
			started <- err
		}()
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.NoError(t, operator.PauseType(t.Context(), Reservation.Name(), by))
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Empty(t, started, "it is kept")
		require.NoError(t, operator.ResumeType(t.Context(), Reservation.Name(), by))
		require.NoError(t, operator.Undrain(t.Context(), "a", by))
		require.NoError(t, <-started)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
	})
}

func TestUnknownTypeIsLeftToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		a := open(t, home, newHouse(), saga.Config{Worker: "a", Handlers: counterHandlers(nil)}, counter)
		_, err := a.runner.Start(t.Context(), counter.ID("c"), later{Minutes: 1})
		require.NoError(t, err)
		a.close()
		var mu sync.Mutex
		var strangers []string
		b := open(t, home, newHouse(), saga.Config{Worker: "b", Hooks: saga.Hooks{UnknownType: func(name string) {
			mu.Lock()
			defer mu.Unlock()
			strangers = append(strangers, name)
		}}})
		require.NoError(t, store.Sleep(t.Context(), 5*time.Minute))
		mu.Lock()
		require.Contains(t, strangers, "counter")
		mu.Unlock()
		c := open(t, home, newHouse(), saga.Config{Worker: "c", Handlers: counterHandlers(nil)}, counter)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		require.Equal(t, 1, c.count("c"))
		b.close()
	})
}

// What a process sends to a saga that another owns reaches it in order, once.
func TestMessagesFromElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		worker := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		client, err := saga.New(home, saga.Config{}, counter)
		require.NoError(t, err)
		id := counter.ID("a")
		require.ErrorIs(t, client.Signal(t.Context(), id, "m", add{1}), saga.ErrNotFound)
		h, err := client.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		require.False(t, h.Existing)
		h, err = client.Start(t.Context(), id, add{1})
		require.NoError(t, err)
		require.True(t, h.Existing)
		var want strings.Builder
		for i := range 20 {
			for range 2 {
				require.NoError(t, client.Signal(t.Context(), id, fmt.Sprint("m", i), append_{fmt.Sprint(i)}))
			}
			fmt.Fprint(&want, i)
		}
		s := worker.untilID(id, func(s saga.Snapshot) bool { return s.Sequence == 21 })
		state, err := counter.State(s)
		require.NoError(t, err)
		require.Equal(t, want.String(), state.Text)
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		for i := range 20 { // they come once more, when they were seen
			require.NoError(t, client.Signal(t.Context(), id, fmt.Sprint("m", i), append_{fmt.Sprint(i)}))
		}
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		s, err = client.State(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, int64(21), s.Sequence)
		left, err := home.Inbox(t.Context(), []saga.Shard{id.Shard()}, 100)
		require.NoError(t, err)
		require.Empty(t, left, "the inbox is clean")

		require.NoError(t, client.Cancel(t.Context(), id, "enough"))
		end, err := client.Wait(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, saga.Compensated, end.Status)
		require.Equal(t, "enough", end.Reason)
		require.ErrorIs(t, client.Signal(t.Context(), id, "late", add{1}), saga.ErrEnded)
		require.NoError(t, client.Cancel(t.Context(), id, "again"))
		require.NoError(t, client.Shutdown(t.Context()))
	})
}

// A message that comes just when its saga ends is kept in the history.
func TestMessageThatComesTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		var mu sync.Mutex
		var refused []string
		o := open(t, home, newHouse(), saga.Config{Handlers: counterHandlers(nil), Hooks: saga.Hooks{Refused: func(id saga.ID, message string, err error) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, fmt.Sprint(id, " ", message, ": ", err))
		}}}, counter)
		id := counter.ID("a")
		_, err := o.runner.Start(t.Context(), id, finish{})
		require.NoError(t, err)
		require.NoError(t, home.Post(t.Context(), saga.Message{
			To: id, ID: "m", Kind: saga.SignalMessage, Body: []byte(`{"kind":"signal","message":"m","action":{"name":"add","data":{"N":1}}}`),
		}))
		require.NoError(t, home.Post(t.Context(), saga.Message{To: id, ID: "odd", Kind: saga.SignalMessage, Body: []byte("{")}))
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		mu.Lock()
		require.Len(t, refused, 2)
		require.True(t, slices.Contains(refused, "counter/a m: saga has ended"), refused)
		mu.Unlock()
		entries, err := o.runner.History(t.Context(), id, 0, 10)
		require.NoError(t, err)
		require.Equal(t, "refused", entries[len(entries)-1].Kind)
		left, err := home.Inbox(t.Context(), []saga.Shard{id.Shard()}, 100)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// A saga that has ended is kept for as long as was said, and one that has not is
// kept.
func TestKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil), Keep: time.Hour}, counter)
		for i := range 450 {
			_, err := o.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), finish{})
			require.NoError(t, err)
		}
		_, err := o.runner.Start(t.Context(), counter.ID("sleeps"), later{Minutes: 600})
		require.NoError(t, err)
		left := func() int {
			all, err := o.runner.List(t.Context(), saga.Query{Limit: 1000})
			require.NoError(t, err)
			return len(all)
		}
		require.NoError(t, store.Sleep(t.Context(), 59*time.Minute))
		require.Equal(t, 451, left())
		require.NoError(t, store.Sleep(t.Context(), 3*time.Minute))
		require.Equal(t, 1, left())
		_, err = o.runner.Start(t.Context(), counter.ID("7"), finish{})
		require.NoError(t, err, "a new one")
	})
}

func TestSleepersAreNotInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		for i := range 500 {
			_, err := o.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), later{Minutes: 10})
			require.NoError(t, err)
		}
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.Zero(t, saga.Live(o.runner))
		require.NoError(t, store.Sleep(t.Context(), 10*time.Minute))
		for i := range 500 {
			require.Equal(t, 1, o.count(fmt.Sprint(i)))
		}
	})
}

// What has ended leaves memory at once, though not before who has started it can ask
// for its end; what waits stays for Config.Resident.
func TestEndedSagasLeaveMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil)}, counter)
		_, err := o.runner.Start(t.Context(), counter.ID("sleeps"), later{Minutes: 10})
		require.NoError(t, err)
		for i := range 100 {
			_, err := o.runner.Start(t.Context(), counter.ID(fmt.Sprint(i)), finish{})
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, 101, saga.Live(o.runner))
		require.NoError(t, store.Sleep(t.Context(), 49*time.Millisecond))
		_, err = o.runner.Start(t.Context(), counter.ID("another"), finish{})
		require.NoError(t, err)
		require.NoError(t, store.Sleep(t.Context(), 50*time.Millisecond))
		synctest.Wait()
		require.Equal(t, 102, saga.Live(o.runner))
		require.NoError(t, store.Sleep(t.Context(), 2*time.Millisecond))
		synctest.Wait()
		require.Equal(t, 1, saga.Live(o.runner))
		for i := range 100 {
			end, err := o.runner.Wait(t.Context(), counter.ID(fmt.Sprint(i)))
			require.NoError(t, err)
			require.Equal(t, saga.Completed, end.Status)
		}
		require.Equal(t, 1, saga.Live(o.runner), "who waits for an end has no need of it in memory")
		require.NoError(t, store.Sleep(t.Context(), 4*time.Second))
		require.Zero(t, saga.Live(o.runner))
	})
}

// shifted is a machine whose clock can be set.
type shifted struct {
	store.Runtime
	by atomic.Int64
}

func (s *shifted) Now() time.Time { return s.Runtime.Now().Add(time.Duration(s.by.Load())) }

// When the clock is set back, timers come later, and none is lost; when it is set
// forward, they come at once.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := &shifted{Runtime: store.RuntimeOf(t.Context())}
		o := open(t, newHome(), newHouse(), saga.Config{Handlers: counterHandlers(nil), Runtime: clock}, counter)
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		start := func(key string, minutes int) {
			_, err := o.runner.Start(t.Context(), counter.ID(key), later{Minutes: minutes})
			require.NoError(t, err)
		}
		start("first", 1)
		start("long", 600)
		require.NoError(t, store.Sleep(t.Context(), 2*time.Minute))
		require.Equal(t, 1, o.count("first"))
		clock.by.Store(int64(-time.Hour))
		start("back", 10)
		require.NoError(t, store.Sleep(t.Context(), 11*time.Minute))
		require.Equal(t, 1, o.count("back"))
		clock.by.Store(int64(24 * time.Hour))
		require.NoError(t, store.Sleep(t.Context(), 2*time.Minute)) // the next sweep sees it
		require.Equal(t, 1, o.count("long"))
		for key, n := range map[string]int{"first": 1, "long": 1, "back": 1} {
			require.Equal(t, n, o.count(key))
		}
	})
}
