package eventstore_test

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/eventstoretest"
)

// seats is what the events of these tests implement.
type seats interface{ seats() []string }

// SeatsHeld had one seat, then several without a reason, and was called
// "seats.reserved".
type SeatsHeld struct {
	Seats  []string      `json:"seats"`
	Reason string        `json:"reason"`
	For    time.Duration `json:"for"`
}

type seatHeldV1 struct {
	Seat string `json:"seat"`
}

type seatsHeldV2 struct {
	Seats []string `json:"seats"`
}

type SeatsSold struct {
	Seats []string `json:"seats"`
	Cents int64    `json:"cents"`
}

// Noted is no event of seats.
type Noted struct {
	Text string `json:"text"`
}

func (e SeatsHeld) seats() []string { return e.Seats }
func (e SeatsSold) seats() []string { return e.Seats }

// unwritable is an event that says how it is written, and is not.
type unwritable struct{}

func (unwritable) MarshalJSON() ([]byte, error) { return nil, errors.New("not today") }

// money has its own form; paid and its parts have not.
type (
	money struct{ cents int }
	paid  struct {
		Lines  []line
		cents  int
		Notify chan string
		By     error
		seen   bool `json:"-"`
	}
	line   struct{ price int }
	booked struct {
		At    time.Time
		ID    uuid.UUID
		Price money
		Also  *booked
		seen  bool `json:"-"`
	}
)

func (m money) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(m.cents), 10), nil }

func (m *money) UnmarshalText(text []byte) (err error) {
	m.cents, err = strconv.Atoi(string(text))
	return err
}

func types() []eventstore.Type {
	return []eventstore.Type{
		eventstore.TypeOf[SeatsHeld]("inventory.seats-held", 3,
			eventstore.FormerName("seats.reserved"),
			eventstore.Upcast(2, func(old seatsHeldV2) SeatsHeld { return SeatsHeld{Seats: old.Seats, Reason: "unknown"} }),
			eventstore.Upcast(1, func(old seatHeldV1) seatsHeldV2 { return seatsHeldV2{Seats: []string{old.Seat}} }),
		),
		eventstore.TypeOf[SeatsSold]("inventory.seats-sold", 1),
		eventstore.TypeOf[Noted]("noted", 1),
	}
}

func newRegistry(t testing.TB) *eventstore.Registry {
	t.Helper()
	r, err := eventstore.NewRegistry(types()...)
	require.NoError(t, err)
	return r
}

func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	eventstoretest.Golden(t, newRegistry(t), "testdata/events",
		SeatsHeld{Seats: []string{"A1", "A2"}, Reason: "box office", For: 5 * time.Minute},
		SeatsSold{Seats: []string{"A1"}, Cents: 12_50},
		Noted{Text: "<b>&\u2028日本"},
	)
}

