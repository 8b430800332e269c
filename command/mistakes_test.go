package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/reducer"
)

type order struct {
	ID    string    `json:"id"`
	Lines []line    `json:"lines"`
	At    time.Time `json:"at,omitzero"`
	Paid  bool      `json:"paid"`
}

type line struct {
	Seat  string         `json:"seat"`
	Price int            `json:"price"`
	Extra map[string]int `json:"extra,omitempty"`
}

func (order) Returns(struct{}) {}

func (o *order) Validate() error {
	if o.ID == "panic" {
		panic("validate panics")
	}
	if o.ID == "plain" {
		return errors.New("is not to be had")
	}
	var p command.Problems
	p.Check(o.ID != "", "id", "is empty")
	p.Check(len(o.Lines) > 0, "lines", "has %d, want at least 1", len(o.Lines))
	return p.Err()
}

func TestBadPayloads(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	b, err := command.New(s.db, s.db, []command.Route{
		command.Handle("order", func(context.Context, order) (struct{}, error) { return struct{}{}, nil }),
	}, command.Config{MaxPayload: 1000})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		payload, field, want string
	}{
		"empty":                   {"", "", "the payload is empty, want JSON"},
		"blank":                   {" \n", "", "the payload is empty, want JSON"},
		"null":                    {"null", "", "the payload is null, want a command"},
		"not JSON":                {"seats=2", "", "the payload is not JSON, at byte 1: "},
		"cut off":                 {`{"id":"a"`, "", "the payload is not JSON: it ends in the middle"},
		"two":                     {`{"id":"a","lines":[{}]} {}`, "", "something follows after the JSON of the payload, at byte 2"},
		"not UTF-8":               {"{\"id\":\"\xff\"}", "", "the payload is not UTF-8"},
		"an array":                {`[1]`, "", "the payload is a JSON array, want an object"},
		"unknown field":           {`{"id":"a","colour":"red"}`, "colour", "is not a field of the command"},
		"unknown field deep down": {`{"id":"a","lines":[{"seat":"1","row":3}]}`, "row", "is not a field of the command"},
		"a number for a string":   {`{"id":7}`, "id", "is a JSON number, want a string"},
		"a string for a number":   {`{"id":"a","lines":[{"price":"7"}]}`, "lines.price", "is a JSON string, want a whole number (int)"},
		"a fraction":              {`{"id":"a","lines":[{"price":7.5}]}`, "lines.price", "is a JSON number 7.5, want a whole number (int)"},
		"a string for a bool":     {`{"id":"a","paid":"yes"}`, "paid", "is a JSON string, want true or false"},
		"an object for an array":  {`{"id":"a","lines":{}}`, "lines", "is a JSON object, want an array"},
		"no time":                 {`{"id":"a","at":"soon"}`, "", "the payload cannot be decoded: "},
		"not valid":               {`{}`, "id", "is empty"},
		"plain error":             {`{"id":"plain"}`, "", "is not to be had"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, give := range []func(command.Envelope) error{
				func(e command.Envelope) error { _, err := b.Dispatch(t.Context(), e); return err },
				func(e command.Envelope) error { _, err := b.Enqueue(t.Context(), e); return err },
			} {
				err := give(command.Envelope{Type: "order", Payload: []byte(c.payload)})
				var invalid *command.ValidationError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, "order", invalid.Type)
				require.Equal(t, c.field, invalid.Problems[0].Field)
				require.Contains(t, invalid.Problems[0].Problem, c.want)
				require.Equal(t, 400, invalid.HTTPStatus())
			}
		})
	}
	t.Cleanup(func() { // after the subtests
		head, err := s.db.Head(context.Background()) //nolint:usetesting // the test's own has ended
		require.NoError(t, err)
		require.Zero(t, head, "nothing was recorded")
	})
}

func TestAllProblemsAreTold(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	b, err := command.New(s.db, s.db, []command.Route{
		command.Handle("order", func(context.Context, order) (struct{}, error) { return struct{}{}, nil }),
	}, command.Config{})
	require.NoError(t, err)
	_, err = command.Dispatch(t.Context(), b, order{})
	var invalid *command.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, []command.Problem{{Field: "id", Problem: "is empty"}, {Field: "lines", Problem: "has 0, want at least 1"}}, invalid.Problems)
	require.EqualError(t, err, `command "order" is not valid: id is empty; lines has 0, want at least 1`)
	_, err = command.Dispatch(t.Context(), b, order{ID: "panic"})
	require.ErrorContains(t, err, "validate panics")
	require.NotErrorAs(t, err, &invalid)
	require.NoError(t, func() error {
		_, err := command.Dispatch(t.Context(), b, order{ID: "a", Lines: []line{{}}})
		return err
	}())
}

