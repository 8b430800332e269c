package testkit

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/internal/tree"
)

// situation is a state of the whole model: of its stores, of the world, and of
// what is on its way between them.
type situation[W any] struct {
	parts   []part
	world   W
	flights []flight
	sent    []uint16 // of each sender's inputs
	now     time.Time
	left    bounds

	index uint32 // in the search
}

// bounds are how many faults may still happen.
type bounds struct{ crashes, lost, duplicates, failures, timeouts uint8 }

const unbounded = 255

func (b *bounds) hash() uint64 {
	return uint64(b.crashes) | uint64(b.lost)<<8 | uint64(b.duplicates)<<16 | uint64(b.failures)<<24 | uint64(b.timeouts)<<32
}

// take uses up one, unless there is no bound.
func take(n *uint8) {
	if *n != unbounded {
		*n--
	}
}

// flight is a request on its way.
type flight struct {
	*asking
	*outcome // nil until it is done

	task     engine.TaskID // 0 when nobody waits for it any more
	root     uint64        // delivered: the action there
	attempt  int32
	to       int16 // delivered: the part that was asked
	phase    phase
	repeated bool // the second of a request that is sent twice
}

// asking is what stays of a flight. It is shared by many.
type asking struct {
	part    int
	call    caller
	request any
	answer  int // which of the model's
	mark    uint64
}

// outcome is what a request came to. It is shared by many.
type outcome struct {
	value any
	err   error
}

// phase is how far a request has come.
type phase uint8

const (
	asked     phase = iota // has not acted
	delivered              // is in another store, which has not answered
	done                   // has acted, its answer is on the way
)

// system is a model made ready: what all its situations have in common.
type system[S, W any] struct {
	setup
	hosts    []hosting[S]
	worlds   *kind[W]
	first    S
	world    W
	start    time.Time
	states   *kind[S] // of several stores, for views
	answers  []*handler
	byType   map[reflect.Type]int
	senders  []sender
	recover  func(*S) (S, []Sent)
	settings settings
	clock    bool // time is part of the hash
	several  bool
	inPlace  bool // a situation that is needed no more can be changed
	permuted []*renaming
}

// sender is the inputs of one.
type sender struct {
	inputs []input
	hashes []uint64 // under each renaming, or under none
}

type input struct {
	part   int
	action any
}

// modelError is what is wrong with a model.
type modelError string

func (e modelError) Error() string { return string(e) }

// endlessError is a step that does not end.
type endlessError struct{ text string }

func (e endlessError) Error() string { return e.text }

