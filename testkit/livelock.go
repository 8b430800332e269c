package testkit

import (
	"fmt"
	"slices"
)

// livelock looks for a state from which none at rest can be reached without a
// fault. It returns the shortest way to one that can go on in a circle, and once
// around.
func (s *exploration[S, W]) livelock() (*violation, []move) {
	if s.sys.settings.endless {
		return nil, nil
	}
	// Who cannot end goes on for ever in finitely many states: in a circle.
	for _, at := range s.circling(s.canEnd()) {
		if lap := s.lap(at); lap != nil {
			path := s.path(at)
			where := "it was in the beginning"
			if len(path) > 0 {
				where = fmt.Sprintf("after step %d", len(path))
			}
			return &violation{
				headline: "livelock: from here on there is always something left to do, whatever happens",
				body: fmt.Sprintf("After the last step all is as %s, and no other way comes to an end either.\n", where) +
					"If that is meant, as with a timer that always sets another, say testkit.Endless.",
			}, s.walkLap(path, lap)
		}
	}
	return nil, nil
}

// canEnd tells of each state whether one at rest can be reached from it.
func (s *exploration[S, W]) canEnd() []bool {
	n := len(s.parents)
	starts := make([]uint32, n+1)
	for _, to := range s.edges {
		starts[to+1]++
	}
	for i := range n {
		starts[i+1] += starts[i]
	}
	froms := make([]uint32, len(s.edges))
	fill := slices.Clone(starts)
	for from := range s.edgeEnds {
		for _, to := range s.edgesOf(uint32(from)) { //nolint:gosec // bounded by MaxStates
			froms[fill[to]] = uint32(from) //nolint:gosec // bounded by MaxStates
			fill[to]++
		}
	}
	ends := slices.Clone(s.rest)
	var todo []uint32
	for i, rest := range s.rest {
		if rest {
			todo = append(todo, uint32(i)) //nolint:gosec // bounded by MaxStates
		}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, from := range froms[starts[at]:starts[at+1]] {
			if !ends[from] {
				ends[from] = true
				todo = append(todo, from)
			}
		}
	}
	return ends
}

// circling are the states that cannot end, without those that only lead to a
// circle and are not in one.
func (s *exploration[S, W]) circling(ends []bool) []uint32 {
	entered := make([]int, len(ends))
	var all, todo []uint32
	for i, end := range ends {
		if !end {
			at := uint32(i) //nolint:gosec // bounded by MaxStates
			all = append(all, at)
			for _, to := range s.edgesOf(at) {
				entered[to]++
			}
		}
	}
	leave := func(at uint32) {
		if entered[at] == 0 {
			todo = append(todo, at)
		}
	}
	for _, at := range all {
		leave(at)
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, to := range s.edgesOf(at) {
			entered[to]--
			leave(to)
		}
	}
	return slices.DeleteFunc(all, func(at uint32) bool { return entered[at] == 0 })
}

// edgesOf are the states that moves which are no faults lead to.
func (s *exploration[S, W]) edgesOf(at uint32) []uint32 {
	begin := 0
	if at > 0 {
		begin = s.edgeEnds[at-1]
	}
	return s.edges[begin:s.edgeEnds[at]]
}

// lap is the shortest way from a state back to it, without that state itself at
// its beginning; nil if there is none.
func (s *exploration[S, W]) lap(start uint32) []uint32 {
	cameFrom := map[uint32]uint32{}
	for todo := []uint32{start}; len(todo) > 0; todo = todo[1:] {
		for _, to := range s.edgesOf(todo[0]) {
			if _, seen := cameFrom[to]; seen {
				continue
			}
			cameFrom[to] = todo[0]
			if to != start {
				todo = append(todo, to)
				continue
			}
			lap := []uint32{start}
			for at := todo[0]; at != start; at = cameFrom[at] {
				lap = append(lap, at)
			}
			slices.Reverse(lap)
			return lap
		}
	}
	return nil
}

// walkLap finds the moves that lead through the states of a lap, after those of
// path.
func (s *exploration[S, W]) walkLap(path []move, lap []uint32) []move {
	sys := s.sys
	var x exchange
	x.tolerate = sys.settings.tolerates
	sit := sys.initial()
	for _, m := range path {
		sys.make(sit, m, &x)
	}
	sys.hash(sit) // marks what is open, as it was when the search was here
	for _, want := range lap {
		for _, m := range sys.moves(sit, nil) {
			to := sys.blank()
			sys.copyTo(to, sit)
			sys.make(to, m, &x)
			if at, _ := s.visited.find(sys.hash(to)); at == want && !m.fault() {
				path, sit = append(path, m), to
				break
			}
		}
	}
	return path
}
