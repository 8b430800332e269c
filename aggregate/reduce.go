package aggregate

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/internal/fingerprint"
	"github.com/seed57833328/rondo/reducer"
	"github.com/seed57833328/rondo/workflow"
)

// rules are the reducer of machines. They do not change.
type rules[S, C, E any] struct {
	fx       effect.Of[action[S, C]]
	decider  Decider[S, C, E]
	registry *eventstore.Registry
	copy     func(*S) S
	hash     *fingerprint.Type[S] // nil if Decide is trusted

	snapshots eventstore.SnapshotPolicy

	freshness  Freshness
	policy     workflow.Policy
	maxWaiting int
	maxBatch   int
	attempts   int
	keepKeys   time.Duration
	ofLoad     []effect.Option
	ofAppend   []effect.Option

	// Functions of generic types are made once.
	onLoaded   func(effect.Result[*loaded[S]]) action[S, C]
	onAppended func(effect.Result[[]eventstore.Recorded]) action[S, C]
}

// Reduce takes one step of a machine.
func (r *rules[S, C, E]) Reduce(s *machine[S, C], a action[S, C], env reducer.Env) effect.Effect[action[S, C]] {
	switch a.kind {
	case submit:
		return r.submit(s, a.order, env)
	case withdraw:
		return r.withdraw(s, a.order.id)
	case invalidate:
		s.flow.Invalidate(struct{}{})
	case goOn:
		s.doing = nothing
		return r.goOn(s, env, nil)
	case replay:
		claim, _ := a.payload.(*eventstore.Claim)
		return r.replay(s, a.order, claim)
	case wasLoaded:
		s.doing = nothing
		if err, failed := a.payload.(error); failed {
			return r.unloaded(s, err)
		}
		l, _ := a.payload.(*loaded[S])
		return r.loaded(s, l, env)
	case wasAppended:
		s.doing = nothing
		if err, failed := a.payload.(error); failed {
			return r.refused(s, err, env)
		}
		return r.committed(s, a.recorded, env)
	case answer, wasWithdrawn: // for those who wait
	}
	return r.fx.None()
}

// effects gathers effects. Most steps have one.
type effects[A any] struct {
	one  effect.Effect[A]
	more []effect.Effect[A]
	n    int
}

func (x *effects[A]) add(e effect.Effect[A]) {
	switch x.n++; x.n {
	case 1:
		x.one = e
	case 2:
		x.more = []effect.Effect[A]{x.one, e}
	default:
		x.more = append(x.more, e)
	}
}

func (x *effects[A]) all() effect.Effect[A] {
	if x.n <= 1 {
		return x.one
	}
	return effect.Of[A]{}.All(x.more...)
}

// submit gives a command its place.
func (r *rules[S, C, E]) submit(s *machine[S, C], o *order[C], env reducer.Env) effect.Effect[action[S, C]] {
	e := entry[C]{order: o, ticket: s.next}
	waiting := len(s.line)
	if s.batch != nil {
		waiting += len(s.batch.decisions)
	}
	if waiting >= r.maxWaiting {
		return r.answer(&e, &reply[S]{err: &workflow.FullError{Key: s.stream, Waiting: waiting, Limit: r.maxWaiting}})
	}
	s.next++
	if s.doing == nothing { // and nobody is in line
		s.line = append(s.line, e)
		return r.goOn(s, env, nil)
	}
	e.held = true
	s.line = append(s.line, e)
	return r.fx.Hold(o.id)
}

// withdraw is for a caller who has left.
func (r *rules[S, C, E]) withdraw(s *machine[S, C], id uuid.UUID) effect.Effect[action[S, C]] {
	told := func(v verdict, held bool) effect.Effect[action[S, C]] {
		e := r.fx.Send(action[S, C]{kind: wasWithdrawn, verdict: v})
		if held {
			return r.fx.All(r.fx.Cancel(id), e)
		}
		return e
	}
	if i := slices.IndexFunc(s.line, func(e entry[C]) bool { return e.order.id == id }); i >= 0 {
		held := s.line[i].held
		s.line = slices.Delete(s.line, i, i+1)
		return told(undone, held)
	}
	if s.batch != nil {
		for i := range s.batch.decisions {
			if d := &s.batch.decisions[i]; d.order.id == id && !d.gone {
				d.gone = true
				return told(underway, d.held)
			}
		}
	}
	return told(unseen, false)
}

// answer answers a command in its own place.
func (r *rules[S, C, E]) answer(e *entry[C], with *reply[S]) effect.Effect[action[S, C]] {
	with.of = e.order.id
	a := action[S, C]{kind: answer, payload: with}
	if e.held {
		return r.fx.Resume(e.order.id, a)
	}
	return r.fx.Send(a)
}