// newSystem takes a model.
func newSystem[S, A, W any](m *Model[S, A, W], st settings) (sys *system[S, W], err error) {
	defer func() {
		if v := recover(); v != nil {
			switch e := v.(type) {
			case modelError:
				err = e
			case *fingerprint.UnhashableError:
				err = e
			default:
				panic(v)
			}
		}
	}()
	sys = &system[S, W]{
		setup:    setup{id: uuid.NewSHA1(uuid.NameSpaceURL, []byte("testkit")), zeros: map[reflect.Type]any{}},
		first:    m.State,
		world:    m.World,
		start:    m.Start,
		settings: st,
		byType:   map[reflect.Type]int{},
	}
	if sys.start.IsZero() {
		sys.start = Config{}.withDefaults().Start
	}
	if sys.worlds, err = kindOf[W]("world"); err != nil {
		return nil, err
	}
	toSent := func(a A) Sent { return Sent{"", a} }
	switch {
	case len(m.Stores) > 0 && m.Reducer != nil:
		return nil, modelError("the model has both Reducer and Stores")
	case len(m.Stores) > 0:
		sys.several = true
		for i, s := range m.Stores {
			if s.make == nil {
				return nil, modelError(fmt.Sprintf("store %d is the zero value, make it with StoreOf", i))
			}
			for _, other := range sys.hosts {
				if other.storeName() == s.name {
					return nil, modelError(fmt.Sprintf("there are two stores of the name %q", s.name))
				}
			}
			sys.hosts = append(sys.hosts, s.make(&sys.setup, i))
		}
		if sys.states, err = kindOf[S]("state"); err != nil {
			return nil, err
		}
		if reflect.TypeFor[A]() != reflect.TypeFor[Sent]() {
			return nil, modelError(fmt.Sprintf("a model of several stores has inputs of type testkit.Sent, not %s: see testkit.To", reflect.TypeFor[A]()))
		}
		toSent = func(a A) Sent { return any(a).(Sent) } //nolint:forcetypeassert // A is Sent
	default:
		sys.hosts = append(sys.hosts, newHost(&sys.setup, 0, "", func(s *S) *S { return s }, m.Reducer))
	}
	// What is open may share memory with the state that it came from. Of several
	// stores a part is copied before it is changed; else nothing is shared if
	// there is nothing to share.
	sys.inPlace = sys.several || sys.hosts[0].flat()
	if m.Recover != nil {
		sys.recover = func(crashed *S) (S, []Sent) {
			s, restart := m.Recover(crashed)
			actions := make([]Sent, len(restart))
			for i, a := range restart {
				actions[i] = toSent(a)
			}
			return s, actions
		}
	}
	if st.crashes > 0 && m.Recover == nil {
		return nil, modelError("Crashes needs Model.Recover, which says with what a process starts again")
	}
	if err := sys.takeAnswers(m.Answers); err != nil {
		return nil, err
	}
	if len(m.Inputs) == 0 {
		return nil, modelError("the model has no Inputs: nothing can happen")
	}
	for i, actions := range m.Inputs {
		s := sender{}
		if len(actions) == 0 {
			return nil, modelError(fmt.Sprintf("sender %d of Inputs has no actions", i))
		}
		for _, a := range actions {
			in, err := sys.input(toSent(a))
			if err != nil {
				return nil, err
			}
			s.inputs = append(s.inputs, in)
		}
		s.hashes = []uint64{sys.senderHash(&s, nil)}
		sys.senders = append(sys.senders, s)
	}
	if err := sys.permute(); err != nil {
		return nil, err
	}
	return sys, nil
}

func (sys *system[S, W]) senderHash(s *sender, r *renaming) uint64 {
	var h uint64
	for _, in := range s.inputs {
		h = fingerprint.Mix(h, fingerprint.Mix(sys.nameHash(in.part, r), hashWith(in.action, r)))
	}
	return h
}

func (sys *system[S, W]) takeAnswers(answers []Answer) error {
	for i, a := range answers {
		switch {
		case a.h == nil:
			return modelError(fmt.Sprintf("answer %d is the zero value, make it with On or Route", i))
		case a.h.trouble != "":
			return modelError(a.h.trouble)
		case a.h.world != nil && a.h.world != reflect.TypeFor[W]():
			return modelError(fmt.Sprintf("%s acts on a world of type %s, the model's is %s", a.h.request, a.h.world, reflect.TypeFor[W]()))
		case a.h.route != nil && a.h.commutes:
			return modelError(fmt.Sprintf("Commutes of %s: it is routed to another store, and acts on no world", a.h.request))
		case a.h.route != nil && !sys.several:
			return modelError(fmt.Sprintf("%s is routed to another store, and the model has one", a.h.request))
		}
		if _, twice := sys.byType[a.h.request]; twice {
			return modelError(fmt.Sprintf("there are two answers for %s", a.h.request))
		}
		sys.byType[a.h.request] = len(sys.answers)
		sys.zeros[a.h.request] = a.h.zero
		sys.answers = append(sys.answers, a.h)
	}
	return nil
}

func (sys *system[S, W]) partOf(store string) int {
	return slices.IndexFunc(sys.hosts, func(h hosting[S]) bool { return h.storeName() == store })
}

