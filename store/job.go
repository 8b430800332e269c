package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// errExited is the result of a handler that ended its goroutine.
var errExited = errors.New("handler called runtime.Goexit")

// errNoOutcome is the result of a call that broke its contract to have one.
var errNoOutcome = errors.New("handler ended without a result")

// job is one attempt at an effect, and the context its handler is given. The
// context costs nothing until somebody waits for its end.
type job[S, A any] struct {
	store   *Store[S, A]
	task    engine.TaskID
	attempt int
	call    tree.Call[A]
	handler *tree.Handler // nil if there is none
	cause   engine.Cause

	// value and end go to the owner with a message, each its own.
	value, end tree.Outcome
	ack        Signal // fired when value has been reduced, nil if none is out

	// next is what begins when the job's end is reduced. Its goroutine, which has
	// reduced that, goes on with it, so that no other has to be woken.
	next work

	mu    sync.Mutex
	done  chan struct{}
	err   error
	after []*func() // in the order in which they were registered
	waits int       // of its goroutines, those that wait for a store
}

func (j *job[S, A]) emitted() tree.Outcome { return j.value }
func (j *job[S, A]) ended() tree.Outcome   { return j.end }

// execute carries out what the engine says.
func (s *Store[S, A]) execute() {
	if s.engine.Pending() {
		s.carryOut()
	}
}

func (s *Store[S, A]) carryOut() {
	commands := s.engine.Commands()
	for i := range commands {
		switch c := &commands[i]; c.Op {
		case engine.Start:
			s.startJob(c)
		case engine.Stop:
			if j := s.jobOf(c.Task); j != nil && j.attempt == c.Attempt {
				if c.Late {
					j.endContext(context.DeadlineExceeded)
				} else {
					j.cancel()
				}
			}
		case engine.Ack:
			if j := s.jobOf(c.Task); j != nil && j.attempt == c.Attempt {
				j.acknowledge()
			}
		case engine.Report:
			s.share()
			s.fault(c)
		}
		commands[i] = engine.Command[A]{}
	}
}

func (s *Store[S, A]) startJob(c *engine.Command[A]) {
	j := &job[S, A]{store: s, task: c.Task, attempt: c.Attempt, call: c.Call, cause: c.Cause}
	if t := c.Call.RequestType(); t != nil {
		j.handler = s.host.handlers[t]
	}
	i := slotOf(c.Task)
	for i >= len(s.jobs) {
		s.jobs = append(s.jobs, nil)
	}
	s.jobs[i] = j
	s.active++
	if c.Call.Kind() == tree.Stream {
		s.host.config.Runtime.Go(func() { j.run() })
		return
	}
	if h := j.handler; s.host.prompt && h != nil && h.Immediate && h.Wrapped == nil {
		j.run() // what it comes to waits behind what has come before
		return
	}
	s.share() // what was asked for before begins before
	if s.last != nil && s.outAt == len(s.out) && s.engine.Waiting() == 0 {
		s.last.next = j
		return
	}
	s.host.pool.submit(j)
}

// comesFrom says that the owner is the goroutine of that job. It can go on with
// another, unless it is none of the pool, or a simulation chooses who does what.
func (s *Store[S, A]) comesFrom(w worker) {
	j := w.(*job[S, A]) //nolint:forcetypeassert // its own jobs only
	if j.call.Kind() != tree.Stream && !s.host.simulated {
		s.last = j
	}
}

// share lets the pool have what the owner was to go on with, before it does something
// that may take time.
func (s *Store[S, A]) share() {
	if s.last != nil && s.last.next != nil {
		s.host.pool.submit(s.last.next)
		s.last.next = nil
	}
}

// slotOf is the part of a task's id that is small and used again.
func slotOf(id engine.TaskID) int { return int(uint32(id)) - 1 } //nolint:gosec // the low half

func (s *Store[S, A]) jobOf(id engine.TaskID) *job[S, A] {
	if i := slotOf(id); i < len(s.jobs) {
		if j := s.jobs[i]; j != nil && j.task == id {
			return j
		}
	}
	return nil
}

// fromJob lets the engine have what a job came to.
func (s *Store[S, A]) fromJob(m *message[A]) {
	j := m.job.(*job[S, A]) //nolint:forcetypeassert // its own jobs only
	if m.kind == isEmitted {
		if !s.engine.Emit(j.task, j.attempt, m.job.emitted()) {
			j.cancel()
		}
		return
	}
	s.active--
	if i := slotOf(j.task); s.jobs[i] == j {
		s.jobs[i] = nil
	}
	s.engine.Settle(j.task, j.attempt, m.job.ended())
}

// run does the work on a goroutine of its own or the pool's.
func (j *job[S, A]) run() (next work) {
	returned := false
	defer func() {
		if !returned { // only a Goexit leads here
			if next := j.finish(errExited); next != nil {
				j.store.host.pool.submit(next)
			}
		}
	}()
	j.work()
	returned = true
	return j.finish(errNoOutcome)
}

// finish hands the store the job's end, which is err if there is none. It returns
// what the goroutine is to go on with.
func (j *job[S, A]) finish(err error) (next work) {
	if j.end == nil {
		j.end, _ = j.call.Outcome(nil, err)
	}
	j.cancel() // what the handler left behind holds on to nothing
	j.store.post(message[A]{job: j, kind: isEnded})
	next, j.next = j.next, nil
	return next
}

