package benchmarks

import "sync"

// action is a message. It is an interface on every side, since bubbletea and
// protoactor know nothing else. Most actions here carry nothing, so that putting
// them into the interface allocates nowhere; got and answer carry a number, and
// cost every side that makes them one allocation.
type action = any

type (
	inc      struct{}           // counts
	pulse    struct{}           // causes an inc
	start    struct{}           // asks for work
	got      struct{ N int }    // the result of work: counts, asks for more
	question struct{ to reply } // is answered with the count
	answer   struct{ N int }    // what question causes, where that is an action
	touch    struct{}           // nothing: makes a keyed store before it is measured
)

// reply is where the sides that have no replies of their own put them.
type reply chan<- int

// state is what the loops hold.
type state struct {
	n      int             // counted
	target int             // done when n is that
	left   int             // requests still to be asked for
	done   *sync.WaitGroup // told once, at target
}

// next is what a step asks for.
type next uint8

const (
	nothing  next = iota
	feedback      // reduce an inc
	request       // do double(n) off the loop and reduce a got with its result
	respond       // answer the question with n
)

// step is the reducer of all sides. It is pure but for the signal at the end of
// the measurement, which costs all of them the same comparison.
func (s *state) step(a action) next {
	switch a.(type) {
	case inc:
		s.count()
	case pulse:
		return feedback
	case start:
		return s.ask()
	case got:
		s.count()
		return s.ask()
	case question:
		return respond
	}
	return nothing
}

func (s *state) count() {
	s.n++
	if s.n == s.target {
		s.done.Done()
	}
}

func (s *state) ask() next {
	if s.left == 0 {
		return nothing
	}
	s.left--
	return request
}

// work is what requests ask for: next to nothing, so that the way there and back
// is what is measured.
func work(n int) int { return 2 * n }

// must is for what cannot fail here: the benchmark would measure something else.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
