package saga

import (
	"context"
	"runtime"
	"sync"

	"github.com/seed57833328/rondo/store"
)

// committer commits decisions. One that comes while nothing is being committed
// goes alone and at once; those that come meanwhile go together, as one commit.
// There is no goroutine for it: of those that wait, the first commits for all
// when the commit before it is done.
type committer struct {
	r *Runner

	mu     sync.Mutex
	queue  []*waiting
	active int // commits on their way
}

// waiting is a change that waits to be committed.
type waiting struct {
	change  *Change
	batch   []*waiting // that it is to commit, with itself; nil if another does
	done    store.Signal
	verdict Verdict
	err     error
}

func newCommitter(r *Runner) *committer { return &committer{r: r} }

// commit returns what became of a change. When ctx ends first it may be
// committed all the same. With alone, it is not committed together with others.
func (c *committer) commit(ctx context.Context, change *Change, alone bool) (Verdict, error) {
	w := &waiting{change: change}
	if alone {
		c.run(ctx, []*waiting{w})
		return w.verdict, w.err
	}
	c.mu.Lock()
	if c.active < c.r.config.Commits {
		c.active++
		w.batch = []*waiting{w}
		c.mu.Unlock()
	} else {
		w.done = c.r.runtime.NewSignal()
		c.queue = append(c.queue, w)
		c.mu.Unlock()
		if err := w.done.Wait(ctx); err != nil && !c.appointed(w) {
			return 0, err
		}
	}
	if w.batch != nil {
		c.run(ctx, w.batch)
		c.handOver()
	}
	return w.verdict, w.err
}

// appointed takes a change out of the queue whose sender has gone, and tells
// whether it has to commit for others all the same.
func (c *committer) appointed(w *waiting) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.queue {
		if c.queue[i] == w {
			c.queue = append(c.queue[:i:i], c.queue[i+1:]...)
			return false
		}
	}
	return w.batch != nil
}

// handOver has the first of those that wait commit for all of them, and lets it
// begin before the caller goes on. The caller would otherwise work on its saga,
// and on others, until it waits again itself, and meanwhile nothing be committed.
func (c *committer) handOver() {
	if c.appoint() {
		runtime.Gosched()
	}
}

// appoint tells the first of those that wait that it is to commit for all of them.
func (c *committer) appoint() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		c.active--
		return false
	}
	seen := make(map[ID]bool, len(c.queue))
	var batch, left []*waiting
	for _, w := range c.queue {
		// A saga that was given up and taken up again may have two.
		if id := w.change.Record.ID; len(batch) < c.r.config.MaxBatch && !seen[id] {
			seen[id] = true
			batch = append(batch, w)
		} else {
			left = append(left, w)
		}
	}
	c.queue = left
	batch[0].batch = batch
	batch[0].done.Fire()
	return true
}

// run commits a batch.
func (c *committer) run(ctx context.Context, batch []*waiting) {
	changes := make([]Change, len(batch))
	for i, w := range batch {
		changes[i] = *w.change
	}
	ctx, cancel := c.r.bound(context.WithoutCancel(ctx)) // it is for others too
	defer cancel()
	verdicts, err := c.r.store.Commit(ctx, changes)
	for i, w := range batch {
		if err != nil {
			w.err = err
		} else {
			w.verdict = verdicts[i]
		}
		if i > 0 {
			w.done.Fire()
		}
	}
}
