package sagatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// RunSagas runs sagas on a home, in real time, and judges them by a record that
// is kept outside. Each part has a store of its own.
func RunSagas(t *testing.T, home Home) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(f *fleet)
	}{
		{"to the end", endTest},
		{"64 starts make one", startsTest},
		{"timers outlive everything", timersTest},
		{"messages from elsewhere", messagesTest},
		{"faults around every step", faultsTest},
		{"crashes around every step", crashesTest},
		{"a cancel at every step", cancelsTest},
		{"another worker takes over", takeoverTest},
		{"a zombie is fenced", zombieTest},
		{"two operators at once", operatorsTest},
		{"an operator while another is taken note of", noteTest},
		{"children of any worker", childrenTest},
		{"chaos", chaosTest},
		{"chains are as separate commits", sameTest},
		{"chains are bounded", depthTest},
		{"chains are not seen before they are committed", unseenTest},
		{"faults around every chain", chainFaultsTest},
		{"an operator while a chain is at work", movedTest},
		{"inputs while a chain is at work", meanwhileTest},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(newFleet(t, home, trips))
		})
	}
}

// fleet is some processes on one home.
type fleet struct {
	*testing.T
	home  Home
	store saga.Store
	world *world
	sagas []saga.Saga // that its processes run
	// lease is that of its workers. Only where one is to take over from another it is
	// brief: on a machine that is busy with something else for that long, a worker loses
	// what it has for no other reason, and does again what it has begun.
	lease time.Duration
}

func newFleet(t *testing.T, home Home, sagas ...saga.Saga) *fleet {
	t.Helper()
	return &fleet{T: t, home: home, store: home.Open(t), world: newWorld(), sagas: sagas, lease: time.Minute}
}

// brief is a lease that runs out soon.
const brief = 500 * time.Millisecond

// process is one of them.
type process struct {
	fleet  *fleet
	link   *link
	leave  func() // closes its store, if that is its own
	runner *saga.Runner
	kill   context.CancelFunc
	ended  chan struct{}
}

// start starts a process that runs sagas. It is shut down when the test ends.
func (f *fleet) start(worker string) *process {
	f.Helper()
	p := f.prepare(worker)
	p.run()
	return p
}

// prepare makes a process that is to be run.
func (f *fleet) prepare(worker string) *process {
	f.Helper()
	s, leave := f.share()
	p := &process{fleet: f, link: &link{Store: s}, leave: leave, ended: make(chan struct{})}
	var err error
	p.runner, err = saga.New(p.link, saga.Config{
		Worker: worker, Handlers: f.world.handlers(),
		Heartbeat: 100 * time.Millisecond, Lease: f.lease,
		Poll: 10 * time.Millisecond, Sweep: time.Second, Resident: 200 * time.Millisecond, StuckAfter: 100,
	}, f.sagas...)
	require.NoError(f, err)
	return p
}

// share is the store as a process has it, and what closes that when the process ends.
// How many processes a test goes through depends on how long it takes, and a server
// has only so many connections.
func (f *fleet) share() (s saga.Store, leave func()) {
	f.Helper()
	if f.home.Share == nil {
		return f.store, func() {}
	}
	s = f.home.Share(f.T, f.store)
	return s, func() {
		if err := f.home.Close(s); err != nil {
			f.Errorf("close the store of a process: %v", err)
		}
	}
}

func (p *process) run() {
	ctx, kill := context.WithCancel(context.Background())
	p.kill = kill
	ended := p.ended
	go func() {
		defer close(ended)
		_ = p.runner.Run(ctx) // what it ends with says nothing here
	}()
	p.fleet.Cleanup(p.close)
}

func (p *process) close() {
	if p.ended == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = p.runner.Shutdown(ctx)
	p.kill()
	<-p.ended
	p.ended = nil
	p.leave()
}

// crash ends a process whose last words are lost.
func (p *process) crash() {
	p.link.cut()
	p.kill()
	<-p.ended
	p.ended = nil
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.runner.Shutdown(gone)
	p.leave()
}

