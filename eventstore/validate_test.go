package eventstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
)

func input(t *testing.T, err error) eventstore.InputError {
	t.Helper()
	var input *eventstore.InputError
	require.ErrorAs(t, err, &input)
	return *input
}

func TestPrepareCompletes(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	for _, n := range []int{1, 2, 5} { // one event takes a shorter way
		w := eventstore.Write{Stream: "a", Expected: eventstore.Any, Events: make([]eventstore.Event, n)}
		for i := range w.Events {
			w.Events[i] = eventstore.Event{Type: "held", Data: []byte("data"), Meta: eventstore.Meta{Labels: map[string]string{"k": "v"}}}
		}
		w.Events[n-1].ID, w.Events[n-1].Schema = id, 3
		given := []eventstore.Write{w}
		got, err := eventstore.Prepare(given)
		require.NoError(t, err)
		require.Len(t, got[0].Events, n)
		require.Equal(t, id, got[0].Events[n-1].ID)
		require.Equal(t, 3, got[0].Events[n-1].Schema)
		require.Equal(t, id, eventstore.IDs(got)[n-1])
		require.Len(t, eventstore.IDs(got), n)
		for i := range n - 1 {
			require.EqualValues(t, 7, got[0].Events[i].ID.Version())
			require.Equal(t, 1, got[0].Events[i].Schema)
			require.Equal(t, uuid.Nil, w.Events[i].ID, "what was given is not changed")
		}
		// Nor does what is changed later change it.
		w.Events[0].Data[0], w.Events[0].Meta.Labels["k"], w.Events[0].Type = 'x', "x", "x"
		given[0].Stream = "x"
		require.Equal(t, "data", string(got[0].Events[0].Data))
		require.Equal(t, map[string]string{"k": "v"}, got[0].Events[0].Meta.Labels)
		require.Equal(t, "held", got[0].Events[0].Type)
		require.Equal(t, "a", got[0].Stream)
	}
	got, err := eventstore.Prepare([]eventstore.Write{{Stream: "a", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "t", Meta: eventstore.Meta{Labels: map[string]string{}}}}}})
	require.NoError(t, err)
	require.Nil(t, got[0].Events[0].Meta.Labels, "no labels are nil")
	got, err = eventstore.Prepare(nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	until := time.Now()
	event := func(change func(*eventstore.Event)) []eventstore.Write {
		w := eventstore.Write{Stream: "a", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "t"}, {Type: "t"}, {Type: "t"}}}
		change(&w.Events[2])
		return []eventstore.Write{{Stream: "b", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "t", ID: id}}}, w}
	}
	claims := func(claims ...eventstore.Claim) (writes []eventstore.Write) {
		for i := range claims {
			writes = append(writes, eventstore.Write{Claim: &claims[i]})
		}
		return writes
	}
	one := []eventstore.Event{{Type: "t"}}
	for _, c := range []struct {
		writes       []eventstore.Write
		field, value string
	}{
		{[]eventstore.Write{{}}, "writes[0].Events", "empty"},
		{[]eventstore.Write{{Stream: "a", Expected: eventstore.Any}}, "writes[0].Events", "empty"},
		{[]eventstore.Write{{Expected: eventstore.Any, Events: one}}, "writes[0].Stream", `""`},
		{[]eventstore.Write{{Stream: "a\x00", Expected: eventstore.Any, Events: one}}, "writes[0].Stream", `"a\x00"`},
		{[]eventstore.Write{{Stream: "a", Events: one}}, "writes[0].Expected", "not set"},
		{[]eventstore.Write{{Stream: "a", Expected: eventstore.Exactly(-3), Events: one}}, "writes[0].Expected", "version -3"},
		{[]eventstore.Write{{Stream: "a", Expected: eventstore.Any, Events: one}, {Stream: "a", Expected: eventstore.Any, Events: one}}, "writes[1].Stream", `"a"`},
		{event(func(e *eventstore.Event) { e.Type = "" }), "writes[1].Events[2].Type", `""`},
		{event(func(e *eventstore.Event) { e.Type = strings.Repeat("x", 300) }), "writes[1].Events[2].Type", `"` + strings.Repeat("x", 40) + `"… (300 bytes)`},
		{event(func(e *eventstore.Event) { e.Schema = -1 }), "writes[1].Events[2].Schema", "-1"},
		{event(func(e *eventstore.Event) { e.Schema = 40_000 }), "writes[1].Events[2].Schema", "40000"},
		{event(func(e *eventstore.Event) { e.Meta.Subject = "\xff" }), "writes[1].Events[2].Meta.Subject", `"\xff"`},
		{event(func(e *eventstore.Event) { e.Meta.Actor = "a\x00" }), "writes[1].Events[2].Meta", `"a\x00"`},
		{event(func(e *eventstore.Event) { e.Meta.Labels = map[string]string{"k": "\xff"} }), "writes[1].Events[2].Meta", `"k: \xff"`},
		{event(func(e *eventstore.Event) { e.ID = id }), "writes[1].Events[2].ID", id.String()},
		{claims(eventstore.Claim{Until: until}), "writes[0].Claim.Key", `""`},
		{claims(eventstore.Claim{Key: "k"}), "writes[0].Claim.Until", "zero"},
		{claims(eventstore.Claim{Key: "k", Until: until, Hash: make([]byte, 65)}), "writes[0].Claim.Hash", "65 bytes long"},
		{claims(eventstore.Claim{Key: "k", Until: until}, eventstore.Claim{Key: "k", Until: until}), "writes[1].Claim.Key", `"k"`},
		{[]eventstore.Write{{Stream: "a", Claim: &eventstore.Claim{Key: "k", Until: until}}}, "writes[0].Stream", `"a"`},
		{[]eventstore.Write{{Stream: "a", Expected: eventstore.Any, Events: make([]eventstore.Event, eventstore.MaxEvents+1)}}, "writes", "more than 100000 events"},
	} {
		got, err := eventstore.Prepare(c.writes)
		require.Nil(t, got)
		problem := input(t, err)
		require.Equal(t, c.field, problem.Field)
		require.Equal(t, c.value, problem.Value, c.field)
		require.NotEmpty(t, problem.Want, c.field)
	}
	// As many as there may be, over several writes, and one more.
	half := make([]eventstore.Event, eventstore.MaxEvents/2)
	for i := range half {
		half[i].Type = "t"
	}
	writes := []eventstore.Write{{Stream: "a", Expected: eventstore.Any, Events: half}, {Stream: "b", Expected: eventstore.Any, Events: half}}
	got, err := eventstore.Prepare(writes)
	require.NoError(t, err)
	require.Len(t, eventstore.IDs(got), eventstore.MaxEvents)
	_, err = eventstore.Prepare(append(writes, eventstore.Write{Stream: "c", Expected: eventstore.Any, Events: half[:1]}))
	require.Equal(t, "writes", input(t, err).Field)
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		eventstore.CheckStream("s", strings.Repeat("é", 256)), eventstore.CheckName("n", strings.Repeat("x", 256)), eventstore.CheckName("n", " "),
		eventstore.CheckFrom(0), eventstore.CheckAfter(0), eventstore.CheckCheckpoint(0), eventstore.CheckTTL(1), eventstore.CheckLimit(1),
		eventstore.CheckSnapshot(&eventstore.Snapshot{Stream: "a", Type: "t", Version: 1}),
	} {
		require.NoError(t, err)
	}
	s := func(change func(*eventstore.Snapshot)) error {
		s := eventstore.Snapshot{Stream: "a", Type: "t", Version: 1, Subjects: []string{"x", "y"}}
		change(&s)
		return eventstore.CheckSnapshot(&s)
	}
	for want, err := range map[string]error{
		`s is "", want 1 to 512 bytes of UTF-8 without a zero byte`:                                             eventstore.CheckStream("s", ""),
		`s is "` + strings.Repeat("é", 20) + `"… (514 bytes), want 1 to 512 bytes of UTF-8 without a zero byte`: eventstore.CheckStream("s", strings.Repeat("é", 257)),
		`n is "\xff", want 1 to 256 bytes of UTF-8 without a zero byte`:                                         eventstore.CheckName("n", "\xff"),
		`after is -1, want at least 0`:                                                                          eventstore.CheckAfter(-1),
		`checkpoint is -1, want at least 0`:                                                                     eventstore.CheckCheckpoint(-1),
		`ttl is 0s, want more than 0`:                                                                           eventstore.CheckTTL(0),
		`ttl is -1m0s, want more than 0`:                                                                        eventstore.CheckTTL(-time.Minute),
		`limit is 0, want at least 1`:                                                                           eventstore.CheckLimit(0),
		`Snapshot.Stream is "", want 1 to 512 bytes of UTF-8 without a zero byte`:                               s(func(s *eventstore.Snapshot) { s.Stream = "" }),
		`Snapshot.Type is "", want 1 to 256 bytes of UTF-8 without a zero byte`:                                 s(func(s *eventstore.Snapshot) { s.Type = "" }),
		`Snapshot.Version is 0, want at least 1`:                                                                s(func(s *eventstore.Snapshot) { s.Version = 0 }),
		`Snapshot.Schema is -1, want 0 to 32767`:                                                                s(func(s *eventstore.Snapshot) { s.Schema = -1 }),
		`Snapshot.Subjects[1] is "", want 1 to 256 bytes of UTF-8 without a zero byte`:                          s(func(s *eventstore.Snapshot) { s.Subjects[1] = "" }),
	} {
		require.EqualError(t, err, want)
	}
}

func BenchmarkPrepare(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint("events=", n), func(b *testing.B) {
			b.ReportAllocs()
			w := []eventstore.Write{{Stream: "seats-A", Expected: eventstore.Exactly(7), Events: make([]eventstore.Event, n)}}
			for i := range w[0].Events {
				w[0].Events[i] = eventstore.Event{ID: uuid.New(), Type: "inventory.seats-held", Data: make([]byte, 200)}
			}
			for b.Loop() {
				if _, err := eventstore.Prepare(w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
