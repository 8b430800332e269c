package eventstoretest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/memory"
)

// mistakes are homes that are wrong in one way each, and the tests that find it.
var mistakes = []struct {
	name  string
	found string
	make  func(*home)
}{
	{"events become visible late", "Subscribe/many writers, many subscriptions", lateEvents},
	{"the head is beyond events that are not visible yet", "Read/nothing comes at or below a head that was seen", lateEvents},
	{"a subscription skips", "Subscribe/many writers, many subscriptions", func(h *home) {
		h.subscribe = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return some(h.Store.Subscribe(ctx, after, f), func(e eventstore.Recorded) bool { return e.Position%101 > 0 })
		}
	}},
	{"a subscription delivers twice", "Subscribe/many writers, many subscriptions", func(h *home) {
		h.subscribe = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return func(yield func(eventstore.Recorded, error) bool) {
				for e, err := range h.Store.Subscribe(ctx, after, f) {
					if !yield(e, err) || e.Position%101 == 0 && !yield(e, err) {
						return
					}
				}
			}
		}
	}},
	{"a subscription ends when it has caught up", "Subscribe/catches up, then goes live", func(h *home) { h.subscribe = h.readAll }},
	{"a subscription does not filter what is live", "Subscribe/filters", func(h *home) {
		h.subscribe = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			head, _ := h.head(ctx)
			return some(h.Store.Subscribe(ctx, after, eventstore.Filter{}), func(e eventstore.Recorded) bool {
				return e.Position > head || f.Matches(e.Stream, e.Type)
			})
		}
	}},
	{"a subscription ends without an error", "Subscribe/ends with its context", func(h *home) {
		h.subscribe = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return silent(ctx, h.Store.Subscribe(ctx, after, f))
		}
	}},
	{"a conflict does not tell the version", "Append/a conflict tells the actual version", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			done, err := h.Store.Append(ctx, writes...)
			var conflict *eventstore.ConflictError
			if errors.As(err, &conflict) {
				conflict.Actual = 0
			}
			return done, err
		}
	}},
	{"a conflict is the database's error", "Race/one of many wins, the others conflict", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			done, err := h.Store.Append(ctx, writes...)
			if errors.As(err, new(*eventstore.ConflictError)) {
				err = errors.New("duplicate key value violates unique constraint (SQLSTATE 23505)")
			}
			return done, err
		}
	}},
	{"versions are checked before the append", "Race/one of many wins, the others conflict", checkThenAppend},
	{"appends to two streams are two appends", "Append/all or nothing", func(h *home) { oneByOne(h, func() {}) }},
	{"appends to two streams, checked one by one", "Race/appends of many streams are all or nothing", func(h *home) {
		oneByOne(h, together(2))
	}},
	{"writes are written in another order", "Append/several streams", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			reversed := slices.Clone(writes)
			slices.Reverse(reversed)
			done, err := h.Store.Append(ctx, reversed...)
			slices.Reverse(done)
			return done, err
		}
	}},
	{"Exists is as Any", "Append/expected versions", existsAsAny},
	{"Exists is as Any, to a model", "Model/the same answers as a simple one", existsAsAny},
	{"duplicates are not looked for", "Append/duplicate events", newIDs},
	{"duplicates are not looked for, to a model", "Model/the same answers as a simple one", newIDs},
	{"a conflict is told before a duplicate", "Append/a duplicate is told before a conflict", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			for _, w := range writes {
				if actual := h.version(ctx, w.Stream); !w.Expected.Allows(actual) {
					return nil, &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: actual}
				}
			}
			return h.Store.Append(ctx, writes...)
		}
	}},
	{"data is the caller's", "Append/what the caller changes later is not changed", func(h *home) {
		given := map[uuid.UUID][]byte{}
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			for _, w := range writes {
				for _, e := range w.Events {
					given[e.ID] = e.Data
				}
			}
			return h.Store.Append(ctx, writes...)
		}
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			return changed(h.Store.ReadStream(ctx, stream, from), func(e *eventstore.Recorded) { e.Data = given[e.ID] })
		}
	}},
	{"times have nanoseconds", "Append/metadata and times come back", func(h *home) {
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			return changed(h.Store.ReadStream(ctx, stream, from), func(e *eventstore.Recorded) { e.At = e.At.Add(1) })
		}
	}},
	{"data is text", "Append/any data comes back", func(h *home) {
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			return changed(h.Store.ReadStream(ctx, stream, from), func(e *eventstore.Recorded) { e.Data = []byte(strings.ToValidUTF8(string(e.Data), "?")) })
		}
	}},
	{"names are trimmed", "Input/odd stream names are kept apart", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			writes = slices.Clone(writes)
			for i := range writes {
				if trimmed := strings.TrimRight(writes[i].Stream, " "); trimmed != "" {
					writes[i].Stream = trimmed
				}
			}
			return h.Store.Append(ctx, writes...)
		}
	}},
	{"types are compared without case", "Read/filters", func(h *home) {
		h.readAll = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return some(h.Store.ReadAll(ctx, after, eventstore.Filter{Categories: f.Categories}), func(e eventstore.Recorded) bool {
				return len(f.Types) == 0 || slices.ContainsFunc(f.Types, func(t string) bool { return strings.EqualFold(t, e.Type) })
			})
		}
	}},
	{"categories are prefixes", "Read/filters are taken literally", func(h *home) {
		h.readAll = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return some(h.Store.ReadAll(ctx, after, eventstore.Filter{Types: f.Types}), func(e eventstore.Recorded) bool {
				return len(f.Categories) == 0 || slices.ContainsFunc(f.Categories, func(c string) bool { return strings.HasPrefix(e.Stream, c) })
			})
		}
	}},
	{"reads begin one too late", "Read/a stream from any version", func(h *home) {
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			return h.Store.ReadStream(ctx, stream, from+from/2)
		}
	}},
	{"reads end after a page", "Read/a stream of many pages", func(h *home) {
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			return some(h.Store.ReadStream(ctx, stream, from), func(e eventstore.Recorded) bool { return e.Version < max(from, 1)+1_000 })
		}
	}},
	{"reads know their end before they begin", "Read/broken off, and read again", func(h *home) {
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			end := h.version(ctx, stream)
			return some(h.Store.ReadStream(ctx, stream, from), func(e eventstore.Recorded) bool { return e.Version <= end })
		}
	}},
	{"the head is too great", "Read/head", func(h *home) {
		h.head = func(ctx context.Context) (eventstore.Position, error) {
			head, err := h.Store.Head(ctx)
			return head + 3, err
		}
	}},
	{"what is found is not in order", "Lookup/events by their ids", func(h *home) {
		h.lookup = func(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
			var found []eventstore.Recorded
			for _, id := range ids {
				one, err := h.Store.Lookup(ctx, id)
				if err != nil {
					return nil, err
				}
				found = append(found, one...)
			}
			return found, nil
		}
	}},
	{"claims are committed before their events", "Claims/goes with an append that is refused", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			writes = slices.Clone(writes)
			for i := range writes {
				if c := writes[i].Claim; c != nil && len(writes[i].Events) > 0 {
					if _, err := h.Store.Append(ctx, eventstore.Write{Claim: c}); err != nil {
						return nil, err
					}
					writes[i].Claim = nil
				}
			}
			return h.Store.Append(ctx, writes...)
		}
	}},
	{"claims never run out", "Claims/a key whose time has run out", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			writes = slices.Clone(writes)
			for i := range writes {
				if c := writes[i].Claim; c != nil {
					kept := *c
					kept.Until = kept.Until.Add(24 * time.Hour)
					writes[i].Claim = &kept
				}
			}
			return h.Store.Append(ctx, writes...)
		}
	}},
	{"snapshots are not guarded", "Snapshots/the greater version stays", func(h *home) {
		h.saves = func(ctx context.Context, s eventstore.Snapshot) error {
			_ = h.DeleteSnapshot(ctx, s.Stream, s.Type)
			return h.Store.SaveSnapshot(ctx, s)
		}
	}},
	{"snapshots are kept by stream", "Snapshots/one of each type and stream", func(h *home) {
		h.saves = func(ctx context.Context, s eventstore.Snapshot) error {
			_ = h.DeleteSnapshot(ctx, s.Stream, strings.ToLower(s.Type))
			return h.Store.SaveSnapshot(ctx, s)
		}
	}},
	{"leases fence nobody", "Checkpoints/a holder of an older token is fenced", func(h *home) {
		h.checkpoints = func(ctx context.Context, l eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
			if now, found, _ := h.LoadCheckpoint(ctx, l.Subscription); found {
				l = now
			}
			return h.Store.SaveCheckpoint(ctx, l, checkpoint, ttl)
		}
	}},
	{"a lease has no term", "Checkpoints/taken when it has run out", func(h *home) {
		h.acquires = func(ctx context.Context, subscription, owner string, ttl time.Duration) (eventstore.Lease, error) {
			return h.Store.AcquireLease(ctx, subscription, owner, ttl+time.Hour)
		}
	}},
	{"a lease is anybody's", "Checkpoints/acquired by many", func(h *home) {
		h.acquires = func(ctx context.Context, subscription, _ string, ttl time.Duration) (eventstore.Lease, error) {
			return h.Store.AcquireLease(ctx, subscription, "anybody", ttl)
		}
	}},
	{"a checkpoint goes back", "Checkpoints/a checkpoint never goes back", func(h *home) {
		h.checkpoints = func(ctx context.Context, l eventstore.Lease, checkpoint eventstore.Position, ttl time.Duration) (eventstore.Lease, error) {
			saved, err := h.Store.SaveCheckpoint(ctx, l, checkpoint, ttl)
			if errors.As(err, new(*eventstore.InputError)) {
				return l, nil
			}
			return saved, err
		}
	}},
	{"keys are made again", "Keys/deleted for good", func(h *home) {
		h.key = func(ctx context.Context, subject string) ([]byte, error) {
			key, err := h.Store.Key(ctx, subject)
			if errors.Is(err, eventstore.ErrErased) {
				return make([]byte, 32), nil
			}
			return key, err
		}
	}},
	{"tenants are not looked at", "Tenants/streams are apart", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			return h.Store.Append(eventstore.WithTenant(ctx, ""), writes...)
		}
	}},
	{"all tenants' events are everybody's", "Tenants/reads and subscriptions see their own", func(h *home) {
		h.readAll = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return h.Store.ReadAll(eventstore.AllTenants(ctx), after, f)
		}
	}},
	{"a connection remembers its tenant", "Tenants/many at once", func(h *home) {
		var mu sync.Mutex
		changed := sync.NewCond(&mu)
		last := ""
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			mu.Lock()
			defer mu.Unlock()
			last, _ = eventstore.TenantFrom(ctx)
			changed.Broadcast()
			return h.Store.Append(ctx, writes...)
		}
		waited := false
		h.readStream = func(ctx context.Context, stream string, from eventstore.Version) events {
			mu.Lock()
			defer mu.Unlock()
			own, _ := eventstore.TenantFrom(ctx)
			for first := !waited; first && last == own; { // before one reads, another uses the connection
				waited = true
				changed.Wait()
			}
			return h.Store.ReadStream(eventstore.WithTenant(ctx, last), stream, from)
		}
	}},
	{"for all tenants is for none", "Tenants/a context for all tenants does nothing else", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			if _, all := eventstore.TenantFrom(ctx); all {
				ctx = eventstore.WithTenant(ctx, "")
			}
			return h.Store.Append(ctx, writes...)
		}
	}},
	{"contexts are not looked at", "Cancel/before each call", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			return h.Store.Append(context.WithoutCancel(ctx), writes...)
		}
	}},
	{"a read that is cancelled ends as if that was all", "Cancel/while a read goes on", func(h *home) {
		h.readAll = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
			return silent(ctx, h.Store.ReadAll(ctx, after, f))
		}
	}},
	{"an append that was cancelled may have happened", "Cancel/while appends go on", func(h *home) {
		h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
			if _, err := h.Store.Append(ctx, writes...); err != nil {
				return nil, err
			}
			<-ctx.Done() // the answer is slower than whoever asks is patient
			return nil, ctx.Err()
		}
	}},
	{"a store that is closed has an error of its own", "Close/whatever is asked afterwards is refused", func(h *home) {
		h.lookup = func(ctx context.Context, ids ...uuid.UUID) ([]eventstore.Recorded, error) {
			found, err := h.Store.Lookup(ctx, ids...)
			if errors.Is(err, eventstore.ErrClosed) {
				err = errors.New("database is closed")
			}
			return found, err
		}
	}},
	{"what is reopened is empty", "Durability/events are there after reopening", func(h *home) {
		h.reopen = func() eventstore.Store {
			empty, _ := memory.New(memory.Config{})
			return empty
		}
	}},
}