func (j *job[S, A]) work() {
	h := j.store.host
	if j.Err() != nil { // cancelled before it began
		j.end, _ = j.call.Outcome(nil, context.Canceled)
		return
	}
	hooks := &h.config.Hooks
	if hooks.EffectContext == nil && hooks.EffectEnded == nil {
		j.end = j.invoke(j)
		return
	}
	info := j.info()
	var ctx context.Context = j
	if hooks.EffectContext != nil {
		h.guard(func() {
			if c := hooks.EffectContext(j, info); c != nil {
				ctx = c
			}
		})
	}
	began := h.config.Runtime.Now()
	end := j.invoke(ctx)
	if hooks.EffectEnded != nil {
		err := end.Err()
		if j.call.Kind() == tree.Stream && isEnd(err) {
			err = nil
		}
		h.guard(func() { hooks.EffectEnded(ctx, info, h.config.Runtime.Now().Sub(began), err) })
	}
	j.end = end
}

func (j *job[S, A]) invoke(ctx context.Context) tree.Outcome {
	if j.call.Kind() == tree.Stream {
		return j.call.Invoke(ctx, j.handler, j.emit)
	}
	return j.call.Invoke(ctx, j.handler, nil) // sparing the method value
}

func (j *job[S, A]) info() EffectInfo {
	return EffectInfo{
		Store: j.store.host.config.Name, Key: j.store.key, Kind: kindOf(j.call), Name: j.call.Name(),
		Request: j.call.Request(), Attempt: j.attempt, Meta: j.meta(),
	}
}

// meta is that of the action that asked.
func (j *job[S, A]) meta() reducer.Meta { return j.store.engine.Meta(j.cause.Parent, j.cause) }

// emit hands a stream's value to the store and waits until it has been reduced.
func (j *job[S, A]) emit(o tree.Outcome) bool {
	ack := j.store.host.config.Runtime.NewSignal()
	j.mu.Lock()
	if j.err != nil {
		j.mu.Unlock()
		return false
	}
	j.value, j.ack = o, ack
	j.mu.Unlock()
	if !j.store.post(message[A]{job: j, kind: isEmitted}) {
		return false
	}
	_ = ack.Wait(context.Background()) // cancel fires it too
	return j.Err() == nil
}

func (j *job[S, A]) acknowledge() {
	j.mu.Lock()
	ack := j.ack
	j.mu.Unlock()
	if ack != nil {
		ack.Fire()
	}
}

// join counts one more in the track of the job's action, while the job counts.
func (j *job[S, A]) join() *engine.Track {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil
	}
	j.cause.Track.Add()
	return j.cause.Track
}

// block gives up the job's place in the pool while one of its goroutines waits.
func (j *job[S, A]) block() (unblock func()) {
	j.count(1)
	return func() { j.count(-1) }
}

func (j *job[S, A]) count(n int) {
	j.mu.Lock()
	before := j.waits
	j.waits += n
	after := j.waits
	j.mu.Unlock()
	switch {
	case before == 0:
		j.store.host.pool.block()
	case after == 0:
		j.store.host.pool.unblock()
	}
}

// cancel ends the job's context.
func (j *job[S, A]) cancel() { j.endContext(context.Canceled) }

func (j *job[S, A]) endContext(err error) {
	j.mu.Lock()
	if j.err != nil {
		j.mu.Unlock()
		return
	}
	j.err = err
	if j.done == nil {
		j.done = closedChan
	} else {
		close(j.done)
	}
	after, ack := j.after, j.ack
	j.after = nil
	j.mu.Unlock()
	for _, f := range after {
		j.store.host.config.Runtime.Go(*f)
	}
	if ack != nil {
		ack.Fire()
	}
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Deadline tells of none: a timeout's end is told by Done.
func (j *job[S, A]) Deadline() (deadline time.Time, ok bool) { return deadline, false }

// Done is closed when the effect is cancelled, its attempt has timed out or the
// handler has returned.
func (j *job[S, A]) Done() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.done == nil {
		j.done = make(chan struct{})
	}
	return j.done
}

// Err is context.Canceled when Done is closed, context.DeadlineExceeded if that
// was because the attempt has timed out.
func (j *job[S, A]) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Value has what a handler's sends carry on: metadata, track, runtime and pool.
func (j *job[S, A]) Value(key any) any {
	switch key.(type) {
	case trackKey:
		if j.cause.Track != nil {
			return j
		}
	case poolKey:
		if j.call.Kind() != tree.Stream {
			return j
		}
	case runtimeKey:
		return j.store.host.config.Runtime
	default:
		if key == reducer.MetaKey() {
			return j.meta
		}
	}
	return nil
}

// AfterFunc runs f when the context ends; package context uses it for contexts
// derived from this one, which then cost no goroutine.
func (j *job[S, A]) AfterFunc(f func()) (stop func() bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		j.store.host.config.Runtime.Go(f)
		return func() bool { return false }
	}
	j.after = append(j.after, &f)
	return func() bool {
		j.mu.Lock()
		defer j.mu.Unlock()
		i := slices.Index(j.after, &f)
		if i < 0 {
			return false
		}
		j.after = slices.Delete(j.after, i, i+1)
		return true
	}
}

func (j *job[S, A]) String() string {
	return fmt.Sprintf("context of %s %s", kindOf(j.call), j.call.Name())
}

func isEnd(err error) bool { return err == io.EOF } //nolint:errorlint // a stream's end is io.EOF itself; wrapped, it is an error

func kindOf[A any](c tree.Call[A]) string { return describe(c).Kind }

// guard keeps the panic of a user's hook or observer from doing harm.
func (h *host[S, A]) guard(f func()) (panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			panicked = true
			h.panics.Add(1)
			if told := h.config.Hooks.ObserverPanicked; told != nil {
				defer func() { _ = recover() }()
				told(h.config.Name, v, debug.Stack())
			}
		}
	}()
	f()
	return false
}
