package command_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/aggregate"
	"github.com/seed57833328/rondo/aggregate/httpreply"
	"github.com/seed57833328/rondo/command"
	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/erasure"
	"github.com/seed57833328/rondo/eventstore/memory"
	"github.com/seed57833328/rondo/reducer"
)

func TestMiddlewareInOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	var trail []string
	around := func(name string) command.Middleware {
		return func(next command.Handler) command.Handler {
			return func(ctx context.Context, e command.Envelope) (any, error) {
				trail = append(trail, name+" before")
				answer, err := next(ctx, e)
				trail = append(trail, name+" after")
				return answer, err
			}
		}
	}
	s.handle = func(context.Context, put) error {
		trail = append(trail, "handler")
		return nil
	}
	b := s.bus(s.db, command.Config{Middleware: []command.Middleware{around("outer"), around("inner")}})
	_, err := command.Dispatch(t.Context(), b, put{Name: "a"})
	require.NoError(t, err)
	require.Equal(t, []string{"outer before", "inner before", "handler", "inner after", "outer after"}, trail)
}

func TestMiddlewareDecides(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	b := s.bus(s.db, command.Config{Middleware: []command.Middleware{func(next command.Handler) command.Handler {
		return func(ctx context.Context, e command.Envelope) (any, error) {
			switch {
			case strings.Contains(string(e.Payload), "stop"):
				return nil, errBroken
			case strings.Contains(string(e.Payload), "panic"):
				panic("around it")
			case strings.Contains(string(e.Payload), "wrong"):
				return 7, nil
			case strings.Contains(string(e.Payload), "other"):
				e.ID = uuid.New()
			}
			return next(ctx, e)
		}
	}}})
	for name, want := range map[string]string{
		"stop": "broken for good", "panic": "around it", "wrong": "its handler answers with a int, want string",
		"other": "a middleware has called the next one with another context or envelope",
	} {
		_, err := command.Dispatch(t.Context(), b, put{Name: name})
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, s.ledger.seen())
}

func TestLogging(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.handle = func(_ context.Context, c put) error {
		switch c.Name {
		case "reject":
			return aggregate.Reject("no", "not today")
		case "fail":
			return errBroken
		case "panic":
			panic("at the disco")
		}
		return nil
	}
	b := s.bus(s.db, command.Config{Middleware: []command.Middleware{command.Logging(log)}})
	ctx := reducer.WithMeta(eventstore.WithTenant(t.Context(), "acme"), reducer.Meta{Actor: "ada"})
	for name, want := range map[string][]string{
		"secret": {"level=DEBUG", "carried out", "type=put", "tenant=acme", "actor=ada", "duration="},
		"reject": {"level=INFO", "not today"},
		"fail":   {"level=WARN", "broken for good"},
		"panic":  {"level=ERROR", "at the disco", "stack="},
	} {
		out.Reset()
		_, _ = command.Dispatch(ctx, b, put{Name: name}) // what it says is in the log
		for _, w := range want {
			require.Contains(t, out.String(), w)
		}
		require.NotContains(t, out.String(), "secret", "payloads are not logged")
	}
}

