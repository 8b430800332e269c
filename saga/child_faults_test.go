package saga_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
)

// TestFaultAtEveryStepOfAChild has a commit or an effect fail, or the process of
// the parent, of the child or of both end, before and after each.
func TestFaultAtEveryStepOfAChild(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"complete", "compensate"} {
		for _, side := range []string{"both", "parent", "child"} {
			for _, fault := range []string{"error", "crash"} {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/after=%v", then, side, fault, after), func(t *testing.T) {
						t.Parallel()
						steps := 0 // of a run in which nothing happens
						for at := -1; at < steps; at++ {
							synctest.Test(t, func(t *testing.T) { steps = max(steps, faultyFamily(t, then, side, fault, after, at)) })
						}
						require.GreaterOrEqual(t, steps, 2)
					})
				}
			}
		}
	}
}

// faultyFamily has something happen at one step, and returns how many there were.
func faultyFamily(t *testing.T, then, side, fault string, after bool, at int) int {
	t.Helper()
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
	if side != "parent" {
		h.before = func(_ context.Context, request, _ string, _ int) error { return s.step(request, false) }
		h.after = func(_ context.Context, request, _ string, _ int) error { return s.step(request, true) }
	}
	faulty, others := []saga.Saga{outer, rooms}, []saga.Saga(nil)
	switch side {
	case "parent":
		faulty, others = []saga.Saga{outer}, []saga.Saga{rooms}
	case "child":
		faulty, others = []saga.Saga{rooms}, []saga.Saga{outer}
	}
	worker := func(s saga.Store, name string, sagas []saga.Saga) *office {
		return open(t, s, h, saga.Config{Worker: name}, sagas...)
	}
	o := worker(connection, "w", faulty)
	if others != nil {
		worker(home, "other", others)
	}
	client, err := saga.New(home, saga.Config{}, outer)
	require.NoError(t, err)
	started := make(chan error, 1)
	go func() {
		_, err := client.Start(t.Context(), annsErrand, runErrand{Child: "room", Then: then})
		started <- err
	}()
	if fault == "crash" && at >= 0 {
		<-crashed
		synctest.Wait()
		o.crash()
		worker(home, "w", faulty)
	}
	require.NoError(t, <-started)
	parent, err := client.Wait(t.Context(), annsErrand)
	require.NoError(t, err)
	status, holds := saga.Completed, []string{"hold"}
	if then == "compensate" {
		status, holds = saga.Compensated, []string{}
	}
	require.Equal(t, status, parent.Status, "step %d: %s", at, parent.Reason)
	require.Equal(t, holds, h.holds(), "step %d", at)
	child, err := saga.NewOperator(home).State(t.Context(), roomOfAnn)
	require.NoError(t, err)
	require.Equal(t, status, child.Status, "step %d", at)
	h.oneKeyEach(t)
	for id, want := range map[saga.ID]string{
		annsErrand: map[string]string{"complete": "start child", "compensate": "start child undone"}[then],
		roomOfAnn:  map[string]string{"complete": "start reply", "compensate": "start reply cancel undone"}[then],
	} {
		entries, err := home.History(t.Context(), id, 0, 100)
		require.NoError(t, err)
		var kinds []string
		for _, e := range entries {
			if e.Kind != "attempt" {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Equal(t, want, strings.Join(kinds, " "), "step %d: each decided once", at)
	}
	taken, happened := s.told()
	require.Equal(t, at >= 0, happened, "step %d", at)
	if at >= 0 {
		return 0
	}
	return taken
}
