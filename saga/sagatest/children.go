package sagatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// A tour is a parent: its lodging is a saga of its own, which holds a room; then a
// card is charged. If that is refused the child is cancelled, which has completed.
type tour struct{ Room string }

type (
	setOut  struct{}
	lodging struct{ Room string }
	tourEnd struct{ Reason string }
)

var (
	lodgings = saga.Steps("lodging", saga.Step[lodging]{
		Do:   saga.Ask("hold", func(lodging) hold { return hold{} }, func(l *lodging, room string) { l.Room = room }),
		Undo: saga.Ask("release", func(lodging) release { return release{} }, nil), Retry: saga.RetryPolicy{Attempts: 50, Delay: time.Millisecond, MaxDelay: 20 * time.Millisecond},
	})
	tourFx saga.Of[any]
	tours  = saga.Define("tour", reducer.Func[tour, any](reduceTour), saga.Types{
		Actions: []saga.ActionType{saga.Action[setOut]("set-out"), saga.Action[lodging]("lodged"), saga.Action[tourEnd]("end")},
		Requests: []saga.RequestType{
			saga.OnChild("lodging", lodgings, func(_ saga.StepsAction, r saga.Reply[saga.Stepped[lodging]]) any {
				if r.Err != nil {
					return tourEnd{r.Err.Error()}
				}
				return r.Value.Data
			}),
			saga.On("charge", func(_ charge, r saga.Reply[struct{}]) any {
				if r.Err != nil {
					return tourEnd{r.Err.Error()}
				}
				return tourEnd{}
			}, quickly),
			saga.Request[refund]("refund", quickly),
		},
	})
)

func reduceTour(s *tour, a any, _ reducer.Env) effect.Effect[any] {
	switch a := a.(type) {
	case setOut:
		return tourFx.Do(lodgings.Child(saga.Begin[lodging]{}))
	case lodging:
		s.Room = a.Room
		return tourFx.Do(charge(a), saga.Undo(refund(a)))
	case tourEnd:
		if a.Reason != "" {
			return tourFx.Compensate(a.Reason)
		}
		return tourFx.Complete()
	}
	return tourFx.None()
}

// childrenTest has parents and children run by workers of which one ends now and
// then, on a home that fails, and holds what came of both to an audit.
func childrenTest(f *fleet) {
	var mu sync.Mutex
	luck := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // repeatable as far as it goes
	calm := false
	chance := func(of int) bool {
		mu.Lock()
		defer mu.Unlock()
		return !calm && luck.IntN(of) == 0
	}
	declines := func(key string) bool {
		n, err := strconv.Atoi(strings.Split(key, "/")[1])
		return err == nil && n%2 == 1
	}
	f.world.before = func(_ context.Context, request, key string) error {
		switch {
		case chance(12):
			return errors.New("down")
		case request == "charge" && declines(key):
			return f.world.refuse(key)
		}
		return nil
	}
	f.world.after = func(context.Context, string, string) error {
		if chance(12) {
			return errors.New("answer lost")
		}
		return nil
	}
	// One worker has both types, the others one each: a child may be anybody's.
	types := [][]saga.Saga{{tours, lodgings}, {tours}, {lodgings}}
	begin := func(i int) *process {
		f.sagas = types[i]
		p := f.prepare("worker-" + strconv.Itoa(i))
		p.link.fault = func(int, bool) error {
			if chance(25) {
				return errLink
			}
			return nil
		}
		p.run()
		return p
	}
	var processes []*process
	for i := range types {
		processes = append(processes, begin(i))
	}
	client, err := saga.New(f.store, saga.Config{Poll: 10 * time.Millisecond}, tours)
	require.NoError(f, err)
	const parents = 40
	id := func(i int) saga.ID {
		at := tours.ID(strconv.Itoa(i))
		if i%3 == 0 {
			at.Tenant = "acme"
		}
		return at
	}
	for i := range parents {
		if i%8 == 4 {
			n := i / 8 % len(processes)
			processes[n].crash()
			processes[n] = begin(n)
		}
		_, err := client.Start(f.Context(), id(i), setOut{})
		require.NoError(f, err)
	}
	_ = store.Sleep(f.Context(), 100*time.Millisecond)
	mu.Lock()
	calm = true
	mu.Unlock()
	for i := range parents {
		f.family(id(i), lodgings.Name(), i%2 == 1)
	}
}

// family judges a parent and its child once both have ended.
func (f *fleet) family(id saga.ID, childType string, declined bool) {
	f.Helper()
	childID := saga.ID{Tenant: id.Tenant, Type: childType, Key: id.Type + "/" + id.Key + "/1/0"}
	var parent, child saga.Record
	f.eventually(fmt.Sprint(id, " and its child end"), func() bool {
		var found, born bool
		var err, lost error
		parent, found, err = f.store.Load(f.Context(), id)
		child, born, lost = f.store.Load(f.Context(), childID)
		return err == nil && lost == nil && found && born && parent.Status.Ended() && child.Status.Ended()
	})
	status, charged, held := saga.Completed, []string{"charge"}, []string{"hold"}
	if declined || parent.Status == saga.Compensated { // its attempts may have run out
		status, charged, held = saga.Compensated, []string{}, []string{}
	}
	require.Equal(f, status, parent.Status, "%s: %s", id, parent.Reason)
	require.Equal(f, status, child.Status, "%s: %s", childID, child.Reason)
	require.Equal(f, charged, f.world.holds(id), id)
	require.Equal(f, held, f.world.holds(childID), childID)
	for _, r := range []saga.Record{parent, child} {
		entries, err := f.store.History(f.Context(), r.ID, 0, 10_000)
		require.NoError(f, err)
		starts := 0
		for i, e := range entries {
			require.Equal(f, int64(i+1), e.Sequence, "each decided once")
			if e.Kind == "start" {
				starts++
			}
		}
		require.Equal(f, 1, starts, "%s begins once", r.ID)
		if r.ID == id {
			replays(f, tours, id, entries)
		} else {
			replays(f, lodgings, r.ID, entries)
		}
	}
}
