package postgres_test //nolint:testableexamples // it needs a server: TestExample runs it on one

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/postgres"
)

// TestExample runs it on a server.
func Example() {
	n, err := sell(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("seats-A has", n, "events")
}

func sell(ctx context.Context, url string) (n int, err error) {
	store, err := postgres.Open(ctx, url, postgres.Config{AutoMigrate: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	held, err := store.Append(ctx, eventstore.Write{
		Stream: "seats-A", Expected: eventstore.None,
		Events: []eventstore.Event{{Type: "seats-held", Data: []byte(`{"seats":["A-12"]}`)}},
	})
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		return 0, fmt.Errorf("somebody was faster: %w", err)
	}
	if err != nil {
		return 0, err
	}

	// A row of the application's own tables, in one commit with an event.
	err = store.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO tickets VALUES ('A-12')`); err != nil {
			return err
		}
		_, err := store.AppendTx(ctx, tx, eventstore.Write{
			Stream: "seats-A", Expected: eventstore.Exactly(held[0].Version),
			Events: []eventstore.Event{{Type: "seats-sold", Data: []byte(`{"seats":["A-12"]}`)}},
		})
		return err
	})
	if err != nil {
		return 0, err
	}

	for _, err := range store.ReadStream(ctx, "seats-A", 1) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