// input is an action from outside with the store that it is for.
func (sys *system[S, W]) input(s Sent) (input, error) {
	in, err := sys.address(s)
	if err != nil {
		return in, err
	}
	if t := uncloneable("action", reflect.ValueOf(s.Action)); t != nil {
		return in, modelError(t.report("action", nameOf(reflect.TypeOf(s.Action))))
	}
	return in, nil
}

// address finds the store of an action.
func (sys *system[S, W]) address(s Sent) (input, error) {
	i := sys.partOf(s.Store)
	if i < 0 {
		return input{}, modelError(fmt.Sprintf("%s is sent to the store %q, which the model has not", show(s.Action), s.Store))
	}
	if s.Action == nil {
		return input{}, modelError("an input is nil")
	}
	if want := sys.hosts[i].actionType(); !reflect.TypeOf(s.Action).AssignableTo(want) {
		return input{}, modelError(fmt.Sprintf("%s is sent to %s, whose actions are %s", show(s.Action), orStore(s.Store), want))
	}
	return input{i, s.Action}, nil
}

// initial is the situation in which the model begins.
func (sys *system[S, W]) initial() *situation[W] {
	st := &sys.settings
	sit := &situation[W]{
		world: sys.worlds.clone(&sys.world),
		sent:  make([]uint16, len(sys.senders)),
		now:   sys.start,
		left: bounds{
			uint8(st.crashes), uint8(st.lost), uint8(st.duplicates), //nolint:gosec // checked
			uint8(st.failures), uint8(st.timeouts), //nolint:gosec // -1 is without bound
		},
	}
	for _, h := range sys.hosts {
		sit.parts = append(sit.parts, h.open(&sys.first, sit.now, 0))
	}
	return sit
}

func (sys *system[S, W]) blank() *situation[W] {
	sit := &situation[W]{parts: make([]part, len(sys.hosts))}
	if !sys.several {
		sit.parts[0] = sys.hosts[0].blank()
	}
	return sit
}

func (sys *system[S, W]) copyTo(to, from *situation[W]) {
	if sys.several {
		copy(to.parts, from.parts) // they are sealed: own makes copies when they change
	} else {
		to.parts[0].copyFrom(from.parts[0])
	}
	to.world = sys.worlds.clone(&from.world)
	to.flights = append(to.flights[:0], from.flights...)
	to.sent = append(to.sent[:0], from.sent...)
	to.now, to.left = from.now, from.left
}

// own gives a part that may be changed.
func (sys *system[S, W]) own(sit *situation[W], i int) part {
	if sit.parts[i].sealed() {
		p := sys.hosts[i].blank()
		p.copyFrom(sit.parts[i])
		sit.parts[i] = p
	}
	return sit.parts[i]
}

// view is the model's state in a situation. scratch is where that of several
// stores is put together.
func (sys *system[S, W]) view(sit *situation[W], scratch *S) *S {
	if !sys.several {
		return sys.hosts[0].whole(sit.parts[0])
	}
	for i, h := range sys.hosts {
		h.put(scratch, sit.parts[i])
	}
	return scratch
}

func (sys *system[S, W]) scratch() *S {
	if !sys.several {
		return nil
	}
	s := sys.states.clone(&sys.first)
	return &s
}

// atRest tells that nothing is left to do. What a store was asked is for that
// store to go on with.
func (sys *system[S, W]) atRest(sit *situation[W]) bool {
	for i := range sit.sent {
		if int(sit.sent[i]) < len(sys.senders[i].inputs) {
			return false
		}
	}
	for i := range sit.flights {
		if f := &sit.flights[i]; f.task != 0 && f.phase != delivered {
			return false
		}
	}
	for _, p := range sit.parts {
		if _, timed := p.deadline(); timed {
			return len(sys.timerMoves(sit, nil)) == 0
		}
	}
	return true
}

