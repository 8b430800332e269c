package processtest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sagatest"
	"github.com/seed57833328/rondo/store"
)

// Home is what is tested.
type Home struct {
	// New makes an empty home that lasts as long as the test, and returns a name
	// for it.
	New func(t *testing.T) string
	// Open opens the home with that name. It is called in other processes too.
	Open func(ctx context.Context, name string) (Store, error)
	// Ledger is a table that handlers write to in transactions of the home, nil where
	// none can.
	Ledger *sagatest.Ledger
}

// Store is a home that can be closed.
type Store interface {
	saga.Store
	io.Closer
}

// roundsVariable says how often processes are killed.
const roundsVariable = "RONDO_SAGA_ROUNDS"

// bound ends a test of what would never happen. How long things take says nothing.
const bound = 2 * time.Minute

// Run runs the tests.
func Run(t *testing.T, home Home) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(r *rig)
	}{
		{"killed at any moment", killedTest},
		{"killed at any moment, with decisions and effects in one commit", dealsTest},
		{"a zombie is fenced", zombieTest},
		{"timers due while everything was down", timersTest},
		{"64 starts from several processes make one", startsTest},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &rig{T: t, ledger: home.Ledger, name: home.New(t), record: filepath.Join(t.TempDir(), "record")}
			s, err := home.Open(t.Context(), r.name)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			r.store = s
			test.run(r)
		})
	}
}

// rig is what a test works with: a home of its own and the record.
type rig struct {
	*testing.T
	name, record string
	store        saga.Store
	ledger       *sagatest.Ledger
}

// spawn starts a worker on the home.
func (r *rig) spawn(given task, kills int) *process {
	r.Helper()
	given.Home, given.Record = r.name, r.record
	return spawn(r.T, given, kills)
}

// eventually waits until it holds.
func (r *rig) eventually(what string, holds func() bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), bound)
	defer cancel()
	for !holds() {
		if err := store.Sleep(ctx, 5*time.Millisecond); err != nil {
			r.Fatalf("%s: it never came to that", what)
		}
	}
}

// allEnd waits until no saga is under way. What waits is looked at first: the start of
// a process that was killed becomes a saga, and not the other way round.
func (r *rig) allEnd() {
	r.Helper()
	r.eventually("all sagas end", func() bool {
		waiting, err := r.store.Inbox(r.Context(), shards(), 1)
		if err != nil || len(waiting) > 0 {
			return false
		}
		left, err := r.store.List(r.Context(), saga.Query{
			Statuses: []saga.Status{saga.Running, saga.Compensating, saga.Stuck, saga.Paused}, Limit: 1,
		})
		return err == nil && len(left) == 0
	})
}

// shards are all there are.
func shards() (all []saga.Shard) {
	for i := range saga.Shards {
		all = append(all, saga.Shard{Type: errands.Name(), Number: i}, saga.Shard{Type: deals.Name(), Number: i})
	}
	return all
}

// rounds is how often processes are killed.
func rounds(t *testing.T) int {
	t.Helper()
	const usual, short = 10, 4
	if text, is := os.LookupEnv(roundsVariable); is {
		n, err := strconv.Atoi(text)
		require.NoError(t, err, roundsVariable)
		return n
	}
	if testing.Short() {
		return short
	}
	return usual
}

// killedTest kills processes in the midst of all they do.
func killedTest(r *rig) {
	kills, accepted := r.massacre(task{})
	v := judge(r.T, r.store, r.record, accepted)
	r.Logf("%d processes were killed; %d sagas, of which %d were accepted; %d effects, of which %d were done again, under the same key",
		kills, v.sagas, len(accepted), len(v.times), v.repeated)
	require.Positive(r, v.sagas)
}

// massacre has two workers killed, one, the other or both, by others or by
// themselves, and started again under their names, and lets all sagas end. It returns
// the keys of those whose start was accepted.
func (r *rig) massacre(of task) (kills int, accepted map[string]bool) {
	accepted = map[string]bool{}
	workers := map[string]*process{}
	lives := 0
	bury := func(p *process) {
		p.killed()
		kills++
		for _, key := range p.lines(started) {
			accepted[key] = true
		}
	}
	live := func(name string, dies bool) {
		lives++
		given := of
		given.Worker, given.Clients, given.Life = name, 4, lives
		at := 0
		if dies {
			at = 1 + rand.IntN(150) //nolint:gosec // any moment
			if rand.IntN(2) == 0 {  //nolint:gosec // either way
				given.Dies, at = at, 0
			}
		}
		workers[name] = r.spawn(given, at)
	}
	live("a", false)
	live("b", false)
	for range rounds(r.T) {
		var names []string
		switch rand.IntN(3) { //nolint:gosec // any of them
		case 0:
			names = []string{"a"}
		case 1:
			names = []string{"b"}
		default:
			names = []string{"a", "b"}
		}
		for _, name := range names { // those that live are killed here and now
			p := workers[name]
			p.await(ready)
			_ = p.cmd.Process.Kill() // it has not ended
			bury(p)
			live(name, true) // and the next somewhere on its way
		}
		for _, name := range names {
			bury(workers[name])
			live(name, false)
		}
	}
	for _, p := range workers {
		p.await(ready)
		p.tell(rest)
	}
	for _, p := range workers { // a start on its way is in no list yet
		p.await(rested)
	}
	r.allEnd()
	for _, p := range workers {
		for _, key := range p.lines(started) {
			accepted[key] = true
		}
		p.end()
	}
	return kills, accepted
}

