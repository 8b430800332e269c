package sagatest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// script counts the steps of one saga, which are commits and requests, and has
// something happen before or after the nth.
type script struct {
	id    saga.ID
	at    int // the step, from 0; none if it is negative
	after bool
	do    func(what string) error // it happens, once; an error is the step's

	mu       sync.Mutex
	steps    int
	happened string // the step at which it has
}

// step is called before and after each.
func (s *script) step(what string, after bool) error {
	s.mu.Lock()
	if !after {
		s.steps++
	}
	happens := s.happened == "" && s.steps-1 == s.at && s.after == after
	if happens {
		s.happened = what
	}
	s.mu.Unlock()
	if happens {
		return s.do(what)
	}
	return nil
}

func (s *script) told() (steps int, happened string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps, s.happened
}

// way is how a trip goes.
type way struct {
	name     string
	declines bool // the charge
	want     saga.Status
	requests int // how many there are
}

var ways = []way{
	{"completed", false, saga.Completed, 3},
	{"compensated", true, saga.Compensated, 3}, // a hold, a charge that is declined, a release
}

// stage has the world, and what p commits, follow a script.
func (f *fleet) stage(p *process, s *script, w way) {
	p.link.follow(s)
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	mine := func(key string) bool { return strings.HasPrefix(key, s.id.String()+"/") }
	f.world.before = func(_ context.Context, request, key string) error {
		if !mine(key) {
			return nil
		}
		if err := s.step(request, false); err != nil || !w.declines || request != "charge" {
			return err
		}
		if err := s.step(request, true); err != nil {
			return err
		}
		return f.world.refuse(key)
	}
	f.world.after = func(_ context.Context, request, key string) error {
		if !mine(key) {
			return nil
		}
		return s.step(request, true)
	}
}

// points are the steps at which something is to happen: each, or with -short one of
// three.
func points(steps int, after bool) (at []int) {
	stride, first := 1, 0
	if testing.Short() {
		if stride = 3; after {
			first = 1
		}
	}
	for ; first < steps; first += stride {
		at = append(at, first)
	}
	return at
}

// count is how many steps there are if nothing happens.
func (f *fleet) count(p *process, w way) int {
	f.Helper()
	s := &script{id: trips.ID("calm"), at: -1}
	f.stage(p, s, w)
	p.book(s.id, book{})
	require.Equal(f, w.want, f.ended(s.id).Status)
	var steps int
	f.eventually("the last commit has returned", func() bool {
		steps, _ = s.told()
		return steps >= w.requests+leastCommits
	})
	return steps
}

// leastCommits is how many commits a trip takes at least.
const leastCommits = 4

// faultsTest has each commit and each request of a trip fail, before and after it is
// made.
func faultsTest(f *fleet) {
	f.eachWay(func(f *fleet, w way) {
		p := f.start("a")
		steps := f.count(p, w)
		for _, after := range []bool{false, true} {
			for _, at := range points(steps, after) {
				s := &script{id: trips.ID(fmt.Sprint(at, after)), at: at, after: after, do: func(string) error { return errLink }}
				f.stage(p, s, w)
				p.book(s.id, book{})
				require.Equal(f, w.want, f.ended(s.id).Status, "step %d, after=%v", at, after)
				f.eventually("it has happened", s.has)
			}
		}
	})
}

// crashesTest has the process end before and after each.
func crashesTest(f *fleet) {
	f.eachWay(func(f *fleet, w way) {
		p := f.start("a")
		steps := f.count(p, w)
		for _, after := range []bool{false, true} {
			for _, at := range points(steps, after) {
				crashed := make(chan struct{})
				s := &script{id: trips.ID(fmt.Sprint(at, after)), at: at, after: after, do: func(string) error {
					p.link.cut()
					close(crashed)
					return errLink
				}}
				f.stage(p, s, w)
				ctx, cancel := context.WithCancel(f.Context())
				started := make(chan struct{})
				go func() {
					defer close(started)
					_, _ = p.runner.Start(ctx, s.id, book{}) // it is not told what became of it
				}()
				<-crashed
				p.crash()
				cancel()
				<-started
				p = f.start("a")
				f.stage(p, s, w)
				p.book(s.id, book{})
				require.Equal(f, w.want, f.ended(s.id).Status, "step %d, after=%v", at, after)
			}
		}
	})
}

// cancelsTest has a customer cancel before and after each, from another process:
// either it is too late, or all is undone.
func cancelsTest(f *fleet) {
	client, err := saga.New(f.store, saga.Config{}, trips)
	require.NoError(f, err)
	p, w := f.start("a"), ways[0]
	steps := f.count(p, w)
	ends := map[saga.Status]int{}
	for _, after := range []bool{false, true} {
		for at := range steps { // few, and not slow
			s := &script{id: trips.ID(fmt.Sprint(at, after)), at: at, after: after}
			asked := make(chan error, 1)
			s.do = func(what string) error {
				asked <- client.Cancel(f.Context(), s.id, "changed my mind")
				for what != "commit" { // the decision on it is made meanwhile
					left, err := f.store.Waiting(f.Context(), s.id, 0, 1)
					if err != nil || len(left) == 0 {
						return err
					}
					if err := store.Sleep(f.Context(), time.Millisecond); err != nil {
						return err
					}
				}
				return nil
			}
			f.stage(p, s, w)
			p.book(s.id, book{})
			r := f.ended(s.id)
			f.eventually("it has happened", s.has)
			err := <-asked
			_, happened := s.told()
			told := fmt.Sprintf("step %d (%s), after=%v: %v", at, happened, after, err)
			ends[r.Status]++
			switch {
			case err != nil:
				require.Equal(f, saga.Completed, r.Status, told)
			case happened == "hold" || happened == "charge":
				require.Equal(f, saga.Compensated, r.Status, told)
			case happened == "confirm":
				require.Equal(f, saga.Completed, r.Status, told)
			}
			if r.Status == saga.Compensated {
				require.Equal(f, "changed my mind", r.Reason, told)
			}
		}
	}
	require.GreaterOrEqual(f, ends[saga.Completed], 2)
	require.GreaterOrEqual(f, ends[saga.Compensated], 4)
	require.NoError(f, client.Shutdown(f.Context()))
}

func (s *script) has() bool {
	_, happened := s.told()
	return happened != ""
}

// eachWay runs a test both ways, each with a store of its own.
func (f *fleet) eachWay(test func(*fleet, way)) {
	for _, w := range ways {
		f.Run(w.name, func(t *testing.T) {
			t.Parallel()
			test(newFleet(t, f.home, f.sagas...), w)
		})
	}
}
