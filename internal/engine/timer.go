package engine

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

// startTimer begins a timer, in the place of one that runs under its key.
func (e *Engine[S, A]) startTimer(n *tree.Node[A], g *group[A], c Cause) {
	key := keyIn(g, n.Key)
	if n.Delay < 0 {
		e.fault(c, Fault[A]{
			Err:    fmt.Errorf("%w: After with a negative delay, %v", effect.ErrInvalid, n.Delay),
			Action: n.Action, HasAction: true, Key: key,
		})
		return
	}
	if !e.checkKey(key, c, &n.Action) || key != nil && g.skips(key) {
		return
	}
	if key != nil && e.tasks != nil {
		for t := e.tasks.keys[key].first; t != nil; {
			old := t
			t = t.keyNext
			if old.call == nil && old.state != Held {
				e.drop(old)
			}
		}
	}
	t := e.newTask(Timing, key, g, c)
	t.action = n.Action
	e.setTimer(t, n.Delay)
}

// Deadline is when Tick next has something to do.
func (e *Engine[S, A]) Deadline() (at time.Time, ok bool) {
	if e.tasks == nil || len(e.tasks.timers) == 0 {
		return at, false
	}
	return e.tasks.timers[0].deadline, true
}

// Tick tells the time. What is due happens in the order of the deadlines, and
// of their setting where those are equal.
func (e *Engine[S, A]) Tick(now time.Time) {
	e.now, e.nowKnown = now, true
	if e.tasks == nil {
		return
	}
	for ts := e.tasks; len(ts.timers) > 0 && !ts.timers[0].deadline.After(now); {
		e.due(ts.timers[0])
	}
}

// Fire makes the deadline of one task happen now, whichever is first. The time
// is that deadline then, if it was not past it. ok is false if the task has none.
func (e *Engine[S, A]) Fire(id TaskID) (ok bool) {
	t := e.find(id)
	if t == nil || t.heapAt == 0 {
		return false
	}
	if !e.nowKnown || t.deadline.After(e.now) {
		e.SetNow(t.deadline)
	}
	e.due(t)
	return true
}

// due is what happens when a task's deadline has come.
func (e *Engine[S, A]) due(t *task[A]) {
	e.stopTimer(t)
	switch t.state {
	case Timing:
		t.state = Delivering
		e.queue.push(item[A]{action: t.action, cause: t.cause, task: t.id, last: true})
	case Backoff:
		e.attempt(t)
	case Running:
		e.stop(t, true)
		o, _ := t.call.Outcome(nil, fmt.Errorf("%s: %w after %v", t.call.Name(), effect.ErrTimeout, t.call.Options().Timeout))
		e.Settle(t.id, t.attempt, o)
	case Queued, Held, Delivering: // have no deadline
	}
}

// setTimer gives a task a deadline, from now.
func (e *Engine[S, A]) setTimer(t *task[A], d time.Duration) {
	ts := e.tasks
	ts.timed++
	t.deadline, t.order = e.time().Add(d), ts.timed
	heap.Push((*timers[A])(&ts.timers), t)
}

func (e *Engine[S, A]) stopTimer(t *task[A]) {
	if t.heapAt > 0 {
		heap.Remove((*timers[A])(&e.tasks.timers), t.heapAt-1)
		t.deadline = time.Time{}
	}
}

// timers is a heap by deadline.
type timers[A any] []*task[A]

func (h timers[A]) Len() int { return len(h) }

func (h timers[A]) Less(i, j int) bool {
	if h[i].deadline.Equal(h[j].deadline) {
		return h[i].order < h[j].order
	}
	return h[i].deadline.Before(h[j].deadline)
}

func (h timers[A]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i+1, j+1
}

func (h *timers[A]) Push(x any) {
	t := x.(*task[A]) //nolint:forcetypeassert // heap.Push gives back what it was given
	*h = append(*h, t)
	t.heapAt = len(*h)
}

func (h *timers[A]) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.heapAt = 0
	return t
}