func TestTracing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
		var spans []command.Span
		var inHandler []reducer.Meta
		t.handle = func(ctx context.Context, c put) error {
			meta, _ := reducer.MetaFrom(ctx)
			inHandler = append(inHandler, meta)
			if c.Name == "fail" {
				return errBroken
			}
			return nil
		}
		b := t.bus(t.db, command.Config{Middleware: []command.Middleware{
			command.Tracing(func(_ context.Context, s command.Span) { spans = append(spans, s) }),
		}})
		run(t.Context(), t, b)
		cause := uuid.New()
		ctx := reducer.WithMeta(t.Context(), reducer.Meta{TraceParent: parent, ActionID: cause, CorrelationID: uuid.New()})
		receipt, err := command.Schedule(ctx, b, t.began.Add(time.Hour), put{Name: "a"})
		require.NoError(t, err)
		record, err := b.Wait(t.Context(), receipt.ID)
		require.NoError(t, err)
		require.Equal(t, parent, record.Metadata.TraceParent)
		require.Equal(t, cause, record.Metadata.CausationID)
		require.Len(t, spans, 1)
		require.Equal(t, parent, spans[0].Parent)
		require.Equal(t, parent[:36], spans[0].TraceParent[:36], "in the same trace")
		require.Equal(t, parent[52:], spans[0].TraceParent[52:], "with its flags")
		require.NotEqual(t, parent, spans[0].TraceParent)
		require.Equal(t, receipt.ID, spans[0].Command.ID)
		require.Equal(t, reducer.Meta{
			ActionID: receipt.ID, CorrelationID: record.Metadata.CorrelationID, CausationID: cause, TraceParent: spans[0].TraceParent,
		}, inHandler[0])

		for _, bad := range []string{"", "x", strings.ToUpper(parent), strings.Replace(parent, "00-4b", "ff-4b", 1), strings.Replace(parent, "00f067aa0ba902b7", "0000000000000000", 1)} {
			spans = nil
			_, err = command.Dispatch(reducer.WithMeta(t.Context(), reducer.Meta{TraceParent: bad}), b, put{Name: "fail"})
			require.ErrorIs(t, err, errBroken)
			require.ErrorIs(t, spans[0].Err, errBroken)
			require.Empty(t, spans[0].Parent)
			require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$", spans[0].TraceParent)
		}
	})
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *scene) {
		ctx := t.Context()
		var left, isAway atomic.Bool
		away := &passing{"the directory is away"}
		b := t.bus(t.db, command.Config{
			Authorize: func(_ context.Context, e command.Envelope) error {
				if isAway.Load() {
					return away
				}
				if e.Actor != "ada" || left.Load() {
					return errors.New("she is no clerk")
				}
				return nil
			},
			Hooks: command.Hooks{Trouble: func(string, error) {}},
		})
		var forbidden *command.ForbiddenError
		for _, err := range []error{
			func() error { _, err := command.Dispatch(ctx, b, put{}, command.As("eve")); return err }(),
			func() error { _, err := command.Enqueue(ctx, b, put{}, command.As("eve")); return err }(),
		} {
			require.ErrorAs(t, err, &forbidden)
			require.EqualError(t, err, `"eve" may not give command "put": she is no clerk`)
			require.Equal(t, 403, forbidden.HTTPStatus())
		}
		head, err := t.db.Head(ctx)
		require.NoError(t, err)
		require.Zero(t, head, "nothing was recorded")

		isAway.Store(true)
		_, err = command.Dispatch(ctx, b, put{}, command.As("ada"))
		require.ErrorContains(t, err, "the directory is away")
		require.NotErrorAs(t, err, &forbidden)
		isAway.Store(false)

		// Ada may when she schedules them, and has left when the second is due.
		first, err := command.Schedule(ctx, b, t.began.Add(time.Minute), put{Name: "a"}, command.As("ada"))
		require.NoError(t, err)
		second, err := command.Schedule(ctx, b, t.began.Add(time.Hour), put{Name: "b"}, command.As("ada"))
		require.NoError(t, err)
		run(ctx, t, b)
		elapse(59 * time.Second)
		isAway.Store(true)
		elapse(10 * time.Second)
		isAway.Store(false)
		_, err = b.Wait(ctx, first.ID)
		require.NoError(t, err)
		left.Store(true)
		record, err := b.Wait(ctx, second.ID)
		require.NoError(t, err)
		require.Equal(t, command.Failed, record.Status)
		require.Equal(t, command.CodeForbidden, record.Failure.Code)
		require.Equal(t, []string{"a"}, t.ledger.names())
	})
}

func TestTenants(t *testing.T) {
	t.Parallel()
	for name, required := range map[string]bool{"optional": false, "required": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *scene) {
				t.db = newMemory(t, memory.Config{RequireTenant: required})
				b := t.bus(t.db, command.Config{})
				a, z := eventstore.WithTenant(t.Context(), "a"), eventstore.WithTenant(t.Context(), "z")
				r := run(eventstore.WithTenant(t.Context(), "operator"), t, b)
				id := uuid.New()
				_, err := command.Schedule(a, b, t.began.Add(time.Second), put{Name: "of a"}, command.WithID(id))
				require.NoError(t, err)
				_, err = command.Schedule(z, b, t.began.Add(2*time.Second), put{Name: "of z"}, command.WithID(id))
				require.NoError(t, err, "ids are the tenants' own")
				_, err = command.Dispatch(reducer.WithMeta(t.Context(), reducer.Meta{Tenant: "a"}), b, put{Name: "at once"})
				require.NoError(t, err)
				elapse(time.Minute)
				require.Equal(t, []effect{
					{Name: "at once", Tenant: "a"}, {Name: "of a", Tenant: "a", At: time.Second}, {Name: "of z", Tenant: "z", At: 2 * time.Second},
				}, t.ledger.seen())
				record, err := b.Status(z, id)
				require.NoError(t, err)
				require.Equal(t, "z", record.Tenant)
				require.Equal(t, command.Consumed, record.Status)
				_, err = b.Status(eventstore.WithTenant(t.Context(), "nobody"), id)
				require.ErrorIs(t, err, command.ErrNotFound)
				r.end()
				if required {
					_, err = command.Dispatch(t.Context(), b, put{Name: "whose"})
					require.ErrorIs(t, err, eventstore.ErrNoTenant)
					require.ErrorIs(t, b.Run(t.Context()), eventstore.ErrNoTenant)
				}
			})
		})
	}
}

