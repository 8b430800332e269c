package testkit

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// exploration is a breadth-first search over the situations of a system. It goes
// forward in blocks: workers try all moves of the situations of a block, looking
// only at what was found before it; then what they found is taken over in the
// order of the block. So the result does not depend on how many workers there
// are, and the first failure met is one that takes the fewest steps.
type exploration[S, W any] struct {
	sys      *system[S, W]
	promises []typedPromise[S, W]

	visited  *visited
	parents  []uint32
	moves    []move
	edges    []uint32 // where moves that are no faults lead, state after state
	edgeEnds []int
	rest     []bool // states at rest

	workers []*worker[S, W]
	reached []bool // of each Sometimes
	used    []bool // of each answer
	stats   Stats
	clock   atomic.Bool // a reducer has asked for the time
}

// violation is a promise broken, or something that must not happen.
type violation struct {
	headline string
	body     string
	restless bool // what is broken is that a model has not come to rest
}

// found is what one move leads to.
type found[W any] struct {
	move   move
	hash   uint64
	known  bool
	index  uint32 // if known
	sit    *situation[W]
	broken *violation
	here   bool   // it is broken before the move
	meets  uint64 // which Sometimes hold
	rest   bool
}

// worker is what one goroutine needs for itself.
type worker[S, W any] struct {
	search  *exploration[S, W]
	x       exchange
	buf     []move
	scratch *S
	pool    []*situation[W]
	used    []bool
}

const (
	blockSize = 128
	chunkSize = 8
	// spotted is how many situations are looked at twice: whether moves repeat,
	// and leave alone what they were copied from.
	spotted = 256
)

func newExploration[S, W any](sys *system[S, W], promises []typedPromise[S, W]) *exploration[S, W] {
	s := &exploration[S, W]{
		sys: sys, promises: promises, visited: newVisited(),
		reached: make([]bool, len(promises)), used: make([]bool, len(sys.answers)),
	}
	n := sys.settings.workers
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		s.workers = append(s.workers, s.worker())
	}
	return s
}

func (s *exploration[S, W]) worker() *worker[S, W] {
	w := &worker[S, W]{search: s, scratch: s.sys.scratch(), used: make([]bool, len(s.sys.answers))}
	w.x.tolerate = s.sys.settings.tolerates
	return w
}

// run searches. It returns what is broken, and the state in which the last of
// the moves to it is made, or -1 if it is the first.
func (s *exploration[S, W]) run() (broken *violation, path []move) {
	began := time.Now()
	defer func() { s.stats.Elapsed = time.Since(began) }()
	first := s.sys.initial()
	var origin found[W]
	s.workers[0].look(first, &origin)
	s.meet(origin.meets)
	if origin.broken != nil {
		return origin.broken, nil
	}
	frontier := []*situation[W]{s.add(&origin, first, 0)}
	results := make([][]found[W], blockSize)
	for len(frontier) > 0 {
		if d := s.sys.settings.maxDepth; d > 0 && s.stats.Depth == d {
			s.stats.Cut = fmt.Sprintf("at a depth of %d steps", d)
			return nil, nil
		}
		var next []*situation[W]
		for at := 0; at < len(frontier); at += blockSize {
			block := frontier[at:min(at+blockSize, len(frontier))]
			s.expand(block, results)
			for i, sit := range block {
				for j := range results[i] {
					f := &results[i][j]
					if f.here {
						return f.broken, s.path(sit.index)
					}
					s.stats.Transitions++
					if f.broken != nil {
						return f.broken, append(s.path(sit.index), f.move)
					}
					if !f.known {
						f.index, f.known = s.visited.find(f.hash)
						if f.known {
							s.recycle(f.sit)
						}
					}
					if !f.known {
						s.meet(f.meets)
						f.index = uint32(len(s.parents)) //nolint:gosec // bounded by MaxStates
						next = append(next, s.add(f, f.sit, sit.index))
					}
					if !f.move.fault() {
						s.edges = append(s.edges, f.index)
					}
					*f = found[W]{}
				}
				s.edgeEnds = append(s.edgeEnds, len(s.edges))
				frontier[at+i] = nil
				s.recycle(sit)
			}
			if len(s.parents) >= s.sys.settings.maxStates {
				s.stats.Cut = fmt.Sprintf("at %d states", s.sys.settings.maxStates)
				return nil, nil
			}
			if !s.sys.clock && s.clock.Load() {
				return nil, nil
			}
		}
		s.stats.Frontier = max(s.stats.Frontier, len(next))
		if frontier = next; len(next) > 0 {
			s.stats.Depth++
		}
	}
	s.stats.Complete = true
	return s.livelock()
}

