package eventstoretest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var appendTests = []subtest{
	{"versions count from one", versionsCount},
	{"what was appended is what is read", appendedIsRead},
	{"ids are drawn or kept", idsDrawnOrKept},
	{"expected versions", expectedVersions},
	{"a conflict tells the actual version", conflictTells},
	{"several streams", severalStreams},
	{"all or nothing", allOrNothing},
	{"nothing to append", nothingToAppend},
	{"duplicate events", duplicateEvents},
	{"a duplicate is told before a conflict", duplicateBeforeConflict},
	{"metadata and times come back", metadataRoundTrip},
	{"any data comes back", dataRoundTrip},
	{"what the caller changes later is not changed", callerCannotAlter},
	{"1 MB events", largeEvents},
	{"10,000 events", manyEvents},
}

func versionsCount(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	for version := eventstore.Version(0); version < 12; {
		n := 1 + int(version)%3
		done := s.append(ctx, write(stream, eventstore.Exactly(version), n))[0]
		require.Equal(s, stream, done.Stream)
		require.Equal(s, version+eventstore.Version(n), done.Version)
		require.Len(s, done.Events, n)
		for i, e := range done.Events {
			require.Equal(s, version+eventstore.Version(i)+1, e.Version)
		}
		require.Equal(s, done.Events[n-1].Position, done.Position)
		version = done.Version
	}
	other := s.append(ctx, write(s.stream(), eventstore.Any, 1))[0]
	require.EqualValues(s, 1, other.Version, "each stream counts by itself")
	all := s.readStream(ctx, stream)
	s.ascending(all)
	require.Greater(s, other.Position, all[len(all)-1].Position)
}

func appendedIsRead(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	var want []eventstore.Recorded
	for _, n := range []int{1, 8, 1, 120} {
		want = append(want, s.append(ctx, write(stream, eventstore.Any, n))[0].Events...)
	}
	for _, e := range want {
		require.Equal(s, stream, e.Stream)
		require.Equal(s, "held", e.Type)
		require.Equal(s, 1, e.Schema)
		require.False(s, e.Redacted)
	}
	s.same(want, s.readStream(ctx, stream))
	s.same(want, s.read(s.Store.ReadAll(ctx, want[0].Position-1, eventstore.Filter{})))
}

func idsDrawnOrKept(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	given := event("held")
	random := event("held")
	random.ID = uuid.New() // version 4: any will do
	got := s.append(ctx, eventstore.Write{
		Stream: stream, Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "a"}, given, {Type: "b"}, random},
	})[0].Events
	require.Equal(s, given.ID, got[1].ID)
	require.Equal(s, random.ID, got[3].ID)
	for _, i := range []int{0, 2} {
		require.EqualValues(s, 7, got[i].ID.Version(), "an id that the store drew")
	}
	require.NotEqual(s, got[0].ID, got[2].ID)
	require.Equal(s, ids(got), ids(s.readStream(ctx, stream)))
}

func expectedVersions(s *scene) {
	ctx := s.ctx()
	for _, c := range []struct {
		name     string
		at       int
		expected eventstore.Expected
		ok       bool
	}{
		{"nothing there, None", 0, eventstore.None, true},
		{"nothing there, Exactly 0", 0, eventstore.Exactly(0), true},
		{"nothing there, Any", 0, eventstore.Any, true},
		{"nothing there, Exists", 0, eventstore.Exists, false},
		{"nothing there, Exactly 1", 0, eventstore.Exactly(1), false},
		{"at 2, None", 2, eventstore.None, false},
		{"at 2, Exactly 0", 2, eventstore.Exactly(0), false},
		{"at 2, Exactly 1", 2, eventstore.Exactly(1), false},
		{"at 2, Exactly 2", 2, eventstore.Exactly(2), true},
		{"at 2, Exactly 3", 2, eventstore.Exactly(3), false},
		{"at 2, Exactly the greatest", 2, eventstore.Exactly(math.MaxInt64), false},
		{"at 2, Exists", 2, eventstore.Exists, true},
		{"at 2, Any", 2, eventstore.Any, true},
	} {
		stream := s.stream()
		if c.at > 0 {
			s.fill(ctx, stream, c.at)
		}
		done, err := s.Store.Append(ctx, write(stream, c.expected, 2))
		if c.ok {
			require.NoError(s, err, c.name)
			require.EqualValues(s, c.at+2, done[0].Version, c.name)
			s.requireVersion(ctx, stream, c.at+2)
			continue
		}
		var conflict *eventstore.ConflictError
		require.ErrorAs(s, err, &conflict, c.name)
		require.Equal(s, eventstore.ConflictError{Stream: stream, Expected: c.expected, Actual: eventstore.Version(c.at)}, *conflict, c.name)
		require.False(s, eventstore.Retryable(err), "a conflict is not retryable")
		require.Empty(s, done, c.name)
		s.requireVersion(ctx, stream, c.at)
	}
	stream := s.stream()
	_, err := s.Store.Append(ctx, write(stream, eventstore.Expected{}, 1))
	require.ErrorAs(s, err, new(*eventstore.InputError), "expected version not set")
	s.requireVersion(ctx, stream, 0)
}