func TestBadEnvelopes(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	b := s.bus(s.db, command.Config{MaxPayload: 1000})
	known := reducer.WithMeta(eventstore.WithTenant(t.Context(), "acme"), reducer.Meta{Actor: "ada"})
	good := func(change func(*command.Envelope)) command.Envelope {
		e := command.Envelope{Type: "put", Payload: []byte(`{"name":"a"}`)}
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		ctx      context.Context //nolint:containedctx // a table of arguments
		envelope command.Envelope
		want     string
	}{
		"huge payload":      {known, good(func(e *command.Envelope) { e.Payload = []byte(`{"name":"` + strings.Repeat("x", 1000) + `"}`) }), "payload is 1011 bytes long, want at most 1000"},
		"status":            {known, good(func(e *command.Envelope) { e.Status = command.Consumed }), `status is "consumed", want none`},
		"actor":             {known, good(func(e *command.Envelope) { e.Actor = "eve" }), `actor is "eve", want that of the context, "ada"`},
		"actor's name":      {t.Context(), good(func(e *command.Envelope) { e.Actor = "a\x00" }), "actor is"},
		"tenant":            {known, good(func(e *command.Envelope) { e.Tenant = "other" }), `tenant is "other", want that of the context, "acme"`},
		"tenant from where": {t.Context(), good(func(e *command.Envelope) { e.Tenant = "acme" }), `tenant is "acme", want none`},
		"two tenants":       {reducer.WithMeta(known, reducer.Meta{Tenant: "other"}), good(func(*command.Envelope) {}), "the tenant of reducer.WithMeta"},
		"all tenants":       {eventstore.AllTenants(t.Context()), good(func(*command.Envelope) {}), "no tenant"},
		"ordering key":      {known, good(func(e *command.Envelope) { e.OrderingKey = strings.Repeat("k", 300) }), "orderingKey is"},
		"labels":            {known, good(func(e *command.Envelope) { e.Metadata.Labels = map[string]string{"a": "\xff"} }), "UTF-8"},
		"due":               {known, good(func(e *command.Envelope) { e.Due = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }), "due is in the year 10000"},
		"unknown type":      {known, good(func(e *command.Envelope) { e.Type = "putt" }), `command type "putt" has no handler, want one of put`},
		"no type":           {known, good(func(e *command.Envelope) { e.Type = "" }), `command type "" has no handler`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.Enqueue(c.ctx, c.envelope)
			require.ErrorContains(t, err, c.want)
			if name != "due" { // which Dispatch does not look at
				_, err = b.Dispatch(c.ctx, c.envelope)
				require.ErrorContains(t, err, c.want)
			}
		})
	}
	_, err := command.Dispatch(t.Context(), b, order{})
	var unknown *command.UnknownTypeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, []string{"put"}, unknown.Known)
	_, err = command.Schedule(t.Context(), b, time.Time{}, put{})
	require.ErrorContains(t, err, "at is zero, want a time")
	require.Empty(t, s.ledger.seen())
	_, err = b.Status(t.Context(), uuid.New())
	require.ErrorIs(t, err, command.ErrNotFound)
	_, err = b.Wait(t.Context(), uuid.New())
	require.ErrorIs(t, err, command.ErrNotFound)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := newMemory(t, memoryConfig)
	do := func(context.Context, put) (string, error) { return "", nil }
	other := func(context.Context, order) (struct{}, error) { return struct{}{}, nil }
	for name, c := range map[string]struct {
		routes []command.Route
		cfg    command.Config
		want   string
	}{
		"a name twice":      {[]command.Route{command.Handle("put", do), command.Handle("put", other)}, command.Config{}, `command type "put" (command_test.order): it has a handler already, of command_test.put`},
		"a Go type twice":   {[]command.Route{command.Handle("put", do), command.Handle("set", do)}, command.Config{}, `command type "set" (command_test.put): its Go type is registered as "put"`},
		"no name":           {[]command.Route{command.Handle("", do)}, command.Config{}, `its name is "", want 1 to 256 bytes`},
		"a nil handler":     {[]command.Route{command.Handle[put, string]("put", nil)}, command.Config{}, `command type "put" (command_test.put): its handler is nil`},
		"a pointer":         {[]command.Route{command.Handle("put", func(context.Context, *put) (string, error) { return "", nil })}, command.Config{}, "a pointer cannot be registered, register command_test.put"},
		"an interface":      {[]command.Route{command.Handle("put", func(context.Context, interface{ Returns(string) }) (string, error) { return "", nil })}, command.Config{}, "an interface cannot be registered, register the types that implement it"},
		"an empty route":    {[]command.Route{{}}, command.Config{}, "routes[0] is empty: make it with Handle"},
		"timeout":           {nil, command.Config{Timeout: -1}, "Config.Timeout is -1ns"},
		"grace":             {nil, command.Config{Timeout: time.Minute, Grace: time.Minute}, "Config.Grace is 1m0s, want 1m0.000000001s to"},
		"attempts":          {nil, command.Config{Attempts: -1}, "Config.Attempts is -1, want at least 1"},
		"pending":           {nil, command.Config{MaxPending: 3}, "Config.MaxPending is 3, want at least 16"},
		"delay":             {nil, command.Config{RetryDelay: time.Minute, MaxRetryDelay: time.Second}, "Config.MaxRetryDelay is 1s"},
		"lease":             {nil, command.Config{LeaseTTL: time.Millisecond}, "Config.LeaseTTL is 1ms"},
		"category":          {nil, command.Config{Category: "a-b"}, `Config.Category is "a-b", want a name without a hyphen`},
		"category's length": {nil, command.Config{Category: strings.Repeat("c", 253)}, "Config.Category is"},
		"middleware":        {nil, command.Config{Middleware: []command.Middleware{nil}}, "Config.Middleware[0] is nil"},
		"nothing around it": {nil, command.Config{Middleware: []command.Middleware{func(command.Handler) command.Handler { return nil }}}, "a middleware has returned nil"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := command.New(db, db, c.routes, c.cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := command.New(nil, nil, []command.Route{command.Handle("", do), {}}, command.Config{})
	for _, each := range []string{"store is nil", "checkpoints is nil", "its name is", "routes[1] is empty"} {
		require.ErrorContains(t, err, each)
	}
	b, err := command.New(db, db, []command.Route{command.Handle("put", do), command.Handle("order", other)}, command.Config{})
	require.NoError(t, err)
	require.Equal(t, []string{"order", "put"}, b.Types())
}

// A type that this program does not know stays pending for one that does, and one
// that it knows otherwise fails.
func TestDeployments(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		newer, err := command.New(t.db, t.db, append(t.routes(),
			command.Handle("order", func(context.Context, order) (struct{}, error) { return struct{}{}, nil })), command.Config{})
		require.NoError(t, err)
		pending, err := command.Enqueue(ctx, newer, order{ID: "a", Lines: []line{{}}})
		require.NoError(t, err)
		other, err := command.Enqueue(ctx, newer, put{Name: "a"})
		require.NoError(t, err)
		var trouble []string
		older := t.bus(t.db, command.Config{Hooks: command.Hooks{Trouble: func(_ string, err error) { trouble = append(trouble, err.Error()) }}})
		r := run(ctx, t, older)
		elapse(90 * time.Second)
		record, err := older.Status(ctx, pending.ID)
		require.NoError(t, err)
		require.Equal(t, command.Pending, record.Status)
		require.Zero(t, record.Attempts)
		require.Equal(t, []string{`command type "order" has no handler, want one of put`, `command type "order" has no handler, want one of put`}, trouble)
		record, err = older.Status(ctx, other.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		r.end()

		// The next program wants something else of the type.
		third, err := command.New(t.db, t.db, []command.Route{
			command.Handle("order", func(context.Context, put) (string, error) { return "", nil }),
		}, command.Config{})
		require.NoError(t, err)
		run(ctx, t, third)
		record, err = third.Wait(ctx, pending.ID)
		require.NoError(t, err)
		require.Equal(t, command.CodeInvalid, record.Failure.Code)
	})
}

// What is in the category and is no command is told, and does no harm.
func TestStrangers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		for _, stream := range []string{"command-x", "command-" + uuid.NewString(), "command-" + strings.ToUpper(uuid.NewString())} {
			_, err := t.db.Append(ctx, eventstore.Write{Stream: stream, Expected: eventstore.None, Events: []eventstore.Event{{Type: "strange"}}})
			require.NoError(t, err)
		}
		var trouble []string
		b := t.bus(t.db, command.Config{Hooks: command.Hooks{Trouble: func(_ string, err error) { trouble = append(trouble, err.Error()) }}})
		run(ctx, t, b)
		receipt, err := command.Enqueue(ctx, b, put{Name: "a"})
		require.NoError(t, err)
		_, err = b.Wait(ctx, receipt.ID)
		require.NoError(t, err)
		require.Len(t, trouble, 3)
		require.Contains(t, trouble[0], `stream "command-x" is not that of a command`)
		require.Contains(t, trouble[1], `type "strange" is not registered`)
	})
}

