package engine

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// Config is what engines of one store, or of one keyed store, have in common.
type Config[S, A any] struct {
	Reducer reducer.Reducer[S, A]
	// ID is the name space of action ids.
	ID uuid.UUID
	// Now is asked at most once between two calls of Refresh. It may be nil if
	// the driver always calls SetNow or Tick.
	Now func() time.Time
	// Steady leaves the jitter out of waits for another attempt, so that like
	// situations have like deadlines.
	Steady bool
}

// Engine is a state and what is going on about it.
type Engine[S, A any] struct {
	State S

	config   *Config[S, A]
	instance uint64 // tells engines of one Config apart
	seq      uint64 // actions reduced so far
	drawn    uint64 // ids drawn in this step
	now      time.Time
	nowKnown bool
	nowRead  bool // a reducer has asked for the time
	reducing bool
	mapping  tree.Call[A] // whose result is being mapped

	queue queue[A]
	step  Step[A]
	out   []Command[A]
	tasks *tasks[A] // nil until an effect needs it
	ended []ending[A]
	told  int // how many of ended are accounted for
	owed  []*Track
}

// Init makes e ready. Engines are embedded by value where there are many.
func (e *Engine[S, A]) Init(config *Config[S, A], instance uint64, initial S) {
	e.config, e.instance, e.State = config, instance, initial
}

// Step is an action that has been reduced.
type Step[A any] struct {
	Seq    uint64 // 1 for the first
	Action A
	Cause  Cause
	Task   TaskID // whose result it was, or 0
	Effect effect.Effect[A]
	// HasEffect tells that Effect is not none.
	HasEffect bool
}

// Cause tells where an action came from.
type Cause struct {
	Parent uint64        // the step that caused it, 0 from outside
	Grand  uint64        // the step that caused Parent, 0 from outside
	Root   uint64        // the first step of the chain, 0 for itself
	Meta   *reducer.Meta // what the sender gave, nil for nothing
	Track  *Track        // who waits for the chain, nil for nobody
}

// Op is what a command asks of the driver.
type Op uint8

// The commands.
const (
	Start  Op = iota // begin Attempt of Task's Call
	Stop             // Task's attempt is no longer wanted
	Ack              // the value last emitted by Task's Attempt has been reduced
	Report           // Fault tells what could not be done

	recalled // a Start whose task was dropped before a driver saw it
)

// Command asks a driver for something.
type Command[A any] struct {
	Op      Op
	Task    TaskID
	Attempt int
	Late    bool // of a Stop: the attempt's time is over
	Call    tree.Call[A]
	Cause   Cause
	Fault   *Fault[A]
}

// Fault is something that came to nothing without a result to say so.
type Fault[A any] struct {
	Err       error
	Call      tree.Call[A] // nil if it was no call
	Action    A
	HasAction bool
	Key       any
}

// Receive takes an action from outside.
func (e *Engine[S, A]) Receive(a A, c Cause) {
	c.Track.Add()
	e.queue.push(item[A]{action: a, cause: c})
}

// Reduce is Receive and Next at once, for when nothing waits: the way of most
// actions in a live store.
func (e *Engine[S, A]) Reduce(a A, c Cause) *Step[A] {
	if c.Track != nil {
		c.Track.Add()
		e.ends(nil, c.Track, nil)
	}
	e.reduce(a, c, 0)
	if len(e.ended) > 0 {
		e.account()
	}
	return &e.step
}

// Refresh makes the next reading of the time a new one.
func (e *Engine[S, A]) Refresh() { e.nowKnown = false }

// SetNow tells the time, until Refresh, without anything that is due happening.
func (e *Engine[S, A]) SetNow(now time.Time) { e.now, e.nowKnown = now, true }

// ReadNow tells whether a reducer has ever asked for the time.
func (e *Engine[S, A]) ReadNow() bool { return e.nowRead }

