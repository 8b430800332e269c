package testkit

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// hosting is a store of a model with the types of its own state and actions
// hidden.
type hosting[S any] interface {
	storeName() string
	actionType() reflect.Type
	// flat tells that the state has no memory that anything else could share.
	flat() bool
	// open makes a part that begins with what at finds in s; blank one that
	// is to be copied into. A store draws other ids in each of its lives.
	open(s *S, now time.Time, life uint64) part
	blank() part
	// put makes the part's state a part of s.
	put(s *S, p part)
	// whole is the part's state if that is the whole of S, else nil.
	whole(p part) *S
}

// part is a store within a situation: an engine of the live store.
type part interface {
	copyFrom(other part)
	setNow(now time.Time)
	readNow() bool
	receive(x *exchange, action any)
	settle(x *exchange, id engine.TaskID, attempt int, value any, err error)
	fire(x *exchange, id engine.TaskID)
	// tasks are what is open; the slice is good until the next call.
	tasks() []task
	hash(r *renaming, asks func(root uint64) uint64, now time.Time) uint64
	// taskHash is the part that one task has in hash; it is good after that.
	taskHash(id engine.TaskID, r *renaming, asks func(root uint64) uint64, now time.Time) uint64
	// checksum is a hash of all that the part holds, with nothing remembered.
	checksum() uint64
	// seal makes the part one that is shared by many situations: it is only
	// read from then on. sealed tells that it is.
	seal(rs []*renaming)
	sealed() bool
	seq() uint64
	// deadline is the earliest.
	deadline() (at time.Time, ok bool)
	// runs tells whether an attempt is waited for.
	runs(id engine.TaskID, attempt int) bool
}

// task is an engine's task with its types hidden.
type task struct {
	id       engine.TaskID
	state    engine.State
	call     caller // nil of a timer or a hold
	action   any    // of a timer
	key      any
	deadline time.Time
	root     uint64
	attempt  int
}

// caller is a tree.Call whose type of actions does not matter.
type caller interface {
	Kind() tree.CallKind
	Options() *tree.Options
	Request() any
	RequestType() reflect.Type
	Name() string
	Outcome(value any, err error) (tree.Outcome, error)
	Code() uintptr
}

// exchange is what a part tells while it takes a step.
type exchange struct {
	index    int // of the part
	started  []startedCall
	stopped  []stoppedCall
	watching bool // answers of actions to asks are looked for
	reduced  func(index int, seq, root uint64, action any)
	fault    error // the first one not tolerated
	faultOf  string
	tolerate func(error) bool
	trace    *tracer // nil unless the step is told of
}

type startedCall struct {
	part    int
	id      engine.TaskID
	attempt int
	call    caller
	mark    uint64
}

type stoppedCall struct {
	part    int
	id      engine.TaskID
	attempt int
}

func (x *exchange) reset() {
	x.started, x.stopped = x.started[:0], x.stopped[:0]
	x.fault, x.faultOf = nil, ""
}

// setup is what the stores of a model have in common.
type setup struct {
	id    uuid.UUID
	zeros map[reflect.Type]any // of each type of requests, the zero result
}

// host is a store of a model.
type host[S, CS, CA any] struct {
	name   string
	index  int
	common *setup
	at     func(*S) *CS
	config engine.Config[CS, CA]
	states *kind[CS]
}

func newHost[S, CS, CA any](x *setup, index int, name string, at func(*S) *CS, r reducer.Reducer[CS, CA]) hosting[S] {
	if reducer.IsNil(r) {
		panic(modelError(fmt.Sprintf("the reducer of %s is nil", orStore(name))))
	}
	if at == nil {
		panic(modelError(fmt.Sprintf("StoreOf %q: nil function", name)))
	}
	states, err := kindOf[CS]("state")
	if err != nil {
		panic(modelError(err.Error()))
	}
	return &host[S, CS, CA]{
		name: name, index: index, common: x, at: at, states: states,
		config: engine.Config[CS, CA]{Reducer: r, ID: uuid.NewSHA1(x.id, []byte(name)), Steady: true},
	}
}

