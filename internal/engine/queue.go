package engine

// item is an action that waits to be reduced.
type item[A any] struct {
	action A
	cause  Cause
	group  *group[A]  // that the action, not being a result, belongs to
	resume *ending[A] // of a resumed action, what the Resume counts by: there it is a send
	task   TaskID     // whose result it is, or 0

	attempt int32 // of a stream's value
	last    bool  // the last result of a task
}

// plain tells that nothing counts the action: the case of most.
func (it *item[A]) plain() bool {
	return it.task == 0 && it.group == nil && it.resume == nil && it.cause.Track == nil
}

// queue is first in, first out. Its memory is used again when it is empty.
type queue[A any] struct {
	items []item[A]
	head  int
}

func (q *queue[A]) len() int          { return len(q.items) - q.head }
func (q *queue[A]) at(i int) *item[A] { return &q.items[q.head+i] }

func (q *queue[A]) push(it item[A]) { *q.add() = it }

// add makes a place at the end, to be filled in at once.
func (q *queue[A]) add() *item[A] {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		// A queue that is never empty makes room for itself.
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	if n := len(q.items); n < cap(q.items) {
		q.items = q.items[:n+1] // what is beyond the end is zero
	} else {
		q.items = append(q.items, item[A]{})
	}
	return &q.items[len(q.items)-1]
}

func (q *queue[A]) pop() (it item[A], ok bool) {
	if q.head == len(q.items) {
		return it, false
	}
	it = q.items[q.head]
	q.drop()
	return it, true
}

// drop takes the head out.
func (q *queue[A]) drop() {
	q.items[q.head] = item[A]{}
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > maxKept {
			q.items = nil
		}
	}
}

// toFront moves the item at i to the head; the others keep their order.
func (q *queue[A]) toFront(i int) {
	it := *q.at(i)
	copy(q.items[q.head+1:q.head+i+1], q.items[q.head:q.head+i])
	q.items[q.head] = it
}

// holds tells whether a result of task waits before place i.
func (q *queue[A]) holds(task TaskID, i int) bool {
	for j := range i {
		if q.at(j).task == task {
			return true
		}
	}
	return false
}

// remove takes out the items that f tells; the others keep their order.
func (q *queue[A]) remove(f func(*item[A]) bool) {
	n := q.head
	for i := q.head; i < len(q.items); i++ {
		if !f(&q.items[i]) {
			q.items[n] = q.items[i]
			n++
		}
	}
	clear(q.items[n:])
	q.items = q.items[:n]
}

// maxKept is how many items an empty queue keeps room for.
const maxKept = 1024