// together returns what waits until it was called n times, and then never again: so
// that many are between what they have done and what they do next.
func together(n int) (wait func()) {
	var called atomic.Int64
	there := make(chan struct{})
	return func() {
		if called.Add(1) == int64(n) {
			close(there)
		}
		<-there
	}
}

// version is how many events a stream has.
func (h *home) version(ctx context.Context, stream string) eventstore.Version {
	n := eventstore.Version(0)
	for _, err := range h.Store.ReadStream(ctx, stream, 1) {
		if err != nil {
			return 0
		}
		n++
	}
	return n
}

// lateEvents has one append draw its positions early, and commit late: what it has
// written, but for the last, is hidden until a reader has gone on to what comes after
// it. Readers go by the greatest position they have seen.
func lateEvents(h *home) {
	var mu sync.Mutex
	hidden := map[eventstore.Position]bool{}
	begun, passed := false, make(chan struct{})
	h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
		mu.Lock()
		done, err := h.Store.Append(ctx, writes...)
		if err != nil || begun {
			mu.Unlock()
			return done, err
		}
		for _, d := range done {
			for _, e := range d.Events[:len(d.Events)-1] {
				hidden[e.Position] = true
			}
		}
		begun = len(hidden) > 0
		late := begun
		mu.Unlock()
		if late {
			<-passed
			mu.Lock()
			clear(hidden)
			mu.Unlock()
		}
		return done, nil
	}
	isHidden := func(p eventstore.Position) bool {
		mu.Lock()
		defer mu.Unlock()
		return hidden[p]
	}
	var once sync.Once
	late := func(all events) events {
		return func(yield func(eventstore.Recorded, error) bool) {
			missed := false
			for e, err := range all {
				if err == nil && isHidden(e.Position) {
					missed = true
					continue
				}
				if !yield(e, err) {
					return // perhaps because it had not wanted to come so far
				}
				if missed {
					once.Do(func() { close(passed) })
				}
			}
		}
	}
	h.readAll = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
		return late(h.Store.ReadAll(ctx, after, f))
	}
	h.subscribe = func(ctx context.Context, after eventstore.Position, f eventstore.Filter) events {
		return late(h.Store.Subscribe(ctx, after, f))
	}
}