func TestRegistryRoundTrip(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for _, want := range []any{
		SeatsHeld{Seats: []string{"A1"}, Reason: "r", For: time.Minute}, SeatsHeld{}, SeatsSold{Cents: -1 << 62}, Noted{Text: "日本\x00"},
	} {
		e, err := r.Encode(want)
		require.NoError(t, err)
		require.Equal(t, eventstore.Event{Type: e.Type, Schema: e.Schema, Data: e.Data}, e, "id and metadata are the caller's")
		got, err := r.Decode(recorded(e))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	var names []string
	var schemas []int
	for name, schema := range r.Names() {
		names, schemas = append(names, name), append(schemas, schema)
	}
	require.Equal(t, []string{"inventory.seats-held", "inventory.seats-sold", "noted"}, names, "in order, without former names")
	require.Equal(t, []int{3, 1, 1}, schemas)
	for name := range r.Names() {
		require.Equal(t, "inventory.seats-held", name)
		break
	}
}

func recorded(e eventstore.Event) eventstore.Recorded {
	return eventstore.Recorded{ID: uuid.New(), Stream: "seats-A", Type: e.Type, Schema: e.Schema, Version: 7, Position: 99, Data: e.Data}
}

func TestRegistryUpcasts(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for _, c := range []struct {
		name, eventType, data string
		schema                int
		want                  SeatsHeld
	}{
		{"the present one", "inventory.seats-held", `{"seats":["A1"],"reason":"r","for":1}`, 3, SeatsHeld{Seats: []string{"A1"}, Reason: "r", For: 1}},
		{"one step", "inventory.seats-held", `{"seats":["A1","A2"]}`, 2, SeatsHeld{Seats: []string{"A1", "A2"}, Reason: "unknown"}},
		{"two steps", "inventory.seats-held", `{"seat":"A1"}`, 1, SeatsHeld{Seats: []string{"A1"}, Reason: "unknown"}},
		{"without a schema", "inventory.seats-held", `{"seat":"A1"}`, 0, SeatsHeld{Seats: []string{"A1"}, Reason: "unknown"}},
		{"a former name", "seats.reserved", `{"seat":"A1"}`, 1, SeatsHeld{Seats: []string{"A1"}, Reason: "unknown"}},
		{"fields that nobody knows", "inventory.seats-held", `{"seats":["A1"],"colour":"red"}`, 3, SeatsHeld{Seats: []string{"A1"}}},
	} {
		data := []byte(c.data)
		got, err := r.Decode(recorded(eventstore.Event{Type: c.eventType, Schema: c.schema, Data: data}))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.data, string(data), "what was recorded is not changed")
	}

	// By hand, and through a form that has a decoder of its own.
	byHand, err := eventstore.NewRegistry(eventstore.TypeOf[Noted]("noted", 2,
		eventstore.Upcast(1, func(old json.RawMessage) map[string]string { return map[string]string{"text": string(old)} })))
	require.NoError(t, err)
	got, err := byHand.Decode(recorded(eventstore.Event{Type: "noted", Schema: 1, Data: []byte(`"as a string"`)}))
	require.NoError(t, err)
	require.Equal(t, Noted{Text: `"as a string"`}, got)
}

func TestRegistryDecodeErrors(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	decode := func(eventType string, schema int, data string) error {
		value, err := r.Decode(recorded(eventstore.Event{Type: eventType, Schema: schema, Data: []byte(data)}))
		if err != nil {
			require.Nil(t, value)
		}
		return err
	}
	err := decode("inventory.seats-lost", 1, `{}`)
	var unknown *eventstore.UnknownTypeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, eventstore.UnknownTypeError{Type: "inventory.seats-lost", Stream: "seats-A", Version: 7}, *unknown)
	require.ErrorContains(t, err, `event 7 of "seats-A": type "inventory.seats-lost" is not registered`)

	err = decode("inventory.seats-held", 4, `{}`)
	var schema *eventstore.SchemaError
	require.ErrorAs(t, err, &schema)
	require.Equal(t, eventstore.SchemaError{Type: "inventory.seats-held", Stream: "seats-A", Version: 7, Schema: 4, Known: 3}, *schema)
	require.ErrorContains(t, err, "is newer than this program, which knows 3")

	for name, c := range map[string]struct {
		schema int
		data   string
	}{
		"broken": {3, `{"seats":[`}, "nothing": {3, ""}, "two values": {3, `{} {}`}, "of another form": {3, `{"seats":"A1"}`},
		"not an object": {3, `[]`}, "too great a number": {3, `{"for":1e99}`}, "broken, of an older schema": {1, `{"seat"`},
		"of another form, of an older schema": {2, `{"seats":{}}`},
	} {
		err = decode("inventory.seats-held", c.schema, c.data)
		var data *eventstore.DataError
		require.ErrorAs(t, err, &data, name)
		require.Equal(t, eventstore.DataError{Type: "inventory.seats-held", Stream: "seats-A", Version: 7, Position: 99, Err: data.Err}, *data, name)
		require.Error(t, errors.Unwrap(data), name)
		require.False(t, eventstore.Retryable(err))
	}
	require.ErrorContains(t, decode("inventory.seats-held", 1, `{"seat"`), "bring up from schema 1")

	for _, event := range []any{nil, 1, "text", struct{}{}, &SeatsSold{}, seatHeldV1{}} {
		_, err = r.Encode(event)
		require.ErrorAs(t, err, &unknown)
		require.Empty(t, unknown.Stream)
	}
	require.EqualError(t, err, "event type eventstore_test.seatHeldV1 is not registered")
	_, err = r.Encode(&seatHeldV1{})
	require.EqualError(t, err, "event type *eventstore_test.seatHeldV1 is not registered")
	_, err = r.Encode(&SeatsSold{})
	require.EqualError(t, err, "event type *eventstore_test.SeatsSold is not registered, but eventstore_test.SeatsSold is: give the value that it points to")
	odd, err := eventstore.NewRegistry(eventstore.TypeOf[unwritable]("odd", 1))
	require.NoError(t, err)
	_, err = odd.Encode(unwritable{})
	require.ErrorContains(t, err, `encode event "odd"`)
}

