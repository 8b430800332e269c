package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed57833328/rondo/eventstore"
)

// maxAppendBytes is how much data one append may have: a parameter of a statement
// cannot have more than 1 GB.
const maxAppendBytes = 512 << 20

// request is an append on its way.
type request struct {
	tenant string // as it is stored
	writes []eventstore.Write
	keys   []gateKey
	key    [1]gateKey // where they are, if it is one
	events int
	bytes  int

	queued bool // guarded by the gate

	done     chan struct{} // closed when the rest is set
	appended []eventstore.Appended
	err      error
}

// Append commits all writes or none; see [eventstore.Store]. Errors beside those
// of the contract are *[Error].
func (s *Store) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	r, err := s.request(ctx, writes)
	if err != nil || len(writes) == 0 {
		return nil, err
	}
	for {
		appended, err := s.submit(ctx, r)
		var taken *takenError
		if !errors.As(err, &taken) {
			return appended, err
		}
		claims, err := s.taken(ctx, r, taken.key)
		if err == nil {
			err = r.claimed(claims)
		}
		if err != nil {
			return nil, err
		}
		// It was forgotten meanwhile, and can be taken.
		r.done = make(chan struct{})
	}
}

// submit has an append committed.
func (s *Store) submit(ctx context.Context, r *request) ([]eventstore.Appended, error) {
	direct, err := s.gate.enter(r)
	if err != nil {
		return nil, err
	}
	if direct {
		s.commit(ctx, false, []*request{r})
		s.gate.leave(r)
		return r.appended, r.err
	}
	select {
	case <-r.done:
		return r.appended, r.err
	case <-ctx.Done():
	}
	if s.gate.giveUp(r) {
		return nil, fmt.Errorf("append: %w", ctx.Err())
	}
	select {
	case <-r.done:
		return r.appended, r.err
	default:
		return nil, r.unknown(ctx.Err())
	}
}

// request checks an append.
func (s *Store) request(ctx context.Context, writes []eventstore.Write) (*request, error) {
	writes, err := eventstore.Prepare(writes)
	if err != nil {
		return nil, err
	}
	tenant, err := s.tenant(ctx)
	if err != nil {
		return nil, err
	}
	r := &request{tenant: tenant, writes: writes, done: make(chan struct{})}
	r.keys = r.key[:0]
	for i := range writes {
		w := &writes[i]
		if w.Claim != nil {
			// The caller may go on before it is written, if his context ends.
			c := *w.Claim
			c.Hash, c.Result = slices.Clone(c.Hash), slices.Clone(c.Result)
			w.Claim = &c
			r.keys = append(r.keys, gateKey{tenant, c.Key, true})
			r.bytes += len(c.Result)
		}
		if len(w.Events) > 0 {
			r.keys = append(r.keys, gateKey{tenant, w.Stream, false})
		}
		r.events += len(w.Events)
		for j := range w.Events {
			r.bytes += len(w.Events[j].Data)
		}
	}
	if r.bytes > maxAppendBytes {
		return nil, &eventstore.InputError{
			Field: "writes", Value: strconv.Itoa(r.bytes) + " bytes of data", Want: "at most " + strconv.Itoa(maxAppendBytes),
		}
	}
	return r, nil
}

// finish tells the caller what became of the append.
func (r *request) finish(appended []eventstore.Appended, err error) {
	r.appended, r.err = appended, err
	close(r.done)
}

// single tells that it is one event and nothing else.
func (r *request) single() bool {
	return len(r.writes) == 1 && r.events == 1 && r.writes[0].Claim == nil
}

// record makes what is returned of a write.
func (r *request) record(w *eventstore.Write, first int64, positions []int64, at time.Time) eventstore.Appended {
	if len(w.Events) == 0 {
		return eventstore.Appended{}
	}
	recorded := make([]eventstore.Recorded, len(w.Events))
	tenant := tenantOf(r.tenant)
	for i := range w.Events {
		e := &w.Events[i]
		recorded[i] = eventstore.Recorded{
			ID: e.ID, Tenant: tenant, Stream: w.Stream, Type: e.Type, Schema: e.Schema,
			Version: eventstore.Version(first) + eventstore.Version(i), Position: eventstore.Position(positions[i]),
			Data: e.Data, Meta: e.Meta, At: at.UTC(),
		}
	}
	last := &recorded[len(recorded)-1]
	return eventstore.Appended{Stream: w.Stream, Version: last.Version, Position: last.Position, Events: recorded}
}

// unknown is the error of an append that may have happened.
func (r *request) unknown(err error) error {
	return &eventstore.UnknownOutcomeError{IDs: eventstore.IDs(r.writes), Err: err}
}