// The form in which commands are recorded, for programs of today and tomorrow.
func TestEnvelopeAsJSON(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	b := s.bus(s.db, command.Config{})
	id := uuid.MustParse("0190b6a5-7c4e-7d39-8c0b-6b1d6f3f9a01")
	receipt, err := command.Schedule(t.Context(), b, time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC), put{Name: "a"},
		command.WithID(id), command.As("ada"), command.WithLabel("channel", "web"), command.InOrder("k"))
	require.NoError(t, err)
	got, err := json.Marshal(receipt)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"0190b6a5-7c4e-7d39-8c0b-6b1d6f3f9a01","due":"2100-01-02T03:04:05Z","status":"pending"}`, string(got))
	record, err := b.Status(t.Context(), id)
	require.NoError(t, err)
	got, err = json.Marshal(record.Envelope)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"0190b6a5-7c4e-7d39-8c0b-6b1d6f3f9a01","type":"put","payload":{"name":"a"},"status":"pending",
		"metadata":{"correlationId":"0190b6a5-7c4e-7d39-8c0b-6b1d6f3f9a01","labels":{"channel":"web"}},
		"actor":"ada","due":"2100-01-02T03:04:05Z","orderingKey":"k"}`, string(got))
	var back command.Envelope
	require.NoError(t, json.Unmarshal(got, &back))
	require.Equal(t, record.Envelope, back)
}
