package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed57833328/rondo/eventstore"
)

var modelTests = []subtest{{"the same answers as a simple one", modelAnswers}}

// modelAnswers makes random calls of the home and of a model, and compares what
// they say.
func modelAnswers(s *scene) {
	ctx := s.ctx()
	round := 0
	rapid.Check(s.T, func(t *rapid.T) {
		round++
		head, err := s.Store.Head(ctx)
		require.NoError(t, err)
		m := &model{
			store: s.Store, after: head,
			streams: map[string][]eventstore.Recorded{}, claims: map[string]eventstore.Claim{}, snapshots: map[string]eventstore.Snapshot{},
		}
		for _, name := range []string{"a-1", "a-2", "b"} {
			m.names = append(m.names, fmt.Sprintf("model%d%s", round, name))
		}
		calls := []func(context.Context, *rapid.T){m.append, m.append, m.append, m.readStream, m.readAll}
		if _, ok := s.Store.(eventstore.Lookup); ok {
			calls = append(calls, m.lookup)
		}
		if _, ok := s.Store.(eventstore.Claims); ok {
			calls, m.claimable = append(calls, m.loadClaim), true
		}
		if _, ok := s.Store.(eventstore.Snapshots); ok {
			calls = append(calls, m.saveSnapshot, m.loadSnapshot, m.deleteSnapshot)
		}
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			calls[rapid.IntRange(0, len(calls)-1).Draw(t, "call")](ctx, t)
		}
		m.compare(t, "all", m.log, s.Store.ReadAll(ctx, m.after, eventstore.Filter{}))
	})
}

// model is an event store in its simplest form, for one tenant and one caller.
type model struct {
	store     eventstore.Store
	after     eventstore.Position // where it began
	names     []string            // of streams
	claimable bool

	log       []eventstore.Recorded
	streams   map[string][]eventstore.Recorded
	claims    map[string]eventstore.Claim
	snapshots map[string]eventstore.Snapshot // by stream and type
}

func (m *model) name(t *rapid.T) string { return rapid.SampledFrom(m.names).Draw(t, "stream") }

// someID is one that is there, or one that is not.
func (m *model) someID(t *rapid.T) uuid.UUID {
	if i := rapid.IntRange(-1, len(m.log)-1).Draw(t, "known event"); i >= 0 {
		return m.log[i].ID
	}
	return uuid.New()
}

func (m *model) writes(t *rapid.T) []eventstore.Write {
	names := rapid.Permutation(m.names).Draw(t, "streams")[:rapid.IntRange(1, 2).Draw(t, "writes")]
	var writes []eventstore.Write
	for _, name := range names {
		w := write(name, eventstore.Any, rapid.IntRange(1, 3).Draw(t, "events"))
		at := eventstore.Version(len(m.streams[name]))
		w.Expected = rapid.SampledFrom([]eventstore.Expected{
			eventstore.Any, eventstore.Exactly(at), eventstore.Exactly(at), eventstore.Exists, eventstore.None, eventstore.Exactly(at + 1),
		}).Draw(t, "expected")
		for i := range w.Events {
			w.Events[i].Type = rapid.SampledFrom([]string{"held", "sold"}).Draw(t, "type")
			w.Events[i].Data = rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "data")
		}
		if rapid.IntRange(0, 5).Draw(t, "a known event") == 0 {
			w.Events[len(w.Events)-1].ID = m.someID(t)
		}
		if m.claimable && rapid.Bool().Draw(t, "claim") {
			w.Claim = m.claim(t, name)
		}
		writes = append(writes, w)
	}
	if m.claimable && rapid.IntRange(0, 3).Draw(t, "a claim alone") == 0 {
		writes = append(writes, eventstore.Write{Claim: m.claim(t, "alone")})
	}
	return writes
}

func (m *model) claim(t *rapid.T, of string) *eventstore.Claim {
	c := claim(m.claimKey(of, rapid.IntRange(0, 1).Draw(t, "key")), rapid.StringN(1, 3, 9).Draw(t, "result"))
	if rapid.Bool().Draw(t, "expired") {
		expired(c)
	}
	return c
}

