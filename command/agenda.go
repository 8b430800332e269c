package command

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
)

// agenda is what Run knows of the pending commands: which can be begun, which
// sleep until when, which stand in line behind others. It belongs to one
// goroutine and does nothing by itself.
//
// Entries come and go by what is read from the log alone. Whoever works at one
// only tells up to which version its stream has come; until that has been read
// nothing else is done with it.
type agenda struct {
	limit     int           // of entries
	grace     time.Duration // for those that others carry out
	entries   map[ref]*entry
	asleep    wakeHeap
	byPlace   placeHeap
	ready     []*entry // those that have left it are skipped
	lanes     map[laneKey]*lane
	read      eventstore.Position // up to which everything was read
	counted   int64               // events that were read
	dropped   *dropped            // what is not here for want of room
	atWork    int                 // entries at stage working
	lastFrom  eventstore.Position // where the last reading again began
	overLimit int                 // limit times 2 as often as that led nowhere
}

type ref struct {
	tenant string
	id     uuid.UUID
}

type laneKey struct{ tenant, key string }

// stage is what is being done with an entry.
type stage uint8

const (
	sleeping stage = iota // until entry.wake
	inLine                // behind others of its lane
	runnable              // among those that are ready
	working               // somebody is at it
	settled               // until entry.awaited has been read
	removed
)

type entry struct {
	ref
	version  eventstore.Version
	position eventstore.Position // of the event of that version
	progress progress
	wake     time.Time
	ordinal  int64 // how many events had been read then
	stage    stage
	awaited  eventstore.Version
	finished bool  // it is removed when nobody is at it
	lane     *lane // in which it stands, once it was woken
	wakeAt   int   // index in asleep, -1 if it is not there
	placeAt  int   // index in byPlace
}

// before tells which of two is due first.
func (e *entry) before(o *entry) int { return earlier(e.progress, o.progress) }

func earlier(a, b progress) int {
	if c := a.Since.Compare(b.Since); c != 0 {
		return c
	}
	return cmp.Compare(a.First, b.First)
}

// lane is the line of those that are due and have an ordering key.
type lane struct {
	key     laneKey
	entries []*entry // in order
	active  *entry
}

// dropped are the entries that are not here: all whose progress is not earlier.
type dropped struct {
	progress progress
	position eventstore.Position // the least
}

func newAgenda(limit int, grace time.Duration, after eventstore.Position) *agenda {
	return &agenda{
		limit: limit, overLimit: limit, grace: grace, read: after,
		entries: map[ref]*entry{}, lanes: map[laneKey]*lane{},
	}
}

// tell takes in an event: p is what it says of a command, nil that the command is
// finished.
func (a *agenda) tell(r ref, event eventstore.Recorded, p *progress) {
	a.read = max(a.read, event.Position)
	a.counted++
	e := a.entries[r]
	switch {
	case e == nil && p == nil:
	case e == nil:
		a.add(&entry{ref: r, wakeAt: -1, placeAt: -1}, event, p)
	case event.Version <= e.version: // read again
	case p == nil:
		e.version, e.finished = event.Version, true
		if e.stage != working {
			a.remove(e)
		}
	default:
		a.update(e, event, p)
		if e.stage == settled && e.version < e.awaited || e.stage == working {
			return
		}
		a.sleep(e, e.wake)
	}
}

func (a *agenda) update(e *entry, event eventstore.Recorded, p *progress) {
	e.version, e.position, e.progress, e.ordinal = event.Version, event.Position, *p, a.counted
	e.wake = p.Next
	if p.Direct {
		e.wake = event.At.Add(a.grace)
	}
	if e.placeAt >= 0 {
		heap.Fix(&a.byPlace, e.placeAt)
	}
}

func (a *agenda) add(e *entry, event eventstore.Recorded, p *progress) {
	if a.dropped != nil && earlier(*p, a.dropped.progress) >= 0 {
		a.dropped.position = min(a.dropped.position, event.Position)
		return
	}
	a.update(e, event, p)
	a.entries[e.ref] = e
	heap.Push(&a.byPlace, e)
	a.sleep(e, e.wake)
	if len(a.entries) > a.overLimit {
		a.drop()
	}
}

// drop makes room by forgetting those that are due last.
func (a *agenda) drop() {
	var idle []*entry
	for _, e := range a.entries {
		if e.stage <= runnable {
			idle = append(idle, e)
		}
	}
	if len(idle) == 0 {
		return
	}
	slices.SortFunc(idle, (*entry).before)
	keep := max(0, len(idle)-a.overLimit/8-1)
	if a.dropped == nil {
		a.dropped = &dropped{position: idle[keep].position}
	}
	a.dropped.progress = idle[keep].progress
	for _, e := range idle[keep:] {
		a.dropped.position = min(a.dropped.position, e.position)
		a.remove(e)
	}
}

// again tells that there is room for what was dropped, and after which position
// it has to be read.
func (a *agenda) again() (after eventstore.Position, ok bool) {
	if a.dropped == nil || len(a.entries) > a.limit/2 {
		return 0, false
	}
	after = a.dropped.position - 1
	a.dropped = nil
	a.read = after // until it has been read the checkpoint must not pass it
	if after > a.lastFrom {
		a.lastFrom, a.overLimit = after, a.limit
	} else {
		a.overLimit *= 2 // all the room was taken by what is finished
	}
	return after, true
}

// sleep has an entry wait for its time. It keeps its place in its lane.
func (a *agenda) sleep(e *entry, until time.Time) {
	e.stage = sleeping
	e.wake = until
	a.passive(e)
	if e.wakeAt < 0 {
		heap.Push(&a.asleep, e)
	} else {
		heap.Fix(&a.asleep, e.wakeAt)
	}
}