func conflictTells(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	for at := range 6 {
		_, err := s.Store.Append(ctx, write(stream, eventstore.Exactly(eventstore.Version(at+1)), 1))
		var conflict *eventstore.ConflictError
		require.ErrorAs(s, err, &conflict)
		require.EqualValues(s, at, conflict.Actual)
		s.append(ctx, write(stream, eventstore.Exactly(conflict.Actual), 1))
	}
}

func severalStreams(s *scene) {
	ctx := s.ctx()
	// The names are not in the order of the writes.
	b, a, c := s.unique()+"-b", s.unique()+"-a", s.unique()+"-c"
	s.fill(ctx, a, 2)
	writes := []eventstore.Write{
		write(b, eventstore.None, 3),
		write(a, eventstore.Exactly(2), 1),
		write(c, eventstore.Any, 2),
	}
	done := s.append(ctx, writes...)
	var all []eventstore.Recorded
	for i, d := range done {
		require.Equal(s, writes[i].Stream, d.Stream)
		require.Len(s, d.Events, len(writes[i].Events))
		for j, e := range d.Events {
			require.Equal(s, writes[i].Events[j].ID, e.ID)
		}
		all = append(all, d.Events...)
	}
	s.ascending(all)
	s.same(all, s.read(s.Store.ReadAll(ctx, all[0].Position-1, eventstore.Filter{})))
	require.EqualValues(s, 3, done[0].Version)
	require.EqualValues(s, 3, done[1].Version)
	require.EqualValues(s, 2, done[2].Version)
}

func allOrNothing(s *scene) {
	ctx := s.ctx()
	a, b, c := s.stream(), s.stream(), s.stream()
	there := s.fill(ctx, b, 2)
	head := headOf(ctx, s)

	again := write(b, eventstore.Any, 2)
	again.Events[1].ID = there[0].ID
	for name, second := range map[string]eventstore.Write{
		"conflict":  write(b, eventstore.Exactly(1), 1),
		"duplicate": again,
		"input":     write("", eventstore.Any, 1),
	} {
		for _, writes := range [][]eventstore.Write{
			{write(a, eventstore.None, 3), second},
			{write(a, eventstore.None, 3), second, write(c, eventstore.Any, 1)},
			{second, write(a, eventstore.None, 3)},
		} {
			_, err := s.Store.Append(ctx, writes...)
			switch name {
			case "conflict":
				var conflict *eventstore.ConflictError
				require.ErrorAs(s, err, &conflict)
				require.Equal(s, b, conflict.Stream)
				require.EqualValues(s, 2, conflict.Actual)
			case "duplicate":
				var duplicate *eventstore.DuplicateEventError
				require.ErrorAs(s, err, &duplicate)
				require.Equal(s, eventstore.DuplicateEventError{Stream: b, ID: there[0].ID}, *duplicate)
			default:
				require.ErrorAs(s, err, new(*eventstore.InputError))
			}
			s.requireVersion(ctx, a, 0)
			s.requireVersion(ctx, b, 2)
			s.requireVersion(ctx, c, 0)
		}
	}
	require.Empty(s, s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
	// What was refused can be done now: nothing of it is left.
	s.append(ctx, write(a, eventstore.None, 1), write(b, eventstore.Exactly(2), 1))

	// Of two conflicts that of the earlier write is told.
	_, err := s.Store.Append(ctx, write(b, eventstore.Exactly(9), 1), write(a, eventstore.Exactly(9), 1))
	var conflict *eventstore.ConflictError
	require.ErrorAs(s, err, &conflict)
	require.Equal(s, b, conflict.Stream)

	_, err = s.Store.Append(ctx, write(c, eventstore.Any, 1), write(c, eventstore.Any, 1))
	require.ErrorAs(s, err, new(*eventstore.InputError), "the same stream twice")
	s.requireVersion(ctx, c, 0)
}

func nothingToAppend(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	s.fill(ctx, stream, 1)
	head := headOf(ctx, s)
	done, err := s.Store.Append(ctx)
	require.NoError(s, err)
	require.Empty(s, done)
	_, err = s.Store.Append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Any})
	require.ErrorAs(s, err, new(*eventstore.InputError), "a write without events")
	_, err = s.Store.Append(ctx, eventstore.Write{})
	require.ErrorAs(s, err, new(*eventstore.InputError), "an empty write")
	_, err = s.Store.Append(ctx, write(stream, eventstore.Any, 1), eventstore.Write{Stream: s.stream(), Expected: eventstore.Any})
	require.ErrorAs(s, err, new(*eventstore.InputError), "a write without events beside another")
	require.Empty(s, s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
}