func TestRegistryRedacted(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	for _, e := range []eventstore.Recorded{
		{Type: "inventory.seats-held", Schema: 3, Redacted: true}, {Type: "seats.reserved", Schema: 1, Redacted: true},
		{Type: "inventory.seats-held", Schema: 9, Redacted: true},
	} {
		got, err := r.Decode(e)
		require.NoError(t, err)
		require.Equal(t, SeatsHeld{}, got)
	}
	_, err := r.Decode(eventstore.Recorded{Type: "nobody's", Redacted: true})
	require.ErrorAs(t, err, new(*eventstore.UnknownTypeError))
}

func TestRegistryTakesWhatWritesItself(t *testing.T) {
	t.Parallel()
	r, err := eventstore.NewRegistry(eventstore.TypeOf[booked]("booked", 1))
	require.NoError(t, err)
	want := booked{At: time.Unix(1, 0).UTC(), ID: uuid.New(), Price: money{5}}
	e, err := r.Encode(booked{At: want.At, ID: want.ID, Price: want.Price, seen: true})
	require.NoError(t, err)
	got, err := r.Decode(recorded(e))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

type (
	oldPrice struct{ n int }
	oldNote  struct{ n int }
)

func TestRegistryRefuses(t *testing.T) {
	t.Parallel()
	_, _ = paid{}.cents, paid{Lines: []line{{price: 1}}}.seen
	up := func(seatHeldV1) seatsHeldV2 { return seatsHeldV2{} }
	for name, c := range map[string]struct {
		types []eventstore.Type
		want  []string // in the error, which has so many lines
	}{
		"an empty name":          {[]eventstore.Type{eventstore.TypeOf[Noted]("", 1)}, []string{`its name is ""`}},
		"a name too long":        {[]eventstore.Type{eventstore.TypeOf[Noted](strings.Repeat("x", eventstore.MaxName+1), 1)}, []string{"(257 bytes)"}},
		"a name that is no text": {[]eventstore.Type{eventstore.TypeOf[Noted]("\xff", 1)}, []string{`its name is "\xff"`}},
		"a former name that is empty": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 1, eventstore.FormerName(""))}, []string{`its name is ""`},
		},
		"a name twice": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 1), eventstore.TypeOf[SeatsSold]("noted", 1)},
			[]string{`event type "noted" (eventstore_test.SeatsSold): the name "noted" is that of eventstore_test.Noted`},
		},
		"a former name that another has": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 1), eventstore.TypeOf[SeatsSold]("sold", 1, eventstore.FormerName("noted"))},
			[]string{`the name "noted" is that of eventstore_test.Noted`},
		},
		"a former name that is its own": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 1, eventstore.FormerName("noted"))}, []string{`the name "noted" is that of`},
		},
		"a Go type twice": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 1), eventstore.TypeOf[Noted]("written", 1)},
			[]string{`its Go type is registered as "noted"`},
		},
		"an interface":  {[]eventstore.Type{eventstore.TypeOf[seats]("seats", 1)}, []string{"an interface cannot be registered, register the types that implement it"}},
		"a pointer":     {[]eventstore.Type{eventstore.TypeOf[*Noted]("noted", 1)}, []string{"a pointer cannot be registered, register eventstore_test.Noted"}},
		"schema 0":      {[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 0)}, []string{"schema is 0, want 1 to 32767"}},
		"schema 32,768": {[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 32_768)}, []string{"schema is 32768"}},
		"missing upcasters": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 4, eventstore.Upcast(2, up))},
			[]string{"no upcaster from schema 1", "no upcaster from schema 3"},
		},
		"upcasters to nowhere": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 1, eventstore.Upcast(0, up), eventstore.Upcast(1, up))},
			[]string{"upcaster from schema 0, but the present one is 1", "upcaster from schema 1, but the present one is 1"},
		},
		"two upcasters": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 2, eventstore.Upcast(1, up), eventstore.Upcast(1, up))},
			[]string{"two upcasters from schema 1"},
		},
		"a nil upcaster": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 2, eventstore.Upcast[seatHeldV1, Noted](1, nil))},
			[]string{"upcaster from schema 1 is nil"},
		},
		"an empty type": {[]eventstore.Type{{}, eventstore.TypeOf[Noted]("noted", 1)}, []string{"types[0] is empty"}},
		"what JSON does not keep": {
			[]eventstore.Type{eventstore.TypeOf[paid]("paid", 1)},
			[]string{
				`event type "paid" (eventstore_test.paid): eventstore_test.paid.Lines[].price is not exported`,
				"eventstore_test.paid.cents is not exported, so that it is not kept: export it, give the type MarshalJSON and UnmarshalJSON, or tag it `json:\"-\"` if it is not to be kept",
				"eventstore_test.paid.Notify is a chan string, which JSON cannot keep",
				"eventstore_test.paid.By is a error, which cannot be read again",
			},
		},
		"what upcasters lose": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("noted", 4,
				eventstore.Upcast(1, func(p oldPrice) oldNote { return oldNote(p) }),
				eventstore.Upcast(2, func(o oldNote) json.RawMessage { return json.RawMessage{byte(o.n)} }),
				eventstore.Upcast(3, func(json.RawMessage) func() { return nil }),
			)},
			[]string{
				`event type "noted" (eventstore_test.Noted): upcaster from schema 1: eventstore_test.oldPrice.n is not exported, so that it is not kept`,
				`event type "noted" (eventstore_test.Noted): upcaster from schema 1: eventstore_test.oldNote.n is not exported`,
				`event type "noted" (eventstore_test.Noted): upcaster from schema 3: func() is a func(), which JSON cannot keep`,
			},
		},
		"several mistakes": {
			[]eventstore.Type{eventstore.TypeOf[Noted]("", 2), eventstore.TypeOf[Noted]("noted", 1)},
			[]string{"no upcaster from schema 1", `its name is ""`, "its Go type is registered"},
		},
	} {
		r, err := eventstore.NewRegistry(c.types...)
		require.Error(t, err, name)
		require.Nil(t, r, name)
		require.Len(t, strings.Split(err.Error(), "\n"), len(c.want), "%s: %v", name, err)
		for _, want := range c.want {
			require.ErrorContains(t, err, want, name)
		}
	}
	empty, err := eventstore.NewRegistry()
	require.NoError(t, err)
	_, err = empty.Encode(Noted{})
	require.ErrorAs(t, err, new(*eventstore.UnknownTypeError))
	_, err = eventstore.NewRegistry(eventstore.TypeOf[Noted]("noted", 1, eventstore.TypeOption{}))
	require.NoError(t, err, "an empty option is none")
}

