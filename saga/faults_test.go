package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A script counts what a process does to the outside, commits and effects, and
// has something happen before or after the nth of it.
type script struct {
	mu    sync.Mutex
	n     int // of the next step
	at    int // the step at which it happens
	after bool
	do    func() error // it happens; an error is the step's
	steps []string
}

// step is called before and after each.
func (s *script) step(what string, after bool) error {
	s.mu.Lock()
	if !after {
		s.n++
		s.steps = append(s.steps, what)
	}
	happens := s.n-1 == s.at && s.after == after && s.do != nil
	do := s.do
	if happens {
		s.do = nil
	}
	s.mu.Unlock()
	if happens {
		return do()
	}
	return nil
}

// told is how many steps there were, and whether it has happened.
func (s *script) told() (steps int, happened bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.steps), s.do == nil
}

// scripted is a home whose commits are steps.
type scripted struct {
	cable
	script *script
}

func (s *scripted) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	if err := s.script.step("commit", false); err != nil {
		return nil, err
	}
	verdicts, err := s.cable.Commit(ctx, changes)
	if fault := s.script.step("commit", true); fault != nil {
		return nil, fault
	}
	return verdicts, err
}

// scriptedTx is one that the house joins: several decisions, and what is done in the
// house between them, are a step.
type scriptedTx struct {
	*scripted
	house *house
}

func (s scriptedTx) Joins(db any) bool { return db == any(s.house) }

func (s scriptedTx) CommitTx(ctx context.Context, f func(context.Context) ([]saga.Change, error)) (verdict saga.Verdict, err error) {
	rollback := s.house.begin()
	defer func() {
		if verdict != saga.Committed {
			rollback()
		}
	}()
	changes, err := f(ctx)
	if err == nil {
		err = s.script.step("commit", false)
	}
	for i := range changes {
		if err != nil {
			return 0, err
		}
		var verdicts []saga.Verdict
		if verdicts, err = s.cable.Commit(ctx, changes[i:i+1]); err == nil && verdicts[0] != saga.Committed {
			return verdicts[0], nil
		}
	}
	if err != nil {
		return 0, err
	}
	return saga.Committed, s.script.step("commit", true)
}

var errFault = errors.New("connection reset")

// TestFaultAtEveryStep has a commit or an effect of a saga fail, or the process
// end, before and after each, and looks at what became of it.
func TestFaultAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name     string
		declines bool
		status   saga.Status
		holds    []string
		decided  []string
	}{
		{"completed", false, saga.Completed, []string{"charge", "confirm", "hold"}, []string{"start", "reply", "reply", "reply"}},
		{"compensated", true, saga.Compensated, []string{}, []string{"start", "reply", "reply", "undone"}},
	} {
		for _, fault := range []string{"error", "crash"} {
			for i := range 4 {
				after, together := i%2 == 1, i > 1
				t.Run(fmt.Sprintf("%s/%s/after=%v/together=%v", way.name, fault, after, together), func(t *testing.T) {
					t.Parallel()
					steps := 0 // of a run in which nothing happens
					for at := -1; at < steps; at++ {
						synctest.Test(t, func(t *testing.T) {
							s := &script{at: at, after: after}
							home, h := newHome(), newHouse()
							connection := &scripted{cable: cable{Store: home}, script: s}
							crashed := make(chan struct{})
							s.do = func() error {
								if fault == "crash" {
									connection.cut.Store(true)
									close(crashed)
								}
								return errFault
							}
							h.before = func(_ context.Context, request, _ string, _ int) error {
								if err := s.step(request, false); err != nil {
									return err
								}
								if way.declines && request == "charge" {
									if err := s.step(request, true); err != nil {
										return err
									}
									return saga.Rejected(errDeclined)
								}
								return nil
							}
							h.after = func(_ context.Context, request, _ string, _ int) error { return s.step(request, true) }
							var of saga.Store = connection
							handlers := h.handlers()
							if together {
								of = scriptedTx{connection, h}
								for _, handler := range handlers {
									effect.Inside(handler).Home = h
								}
							}
							o := open(t, of, h, saga.Config{Worker: "w", Handlers: handlers})
							started := make(chan error, 1)
							go func() { // the customer may be told of a failure, and asks again
								handle, err := o.runner.Start(t.Context(), Reservation.ID("ann"), Reserve{Quantity: 2})
								if err == nil && handle.Existing {
									err = errors.New("it is told to exist by who has made it")
								}
								started <- err
							}()
							if fault == "crash" && at >= 0 {
								<-crashed
								synctest.Wait()
								o.crash()
								o = open(t, home, h, saga.Config{Worker: "w"})
								o.start("ann")
							} else {
								o.until("ann", func(saga.Snapshot) bool { return true })
								require.NoError(t, <-started, "step %d", at)
							}
							end := o.wait("ann")
							require.Equal(t, way.status, end.Status, "step %d", at)
							require.Equal(t, way.holds, h.holds(), "step %d", at)
							decided := slices.DeleteFunc(o.kinds("ann"), func(kind string) bool { return kind == "attempt" })
							require.Equal(t, way.decided, decided, "step %d: each decided once", at)
							h.oneKeyEach(t)
							taken, happened := s.told()
							require.Equal(t, at >= 0, happened, "step %d", at)
							if at < 0 {
								steps = taken
							}
						})
					}
					if together {
						require.Contains(t, []int{4, 5}, steps, "effects, and one commit")
					} else {
						require.GreaterOrEqual(t, steps, 7)
					}
				})
			}
		}
	}
}

