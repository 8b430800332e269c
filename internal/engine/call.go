package engine

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"time"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/tree"
)

// startCall begins a request, a stream or an opaque function, as the policy of
// its key says.
func (e *Engine[S, A]) startCall(call tree.Call[A], g *group[A], c Cause) {
	o := call.Options()
	key := keyIn(g, o.Key)
	if !isKey(key) {
		e.refuse(call, nil, g, c, notComparable(key))
		return
	}
	if key != nil && g.skips(key) {
		return
	}
	if err := checkOptions(o); err != nil {
		e.refuse(call, key, g, c, err)
		return
	}
	state := Running
	if key != nil && e.tasks != nil && e.tasks.keys[key].first != nil {
		switch o.Policy {
		case tree.Every:
		case tree.Latest:
			e.dropKey(key)
		case tree.Leading:
			return
		case tree.Queue:
			state = Queued
		}
	}
	t := e.newTask(state, key, g, c)
	t.call = call
	t.streaming = call.Kind() == tree.Stream
	if state == Running {
		e.attempt(t)
	}
}

// Restart begins a call anew, as an effect of the step that the cause names.
func (e *Engine[S, A]) Restart(call tree.Call[A], c Cause) {
	e.startCall(call, nil, c)
	e.account()
}

// attempt starts a task's next attempt.
func (e *Engine[S, A]) attempt(t *task[A]) {
	t.state = Running
	t.attempt++
	if d := t.call.Options().Timeout; d > 0 {
		e.setTimer(t, d)
	}
	t.batch, t.startAt = e.tasks.batch, len(e.out)
	e.command(Command[A]{Op: Start, Task: t.id, Attempt: t.attempt, Call: t.call, Cause: t.cause})
}

// promote starts what stands first in line under key.
func (e *Engine[S, A]) promote(key any) {
	if t := e.tasks.keys[key].first; t != nil && t.state == Queued {
		e.attempt(t)
	}
}

// Emit takes a value of a stream. It reports whether the stream is still
// wanted. The driver emits the next value after the Ack of this one.
func (e *Engine[S, A]) Emit(id TaskID, attempt int, o tree.Outcome) bool {
	t := e.find(id)
	if t == nil || t.state != Running || t.attempt != attempt {
		return false
	}
	a, ok := e.then(t, o)
	if !ok {
		// Nothing is to be reduced, so the next value is welcome at once.
		e.command(Command[A]{Op: Ack, Task: id, Attempt: attempt})
		return true
	}
	t.queued++
	e.queue.push(item[A]{action: a, cause: t.cause, task: id, attempt: int32(attempt)}) //nolint:gosec // attempts are few
	return true
}

// Settle takes what an attempt came to, of a stream its end. It reports false,
// and does nothing, when that attempt is not waited for any more.
func (e *Engine[S, A]) Settle(id TaskID, attempt int, o tree.Outcome) bool {
	t := e.find(id)
	if t == nil || t.state != Running || t.attempt != attempt {
		return false
	}
	e.stopTimer(t)
	if r := t.call.Options().Retry; r != nil && t.attempt < r.Attempts && t.failed(o) && r.If(o.Err()) {
		t.state = Backoff
		if e.config.Steady {
			steady := *r
			steady.Jitter = 0
			r = &steady
		}
		e.setTimer(t, backoff(r, t.attempt, e.chance(t)))
		return true
	}
	e.deliver(t, o)
	e.account()
	return true
}

// failed tells whether o is an error, and not the end of a stream.
func (t *task[A]) failed(o tree.Outcome) bool {
	err := o.Err()
	return err != nil && !(t.streaming && err == io.EOF) //nolint:errorlint // a stream's end is io.EOF itself; wrapped, it is an error
}

// deliver queues the action of a task's last outcome.
func (e *Engine[S, A]) deliver(t *task[A], o tree.Outcome) {
	err, failed := o.Err(), t.failed(o)
	a, ok := e.then(t, o)
	if ok {
		t.state = Delivering
		e.queue.push(item[A]{action: a, cause: t.cause, task: t.id, last: true})
		return
	}
	if failed {
		e.fault(t.cause, Fault[A]{Err: err, Call: t.call, Key: t.key})
	}
	e.end(t)
}

func (e *Engine[S, A]) then(t *task[A], o tree.Outcome) (a A, ok bool) {
	e.mapping = t.call
	a, ok = t.call.Then(o)
	e.mapping = nil
	return a, ok
}

// refuse answers a call that cannot be started with err.
func (e *Engine[S, A]) refuse(call tree.Call[A], key any, g *group[A], c Cause, err error) {
	o, _ := call.Outcome(nil, err)
	t := e.newTask(Running, key, g, c)
	t.call = call
	t.streaming = call.Kind() == tree.Stream
	e.deliver(t, o)
}

// cancel ends all that is under key, and keeps from starting what sequences
// have left under it. Sequences that the Cancel itself stands in are spared:
// what they have left was meant to come after it.
func (e *Engine[S, A]) cancel(key any, at *group[A]) {
	if e.tasks == nil {
		return
	}
	if e.tasks.sequences > 0 {
		e.groups(func(g *group[A]) {
			if len(g.rest) > 0 && !at.inside(g) && !slices.Contains(g.skip, key) && uses(g.rest, g.scope, key) {
				g.skip = append(g.skip, key)
			}
		})
	}
	e.dropKey(key)
}