// Next reduces the next action that waits, and returns what it was. The result
// is good until the following call. ok is false when none waits.
func (e *Engine[S, A]) Next() (step *Step[A], ok bool) {
	e.pay()
	if e.queue.len() > 0 {
		if it := e.queue.at(0); it.plain() {
			a, c := it.action, it.cause
			e.queue.drop()
			e.reduce(a, c, 0)
			if len(e.ended) > 0 {
				e.account()
			}
			return &e.step, true
		}
	}
	for {
		it, ok := e.queue.pop()
		if !ok {
			e.pay() // for what was passed over
			e.rest()
			return nil, false
		}
		if it.task == 0 {
			e.ends(it.group, it.cause.Track, nil)
			if it.resume != nil {
				e.ends(it.resume.group, it.resume.track, nil)
			}
			e.reduce(it.action, it.cause, it.task)
			e.account()
			return &e.step, true
		}
		t := e.find(it.task)
		if t == nil {
			continue // cancelled with its result on the way
		}
		if t.streaming && !it.last {
			t.queued--
			e.reduce(it.action, it.cause, it.task)
			e.account()
			if t := e.find(it.task); t != nil && t.state == Running && t.attempt == int(it.attempt) {
				e.command(Command[A]{Op: Ack, Task: it.task, Attempt: t.attempt})
			}
			return &e.step, true
		}
		// The key is free for what this result starts; what stands in line
		// under it comes after.
		e.end(t)
		e.reduce(it.action, it.cause, it.task)
		e.account()
		return &e.step, true
	}
}

// rest lets go of the last step, which would keep alive what it led to for as
// long as nothing else happens. One that led to nothing is left: it is all that
// it is, and most steps are such.
func (e *Engine[S, A]) rest() {
	if e.step.HasEffect || e.step.Cause.Track != nil {
		e.step = Step[A]{}
	}
}

// Waiting tells how many actions wait to be reduced, those that Next will pass
// over because they were cancelled included.
func (e *Engine[S, A]) Waiting() int { return e.queue.len() }

// Peek returns the ith of the actions that Next could reduce, in the order in
// which it will unless [Engine.Promote] says otherwise. Those cancelled are
// passed over, and so are results of a stream behind an earlier one of it.
func (e *Engine[S, A]) Peek(i int) (a A, ok bool) {
	if j := e.candidate(i); j >= 0 {
		return e.queue.at(j).action, true
	}
	return a, false
}

// Promote makes the ith action that Peek shows the next one: the test driver's
// way to receive actions in an order of its own.
func (e *Engine[S, A]) Promote(i int) {
	if j := e.candidate(i); j >= 0 {
		e.queue.toFront(j)
	}
}

// candidate is the place in the queue of the ith action that could be next, or
// -1.
func (e *Engine[S, A]) candidate(i int) int {
	for j := range e.queue.len() {
		it := e.queue.at(j)
		if it.task != 0 {
			if t := e.find(it.task); t == nil || t.streaming && e.queue.holds(it.task, j) {
				continue
			}
		}
		if i == 0 {
			return j
		}
		i--
	}
	return -1
}

// Idle tells that nothing waits, runs or is held.
func (e *Engine[S, A]) Idle() bool {
	return e.queue.len() == 0 && (e.tasks == nil || e.tasks.count == 0)
}

// Doing tells what code of the user's runs now: for the report of its panic.
// The action is what is being reduced, if any is.
func (e *Engine[S, A]) Doing() (what string, action any) {
	switch {
	case e.reducing:
		return "reduce", e.step.Action
	case e.mapping != nil:
		return "map the result of " + e.mapping.Name(), nil
	}
	return "apply effects", nil
}

// Reducing is the cause of the action that is being reduced, or was last.
func (e *Engine[S, A]) Reducing() Cause { return e.step.Cause }

// Moment is the time of the step taken last, and how many ids were drawn in it.
func (e *Engine[S, A]) Moment() (now time.Time, drawn uint64) { return e.time(), e.drawn }

// Seq is the number of actions reduced.
func (e *Engine[S, A]) Seq() uint64 { return e.seq }

// Pending tells whether Commands has any.
func (e *Engine[S, A]) Pending() bool { return len(e.out) > 0 }

// Commands returns what there is to do since it was last called. The slice is
// good until the engine is used again.
func (e *Engine[S, A]) Commands() []Command[A] {
	out := e.out
	if len(out) > 0 {
		e.out = e.out[:0]
		if ts := e.tasks; ts != nil {
			ts.batch++
			if ts.recalled {
				ts.recalled = false
				out = slices.DeleteFunc(out, func(c Command[A]) bool { return c.Op == recalled })
			}
		}
	}
	return out
}

