package engine

import (
	"iter"
	"math"
	"time"

	"github.com/seed57833328/rondo/internal/tree"
)

// TaskID names a task. It is never used for another, and never 0.
type TaskID uint64

// State is how far a task has come.
type State uint8

// The states of a task.
const (
	Queued     State = iota // waits for those before it under its key
	Running                 // a driver works on it
	Backoff                 // waits for its next attempt
	Timing                  // a timer that has not fired
	Held                    // an action set aside
	Delivering              // its last result waits to be reduced
)

func (s State) String() string {
	return [...]string{"queued", "running", "backoff", "timer", "held", "delivering"}[s]
}

// task is what has been started and has not settled.
type task[A any] struct {
	id        TaskID
	state     State
	streaming bool
	call      tree.Call[A]
	action    A   // of a timer
	key       any // with the scope it was started in
	group     *group[A]
	cause     Cause
	attempt   int
	queued    int    // values of a stream that wait to be reduced
	mark      uint64 // the driver's own
	batch     uint64 // of commands, that the last Start is in
	startAt   int    // place of that Start in the batch

	deadline time.Time // when state is Timing or Backoff, or an attempt is bounded
	order    uint64    // between equal deadlines
	heapAt   int       // place in timers plus one, 0 is none

	prev, next       *task[A] // in order of start
	keyPrev, keyNext *task[A] // under the same key
}

// tasks is every task of an engine. Slots are used again with a new generation,
// so that an id that has ended finds nothing.
type tasks[A any] struct {
	slots       []slot[A]
	free        []uint32
	first, last *task[A]
	count       int
	keys        map[any]line[A]
	timers      []*task[A]
	timed       uint64 // deadlines set so far
	scopes      map[path]int
	sequences   int    // groups open that are not scopes
	walk        uint64 // walks over the open groups so far
	batch       uint64 // of commands that are being gathered
	recalled    bool   // the batch has a Start that was taken back
}

type slot[A any] struct {
	task       *task[A]
	generation uint32
	live       bool
}

// line is what is under one key, oldest first.
type line[A any] struct{ first, last *task[A] }

// need makes e.tasks.
func (e *Engine[S, A]) need() {
	if e.tasks == nil {
		e.tasks = &tasks[A]{keys: map[any]line[A]{}, scopes: map[path]int{}}
	}
}

// newTask makes a task that is open in g and counted by the cause's track.
func (e *Engine[S, A]) newTask(state State, key any, g *group[A], c Cause) *task[A] {
	e.need()
	ts := e.tasks
	var i uint32
	if n := len(ts.free); n > 0 {
		i, ts.free = ts.free[n-1], ts.free[:n-1]
	} else {
		i = uint32(len(ts.slots)) //nolint:gosec // fewer than 2^32 tasks fit in memory
		ts.grow()
	}
	s := &ts.slots[i]
	s.generation++
	s.live = true
	t := s.task
	t.id = TaskID(uint64(s.generation)<<32 | uint64(i+1))
	t.state, t.key, t.group, t.cause = state, key, g, c
	c.Track.Add()
	if g != nil {
		g.open++
	}
	ts.count++
	if t.prev = ts.last; t.prev != nil {
		t.prev.next = t
	} else {
		ts.first = t
	}
	ts.last = t
	if key != nil {
		l := ts.keys[key]
		if t.keyPrev = l.last; t.keyPrev != nil {
			t.keyPrev.keyNext = t
		} else {
			l.first = t
		}
		l.last = t
		ts.keys[key] = l
	}
	return t
}

// grow makes one more slot, of memory that a copy has left if there is any.
func (ts *tasks[A]) grow() {
	n := len(ts.slots)
	if n < cap(ts.slots) && ts.slots[:n+1][n].task != nil {
		ts.slots = ts.slots[:n+1]
		ts.slots[n].generation, ts.slots[n].live = 0, false
		return
	}
	ts.slots = append(ts.slots, slot[A]{task: new(task[A])})
}

func (e *Engine[S, A]) find(id TaskID) *task[A] {
	if e.tasks == nil || id == 0 {
		return nil
	}
	i := uint32(id) - 1 //nolint:gosec // the low half is the slot
	if int(i) >= len(e.tasks.slots) {
		return nil
	}
	if s := &e.tasks.slots[i]; s.live && s.task.id == id {
		return s.task
	}
	return nil
}