func duplicateEvents(s *scene) {
	ctx, a, b := s.ctx(), s.stream(), s.stream()
	first := write(a, eventstore.Any, 3)
	s.append(ctx, first)
	refused := func(what, stream string, id uuid.UUID, writes ...eventstore.Write) {
		s.Helper()
		_, err := s.Store.Append(ctx, writes...)
		var duplicate *eventstore.DuplicateEventError
		require.ErrorAs(s, err, &duplicate, what)
		require.Equal(s, eventstore.DuplicateEventError{Stream: stream, ID: id}, *duplicate, what)
		require.False(s, eventstore.Retryable(err), "a duplicate is not retryable")
	}
	refused("the same append again", a, first.Events[0].ID, first)

	other := first
	other.Stream = b
	refused("the same events to another stream", b, first.Events[0].ID, other)

	part := write(b, eventstore.Any, 3)
	part.Events[2] = first.Events[1]
	refused("one of three", b, first.Events[1].ID, part)
	refused("in the second write", b, first.Events[1].ID, write(a, eventstore.Any, 1), part)

	twice := write(b, eventstore.Any, 2)
	twice.Events[1].ID = twice.Events[0].ID
	_, err := s.Store.Append(ctx, twice)
	require.ErrorAs(s, err, new(*eventstore.InputError), "an id twice in a write")
	second := write(s.stream(), eventstore.Any, 1)
	third := write(b, eventstore.Any, 1)
	third.Events[0].ID = second.Events[0].ID
	_, err = s.Store.Append(ctx, second, third)
	require.ErrorAs(s, err, new(*eventstore.InputError), "an id in two writes")

	s.requireVersion(ctx, a, 3)
	s.requireVersion(ctx, b, 0)
}

func duplicateBeforeConflict(s *scene) {
	ctx, a, b := s.ctx(), s.stream(), s.stream()
	first := write(a, eventstore.None, 2)
	s.append(ctx, first)
	s.fill(ctx, b, 1)
	for _, writes := range [][]eventstore.Write{
		{first}, // it expects None, and conflicts with itself
		{write(b, eventstore.None, 1), first},
		{first, write(b, eventstore.None, 1)},
	} {
		_, err := s.Store.Append(ctx, writes...)
		var duplicate *eventstore.DuplicateEventError
		require.ErrorAs(s, err, &duplicate)
		require.Equal(s, eventstore.DuplicateEventError{Stream: a, ID: first.Events[0].ID}, *duplicate)
	}
	s.requireVersion(ctx, a, 2)
	s.requireVersion(ctx, b, 1)
}