func sequence(events []eventstore.Recorded, end error) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(eventstore.Recorded{}, end)
		}
	}
}

func TestDecodeSequence(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	all := []eventstore.Recorded{
		{Stream: "a", Version: 1, Type: "inventory.seats-sold", Data: []byte(`{"seats":["A1"]}`)},
		{Stream: "a", Version: 2, Type: "nobody's", Data: []byte(`{}`)},
		{Stream: "a", Version: 3, Type: "noted", Data: []byte(`{"text":"no seats"}`)},
		{Stream: "a", Version: 4, Type: "seats.reserved", Data: []byte(`{"seat":"A2"}`)},
	}
	versions := func(events iter.Seq2[eventstore.Decoded[seats], error]) (got []eventstore.Version, err error) {
		for e, err := range events {
			if err != nil {
				return got, err
			}
			require.NotEmpty(t, e.Event.seats())
			got = append(got, e.Version)
		}
		return got, nil
	}

	got, err := versions(eventstore.Decode[seats](r, sequence(all, nil), eventstore.SkipUnknown))
	require.NoError(t, err)
	require.Equal(t, []eventstore.Version{1, 4}, got)

	got, err = versions(eventstore.Decode[seats](r, sequence(all, nil), eventstore.FailUnknown))
	require.Equal(t, []eventstore.Version{1}, got)
	var unknown *eventstore.UnknownTypeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "nobody's", unknown.Type)

	_, err = versions(eventstore.Decode[seats](r, sequence(all[2:], nil), eventstore.FailUnknown))
	require.ErrorAs(t, err, &unknown, "a type that is registered, but not of those")
	require.Equal(t, eventstore.UnknownTypeError{Type: "noted", Stream: "a", Version: 3}, *unknown)

	broken := slices.Clone(all)
	broken[3].Data = []byte(`{`)
	got, err = versions(eventstore.Decode[seats](r, sequence(broken, nil), eventstore.SkipUnknown))
	require.Equal(t, []eventstore.Version{1}, got)
	require.ErrorAs(t, err, new(*eventstore.DataError), "what is broken is not unknown")

	lost := errors.New("connection lost")
	got, err = versions(eventstore.Decode[seats](r, sequence(all, lost), eventstore.SkipUnknown))
	require.Equal(t, []eventstore.Version{1, 4}, got)
	require.ErrorIs(t, err, lost)

	n := 0
	for e, err := range eventstore.Decode[any](r, sequence(all, lost), eventstore.SkipUnknown) {
		require.NoError(t, err)
		require.NotNil(t, e.Event)
		if n++; n == 2 {
			break // and nothing else is asked for
		}
	}
	require.Equal(t, 2, n)
}