func orStore(name string) string {
	if name == "" {
		return "the store"
	}
	return "store " + name
}

func (h *host[S, CS, CA]) storeName() string        { return h.name }
func (h *host[S, CS, CA]) actionType() reflect.Type { return reflect.TypeFor[CA]() }
func (h *host[S, CS, CA]) flat() bool               { return flat(reflect.TypeFor[CS]()) }

func (h *host[S, CS, CA]) open(s *S, now time.Time, life uint64) part {
	p := &hosted[S, CS, CA]{host: h}
	p.engine.Init(&h.config, life, h.states.clone(h.at(s)))
	p.engine.SetNow(now)
	return p
}

func (h *host[S, CS, CA]) blank() part { return &hosted[S, CS, CA]{host: h} }

func (h *host[S, CS, CA]) put(s *S, p part) {
	*h.at(s) = p.(*hosted[S, CS, CA]).engine.State //nolint:forcetypeassert // a part of this host
}

func (h *host[S, CS, CA]) whole(p part) *S {
	s, _ := any(&p.(*hosted[S, CS, CA]).engine.State).(*S) //nolint:forcetypeassert // a part of this host
	return s
}

// hosted is a host's engine in one situation.
type hosted[S, CS, CA any] struct {
	host   *host[S, CS, CA]
	engine engine.Engine[CS, CA]

	// What follows is worked out from the engine, once if the part is shared.
	shared bool
	hashes []uint64 // of the state, under each renaming
	open   []engine.Task[CA]
	told   []task
	groups []engine.Group[CA]
	of     []int // the group of each task, if there are groups
}

func (p *hosted[S, CS, CA]) copyFrom(other part) {
	o := other.(*hosted[S, CS, CA]) //nolint:forcetypeassert // parts stand in the same order
	p.engine.CopyFrom(&o.engine, p.host.states.clone(&o.engine.State))
	p.shared = false
}

func (p *hosted[S, CS, CA]) sealed() bool { return p.shared }

func (p *hosted[S, CS, CA]) seal(rs []*renaming) {
	p.look()
	p.tell()
	if len(rs) == 0 {
		p.hashes = append(p.hashes[:0], p.stateHash(nil))
	} else {
		p.hashes = p.hashes[:0]
		for _, r := range rs {
			p.hashes = append(p.hashes, p.stateHash(r))
		}
	}
	p.shared = true
}

func (p *hosted[S, CS, CA]) setNow(now time.Time) { p.engine.SetNow(now) }
func (p *hosted[S, CS, CA]) readNow() bool        { return p.engine.ReadNow() }
func (p *hosted[S, CS, CA]) seq() uint64          { return p.engine.Seq() }

func (p *hosted[S, CS, CA]) deadline() (at time.Time, ok bool) { return p.engine.Deadline() }

func (p *hosted[S, CS, CA]) runs(id engine.TaskID, attempt int) bool {
	t, ok := p.engine.Lookup(id)
	return ok && t.State == engine.Running && t.Attempt == attempt
}

func (p *hosted[S, CS, CA]) receive(x *exchange, action any) {
	defer p.tellPanic(x)
	p.engine.Receive(unshared(action).(CA), engine.Cause{}) //nolint:forcetypeassert // checked before
	p.drain(x)
}

func (p *hosted[S, CS, CA]) settle(x *exchange, id engine.TaskID, attempt int, value any, err error) {
	defer p.tellPanic(x)
	t, ok := p.engine.Lookup(id)
	if !ok {
		return
	}
	o, wrong := t.Call.Outcome(unshared(value), err)
	if wrong != nil {
		panic(modelError(wrong.Error()))
	}
	p.engine.Settle(id, attempt, o)
	p.engine.Rewrite(ownAction[CA])
	p.drain(x)
}