// book starts a saga, however often it takes.
func (p *process) book(id saga.ID, a book) {
	f := p.fleet
	f.Helper()
	f.eventually("start "+id.String(), func() bool {
		ctx, cancel := context.WithTimeout(f.Context(), 10*time.Second)
		defer cancel()
		_, err := p.runner.Start(ctx, id, a)
		return err == nil
	})
}

// eventually waits until it holds. The bound is for what would never hold.
func (f *fleet) eventually(what string, holds func() bool) {
	f.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > 2*time.Minute {
			f.Fatalf("%s: it never came to that", what)
		}
		if err := store.Sleep(f.Context(), 2*time.Millisecond); err != nil {
			f.Fatalf("%s: %v", what, err)
		}
	}
}

// ended waits until a saga has ended, and judges it.
func (f *fleet) ended(id saga.ID) saga.Record {
	f.Helper()
	var r saga.Record
	f.eventually(id.String()+" ends", func() bool {
		var found bool
		var err error
		r, found, err = f.store.Load(f.Context(), id)
		return err == nil && found && r.Status.Ended()
	})
	want := []string{"charge", "confirm", "hold"}
	if r.Status == saga.Compensated {
		want = []string{}
	}
	require.Equal(f, want, f.world.holds(id), "%s is %s (%s)", id, r.Status, r.Reason)
	entries, err := f.store.History(f.Context(), id, 0, 10_000)
	require.NoError(f, err)
	decided := 0
	for i, e := range entries {
		require.Equal(f, int64(i+1), e.Sequence, "each decided once")
		if e.Sequence > r.Sequence {
			require.Contains(f, []string{"late", "refused"}, e.Kind, "what has come since the saga ended")
		}
		if e.Kind == "start" || e.Kind == "reply" || e.Kind == "timer" {
			decided++
		}
	}
	require.GreaterOrEqual(f, int64(len(entries)), r.Sequence)
	replays(f, trips, id, entries)
	if r.Status == saga.Completed {
		require.LessOrEqual(f, decided, 5, "a start, a timer, and three replies at most")
	}
	require.Empty(f, f.world.unstable(), "requests made under several keys")
	return r
}

// replays replays a history, which must not drift.
func replays[S, A any](f *fleet, d *saga.Definition[S, A], id saga.ID, history []saga.Entry) {
	f.Helper()
	drift, err := d.Replay(id, history)
	require.NoError(f, err)
	require.Nil(f, drift, "%s: %+v", id, drift)
}

func endTest(f *fleet) {
	f.world.before = func(_ context.Context, request, key string) error {
		if request == "charge" && key == "trip/declined/2/0" {
			return f.world.refuse(key)
		}
		return nil
	}
	p := f.start("a")
	for _, key := range []string{"ann", "declined"} {
		p.book(trips.ID(key), book{})
	}
	require.Equal(f, saga.Completed, f.ended(trips.ID("ann")).Status)
	r := f.ended(trips.ID("declined"))
	require.Equal(f, saga.Compensated, r.Status)
	require.Equal(f, "refused", r.Reason)
}

func startsTest(f *fleet) {
	processes := []*process{f.start("a"), f.start("b"), f.start("c"), f.start("d")}
	var group sync.WaitGroup
	made := make(chan int, 64)
	for i := range 64 {
		group.Go(func() {
			h, err := processes[i%4].runner.Start(f.Context(), trips.ID("ann"), book{})
			if err != nil {
				f.Errorf("start: %v", err)
			}
			if !h.Existing {
				made <- i
			}
		})
	}
	group.Wait()
	require.Len(f, made, 1)
	f.ended(trips.ID("ann"))
}

func timersTest(f *fleet) {
	p := f.start("a")
	const sagas = 30
	for i := range sagas {
		p.book(trips.ID(fmt.Sprint(i)), book{Wait: time.Duration(1+i*20) * time.Millisecond})
	}
	p.crash()
	f.start("a")
	for i := range sagas {
		require.Equal(f, saga.Completed, f.ended(trips.ID(fmt.Sprint(i))).Status)
	}
}