func metadataRoundTrip(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	full := event("held")
	full.Schema = 32_767
	full.Meta = eventstore.Meta{
		CorrelationID: uuid.New(), CausationID: uuid.New(), Actor: "Zoë <zoe@example.com>\n",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Subject: "customer '7' %",
		Labels: map[string]string{"": "empty key", "empty value": "", "日本": "\"quoted\" \\ '☃'", "a": "b"},
	}
	empty := event("held")
	empty.Meta.Labels = map[string]string{}
	got := s.append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{full, empty}})[0].Events
	read := s.readStream(ctx, stream)
	s.same(got, read)
	require.Equal(s, full.Meta, read[0].Meta)
	require.Equal(s, full.Schema, read[0].Schema)
	require.Empty(s, read[1].Meta.Labels)
	for _, e := range read {
		require.False(s, e.At.IsZero())
		require.Equal(s, time.UTC, e.At.Location())
		require.Equal(s, e.At.Truncate(time.Microsecond), e.At)
	}
}

func dataRoundTrip(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	data := [][]byte{
		nil, {}, {0}, all,
		[]byte(" { \"b\" : 1 ,\n\t\"a\" : 1.0, \"a\": 1e2 } "), // to the byte, and not as JSON
		[]byte("not JSON"), []byte("null"), []byte("\\x00"), []byte("日本"), {0xff, 0xfe},
	}
	w := write(stream, eventstore.Any, len(data))
	for i := range data {
		w.Events[i].Data = data[i]
	}
	done := s.append(ctx, w)[0].Events
	for i, e := range s.readStream(ctx, stream) {
		require.True(s, bytes.Equal(data[i], e.Data), "data %d is %q, want %q", i, e.Data, data[i])
		require.True(s, bytes.Equal(data[i], done[i].Data))
	}
}

func callerCannotAlter(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	w := write(stream, eventstore.Any, 2)
	w.Events[0].Data = []byte("before")
	w.Events[0].Meta.Labels = map[string]string{"when": "before"}
	done := s.append(ctx, w)[0].Events
	copy(w.Events[0].Data, "after!")
	w.Events[0].Meta.Labels["when"] = "after"
	w.Events[1].Type = "after"
	done[1].Type = "after"
	got := s.readStream(ctx, stream)
	require.Equal(s, "before", string(got[0].Data))
	require.Equal(s, "before", string(done[0].Data))
	require.Equal(s, map[string]string{"when": "before"}, got[0].Meta.Labels)
	require.Equal(s, "held", got[1].Type)
}

func largeEvents(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	random := rand.NewChaCha8([32]byte{1})
	w := write(stream, eventstore.Any, 3)
	for i, size := range []int{8 << 10, 1 << 20, 8<<10 + 1} {
		w.Events[i].Data = make([]byte, size)
		_, _ = random.Read(w.Events[i].Data) // it never returns an error
	}
	w.Events[2].Meta.Labels = map[string]string{"long": strings.Repeat("x", 8<<10)}
	head := headOf(ctx, s)
	s.append(ctx, w)
	s.append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.Exactly(3), Events: []eventstore.Event{{Type: "large", Data: w.Events[1].Data}}})
	for name, got := range map[string][]eventstore.Recorded{
		"ReadStream": s.readStream(ctx, stream),
		"ReadAll":    s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})),
		"Subscribe":  s.take(s.Store.Subscribe(ctx, head, eventstore.Filter{}), 4),
	} {
		require.Len(s, got, 4, name)
		for i, e := range got {
			require.True(s, bytes.Equal(w.Events[[]int{0, 1, 2, 1}[i]].Data, e.Data), "%s: data of event %d", name, i)
		}
		require.Equal(s, w.Events[2].Meta, got[2].Meta, name)
	}
}

func manyEvents(s *scene) {
	ctx, stream, other := s.ctx(), s.stream(), s.stream()
	const n = 10_000
	head := headOf(ctx, s)
	done := s.append(ctx, write(stream, eventstore.None, n-1), write(other, eventstore.None, 1))
	require.EqualValues(s, n-1, done[0].Version)
	want := slices.Concat(done[0].Events, done[1].Events)
	s.ascending(want)
	got := s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{}))
	require.Len(s, got, n)
	require.Equal(s, ids(want), ids(got))
	s.ascending(got)
	s.requireVersion(ctx, stream, n-1)

	_, err := s.Store.Append(ctx, eventstore.Write{
		Stream: stream, Expected: eventstore.Any, Events: make([]eventstore.Event, eventstore.MaxEvents+1),
	})
	require.ErrorAs(s, err, new(*eventstore.InputError), "more events than an append may have")
}