// oneKeyEach asserts that every request was made under one key.
func (h *house) oneKeyEach(t *testing.T) {
	t.Helper()
	keys := map[string]string{}
	for _, call := range h.made() {
		request, key, _ := strings.Cut(call, " ")
		if keys[request] == "" {
			keys[request] = key
		}
		require.Equal(t, keys[request], key, request)
	}
}

// TestCancelAtEveryPoint has a customer cancel before and after each step of a
// saga: either it is too late, or all is undone.
func TestCancelAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		late, undone, steps := 0, 0, 0
		for at := -1; at < steps; at++ {
			synctest.Test(t, func(t *testing.T) {
				s := &script{at: at, after: after}
				home, h := newHome(), newHouse()
				connection := &scripted{cable: cable{Store: home}, script: s}
				h.before = func(_ context.Context, request, _ string, _ int) error { return s.step(request, false) }
				h.after = func(_ context.Context, request, _ string, _ int) error { return s.step(request, true) }
				o := open(t, connection, h, saga.Config{})
				require.NoError(t, store.Sleep(t.Context(), time.Second))
				cancelled := make(chan error, 1)
				s.do = func() error {
					go func() { cancelled <- o.runner.Cancel(context.Background(), Reservation.ID("ann"), "changed my mind") }() //nolint:usetesting // it outlives the context of the test, or of its bubble
					return store.Sleep(context.Background(), time.Second)                                                        //nolint:usetesting // it outlives the context of the test, or of its bubble
				}
				o.start("ann")
				end := o.wait("ann")
				if at < 0 { // nobody cancels
					steps, _ = s.told()
					return
				}
				err := <-cancelled
				switch {
				case errors.Is(err, saga.ErrNotFound), errors.Is(err, saga.ErrPivoted), errors.Is(err, saga.ErrEnded):
					late++
					require.Equal(t, saga.Completed, end.Status, "step %d", at)
					require.Equal(t, []string{"charge", "confirm", "hold"}, h.holds(), "step %d", at)
				default:
					undone++
					require.NoError(t, err, "step %d", at)
					require.Equal(t, saga.Compensated, end.Status, "step %d", at)
					require.Equal(t, "changed my mind", end.Reason)
					require.Empty(t, h.holds(), "step %d", at)
				}
				h.oneKeyEach(t)
			})
		}
		require.Positive(t, late)
		require.Positive(t, undone)
	}
}

// A store that is down for a while holds everything up, and loses nothing.
func TestStoreThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		home, h := newHome(), newHouse()
		connection := &cable{Store: home}
		var mu sync.Mutex
		failed := map[string]bool{}
		o := open(t, connection, h, saga.Config{Hooks: saga.Hooks{StoreFailed: func(call string, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed[call] = true
		}}})
		h.after = func(_ context.Context, request, _ string, _ int) error {
			if request == "charge" {
				connection.cut.Store(true)
			}
			return nil
		}
		require.NoError(t, store.Sleep(t.Context(), time.Second))
		o.start("ann")
		require.NoError(t, store.Sleep(t.Context(), time.Minute))
		require.True(t, connection.cut.Load())
		connection.cut.Store(false)
		h.set(nil, nil)
		require.Equal(t, saga.Completed, o.wait("ann").Status)
		require.Equal(t, []string{"charge", "confirm", "hold"}, h.holds())
		mu.Lock()
		require.True(t, failed["Beat"])
		mu.Unlock()
	})
}