// FuzzRegistryDecode looks for data that Decode panics on, that gives another
// error than it says, or a value that does not come back.
func FuzzRegistryDecode(f *testing.F) {
	for _, seed := range []struct {
		eventType, data string
		schema          int
	}{
		{"inventory.seats-held", `{"seats":["A1"],"reason":"r","for":1}`, 3}, {"inventory.seats-held", `{"seats":["A1"]}`, 2},
		{"seats.reserved", `{"seat":"A1"}`, 1}, {"inventory.seats-sold", `{"cents":1}`, 1}, {"noted", `null`, 0},
		{"noted", `{"text":"\ud800"}`, 1}, {"noted", "{\"text\":\"\xff\"}", 1}, {"noted", `{"Text":"a","text":"b"}`, 1}, {"nobody's", `{}`, 1},
		{"noted", `{}`, 2}, {"noted", `{}`, -1}, {"noted", ``, 1}, {"noted", `[[[[`, 1},
	} {
		f.Add(seed.eventType, seed.schema, []byte(seed.data))
	}
	r := newRegistry(f)
	f.Fuzz(func(t *testing.T, eventType string, schema int, data []byte) {
		value, err := r.Decode(recorded(eventstore.Event{Type: eventType, Schema: schema, Data: data}))
		if err != nil {
			if !errors.As(err, new(*eventstore.UnknownTypeError)) && !errors.As(err, new(*eventstore.SchemaError)) {
				require.ErrorAs(t, err, new(*eventstore.DataError))
			}
			return
		}
		e, err := r.Encode(value)
		require.NoError(t, err)
		again, err := r.Decode(recorded(e))
		require.NoError(t, err)
		twice, err := r.Encode(again)
		require.NoError(t, err)
		require.Equal(t, string(e.Data), string(twice.Data))
	})
}
