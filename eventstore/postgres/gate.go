package postgres

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/seed57833328/rondo/eventstore"
)

// gate decides which appends are committed when. While few are in flight each is
// committed at once, by its caller. Otherwise they queue, and the committers take
// what there is, which grows with the load by itself.
//
// A batch ends for all its callers at the same time, and for a moment few are in
// flight. They are not few: each commit that is not shared costs the server as much
// as some more events in one that is. So what comes then goes to a committer that
// has nothing to do, and a committer lets others run before it takes what is there.
//
// No two appends to a stream are committed at the same time, unless in one
// transaction: they would only wait for each other in the database, and one would
// be done again.
type gate struct {
	direct int // how many in flight let another be committed at once

	mu       sync.Mutex
	work     sync.Cond // there may be something to take, or the gate is closed
	empty    sync.Cond // the gate is closed and nothing is in flight
	closed   bool
	queue    []*request
	inFlight int                  // queued or being committed
	crowd    int                  // how many were in flight when the last batch was taken
	idle     int                  // committers without a batch
	busy     map[gateKey]struct{} // streams and claims that are being committed
}

// gateKey is what only one transaction may write to at a time.
type gateKey struct {
	tenant, name string
	claim        bool
}

// yields is how often a committer lets others run before it takes a batch.
const yields = 3

// maxShared is how many events an append may have for its share in a commit to be
// worth waiting for others.
const maxShared = 10

// Limits of what is committed together. One append may exceed them.
const (
	maxBatchAppends = 512
	maxBatchEvents  = 4_096
	maxBatchBytes   = 4 << 20
)

func (g *gate) init(direct int) {
	g.direct = direct
	g.work.L, g.empty.L = &g.mu, &g.mu
	g.busy = map[gateKey]struct{}{}
}

// enter tells whether the caller is to commit the append himself, and to leave
// then. Otherwise it is queued.
func (g *gate) enter(r *request) (direct bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false, eventstore.ErrClosed
	}
	g.inFlight++
	alone := g.crowd <= g.direct || g.idle == 0 || r.events > maxShared
	few := g.inFlight <= g.direct && alone
	if few && len(g.queue) == 0 && g.free(r, nil) {
		g.occupy(r)
		return true, nil
	}
	r.queued = true
	g.queue = append(g.queue, r)
	g.work.Signal()
	return false, nil
}

// take returns the next batch. It waits for one, and returns nil when the gate is
// closed. Whoever takes it leaves with it.
func (g *gate) take() []*request {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle++
	defer func() { g.idle-- }()
	for {
		g.yield()
		if batch := g.next(); len(batch) > 0 {
			g.crowd = g.inFlight
			return batch
		}
		if g.closed {
			return nil
		}
		g.work.Wait()
	}
}

// yield lets others run. Who was woken at the same time as a committer, or before,
// is to be in its batch, not to be late for it by the time it takes to come.
func (g *gate) yield() {
	g.mu.Unlock()
	defer g.mu.Lock()
	for range yields {
		runtime.Gosched()
	}
}

// next takes from the queue what can be committed together. What has to wait for
// a stream is not overtaken by what comes after it and wants the same one.
func (g *gate) next() []*request {
	var batch, left []*request
	var held map[gateKey]struct{}
	events, bytes := 0, 0
	for i, r := range g.queue {
		full := len(batch) > 0 && (len(batch) == maxBatchAppends || events+r.events > maxBatchEvents || bytes+r.bytes > maxBatchBytes)
		if full {
			left = append(left, g.queue[i:]...)
			break
		}
		if !g.free(r, held) || clash(batch, r) {
			if held == nil {
				held = map[gateKey]struct{}{}
			}
			for _, k := range r.keys {
				held[k] = struct{}{}
			}
			left = append(left, r)
			continue
		}
		r.queued = false
		batch = append(batch, r)
		events += r.events
		bytes += r.bytes
	}
	for _, r := range batch {
		g.occupy(r)
	}
	g.queue = left
	return batch
}

// clash tells whether an append takes a claim that one of the batch takes.
func clash(batch []*request, r *request) bool {
	for _, k := range r.keys {
		if k.claim && slices.ContainsFunc(batch, func(other *request) bool { return slices.Contains(other.keys, k) }) {
			return true
		}
	}
	return false
}

func (g *gate) free(r *request, held map[gateKey]struct{}) bool {
	for _, k := range r.keys {
		if _, ok := g.busy[k]; ok {
			return false
		}
		if _, ok := held[k]; ok {
			return false
		}
	}
	return true
}

func (g *gate) occupy(r *request) {
	for _, k := range r.keys {
		g.busy[k] = struct{}{}
	}
}

// leave ends what enter and take have begun.
func (g *gate) leave(batch ...*request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range batch {
		for _, k := range r.keys {
			delete(g.busy, k)
		}
	}
	if len(g.queue) > 0 {
		g.work.Broadcast() // it may have waited for one of their streams
	}
	g.done(len(batch))
}

// done counts what is not in flight any more.
func (g *gate) done(n int) {
	g.inFlight -= n
	if g.closed && g.inFlight == 0 {
		g.empty.Broadcast()
	}
}

// giveUp takes an append out of the queue, and tells whether it was still there.
func (g *gate) giveUp(r *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !r.queued {
		return false
	}
	r.queued = false
	g.queue = slices.DeleteFunc(g.queue, func(other *request) bool { return other == r })
	g.done(1)
	return true
}

// close refuses what comes and what waits.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, r := range g.queue {
		r.queued = false
		r.finish(nil, eventstore.ErrClosed)
	}
	g.done(len(g.queue))
	g.queue = nil
	g.work.Broadcast()
}

// wait waits until nothing is in flight.
func (g *gate) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.inFlight > 0 {
		g.empty.Wait()
	}
}

// commitLoop commits what queues, until the store is closed.
func (s *Store) commitLoop(life context.Context) {
	for {
		batch := s.gate.take()
		if batch == nil {
			return
		}
		ctx, cancel := context.WithTimeout(life, commitTimeout)
		s.commit(ctx, true, batch)
		cancel()
		s.gate.leave(batch...)
	}
}
