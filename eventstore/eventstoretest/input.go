package eventstoretest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

var inputTests = []subtest{
	{"odd stream names are kept apart", oddStreamNames},
	{"odd event types", oddEventTypes},
	{"names that are refused", refusedNames},
	{"numbers that are refused", refusedNumbers},
	{"metadata that is refused", refusedMeta},
	{"errors say what was wrong", errorsSayWhat},
}

// oddNames are names that somebody's SQL, pattern, path or trimming gets wrong.
// No two are the same, though some look like it.
var oddNames = []string{
	" ", "  ", "a", "A", " a", "a ", "a  ", "\ta", "a\n", "a\r\n", "\n",
	"%", "_", "a%", "a_", "a%b", "a_b", "axb", "*", "?", "[a]", "^a$", ".", "..", "/", "../a", "a/b", `a\b`, `\`, `\\`, `\n`, `\0`, "%00", "%s", "%!d",
	"'", "''", `"`, `""`, "`", "a'b", "';DROP TABLE events;--", "$1", "$$", "?1", ":a", "@a", "--", "/*", "{", "}", "{}", "{a,b}", `{"a"}`, "(", ",", ";", "NULL", "null", "0", "-1", "true",
	"-", "--a", "-a", "a-", "a-b", "a-b-c", "a-b ", "a–b",
	"é", "e\u0301", "É", "ß", "ss", "İ", "i", "I", "ı", "日本", "🎟", "🎟️", "\u200b", "a\u200b", "\u00a0", "\ufeff", "\u202e", "\u2028", "\x7f", "\x01", "\U0010ffff", "\ufffd",
}

// text without a valid encoding, or with a zero byte.
var notText = []string{"\xff", "a\xc3", "\xed\xa0\x80", "a\x00", "\x00", "\x00a", "a\x00b"}

func longName(n int) string { return strings.Repeat("é", n/2) + strings.Repeat("x", n%2) }

func oddStreamNames(s *scene) {
	s = s.alone()
	ctx := s.ctx()
	names := append([]string{longName(eventstore.MaxStreamName), longName(eventstore.MaxStreamName - 1)}, oddNames...)
	want := map[string]eventstore.Recorded{}
	for _, name := range names {
		done, err := s.Store.Append(ctx, write(name, eventstore.None, 1))
		require.NoError(s, err, "append to %q", name)
		require.Equal(s, name, done[0].Stream)
		want[name] = done[0].Events[0]
	}
	for _, name := range names {
		s.same([]eventstore.Recorded{want[name]}, s.readStream(ctx, name))
		_, err := s.Store.Append(ctx, write(name, eventstore.Exactly(2), 1))
		var conflict *eventstore.ConflictError
		require.ErrorAs(s, err, &conflict)
		require.Equal(s, name, conflict.Stream)
	}
	all := s.read(s.Store.ReadAll(ctx, 0, eventstore.Filter{}))
	require.Len(s, all, len(names))
	for i, name := range names {
		require.Equal(s, name, all[i].Stream)
	}
	for _, name := range names {
		category := eventstore.Category(name)
		var streams []string
		for _, e := range s.read(s.Store.ReadAll(ctx, 0, eventstore.Filter{Categories: []string{category}})) {
			streams = append(streams, e.Stream)
		}
		var wanted []string
		for _, n := range names {
			if eventstore.Category(n) == category {
				wanted = append(wanted, n)
			}
		}
		require.Equal(s, wanted, streams, "category %q", category)
	}
}

func oddEventTypes(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	names := append([]string{longName(eventstore.MaxName)}, oddNames...)
	head := headOf(ctx, s)
	w := write(stream, eventstore.None, len(names))
	for i := range names {
		w.Events[i].Type = names[i]
	}
	s.append(ctx, w)
	for i, e := range s.readStream(ctx, stream) {
		require.Equal(s, names[i], e.Type)
	}
	for _, name := range names {
		got := s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{Types: []string{name}}))
		require.Len(s, got, 1, "type %q", name)
		require.Equal(s, name, got[0].Type)
	}
}

func refusedNames(s *scene) {
	ctx := s.ctx()
	head := headOf(ctx, s)
	streams := append([]string{"", longName(eventstore.MaxStreamName + 1), longName(10 << 10)}, notText...)
	for _, name := range streams {
		_, err := s.Store.Append(ctx, write(name, eventstore.Any, 1))
		s.inputError(err, "append to %.20q", name)
		_, err = s.Store.Append(ctx, write(s.stream(), eventstore.Any, 1), write(name, eventstore.Any, 1))
		s.inputError(err, "append to %.20q as well", name)
		_, err = collect(s.Store.ReadStream(ctx, name, 1))
		s.inputError(err, "read %.20q", name)
	}
	names := append([]string{"", longName(eventstore.MaxName + 1), longName(10 << 10)}, notText...)
	for _, name := range names {
		w := write(s.stream(), eventstore.Any, 2)
		w.Events[1].Type = name
		_, err := s.Store.Append(ctx, w)
		s.inputError(err, "append the type %.20q", name)
	}
	for call, f := range s.namedCalls() {
		for _, name := range names {
			s.inputError(f(ctx, name), "%s %.20q", call, name)
		}
	}
	require.Empty(s, s.read(s.Store.ReadAll(ctx, head, eventstore.Filter{})))
}

// namedCalls are the calls of optional interfaces that take a name.
func (s *scene) namedCalls() map[string]func(ctx context.Context, name string) error {
	calls := map[string]func(context.Context, string) error{}
	if c, ok := s.Store.(eventstore.Claims); ok {
		calls["append with the claim"] = func(ctx context.Context, name string) error {
			_, err := s.Store.Append(ctx, eventstore.Write{Claim: &eventstore.Claim{Key: name, Until: time.Now()}})
			return err
		}
		calls["load the claim"] = func(ctx context.Context, name string) error {
			_, _, err := c.LoadClaim(ctx, name)
			return err
		}
	}
	if c, ok := s.Store.(eventstore.Snapshots); ok {
		stream := s.stream()
		calls["save a snapshot of type"] = func(ctx context.Context, name string) error {
			return c.SaveSnapshot(ctx, eventstore.Snapshot{Stream: stream, Type: name, Version: 1})
		}
		calls["load a snapshot of type"] = func(ctx context.Context, name string) error {
			_, _, err := c.LoadSnapshot(ctx, stream, name)
			return err
		}
		calls["delete a snapshot of type"] = func(ctx context.Context, name string) error {
			return c.DeleteSnapshot(ctx, stream, name)
		}
	}
	if c, ok := s.Store.(eventstore.Checkpoints); ok {
		calls["acquire the lease"] = func(ctx context.Context, name string) error {
			_, err := c.AcquireLease(ctx, name, "owner", time.Minute)
			return err
		}
		calls["acquire the lease for"] = func(ctx context.Context, name string) error {
			_, err := c.AcquireLease(ctx, "subscription", name, time.Minute)
			return err
		}
		calls["load the checkpoint"] = func(ctx context.Context, name string) error {
			_, _, err := c.LoadCheckpoint(ctx, name)
			return err
		}
		calls["reset the checkpoint"] = func(ctx context.Context, name string) error {
			return c.ResetCheckpoint(ctx, name, 1)
		}
	}
	if c, ok := s.Store.(eventstore.Keys); ok {
		calls["key of"] = func(ctx context.Context, name string) error {
			_, err := c.Key(ctx, name)
			return err
		}
		calls["load the key of"] = func(ctx context.Context, name string) error {
			_, err := c.LoadKey(ctx, name)
			return err
		}
		calls["delete the key of"] = func(ctx context.Context, name string) error { return c.DeleteKey(ctx, name) }
	}
	return calls
}

func refusedNumbers(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	for _, n := range []int64{-1, math.MinInt64} {
		_, err := s.Store.Append(ctx, write(stream, eventstore.Exactly(eventstore.Version(n)), 1))
		s.inputError(err, "append at version %d", n)
		_, err = collect(s.Store.ReadStream(ctx, stream, eventstore.Version(n)))
		s.inputError(err, "read from version %d", n)
		_, err = collect(s.Store.ReadAll(ctx, eventstore.Position(n), eventstore.Filter{}))
		s.inputError(err, "read after position %d", n)
		_, err = collect(s.Store.Subscribe(ctx, eventstore.Position(n), eventstore.Filter{}))
		s.inputError(err, "subscribe after position %d", n)
	}
	for _, schema := range []int{-1, 32_768, math.MaxInt64} {
		w := write(stream, eventstore.Any, 1)
		w.Events[0].Schema = schema
		_, err := s.Store.Append(ctx, w)
		s.inputError(err, "append schema %d", schema)
	}
	s.requireVersion(ctx, stream, 0)
}

func refusedMeta(s *scene) {
	ctx, stream := s.ctx(), s.stream()
	for _, bad := range notText {
		for field, meta := range map[string]eventstore.Meta{
			"actor":        {Actor: bad},
			"trace parent": {TraceParent: bad},
			"subject":      {Subject: bad},
			"label":        {Labels: map[string]string{"a": bad}},
			"label's name": {Labels: map[string]string{bad: "a"}},
		} {
			w := write(stream, eventstore.Any, 2)
			w.Events[1].Meta = meta
			_, err := s.Store.Append(ctx, w)
			s.inputError(err, "%s %q", field, bad)
		}
	}
	w := write(stream, eventstore.Any, 1)
	w.Events[0].Meta.Subject = longName(eventstore.MaxName + 1)
	_, err := s.Store.Append(ctx, w)
	s.inputError(err, "subject too long")
	s.requireVersion(ctx, stream, 0)
}

func errorsSayWhat(s *scene) {
	ctx := s.ctx()
	w := write(s.stream(), eventstore.Any, 2)
	w.Events[1].Type = ""
	_, err := s.Store.Append(ctx, write(s.stream(), eventstore.Any, 1), w)
	var input *eventstore.InputError
	require.ErrorAs(s, err, &input)
	require.Contains(s, input.Field, "[1]", "which write")
	require.Contains(s, input.Field, "Type")
	require.NotEmpty(s, input.Want)
	_, err = s.Store.Append(ctx, write(longName(10<<10), eventstore.Any, 1))
	require.ErrorAs(s, err, &input)
	require.Less(s, len(err.Error()), 500, "a long value is shortened")
}

// inputError fails the test unless the error is an *eventstore.InputError that
// is not retryable.
func (s *scene) inputError(err error, format string, args ...any) {
	s.Helper()
	what := fmt.Sprintf(format, args...)
	var input *eventstore.InputError
	require.ErrorAs(s, err, &input, what)
	require.NotEmpty(s, input.Field, what)
	require.NotEmpty(s, input.Want, what)
	require.False(s, eventstore.Retryable(err), what)
}
