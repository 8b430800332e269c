package engine

import (
	"slices"

	"github.com/seed57833328/rondo/internal/tree"
)

// CopyFrom makes e a copy of src with the state given, which the caller has
// cloned. It uses e's memory as far as that goes; e may be a zero Engine. Tasks
// keep their ids. From then on both go their own ways.
//
// src must be at rest: nothing waits to be reduced and no command to be fetched.
// Tracks are shared by both, so an engine that is copied is best without.
func (e *Engine[S, A]) CopyFrom(src *Engine[S, A], state S) {
	if src.queue.len() > 0 || len(src.out) > 0 || len(src.ended) > 0 || len(src.owed) > 0 || src.reducing {
		panic("engine: CopyFrom an engine that is not at rest")
	}
	e.State = state
	e.config, e.instance, e.seq, e.drawn = src.config, src.instance, src.seq, src.drawn
	e.now, e.nowKnown, e.nowRead = src.now, src.nowKnown, src.nowRead
	e.reducing, e.mapping = false, nil
	e.step = Step[A]{}
	clear(e.queue.items) // what is beyond the end is zero
	e.queue.items, e.queue.head = e.queue.items[:0], 0
	e.out, e.ended, e.told, e.owed = e.out[:0], e.ended[:0], 0, e.owed[:0]
	switch {
	case src.tasks != nil:
		e.need()
		e.tasks.copyFrom(src.tasks)
	case e.tasks != nil:
		e.tasks.copyFrom(&tasks[A]{})
	}
}

func (ts *tasks[A]) copyFrom(src *tasks[A]) {
	if len(ts.keys) > 0 {
		clear(ts.keys)
	}
	if len(ts.scopes) > 0 {
		clear(ts.scopes)
	}
	for p, n := range src.scopes {
		ts.scopes[p] = n
	}
	for len(ts.slots) < len(src.slots) {
		ts.grow()
	}
	ts.slots = ts.slots[:len(src.slots)]
	for i := range ts.slots {
		ts.slots[i].generation, ts.slots[i].live = src.slots[i].generation, src.slots[i].live
	}
	ts.free = append(ts.free[:0], src.free...)
	for t := ts.first; t != nil; {
		old := t
		t = t.next
		if i := int(uint32(old.id) - 1); i >= len(ts.slots) || !ts.slots[i].live { //nolint:gosec // the low half is the slot
			*old = task[A]{} // the others are written over
		}
	}
	ts.count, ts.timed, ts.sequences = src.count, src.timed, src.sequences
	ts.batch++
	ts.recalled = false
	ts.timers = ts.timers[:0]
	for range src.timers {
		ts.timers = append(ts.timers, nil)
	}
	ts.first, ts.last = nil, nil
	var groups regroup[A]
	for old := src.first; old != nil; old = old.next {
		t := ts.twin(old)
		*t = *old
		t.batch = 0 // its Start has been fetched
		t.prev, t.next = ts.twin(old.prev), ts.twin(old.next)
		t.keyPrev, t.keyNext = ts.twin(old.keyPrev), ts.twin(old.keyNext)
		if t.heapAt > 0 {
			ts.timers[t.heapAt-1] = t
		}
		if old.group != nil {
			t.group = groups.twin(old.group)
		}
		if t.key != nil && t.keyPrev == nil {
			l := src.keys[t.key]
			ts.keys[t.key] = line[A]{t, ts.twin(l.last)}
		}
		if t.prev == nil {
			ts.first = t
		}
		ts.last = t
	}
}

// twin is the task of the same slot.
func (ts *tasks[A]) twin(t *task[A]) *task[A] {
	if t == nil {
		return nil
	}
	return ts.slots[uint32(t.id)-1].task //nolint:gosec // the low half is the slot
}

// regroup copies groups, each once. There are few, so it looks through all.
type regroup[A any] struct{ old, made []*group[A] }

func (r *regroup[A]) twin(g *group[A]) *group[A] {
	if g == nil {
		return nil
	}
	if i := slices.Index(r.old, g); i >= 0 {
		return r.made[i]
	}
	made := new(group[A])
	*made = *g
	made.skip = slices.Clone(g.skip)
	made.walked = 0
	r.old, r.made = append(r.old, g), append(r.made, made)
	made.parent = r.twin(g.parent)
	return made
}

// Rewrite replaces each action that waits to be reduced by what f makes of it.
func (e *Engine[S, A]) Rewrite(f func(A) A) {
	for i := range e.queue.len() {
		it := e.queue.at(i)
		it.action = f(it.action)
	}
}

// SetMark keeps a number with a task, for the driver.
func (e *Engine[S, A]) SetMark(id TaskID, mark uint64) {
	if t := e.find(id); t != nil {
		t.mark = mark
	}
}

// Lookup finds a task.
func (e *Engine[S, A]) Lookup(id TaskID) (task Task[A], ok bool) {
	t := e.find(id)
	if t == nil {
		return task, false
	}
	return t.tell(), true
}

// AppendTasks is Tasks without an iterator.
func (e *Engine[S, A]) AppendTasks(buf []Task[A]) []Task[A] {
	if e.tasks == nil {
		return buf
	}
	for t := e.tasks.first; t != nil; t = t.next {
		buf = append(buf, t.tell())
	}
	return buf
}

// Line is a task's place under its key, 0 for the first and for one without.
func (e *Engine[S, A]) Line(id TaskID) (place int) {
	if t := e.find(id); t != nil {
		for t = t.keyPrev; t != nil; t = t.keyPrev {
			place++
		}
	}
	return place
}

// HasGroups tells whether a sequence or a scope is open.
func (e *Engine[S, A]) HasGroups() bool {
	return e.tasks != nil && (e.tasks.sequences > 0 || len(e.tasks.scopes) > 0)
}

// Group is what can be told of a sequence or a scope that is open.
type Group[A any] struct {
	Parent int // its place among all, or -1
	Rest   []tree.Node[A]
	Open   int
	Scope  any
	Skip   []any
}

// AppendGroups gives the groups that are open, in the order in which tasks meet
// them, and of each task the place of its group, or -1.
func (e *Engine[S, A]) AppendGroups(buf []Group[A], of []int) ([]Group[A], []int) {
	if e.tasks == nil {
		return buf, of
	}
	var known []*group[A]
	for t := e.tasks.first; t != nil; t = t.next {
		at := -1
		if t.group != nil {
			at = slices.Index(known, t.group)
			if at < 0 {
				at = len(known)
				for g := t.group; g != nil && !slices.Contains(known, g); g = g.parent {
					known = append(known, g)
				}
			}
		}
		of = append(of, at)
	}
	for _, g := range known {
		buf = append(buf, Group[A]{slices.Index(known, g.parent), g.rest, g.open, g.scope, g.skip})
	}
	return buf, of
}
