package processtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/store"
)

// taskVariable makes a process of the test binary a worker.
const taskVariable = "RONDO_SAGA_PROCESS"

// task is what such a process does.
type task struct {
	Home   string // for Home.Open
	Record string // the file
	Worker string
	// Clients start sagas, one after another each, until they are told to rest.
	Clients int
	// Life tells apart the processes that have been that worker.
	Life int
	// Dies is at which line the process kills itself, 0 if it does not.
	Dies int
	// Hangs has the commit wait that says that a hanging errand's card is charged.
	Hangs bool
	// Deals has it run deals instead of errands.
	Deals bool
	// Starts is how often the process starts one and the same errand at once,
	// when it is told to go.
	Starts int
}

// What a worker is told, a line each. When the lines end, so does it.
const (
	rest  = "rest" // start no more sagas
	calm  = "calm" // be at work at nothing in the home, until told to go on
	goOn  = "go"   // what hangs goes on; the starts begin
	leave = "end"  // shut down
)

// What a worker tells, a line each with the key of a saga.
const (
	ready    = "ready" // it works
	started  = "started"
	existing = "existing"
	rested   = "rested" // it was told to, and all that it has started has ended
	calmed   = "calmed" // it was told to
	doing    = "doing"  // an effect is about to be noted
	done     = "done"   // it was noted
	decided  = "decided"
	hangs    = "hangs"   // the commit waits
	judged   = "verdict" // of that commit
)

// Main is for TestMain: it runs the tests, or in a process that [Run] has started
// what that is to do. It does not return.
func Main(m *testing.M, home Home) {
	text, is := os.LookupEnv(taskVariable)
	if !is {
		os.Exit(m.Run())
	}
	var t task
	err := json.Unmarshal([]byte(text), &t)
	if err == nil {
		err = work(context.Background(), home, t)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker", t.Worker, "life", t.Life, ":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// worker is such a process.
type worker struct {
	task   task
	record record
	runner *saga.Runner

	mu   sync.Mutex
	told int // lines

	resting chan struct{}
	going   chan struct{}
	writes  sync.RWMutex // held for reading by who changes a lingering home
}

// tell writes a line, by one call of the system.
func (w *worker) tell(what, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Println(what, key)
	if w.told++; w.told == w.task.Dies {
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill() // it ends in no orderly way
		}
	}
}

func work(ctx context.Context, home Home, t task) (err error) {
	record, err := openRecord(t.Record)
	if err != nil {
		return err
	}
	s, err := home.Open(ctx, t.Home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	w := &worker{task: t, record: record, resting: make(chan struct{}), going: make(chan struct{})}
	var h saga.Store = s
	if t.Hangs {
		h = lingering{s, w}
	}
	var runs saga.Saga = errands
	does := handlers(w.note)
	if t.Deals {
		runs, does = deals, dealHandlers(home.Ledger, s, w.tell)
	}
	w.runner, err = saga.New(h, saga.Config{
		Worker: t.Worker, Handlers: does, Heartbeat: heartbeat, Lease: lease, Poll: poll,
		Sweep: time.Second, Resident: 100 * time.Millisecond, StuckAfter: 1000, StoreTimeout: bound,
		Hooks: saga.Hooks{
			Decided: func(id saga.ID, _ string, _ saga.Status, _ int64) { w.tell(decided, id.Key) },
			Refused: func(id saga.ID, message string, err error) {
				fmt.Fprintln(os.Stderr, "worker", t.Worker, "refused", id, message, err)
			},
			Stuck: func(id saga.ID, reason, _ string) { fmt.Fprintln(os.Stderr, "worker", t.Worker, "stuck", id, reason) },
		},
	}, runs)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- w.runner.Run(ctx) }()
	clients, cancel := context.WithCancel(ctx)
	defer cancel()
	var resting, group sync.WaitGroup
	for n := range t.Clients {
		resting.Go(func() { w.client(clients, n) })
	}
	group.Go(func() {
		resting.Wait()
		w.tell(rested, t.Worker)
	})
	for range t.Starts {
		group.Go(func() {
			<-w.going
			w.start(clients, string(happy)+"-one", begin{})
		})
	}
	w.tell(ready, t.Worker)
	if err := w.obey(); err != nil {
		return err
	}
	cancel()
	group.Wait()
	patience, giveUp := context.WithTimeout(ctx, bound)
	defer giveUp()
	return errors.Join(w.runner.Shutdown(patience), <-ended)
}

// Times of workers: short, for what is tested is what happens when they have
// passed.
const (
	heartbeat = 200 * time.Millisecond
	lease     = time.Second
	poll      = 20 * time.Millisecond
)

// obey does as it is told, until it is told to end.
func (w *worker) obey() error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case rest:
			close(w.resting)
		case calm:
			w.writes.Lock()
			w.tell(calmed, w.task.Worker)
		case goOn:
			if w.task.Hangs {
				w.writes.Unlock()
			}
			close(w.going)
		case leave:
			return nil
		}
	}
	return errors.Join(errors.New("whoever has started this process is gone"), lines.Err())
}