func (p *hosted[S, CS, CA]) fire(x *exchange, id engine.TaskID) {
	defer p.tellPanic(x)
	p.engine.Fire(id)
	p.engine.Rewrite(ownAction[CA])
	p.drain(x)
}

// ownAction copies an action that other situations have, too.
func ownAction[A any](a A) A { return unshared(a).(A) } //nolint:forcetypeassert // a copy is of its type

// maxDrained is how many actions one step may reduce before it counts as
// endless.
const maxDrained = 10_000

// drain reduces what waits, as a store does before it takes more from outside.
func (p *hosted[S, CS, CA]) drain(x *exchange) {
	x.index = p.host.index
	p.commands(x)
	for n := 0; ; n++ {
		if n == maxDrained {
			panic(endlessError{fmt.Sprintf("%d actions were reduced in one step, and there are more: the reducer of %s sends without end", n, orStore(p.host.name))})
		}
		var before CS
		if x.trace != nil {
			before = p.host.states.clone(&p.engine.State)
		}
		step, ok := p.engine.Next()
		if !ok {
			p.commands(x)
			return
		}
		if x.trace != nil {
			x.trace.reduced(p.host.name, step.Action, before, p.host.states.clone(&p.engine.State))
		}
		if x.watching && x.reduced != nil {
			root := step.Cause.Root
			if root == 0 {
				root = step.Seq
			}
			x.reduced(p.host.index, step.Seq, root, step.Action)
		}
		p.commands(x)
	}
}

// tellPanic tells what a panic interrupted, if the step is told of.
func (p *hosted[S, CS, CA]) tellPanic(x *exchange) {
	if x.trace == nil {
		return
	}
	if v := recover(); v != nil {
		doing, action := p.engine.Doing()
		x.trace.panicked(p.host.name, doing, action)
		panic(v)
	}
}

func (p *hosted[S, CS, CA]) commands(x *exchange) {
	if !p.engine.Pending() {
		return
	}
	for _, c := range p.engine.Commands() {
		switch c.Op {
		case engine.Start:
			mark := p.markOf(c.Call, nil)
			p.engine.SetMark(c.Task, mark)
			x.started = append(x.started, startedCall{p.host.index, c.Task, c.Attempt, c.Call, mark})
		case engine.Stop:
			x.stopped = append(x.stopped, stoppedCall{p.host.index, c.Task, c.Attempt})
		case engine.Report:
			if x.fault == nil && !x.tolerate(c.Fault.Err) {
				x.fault = c.Fault.Err
				if c.Fault.HasAction {
					x.faultOf = show(c.Fault.Action)
				} else if c.Fault.Call != nil {
					x.faultOf = callText(c.Fault.Call)
				}
			}
		case engine.Ack:
		default:
		}
	}
}

func (p *hosted[S, CS, CA]) tasks() []task {
	if !p.shared {
		p.tell()
	}
	return p.told
}

// look lists what is open, and sees to it that each task has its mark.
func (p *hosted[S, CS, CA]) look() {
	p.open = p.engine.AppendTasks(p.open[:0])
	for i := range p.open {
		if t := &p.open[i]; t.Mark == 0 {
			t.Mark = p.taskMark(t, nil)
			p.engine.SetMark(t.ID, t.Mark)
		}
	}
	p.groups, p.of = p.groups[:0], p.of[:0]
	if p.engine.HasGroups() {
		p.groups, p.of = p.engine.AppendGroups(p.groups, p.of)
	}
}

// tell lists what is open for others.
func (p *hosted[S, CS, CA]) tell() {
	p.open, p.told = p.engine.AppendTasks(p.open[:0]), p.told[:0]
	for i := range p.open {
		t := &p.open[i]
		var call caller
		if t.Call != nil {
			call = t.Call
		}
		p.told = append(p.told, task{
			id: t.ID, state: t.State, call: call, key: t.Key,
			deadline: t.Deadline, root: t.Cause.Root, attempt: t.Attempt,
		})
		if t.State == engine.Timing {
			p.told[i].action = t.Action
		}
	}
}

