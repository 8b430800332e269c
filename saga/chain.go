package saga

import (
	"context"
	"errors"
	"time"
)

// A chain is a decision that is committed together with what follows from it: the
// effects that it begins, the decisions on their results, the effects that these
// begin, and so on, as long as all of it can be done in one transaction of the home.
// What a chain does is what is done without it, on the one path on which nothing
// goes wrong. Where anything does, the transaction is rolled back, so that nothing
// has been, and the decision is committed by itself.
//
// The transaction is at work for longer than a commit, so that an input may come
// meanwhile. It is not kept waiting: the machine gives up the chain, and commits the
// decision by itself. Whichever of the two commits comes second is a conflict.

type (
	// chain asks for a commit that goes on.
	chain struct {
		Change *Change
		// Head is what Change makes.
		Head *head
	}
	// chained is what became of it.
	chained struct {
		// Verdict is that of the home, 0 if the chain was broken off.
		Verdict Verdict
		// Head is the last that was committed.
		Head *head
		// Broken is the sequence at which the chain was broken off: the effect that
		// this decision has begun is to be tried outside of a chain.
		Broken int64
	}
	chainedHead struct {
		Chained chained
		Err     error
	}
)

func (chain) Returns(chained) {}

func (chainedHead) isEvent() {}

// maxChainTime is after how long a chain ends with the effect at work, as others may
// wait for its locks.
const maxChainTime = time.Second

// errBroken ends a chain in which something does not go as it should.
var errBroken = errors.New("the chain is broken")

// chains tells whether the decision that is to be committed begins a chain.
func (t *turn) chains() bool {
	next := t.Next
	if t.decider.maxChain < 1 || t.Tries > 0 || t.Leaving || len(t.Running) > 0 || len(t.Queue) > 0 || next.Head.Record.Sequence <= t.Separate {
		return false
	}
	c, _ := t.decider.link(next.Head, t.env.Now())
	return c != nil
}

// interrupt gives up a chain. It may be committed all the same, which the commit
// finds out.
func (t *turn) interrupt() {
	t.do(hx.Cancel(storeKey))
	t.Separate = max(t.Separate, t.Next.Head.Record.Sequence)
	t.commit()
}

func (t *turn) chained(e chainedHead) {
	if t.Next == nil {
		return
	}
	got := &e.Chained
	committed := e.Err == nil && got.Verdict == Committed
	t.amend(func(p *proposal) {
		if p.Chained = false; committed {
			p.Head = got.Head
		}
	})
	if e.Err == nil && got.Verdict == 0 {
		t.Separate = max(t.Separate, got.Broken)
		t.commit()
		return
	}
	t.committed(committedHead{Verdict: got.Verdict, Err: e.Err})
}

// link is the call that a chain goes on with: the first of those that are to be made
// now, if all of them are made in the transaction. Nothing else is to be done.
func (d *decider) link(h *head, now time.Time) (c *call, id string) {
	if due := h.Record.Due; !due.IsZero() && !due.After(now) || len(h.Work.Results) > 0 {
		return nil, ""
	}
	for next, nextID := range h.begins(now) {
		if !d.within[next.Request] {
			return nil, ""
		}
		if c == nil {
			c, id = next, nextID
		}
	}
	return c, id
}

// links is a chain in the making.
type links struct {
	head    *head
	changes []Change
	// told is what the hooks are told of the effects once they are committed, each
	// before the decision that follows.
	told []func()
}

// add adds the decision that has made a head.
func (l *links) add(h *head, c *Change) {
	l.head = h
	l.changes = append(l.changes, *c)
}

// chain makes the decisions of a chain, and has the effects between them done.
func (d *decider) chain(q chain, now func() time.Time, do func(*links, perform) (result, error)) (*links, error) {
	l := &links{}
	l.add(q.Head, q.Change)
	for began := now(); len(l.changes) <= d.maxChain && now().Sub(began) < maxChainTime; {
		at := now()
		c, id := d.link(l.head, at)
		if c == nil {
			break
		}
		p := d.perform(l.head, c, id)
		if due := l.head.Record.Due; !due.IsZero() {
			p.Timeout = min(p.Timeout, due.Sub(at))
		}
		r, err := do(l, p)
		if err != nil {
			return l, err
		}
		if r.Failure != nil && !r.Failure.Rejected {
			return l, errBroken
		}
		decided := d.decide(l.head, &input{
			Kind: replyInput, Effect: id, Value: r.Value, Failure: r.Failure, Later: r.Later, request: r.request,
		}, now())
		if !decided.commit || decided.answer != nil {
			return l, errBroken
		}
		change := decided.change(q.Change.Epoch)
		change.Record.Commit = q.Change.Record.Commit // they are one
		decided.next.Record.Commit = change.Record.Commit
		l.add(decided.next, change)
	}
	return l, nil
}

// chain commits a decision, and what follows from it.
func (r *Runner) chain(ctx context.Context, q chain) (chained, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	d := r.deciders[q.Head.Record.ID.Type]
	var l *links
	verdict, err := r.transactional.CommitTx(ctx, func(ctx context.Context) (_ []Change, err error) {
		l, err = d.chain(q, r.runtime.Now, func(l *links, p perform) (result, error) {
			p.Timeout = min(p.Timeout, r.config.StoreTimeout)
			got, tell := r.attempt(ctx, &p)
			l.told = append(l.told, tell)
			return got, ctx.Err()
		})
		if err != nil {
			return nil, errors.Join(errBroken, err)
		}
		return l.changes, nil
	})
	switch {
	case errors.Is(err, errBroken):
		return chained{Broken: l.head.Record.Sequence}, nil
	case err != nil:
		r.config.Hooks.StoreFailed("CommitTx", err)
		return chained{}, err
	case verdict != Committed:
		return chained{Verdict: verdict}, nil
	}
	posts := false
	for i := range l.changes {
		if i > 0 {
			l.told[i-1]()
		}
		r.decided(&l.changes[i])
		posts = posts || len(l.changes[i].Posts) > 0
	}
	r.settled(&l.changes[len(l.changes)-1].Record, posts)
	return chained{Verdict: verdict, Head: l.head}, nil
}
