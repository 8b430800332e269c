package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// chained are handlers whose effects join the commits of the sagas; the first is hold.
func (s *seats) chained(hold func(context.Context, pgx.Tx, HoldSeats) ([]string, error), charge func(context.Context, pgx.Tx, Charge) (struct{}, error)) []effect.Handler {
	handlers := moving(s.home)
	handlers[0] = postgres.HandleTx(s.home, hold)
	if charge != nil {
		handlers[2] = postgres.HandleTx(s.home, charge)
	}
	return handlers
}

// The transaction goes on for the next effect, and is over for a function that has
// returned.
func TestTransactionThatIsJoinedEndsForEachFunction(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	var kept pgx.Tx
	uses := map[string]func(ctx context.Context) error{
		"Begin": func(ctx context.Context) error {
			inner, err := kept.Begin(ctx)
			if err != nil {
				return err
			}
			return inner.Commit(ctx)
		},
		"CopyFrom": func(ctx context.Context) error {
			_, err := kept.CopyFrom(ctx, pgx.Identifier{"moves"}, []string{"what", "effect"}, pgx.CopyFromRows(nil))
			return err
		},
		"SendBatch": func(ctx context.Context) error {
			b := &pgx.Batch{}
			b.Queue(`SELECT 1`)
			return kept.SendBatch(ctx, b).Close()
		},
		"Prepare": func(ctx context.Context) error { _, err := kept.Prepare(ctx, "x", `SELECT 1`); return err },
		"Exec":    func(ctx context.Context) error { _, err := kept.Exec(ctx, `SELECT 1`); return err },
		"Query": func(ctx context.Context) error {
			rows, err := kept.Query(ctx, `SELECT 1`)
			if err == nil {
				rows.Close()
			}
			return err
		},
		"QueryRow": func(ctx context.Context) error { var n int; return kept.QueryRow(ctx, `SELECT 1`).Scan(&n) },
	}
	chained := false
	end, _ := s.reserve("ann", s.chained(
		func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
			kept = tx
			for name, use := range uses {
				require.NoError(t, use(ctx), name)
			}
			return []string{"A1", "A2"}, move(ctx, tx, "hold")
		},
		func(ctx context.Context, tx pgx.Tx, _ Charge) (struct{}, error) {
			var held bool
			if err := s.pool.QueryRow(ctx, `SELECT count(*) > 0 FROM moves`).Scan(&held); err != nil {
				return struct{}{}, err
			}
			chained = !held // nobody sees the first effect yet
			for name, use := range uses {
				require.ErrorIs(t, use(ctx), pgx.ErrTxClosed, name)
			}
			return struct{}{}, move(ctx, tx, "charge")
		},
	))
	require.Equal(t, saga.Completed, end.Status, end.Reason)
	require.True(t, chained)
	require.Equal(t, []string{"hold", "charge", "confirm"}, s.moves())
}

// A function that says nothing of a statement that failed has spoilt the transaction
// of the others. They are done all the same, each in its own.
func TestFailedStatementThatIsNotToldOf(t *testing.T) {
	t.Parallel()
	s := newSeats(t)
	fails := 2
	end, _ := s.reserve("ann", s.chained(func(ctx context.Context, tx pgx.Tx, _ HoldSeats) ([]string, error) {
		if fails--; fails >= 0 {
			_, err := tx.Exec(ctx, `SELECT 1 / 0`)
			require.Error(t, err)
			return []string{"B1"}, nil
		}
		return []string{"A1", "A2"}, move(ctx, tx, "hold")
	}, nil))
	require.Equal(t, saga.Completed, end.Status, end.Reason)
	require.Negative(t, fails)
	require.Equal(t, []string{"hold", "charge", "confirm"}, s.moves())
}
