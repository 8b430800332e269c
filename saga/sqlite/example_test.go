package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/saga"
	"github.com/seed57833328/rondo/saga/sqlite"
)

// transfer moves money from one account to another, in two steps.
type transfer struct {
	From, To string
	Cents    int
}

type (
	withdraw struct {
		Account string
		Cents   int
	}
	giveBack withdraw
	deposit  withdraw
)

func (withdraw) Returns(struct{}) {}
func (giveBack) Returns(struct{}) {}
func (deposit) Returns(struct{})  {}

var transfers = saga.Steps("transfer",
	saga.Step[transfer]{
		Do:   saga.Ask("withdraw", func(t transfer) withdraw { return withdraw{t.From, t.Cents} }, nil),
		Undo: saga.Ask("give-back", func(t transfer) giveBack { return giveBack{t.From, t.Cents} }, nil),
	},
	saga.Step[transfer]{Do: saga.Ask("deposit", func(t transfer) deposit { return deposit{t.To, t.Cents} }, nil)},
)

// Accounts are a table in the file of the sagas. Money is withdrawn and deposited
// exactly once, whatever happens to the process.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "bank")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	if err := bank(ctx, filepath.Join(dir, "bank.db")); err != nil {
		log.Print(err)
	}
	// Output:
	// 1: completed
	// 2: compensated, deposit: account closed
	// ann 70, ben 30
}

func bank(ctx context.Context, path string) (err error) {
	home, err := sqlite.Open(ctx, path, sqlite.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	if err := home.InTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0));
			INSERT INTO accounts VALUES ('ann', 100), ('ben', 0)`)
		return err
	}); err != nil {
		return err
	}
	change := func(ctx context.Context, tx *sql.Tx, account string, cents int) (struct{}, error) {
		result, err := tx.ExecContext(ctx, `UPDATE accounts SET cents = cents + ? WHERE name = ?`, cents, account)
		if err != nil {
			return struct{}{}, err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return struct{}{}, errors.Join(err, saga.Rejected(errors.New("account closed")))
		}
		return struct{}{}, nil
	}
	runner, err := saga.New(home, saga.Config{Handlers: []effect.Handler{
		sqlite.HandleTx(home, func(ctx context.Context, tx *sql.Tx, q withdraw) (struct{}, error) {
			return change(ctx, tx, q.Account, -q.Cents)
		}),
		sqlite.HandleTx(home, func(ctx context.Context, tx *sql.Tx, q giveBack) (struct{}, error) {
			if done, err := sqlite.Done(ctx, tx); err != nil || !done {
				return struct{}{}, err // nothing was withdrawn
			}
			return change(ctx, tx, q.Account, q.Cents)
		}),
		sqlite.HandleTx(home, func(ctx context.Context, tx *sql.Tx, q deposit) (struct{}, error) {
			return change(ctx, tx, q.Account, q.Cents)
		}),
	}}, transfers)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	for i, t := range []transfer{{"ann", "ben", 30}, {"ann", "cid", 20}} {
		h, err := runner.Start(ctx, transfers.ID(fmt.Sprint(i+1)), saga.Begin[transfer]{Data: t})
		if err != nil {
			return err
		}
		end, err := h.Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %s", end.ID.Key, end.Status)
		if end.Reason != "" {
			fmt.Printf(", %s", end.Reason)
		}
		fmt.Println()
	}
	if err := home.InTx(ctx, func(tx *sql.Tx) error {
		var text string
		err := tx.QueryRowContext(ctx, `SELECT group_concat(name || ' ' || cents, ', ' ORDER BY name) FROM accounts`).Scan(&text)
		fmt.Println(text)
		return err
	}); err != nil {
		return err
	}
	return errors.Join(runner.Shutdown(ctx), <-ended)
}