// claimKey has keys that no two writes of an append share.
func (m *model) claimKey(of string, i int) string { return fmt.Sprint(m.names[0], "/", of, "/", i) }

// verdict is what an append of the writes must come to.
func (m *model) verdict(writes []eventstore.Write) error {
	seen := map[uuid.UUID]bool{}
	for _, w := range writes {
		for _, e := range w.Events {
			if seen[e.ID] {
				return &eventstore.InputError{}
			}
			seen[e.ID] = true
		}
	}
	for _, w := range writes {
		for _, e := range w.Events {
			if slices.ContainsFunc(m.log, func(r eventstore.Recorded) bool { return r.ID == e.ID }) {
				return &eventstore.DuplicateEventError{Stream: w.Stream, ID: e.ID}
			}
		}
	}
	var taken []eventstore.Claim
	for _, w := range writes {
		if w.Claim == nil {
			continue
		}
		if c, found := m.valid(w.Claim.Key); found {
			taken = append(taken, c)
		}
	}
	if len(taken) > 0 {
		return &eventstore.ClaimedError{Claim: taken[0], More: taken[1:]}
	}
	for _, w := range writes {
		if actual := eventstore.Version(len(m.streams[w.Stream])); len(w.Events) > 0 && !w.Expected.Allows(actual) {
			return &eventstore.ConflictError{Stream: w.Stream, Expected: w.Expected, Actual: actual}
		}
	}
	return nil
}

func (m *model) valid(key string) (eventstore.Claim, bool) {
	c, found := m.claims[key]
	if !found || c.Until.Before(time.Now()) {
		return eventstore.Claim{}, false
	}
	return c, true
}

func (m *model) append(ctx context.Context, t *rapid.T) {
	writes := m.writes(t)
	want := m.verdict(writes)
	done, err := m.store.Append(ctx, writes...)
	if want != nil {
		require.Equal(t, fmt.Sprintf("%T", want), fmt.Sprintf("%T", err), "error of %+v: %v", writes, err)
		if !errors.As(want, new(*eventstore.InputError)) {
			require.Equal(t, want.Error(), err.Error())
		}
		var claimed *eventstore.ClaimedError
		if errors.As(err, &claimed) {
			require.Equal(t, want, error(claimed))
		}
		return
	}
	require.NoError(t, err, "%+v", writes)
	for i, w := range writes {
		if w.Claim != nil {
			m.claims[w.Claim.Key] = *w.Claim
		}
		require.Len(t, done[i].Events, len(w.Events))
		for j, e := range w.Events {
			got := done[i].Events[j]
			wanted := eventstore.Recorded{
				ID: e.ID, Stream: w.Stream, Type: e.Type, Schema: 1, Version: eventstore.Version(len(m.streams[w.Stream]) + 1), Data: e.Data,
				Tenant: tenantOf(ctx), Position: got.Position, At: got.At, // which only the home knows
			}
			require.Equal(t, plain(wanted), plain(got))
			require.Greater(t, got.Position, m.after)
			if n := len(m.log); n > 0 {
				require.Greater(t, got.Position, m.log[n-1].Position)
			}
			m.log = append(m.log, got)
			m.streams[w.Stream] = append(m.streams[w.Stream], got)
		}
	}
}

func (m *model) compare(t *rapid.T, what string, want []eventstore.Recorded, events func(func(eventstore.Recorded, error) bool)) {
	got, err := collect(events)
	require.NoError(t, err, what)
	require.Len(t, got, len(want), what)
	for i := range want {
		require.Equal(t, plain(want[i]), plain(got[i]), "%s: event %d", what, i)
	}
}

