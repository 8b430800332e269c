package saga

import (
	"sync"
	"time"

	"github.com/seed57833328/rondo/store"
)

// retireAfter is how long a saga that has ended stays in memory, up to twice that:
// long enough for who has started it to ask for its end. Thousands may end in a
// second, and each garbage collection looks at all that are there.
const retireAfter = 50 * time.Millisecond

// retiring has sagas that have ended leave memory.
type retiring struct {
	runtime store.Runtime
	forget  func(ID) bool

	mu   sync.Mutex
	next []ID // at the next tick
	then []ID // at the one after it
	on   bool // a tick is to come
}

func (r *retiring) add(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.then = append(r.then, id)
	r.schedule()
}

// schedule sees to it that a tick comes; the mutex is held.
func (r *retiring) schedule() {
	if !r.on && len(r.next)+len(r.then) > 0 {
		r.on = true
		r.runtime.AfterFunc(retireAfter, r.tick)
	}
}

func (r *retiring) tick() {
	r.mu.Lock()
	leave := r.next
	r.next, r.then = r.then, nil
	r.on = false
	r.schedule()
	r.mu.Unlock()
	for _, id := range leave {
		r.forget(id) // one that is at work again stays, for Config.Resident
	}
}