// stuck tells what waits in a situation at rest, or nothing.
func (sys *system[S, W]) stuck(sit *situation[W]) string {
	var waits []string
	for i, p := range sit.parts {
		for _, t := range p.tasks() {
			what := "a command is held"
			switch {
			case t.state == engine.Running:
				what = show(t.call.Request()) + " waits for its answer" + sys.flightText(sit, i, t.id)
			case t.call != nil:
				what = show(t.call.Request()) + " waits its turn"
			}
			if t.key != nil {
				what += " under the key " + show(t.key)
			}
			waits = append(waits, sys.prefix(i)+what)
		}
	}
	return strings.Join(waits, "\n")
}

// hash is the fingerprint of a situation. Of several stores those that have
// changed are sealed.
func (sys *system[S, W]) hash(sit *situation[W]) uint64 {
	if sys.several {
		for _, p := range sit.parts {
			if !p.sealed() {
				p.seal(sys.permuted)
			}
		}
	}
	if len(sys.permuted) == 0 {
		return sys.hashWith(sit, nil)
	}
	h := uint64(math.MaxUint64)
	for _, r := range sys.permuted {
		h = min(h, sys.hashWith(sit, r))
	}
	return h
}

func (sys *system[S, W]) hashWith(sit *situation[W], r *renaming) uint64 {
	renamed := r != nil
	h := sit.left.hash()
	if sys.clock {
		h = fingerprint.Mix(h, uint64(sit.now.Sub(sys.start))) //nolint:gosec // any
	}
	if renamed {
		h = fingerprint.Mix(h, sys.worlds.kind.HashWith(&sit.world, r.values))
	} else {
		h = fingerprint.Mix(h, sys.worlds.kind.Hash(&sit.world))
	}
	var sum uint64
	for i := range sit.sent {
		s, at := &sys.senders[i], 0
		if renamed {
			at = r.index
		}
		sum += fingerprint.Mix(s.hashes[at], uint64(sit.sent[i]))
	}
	h = fingerprint.Mix(h, sum)
	sum = 0
	if !sys.several {
		h = fingerprint.Mix(h, sit.parts[0].hash(r, nil, sit.now))
	} else {
		for i, p := range sit.parts {
			sum += fingerprint.Mix(sys.nameHash(i, r), p.hash(r, sys.asks(sit, i, r), sit.now))
		}
	}
	for i := range sit.flights {
		sum += sys.flightHash(sit, i, r)
	}
	return fingerprint.Mix(h, sum)
}

// asks gives the hash of what waits for an action of a store and all that it
// causes, by that action's number.
func (sys *system[S, W]) asks(sit *situation[W], part int, r *renaming) func(root uint64) uint64 {
	if !sys.several {
		return nil
	}
	return func(root uint64) uint64 {
		for i := range sit.flights {
			if f := &sit.flights[i]; f.phase == delivered && int(f.to) == part && f.root == root {
				return sys.askHash(f, r)
			}
		}
		return 0
	}
}

// checksum is a hash of all that a situation holds and nobody should change.
func (sys *system[S, W]) checksum(sit *situation[W]) uint64 {
	h := sys.worlds.kind.Hash(&sit.world)
	for _, p := range sit.parts {
		h = fingerprint.Mix(h, p.checksum())
	}
	for i := range sit.flights {
		f := &sit.flights[i]
		h = fingerprint.Mix(h, hashWith(f.request, nil))
		if f.phase == done {
			h = fingerprint.Mix(h, resultHash(f.value, f.err, nil))
		}
	}
	return h
}

// nameHash is that of a store's name, in which values are renamed word by word.
func (sys *system[S, W]) nameHash(part int, r *renaming) uint64 {
	name := sys.hosts[part].storeName()
	if r == nil {
		return fingerprint.String(name)
	}
	if part < len(r.stores) {
		return r.stores[part]
	}
	words := strings.Fields(name)
	for i, word := range words {
		if other, ok := r.words[word]; ok {
			words[i] = other
		}
	}
	return fingerprint.String(strings.Join(words, " "))
}