func (p *hosted[S, CS, CA]) stateHash(r *renaming) uint64 {
	switch {
	case p.shared && r == nil:
		return p.hashes[0]
	case p.shared:
		return p.hashes[r.index]
	case r == nil:
		return p.host.states.kind.Hash(&p.engine.State)
	}
	return p.host.states.kind.HashWith(&p.engine.State, r.values)
}

// hash is that of the state and of what is open. Tasks are a multiset: in which
// order they were started does not matter but within the line of their key, or
// if there are sequences.
func (p *hosted[S, CS, CA]) hash(r *renaming, asks func(root uint64) uint64, now time.Time) uint64 {
	h := p.stateHash(r)
	if p.engine.Open() == 0 {
		return h
	}
	if !p.shared {
		p.look()
	}
	ordered := len(p.of) > 0
	var sum uint64
	for i := range p.open {
		th := p.placeHash(i, r, asks, now)
		if ordered {
			sum = fingerprint.Mix(sum, th)
		} else {
			sum += th
		}
	}
	h = fingerprint.Mix(h, sum)
	if ordered {
		for i := range p.groups {
			h = fingerprint.Mix(h, p.groupHash(&p.groups[i], r))
		}
	}
	return h
}

// placeHash is the hash of the task at a place of open.
func (p *hosted[S, CS, CA]) placeHash(i int, r *renaming, asks func(root uint64) uint64, now time.Time) uint64 {
	t := &p.open[i]
	mark := t.Mark
	if r != nil {
		mark = p.taskMark(t, r)
	}
	h := fingerprint.Mix(mark, uint64(t.State)<<32|uint64(uint32(t.Attempt))) //nolint:gosec // small
	h = fingerprint.Mix(h, uint64(p.engine.Line(t.ID)))                       //nolint:gosec // small
	if !t.Deadline.IsZero() {
		h = fingerprint.Mix(h, uint64(max(0, t.Deadline.Sub(now)))+1) //nolint:gosec // not negative
	}
	if asks != nil {
		h = fingerprint.Mix(h, asks(t.Cause.Root))
	}
	if len(p.of) > 0 {
		h = fingerprint.Mix(h, uint64(p.of[i]+1)) //nolint:gosec // from -1
	}
	return h
}

func (p *hosted[S, CS, CA]) taskHash(id engine.TaskID, r *renaming, asks func(root uint64) uint64, now time.Time) uint64 {
	for i := range p.open {
		if p.open[i].ID == id {
			return p.placeHash(i, r, asks, now)
		}
	}
	return 0
}

func (p *hosted[S, CS, CA]) checksum() uint64 {
	h := p.host.states.kind.Hash(&p.engine.State)
	for t := range p.engine.Tasks() {
		h = fingerprint.Mix(h, p.taskMark(&t, nil))
	}
	return h
}

func (p *hosted[S, CS, CA]) groupHash(g *engine.Group[CA], r *renaming) uint64 {
	h := fingerprint.Mix(uint64(g.Parent+1), uint64(g.Open)) //nolint:gosec // from -1
	h = fingerprint.Mix(h, hashWith(g.Scope, r))
	for _, key := range g.Skip {
		h = fingerprint.Mix(h, hashWith(key, r))
	}
	for i := range g.Rest {
		h = fingerprint.Mix(h, p.nodeHash(&g.Rest[i], r))
	}
	return h
}

