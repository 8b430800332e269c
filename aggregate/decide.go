package aggregate

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

// decide takes commands from the front of the line and decides them, each on the
// state that the one before has left. It answers those with which nothing is to
// be appended, or asks for the append.
func (r *rules[S, C, E]) decide(s *machine[S, C], env reducer.Env, out *effects[action[S, C]]) {
	most := r.maxBatch
	if s.solo > 0 {
		most = 1
	}
	b := r.gather(s, most, env, out)
	if len(b.decisions) == 0 {
		return
	}
	if len(b.events) == 0 && (r.freshness == UntilInvalidated || s.rows) {
		// No append will tell if the stream has gone on since.
		sure := 0
		for sure < len(b.decisions) && b.decisions[sure].ticket < s.asOf {
			sure++
		}
		if sure == 0 {
			s.outdated()
			return
		}
		b.decisions = b.decisions[:sure]
	}
	writes := b.oneWrite[:0]
	if len(b.events) > 0 {
		writes = append(writes, eventstore.Write{Stream: s.stream, Expected: eventstore.Exactly(s.version), Events: b.events})
	}
	for i := range b.decisions {
		switch c := b.decisions[i].claim; {
		case c == nil:
		case len(b.events) > 0 && writes[0].Claim == nil:
			writes[0].Claim = c
		default:
			writes = append(writes, eventstore.Write{Claim: c})
		}
	}
	s.cut(len(b.decisions))
	s.solo = max(s.solo-1, 0)
	b.asking = s.next
	if len(writes) == 0 {
		for i := range b.decisions {
			d := &b.decisions[i]
			d.reply.Stream, d.reply.Version, d.reply.Position = s.stream, s.version, s.position
			out.add(r.answer(&d.entry, d.reply.only()))
		}
		return
	}
	s.batch, s.doing = b, appending
	out.add(effect.Do(appendEvents{s.tenant, writes}, r.onAppended, r.ofAppend...))
}

// maxBatchEvents bounds the events of a batch of several commands.
const maxBatchEvents = 4096

// gather makes a batch of the first in line, at most so many. Commands with which
// the decider cannot cope are answered and leave the line; then the batch is
// begun anew, since they may have left the state half changed.
func (r *rules[S, C, E]) gather(s *machine[S, C], most int, env reducer.Env, out *effects[action[S, C]]) *batch[S, C] {
	for {
		b := &batch[S, C]{state: r.copy(&s.state), version: s.version}
		b.decisions, b.events = b.oneDecision[:0], b.oneEvent[:0]
		bad, fault := -1, error(nil)
		for i := 0; i < min(most, len(s.line)) && bad < 0; i++ {
			e := s.line[i]
			if e.order.key != "" && slices.ContainsFunc(b.decisions, func(d decision[S, C]) bool { return d.order.key == e.order.key }) {
				break // it is a repetition: what becomes of the first comes first
			}
			done, err := r.add(b, e, env)
			if err != nil {
				bad, fault = i, err
			} else if !done {
				break
			}
		}
		b.source = source{}
		if bad < 0 {
			return b
		}
		e := s.line[bad]
		s.line = slices.Delete(s.line, bad, bad+1)
		out.add(r.answer(&e, &reply[S]{err: fault}))
	}
}

// add decides one more command of a batch. It reports false, and changes nothing,
// if its events do not fit. The error is a mistake of the decider's.
func (r *rules[S, C, E]) add(b *batch[S, C], e entry[C], env reducer.Env) (done bool, fault error) {
	d := decision[S, C]{entry: e, from: len(b.events), reply: &b.oneReply[0]}
	if len(b.decisions) > 0 {
		d.reply = &reply[S]{}
	}
	if !e.order.look {
		b.source = source{env: env, meta: &e.order.meta, id: e.order.id}
		events, err, fault := r.ask(&b.state, e.order.command, reducer.NewEnv(&b.source))
		if fault != nil {
			return false, fault
		}
		if len(b.decisions) > 0 && len(b.events)+len(events) > maxBatchEvents {
			return false, nil
		}
		if err != nil {
			d.reply.err = rejection(err)
		} else if fault := r.happen(b, e.order, events); fault != nil {
			return false, fault
		}
	}
	d.to = len(b.events)
	if !e.order.quiet && d.reply.err == nil {
		d.reply.State = r.copy(&b.state)
	}
	if e.order.key != "" {
		d.claim = claimOf(e.order, &d, b.version, env.Now().Add(r.keepKeys))
	}
	b.decisions = append(b.decisions, d)
	return true, nil
}