func messagesTest(f *fleet) {
	f.start("a")
	client, err := saga.New(f.store, saga.Config{Poll: 10 * time.Millisecond}, trips)
	require.NoError(f, err)
	id := trips.ID("ann")
	require.ErrorIs(f, client.Signal(f.Context(), id, "m", note{"x"}), saga.ErrNotFound)
	h, err := client.Start(f.Context(), id, book{Wait: time.Hour})
	require.NoError(f, err)
	require.False(f, h.Existing)
	var want []string
	for i := range 20 {
		for range 2 { // each comes twice
			require.NoError(f, client.Signal(f.Context(), id, fmt.Sprint("m", i), note{fmt.Sprint(i)}))
		}
		want = append(want, fmt.Sprint(i))
	}
	f.eventually("all messages are taken", func() bool {
		s, err := client.State(f.Context(), id)
		if err != nil {
			return false
		}
		state, err := trips.State(s)
		return err == nil && slices.Equal(want, state.Notes)
	})
	require.NoError(f, client.Cancel(f.Context(), id, "enough"))
	end, err := h.Wait(f.Context())
	require.NoError(f, err)
	require.Equal(f, saga.Compensated, end.Status)
	f.eventually("the inbox is empty", func() bool {
		left, err := f.store.Inbox(f.Context(), []saga.Shard{id.Shard()}, 10)
		return err == nil && len(left) == 0
	})
	require.NoError(f, client.Shutdown(f.Context()))
}