// unlink takes a task out of every list; its id finds nothing any more. What it
// is open in and counted by is the caller's to settle.
func (e *Engine[S, A]) unlink(t *task[A]) {
	ts := e.tasks
	e.stopTimer(t)
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		ts.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		ts.last = t.prev
	}
	if t.key != nil {
		l := ts.keys[t.key]
		if t.keyPrev != nil {
			t.keyPrev.keyNext = t.keyNext
		} else {
			l.first = t.keyNext
		}
		if t.keyNext != nil {
			t.keyNext.keyPrev = t.keyPrev
		} else {
			l.last = t.keyPrev
		}
		if l.first == nil {
			delete(ts.keys, t.key)
		} else {
			ts.keys[t.key] = l
		}
	}
	ts.count--
	i := uint32(t.id) - 1 //nolint:gosec // the low half is the slot
	s := &ts.slots[i]
	s.live = false
	if s.generation < math.MaxUint32 {
		ts.free = append(ts.free, i) // else its ids are used up
	}
	*t = task[A]{}
}

// end takes a task out; what follows from that is left to account.
func (e *Engine[S, A]) end(t *task[A]) {
	g, track, key := t.group, t.cause.Track, t.key
	e.unlink(t)
	e.ends(g, track, key)
}

// drop ends a task without a result.
func (e *Engine[S, A]) drop(t *task[A]) {
	e.stop(t, false)
	e.end(t)
}

// dropKey ends all that is under key.
func (e *Engine[S, A]) dropKey(key any) {
	for t := e.tasks.keys[key].first; t != nil; t = e.tasks.keys[key].first {
		e.drop(t)
	}
}

// stop tells the driver that a task's attempt is not wanted, or takes back its
// Start if the driver has not seen it.
func (e *Engine[S, A]) stop(t *task[A], late bool) {
	switch {
	case t.state != Running:
	case t.batch == e.tasks.batch:
		e.out[t.startAt] = Command[A]{Op: recalled}
		e.tasks.recalled = true
	default:
		e.command(Command[A]{Op: Stop, Task: t.id, Attempt: t.attempt, Late: late})
	}
}

// Task is what can be told of a task.
type Task[A any] struct {
	ID       TaskID
	State    State
	Key      any
	Call     tree.Call[A] // nil for timers and holds
	Action   A            // of a timer
	Attempt  int
	Deadline time.Time // of a timer, a wait or a bounded attempt
	Cause    Cause
	Queued   int    // values of a stream that wait to be reduced
	Mark     uint64 // the driver's own, see SetMark
}

// Tasks yields every task in the order in which they were started. The engine
// must not be used before the last.
func (e *Engine[S, A]) Tasks() iter.Seq[Task[A]] {
	return func(yield func(Task[A]) bool) {
		if e.tasks == nil {
			return
		}
		for t := e.tasks.first; t != nil; t = t.next {
			if !yield(t.tell()) {
				return
			}
		}
	}
}

func (t *task[A]) tell() Task[A] {
	return Task[A]{t.id, t.state, t.key, t.call, t.action, t.attempt, t.deadline, t.cause, t.queued, t.mark}
}

// Open is the number of tasks.
func (e *Engine[S, A]) Open() int {
	if e.tasks == nil {
		return 0
	}
	return e.tasks.count
}

// Abandon ends everything: tasks without a result, actions that wait without
// being reduced, what sequences have left without being started. What is
// abandoned is told by Tasks before. Tracks are told err. It may be called after
// a panic of the reducer.
func (e *Engine[S, A]) Abandon(err error) {
	e.reducing, e.mapping = false, nil
	for {
		it, ok := e.queue.pop()
		if !ok {
			break
		}
		if it.task == 0 {
			e.ends(nil, it.cause.Track, nil)
			if it.resume != nil {
				e.ends(nil, it.resume.track, nil)
			}
		}
	}
	if ts := e.tasks; ts != nil {
		for ts.first != nil {
			e.drop(ts.first)
		}
		clear(ts.scopes)
		ts.sequences = 0
	}
	for i := e.told; i < len(e.ended); i++ {
		e.ended[i].group, e.ended[i].key = nil, nil // nothing goes on
		e.ended[i].track.Fail(err)
	}
	e.account()
	e.pay()
}
