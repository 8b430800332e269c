package benchmarks

import (
	"context"
	"sync"
)

// mutex is the limit: the sender takes the lock and calls the step. What is not
// the same: there is no queue, so a sender waits until its message is reduced,
// and no order among senders. Work off the loop is a goroutine each, which then
// takes the lock for its result.
type mutex struct {
	mu    sync.Mutex
	state state
	step  func(*state, action) next // a call that is not inlined, as a reducer's is not
}

func newMutex(s state) loop { return startMutex(s) }

func startMutex(s state) *mutex { return &mutex{state: s, step: (*state).step} }

func (m *mutex) send(a action) {
	m.mu.Lock()
	what := m.step(&m.state, a)
	if what == feedback {
		what = m.step(&m.state, inc{})
	}
	n := m.state.n
	m.mu.Unlock()
	if what == request {
		go func() { m.send(got{work(n)}) }()
	}
}

func (m *mutex) repeat(n int, a action) {
	for range n {
		m.send(a)
	}
}

func (m *mutex) repeatContext(ctx context.Context, n int, a action) {
	for range n {
		must(ctx.Err())
		m.send(a)
	}
}

func (m *mutex) ask(n int) (last int) {
	for range n {
		m.mu.Lock()
		if m.step(&m.state, question{}) == respond {
			last = m.state.n
		}
		m.mu.Unlock()
	}
	return last
}

func (m *mutex) stop() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.n
}

type mutexKeyed map[int]*mutex

func newMutexKeyed(initial func(key int) state) keyedLoop {
	k := make(mutexKeyed, keys)
	for key := range keys {
		k[key] = startMutex(initial(key))
	}
	return k
}

func (k mutexKeyed) walk(key, n int, a action) {
	for range n {
		k[key].send(a)
		key = following(key)
	}
}

func (k mutexKeyed) stop() (sum int) {
	for _, m := range k {
		sum += m.stop()
	}
	return sum
}
