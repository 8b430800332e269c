package store

import "sync"

// pool runs work on a bounded number of goroutines over an unbounded queue.
// Work that waits for other work of the same pool gives up its place while it
// does, so a pool smaller than the work never deadlocks.
type pool struct {
	runtime Runtime
	max     int // at work at once
	idleMax int // kept while there is nothing to do

	mu      sync.Mutex
	more    *sync.Cond
	queue   []work // ring
	head, n int
	workers int // goroutines
	idle    int // of those, waiting for work
	blocked int // of those, waiting within work
	closed  bool
}

// work is what a pool runs. It returns what the same goroutine is to go on with, nil
// if that is nothing.
type work interface{ run() (next work) }

func newPool(rt Runtime, size, idle int) *pool {
	p := &pool{runtime: rt, max: size, idleMax: idle}
	p.more = sync.NewCond(&p.mu)
	return p
}

// submit queues w. It never blocks.
func (p *pool) submit(w work) {
	p.mu.Lock()
	p.push(w)
	p.summon()
}

func (p *pool) push(w work) {
	if p.n == len(p.queue) {
		p.grow()
	}
	p.queue[(p.head+p.n)&(len(p.queue)-1)] = w
	p.n++
}

// summon sees to it that someone takes what is queued, and unlocks.
func (p *pool) summon() {
	switch {
	case p.n == 0:
	case p.idle >= p.n: // each thing queued has roused one who was idle
		p.mu.Unlock()
		p.more.Signal()
		return
	case p.workers-p.blocked < p.max:
		p.workers++
		p.mu.Unlock()
		p.runtime.Go(p.serve)
		return
	}
	p.mu.Unlock()
}

func (p *pool) serve() {
	finished := false
	defer func() {
		if !finished { // the work ended the goroutine: another takes its place
			p.mu.Lock()
			p.workers--
			p.summon()
		}
	}()
	p.mu.Lock()
	for {
		for p.n == 0 {
			if p.closed || p.idle >= p.idleMax {
				finished = true
				p.workers--
				p.mu.Unlock()
				return
			}
			p.idle++
			p.more.Wait()
			p.idle--
		}
		if p.workers-p.blocked > p.max { // more than wanted, since some who waited went on
			finished = true
			p.workers--
			p.summon()
			return
		}
		w := p.queue[p.head]
		p.queue[p.head] = nil
		p.head = (p.head + 1) & (len(p.queue) - 1)
		p.n--
		for w != nil {
			p.mu.Unlock()
			w = w.run()
			p.mu.Lock()
			if w != nil && (p.n > 0 || p.workers-p.blocked > p.max) { // others come first
				p.push(w)
				w = nil
			}
		}
	}
}

// block tells that the caller's work waits; unblock that it goes on.
func (p *pool) block() {
	p.mu.Lock()
	p.blocked++
	p.summon()
}

func (p *pool) unblock() {
	p.mu.Lock()
	p.blocked--
	p.mu.Unlock()
}

// close lets idle workers go. What is queued is still run.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.more.Broadcast()
}

func (p *pool) grow() {
	bigger := make([]work, max(16, 2*len(p.queue)))
	for i := range p.n {
		bigger[i] = p.queue[(p.head+i)&(len(p.queue)-1)]
	}
	p.queue, p.head = bigger, 0
}