// goOn takes turns until something is to be waited for, or nobody is in line.
// before are effects that come first, if not nil.
func (r *rules[S, C, E]) goOn(s *machine[S, C], env reducer.Env, before *effects[action[S, C]]) effect.Effect[action[S, C]] {
	out := before
	if out == nil {
		out = &effects[action[S, C]]{}
	}
	for s.doing == nothing && len(s.line) > 0 {
		if lead := &s.line[0]; lead.held {
			lead.held, s.doing = false, turning
			out.add(r.fx.Resume(lead.order.id, action[S, C]{kind: goOn}))
			break
		}
		step, err := s.flow.Admit(struct{}{}, s.turn, r.now(env), r.policy)
		if err != nil {
			panic(fmt.Sprintf("aggregate: a turn was refused: %v", err)) // the policy was checked, and one turn waits at a time
		}
		if step != workflow.Process {
			out.add(r.load(s))
			break
		}
		s.turn++
		r.decide(s, env, out)
	}
	return out.all()
}

// now is the time, where it matters.
func (r *rules[S, C, E]) now(env reducer.Env) (now time.Time) {
	if r.freshness > 0 {
		now = env.Now()
	}
	return now
}

func (r *rules[S, C, E]) load(s *machine[S, C]) effect.Effect[action[S, C]] {
	q := loadState[S]{Tenant: s.tenant, Stream: s.stream, CatchUp: s.catchUp, Distrust: s.distrust, Kept: s.kept}
	if s.known {
		q.Base = &base[S]{s.state, s.version, s.position}
	}
	s.doing, s.asking = loading, s.next
	return effect.Do(q, r.onLoaded, r.ofLoad...)
}

// unloaded fails those who wait for a load.
func (r *rules[S, C, E]) unloaded(s *machine[S, C], err error) effect.Effect[action[S, C]] {
	var out effects[action[S, C]]
	s.flow.Failed(struct{}{})
	for i := range s.line {
		out.add(r.answer(&s.line[i], &reply[S]{err: fmt.Errorf("load: %w", err)}))
	}
	s.cut(len(s.line))
	return out.all()
}

// loaded takes what was read.
func (r *rules[S, C, E]) loaded(s *machine[S, C], l *loaded[S], env reducer.Env) effect.Effect[action[S, C]] {
	var out effects[action[S, C]]
	s.flow.Loaded(struct{}{}, r.now(env), r.policy)
	if len(s.line) == 0 { // all have left: their share of the load is for nobody
		s.flow.Remove(func(uint64) bool { return true })
	}
	s.state, s.version, s.position, s.known = l.State, l.Version, l.Position, true
	s.catchUp, s.distrust, s.rows, s.kept = false, false, !l.Current, l.Kept
	if l.Current {
		s.asOf = s.asking
	}
	r.snapshot(s, env, &out)
	return r.goOn(s, env, &out)
}

// committed takes over what was appended, and answers.
func (r *rules[S, C, E]) committed(s *machine[S, C], recorded []eventstore.Recorded, env reducer.Env) effect.Effect[action[S, C]] {
	b := s.batch
	s.batch = nil
	version, position := s.version, s.position
	var out effects[action[S, C]]
	for i := range b.decisions {
		d := &b.decisions[i]
		events := recorded[d.from:d.to:d.to]
		if n := len(events); n > 0 {
			version, position = events[n-1].Version, events[n-1].Position
		}
		if d.gone {
			continue
		}
		d.reply.Stream, d.reply.Version, d.reply.Position = s.stream, version, position
		if len(events) > 0 {
			d.reply.Events = events
		}
		out.add(r.answer(&d.entry, d.reply.only()))
	}
	if len(b.events) > 0 {
		s.state, s.version, s.position, s.asOf, s.rows = b.state, version, position, b.asking, false
		if r.snapshots != nil {
			for i := range recorded {
				s.kept.more(recorded[i])
			}
			r.snapshot(s, env, &out)
		}
	}
	return r.goOn(s, env, &out)
}

// only is a reply that has an error or a feedback, not both.
func (p *reply[S]) only() *reply[S] {
	if p.err != nil {
		return &reply[S]{err: p.err}
	}
	return p
}

// refused sees what can be done about an append that has failed.
func (r *rules[S, C, E]) refused(s *machine[S, C], err error, env reducer.Env) effect.Effect[action[S, C]] {
	b := s.batch
	s.batch = nil
	var out effects[action[S, C]]
	var no *refusal
	var conflict *eventstore.ConflictError
	var claimed *eventstore.ClaimedError
	switch {
	case !errors.As(err, &no):
		// It may have happened. Whatever became of it, the stream tells.
		s.outdated()
		for i := range b.decisions {
			d := &b.decisions[i]
			r.fail(d, &InterruptedError{Stream: s.stream, MaybeDone: !d.order.look, Key: d.order.key, Err: err}, &out)
		}
	case errors.As(err, &conflict):
		s.outdated()
		if conflict.Actual < s.version {
			s.forget()
		}
		r.again(s, b, conflict, &out)
		if e := s.line; len(e) > 0 && e[0].attempts >= patience {
			s.doing = pausing
			out.add(r.fx.After(nil, pause(e[0].order.id, e[0].attempts), action[S, C]{kind: goOn}))
		}
	case errors.As(err, &claimed) && r.replays(s, b, claimed, &out):
	case len(b.decisions) > 1 && !effect.Retryable(err):
		// It may be the fault of one: each by itself.
		s.solo = r.again(s, b, nil, &out)
	default:
		for i := range b.decisions {
			r.fail(&b.decisions[i], err, &out)
		}
	}
	return r.goOn(s, env, &out)
}