// client starts errands and waits for their ends.
func (w *worker) client(ctx context.Context, n int) {
	for i := 0; ; i++ {
		select {
		case <-w.resting:
			return
		case <-ctx.Done():
			return
		default:
		}
		way := []way{happy, happy, declined, broken}[rand.IntN(4)] //nolint:gosec // nothing depends on it
		key := fmt.Sprintf("%s-%s-%d-%d-%d", way, w.task.Worker, w.task.Life, n, i)
		if w.start(ctx, key, begin{Wait: time.Duration(rand.IntN(2)) * 10 * time.Millisecond}) { //nolint:gosec // nothing depends on it
			_, _ = w.runner.Wait(ctx, w.id(key)) // the judge sees what became of it
		}
	}
}

// id is that of a saga with a key.
func (w *worker) id(key string) saga.ID {
	if w.task.Deals {
		return deals.ID(key)
	}
	return errands.ID(key)
}

// start starts a saga, however often it takes, and tells when it was accepted.
func (w *worker) start(ctx context.Context, key string, a begin) bool {
	for ctx.Err() == nil {
		h, err := w.runner.Start(ctx, w.id(key), a)
		switch {
		case err != nil:
			_ = store.Sleep(ctx, poll)
			continue
		case h.Existing:
			w.tell(existing, key)
		default:
			w.tell(started, key)
		}
		return true
	}
	return false
}

// note notes an effect, and says before and after that it does.
func (w *worker) note(ctx context.Context, request string) error {
	key := keyOf(saga.EffectID(ctx))
	w.tell(doing, key+" "+request)
	err := w.record.note(ctx, request)
	w.tell(done, key+" "+request)
	return err
}

// lingering is a home that is long in coming to one commit. It can be calmed: a
// process that is stopped in the midst of a change keeps others from theirs, with the
// lock of a SQLite file or those of rows.
type lingering struct {
	saga.Store

	worker *worker
}

func (l lingering) Commit(ctx context.Context, changes []saga.Change) ([]saga.Verdict, error) {
	at := slices.IndexFunc(changes, func(c saga.Change) bool {
		return wayOf(c.Record.ID.Key) == hanging && c.Record.Sequence == chargedAt
	})
	if at < 0 {
		return change(l, func() ([]saga.Verdict, error) { return l.Store.Commit(ctx, changes) })
	}
	key := changes[at].Record.ID.Key
	l.worker.tell(hangs, key)
	<-l.worker.going
	verdicts, err := l.Store.Commit(ctx, changes)
	if err == nil {
		l.worker.tell(judged, key+" "+verdicts[at].String())
	}
	return verdicts, err
}

func (l lingering) Post(ctx context.Context, m saga.Message) error {
	return l.change(func() error { return l.Store.Post(ctx, m) })
}

func (l lingering) Discard(ctx context.Context, positions []int64) error {
	return l.change(func() error { return l.Store.Discard(ctx, positions) })
}

func (l lingering) Join(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Worker, error) {
	return change(l, func() (saga.Worker, error) { return l.Store.Join(ctx, w, ttl) })
}

func (l lingering) Beat(ctx context.Context, w saga.Worker, ttl time.Duration) (saga.Fleet, error) {
	return change(l, func() (saga.Fleet, error) { return l.Store.Beat(ctx, w, ttl) })
}

func (l lingering) Claim(ctx context.Context, w saga.Worker, leases []saga.Lease) ([]saga.Lease, error) {
	return change(l, func() ([]saga.Lease, error) { return l.Store.Claim(ctx, w, leases) })
}

func (l lingering) Release(ctx context.Context, w saga.Worker, leases []saga.Lease) error {
	return l.change(func() error { return l.Store.Release(ctx, w, leases) })
}

func (l lingering) Leave(ctx context.Context, w saga.Worker) error {
	return l.change(func() error { return l.Store.Leave(ctx, w) })
}

func (l lingering) change(do func() error) error {
	_, err := change(l, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

// change does what changes the home, unless that is calmed.
func change[R any](l lingering, do func() (R, error)) (R, error) {
	l.worker.writes.RLock()
	defer l.worker.writes.RUnlock()
	return do()
}

// chargedAt is the sequence of the decision that the card is charged: it follows
// the start and the reply of the hold.
const chargedAt = 3
