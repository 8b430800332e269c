package testkit

import (
	"github.com/seed57833328/rondo/internal/engine"
	"github.com/seed57833328/rondo/internal/tree"
)

// Running are the calls that a test could answer now, for tests that answer
// what there is.
func (ts *TestStore[S, A]) Running() (calls []tree.Call[A]) {
	for task := range ts.engine.Tasks() {
		if task.State == engine.Running {
			calls = append(calls, task.Call)
		}
	}
	return calls
}