// passive says that an entry is not the active one of its lane.
func (a *agenda) passive(e *entry) {
	if l := e.lane; l != nil && l.active == e {
		l.active = nil
		a.promote(l)
	}
}

// wakeUp has those get up whose time has come, in the order in which they were
// due.
func (a *agenda) wakeUp(now time.Time) {
	var up []*entry
	for len(a.asleep) > 0 && !a.asleep[0].wake.After(now) {
		up = append(up, a.asleep[0])
		heap.Pop(&a.asleep)
	}
	slices.SortFunc(up, (*entry).before)
	for _, e := range up {
		if e.progress.Key == "" || e.progress.Direct {
			a.makeReady(e)
			continue
		}
		if e.lane == nil {
			a.line(e)
		}
		e.stage = inLine
	}
	for _, e := range up { // the first of a lane is known when all are up
		if e.lane != nil {
			a.promote(e.lane)
		}
	}
}

// line puts an entry into its lane.
func (a *agenda) line(e *entry) {
	k := laneKey{e.tenant, e.progress.Key}
	l := a.lanes[k]
	if l == nil {
		l = &lane{key: k}
		a.lanes[k] = l
	}
	at, _ := slices.BinarySearchFunc(l.entries, e, (*entry).before)
	l.entries = slices.Insert(l.entries, at, e)
	e.lane = l
}

// promote makes the first of a lane ready, if it waits for that.
func (a *agenda) promote(l *lane) {
	if l.active != nil || len(l.entries) == 0 || l.entries[0].stage != inLine {
		return
	}
	l.active = l.entries[0]
	a.makeReady(l.active)
}

func (a *agenda) makeReady(e *entry) {
	e.stage = runnable
	a.ready = append(a.ready, e)
}

// next returns an entry that can be begun, nil if there is none.
func (a *agenda) next() *entry {
	for len(a.ready) > 0 {
		e := a.ready[0]
		a.ready[0] = nil
		if a.ready = a.ready[1:]; len(a.ready) == 0 {
			a.ready = nil
		}
		if e.stage == runnable {
			a.work(e)
			return e
		}
	}
	return nil
}

func (a *agenda) work(e *entry) {
	if e.wakeAt >= 0 {
		heap.Remove(&a.asleep, e.wakeAt)
	}
	e.stage = working
	a.atWork++
}

// done says that nobody is at an entry any more: its stream has come to a
// version; or, if at is not zero, it is to be looked at again then.
func (a *agenda) done(e *entry, version eventstore.Version, at time.Time) {
	a.atWork--
	switch {
	case e.finished:
		a.remove(e)
	case !at.IsZero():
		a.sleep(e, at)
	case e.version >= version:
		a.sleep(e, e.wake)
	default:
		// It stays the active one of its lane: nobody overtakes it.
		e.stage, e.awaited = settled, version
	}
}

func (a *agenda) remove(e *entry) {
	e.stage = removed
	delete(a.entries, e.ref)
	heap.Remove(&a.byPlace, e.placeAt)
	if e.wakeAt >= 0 {
		heap.Remove(&a.asleep, e.wakeAt)
	}
	l := e.lane
	if l == nil {
		return
	}
	e.lane = nil
	at, _ := slices.BinarySearchFunc(l.entries, e, (*entry).before)
	l.entries = slices.Delete(l.entries, at, at+1)
	if l.active == e {
		l.active = nil
	}
	if len(l.entries) == 0 {
		delete(a.lanes, l.key)
		return
	}
	a.promote(l)
}

// earliest is when the next one gets up.
func (a *agenda) earliest() (time.Time, bool) {
	if len(a.asleep) == 0 {
		return time.Time{}, false
	}
	return a.asleep[0].wake, true
}

// checkpoint is a position up to which every command is finished, or stands
// later.
func (a *agenda) checkpoint() eventstore.Position {
	p := a.read
	if len(a.byPlace) > 0 {
		p = min(p, a.byPlace[0].position-1)
	}
	if a.dropped != nil {
		p = min(p, a.dropped.position-1)
	}
	return p
}

// stale returns the first of all entries, for working at it, if so many events
// stand between it and the last, and it sleeps beyond that time.
func (a *agenda) stale(events int, beyond time.Time) *entry {
	if len(a.byPlace) == 0 {
		return nil
	}
	e := a.byPlace[0]
	if e.stage != sleeping || e.lane != nil || e.progress.Direct || !e.wake.After(beyond) ||
		a.counted-e.ordinal < int64(max(events, 2*len(a.entries))) {
		return nil
	}
	a.work(e)
	return e
}

// wakeHeap has those that sleep, who gets up first on top.
type wakeHeap []*entry

func (h wakeHeap) Len() int { return len(h) }
func (h wakeHeap) Less(i, j int) bool {
	if c := h[i].wake.Compare(h[j].wake); c != 0 {
		return c < 0
	}
	return h[i].before(h[j]) < 0
}
func (h wakeHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].wakeAt, h[j].wakeAt = i, j
}
func (h *wakeHeap) Push(x any) {
	e := x.(*entry)
	e.wakeAt = len(*h)
	*h = append(*h, e)
}
func (h *wakeHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.wakeAt = -1
	return e
}

// placeHeap has all, who stands first in the log on top.
type placeHeap []*entry

func (h placeHeap) Len() int           { return len(h) }
func (h placeHeap) Less(i, j int) bool { return h[i].position < h[j].position }
func (h placeHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].placeAt, h[j].placeAt = i, j
}
func (h *placeHeap) Push(x any) {
	e := x.(*entry)
	e.placeAt = len(*h)
	*h = append(*h, e)
}
func (h *placeHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.placeAt = -1
	return e
}
