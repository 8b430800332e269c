package aggregate_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

// A hall has seats with names. Its decider also has commands that do what none
// should.
type (
	hall struct {
		Taken map[string]string // seats, to who has them
		Seats []string
		Size  int
	}

	build struct{ Size int }
	take  struct {
		Who   string
		Seats []string
	}
	leave struct{ Who string }
	note  struct{ Text string }
	idle  struct{} // there is nothing to do
	ids   struct{} // takes a seat that is named for ids, times and metadata
	whoop struct{ Where string }

	built struct{ Size int }
	taken struct {
		Who   string
		Seats []string
	}
	left    struct{ Who string }
	noted   struct{ Text string }
	broken  struct{} // Evolve panics
	unsaid  struct{} // not registered
	unsayed struct{ F float64 }
	speaks  struct{ T loud }
	loud    string
)

func (loud) MarshalText() ([]byte, error) { panic("it speaks too loud") }

var errOwn = errors.New("an error of its own")

type halls struct{}

func (halls) Decide(h *hall, c any, env reducer.Env) ([]any, error) {
	switch c := c.(type) {
	case build:
		if h.Size > 0 {
			return nil, aggregate.Reject("built", "it has %d seats", h.Size)
		}
		return []any{built(c)}, nil
	case take:
		if len(h.Taken)+len(c.Seats) > h.Size {
			return nil, aggregate.Reject("full", "%d of %d seats are taken", len(h.Taken), h.Size)
		}
		for _, s := range c.Seats {
			if h.Taken[s] != "" {
				return nil, aggregate.Reject("taken", "seat %s is %s's", s, h.Taken[s])
			}
		}
		return []any{taken(c)}, nil
	case leave:
		return []any{left(c)}, nil
	case note:
		return []any{noted(c)}, nil
	case idle:
		return nil, nil
	case ids:
		m := env.Meta()
		return []any{noted{env.NewID().String()}, noted{env.NewID().String()}, noted{m.Actor + " " + m.Tenant + " " + m.ActionID.String()}}, nil
	case whoop:
		switch c.Where {
		case "decide":
			h.Size = 1000
			panic("decide")
		case "goes on to change":
			h.Size++
			return nil, nil
		case "evolve":
			return []any{noted{"before"}, broken{}}, nil
		case "unregistered":
			return []any{noted{"before"}, unsaid{}}, nil
		case "nil":
			return []any{nil}, nil
		case "json":
			return []any{unsayed{math.NaN()}}, nil
		case "marshal":
			return []any{speaks{"hello"}}, nil
		case "own":
			return []any{noted{"not with an error"}}, errOwn
		case "large":
			return []any{noted{strings.Repeat("x", 1000)}}, nil
		}
	}
	return nil, aggregate.Reject("unknown", "halls know no %T", c)
}

func (halls) Evolve(h *hall, e any) {
	switch e := e.(type) {
	case built:
		h.Size = e.Size
	case taken:
		if h.Taken == nil {
			h.Taken = map[string]string{}
		}
		for _, s := range e.Seats {
			h.Taken[s] = e.Who
		}
		h.Seats = e.Seats
	case left:
		for s, who := range h.Taken {
			if who == e.Who {
				delete(h.Taken, s)
			}
		}
	case noted:
		h.Seats = append(h.Seats, e.Text)
	case broken:
		panic("evolve")
	}
}

var hallEvents = must(eventstore.NewRegistry(
	eventstore.TypeOf[built]("hall.built", 1),
	eventstore.TypeOf[taken]("hall.taken", 1),
	eventstore.TypeOf[left]("hall.left", 1),
	eventstore.TypeOf[noted]("hall.noted", 1),
	eventstore.TypeOf[broken]("hall.broken", 1),
	eventstore.TypeOf[unsayed]("hall.unsayed", 1),
	eventstore.TypeOf[speaks]("hall.speaks", 1),
))

type hallHost = aggregate.Host[hall, any, any]

// hallsOn makes a host, shut down when the test ends.
func hallsOn(t testing.TB, log eventstore.Store, cfg aggregate.Config[hall]) *hallHost {
	t.Helper()
	h, err := aggregate.New("hall", halls{}, hallEvents, log, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Shutdown(context.Background())) }) //nolint:usetesting // the test's has ended by then
	return h
}

// newLog is a log whose appends and reads a test can look at and get in the way of.
func newLog(t testing.TB) *spoiled {
	t.Helper()
	return &spoiled{Store: must(memory.New(memory.Config{}))}
}

// spoiled is an event store in memory that does what a test wants.
type spoiled struct {
	*memory.Store
	appends, reads atomic.Int64

	mu     sync.Mutex
	before func(context.Context, []eventstore.Write) error // of appends
	after  func(context.Context, error) error
	read   func(context.Context) error

	afterRead func() // when nothing else goes on
}

// on sets what happens around appends.
func (s *spoiled) on(before func(context.Context, []eventstore.Write) error, after func(context.Context, error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *spoiled) onRead(f func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = f
}

func (s *spoiled) hooks() (func(context.Context, []eventstore.Write) error, func(context.Context, error) error, func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.before, s.after, s.read
}

func (s *spoiled) Append(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
	s.appends.Add(1)
	before, after, _ := s.hooks()
	if before != nil {
		if err := before(ctx, writes); err != nil {
			return nil, err
		}
	}
	done, err := s.Store.Append(ctx, writes...)
	if after != nil {
		if err := after(ctx, err); err != nil {
			return nil, err
		}
	}
	return done, err
}

func (s *spoiled) ReadStream(ctx context.Context, stream string, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	s.reads.Add(1)
	if _, _, read := s.hooks(); read != nil {
		if err := read(ctx); err != nil {
			return func(yield func(eventstore.Recorded, error) bool) { yield(eventstore.Recorded{}, err) }
		}
	}
	if wait := s.afterRead; wait != nil {
		var all []eventstore.Recorded
		for e, err := range s.Store.ReadStream(ctx, stream, from) {
			if err == nil {
				all = append(all, e)
			}
		}
		wait()
		return func(yield func(eventstore.Recorded, error) bool) {
			for _, e := range all {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
	return s.Store.ReadStream(ctx, stream, from)
}

// stream is what a stream has.
func (s *spoiled) stream(t testing.TB, ctx context.Context, name string) (events []eventstore.Recorded) {
	t.Helper()
	for e, err := range s.Store.ReadStream(ctx, name, 1) {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

// put appends events, as another process would.
func (s *spoiled) put(t testing.TB, ctx context.Context, stream string, events ...any) {
	t.Helper()
	w := eventstore.Write{Stream: stream, Expected: eventstore.Any}
	for _, e := range events {
		encoded, err := hallEvents.Encode(e)
		require.NoError(t, err)
		w.Events = append(w.Events, encoded)
	}
	_, err := s.Store.Append(ctx, w)
	require.NoError(t, err)
}

// folded is a fold of a stream up to a version, without a host.
func (s *spoiled) folded(t testing.TB, ctx context.Context, name string, to eventstore.Version) (h hall) {
	t.Helper()
	for _, e := range s.stream(t, ctx, name) {
		if e.Version <= to {
			v, err := hallEvents.Decode(e)
			require.NoError(t, err)
			halls{}.Evolve(&h, v)
		}
	}
	return h
}