// zombieTest stops a worker between a decision and its commit. Another takes over,
// and the first goes on as if nothing had been.
func zombieTest(r *rig) {
	const key = string(hanging) + "-1"
	id := errands.ID(key)
	a := r.spawn(task{Worker: "a", Hangs: true}, 0)
	a.await(ready)
	client, err := saga.New(r.store, saga.Config{Poll: poll}, errands)
	require.NoError(r, err)
	defer func() { require.NoError(r, client.Shutdown(context.WithoutCancel(r.Context()))) }()
	_, err = client.Start(r.Context(), id, begin{})
	require.NoError(r, err)
	a.await(hangs)
	a.tell(calm)
	a.await(calmed)
	a.stop()
	stopped := time.Now()
	b := r.spawn(task{Worker: "b"}, 0)
	end, err := client.Wait(r.Context(), id)
	require.NoError(r, err)
	require.Equal(r, saga.Completed, end.Status)
	r.Logf("the saga went on and ended %v after its worker stood still; the lease is %v", time.Since(stopped).Round(time.Millisecond), lease)
	before := len(a.lines(decided))
	a.resume()
	a.tell(goOn)
	require.Equal(r, key+" "+saga.Fenced.String(), a.await(judged))
	// It works again, beside the other: what is started now ends.
	for i := range 8 {
		h, err := client.Start(r.Context(), errands.ID(fmt.Sprint(happy, "-", i)), begin{})
		require.NoError(r, err)
		_, err = h.Wait(r.Context())
		require.NoError(r, err)
	}
	r.allEnd()
	a.end()
	b.end()
	require.NotContains(r, a.lines(decided)[before:], key, "it has decided on what is another's")
	v := judge(r.T, r.store, r.record, map[string]bool{key: true})
	require.Len(r, v.by[id.String()+"/2/0"], 2, "each has charged the card, under the same key")
	record, found, err := r.store.Load(r.Context(), id)
	require.NoError(r, err)
	require.True(r, found)
	require.EqualValues(r, 4, record.Sequence, "a start and three replies")
}

// timersTest has timers run out while no process is there.
func timersTest(r *rig) {
	const sagas = 40
	a := r.spawn(task{Worker: "a"}, 0)
	a.await(ready)
	client, err := saga.New(r.store, saga.Config{Poll: poll}, errands)
	require.NoError(r, err)
	defer func() { require.NoError(r, client.Shutdown(context.WithoutCancel(r.Context()))) }()
	accepted := map[string]bool{}
	var group sync.WaitGroup
	for i := range sagas {
		key := fmt.Sprint(happy, "-", i)
		accepted[key] = true
		group.Go(func() {
			if _, err := client.Start(r.Context(), errands.ID(key), begin{Wait: 5*time.Second + time.Duration(i)*time.Millisecond}); err != nil {
				r.Errorf("start %s: %v", key, err)
			}
		})
	}
	group.Wait()
	_ = a.cmd.Process.Kill() // it has not ended
	a.killed()
	waited := 0
	r.eventually("all timers run out", func() bool {
		due, err := r.store.Due(r.Context(), shards(), saga.Due{}, 2*sagas)
		waited = len(due)
		return err == nil && len(due) > 0 && time.Now().After(due[len(due)-1].At)
	})
	b, c := r.spawn(task{Worker: "b"}, 0), r.spawn(task{Worker: "c"}, 0)
	r.allEnd()
	b.end()
	c.end()
	judge(r.T, r.store, r.record, accepted)
	for key := range accepted {
		entries, err := r.store.History(r.Context(), errands.ID(key), 0, 100)
		require.NoError(r, err)
		fired := 0
		for _, e := range entries {
			if e.Kind == "timer" {
				fired++
			}
		}
		require.Equal(r, 1, fired, key)
	}
	r.Logf("%d timers ran out while everything was down", waited)
}

// startsTest has one errand started at once, often, by workers of several
// processes.
func startsTest(r *rig) {
	const processes, starts = 4, 16
	var workers []*process
	for i := range processes {
		workers = append(workers, r.spawn(task{Worker: fmt.Sprint("w", i), Starts: starts}, 0))
	}
	for _, p := range workers {
		p.await(ready)
	}
	for _, p := range workers {
		p.tell(goOn)
	}
	made := 0
	for _, p := range workers {
		r.eventually("all starts return", func() bool { return len(p.lines(started))+len(p.lines(existing)) == starts })
		made += len(p.lines(started))
	}
	require.Equal(r, 1, made)
	r.allEnd()
	for _, p := range workers {
		p.end()
	}
	v := judge(r.T, r.store, r.record, map[string]bool{string(happy) + "-one": true})
	require.Equal(r, 1, v.sagas)
}