func (sys *system[S, W]) askHash(f *flight, r *renaming) uint64 {
	mark := f.mark
	if r != nil {
		mark = hashWith(f.request, r)
	}
	h := fingerprint.Mix(mark, sys.nameHash(f.part, r))
	if f.task == 0 {
		h = fingerprint.Mix(h, 1)
	}
	return h
}

// flightHash is used after the parts have been hashed: equal requests are told
// apart by the task that waits for each.
func (sys *system[S, W]) flightHash(sit *situation[W], i int, r *renaming) uint64 {
	f := &sit.flights[i]
	h := fingerprint.Mix(sys.askHash(f, r), uint64(f.phase))
	switch {
	case f.task != 0:
		h = fingerprint.Mix(h, sit.parts[f.part].taskHash(f.task, r, sys.asks(sit, f.part, r), sit.now))
	case f.repeated:
		h = fingerprint.Mix(h, 1)
	}
	if f.phase == delivered {
		h = fingerprint.Mix(h, sys.nameHash(int(f.to), r))
	}
	if f.phase == done {
		h = fingerprint.Mix(h, resultHash(f.value, f.err, r))
	}
	return h
}

// resultHash is that of what a request came to: of an error, its type and text.
func resultHash(value any, err error, r *renaming) uint64 {
	if err != nil {
		return fingerprint.Mix(fingerprint.String(reflect.TypeOf(err).String()), fingerprint.String(err.Error()))
	}
	return hashWith(value, r)
}

// update carries over what a part has told: requests that began, and those
// nobody waits for any more.
func (sys *system[S, W]) update(sit *situation[W], x *exchange) {
	for _, s := range x.stopped {
		for i := range sit.flights {
			if f := &sit.flights[i]; f.part == s.part && f.task == s.id && int(f.attempt) == s.attempt {
				sys.giveUp(sit, i)
				break
			}
		}
	}
	for _, s := range x.started {
		f := flight{
			asking: &asking{part: s.part, call: s.call, mark: s.mark, answer: -1},
			task:   s.id, attempt: int32(s.attempt), //nolint:gosec // attempts are few
		}
		if t := s.call.RequestType(); t != nil {
			f.request = unshared(s.call.Request())
			if i, ok := sys.byType[t]; ok {
				f.answer = i
			}
		}
		switch {
		case f.request == nil:
			panic(unsupported{fmt.Sprintf("%s is a function that cannot be looked into: ask for it with a request", callText(s.call))})
		case s.call.Kind() == tree.Stream:
			panic(unsupported{callText(s.call) + ": streams are not explored"})
		case f.answer < 0:
			panic(unsupported{fmt.Sprintf("%s is asked for, and the model has no answer for %s", callText(s.call), s.call.RequestType())})
		}
		sit.flights = append(sit.flights, f)
		if !sit.parts[s.part].runs(s.id, s.attempt) {
			sys.giveUp(sit, len(sit.flights)-1) // in the same step, and under way
		}
	}
}

// unsupported is a request that the model cannot answer.
type unsupported struct{ text string }

func (e unsupported) Error() string { return e.text }

// giveUp leaves a flight to itself: it may still act if it has not. Of equal ones
// one stays, or a caller that tries for ever would leave behind more and more.
func (sys *system[S, W]) giveUp(sit *situation[W], i int) {
	f := &sit.flights[i]
	h := sys.answers[f.answer]
	if f.phase != asked || h.reads {
		sys.drop(sit, i)
		return
	}
	f.task, f.attempt = 0, 0
	for j := range sit.flights {
		o := &sit.flights[j]
		if j != i && o.task == 0 && !o.repeated && o.part == f.part && o.mark == f.mark {
			sys.drop(sit, i)
			return
		}
	}
}

func (sys *system[S, W]) drop(sit *situation[W], i int) {
	sit.flights = slices.Delete(sit.flights, i, i+1)
}

// prefix names a store in a label, if there are several.
func (sys *system[S, W]) prefix(part int) string {
	if !sys.several {
		return ""
	}
	return sys.hosts[part].storeName() + ": "
}
