package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// asked has a context tell what a connection is asked for.
type asked struct{}

// tracer notes it.
type tracer struct{}

func (tracer) note(ctx context.Context, what string) context.Context {
	if all, is := ctx.Value(asked{}).(*[]string); is {
		*all = append(*all, what)
	}
	return ctx
}

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return t.note(ctx, strings.Join(strings.Fields(d.SQL)[:1], " "))
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return t.note(ctx, "batch")
}

func (tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// A commit is one statement, that of one decision as that of several, whatever goes
// with them, and so is what is read for a decision.
func TestEachCallIsOneStatement(t *testing.T) {
	t.Parallel()
	config := postgrestest.New(t).Config(t)
	config.ConnConfig.Tracer = tracer{}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	s, err := postgres.New(t.Context(), pool, postgres.Config{AutoMigrate: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	worker, err := s.Join(t.Context(), saga.Worker{ID: "w", Types: []string{Reservation.Name()}}, time.Hour)
	require.NoError(t, err)
	id, others := Reservation.ID("alone"), []saga.ID{Reservation.ID("b"), Reservation.ID("c")}
	owned, err := s.Claim(t.Context(), worker, []saga.Lease{{Shard: id.Shard()}})
	require.NoError(t, err)
	require.NoError(t, s.Post(t.Context(), saga.Message{
		To: id, ID: "m", Kind: saga.StartMessage, Body: []byte(`{}`), At: change(id, 1).Record.Started,
	}))
	waiting, err := s.Waiting(t.Context(), id, 0, 10)
	require.NoError(t, err)
	require.Len(t, waiting, 1)

	commit := func(changes ...saga.Change) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			verdicts, err := s.Commit(ctx, changes)
			require.Equal(t, len(changes), count(verdicts, saga.Committed))
			return err
		}
	}
	with := func(c saga.Change, also func(*saga.Change)) saga.Change {
		also(&c)
		return c
	}
	for _, call := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"a start", commit(change(id, 1))},
		{"a decision", commit(change(id, 2))},
		{"a decision of who owns it", commit(with(change(id, 3), func(c *saga.Change) { c.Epoch = owned[0].Epoch }))},
		{"a decision on a message", commit(with(change(id, 4), func(c *saga.Change) { c.Consumed = []int64{waiting[0].Position} }))},
		{"a decision that writes to another saga", commit(with(change(id, 5), func(c *saga.Change) {
			c.Posts = []saga.Message{{To: others[0], ID: "p", Kind: saga.SignalMessage, Body: []byte(`{}`), At: c.Record.Started}}
		}))},
		{"starts", commit(change(others[0], 1), change(others[1], 1))},
		{"decisions", commit(change(id, 6), change(others[0], 2), change(others[1], 2))},
		{"starts and decisions", commit(change(Reservation.ID("d"), 1), change(id, 7))},
		{"what loads a saga", func(ctx context.Context) error { _, _, err := s.Load(ctx, id); return err }},
		{"what is due", func(ctx context.Context) error { _, err := s.Due(ctx, allShards(), saga.Due{}, 10); return err }},
		{"the inbox", func(ctx context.Context) error { _, err := s.Inbox(ctx, allShards(), 10); return err }},
		{"a list", func(ctx context.Context) error { _, err := s.List(ctx, saga.Query{}); return err }},
	} {
		var all []string
		require.NoError(t, call.do(context.WithValue(t.Context(), asked{}, &all)), call.name)
		require.Len(t, all, 1, call.name)
		require.NotContains(t, all, "batch", call.name)
	}
}
