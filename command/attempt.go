package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// task is a command to be worked at, as it was when that was decided.
type task struct {
	ref
	version eventstore.Version
}

// outcome is what has come of it: the version to which its stream has come; or,
// if again is not zero, nothing was recorded, and it is to be looked at again
// then.
type outcome struct {
	version eventstore.Version
	again   time.Time
}

// attempt begins a command and records what comes of it.
func (b *Bus) attempt(ctx context.Context, t task, out *outcome) {
	trouble := func(doing string, err error, delay time.Duration) {
		if ctx.Err() == nil {
			b.cfg.Hooks.Trouble(doing+" command "+t.id.String(), err)
		}
		out.again = time.Now().Add(delay)
	}
	s, err := b.load(ctx, t.id)
	switch {
	case err != nil:
		trouble("read", err, b.cfg.RetryDelay)
		return
	case s.version != t.version || s.Status != Pending:
		*out = outcome{version: s.version}
		return
	}
	c, refusal := b.prepare(ctx, s)
	switch {
	case refusal != nil && c.route != nil && !errors.As(refusal, new(*ForbiddenError)):
		trouble("carry out", refusal, b.cfg.RetryDelay)
		return
	case refusal != nil:
		b.conclude(ctx, s, c, nil, refusal, out)
		return
	case c.route == nil:
		trouble("carry out", &UnknownTypeError{s.Type, b.names}, b.cfg.MaxRetryDelay)
		return
	}
	p := s.progress
	p.Attempts, p.Next, p.Direct = s.Attempts+1, time.Time{}, false
	switch err := b.append(ctx, s, started(p), ""); {
	case isConflict(err):
		*out = outcome{version: s.version + 1} // which somebody else has recorded
		return
	case err != nil:
		trouble("begin", err, b.cfg.RetryDelay)
		return
	}
	exited := true
	defer func() {
		if exited {
			b.conclude(ctx, s, c, nil, errExit, out)
		}
	}()
	answer, err := b.execute(ctx, s, c)
	exited = false
	b.conclude(ctx, s, c, answer, err, out)
}

// prepare makes a command ready to be carried out. refusal is why it will not be:
// never, unless there is a route and it is no *ForbiddenError. Without a refusal
// and a route there is no handler in this program.
func (b *Bus) prepare(ctx context.Context, s *state) (c call, refusal error) {
	switch {
	case s.erased:
		return c, fmt.Errorf("its payload is gone: %w", eventstore.ErrErased)
	case s.Attempts >= b.cfg.Attempts:
		return c, errCrashed
	}
	route := b.byName[s.Type]
	if route == nil {
		return c, nil
	}
	command, err := route.decode(s.Payload)
	if err != nil {
		return c, err
	}
	return call{route, command}, b.authorize(ctx, s.Envelope)
}

// conclude records what has come of an attempt: it is done, has failed for good,
// or is put off.
func (b *Bus) conclude(ctx context.Context, s *state, c call, answer any, cause error, out *outcome) {
	var err error
	if next, ok := b.putOff(ctx, s, cause); ok {
		mark, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
		defer cancel()
		err = b.append(mark, s, next, "")
		if isConflict(err) {
			*out = outcome{version: s.version + 1}
			return
		}
		if err == nil && s.Failure != nil {
			b.cfg.Hooks.Retrying(s.Record)
		}
	} else {
		err = b.finish(ctx, s, c, answer, cause)
	}
	if err != nil {
		b.cfg.Hooks.Trouble("record what came of command "+s.ID.String(), err)
		out.again = time.Now().Add(b.cfg.RetryDelay)
		return
	}
	*out = outcome{version: s.version}
}

// putOff tells whether a command is to be begun again, and when.
func (b *Bus) putOff(ctx context.Context, s *state, cause error) (next postponed, ok bool) {
	if cause == nil || !s.begun {
		return next, false
	}
	next = postponed(s.progress)
	if b.interrupted(ctx, cause) {
		next.Attempts-- // it is not the command's fault
		return next, true
	}
	next.Failure = b.failureOf(cause)
	if !next.Failure.Passing || s.Attempts >= b.cfg.Attempts {
		return next, false
	}
	delay := b.cfg.RetryDelay
	for n := 1; n < s.Attempts && delay < b.cfg.MaxRetryDelay; n++ {
		delay *= 2
	}
	next.Next = time.Now().Add(min(spread(min(delay, b.cfg.MaxRetryDelay)), b.cfg.MaxRetryDelay))
	return next, true
}

// carry records a command anew, so that what lies before it need not be read
// again.
func (b *Bus) carry(ctx context.Context, t task, out *outcome) {
	s, err := b.load(ctx, t.id)
	if err == nil && (s.version != t.version || s.Status != Pending) {
		*out = outcome{version: s.version}
		return
	}
	if err == nil {
		next := postponed(s.progress)
		err = b.append(ctx, s, next, "")
	}
	switch {
	case err == nil:
		*out = outcome{version: s.version}
	case isConflict(err):
		*out = outcome{version: s.version + 1}
	case ctx.Err() == nil:
		b.cfg.Hooks.Trouble("record anew command "+t.id.String(), err)
	}
}