func (p *hosted[S, CS, CA]) nodeHash(n *tree.Node[CA], r *renaming) uint64 {
	h := fingerprint.Mix(uint64(n.Kind)+1, uint64(n.Delay)) //nolint:gosec // any
	if gone, ok := n.Key.(tree.Gone); ok {
		h = fingerprint.Mix(h, fingerprint.String(gone.Name))
	} else {
		h = fingerprint.Mix(h, hashWith(n.Key, r))
	}
	if n.Call != nil {
		h = fingerprint.Mix(h, p.markOf(n.Call, r))
	} else {
		h = fingerprint.Mix(h, hashWith(n.Action, r))
	}
	for i := range n.Kids() {
		h = fingerprint.Mix(h, p.nodeHash(&n.Kids()[i], r))
	}
	return h
}

// taskMark is the part of a task's hash that stays while it is open.
func (p *hosted[S, CS, CA]) taskMark(t *engine.Task[CA], r *renaming) uint64 {
	var h uint64
	switch {
	case t.Call != nil:
		return p.markOf(t.Call, r)
	case t.State == engine.Timing:
		h = fingerprint.Mix(2, hashWith(t.Action, r))
	default:
		h = fingerprint.Mix(3, 0)
	}
	h = fingerprint.Mix(h, hashWith(t.Key, r))
	return h | 1
}

func (p *hosted[S, CS, CA]) markOf(call caller, r *renaming) uint64 {
	o := call.Options()
	h := fingerprint.Mix(codeHash(call.Code()), fingerprint.String(call.Name()))
	h = fingerprint.Mix(h, hashWith(call.Request(), r))
	h = fingerprint.Mix(h, hashWith(o.Key, r))
	h = fingerprint.Mix(h, uint64(o.Policy)<<56^uint64(o.Timeout)) //nolint:gosec // any
	if o.Retry != nil {
		h = fingerprint.Mix(h, uint64(o.Retry.Attempts)) //nolint:gosec // any
		h = fingerprint.Mix(h, uint64(o.Retry.Delay))    //nolint:gosec // any
		h = fingerprint.Mix(h, math.Float64bits(o.Retry.Factor))
	}
	return fingerprint.Mix(h, p.thenHash(call, r)) | 1
}

// errProbe is an error that no request ends with.
var errProbe = errors.New("probe")

// thenHash tells calls apart that ask for the same by the same code, and whose
// function has captured other values: by what it makes of an error and of a
// result that is zero.
func (p *hosted[S, CS, CA]) thenHash(call caller, r *renaming) uint64 {
	if call.Code() == 0 || call.RequestType() == nil {
		return 0
	}
	c := call.(tree.Call[CA]) //nolint:forcetypeassert // calls are of this store
	return fingerprint.Mix(probe(c, nil, errProbe, r), probe(c, p.host.common.zeros[call.RequestType()], nil, r))
}

func probe[A any](call tree.Call[A], value any, err error, r *renaming) (h uint64) {
	defer func() {
		if recover() != nil { // a function that cannot stand the probe
			h = 1
		}
	}()
	o, wrong := call.Outcome(value, err)
	if wrong != nil {
		return 0
	}
	a, _ := call.Then(o)
	return hashWith(a, r)
}

func hashWith(v any, r *renaming) uint64 {
	if v == nil {
		return 0
	}
	if r == nil {
		return fingerprint.Of(v)
	}
	return fingerprint.OfWith(v, r.values)
}

// codeHashes remembers the names of functions, by where they are.
var codeHashes sync.Map

// codeHash is a hash of a function that is the same in every run.
func codeHash(pc uintptr) uint64 {
	if known, ok := codeHashes.Load(pc); ok {
		return known.(uint64) //nolint:forcetypeassert // stored below
	}
	var h uint64
	if f := runtime.FuncForPC(pc); f != nil {
		file, line := f.FileLine(pc)
		h = fingerprint.Mix(fingerprint.String(f.Name()), fingerprint.Mix(fingerprint.String(file[max(0, len(file)-20):]), uint64(line))) //nolint:gosec // any
	}
	codeHashes.Store(pc, h)
	return h
}