// happen adds events to a batch and has its state evolve by them.
func (r *rules[S, C, E]) happen(b *batch[S, C], o *order[C], events []E) error {
	for i, event := range events {
		encoded, err := r.encode(event)
		if err != nil {
			return &DeciderError{Func: "Decide", Of: typeName(o.command), Err: fmt.Errorf("event %d of %d: %w", i+1, len(events), err)}
		}
		encoded.ID = eventID(o.id, i)
		encoded.Meta = eventstore.Meta{
			CorrelationID: o.meta.CorrelationID, CausationID: o.meta.ActionID,
			Actor: o.meta.Actor, TraceParent: o.meta.TraceParent,
		}
		if s, ok := any(event).(interface{ Subject() string }); ok {
			encoded.Meta.Subject = s.Subject()
		}
		b.events = append(b.events, encoded)
		b.version++
		if event, err = r.asRead(event, &encoded); err != nil {
			return &DeciderError{Func: "Decide", Of: typeName(o.command), Err: fmt.Errorf("event %d of %d cannot be read again: %w", i+1, len(events), err)}
		}
		if err := evolve(r.decider, &b.state, event); err != nil {
			return err
		}
	}
	return nil
}

// ask calls Decide. What it panics with is a fault of its own.
func (r *rules[S, C, E]) ask(s *S, c C, env reducer.Env) (events []E, err, fault error) {
	defer func() {
		if v := recover(); v != nil {
			fault = &DeciderError{Func: "Decide", Of: typeName(c), Err: &effect.PanicError{Value: v, Stack: debug.Stack()}}
		}
	}()
	before, known := r.hashOf(s)
	events, err = r.decider.Decide(s, c, env)
	if after, ok := r.hashOf(s); after != before || ok != known {
		fault = &DeciderError{Func: "Decide", Of: typeName(c), Err: ErrStateChanged}
	}
	return events, err, fault
}

// hashOf is what a state is compared by. It reports false if that is not to be
// done, or cannot: an interface in it holds what is no plain data.
func (r *rules[S, C, E]) hashOf(s *S) (h uint64, ok bool) {
	if r.hash == nil {
		return 0, false
	}
	defer func() {
		if recover() != nil {
			h, ok = 0, false
		}
	}()
	return r.hash.Hash(s), true
}

// encode encodes an event. Its type's own code may panic.
func (r *rules[S, C, E]) encode(event E) (e eventstore.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &effect.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return r.registry.Encode(event)
}

// asRead returns an event as it will be read: one that shares nothing with the
// command, and has lost what its encoding does not keep. So the state is always
// that which a fold of the stream gives.
func (r *rules[S, C, E]) asRead(event E, encoded *eventstore.Event) (read E, err error) {
	if faithful(reflect.TypeOf(event)) && !bytes.Contains(encoded.Data, replaced) {
		return event, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = &effect.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	value, err := r.registry.Decode(eventstore.Recorded{Type: encoded.Type, Schema: encoded.Schema, Data: encoded.Data})
	if err != nil {
		return read, err
	}
	read, ok := value.(E)
	if !ok {
		return read, fmt.Errorf("it is a %T", value)
	}
	return read, nil
}

// replaced is what encoding/json writes for bytes that are no UTF-8.
var replaced = []byte(`\ufffd`)

// evolve calls Evolve.
func evolve[S, C, E any](d Decider[S, C, E], s *S, event E) (fault error) {
	defer func() {
		if v := recover(); v != nil {
			fault = &DeciderError{Func: "Evolve", Of: typeName(event), Err: &effect.PanicError{Value: v, Stack: debug.Stack()}}
		}
	}()
	d.Evolve(s, event)
	return nil
}

// rejection is an error of Decide as a *RejectionError.
func rejection(err error) error {
	var r *RejectionError
	switch {
	case !errors.As(err, &r):
		return &RejectionError{Reason: err.Error(), Err: err}
	case err == error(r): //nolint:errorlint // whether it is wrapped
		return r
	}
	return &RejectionError{Code: r.Code, Reason: r.Reason, Err: err}
}

// eventID is the id of the nth event of a command: the command's own, some
// further. Ids of the same time stand together in an index.
func eventID(command uuid.UUID, n int) uuid.UUID {
	for i, carry := len(command)-1, uint(n)+1; carry > 0 && i > 8; i-- { //nolint:gosec // a small count
		carry += uint(command[i])
		command[i] = byte(carry) //nolint:gosec // the low byte
		carry >>= 8
	}
	return command
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// source is what the Env of a Decide reads. The command's own metadata is in it,
// whatever step it is decided in.
type source struct {
	env   reducer.Env
	meta  *reducer.Meta
	id    uuid.UUID
	drawn uint64
}

// Now is the time of the step.
func (s *source) Now() time.Time { return s.env.Now() }

// Meta is the command's.
func (s *source) Meta() reducer.Meta { return *s.meta }

// NewID derives the next id from the command's: the same in every decision.
func (s *source) NewID() uuid.UUID {
	s.drawn++
	return reducer.DeriveID(s.id, s.drawn)
}