// inside tells whether g is outer or below it.
func (g *group[A]) inside(outer *group[A]) bool {
	for ; g != nil; g = g.parent {
		if g == outer {
			return true
		}
	}
	return false
}

func (e *Engine[S, A]) hold(key any, g *group[A], c Cause) {
	if key == nil {
		e.fault(c, Fault[A]{Err: fmt.Errorf("%w: Hold of a nil key", effect.ErrInvalid)})
		return
	}
	key = keyIn(g, key)
	if e.checkKey(key, c, nil) && !g.skips(key) {
		e.newTask(Held, key, g, c)
	}
}

// resume queues an action in the place of the oldest hold of its key.
func (e *Engine[S, A]) resume(n *tree.Node[A], g *group[A], c Cause) {
	key := keyIn(g, n.Key)
	if !e.checkKey(key, c, &n.Action) {
		return
	}
	if e.tasks != nil && key != nil {
		for t := e.tasks.keys[key].first; t != nil; t = t.keyNext {
			if t.state == Held {
				// The action takes over what the hold was counted by, and is
				// waited for where it was resumed.
				c.Track.Add()
				if g != nil {
					g.open++
				}
				e.queue.push(item[A]{action: n.Action, cause: t.cause, group: t.group, resume: &ending[A]{g, c.Track, nil}})
				e.unlink(t)
				e.ends(nil, nil, key)
				return
			}
		}
	}
	e.send(n.Action, g, c)
}

func (e *Engine[S, A]) fault(c Cause, f Fault[A]) {
	e.command(Command[A]{Op: Report, Cause: c, Fault: &f})
}

// checkKey reports a key that cannot be compared, with the action it is about.
func (e *Engine[S, A]) checkKey(key any, c Cause, action *A) bool {
	if isKey(key) {
		return true
	}
	f := Fault[A]{Err: notComparable(key)}
	if action != nil {
		f.Action, f.HasAction = *action, true
	}
	e.fault(c, f)
	return false
}

func notComparable(key any) error {
	if k, ok := key.(scopedKey); ok {
		key = k.key
	}
	return fmt.Errorf("%w: key %v of type %T cannot be compared, want one that equals itself", effect.ErrInvalid, key, key)
}

// isKey tells whether key can be found again.
func isKey(key any) bool {
	switch key := key.(type) {
	case nil, string, int, uint64:
		return true
	case scopedKey: // of most effects of children; reflect is slow on structs
		return isKey(key.scope) && isKey(key.key)
	case path:
		return isKey(key.outer) && isKey(key.key.Key)
	}
	return reflect.ValueOf(key).Comparable() && same(key, key)
}

// same is false of a NaN and itself: a key that would never be found again.
func same(a, b any) bool { return a == b }

func checkOptions(o *tree.Options) error {
	switch r := o.Retry; {
	case o.Timeout < 0:
		return fmt.Errorf("%w: Timeout is zero or negative, must be positive", effect.ErrInvalid)
	case o.Policy > tree.Queue:
		return fmt.Errorf("%w: Policy is %d, must be Every, Latest, Leading or Queue", effect.ErrInvalid, o.Policy)
	case o.Key == nil && o.Policy != tree.Every:
		return fmt.Errorf("%w: Policy is %v of a nil Key, must be of a key", effect.ErrInvalid, effect.Policy(o.Policy))
	case r == nil:
	case r.Attempts < 1:
		return fmt.Errorf("%w: RetryPolicy.Attempts is %d, must be at least 1", effect.ErrInvalid, r.Attempts)
	case r.Delay < 0:
		return fmt.Errorf("%w: RetryPolicy.Delay is %v, must not be negative", effect.ErrInvalid, r.Delay)
	case r.MaxDelay < 0:
		return fmt.Errorf("%w: RetryPolicy.MaxDelay is %v, must not be negative", effect.ErrInvalid, r.MaxDelay)
	case !(r.Factor >= 1) || math.IsInf(r.Factor, 1):
		return fmt.Errorf("%w: RetryPolicy.Factor is %v, must be at least 1", effect.ErrInvalid, r.Factor)
	case !(r.Jitter >= 0 && r.Jitter <= 1):
		return fmt.Errorf("%w: RetryPolicy.Jitter is %v, must be from 0 to 1", effect.ErrInvalid, r.Jitter)
	}
	return nil
}

// backoff is the wait after the given attempt: exponential, bounded, spread by
// a number drawn from the task and attempt (SplitMix64, Steele et al. 2014).
func backoff(r *tree.Retry, attempt int, seed uint64) time.Duration {
	d := min(float64(r.Delay)*math.Pow(r.Factor, float64(attempt-1)), float64(r.MaxDelay))
	if r.Jitter > 0 {
		z := seed + uint64(attempt)*0x9e3779b97f4a7c15 //nolint:gosec // attempts are small and positive
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		unit := float64((z^z>>31)>>11) / (1 << 53)
		d *= 1 + r.Jitter*(2*unit-1)
	}
	if !(d < float64(r.MaxDelay)) { // or is more than a Duration holds
		return r.MaxDelay
	}
	return time.Duration(d)
}

// chance is a number that is t's own among the tasks of all engines, the same
// in each run.
func (e *Engine[S, A]) chance(t *task[A]) uint64 {
	return uint64(t.id) ^ binary.BigEndian.Uint64(e.config.ID[8:]) ^ bits.Reverse64(e.instance)
}
