package memory_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// plain is the least that does the same: a map of streams, a slice of all, a map
// of the ids, a mutex. It keeps what it is given as the store does, in memory of
// its own.
type plain struct {
	mu      sync.Mutex
	streams map[string][]*eventstore.Recorded
	ids     map[uuid.UUID]struct{}
	log     []*eventstore.Recorded
}

func newPlain() *plain {
	return &plain{streams: map[string][]*eventstore.Recorded{}, ids: map[uuid.UUID]struct{}{}}
}

func (p *plain) append(stream string, expected eventstore.Expected, events []eventstore.Event) ([]eventstore.Recorded, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.streams[stream]
	if actual := eventstore.Version(len(all)); !expected.Allows(actual) {
		return nil, &eventstore.ConflictError{Stream: stream, Expected: expected, Actual: actual}
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	recorded := make([]eventstore.Recorded, len(events))
	for i, e := range events {
		if e.ID == uuid.Nil {
			e.ID = uuid.Must(uuid.NewV7())
		}
		if _, found := p.ids[e.ID]; found {
			return nil, &eventstore.DuplicateEventError{Stream: stream, ID: e.ID}
		}
		r := &recorded[i]
		*r = eventstore.Recorded{
			ID: e.ID, Stream: stream, Type: e.Type, Schema: 1, Version: eventstore.Version(len(all) + 1),
			Position: eventstore.Position(len(p.log) + 1), Data: slices.Clone(e.Data), Meta: e.Meta, At: now,
		}
		all = append(all, r)
		p.log = append(p.log, r)
		p.ids[e.ID] = struct{}{}
	}
	p.streams[stream] = all
	return slices.Clone(recorded), nil
}

func (p *plain) read(stream string, yield func(eventstore.Recorded) bool) {
	p.mu.Lock()
	events := p.streams[stream]
	p.mu.Unlock()
	for _, e := range events {
		if !yield(*e) {
			return
		}
	}
}

// appender appends events to a stream.
type appender func(stream string, events []eventstore.Event) error

func storeAppender(b *testing.B) appender {
	b.Helper()
	s, err := memory.New(memory.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	return func(stream string, events []eventstore.Event) error {
		_, err := s.Append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: events})
		return err
	}
}

func plainAppender(b *testing.B) appender {
	b.Helper()
	p := newPlain()
	return func(stream string, events []eventstore.Event) error {
		_, err := p.append(stream, eventstore.Any, events)
		return err
	}
}

// BenchmarkAppend takes turns between the store and the plain one, so that
// whatever else the machine does slows both: x/plain is how many times as long
// the store takes.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ events, writers int }{{1, 1}, {1, 8}, {100, 1}} {
		b.Run(fmt.Sprintf("events=%d/writers=%d", c.events, c.writers), func(b *testing.B) {
			const most = 20_000 // events, after which a new one begins
			events := make([]eventstore.Event, c.events)
			for i := range events {
				events[i] = eventstore.Event{Type: "inventory.seats-held", Data: make([]byte, 200)}
			}
			turn := func(appends appender) time.Duration {
				runtime.GC() // each leaves its garbage to itself
				begin := time.Now()
				var writers sync.WaitGroup
				for w := range c.writers {
					stream := fmt.Sprint("seats-", w)
					writers.Go(func() {
						for range most / c.events / c.writers {
							if err := appends(stream, events); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				writers.Wait()
				return time.Since(begin)
			}
			var store, plain time.Duration
			turns := 0
			for b.Loop() {
				store += turn(storeAppender(b))
				plain += turn(plainAppender(b))
				turns++
			}
			appends := float64(turns * most / c.events)
			b.ReportMetric(float64(store)/appends, "store-ns/append")
			b.ReportMetric(float64(plain)/appends, "plain-ns/append")
			b.ReportMetric(float64(store)/float64(plain), "x/plain")
			b.ReportMetric(0, "ns/op")
		})
	}
}

const readLength = 10_000

func BenchmarkReadStream(b *testing.B) {
	events := make([]eventstore.Event, readLength)
	for i := range events {
		events[i] = eventstore.Event{Type: "inventory.seats-held", Data: make([]byte, 200)}
	}
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		s, err := memory.New(memory.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Append(b.Context(), eventstore.Write{Stream: "a", Expected: eventstore.Any, Events: events}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			n := 0
			for e, err := range s.ReadStream(b.Context(), "a", 1) {
				if err != nil {
					b.Fatal(err)
				}
				n += len(e.Data)
			}
			if n != readLength*200 {
				b.Fatal(n)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		p := newPlain()
		if _, err := p.append("a", eventstore.Any, events); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			n := 0
			for e := range func(yield func(eventstore.Recorded) bool) { p.read("a", yield) } {
				n += len(e.Data)
			}
			if n != readLength*200 {
				b.Fatal(n)
			}
		}
	})
}

// BenchmarkSubscribe is the time from an append to its delivery.
func BenchmarkSubscribe(b *testing.B) {
	b.ReportAllocs()
	s, err := memory.New(memory.Config{})
	if err != nil {
		b.Fatal(err)
	}
	delivered, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := range s.Subscribe(b.Context(), 0, eventstore.Filter{}) {
			if err != nil {
				return
			}
			delivered <- struct{}{}
		}
	}()
	w := eventstore.Write{Stream: "a", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "held", Data: make([]byte, 200)}}}
	for b.Loop() {
		if _, err := s.Append(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		<-delivered
	}
	if err := s.Close(); err != nil {
		b.Error(err)
	}
	<-ended
}
