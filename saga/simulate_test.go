package saga_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/memory"
	"github.com/seed57833328/rondo/store"
	"github.com/seed57833328/rondo/store/sim"
)

// flaky is a home that fails now and then, before or after it has committed.
type flaky struct {
	saga.Store
	luck *rand.Rand
	calm *atomic.Bool
	gone atomic.Bool // the process that uses it has been killed
}

func (f *flaky) fault() error {
	if f.gone.Load() || !f.calm.Load() && f.luck.IntN(20) == 0 {
		return errFault
	}
	return nil
}

func (f *flaky) Load(ctx context.Context, id saga.ID) (saga.Record, bool, error) {
	if err := f.fault(); err != nil {
		return saga.Record{}, false, err
	}
	return f.Store.Load(ctx, id)
}

func (f *flaky) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	if !f.calm.Load() {
		_ = store.Sleep(ctx, time.Duration(f.luck.IntN(20))*time.Millisecond)
	}
	if err := f.fault(); err != nil {
		return nil, err
	}
	verdicts, err := f.Store.Commit(ctx, changes)
	if fault := f.fault(); fault != nil {
		return nil, fault
	}
	return verdicts, err
}

func (f *flaky) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	if err := f.fault(); err != nil {
		return saga.Fleet{}, err
	}
	return f.Store.Beat(ctx, w, ttl)
}

func (f *flaky) Leave(ctx context.Context, w saga.Worker) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.Store.Leave(ctx, w)
}

// simulation is a fleet of workers in virtual time, of which one is killed now and
// then, with customers who book and change their minds.
type simulation struct {
	t     *testing.T
	rt    *sim.Runtime
	luck  *rand.Rand
	home  *memory.Store
	house *house
	calm  atomic.Bool
}

type simWorker struct {
	home   *flaky
	runner *saga.Runner
	kill   context.CancelFunc
	ended  store.Signal
}

func (s *simulation) worker(ctx context.Context, name string) *simWorker {
	w := &simWorker{home: &flaky{Store: s.home, luck: s.luck, calm: &s.calm}, ended: s.rt.NewSignal()}
	runner, err := saga.New(w.home, saga.Config{Worker: name, Handlers: s.handlers(), Runtime: s.rt}, Reservation)
	if err != nil {
		s.t.Error(err)
	}
	w.runner = runner
	run, kill := context.WithCancel(ctx)
	w.kill = kill
	s.rt.Go(func() {
		defer w.ended.Fire()
		_ = runner.Run(run)
	})
	return w
}

// crash kills a worker: its last words are lost.
func (s *simulation) crash(ctx context.Context, w *simWorker) {
	w.home.gone.Store(true)
	w.kill()
	_ = w.ended.Wait(ctx)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_ = w.runner.Shutdown(gone)
}

func (s *simulation) handlers() []effect.Handler {
	s.house.before = func(ctx context.Context, request, key string, _ int) error {
		if s.calm.Load() {
			return nil
		}
		if err := store.Sleep(ctx, time.Duration(s.luck.IntN(3000))*time.Millisecond); err != nil {
			return err
		}
		_, undo := map[string]bool{"release": true, "refund": true}[request]
		switch s.luck.IntN(12) {
		case 0:
			return errors.New("down")
		case 1:
			if !undo && request != "confirm" && s.house.refuses(key) {
				return saga.Rejected(errors.New("no"))
			}
		case 2:
			return store.Sleep(ctx, time.Hour) // until it is given up
		}
		return nil
	}
	s.house.after = func(context.Context, string, string, int) error {
		if !s.calm.Load() && s.luck.IntN(12) == 0 {
			return errors.New("connection lost")
		}
		return nil
	}
	return s.house.handlers()
}

// refuses has a key refused, now and for good, unless it is done.
func (h *house) refuses(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done[key] != "" {
		return false
	}
	h.gone[key] = true
	return true
}

const simCustomers = 40