func (r *rules[S, C, E]) fail(d *decision[S, C], err error, out *effects[action[S, C]]) {
	if !d.gone {
		out.add(r.answer(&d.entry, &reply[S]{err: err}))
	}
}

// again puts what was in a batch back into its places in line, and returns how
// many that are. Those who have come too late too often get the conflict.
func (r *rules[S, C, E]) again(s *machine[S, C], b *batch[S, C], conflict *eventstore.ConflictError, out *effects[action[S, C]]) int {
	back := make([]entry[C], 0, len(b.decisions)+len(s.line))
	for i := range b.decisions {
		d := &b.decisions[i]
		if conflict != nil {
			d.attempts++
		}
		switch {
		case d.gone: // its caller was told that it may be done; it need not be
		case d.attempts >= r.attempts:
			r.fail(d, fmt.Errorf("decision %d came too late: %w", d.attempts, conflict), out)
		default:
			back = append(back, d.entry)
		}
	}
	n := len(back)
	s.line = append(back, s.line...)
	return n
}

// replays answers the commands whose keys are taken as they were answered before,
// all at once, and puts the others back: one by one a crowd that repeats what it has
// asked for would cost an append for each. It reports false if none of the keys is
// one of the batch's.
func (r *rules[S, C, E]) replays(s *machine[S, C], b *batch[S, C], taken *eventstore.ClaimedError, out *effects[action[S, C]]) bool {
	claims := map[string]*eventstore.Claim{taken.Claim.Key: &taken.Claim}
	for i := range taken.More {
		claims[taken.More[i].Key] = &taken.More[i]
	}
	n := len(b.decisions)
	b.decisions = slices.DeleteFunc(b.decisions, func(d decision[S, C]) bool {
		if d.claim == nil || claims[d.claim.Key] == nil {
			return false
		}
		c := claims[d.claim.Key]
		switch {
		case d.gone:
		case d.held:
			out.add(r.fx.Resume(d.order.id, action[S, C]{kind: replay, order: d.order, payload: c}))
		default:
			out.add(r.replay(s, d.order, c))
		}
		return true
	})
	if len(b.decisions) == n {
		return false
	}
	r.again(s, b, nil, out)
	return true
}

// replay answers a command as it was answered before.
func (r *rules[S, C, E]) replay(s *machine[S, C], o *order[C], c *eventstore.Claim) effect.Effect[action[S, C]] {
	was, err := readOutcome(c)
	switch {
	case err != nil || !bytes.Equal(c.Hash, o.hash):
		err = &KeyReusedError{Key: o.key}
	case was.Rejected:
		err = &RejectionError{Code: was.Code, Reason: was.Reason}
	default:
		return effect.Do(rebuild[S]{o.id, s.tenant, s.stream, was, o.quiet}, onRebuilt[S, C](o.id), r.ofLoad...)
	}
	return r.answer(&entry[C]{order: o}, &reply[S]{err: err})
}

// outdated says that the stream may have gone on.
func (s *machine[S, C]) outdated() {
	s.flow.Invalidate(struct{}{})
	s.catchUp = true
}

// forget is for a state that the stream does not have.
func (s *machine[S, C]) forget() {
	var none S
	s.state, s.version, s.position, s.known, s.rows, s.distrust = none, 0, 0, false, false, true
	s.kept = kept{}
}

// cut takes the first n out of the line.
func (s *machine[S, C]) cut(n int) {
	rest := copy(s.line, s.line[n:])
	clear(s.line[rest:])
	if s.line = s.line[:rest]; rest == 0 && cap(s.line) > keptLine {
		s.line = nil // grown for a crowd that is gone
	}
}

// keptLine is how many places an empty line keeps room for.
const keptLine = 4

const (
	// patience is how many conflicts a command meets before there are pauses.
	patience = 3
	maxPause = 50 * time.Millisecond
)

// pause is how long to wait before a decision that came too late so many times:
// 1 ms, then twice as long each time, between a half and the whole of it. It is
// drawn from the command's id, so that two hosts do not wait alike.
func pause(id uuid.UUID, attempts int) time.Duration {
	most := min(time.Millisecond<<min(attempts-patience, 16), maxPause).Microseconds()
	share := int64(id[15]^byte(attempts*37)) + 1 //nolint:gosec // of 256
	return time.Duration(most/2+most/2*share/256) * time.Microsecond
}
