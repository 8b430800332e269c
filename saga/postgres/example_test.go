package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/eventstore/postgres/postgrestest"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/postgres"
)

// TestExample runs it on a server.
func Example() { //nolint:testableexamples // it needs one
	left, err := reserve(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("seats that are left:", left)
}

// reserve runs a reservation whose card is declined. Seats are held and released in
// transactions of the database that the saga is in.
func reserve(ctx context.Context, url string) (left int, err error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	home, err := postgres.New(ctx, pool, postgres.Config{AutoMigrate: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, home.Close()) }()

	handlers := []effect.Handler{
		postgres.HandleTx(pool, func(ctx context.Context, tx pgx.Tx, q HoldSeats) ([]string, error) {
			rows, err := tx.Query(ctx, `
				UPDATE seats SET held_by = $1
				WHERE name IN (SELECT name FROM seats WHERE held_by = '' ORDER BY name LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING name`,
				saga.EffectID(ctx), q.Quantity)
			if err != nil {
				return nil, err
			}
			seats, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err == nil && len(seats) < q.Quantity {
				err = saga.Rejected(errors.New("sold out")) // what was held is rolled back
			}
			return seats, err
		}),
		postgres.HandleTx(pool, func(ctx context.Context, tx pgx.Tx, _ ReleaseSeats) (struct{}, error) {
			_, err := tx.Exec(ctx, `UPDATE seats SET held_by = '' WHERE held_by || '/undo' = $1`, saga.EffectID(ctx))
			return struct{}{}, err
		}),
		// A gateway is no part of the transaction: it is given the key.
		effect.Handle(func(context.Context, Charge) (struct{}, error) { return struct{}{}, saga.Rejected(errDeclined) }),
		effect.Handle(func(context.Context, Refund) (struct{}, error) { return struct{}{}, nil }),
		postgres.HandleTx(pool, func(ctx context.Context, tx pgx.Tx, q ConfirmSeats) (struct{}, error) {
			_, err := tx.Exec(ctx, `DELETE FROM seats WHERE name = ANY ($1)`, q.Seats)
			return struct{}{}, err
		}),
	}
	runner, err := saga.New(home, saga.Config{Handlers: handlers}, Reservation)
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }() // until Shutdown
	defer func() { err = errors.Join(err, runner.Shutdown(ctx), <-ended) }()

	reservation, err := runner.Start(ctx, Reservation.ID("ann-1"), Reserve{Customer: "ann", Quantity: 2})
	if err != nil {
		return 0, err
	}
	end, err := reservation.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if end.Status != saga.Compensated {
		return 0, fmt.Errorf("%s: %s", end.Status, end.Reason)
	}
	err = pool.QueryRow(ctx, `SELECT count(*) FROM seats WHERE held_by = ''`).Scan(&left)
	return left, err
}

func TestExample(t *testing.T) {
	t.Parallel()
	db := postgrestest.New(t)
	_, err := db.Pool(t).Exec(t.Context(), `CREATE TABLE seats (name text PRIMARY KEY, held_by text NOT NULL DEFAULT '');
		INSERT INTO seats VALUES ('A-1'), ('A-2'), ('A-3')`)
	require.NoError(t, err)
	left, err := reserve(t.Context(), db.URL)
	require.NoError(t, err)
	require.Equal(t, 3, left)
}
