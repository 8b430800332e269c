package saga_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// slowToTell is a home that tells late what it has found or done: of the next load or
// commit of a stuck saga.
type slowToTell struct {
	saga.Store

	load, commit atomic.Bool   // which
	found        chan struct{} // closed when it has
	tell         chan struct{} // it tells when this is closed
}

func (s *slowToTell) wait(next *atomic.Bool, status saga.Status) {
	if status == saga.Stuck && next.CompareAndSwap(true, false) {
		close(s.found)
		<-s.tell
	}
}

func (s *slowToTell) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	verdicts, err := s.Store.Commit(ctx, changes)
	s.wait(&s.commit, changes[0].Record.Status)
	return verdicts, err
}

func (s *slowToTell) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	r, found, err := s.Store.Load(ctx, id)
	s.wait(&s.load, r.Status)
	return r, found, err
}

// What an operator does to a saga is not lost on a worker that hears only afterwards
// of what was before.
func TestInterventionsOvertakeWhatWasBefore(t *testing.T) {
	t.Parallel()
	for _, late := range []string{"load", "commit"} {
		t.Run(late, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				home := &slowToTell{Store: newHome(), found: make(chan struct{}), tell: make(chan struct{})}
				home.commit.Store(late == "commit")
				h := newHouse()
				h.set(func(_ context.Context, request, _ string, _ int) error {
					if request == "confirm" { // past the pivot: it must be done
						return effect.Permanent(errDeclined)
					}
					return nil
				}, nil)
				o := open(t, home, h, saga.Config{Resident: time.Second})
				o.start("a")
				if late == "load" {
					o.until("a", func(s saga.Snapshot) bool { return s.Status == saga.Stuck })
					require.NoError(t, store.Sleep(t.Context(), time.Minute)) // it leaves memory
					home.load.Store(true)
					go func() { _ = o.runner.Cancel(context.Background(), Reservation.ID("a"), "enough") }() //nolint:usetesting // it may outlast the test
				}
				<-home.found
				h.set(nil, nil)
				_, err := saga.NewOperator(home.Store).Retry(t.Context(), Reservation.ID("a"), by)
				require.NoError(t, err)
				require.NoError(t, store.Sleep(t.Context(), time.Minute)) // the worker is told
				close(home.tell)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // before it leaves memory, or is looked at again
				defer cancel()
				s, err := o.runner.Wait(ctx, Reservation.ID("a"))
				require.NoError(t, err)
				require.Equal(t, saga.Completed, s.Status)
			})
		})
	}
}

// late is a home that does not tell that a saga has begun, until it is let, and whose
// workers lose their leases meanwhile.
type late struct {
	*cable

	tell chan struct{}
}

func (l late) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	return l.Store.Load(ctx, id)
}

func (l late) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	verdicts, err := l.Store.Commit(ctx, changes)
	if changes[0].Record.Sequence == 1 {
		l.cut.Store(true)
		<-l.tell
	}
	return verdicts, err
}

// Who has started a saga is told so, even if its worker loses it before it knows.
func TestStartIsToldOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := late{&cable{Store: newHome()}, make(chan struct{})}
		a := open(t, home, newHouse(), saga.Config{Worker: "a"})
		require.NoError(t, store.Sleep(t.Context(), time.Second)) // it has its lease
		require.False(t, a.start("ann").Existing)
		require.True(t, a.start("ann").Existing)
		home.cut.Store(false)
		close(home.tell)
		require.Equal(t, saga.Completed, a.wait("ann").Status)
	})
}

// Who has started a saga is told so, even if nobody can tell what became of its commit
// before others have decided, and the store is down for a moment.
func TestStartIsToldOfItsOwnWhatOthersWentOnWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home := newHome()
		connection := &faulty{Store: home}
		operator := saga.NewOperator(home)
		id := Reservation.ID("ann")
		s := &script{after: true, do: func() error {
			_, err := operator.Pause(t.Context(), id, by)
			require.NoError(t, err)
			connection.forgets.Store(true)
			time.AfterFunc(10*time.Second, func() { connection.forgets.Store(false) })
			return errFault
		}}
		o := open(t, &scripted{cable: cable{Store: connection}, script: s}, newHouse(), saga.Config{})
		require.NoError(t, store.Sleep(t.Context(), time.Second)) // it has its lease
		require.False(t, o.start("ann").Existing)
		require.True(t, o.start("ann").Existing)
		_, err := operator.Resume(t.Context(), id, by)
		require.NoError(t, err)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
	})
}

// toldLate is a home whose transactions of several decisions do not tell that they
// are committed before they are given up. Others decide before the next commit.
type toldLate struct {
	scriptedTx

	committed chan struct{} // closed when one is
	decide    func()
}

func (l *toldLate) CommitTx(ctx context.Context, f func(context.Context) ([]saga.Change, error)) (saga.Verdict, error) {
	verdict, err := l.scriptedTx.CommitTx(ctx, f)
	if err != nil || verdict != saga.Committed {
		return verdict, err
	}
	close(l.committed)
	<-ctx.Done()
	return 0, ctx.Err()
}

func (l *toldLate) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	l.decide()
	return l.scriptedTx.Commit(ctx, changes)
}

// Nor does it matter that its decision was given up as one of several, for a message
// that has come meanwhile, when they were committed.
func TestStartIsToldOfItsOwnThatWasGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		operator := saga.NewOperator(home)
		id := Reservation.ID("ann")
		handlers := h.handlers()
		effect.Inside(handlers[0]).Home = h // the seats are held together with the start
		link := &toldLate{scriptedTx{&scripted{cable: cable{Store: home}, script: &script{}}, h}, make(chan struct{}), sync.OnceFunc(func() {
			_, err := operator.Pause(t.Context(), id, by)
			require.NoError(t, err)
		})}
		o := open(t, link, h, saga.Config{Handlers: handlers})
		require.NoError(t, store.Sleep(t.Context(), time.Second)) // it has its lease
		cancelled := make(chan error, 1)
		go func() {
			<-link.committed
			cancelled <- o.runner.Cancel(t.Context(), id, "changed my mind")
		}()
		require.False(t, o.start("ann").Existing)
		require.NoError(t, <-cancelled)
		require.True(t, o.start("ann").Existing)
		_, err := operator.Resume(t.Context(), id, by)
		require.NoError(t, err)
		require.Equal(t, saga.Compensated, o.wait("ann").Status)
	})
}