// Meta is the metadata of the action with number seq and the cause c; or of the
// step c.Parent itself, which asked for what c is the cause of.
func (e *Engine[S, A]) Meta(seq uint64, c Cause) reducer.Meta {
	var m reducer.Meta
	if c.Meta != nil {
		m = *c.Meta
	}
	if c.Root == 0 {
		c.Root = seq
	}
	root := m.ActionID
	if root == uuid.Nil {
		root = e.actionID(c.Root)
	}
	id := func(n uint64) uuid.UUID {
		if n == c.Root {
			return root
		}
		return e.actionID(n)
	}
	m.ActionID = id(seq)
	if m.CorrelationID == uuid.Nil {
		m.CorrelationID = root
	}
	cause := c.Parent
	if seq == c.Parent {
		cause = c.Grand
	}
	if cause != 0 {
		m.CausationID = id(cause)
	}
	return m
}

func (e *Engine[S, A]) actionID(seq uint64) uuid.UUID {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], e.instance)
	binary.BigEndian.PutUint64(b[8:], seq)
	return uuid.NewSHA1(e.config.ID, b[:])
}

// reduce takes one step.
func (e *Engine[S, A]) reduce(a A, c Cause, task TaskID) {
	e.seq++
	e.drawn = 0
	e.step.Seq, e.step.Action, e.step.Cause, e.step.Task = e.seq, a, c, task
	e.reducing = true
	made := e.config.Reducer.Reduce(&e.State, a, reducer.NewEnv((*source[S, A])(e)))
	e.reducing = false
	if effect.TreeOf(&made).Kind == tree.None {
		if e.step.HasEffect {
			e.step.Effect, e.step.HasEffect = effect.Effect[A]{}, false
		}
		return
	}
	e.step.Effect, e.step.HasEffect = made, true
	c.Grand, c.Parent = c.Parent, e.seq
	if c.Root == 0 {
		c.Root = e.seq
	}
	e.start(effect.TreeOf(&e.step.Effect), nil, c)
}

func (e *Engine[S, A]) time() time.Time {
	if !e.nowKnown {
		e.now, e.nowKnown = e.config.Now(), true
	}
	return e.now
}

func (e *Engine[S, A]) command(c Command[A]) { e.out = append(e.out, c) }

// ending is something that has ended, with the group it was open in, the track
// that counts it and the key it was under.
type ending[A any] struct {
	group *group[A]
	track *Track
	key   any
}

// ends notes that something ended which g and track had counted. What follows
// from it is left to account, so that nothing starts in the middle of a cancel,
// or of an effect that takes another's place. Until then its group counts as
// open: a Cancel in the very step that its result causes finds it.
func (e *Engine[S, A]) ends(g *group[A], track *Track, key any) {
	if g != nil || track != nil || key != nil {
		e.ended = append(e.ended, ending[A]{g, track, key})
	}
}

// account starts what stands in line behind all that has ended, and lets
// sequences go on. The tracks are owed
// their count until the following Next, when the driver has told of this step:
// who waits for a track has then seen all of it.
func (e *Engine[S, A]) account() {
	for e.told < len(e.ended) {
		// What an ending leads to may panic; its track is then Abandon's.
		if key := e.ended[e.told].key; key != nil {
			e.promote(key)
		}
		if g := e.ended[e.told].group; g != nil {
			e.ended[e.told].group = nil
			e.done(g)
		}
		if track := e.ended[e.told].track; track != nil {
			e.owed = append(e.owed, track)
		}
		e.ended[e.told] = ending[A]{}
		e.told++
	}
	e.ended, e.told = e.ended[:0], 0
	if cap(e.ended) > maxKept {
		e.ended = nil
	}
}

// pay gives the tracks what they are owed.
func (e *Engine[S, A]) pay() {
	if len(e.owed) == 0 {
		return
	}
	for i, track := range e.owed {
		e.owed[i] = nil
		track.Done()
	}
	e.owed = e.owed[:0]
}

// source is the engine as what a reducer's Env reads.
type source[S, A any] Engine[S, A]

func (s *source[S, A]) Now() time.Time {
	s.nowRead = true
	return (*Engine[S, A])(s).time().UTC() // without the monotonic reading, which is no data
}

func (s *source[S, A]) NewID() uuid.UUID {
	s.drawn++
	return reducer.DeriveID(s.Meta().ActionID, s.drawn)
}

func (s *source[S, A]) Meta() reducer.Meta {
	return (*Engine[S, A])(s).Meta(s.step.Seq, s.step.Cause)
}