// oneByOne appends the writes of an append one by one, and lets others come between.
func oneByOne(h *home, between func()) {
	h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
		var all []eventstore.Appended
		for _, w := range writes {
			done, err := h.Store.Append(ctx, w)
			if err != nil {
				return nil, err
			}
			all = append(all, done...)
			between()
		}
		return all, nil
	}
}

// checkThenAppend looks whether an append may be made, and then makes it: of many who
// expect the same, two have looked before one of them goes on.
func checkThenAppend(h *home) {
	var mu sync.Mutex
	looked := map[eventstore.Expected]func(){}
	wait := func(expected eventstore.Expected) func() {
		mu.Lock()
		defer mu.Unlock()
		if looked[expected] == nil {
			looked[expected] = together(2)
		}
		return looked[expected]
	}
	h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
		for i := range writes {
			if actual := h.version(ctx, writes[i].Stream); !writes[i].Expected.Allows(actual) {
				return nil, &eventstore.ConflictError{Stream: writes[i].Stream, Expected: writes[i].Expected, Actual: actual}
			}
			wait(writes[i].Expected)()
			writes[i].Expected = eventstore.Any
		}
		return h.Store.Append(ctx, writes...)
	}
}

func existsAsAny(h *home) {
	h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
		for i := range writes {
			if writes[i].Expected == eventstore.Exists {
				writes[i].Expected = eventstore.Any
			}
		}
		return h.Store.Append(ctx, writes...)
	}
}

func newIDs(h *home) {
	h.appends = func(ctx context.Context, writes ...eventstore.Write) ([]eventstore.Appended, error) {
		writes = slices.Clone(writes)
		for i := range writes {
			w := &writes[i]
			if found, _ := h.Store.Lookup(ctx, eventstore.IDs(writes[i:i+1])...); len(found) > 0 {
				w.Events = slices.Clone(w.Events)
				for j := range w.Events {
					w.Events[j].ID = uuid.New()
				}
			}
		}
		return h.Store.Append(ctx, writes...)
	}
}

// some leaves out what does not pass.
func some(all events, pass func(eventstore.Recorded) bool) events {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range all {
			if (err != nil || pass(e)) && !yield(e, err) {
				return
			}
		}
	}
}

func changed(all events, change func(*eventstore.Recorded)) events {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range all {
			if err == nil {
				change(&e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// silent ends without an error when the context does.
func silent(ctx context.Context, all events) events {
	return func(yield func(eventstore.Recorded, error) bool) {
		for e, err := range all {
			if err != nil && ctx.Err() != nil || !yield(e, err) {
				return
			}
		}
	}
}
