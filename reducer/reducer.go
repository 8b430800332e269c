package reducer

import "github.com/seed57833328/rondo/effect"

// Reducer decides what an action does to a state of type S and what work
// follows. It is pure: the same state, action and env give the same state and
// effects. It may change *state and what that owns, and nothing else; it reads
// no clock, no randomness, no global, and starts nothing. The testkit checks
// that on every step.
//
// A reducer has no fields that change, so one value serves many stores at once.
type Reducer[S, A any] interface {
	Reduce(state *S, action A, env Env) effect.Effect[A]
}

// Func is a function that is a [Reducer].
type Func[S, A any] func(state *S, action A, env Env) effect.Effect[A]

// Reduce calls f.
func (f Func[S, A]) Reduce(state *S, action A, env Env) effect.Effect[A] {
	return f(state, action, env)
}