// A handler may give further commands, which know what has caused them.
func TestCommandsOfCommands(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	var b *command.Bus
	var inner command.Receipt
	s.handle = func(ctx context.Context, c put) error {
		if c.Name != "outer" {
			return nil
		}
		var err error
		inner, err = command.Enqueue(ctx, b, put{Name: "inner"}, command.WithID(reducer.DeriveID(command.ID(ctx), 1)))
		return err
	}
	b = s.bus(s.db, command.Config{})
	outer := uuid.New()
	_, err := command.Dispatch(t.Context(), b, put{Name: "outer"}, command.WithID(outer))
	require.NoError(t, err)
	run(t.Context(), t, b)
	record, err := b.Wait(t.Context(), inner.ID)
	require.NoError(t, err)
	require.Equal(t, outer, record.Metadata.CausationID)
	require.Equal(t, outer, record.Metadata.CorrelationID)
	require.Equal(t, uuid.Nil, command.ID(t.Context()))
}

type letter struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

func (letter) Returns(string)    {}
func (l letter) Subject() string { return l.To }

// Who is erased before a command about her is carried out is not served any more,
// and nothing of it is left.
func TestErasedSubject(t *testing.T) {
	t.Parallel()
	synctestErasure(t, func(t *scene, db *erasure.Store, erase func(string)) {
		ctx := t.Context()
		var b *command.Bus
		b, err := command.New(db, t.db, []command.Route{command.Handle("letter", func(_ context.Context, c letter) (string, error) {
			if c.Text == "last" {
				erase(c.To)
			}
			return "sent " + c.Text, nil
		})}, command.Config{})
		require.NoError(t, err)
		run(ctx, t, b)
		sent, err := command.Enqueue(ctx, b, letter{"ada", "hello"})
		require.NoError(t, err)
		record, err := b.Wait(ctx, sent.ID)
		require.NoError(t, err)
		require.JSONEq(t, `"sent hello"`, string(record.Result))
		later, err := command.Schedule(ctx, b, t.began.Add(time.Hour), letter{"ada", "later"})
		require.NoError(t, err)
		last, err := command.Enqueue(ctx, b, letter{"ada", "last"})
		require.NoError(t, err)
		record, err = b.Wait(ctx, last.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		require.Empty(t, record.Result)
		elapse(2 * time.Hour)
		record, err = b.Status(ctx, later.ID)
		require.NoError(t, err)
		require.Equal(t, command.Failed, record.Status)
		require.Equal(t, command.CodeErased, record.Failure.Code)
		record, err = b.Status(ctx, sent.ID)
		require.NoError(t, err)
		require.Equal(t, command.Consumed, record.Status)
		require.Empty(t, record.Payload)
		require.Empty(t, record.Result)
	})
}

func synctestErasure(t *testing.T, test func(t *scene, db *erasure.Store, erase func(string))) {
	t.Helper()
	bubble(t, func(t *scene) {
		inner := newMemory(t, memoryConfig)
		t.db = inner
		db, err := erasure.New(inner, inner, erasure.Config{})
		require.NoError(t, err)
		test(t, db, func(subject string) { require.NoError(t, db.Erase(t.Context(), subject)) })
	})
}

func TestErrorsAsHTTP(t *testing.T) {
	t.Parallel()
	s := newScene(t, newMemory(t, memoryConfig))
	ctx, id := t.Context(), uuid.New()
	s.handle = func(_ context.Context, c put) error {
		if c.Name == "reject" {
			return aggregate.Reject("sold-out", "no seats")
		}
		return nil
	}
	b := s.bus(s.db, command.Config{Authorize: func(_ context.Context, e command.Envelope) error {
		if e.Actor == "eve" {
			return errBroken
		}
		return nil
	}})
	dispatch := func(c put, opts ...command.Option) error {
		_, err := command.Dispatch(ctx, b, c, opts...)
		return err
	}
	envelope := func(e command.Envelope) error {
		_, err := b.Dispatch(ctx, e)
		return err
	}
	require.NoError(t, dispatch(put{}, command.WithID(id)))
	for _, c := range []struct {
		err    error
		status int
	}{
		{envelope(command.Envelope{Type: "what"}), 400},
		{envelope(command.Envelope{Type: "put", Payload: []byte(`{"x":1}`)}), 400},
		{envelope(command.Envelope{Type: "put", Payload: []byte(`{}`), Status: command.Failed}), 400},
		{dispatch(put{}, command.As("eve")), 403},
		{dispatch(put{Name: "other"}, command.WithID(id)), 409},
		{dispatch(put{Name: "reject"}), 422},
		{b.Cancel(ctx, uuid.New(), ""), 404},
		{b.Cancel(ctx, id, ""), 409},
	} {
		require.Equal(t, c.status, httpreply.Of(c.err).Status, "%v", c.err)
	}
	w := httptest.NewRecorder()
	receipt, err := command.Enqueue(ctx, b, put{Name: "a"})
	require.NoError(t, err)
	httpreply.Receipt(w, receipt.Receipt)
	require.Equal(t, 202, w.Code)
	require.JSONEq(t, `{"id":"`+receipt.ID.String()+`"}`, w.Body.String())
}
