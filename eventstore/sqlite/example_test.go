package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed57833328/rondo/eventstore"
	"github.com/seed57833328/rondo/eventstore/sqlite"
)

// A store is a file: what was appended is there when it is opened again.
func Example() {
	dir, err := os.MkdirTemp("", "shop")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "shop.db")
	ctx := context.Background()

	store, err := sqlite.Open(ctx, path, sqlite.Config{})
	must(err)
	_, err = store.Append(ctx, eventstore.Write{
		Stream:   "seats-A",
		Expected: eventstore.None,
		Events: []eventstore.Event{
			{Type: "seats-opened", Data: []byte(`{"free":2}`)},
			{Type: "seat-held", Data: []byte(`{"seat":"A1"}`)},
		},
	})
	must(err)
	must(store.Close())

	store, err = sqlite.Open(ctx, path, sqlite.Config{})
	must(err)
	defer func() { must(store.Close()) }()
	for event, err := range store.ReadStream(ctx, "seats-A", 1) {
		must(err)
		fmt.Printf("%d %s %s\n", event.Version, event.Type, event.Data)
	}
	// Output:
	// 1 seats-opened {"free":2}
	// 2 seat-held {"seat":"A1"}
}

// A read model in the same file is changed in one transaction with the events.
func ExampleStore_InTx() {
	dir, err := os.MkdirTemp("", "shop")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()
	ctx := context.Background()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "shop.db"), sqlite.Config{})
	must(err)
	defer func() { must(store.Close()) }()

	hold := func(seat string, expected eventstore.Expected) error {
		return store.InTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS held (seat TEXT PRIMARY KEY)`); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO held VALUES (?)`, seat); err != nil {
				return err
			}
			_, err := store.AppendTx(ctx, tx, eventstore.Write{
				Stream: "seats-A", Expected: expected,
				Events: []eventstore.Event{{Type: "seat-held", Data: []byte(seat)}},
			})
			return err
		})
	}
	fmt.Println(hold("A1", eventstore.None))
	fmt.Println(hold("A2", eventstore.None)) // the row goes with the event

	err = store.InTx(ctx, func(tx *sql.Tx) error {
		var n int
		defer func() { fmt.Println("held:", n) }()
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM held`).Scan(&n)
	})
	must(err)
	// Output:
	// <nil>
	// append to "seats-A": expected no events, the stream is at version 1
	// held: 1
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