func (m *model) readStream(ctx context.Context, t *rapid.T) {
	name := m.name(t)
	all := m.streams[name]
	from := rapid.IntRange(0, len(all)+2).Draw(t, "from")
	m.compare(t, fmt.Sprintf("%q from %d", name, from), all[min(max(from-1, 0), len(all)):], m.store.ReadStream(ctx, name, eventstore.Version(from)))
}

func (m *model) readAll(ctx context.Context, t *rapid.T) {
	n := rapid.IntRange(0, len(m.log)).Draw(t, "events before")
	after := m.after
	if n > 0 {
		after = m.log[n-1].Position
	}
	var f eventstore.Filter
	if rapid.Bool().Draw(t, "by category") {
		f.Categories = []string{eventstore.Category(m.name(t))}
	}
	if rapid.Bool().Draw(t, "by type") {
		f.Types = []string{rapid.SampledFrom([]string{"held", "sold", "none"}).Draw(t, "type")}
	}
	m.compare(t, fmt.Sprintf("all after %d, %+v", after, f), matching(m.log[n:], f), m.store.ReadAll(ctx, after, f))
}

func (m *model) lookup(ctx context.Context, t *rapid.T) {
	wanted := []uuid.UUID{m.someID(t), m.someID(t), m.someID(t)}
	got, err := m.store.(eventstore.Lookup).Lookup(ctx, wanted...)
	require.NoError(t, err)
	var want []uuid.UUID
	for _, e := range m.log {
		if slices.Contains(wanted, e.ID) {
			want = append(want, e.ID)
		}
	}
	require.Len(t, got, len(want))
	for i := range want {
		require.Equal(t, want[i], got[i].ID)
	}
}

func (m *model) loadClaim(ctx context.Context, t *rapid.T) {
	key := m.claimKey(rapid.SampledFrom(append([]string{"alone"}, m.names...)).Draw(t, "of"), rapid.IntRange(0, 1).Draw(t, "key"))
	got, found, err := m.store.(eventstore.Claims).LoadClaim(ctx, key)
	require.NoError(t, err)
	want, there := m.valid(key)
	require.Equal(t, there, found, "claim %q", key)
	require.Equal(t, string(want.Result), string(got.Result))
	require.Equal(t, want.Until, got.Until)
}

func (m *model) snapshotKey(t *rapid.T) (key, stream, snapshotType string) {
	stream, snapshotType = m.name(t), rapid.SampledFrom([]string{"seats", "prices"}).Draw(t, "snapshot")
	return stream + "/" + snapshotType, stream, snapshotType
}

func (m *model) saveSnapshot(ctx context.Context, t *rapid.T) {
	key, stream, snapshotType := m.snapshotKey(t)
	s := eventstore.Snapshot{
		Stream: stream, Type: snapshotType, Schema: rapid.IntRange(1, 3).Draw(t, "schema"),
		Version: eventstore.Version(rapid.IntRange(0, len(m.streams[stream])+1).Draw(t, "version")),
		Data:    rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "data"),
	}
	err := m.store.(eventstore.Snapshots).SaveSnapshot(ctx, s)
	switch {
	case s.Version < 1 || int(s.Version) > len(m.streams[stream]):
		require.ErrorAs(t, err, new(*eventstore.InputError))
		return
	case s.Version >= m.snapshots[key].Version:
		m.snapshots[key] = s
	}
	require.NoError(t, err)
}

func (m *model) loadSnapshot(ctx context.Context, t *rapid.T) {
	key, stream, snapshotType := m.snapshotKey(t)
	got, found, err := m.store.(eventstore.Snapshots).LoadSnapshot(ctx, stream, snapshotType)
	require.NoError(t, err)
	want, there := m.snapshots[key]
	require.Equal(t, there, found)
	require.Equal(t, want, plainSnapshot(got))
}

func (m *model) deleteSnapshot(ctx context.Context, t *rapid.T) {
	key, stream, snapshotType := m.snapshotKey(t)
	require.NoError(t, m.store.(eventstore.Snapshots).DeleteSnapshot(ctx, stream, snapshotType))
	delete(m.snapshots, key)
}
