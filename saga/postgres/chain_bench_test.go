package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// BenchmarkSagaChain has sagas whose three effects are rows in their database: with
// decisions and effects in one commit, with a commit for each, and as the same writes
// by hand in one transaction. They take turns as those of BenchmarkSaga.
func BenchmarkSagaChain(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			server := postgrestest.Start(b, postgrestest.Config{Durable: true})
			one, each := newChained(b, server.NewDatabase(b), 0), newChained(b, server.NewDatabase(b), -1)
			h := newByHand(b, server.NewDatabase(b), decisionsOf(b, true))
			race(b, server, clients, []*lane{
				{name: "ours", do: one.saga, counts: one.counted.counts},
				{name: "each", do: each.saga, counts: each.counted.counts},
				{name: "hand", do: h.chain, counts: h.counts},
			})
		})
	}
}

func newChained(b *testing.B, db *postgrestest.Database, maxChain int) *ours {
	b.Helper()
	home := open(b, db.URL)
	tx, err := home.BeginTx(b.Context(), pgx.TxOptions{})
	require.NoError(b, err)
	_, err = tx.Exec(b.Context(), `CREATE TABLE moves (n bigserial, what text NOT NULL, effect text NOT NULL)`)
	require.NoError(b, err)
	require.NoError(b, tx.Commit(b.Context()))
	o := &ours{counted: &countedStore{Store: home}}
	var of postgres.Beginner = home
	if maxChain < 0 {
		of = countedBeginner{o.counted}
	}
	o.runner, _ = run(b, o.counted, saga.Config{Handlers: moving(of), MaxChain: maxChain, Heartbeat: 3 * time.Second, Lease: 12 * time.Second})
	_, err = o.runner.Start(b.Context(), Reservation.ID("first"), Reserve{Quantity: 2}) // returns when it is a worker
	require.NoError(b, err)
	return o
}

// moving are handlers that write a row each.
func moving(db postgres.Beginner) []effect.Handler {
	nothing := struct{}{}
	return []effect.Handler{
		postgres.HandleTx(db, func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
			return []string{"A1", "A2"}, move(ctx, tx, "hold")
		}),
		postgres.HandleTx(db, func(ctx context.Context, tx pgx.Tx, _ ReleaseSeats) (struct{}, error) {
			return nothing, move(ctx, tx, "release")
		}),
		postgres.HandleTx(db, func(ctx context.Context, tx pgx.Tx, _ Charge) (struct{}, error) {
			return nothing, move(ctx, tx, "charge")
		}),
		postgres.HandleTx(db, func(ctx context.Context, tx pgx.Tx, _ Refund) (struct{}, error) {
			return nothing, move(ctx, tx, "refund")
		}),
		postgres.HandleTx(db, func(ctx context.Context, tx pgx.Tx, _ ConfirmSeats) (struct{}, error) {
			return nothing, move(ctx, tx, "confirm")
		}),
	}
}

// countedBeginner counts the transactions of effects.
type countedBeginner struct{ counted *countedStore }

func (c countedBeginner) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	c.counted.commits.Add(1)
	return c.counted.Store.BeginTx(ctx, options)
}

// CommitTx counts chains.
func (c *countedStore) CommitTx(ctx context.Context, f func(context.Context) ([]saga.Change, error)) (saga.Verdict, error) {
	c.commits.Add(1)
	return c.Store.CommitTx(ctx, f)
}