// hang has the first charge of a saga stand still until its process ends.
func (f *fleet) hang(id saga.ID) (reached <-chan struct{}) {
	at := make(chan struct{})
	var once sync.Once
	f.world.before = func(ctx context.Context, request, key string) error {
		first := false
		if request == "charge" && key == id.String()+"/2/0" {
			once.Do(func() { first = true })
		}
		if first {
			close(at)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	return at
}

func takeoverTest(f *fleet) {
	f.lease = brief
	id := trips.ID("ann")
	reached := f.hang(id)
	a := f.start("a")
	a.book(id, book{})
	<-reached
	f.start("b")
	a.crash()
	require.Equal(f, saga.Completed, f.ended(id).Status)
}

func zombieTest(f *fleet) {
	f.lease = brief
	id := trips.ID("ann")
	release := make(chan struct{})
	reached := make(chan struct{})
	var once sync.Once
	f.world.after = func(_ context.Context, request, _ string) error {
		first := false
		if request == "charge" {
			once.Do(func() { first = true })
		}
		if first {
			close(reached)
			<-release // its process does not go on meanwhile
		}
		return nil
	}
	a := f.start("a")
	a.book(id, book{})
	<-reached
	a.link.mu.Lock() // nothing of it reaches the store
	f.start("b")
	f.ended(id)
	a.link.mu.Unlock()
	close(release)
	f.eventually("the zombie is a worker again", func() bool {
		w, err := f.store.Join(f.Context(), saga.Worker{ID: "spy", Types: []string{"trip"}}, time.Second)
		if err != nil {
			return false
		}
		seen, err := f.store.Beat(f.Context(), w, time.Second)
		if err != nil {
			return false
		}
		owned := 0
		for _, l := range seen.Leases {
			if l.Owner == "a" {
				owned++
			}
		}
		return f.store.Leave(f.Context(), w) == nil && owned > 0
	})
	f.ended(id)
}

func operatorsTest(f *fleet) {
	f.world.before = func(_ context.Context, request, key string) error {
		if request == "charge" {
			return f.world.refuse(key)
		}
		return nil
	}
	p := f.start("a")
	id := trips.ID("ann")
	p.book(id, book{Wait: time.Hour})
	by := func(i int) saga.By { return saga.By{Actor: fmt.Sprint("operator ", i), Reason: "a test"} }
	_, err := p.runner.Pause(f.Context(), id, by(0))
	require.NoError(f, err)
	var group sync.WaitGroup
	outcomes := make(chan error, 8)
	for i := range 8 {
		group.Go(func() {
			_, err := saga.NewOperator(f.store).Resume(f.Context(), id, by(i))
			outcomes <- err
		})
	}
	group.Wait()
	close(outcomes)
	won := 0
	for err := range outcomes {
		if err == nil {
			won++
		} else if !errors.Is(err, saga.ErrRefused) {
			f.Errorf("resume: %v", err)
		}
	}
	require.Equal(f, 1, won)
	require.NoError(f, p.runner.Cancel(f.Context(), id, "enough"))
	require.Equal(f, saga.Compensated, f.ended(id).Status)
}

// noteTest has an operator change a saga that its worker has just read again, as
// another had changed it, while the message of that is still there.
func noteTest(f *fleet) {
	f.world.before = func(_ context.Context, request, key string) error {
		if request == "charge" {
			return f.world.refuse(key)
		}
		return nil
	}
	id := trips.ID("ann")
	by := saga.By{Actor: "operator", Reason: "a test"}
	operator := saga.NewOperator(f.store)
	read, resumed := make(chan struct{}), make(chan error, 1)
	var first, once sync.Once
	var pausing atomic.Bool
	p := f.prepare("a")
	p.link.loaded = func() {
		if pausing.Load() {
			first.Do(func() { close(read) })
		}
	}
	p.link.discards = func() {
		once.Do(func() {
			<-read
			_, err := operator.Resume(f.Context(), id, by)
			resumed <- err
		})
	}
	p.run()
	p.book(id, book{Wait: time.Hour})
	pausing.Store(true)
	_, err := operator.Pause(f.Context(), id, by)
	require.NoError(f, err)
	require.NoError(f, <-resumed)
	require.NoError(f, p.runner.Cancel(f.Context(), id, "enough"))
	require.Equal(f, saga.Compensated, f.ended(id).Status)
}

// chaosTest has processes crash, and the store and the world fail, while sagas
// run, and then lets all come to rest.
func chaosTest(f *fleet) {
	f.lease = brief
	var mu sync.Mutex
	luck := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable as far as it goes
	calm := false
	chance := func(of int) bool {
		mu.Lock()
		defer mu.Unlock()
		return !calm && luck.IntN(of) == 0
	}
	f.world.before = func(ctx context.Context, request, key string) error {
		switch {
		case chance(10):
			return errors.New("down")
		case chance(15) && (request == "hold" || request == "charge"):
			return f.world.refuse(key)
		case chance(9):
			return store.Sleep(ctx, 20*time.Millisecond)
		}
		return nil
	}
	f.world.after = func(context.Context, string, string) error {
		if chance(10) {
			return errors.New("answer lost")
		}
		return nil
	}
	flaky := func(p *process) *process {
		p.link.mu.Lock()
		defer p.link.mu.Unlock()
		p.link.fault = func(int, bool) error {
			if chance(25) {
				return errLink
			}
			return nil
		}
		return p
	}
	processes := []*process{flaky(f.start("a")), flaky(f.start("b")), flaky(f.start("c"))}
	const sagas = 120
	stop := make(chan struct{})
	var group sync.WaitGroup
	var ring sync.RWMutex // over processes
	for c := range 6 {
		group.Go(func() {
			for i := c; i < sagas; i += 6 {
				id := trips.ID(fmt.Sprint(i))
				for began := false; !began; {
					ring.RLock()
					p := processes[i%len(processes)]
					ring.RUnlock()
					ctx, cancel := context.WithTimeout(f.Context(), 2*time.Second)
					_, err := p.runner.Start(ctx, id, book{Wait: time.Duration(i%3) * 30 * time.Millisecond})
					began = err == nil
					if began && i%5 == 0 {
						_ = p.runner.Cancel(ctx, id, "changed my mind")
					}
					cancel()
				}
			}
		})
	}
	group.Go(func() {
		for n, before := 0, 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
			}
			for f.world.called() == before { // or a slow machine would come to nothing
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
			before = f.world.called()
			ring.Lock()
			i := n % len(processes)
			processes[i].crash()
			processes[i] = flaky(f.start(string("abcd"[n%4])))
			ring.Unlock()
		}
	})
	f.eventually("half of them have ended", func() bool {
		ended, err := f.store.List(f.Context(), saga.Query{
			Statuses: []saga.Status{saga.Completed, saga.Compensated}, Limit: sagas,
		})
		return err == nil && len(ended) >= sagas/2
	})
	close(stop)
	group.Wait()
	mu.Lock()
	calm = true
	mu.Unlock()
	completed := 0
	for i := range sagas {
		if f.ended(trips.ID(fmt.Sprint(i))).Status == saga.Completed {
			completed++
		}
	}
	require.Positive(f, completed)
	require.Less(f, completed, sagas)
}