// add takes a situation over as a new one.
func (s *exploration[S, W]) add(f *found[W], sit *situation[W], parent uint32) *situation[W] {
	sit.index = uint32(len(s.parents)) //nolint:gosec // bounded by MaxStates
	s.visited.add(f.hash, sit.index)
	s.parents = append(s.parents, parent)
	s.moves = append(s.moves, f.move)
	s.rest = append(s.rest, f.rest)
	s.stats.States++
	return sit
}

func (s *exploration[S, W]) meet(meets uint64) {
	for i := range s.promises {
		s.reached[i] = s.reached[i] || meets&(1<<i) != 0
	}
}

func (s *exploration[S, W]) recycle(sit *situation[W]) {
	w := s.workers[int(sit.index)%len(s.workers)]
	if len(w.pool) < 4*blockSize {
		w.pool = append(w.pool, sit)
	}
}

// path are the moves that lead to a state.
func (s *exploration[S, W]) path(index uint32) []move {
	var path []move
	for ; index != 0; index = s.parents[index] {
		path = append(path, s.moves[index])
	}
	slices.Reverse(path)
	return path
}

// expand tries all moves of the situations of a block.
func (s *exploration[S, W]) expand(block []*situation[W], results [][]found[W]) {
	workers := min(len(s.workers), (len(block)+chunkSize-1)/chunkSize)
	if workers <= 1 {
		for i, sit := range block {
			results[i] = s.workers[0].expand(sit, results[i][:0])
		}
		s.took(s.workers[:1])
		return
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for _, w := range s.workers[:workers] {
		wg.Go(func() {
			for {
				at := int(taken.Add(chunkSize)) - chunkSize
				if at >= len(block) {
					return
				}
				for i := at; i < min(at+chunkSize, len(block)); i++ {
					results[i] = w.expand(block[i], results[i][:0])
				}
			}
		})
	}
	wg.Wait()
	s.took(s.workers[:workers])
}

func (s *exploration[S, W]) took(workers []*worker[S, W]) {
	for _, w := range workers {
		for i, used := range w.used {
			s.used[i] = s.used[i] || used
		}
	}
}

// expand tries all moves of a situation.
func (w *worker[S, W]) expand(sit *situation[W], results []found[W]) []found[W] {
	sys := w.search.sys
	w.buf = sys.moves(sit, w.buf[:0])
	for i := range sit.flights {
		w.used[sit.flights[i].answer] = true
	}
	spot := sit.index < spotted
	var before uint64
	if spot {
		before = sys.checksum(sit)
	}
	if broken := w.commutes(sit); broken != nil {
		return append(results, found[W]{broken: broken, here: true})
	}
	for i, m := range w.buf {
		to := sit
		if spot || i < len(w.buf)-1 || !sys.inPlace {
			to = w.take()
			sys.copyTo(to, sit)
		}
		results = append(results, found[W]{move: m})
		f := &results[len(results)-1]
		w.try(to, m, f)
		if spot && f.broken == nil {
			f.broken = w.spot(sit, m, before, f)
		}
		switch {
		case f.broken != nil:
			f.sit = nil
			return results // nothing behind it counts
		case f.known:
			if to != sit {
				w.pool = append(w.pool, to)
			}
		default:
			f.sit = to
			if to == sit {
				// The situation itself has moved on, so its index is no more.
				f.sit = w.take()
				*f.sit, *sit = *sit, *f.sit
				sit.index = f.sit.index
			}
		}
	}
	return results
}

func (w *worker[S, W]) take() *situation[W] {
	if n := len(w.pool); n > 0 {
		sit := w.pool[n-1]
		w.pool = w.pool[:n-1]
		return sit
	}
	return w.search.sys.blank()
}

// try makes a move and looks at what comes of it.
func (w *worker[S, W]) try(sit *situation[W], m move, f *found[W]) {
	defer func() {
		if v := recover(); v != nil {
			f.broken = broke(v)
		}
	}()
	w.search.sys.make(sit, m, &w.x)
	if w.x.fault != nil {
		f.broken = &violation{headline: "a fault was reported: " + w.x.fault.Error(), body: faultBody(w.x.faultOf)}
		return
	}
	w.look(sit, f)
}

func faultBody(of string) string {
	text := "In a store this is a dead letter. If it is meant to happen, say testkit.Tolerate."
	if of != "" {
		text = "of: " + of + "\n" + text
	}
	return text
}

// look fingerprints a situation and, if it is new, holds it to the promises.
func (w *worker[S, W]) look(sit *situation[W], f *found[W]) {
	defer func() {
		if v := recover(); v != nil {
			f.broken = broke(v)
		}
	}()
	s := w.search
	f.hash = s.sys.hash(sit)
	if f.index, f.known = s.visited.find(f.hash); f.known {
		return
	}
	if !s.sys.clock {
		for _, p := range sit.parts {
			if p.readNow() {
				s.clock.Store(true)
			}
		}
	}
	f.rest = s.sys.atRest(sit)
	f.broken, f.meets = s.sys.judge(sit, s.promises, w.scratch, f.rest)
}

// judge holds a situation to the promises.
func (sys *system[S, W]) judge(sit *situation[W], promises []typedPromise[S, W], scratch *S, rest bool) (broken *violation, meets uint64) {
	state := sys.view(sit, scratch)
	if rest {
		if waits := sys.stuck(sit); waits != "" {
			broken = &violation{
				headline: "deadlock: nothing is left to happen, and something waits",
				body:     waits,
			}
		}
	}
	for i := range promises {
		p := &promises[i]
		switch {
		case p.kind == sometimes:
			if p.holds(state, &sit.world) {
				meets |= 1 << i
			}
		case p.kind == always && !p.holds(state, &sit.world),
			p.kind == finally && rest && broken == nil && !p.holds(state, &sit.world):
			return &violation{headline: fmt.Sprintf("%s %q is broken", p.kind, p.name)}, 0
		}
	}
	return broken, meets
}

// broke is the violation that a panic stands for.
func broke(v any) *violation {
	switch e := v.(type) {
	case unsupported:
		return &violation{headline: e.text}
	case endlessError:
		return &violation{headline: e.text}
	case modelError:
		return &violation{headline: e.Error()}
	case error:
		if text, ok := unhashable(e); ok {
			return &violation{headline: text}
		}
	}
	return &violation{headline: fmt.Sprintf("panic: %v", v), body: userStack()}
}

// spot makes a move once more: it must lead to the same, and leave alone the
// situation that it was copied from.
func (w *worker[S, W]) spot(sit *situation[W], m move, before uint64, f *found[W]) *violation {
	sys := w.search.sys
	if sys.checksum(sit) != before {
		return &violation{
			headline: "a step changed a state that it was given a copy of",
			body: "Two copies share a slice, map or pointer: the method Clone of the state or the world is not deep, " +
				"or a reducer changes memory that belongs to an action or a request. Copy what is changed.",
		}
	}
	again := w.take()
	sys.copyTo(again, sit)
	var g found[W]
	w.try(again, m, &g)
	if g.broken == nil && g.hash != f.hash {
		return &violation{
			headline: "the same step led to something else the second time",
			body:     "A reducer, an answer or a method Hash is not pure: it uses the clock, chance, the order of a map, or something it keeps to itself.",
		}
	}
	return nil
}

// commutes checks the claim of [Commutes] for all requests that have not acted.
func (w *worker[S, W]) commutes(sit *situation[W]) *violation {
	sys := w.search.sys
	if sys.settings.noReduction {
		return nil
	}
	for i := range sit.flights {
		f := &sit.flights[i]
		if f.phase != asked || !sys.answers[f.answer].commutes {
			continue
		}
		for j := range sit.flights {
			g := &sit.flights[j]
			if i == j || g.phase != asked || sys.answers[g.answer].route != nil {
				continue
			}
			if broken := sys.exchanged(sit, f, g); broken != nil {
				return broken
			}
		}
	}
	return nil
}

func (sys *system[S, W]) exchanged(sit *situation[W], f, g *flight) (broken *violation) {
	defer func() {
		if recover() != nil {
			broken = nil // the search itself will meet it
		}
	}()
	act := func(world *W, f *flight) uint64 {
		value, err := sys.answers[f.answer].apply(world, unshared(f.request))
		return flightResult(value, err)
	}
	one, other := sys.worlds.clone(&sit.world), sys.worlds.clone(&sit.world)
	f1, g1 := act(&one, f), act(&one, g)
	g2, f2 := act(&other, g), act(&other, f)
	if f1 != f2 || g1 != g2 || sys.worlds.kind.Hash(&one) != sys.worlds.kind.Hash(&other) {
		return &violation{
			headline: fmt.Sprintf("%s is said to commute, and does not with %s", show(f.request), show(g.request)),
			body:     "One before the other leaves another world or gives another answer: take Commutes away.",
		}
	}
	return nil
}

// bytesPerState is what a state costs once it has been explored.
func (s *exploration[S, W]) bytesPerState() int {
	total := s.visited.bytes() + 4*cap(s.parents) + 6*cap(s.moves) + cap(s.rest) + 4*cap(s.edges) + 8*cap(s.edgeEnds)
	return total / max(1, len(s.parents))
}
