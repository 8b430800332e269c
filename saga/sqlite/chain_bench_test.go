package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// BenchmarkSagaChain has sagas whose three effects are rows in their file: with
// decisions and effects in one commit, with a commit for each, and as the same writes
// by hand in one transaction. They take turns as those of BenchmarkSaga. What is
// counted of ours are calls of the home, of which several are one commit when they
// wait at the same time.
func BenchmarkSagaChain(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			one, each := newChained(b, 0), newChained(b, -1)
			h := newByHand(b, decisionsOf(b, true))
			race(b, clients, []*lane{
				{name: "ours", do: one.saga, commits: one.counted.commits.Load, path: one.path},
				{name: "each", do: each.saga, commits: each.counted.commits.Load, path: each.path},
				{name: "hand", do: h.chain, commits: h.commits.Load, path: h.path},
			})
		})
	}
}

func newChained(b *testing.B, maxChain int) *ours {
	b.Helper()
	o := &ours{path: file(b)}
	home := open(b, o.path, sqlite.Config{})
	require.NoError(b, home.InTx(b.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(b.Context(), `CREATE TABLE moves (n INTEGER PRIMARY KEY, what TEXT NOT NULL)`)
		return err
	}))
	o.counted = &countedStore{Store: home}
	var of sqlite.Transactor = home
	if maxChain < 0 {
		of = countedTransactor{o.counted}
	}
	o.runner, _ = run(b, o.counted, saga.Config{Handlers: moving(of), MaxChain: maxChain, Heartbeat: 3 * time.Second, Lease: 12 * time.Second})
	_, err := o.runner.Start(b.Context(), Reservation.ID("first"), Reserve{Quantity: 2}) // returns when it is a worker
	require.NoError(b, err)
	return o
}

// moving are handlers that write a row each.
func moving(db sqlite.Transactor) []effect.Handler {
	nothing := struct{}{}
	return []effect.Handler{
		sqlite.HandleTx(db, func(ctx context.Context, tx *sql.Tx, _ HoldSeats) ([]string, error) {
			return []string{"A1", "A2"}, move(ctx, tx, "hold")
		}),
		sqlite.HandleTx(db, func(ctx context.Context, tx *sql.Tx, _ ReleaseSeats) (struct{}, error) {
			return nothing, move(ctx, tx, "release")
		}),
		sqlite.HandleTx(db, func(ctx context.Context, tx *sql.Tx, _ Charge) (struct{}, error) {
			return nothing, move(ctx, tx, "charge")
		}),
		sqlite.HandleTx(db, func(ctx context.Context, tx *sql.Tx, _ Refund) (struct{}, error) {
			return nothing, move(ctx, tx, "refund")
		}),
		sqlite.HandleTx(db, func(ctx context.Context, tx *sql.Tx, _ ConfirmSeats) (struct{}, error) {
			return nothing, move(ctx, tx, "confirm")
		}),
	}
}

// countedTransactor counts the transactions of effects.
type countedTransactor struct{ counted *countedStore }

func (c countedTransactor) InTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	c.counted.commits.Add(1)
	return c.counted.Store.InTx(ctx, f)
}

// CommitTx counts chains.
func (c *countedStore) CommitTx(ctx context.Context, f func(context.Context) ([]saga.Change, error)) (saga.Verdict, error) {
	c.commits.Add(1)
	return c.Store.CommitTx(ctx, f)
}