func simulate(t *testing.T, seed uint64) string {
	t.Helper()
	var story string
	err := sim.Run(seed, func(ctx context.Context, rt *sim.Runtime) {
		s := &simulation{
			t: t, rt: rt, luck: rand.New(rand.NewPCG(seed, 2)), house: newHouse(), //nolint:gosec // repeatable on purpose
			home: memory.New(memory.Config{Now: rt.Now}),
		}
		workers := []*simWorker{s.worker(ctx, "a"), s.worker(ctx, "b")}
		all, done := rt.NewSignal(), 0
		for i := range simCustomers {
			rt.Go(func() {
				defer func() {
					if done++; done == simCustomers {
						all.Fire()
					}
				}()
				_ = store.Sleep(ctx, time.Duration(s.luck.IntN(60_000))*time.Millisecond)
				id := Reservation.ID(fmt.Sprint(i))
				for s.book(ctx, workers, id) != nil {
					_ = store.Sleep(ctx, time.Second)
				}
				if s.luck.IntN(4) == 0 {
					_ = store.Sleep(ctx, time.Duration(s.luck.IntN(5000))*time.Millisecond)
					_ = workers[s.luck.IntN(len(workers))].runner.Cancel(ctx, id, "changed my mind")
				}
			})
		}
		for range 6 {
			_ = store.Sleep(ctx, time.Duration(5+s.luck.IntN(25))*time.Second)
			i := s.luck.IntN(len(workers))
			s.crash(ctx, workers[i])
			workers[i] = s.worker(ctx, string("abcd"[s.luck.IntN(4)]))
		}
		if err := all.Wait(ctx); err != nil {
			t.Error(err)
		}
		s.calm.Store(true)
		_ = store.Sleep(ctx, 20*time.Minute) // the longest back-off is over
		story = s.audit(ctx)
		for _, w := range workers {
			if err := w.runner.Shutdown(ctx); err != nil {
				t.Errorf("seed %d: shutdown: %v", seed, err)
			}
			_ = w.ended.Wait(ctx)
		}
	})
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	return story
}

// book starts a saga, by whatever worker lives.
func (s *simulation) book(ctx context.Context, workers []*simWorker, id saga.ID) error {
	patient, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := s.rt.AfterFunc(10*time.Second, cancel)
	defer timer.Stop()
	_, err := workers[s.luck.IntN(len(workers))].runner.Start(patient, id, Reserve{Customer: id.Key, Quantity: 2})
	return err
}

// audit judges what has become of each customer.
func (s *simulation) audit(ctx context.Context) (story string) {
	for i := range simCustomers {
		id := Reservation.ID(fmt.Sprint(i))
		r, found, err := s.home.Load(ctx, id)
		if err != nil || !found {
			s.t.Errorf("%s: found %v, %v", id, found, err)
			continue
		}
		var held []string
		for key, request := range s.house.done {
			if of := id.String() + "/"; len(key) > len(of) && key[:len(of)] == of && !s.house.gone[key] {
				held = append(held, request)
			}
		}
		want := map[saga.Status]int{saga.Completed: 3, saga.Compensated: 0}
		n, ended := want[r.Status]
		if !ended || len(held) != n {
			s.t.Errorf("%s is %s (%s) and has %v", id, r.Status, r.Reason, held)
		}
		entries, err := s.home.History(ctx, id, 0, 10_000)
		if err != nil || int64(len(entries)) != r.Sequence {
			s.t.Errorf("%s has %d decisions of %d: %v", id, len(entries), r.Sequence, err)
		}
		if drift, err := Reservation.Replay(id, entries); drift != nil || err != nil {
			s.t.Errorf("%s drifts: %+v, %v", id, drift, err)
		}
		story += fmt.Sprintln(id, r.Status, r.Sequence, r.Updated, r.Reason)
	}
	return story
}

// TestSimulation runs a fleet through crashes, failures of the store and of
// handlers, in virtual time, and holds what came of it to an audit.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			story := simulate(t, seed)
			if seed == 0 {
				require.Equal(t, story, simulate(t, seed), "a seed repeats")
			}
		})
	}
}
